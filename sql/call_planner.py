"""Function calls: scalar functions, aggregates, window functions, set-returning functions, macros.

Error texts for calls in the wrong place are those of PostgreSQL's parse_agg.c and parse_func.c.
"""

from collections.abc import Sequence
from typing import Final

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    UNDEFINED_COLUMN,
    WRONG_OBJECT_TYPE,
    SqlError,
)
from core.sql_types import BOOL, INT4, JSONB, RECORD, TEXT, TYPES_BY_NAME, UNKNOWN, VOID, SqlType
from expr.registry import CastContext, Function, FunctionKind
from expr.scalar import Call, ColumnRef, Scalar, literal
from sql import intrinsics
from sql import syntax as ast
from sql.aggregate_planner import AggregatePlanner
from sql.catalog_functions import SETTING_OF_ANY_NAME, CatalogFunction
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
from sql.overloads import resolve_polymorphic
from sql.pending import PendingRows
from sql.positions import position
from sql.scope import Scope, is_constant

_AGGREGATE: Final = FunctionKind.AGGREGATE


class CallPlanner(AggregatePlanner):
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
            return self.window_call(node, kinds)
        if _AGGREGATE in kinds:
            return self.aggregate_call(node)
        self._refuse_aggregate_syntax(node)
        if FunctionKind.WINDOW in kinds:
            raise SqlError(
                WRONG_OBJECT_TYPE,
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
        if isinstance(function, Function) and function.id == "current_setting(text)":
            if not is_constant(coerced[0]):
                function = SETTING_OF_ANY_NAME
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
            if find(node.name, (), None, node.pos) is None:
                raise undefined_function(node.name, (), node.pos)
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
        indices = tuple(next(self.pending.indices) for _ in types)
        rows.append(PendingRows(indices, function.id, args, types))
        columns = tuple(ColumnRef(i, t) for i, t in zip(indices, types, strict=True))
        if len(columns) == 1:
            return columns[0]
        record = intrinsics.row_of(columns)
        self.pending.records[record] = tuple(column.name for column in function.columns)
        return record

    def _macro(self, function: CatalogFunction, args: tuple[Scalar, ...], pos: int) -> Scalar:
        """A catalog function: its body, planned with the arguments in place of `$1` …"""
        body = macro_body(function.body)
        context = self.context
        context.enter()
        scope = Scope(arguments=args)
        with context.inside_definition():
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
            names = self.pending.field_names(record)
            if field in names:
                return record.args[names.index(field)]
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
    return tuple(_column_type(column.type, function, resolved) for column in function.columns)


def _column_type(declared: SqlType, function: Function, resolved: Resolved) -> SqlType:
    """The type of a column that may be declared as polymorphic."""
    if declared.info.category != "P" or declared.oid == RECORD.oid:
        return declared
    return resolve_polymorphic(function.args, resolved.args, declared)[1]
