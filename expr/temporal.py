"""Conditions on the time at which a relation is looked at: comparisons with `mz_now()`.

A one-off read replaces `mz_now()` by its time. A maintained relation cannot: there a comparison of
`mz_now()` with an expression bounds the times at which a row is there, and nothing else may be said
about `mz_now()`. The rule and its words are Materialize's.
"""

from enum import Enum
from typing import Final, NamedTuple

from core.errors import FEATURE_NOT_SUPPORTED, SqlError
from expr.relation import Filter, Relation, children, scalars_of
from expr.scalar import And, Call, Scalar
from expr.scalar import children as operands

MZ_NOW: Final = "mz_now()"
_MIRRORED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_HINT: Final = "`mz_now()` must be directly compared to a mz_timestamp-castable expression."


class TimeBound(Enum):
    """What `mz_now()` compared with a value v says of the times at which a row is there."""

    AT = "="  # v only
    BEFORE = "<"
    THROUGH = "<="
    AFTER = ">"
    FROM = ">="


class TemporalCondition(NamedTuple):
    """A row is there at the times that `bound` and the value of `scalar` allow; null: none."""

    bound: TimeBound
    scalar: Scalar


def mentions_now(scalar: Scalar) -> bool:
    """Whether `mz_now()` occurs in `scalar`."""
    if isinstance(scalar, Call) and scalar.function == MZ_NOW:
        return True
    return any(map(mentions_now, operands(scalar)))


def split_conditions(
    predicates: tuple[Scalar, ...],
) -> tuple[tuple[Scalar, ...], tuple[TemporalCondition, ...]]:
    """The predicates that do not depend on time, and the others. Raises SqlError (0A000) for one
    that is not a comparison with `mz_now()`, or a conjunction of such."""
    timeless: list[Scalar] = []
    temporal: list[TemporalCondition] = []
    for predicate in predicates:
        if not mentions_now(predicate):
            timeless.append(predicate)
        elif isinstance(predicate, And):
            more, conditions = split_conditions(predicate.args)
            timeless.extend(more)
            temporal.extend(conditions)
        else:
            temporal.append(_condition(predicate))
    return tuple(timeless), tuple(temporal)


def check_maintainable(relation: Relation) -> None:
    """Raises SqlError (0A000) if `mz_now()` occurs in `relation` other than in such comparisons."""
    scalars = scalars_of(relation)
    if isinstance(relation, Filter):
        split_conditions(scalars)
    elif any(map(mentions_now, scalars)):
        raise _unsupported()
    for child in children(relation):
        check_maintainable(child)


def _condition(predicate: Scalar) -> TemporalCondition:
    match predicate:
        case Call(function="not(bool)", args=(Call() as negated,)):
            condition = _condition(negated)
            return TemporalCondition(_opposite(condition.bound), condition.scalar)
        case Call(function=function, args=(left, right)):
            operator = function.partition("(")[0]
            if operator not in _MIRRORED or left.type != right.type:
                raise _unsupported()
            if mentions_now(left):
                now, value = left, right
            else:
                now, value, operator = right, left, _MIRRORED[operator]
            if not mentions_now(value) and isinstance(now, Call) and now.function == MZ_NOW:
                return TemporalCondition(TimeBound(operator), value)
    raise _unsupported()


def _opposite(bound: TimeBound) -> TimeBound:
    match bound:
        case TimeBound.BEFORE:
            return TimeBound.FROM
        case TimeBound.THROUGH:
            return TimeBound.AFTER
        case TimeBound.AFTER:
            return TimeBound.THROUGH
        case TimeBound.FROM:
            return TimeBound.BEFORE
        case TimeBound.AT:
            raise _unsupported()


def _unsupported() -> SqlError:
    return SqlError(
        FEATURE_NOT_SUPPORTED,
        f"Unsupported temporal predicate. Note: {_HINT}",
        hint="Move date/time arithmetic to the other side of the comparison; instead of OR, use "
        "UNION.",
    )
