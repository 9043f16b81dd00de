"""Function calls: scalar functions, aggregates, window functions, set-returning functions, macros.

Error texts for calls in the wrong place are those of PostgreSQL's parse_agg.c and parse_func.c.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final, Self

import msgspec

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    GROUPING_ERROR,
    UNDEFINED_COLUMN,
    WRONG_OBJECT_TYPE,
    SqlError,
)
from core.sql_types import BOOL, INT4, JSONB, TEXT, TYPES_BY_NAME, UNKNOWN, VOID, SqlType
from expr.registry import CastContext, Function, FunctionKind
from expr.relation import Aggregate, ScalarOrder, WindowFunction
from expr.scalar import Call, ColumnRef, Scalar, literal
from sql import intrinsics
from sql import syntax as ast
from sql.aggregates import resolve_aggregate
from sql.catalog_functions import CatalogFunction
from sql.functions import (
    Resolved,
    call_arguments,
    find,
    kinds_named,
    local_name,
    undefined_function,
)
from sql.macros import macro_body
from sql.operators import operator_call
from sql.pending import PendingRows, PendingWindow
from sql.positions import position
from sql.scope import Scope
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


class CallPlanner(SubqueryPlanner):
    """The function calls of a scalar planner."""

    def function_call(self, node: ast.FunctionCall) -> Scalar:
        """Any call, by the kind of the function it names."""
        name = local_name(node.name)
        if any(node.argument_names):
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                "named arguments are not supported",
                position=node.pos + 1,
            )
        kinds = frozenset[FunctionKind]() if name is None else kinds_named(name)
        if node.over is not None:
            return self._window_call(node, kinds)
        if _AGGREGATE in kinds:
            return self._aggregate_call(node)
        self._refuse_aggregate_syntax(node)
        if FunctionKind.WINDOW in kinds:
            raise SqlError(
                "42P20",
                f"window function {node.name[-1]} requires an OVER clause",
                position=node.pos + 1,
            )
        args = [self.plan(arg) for arg in node.args]
        return self._call(node.name, args, node.pos, node.variadic)

    def call_named(self, name: str, args: Sequence[Scalar], pos: int) -> Scalar:
        """A call of a built-in function."""
        return self._call((name,), list(args), pos)

    def _call(self, name: ast.Name, args: list[Scalar], pos: int, variadic: bool = False) -> Scalar:
        resolved = find(name, args, None, pos, variadic=variadic)
        if resolved is None:
            as_cast = self._as_cast(name, args, pos)
            if as_cast is not None:
                return as_cast
            raise undefined_function(name, args, pos)
        coerced = call_arguments(self.coercer, resolved, args)
        function = resolved.function
        if isinstance(function, CatalogFunction):
            return self._macro(function, coerced, pos)
        if not isinstance(function, Function) or function.kind is FunctionKind.TABLE:
            return self._rows_call(resolved, coerced, pos)
        if variadic and function.variadic:
            return self._variadic_array_call(function, coerced, resolved, pos)
        return Call(function.id, coerced, resolved.returns)

    def _variadic_array_call(
        self, function: Function, args: tuple[Scalar, ...], resolved: Resolved, pos: int
    ) -> Scalar:
        """`f(VARIADIC ARRAY[…])`: only arrays written out can be spread."""
        last = args[-1]
        if isinstance(last, Call) and last.function == "array_of(anycompatible)":
            return Call(function.id, (*args[:-1], *last.args), resolved.returns)
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            "VARIADIC with an array that is not written out is not supported",
            position=pos + 1,
        )

    def _as_cast(self, name: ast.Name, args: list[Scalar], pos: int) -> Scalar | None:
        """`type(value)`, a cast in the shape of a call."""
        info = TYPES_BY_NAME.get(name[-1]) if local_name(name) else None
        if info is None or len(args) != 1 or info.category == "P":
            return None
        target = SqlType(info.oid)
        arg = args[0]
        if arg.type.oid == UNKNOWN.oid:
            return self.cast(arg, target, pos)
        return self.coercer.try_coerce(arg, target, CastContext.EXPLICIT, pos + 1)

    def _refuse_aggregate_syntax(self, node: ast.FunctionCall) -> None:
        name = node.name[-1]
        if node.is_star:
            raise SqlError(
                WRONG_OBJECT_TYPE,
                f"{name}(*) specified, but {name} is not an aggregate function",
                position=node.pos + 1,
            )
        for present, word in (
            (node.distinct, "DISTINCT"),
            (bool(node.order_by) and not node.within_group, "ORDER BY"),
            (node.within_group, "WITHIN GROUP"),
            (node.filter is not None, "FILTER"),
        ):
            if present:
                raise SqlError(
                    WRONG_OBJECT_TYPE,
                    f"{word} specified, but {name} is not an aggregate function",
                    position=node.pos + 1,
                )

    # Aggregates

    def _aggregate_call(self, node: ast.FunctionCall) -> Scalar:
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

    def _window_call(self, node: ast.FunctionCall, kinds: frozenset[FunctionKind]) -> Scalar:
        windows = self.pending.windows
        if windows is None:
            nested = self.place == "window"
            raise SqlError(
                "42P20",
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
        function = self._window_function(node, inner, kinds, specification.frame)
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
        frame: tuple[str, str, str] | None,
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

    # Set-returning functions and macros

    def _rows_call(self, resolved: Resolved, args: tuple[Scalar, ...], pos: int) -> Scalar:
        rows = self.pending.rows
        function = resolved.function
        if rows is None or not isinstance(function, Function):
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                f"set-returning functions are not allowed in {self.place}",
                position=pos + 1,
            )
        types = result_types(function, resolved)
        waiting = PendingRows(next(self.pending.indices), function.id, args, types)
        rows.append(waiting)
        if len(types) > 1:
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                "a function that returns several columns is not supported in a select list",
                position=pos + 1,
            )
        return ColumnRef(waiting.index, types[0])

    def _macro(self, function: CatalogFunction, args: tuple[Scalar, ...], pos: int) -> Scalar:
        """A catalog function: its body, planned with the arguments in place of `$1` …"""
        body = macro_body(function.body)
        context = self.context
        context.enter()
        scope = Scope(arguments=args)
        result = self.elsewhere(scope=scope).plan(body)
        context.leave()
        if function.returns.oid == VOID.oid:
            return intrinsics.null_of(TEXT)
        if result.type.oid == function.returns.oid:
            return result
        return self.coercer.coerce(result, function.returns, CastContext.EXPLICIT, pos + 1)

    def catalog_cast(self, arg: Scalar, target: SqlType, pos: int) -> Scalar:
        """A text that is not constant as the oid of the object it names."""
        return self.cast(self.call_named(f"to_{target.name}", (arg,), pos), target, pos)

    def catalog_text(self, arg: Scalar, target: SqlType, pos: int) -> Scalar:
        """The name of the object that a `reg…` value means."""
        if arg.type.name == "regtype":
            args = (
                self.coercer.coerce(arg, SqlType(26), CastContext.EXPLICIT),
                literal(None, INT4),
            )
            name = self.call_named("format_type", args, pos)
        else:
            name = self.call_named(f"{arg.type.name}out", (arg,), pos)
        return self.coercer.coerce(name, target, CastContext.EXPLICIT, pos + 1)

    # Session values, arrays, records, grouping

    def session_value(self, node: ast.SessionValue) -> Scalar:
        """CURRENT_DATE and its kin."""
        if node.name == "current_time":
            raise SqlError(FEATURE_NOT_SUPPORTED, "type time with time zone is not supported")
        result = self.call_named(node.name, (), node.pos)
        if node.precision is None:
            return result
        target = SqlType(result.type.oid, min(node.precision, 6))
        return self.coercer.coerce(result, target, CastContext.EXPLICIT)

    def quantified_array(self, node: ast.Quantified, right: ast.Expression) -> Scalar:
        """`x op ANY | ALL (array)`."""
        left = self.plan(node.left)
        array = self.plan(right)
        if array.type.oid == UNKNOWN.oid:
            element = TEXT if left.type.oid == UNKNOWN.oid else left.type.base
            array_type = element.array
            if array_type is not None:
                array = self.coercer.coerce(array, array_type, position=position(right))
        if array.type.element is None:
            raise SqlError(
                WRONG_OBJECT_TYPE,
                "op ANY/ALL (array) requires array on right side",
                position=node.pos + 1,
            )
        sample = ColumnRef(0, array.type.element.base)
        test = operator_call(self.coercer, node.operator, (left, sample), node.pos)
        assert isinstance(test, Call)
        if test.type.oid != BOOL.oid:
            raise SqlError(
                WRONG_OBJECT_TYPE,
                "op ANY/ALL (array) requires operator to yield boolean",
                position=node.pos + 1,
            )
        left, element_as = test.args
        wanted = element_as.type.array
        if wanted is not None and wanted.oid != array.type.oid:
            array = self.coercer.coerce(array, wanted, position=position(right))
        quantifier = "all" if node.is_all else "any"
        return Call(f"{quantifier}:{test.function}", (left, array), BOOL)

    def subscript_other(self, base: Scalar, levels: list[ast.Subscript]) -> Scalar:
        """Subscripts of what is not an array: jsonb's, as its operator `->`."""
        if base.type.oid != JSONB.oid or any(level.is_slice for level in levels):
            raise SqlError(
                "42804",
                f"cannot subscript type {base.type.info.sql_name} because it does not support "
                "subscripting",
                position=position(levels[0]),
            )
        for level in levels:
            assert level.lower is not None
            index = self.plan(level.lower)
            base = operator_call(self.coercer, "->", (base, index), level.pos)
        return base

    def record_field(self, record: Scalar, field: str, pos: int) -> Scalar:
        """A field of a composite value."""
        if isinstance(record, Call) and record.function == "row_of(any)":
            if field[:1] == "f" and field[1:].isdigit():
                index = int(field[1:]) - 1
                if 0 <= index < len(record.args):
                    return record.args[index]
            raise SqlError(
                UNDEFINED_COLUMN,
                f'could not identify column "{field}" in record data type',
                position=pos + 1,
            )
        raise SqlError(
            WRONG_OBJECT_TYPE,
            f"column notation .{field} applied to type {record.type.info.sql_name}, "
            "which is not a composite type",
            position=pos + 1,
        )

    def grouping_call(self, node: ast.GroupingCall) -> Scalar:
        """GROUPING(…), which only means something with several grouping sets."""
        raise SqlError(FEATURE_NOT_SUPPORTED, "GROUPING is not supported", position=node.pos + 1)


def result_types(function: Function, resolved: Resolved) -> tuple[SqlType, ...]:
    """The types of the columns that a call of a table function gives."""
    if not function.columns:
        return (resolved.returns,)
    if len(function.columns) == 1:
        declared = function.columns[0].type
        polymorphic = declared.info.category == "P" and declared.oid != 2249
        return (resolved.returns if polymorphic else declared,)
    return tuple(column.type for column in function.columns)
