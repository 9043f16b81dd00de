"""Constant folding in every scalar of a relation."""

from expr.fold import fold
from expr.relation import Relation, map_scalars
from expr.scalar import (
    Call,
    Case,
    ColumnRef,
    EvaluationContext,
    Literal,
    Parameter,
    Scalar,
    children,
)


def fold_constants(relation: Relation, context: EvaluationContext) -> Relation:
    """`relation` with constant subexpressions evaluated; errors are left for run time."""

    def change(scalar: Scalar) -> Scalar:
        return fold(scalar, context) if _has_constant_operation(scalar) else scalar

    return map_scalars(relation, change)


def _has_constant_operation(scalar: Scalar) -> bool:
    """Whether folding could do anything: a literal below an operation."""
    if isinstance(scalar, (ColumnRef, Literal, Parameter)):
        return False
    if isinstance(scalar, Call) and not scalar.args:
        return False
    if isinstance(scalar, Case):
        return True
    parts = children(scalar)
    return any(isinstance(part, Literal) or _has_constant_operation(part) for part in parts)
