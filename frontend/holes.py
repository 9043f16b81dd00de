"""What a plan leaves open: parameters and calls of session functions.

A replica keeps the compiled form of a query by its description. So that one description serves
every run of a plan, session calls become parameters as well, after those of the statement, and the
values of all of them are sent beside it.
"""

from dataclasses import dataclass
from typing import Final

from expr.registry import FunctionKind, function_by_id
from expr.relation import Relation, map_scalars
from expr.scalar import Call, Parameter, Scalar, children, with_children
from sql.plan import Query

NEEDING_TIME: Final = frozenset({"mz_now"})


@dataclass(frozen=True, slots=True)
class Holes:
    """`relation` is the query's, `returning` what a write returns, with parameters in place of
    `calls`, numbered from `parameter_count` + 1 on. `is_closed`: nothing at all is open.
    `needs_time`: a call asks for the time that the query reads at."""

    relation: Relation
    returning: tuple[Scalar, ...]
    calls: tuple[Call, ...]
    parameter_count: int
    is_closed: bool
    needs_time: bool


def find_holes(query: Query, parameter_count: int, returning: tuple[Scalar, ...] = ()) -> Holes:
    """The holes of a query, and of what is returned of its rows, in a statement of so many
    parameters."""
    calls: dict[Call, Parameter] = {}
    has_parameters = False

    def change(scalar: Scalar) -> Scalar:
        nonlocal has_parameters
        match scalar:
            case Parameter():
                has_parameters = True
                return scalar
            case Call(function=function) if is_session_call(function):
                number = parameter_count + len(calls) + 1
                return calls.setdefault(scalar, Parameter(number, scalar.type))
        operands = children(scalar)
        changed = tuple(map(change, operands))
        if all(new is old for new, old in zip(changed, operands, strict=True)):
            return scalar
        return with_children(scalar, changed)

    relation = map_scalars(query.relation, change)
    returning = tuple(map(change, returning))
    counts = [s for s in (query.limit_expression, query.offset_expression) if s is not None]
    is_closed = not (has_parameters or calls or counts)
    needs_time = any(map(_needs_time, (*calls, *counts)))
    return Holes(
        query.relation if not calls else relation,
        returning,
        tuple(calls),
        parameter_count,
        is_closed,
        needs_time,
    )


def is_session_call(function: str) -> bool:
    """Whether that registry id is of kind SESSION."""
    return function_by_id(function).kind is FunctionKind.SESSION


def _needs_time(scalar: Scalar) -> bool:
    if isinstance(scalar, Call) and scalar.function.partition("(")[0] in NEEDING_TIME:
        return True
    return any(map(_needs_time, children(scalar)))
