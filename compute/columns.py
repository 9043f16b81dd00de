"""Which columns scalars refer to, and scalars with their columns elsewhere."""

from collections.abc import Callable, Iterable

from core.sql_types import NUMERIC, SqlType
from expr.relation import (
    Filter,
    Get,
    Map,
    Project,
    Reduce,
    Relation,
    column_types,
    map_aggregate,
)
from expr.scalar import Call, ColumnRef, Scalar, children, with_children


def needed_columns(steps: list[Project | Map | Filter], width: int) -> tuple[int, ...]:
    """Which of the base's columns the steps (topmost first) need."""
    widths = [width]
    for step in reversed(steps):
        match step:
            case Project(outputs=outputs):
                widths.append(len(outputs))
            case Map(scalars=scalars):
                widths.append(widths[-1] + len(scalars))
            case Filter():
                widths.append(widths[-1])
    needed = set(range(widths.pop()))
    for step in steps:
        below = widths.pop()
        match step:
            case Project(outputs=outputs):
                needed = set(outputs)
            case Filter(predicates=predicates):
                needed |= columns_in(predicates)
            case Map(scalars=scalars):
                # Every scalar is evaluated, needed or not: it may raise an error.
                needed |= columns_in(scalars)
                needed = {index for index in needed if index < below}
    return tuple(sorted(needed))


def logical_width(step: Map) -> int:
    """How many columns `step` finds, every step below it down to the collection only appending."""
    source: Relation = step.input
    width = 0
    while not isinstance(source, Get):
        match source:
            case Map(input=below, scalars=scalars):
                width += len(scalars)
                source = below
            case Filter(input=below):
                source = below
            case _:
                raise AssertionError("a projection ends the mapping")
    return width + len(source.types)


def move_columns(scalars: Iterable[Scalar], mapping: dict[int, int] | None) -> tuple[Scalar, ...]:
    if mapping is None:
        return tuple(scalars)
    return tuple(rewritten(scalar, mapping.__getitem__) for scalar in scalars)


def move_positions(positions: tuple[int, ...], mapping: dict[int, int] | None) -> tuple[int, ...]:
    return positions if mapping is None else tuple(mapping[index] for index in positions)


def shifted(scalar: Scalar, by: int) -> Scalar:
    return rewritten(scalar, lambda column: column + by) if by else scalar


def rewritten(scalar: Scalar, place: Callable[[int], int]) -> Scalar:
    if isinstance(scalar, ColumnRef):
        return ColumnRef(place(scalar.index), scalar.type)
    parts = children(scalar)
    if not parts:
        return scalar
    return with_children(scalar, tuple(rewritten(part, place) for part in parts))


def columns_in(scalars: Iterable[Scalar]) -> set[int]:
    found: set[int] = set()
    stack = list(scalars)
    while stack:
        scalar = stack.pop()
        if isinstance(scalar, ColumnRef):
            found.add(scalar.index)
        else:
            stack.extend(children(scalar))
    return found


def highest_column(scalar: Scalar) -> int:
    return max(columns_in((scalar,)), default=-1)


def is_flat(scalars: tuple[Scalar, ...], width: int) -> bool:
    """Whether no scalar refers to one before it."""
    return all(highest_column(scalar) < width for scalar in scalars)


def input_of(scalar: Scalar, starts: list[int]) -> int:
    """The join input that the scalar's columns belong to (0 for a scalar without any)."""
    column = max(0, highest_column(scalar))
    return max(index for index, start in enumerate(starts) if start <= column)


def has_fixed_size(sql_type: SqlType) -> bool:
    """Whether all values of the type weigh about the same."""
    return sql_type.info.size > 0


def with_large_values_below(reduce: Reduce) -> Reduce:
    """The same Reduce, with the scalars that may make large values computed by a Map below it: the
    Map works in steps that fit the rows, and the values are counted when they are buffered."""
    width = len(column_types(reduce.input))
    moved: dict[Scalar, ColumnRef] = {}

    def place(scalar: Scalar) -> Scalar:
        if not _may_be_large(scalar):
            return scalar
        return moved.setdefault(scalar, ColumnRef(width + len(moved), scalar.type))

    group_key = tuple(map(place, reduce.group_key))
    aggregates = tuple(
        # What a FILTER keeps out may not be evaluated.
        aggregate if aggregate.filter is not None else map_aggregate(aggregate, place)
        for aggregate in reduce.aggregates
    )
    if not moved:
        return reduce
    placed = Reduce(Map(reduce.input, tuple(moved)), group_key, aggregates)
    used = sorted(columns_in(_scalars_of(placed)))
    positions = {column: index for index, column in enumerate(used)}

    def final(scalar: Scalar) -> Scalar:
        return rewritten(scalar, positions.__getitem__)

    return Reduce(
        Project(placed.input, tuple(used)),
        tuple(map(final, group_key)),
        tuple(map_aggregate(aggregate, final) for aggregate in aggregates),
    )


def _scalars_of(reduce: Reduce) -> Iterable[Scalar]:
    yield from reduce.group_key
    for aggregate in reduce.aggregates:
        yield from aggregate.args
        yield from (order.scalar for order in aggregate.order_by)
        if aggregate.filter is not None:
            yield aggregate.filter


def _may_be_large(scalar: Scalar) -> bool:
    stack = [scalar]
    while stack:
        part = stack.pop()
        if isinstance(part, Call) and not (has_fixed_size(part.type) or part.type == NUMERIC):
            return True
        stack.extend(children(part))
    return False
