"""Calls of aggregates and window functions.

Error texts are those of PostgreSQL's parse_agg.c, parse_func.c and parse_clause.c.
"""

import dataclasses
from typing import Final, Self

import msgspec

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    GROUPING_ERROR,
    WINDOWING_ERROR,
    WRONG_OBJECT_TYPE,
    SqlError,
)
from core.sql_types import INT8
from expr.fold import fold
from expr.registry import CastContext, Function, FunctionKind
from expr.relation import Aggregate, FrameMode, ScalarOrder, WindowFrame, WindowFunction
from expr.scalar import ColumnRef, Literal, Scalar
from sql import syntax as ast
from sql.aggregates import resolve_aggregate
from sql.functions import call_arguments, find, undefined_function
from sql.pending import PendingWindow
from sql.positions import position
from sql.scope import Scope, columns_in, names_variable
from sql.subquery_planner import SubqueryPlanner

_AGGREGATE: Final = FunctionKind.AGGREGATE
_ORDERED_SET: Final = frozenset(
    {
        "percentile_cont",
        "percentile_disc",
        "mode",
        "rank",
        "dense_rank",
        "percent_rank",
        "cume_dist",
    }
)


class AggregatePlanner(SubqueryPlanner):
    """The aggregates and window functions of a scalar planner."""

    # Aggregates

    def aggregate_call(self, node: ast.FunctionCall) -> Scalar:
        """A call of an aggregate: a column of the grouped relation."""
        aggregates = self.pending.aggregates
        if aggregates is None:
            raise self._misplaced_aggregate(node)
        scope = dataclasses.replace(self.scope, note=None)
        inner = self.elsewhere(scope=scope, pending=aggregates.inner, place="aggregate")
        aggregate = self._aggregate(node, inner)
        return aggregates.add(aggregate)

    def _misplaced_aggregate(self, node: ast.FunctionCall) -> SqlError:
        if self.place == "aggregate":
            return SqlError(
                GROUPING_ERROR,
                "aggregate function calls cannot be nested",
                position=node.pos + 1,
            )
        where = self.place
        return SqlError(
            GROUPING_ERROR,
            f"aggregate functions are not allowed in {where}",
            position=node.pos + 1,
        )

    def _aggregate(self, node: ast.FunctionCall, inner: Self) -> Aggregate:
        order_nodes = node.order_by
        args = [inner.plan(arg) for arg in node.args]
        orders = [self._order(inner, item) for item in order_nodes]
        name = node.name[-1]
        if node.is_star and name != "count":
            raise undefined_function(node.name, (), node.pos)
        if not node.is_star and not args and name == "count":
            raise SqlError(
                WRONG_OBJECT_TYPE,
                "count(*) must be used to call a parameterless aggregate function",
                position=node.pos + 1,
            )
        if node.within_group:
            args = [*args, *(order.scalar for order in orders)]
        elif name in _ORDERED_SET:
            raise SqlError(
                WRONG_OBJECT_TYPE,
                f"WITHIN GROUP is required for ordered-set aggregate {name}",
                position=node.pos + 1,
            )
        function, coerced, returns = resolve_aggregate(name, args, self.coercer, node.pos)
        condition = None if node.filter is None else self._filter(inner, node.filter)
        parts = [*coerced, *(order.scalar for order in orders)]
        _refuse_outer_aggregate(parts if condition is None else [*parts, condition], node.pos)
        if node.distinct and orders and not node.within_group:
            self._check_distinct_order(coerced, orders, order_nodes)
        return Aggregate(
            function.id,
            coerced,
            returns,
            distinct=node.distinct,
            filter=condition,
            order_by=tuple(orders),
        )

    def _filter(self, inner: Self, node: ast.Expression) -> Scalar:
        return inner.elsewhere(place="FILTER").condition(node, "FILTER")

    def _check_distinct_order(
        self,
        args: tuple[Scalar, ...],
        orders: list[ScalarOrder],
        nodes: tuple[ast.OrderItem, ...],
    ) -> None:
        for order, item in zip(orders, nodes, strict=True):
            if order.scalar not in args:
                raise SqlError(
                    "42P10",
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in "
                    "argument list",
                    position=position(item.expression),
                )

    def _order(self, inner: Self, item: ast.OrderItem) -> ScalarOrder:
        scalar = self.coercer.known(inner.plan(item.expression))
        nulls_first = item.descending if item.nulls_first is None else item.nulls_first
        return ScalarOrder(scalar, item.descending, not nulls_first)

    # Window functions

    def window_call(self, node: ast.FunctionCall, kinds: frozenset[FunctionKind]) -> Scalar:
        """A call with OVER: a column of the relation with that window."""
        windows = self.pending.windows
        if windows is None:
            if self.place == "aggregate":
                raise SqlError(
                    GROUPING_ERROR,
                    "aggregate function calls cannot contain window function calls",
                    position=node.pos + 1,
                )
            nested = self.place == "window"
            raise SqlError(
                WINDOWING_ERROR,
                "window function calls cannot be nested"
                if nested
                else f"window functions are not allowed in {self.place}",
                position=node.pos + 1,
            )
        if node.distinct:
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                "DISTINCT is not implemented for window functions",
                position=node.pos + 1,
            )
        if not kinds & {FunctionKind.WINDOW, _AGGREGATE}:
            if not kinds:
                args = [self.plan(arg) for arg in node.args]
                raise undefined_function(node.name, args, node.pos)
            raise SqlError(
                WRONG_OBJECT_TYPE,
                f"OVER specified, but {node.name[-1]} is not a window function nor an "
                "aggregate function",
                position=node.pos + 1,
            )
        inner = self._inside_window()
        assert node.over is not None
        specification = self._named_window(node.over)
        function = self._window_function(node, inner, kinds, self._frame(specification))
        partition_by = tuple(
            self.coercer.known(inner.plan(part)) for part in specification.partition_by
        )
        order_by = tuple(self._order(inner, item) for item in specification.order_by)
        index = next(self.pending.indices)
        windows.append(PendingWindow(index, function, partition_by, order_by))
        return ColumnRef(index, function.type)

    def _inside_window(self) -> Self:
        pending = self.pending
        inside = type(pending)(pending.indices, pending.subqueries, pending.aggregates, None, None)
        return self.elsewhere(pending=inside, place="window")

    def _window_function(
        self,
        node: ast.FunctionCall,
        inner: Self,
        kinds: frozenset[FunctionKind],
        frame: WindowFrame,
    ) -> WindowFunction:
        args = [inner.plan(arg) for arg in node.args]
        kind = FunctionKind.WINDOW if FunctionKind.WINDOW in kinds else _AGGREGATE
        resolved = find(node.name, args, kind, node.pos)
        if resolved is None or not isinstance(resolved.function, Function):
            raise undefined_function(node.name, args, node.pos)
        condition = None if node.filter is None else self._filter(inner, node.filter)
        coerced = call_arguments(self.coercer, resolved, args)
        return WindowFunction(resolved.function.id, coerced, resolved.returns, frame, condition)

    def _named_window(self, over: ast.WindowSpecification) -> ast.WindowSpecification:
        if over.name is None:
            return over
        base = self.window_definitions.get(over.name)
        if base is None:
            raise SqlError("42704", f'window "{over.name}" does not exist', position=over.pos + 1)
        base = self._named_window(base)
        return msgspec.structs.replace(
            over,
            name=None,
            partition_by=base.partition_by or over.partition_by,
            order_by=base.order_by or over.order_by,
            frame=over.frame or base.frame,
        )

    @property
    def window_definitions(self) -> dict[str, ast.WindowSpecification]:
        """The WINDOW clause of the query level."""
        return self.pending.window_definitions

    def _frame(self, specification: ast.WindowSpecification) -> WindowFrame:
        if specification.frame is None:
            return WindowFrame()
        mode_word, start, end = specification.frame
        mode = FrameMode(mode_word)
        if mode is FrameMode.GROUPS and not specification.order_by:
            raise SqlError(
                WINDOWING_ERROR,
                "GROUPS mode requires an ORDER BY clause",
                position=specification.pos + 1,
            )
        return WindowFrame(
            mode,
            self._frame_distance(start, mode, "starting"),
            self._frame_distance(end, mode, "ending"),
        )

    def _frame_distance(self, bound: ast.FrameBound, mode: FrameMode, which: str) -> int | None:
        if bound.is_unbounded:
            return None
        if bound.distance is None:
            return 0
        if mode is FrameMode.RANGE:
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                "RANGE with offset PRECEDING/FOLLOWING is not supported",
                position=bound.pos + 1,
            )
        planner = self.elsewhere(scope=Scope(), place=f"window {mode.name}")
        distance = fold(
            planner.plan_as(bound.distance, INT8, CastContext.IMPLICIT),
            self.context.session.context,
        )
        if not isinstance(distance, Literal):
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                "a frame offset that is not constant is not supported",
                position=bound.pos + 1,
            )
        if distance.is_null:
            raise SqlError("22013", f"frame {which} offset must not be null")
        if distance.value < 0:
            raise SqlError("22013", f"frame {which} offset must not be negative")
        rows: int = distance.value
        return rows if bound.is_following else -rows


def _refuse_outer_aggregate(parts: list[Scalar], pos: int) -> None:
    """An aggregate that names columns, but only of the queries around, is theirs in SQL."""
    columns: set[int] = set()
    for part in parts:
        columns_in(part, columns)
    if not columns and any(map(names_variable, parts)):
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            "aggregate functions that refer exclusively to outer columns are not supported",
            position=pos + 1,
        )
