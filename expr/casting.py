"""How values change type: the planner's one entry to casts, length coercion included.

`cast_scalar` builds what PostgreSQL's coerce_type and coerce_type_typmod build: the cast call (a
registry id `cast(source,target)`, array casts included), then the call that enforces the target's
modifier (`modifier(type,int4,bool)`), both left out where they would do nothing.
"""

from core.sql_types import SqlType
from expr.registry import CastContext
from expr.scalar import Scalar


def can_cast(source: SqlType, target: SqlType, context: CastContext) -> bool:
    """Whether a cast exists that applies in this context (modifiers ignored). IMPLICIT casts also
    apply in ASSIGNMENT and EXPLICIT contexts. Every type casts to itself."""
    raise NotImplementedError


def cast_scalar(scalar: Scalar, target: SqlType, context: CastContext) -> Scalar | None:
    """`scalar` as a value of `target`, or None when no cast applies in this context.

    A literal of type unknown becomes a literal of the target, parsed by its input function.
    """
    raise NotImplementedError
