"""The functions over rows that operators are made of: keys, orders, aggregate calls.

Both kinds of operators use them, those that evaluate a relation once and those that maintain it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from compute.columns import has_fixed_size
from compute.operators.accumulators import AggregateCall
from compute.operators.keys import KeyFunction, group_key, identity_key, is_exact, join_key
from core.rows import Row, codec_for
from core.sql_types import SqlType
from expr.aggregates import aggregate_function
from expr.compile import compile_predicate, compile_row
from expr.ordering import row_sort_key
from expr.relation import Aggregate, ColumnOrder
from expr.scalar import ColumnRef, EvaluationContext, Scalar

FIXED_DATUM_BYTES: Final = 40


def match_key(scalars: tuple[Scalar, ...], context: EvaluationContext) -> KeyFunction:
    """The join key; without scalars every row has the same key (which is not null)."""
    return row_key(scalars, join_key if scalars else group_key, context)


def row_key(
    scalars: tuple[Scalar, ...],
    make: Callable[[Sequence[tuple[int, SqlType]]], KeyFunction],
    context: EvaluationContext,
) -> KeyFunction:
    """A key function of scalars: of positions where they are columns, else of their values."""
    columns = [(s.index, s.type) for s in scalars if isinstance(s, ColumnRef)]
    if len(columns) == len(scalars):
        return make(columns)
    values = compile_row(scalars, context)
    key = make([(index, scalar.type) for index, scalar in enumerate(scalars)])
    return lambda row: key(values(row))


def aggregate_call(aggregate: Aggregate, context: EvaluationContext) -> AggregateCall:
    """Compile one aggregate of a Reduce."""
    arg_types = tuple(scalar.type for scalar in aggregate.args)
    function = aggregate_function(aggregate.function, arg_types, aggregate.type, context)
    call = AggregateCall(
        function,
        compile_row(aggregate.args, context),
        len(arg_types),
        argument_bytes=_argument_bytes(arg_types),
        is_count_star=aggregate.function == "count()",
        filter=compile_predicate((aggregate.filter,), context) if aggregate.filter else None,
    )
    if aggregate.distinct:
        key = group_key(list(enumerate(arg_types)))
        call = replace(call, distinct_key=key)
    if function.is_ordered or (aggregate.distinct and not all(map(is_exact, arg_types))):
        orders = aggregate.order_by
        scalars = (*(order.scalar for order in orders), *aggregate.args)
        types = tuple(scalar.type for scalar in scalars)
        column_orders = tuple(
            ColumnOrder(i, order.descending, order.nulls_last) for i, order in enumerate(orders)
        )
        call = replace(
            call,
            sort_values=compile_row(scalars, context),
            sort_key=total_order_key(column_orders, types),
            sort_identity=identity_key(types),
        )
    return call


def _argument_bytes(types: tuple[SqlType, ...]) -> int | None:
    return FIXED_DATUM_BYTES * len(types) if all(map(has_fixed_size, types)) else None


def total_order_key(
    orders: tuple[ColumnOrder, ...], types: tuple[SqlType, ...]
) -> Callable[[Row], Any]:
    """A sort key of `orders` in which ties are broken by the whole row, at last by its encoding: no
    two different rows have the same key."""
    ordered = {order.column for order in orders}
    rest = tuple(ColumnOrder(index) for index in range(len(types)) if index not in ordered)
    key = row_sort_key(orders + rest, types)
    if all(map(is_exact, types)):
        return key
    encode = codec_for(tuple(t.base for t in types)).encode
    return lambda row: (key(row), encode(row))


def appending(extra: Callable[[Row], Row]) -> Callable[[Row], Row]:
    return lambda row: row + extra(row)


def all_equal(places: Sequence[tuple[int, SqlType]]) -> Callable[[Row], bool]:
    keys = [join_key([place]) for place in places]
    first, rest = keys[0], keys[1:]

    def test(row: Row) -> bool:
        value = first(row)
        return value is not None and all(key(row) == value for key in rest)

    return test
