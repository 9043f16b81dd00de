"""`row_number() OVER (PARTITION BY … ORDER BY …) <= k` is top-k: only k rows of each partition are
ever looked at, and if nobody reads the number, no number is computed.

Both break ties by the whole row, so they choose the same rows. Conditions that are true of every
row left are dropped; others (`= k`) stay where they are.
"""

from core.rows import Datum
from expr.relation import (
    ColumnOrder,
    Filter,
    Map,
    Project,
    Relation,
    TopK,
    Window,
    children,
    column_types,
    with_children,
)
from expr.scalar import Call, ColumnRef, Literal, Scalar

_MIRRORED = {"<": ">", "<=": ">=", "=": "=", ">": "<", ">=": "<="}
_ROW_NUMBER = "row_number()"


def limit_row_numbers(relation: Relation) -> Relation:
    """The relation with the idiom replaced wherever it stands."""
    inputs = children(relation)
    if inputs:
        relation = with_children(relation, tuple(map(limit_row_numbers, inputs)))
    match relation:
        case Filter(input=Window() as window, predicates=predicates) if _numbers_rows(window):
            return _limited(window, predicates)
    return relation


def _numbers_rows(window: Window) -> bool:
    return all(function.function == _ROW_NUMBER for function in window.functions)


def _limited(window: Window, predicates: tuple[Scalar, ...]) -> Relation:
    width = len(column_types(window.input))
    bounds = [_highest_number(predicate, width) for predicate in predicates]
    limits = [bound for bound in bounds if bound is not None]
    if not limits:
        return Filter(window, predicates)
    limit = max(min(limits), 0)
    kept = tuple(
        predicate
        for predicate, bound in zip(predicates, bounds, strict=True)
        if bound is None or (bound > 1 and _compares(predicate, "="))
    )
    numbered: Relation = window
    if not _is_limited(window.input, limit):
        numbered = with_children(window, (_top(window, limit),))
    return Filter(numbered, kept) if kept else numbered


def _highest_number(predicate: Scalar, width: int) -> int | None:
    """The highest row number of which `predicate` is true; None when it says no such thing. The
    numbers are the columns from `width` on."""
    match predicate:
        case Call(function=function, args=(ColumnRef(index=index), Literal(value=value))):
            operator = function.partition("(")[0]
        case Call(function=function, args=(Literal(value=value), ColumnRef(index=index))):
            operator = _MIRRORED.get(function.partition("(")[0], "")
        case _:
            return None
    if index < width or not _is_integer(value):
        return None
    match operator:
        case "<":
            return int(value) - 1
        case "<=" | "=":
            return int(value)
    return None


def _is_integer(value: Datum) -> bool:
    return isinstance(value, int)


def _compares(predicate: Scalar, operator: str) -> bool:
    return isinstance(predicate, Call) and predicate.function.startswith(f"{operator}(")


def _is_limited(relation: Relation, limit: int) -> bool:
    """Whether the rule has been here already."""
    while isinstance(relation, Project):
        relation = relation.input
    return isinstance(relation, TopK) and relation.limit == limit


def _top(window: Window, limit: int) -> Relation:
    """The first `limit` rows of each of the window's partitions."""
    source = window.input
    width = len(column_types(source))
    computed: list[Scalar] = []

    def place(scalar: Scalar) -> int:
        if isinstance(scalar, ColumnRef):
            return scalar.index
        if scalar not in computed:
            computed.append(scalar)
        return width + computed.index(scalar)

    group = tuple(dict.fromkeys(map(place, window.partition_by)))
    orders = tuple(
        ColumnOrder(place(order.scalar), order.descending, order.nulls_last)
        for order in window.order_by
    )
    if not computed:
        return TopK(source, group, orders, limit)
    top = TopK(Map(source, tuple(computed)), group, orders, limit)
    return Project(top, tuple(range(width)))
