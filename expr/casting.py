"""How values change type: the planner's one entry to casts, length coercion included.

`cast_scalar` builds what PostgreSQL's coerce_type and coerce_type_typmod build: the cast call (a
registry id `cast(source,target)`, array casts included), then the call that enforces the target's
modifier (`modifier(type,int4,bool)`), both left out where they would do nothing.
"""

from typing import Final

import msgspec

import expr.library  # noqa: F401  (fills the registry)
from core.sql_types import BOOL, INT4, SqlType
from expr.modifiers import fitting
from expr.registry import CastContext, cast_between
from expr.scalar import And, Call, EvaluationContext, Literal, Or, Scalar, literal
from expr.text_format import text_input

UNKNOWN_OID: Final = 705
INTERVAL_OID: Final = 1186
_VECTOR_OIDS: Final = frozenset({22, 30})
_PSEUDO_TYPES: Final = frozenset({2276, 2277, 2283, 2776, 5077, 5078})
_RANK: Final = {CastContext.IMPLICIT: 0, CastContext.ASSIGNMENT: 1, CastContext.EXPLICIT: 2}
_DEFAULT_CONTEXT: Final = EvaluationContext()


def can_cast(source: SqlType, target: SqlType, context: CastContext) -> bool:
    """Whether a cast exists that applies in this context (modifiers ignored). IMPLICIT casts also
    apply in ASSIGNMENT and EXPLICIT contexts. Every type casts to itself, unknown to every type."""
    if source.oid in (target.oid, UNKNOWN_OID) or target.oid in _PSEUDO_TYPES:
        return True
    cast = cast_between(source, target)
    if cast is not None:
        return _RANK[cast.context] <= _RANK[context]
    if source.element is not None and target.element is not None:
        # Vectors are arrays of a fixed shape: they become arrays, and no array becomes one.
        return target.oid not in _VECTOR_OIDS and can_cast(source.element, target.element, context)
    if target.info.category == "S":
        return _RANK[context] >= 1
    return source.info.category == "S" and _RANK[context] == 2


def cast_scalar(
    scalar: Scalar,
    target: SqlType,
    context: CastContext,
    evaluation: EvaluationContext = _DEFAULT_CONTEXT,
) -> Scalar | None:
    """`scalar` as a value of `target`, or None when no cast applies in this context.

    A literal of type unknown becomes a literal of the target, parsed by its input function under
    the session settings `evaluation`; that raises SqlError when the text is no such value.
    """
    source = scalar.type
    is_explicit = context is CastContext.EXPLICIT
    if source.oid == UNKNOWN_OID and isinstance(scalar, Literal):
        return _cast_unknown(scalar, target, evaluation, is_explicit=is_explicit)
    if not can_cast(source, target, context):
        return None
    if source.oid != target.oid:
        function_id = f"cast({source.name},{target.name})"
        scalar = Call(function_id, (scalar,), SqlType(target.oid))
        source = scalar.type
    if source.modifier == target.modifier or isinstance(scalar, And | Or):
        return scalar
    if fitting(target) is None:
        return relabel(scalar, target)
    modifier = literal(target.modifier, INT4)
    return Call(
        f"modifier({target.name},int4,bool)", (scalar, modifier, literal(is_explicit, BOOL)), target
    )


def relabel(scalar: Scalar, target: SqlType) -> Scalar:
    """`scalar` with another modifier of its type, its value unchanged."""
    if isinstance(scalar, And | Or):
        return scalar
    return msgspec.structs.replace(scalar, type=target)


def _cast_unknown(
    scalar: Literal, target: SqlType, evaluation: EvaluationContext, *, is_explicit: bool
) -> Literal:
    if scalar.is_null:
        return Literal(scalar.data, target)
    # Like PostgreSQL, parse without the modifier (but for interval, whose fields it names).
    parsed_as = target if target.oid == INTERVAL_OID else target.base
    value = text_input(parsed_as, evaluation)(scalar.value)
    fit = fitting(target)
    return literal(value if fit is None else fit(value, is_explicit), target)
