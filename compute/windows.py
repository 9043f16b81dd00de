"""Compilation of a Window into its operator."""

from collections.abc import Callable
from typing import Any

from compute.compiled import row_key, total_order_key
from compute.operators.keys import group_key
from compute.operators.window import WindowCall, Windowing
from core.rows import Row
from core.sql_types import SqlType
from expr.aggregates import aggregate_function
from expr.compile import compile_predicate, compile_row
from expr.ordering import row_sort_key
from expr.registry import FunctionKind, bind, function_by_id
from expr.relation import ColumnOrder, ScalarOrder, Window, WindowFunction
from expr.scalar import EvaluationContext


def windowing(window: Window, types: tuple[SqlType, ...], context: EvaluationContext) -> Windowing:
    """The windows of `window` over rows with columns of `types`."""
    return Windowing(
        row_key(window.partition_by, group_key, context),
        _order_key(window.order_by, context),
        total_order_key((), types),
        tuple(_call(function, context) for function in window.functions),
    )


def _call(call: WindowFunction, context: EvaluationContext) -> WindowCall:
    types = tuple(scalar.type for scalar in call.args)
    function = function_by_id(call.function)
    return WindowCall(
        aggregate_function(call.function, types, call.type, context)
        if function.kind is FunctionKind.AGGREGATE
        else bind(function, types, call.type, context),
        compile_row(call.args, context),
        call.frame,
        compile_predicate((call.filter,), context) if call.filter else None,
    )


def _order_key(orders: tuple[ScalarOrder, ...], context: EvaluationContext) -> Callable[[Row], Any]:
    scalars = tuple(order.scalar for order in orders)
    values = compile_row(scalars, context)
    key = row_sort_key(
        tuple(ColumnOrder(i, order.descending, order.nulls_last) for i, order in enumerate(orders)),
        tuple(scalar.type for scalar in scalars),
    )
    return lambda row: key(values(row))
