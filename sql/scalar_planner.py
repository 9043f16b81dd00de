"""Expressions to scalars: names, constants, conditional expressions, casts, arrays, rows.

Operators and tests are in `sql.comparison_planner`, function calls in `sql.call_planner`,
subqueries in `sql.subquery_planner`; this class is their common front. Types and error
texts follow PostgreSQL's parse_expr.c.
"""

from collections.abc import Sequence
from typing import Final

from core.errors import (
    DATATYPE_MISMATCH,
    FEATURE_NOT_SUPPORTED,
    SYNTAX_ERROR,
    UNDEFINED_PARAMETER,
    SqlError,
)
from core.sql_types import INT4, RECORD, TEXT, UNKNOWN, SqlType
from expr.registry import CastContext
from expr.scalar import Call, Case, Coalesce, Literal, Scalar, literal
from sql import intrinsics
from sql import syntax as ast
from sql.catalog_names import resolve_catalog_literal
from sql.comparison_planner import Comparison, ComparisonPlanner
from sql.numbers import number_literal
from sql.positions import inner_pos, position
from sql.scope import TableEntry, missing_table
from sql.subquery_planner import Subquery
from sql.type_names import resolve_type

MIN_INT4: Final = -(2**31)
MAX_INT4: Final = 2**31 - 1
_CATALOG_TYPES: Final = frozenset({2205, 2206, 24, 4089, 4096})


class ScalarPlanner(ComparisonPlanner):
    """Plans the expressions of one place in a query."""

    # Entry points

    def plan(self, node: ast.Expression) -> Scalar:
        """The scalar of an expression; its type may still be unknown."""
        context = self.context
        context.enter()
        result = self._dispatch(node)
        context.leave()
        return result

    def condition(self, node: ast.Expression, construct: str) -> Scalar:
        """An expression that must be boolean, named in errors by `construct`."""
        return self.coercer.boolean(self.plan(node), construct, position(node))

    def plan_as(
        self, node: ast.Expression, target: SqlType, context: CastContext = CastContext.IMPLICIT
    ) -> Scalar:
        """An expression coerced to a type."""
        return self.coercer.coerce(self.plan(node), target, context, position(node))

    def _dispatch(self, node: ast.Expression) -> Scalar:
        match node:
            case ast.ColumnName():
                return self._column_reference(node)
            case ast.NumberLiteral(text=text, pos=pos):
                return number_literal(text, pos)
            case ast.StringLiteral(value=value):
                return literal(value, UNKNOWN)
            case ast.NullLiteral():
                return literal(None, UNKNOWN)
            case ast.BooleanLiteral(value=is_true):
                return intrinsics.TRUE if is_true else intrinsics.FALSE
            case ast.ParameterReference():
                return self._parameter(node)
            case ast.FunctionCall():
                return self.function_call(node)
            case ast.SessionValue():
                return self.session_value(node)
            case ast.CastExpression():
                return self._cast(node)
            case ast.CaseExpression():
                return self._case(node)
            case ast.CoalesceExpression():
                return self._coalesce(node)
            case ast.NullIf():
                return self._null_if(node)
            case ast.MinMax():
                return self._min_max(node)
            case _ if isinstance(node, Comparison):
                return self.comparison(node)
            case _ if isinstance(node, Subquery):
                return self.subquery(node)
            case _:
                return self._other(node)

    def _other(self, node: ast.Expression) -> Scalar:
        match node:
            case ast.ArrayExpression():
                return self._array_as(node, None)
            case ast.RowExpression(items=items):
                return intrinsics.row_of(tuple(self.coercer.known(self.plan(i)) for i in items))
            case ast.Subscript():
                return self._subscript(node)
            case ast.FieldSelection():
                return self._field(node)
            case ast.CollateExpression():
                return self._collate(node)
            case ast.Star():
                return self._star(node)
            case ast.GroupingCall():
                return self.grouping_call(node)
            case ast.DefaultMarker(pos=pos):
                raise SqlError(
                    SYNTAX_ERROR, "DEFAULT is not allowed in this context", position=pos + 1
                )
            case _:
                raise SqlError(
                    FEATURE_NOT_SUPPORTED, f"{type(node).__name__} is not supported here"
                )

    # Names and constants

    def _column_reference(self, node: ast.ColumnName) -> Scalar:
        found = self.scope.find(node.parts, node.pos)
        if found is not None:
            return found
        entry = self.scope.table(node.parts, node.pos)
        if entry is not None:
            return self._whole_row(entry)
        if len(node.parts) > 1:
            as_call = self._column_of_row(node)
            if as_call is not None:
                return as_call
        return self.scope.column(node.parts, node.pos)

    def _column_of_row(self, node: ast.ColumnName) -> Scalar | None:
        """`alias.function` means `function(alias)` in PostgreSQL; only composite columns matter."""
        base = self.scope.find(node.parts[:-1], node.pos)
        if base is None or base.type.oid != RECORD.oid:
            return None
        return self.record_field(base, node.parts[-1], node.pos)

    def _whole_row(self, entry: TableEntry) -> Scalar:
        if entry.is_scalar:
            return entry.columns[0].scalar
        return intrinsics.row_of(tuple(c.scalar for c in entry.columns))

    def _star(self, node: ast.Star) -> Scalar:
        if not node.qualifier:
            raise SqlError(SYNTAX_ERROR, 'syntax error at or near "*"', position=node.pos + 1)
        entry = self.scope.table(node.qualifier, node.pos)
        if entry is None:
            raise missing_table(node.qualifier, node.pos)
        return self._whole_row(entry)

    def _parameter(self, node: ast.ParameterReference) -> Scalar:
        argument = self.scope.argument(node.index)
        if argument is not None:
            return argument
        if node.index > len(self.context.parameters.types):
            raise SqlError(
                UNDEFINED_PARAMETER,
                f"there is no parameter ${node.index}",
                position=node.pos + 1,
            )
        return self.context.parameters.reference(node.index)

    # Conditional expressions

    def _case(self, node: ast.CaseExpression) -> Scalar:
        conditions = []
        if node.arg is None:
            for condition, _ in node.branches:
                conditions.append(self.condition(condition, "CASE/WHEN"))
        else:
            arg = self.coercer.known(self.plan(node.arg))
            for value, _ in node.branches:
                at = position(value)
                conditions.append(
                    self.compare("=", arg, self.plan(value), node.pos if at is None else at - 1)
                )
        results = [self.plan(result) for _, result in node.branches]
        places = [position(result) for _, result in node.branches]
        if node.otherwise is None:
            otherwise: Scalar = literal(None, UNKNOWN)
            at_otherwise = None
        else:
            otherwise, at_otherwise = self.plan(node.otherwise), position(node.otherwise)
        # PostgreSQL looks at ELSE first.
        unified = self.coercer.unify([otherwise, *results], "CASE", [at_otherwise, *places])
        branches = tuple(zip(conditions, unified[1:], strict=True))
        return Case(branches, unified[0], unified[0].type)

    def _coalesce(self, node: ast.CoalesceExpression) -> Scalar:
        args = self._unified(node.args, "COALESCE")
        return args[0] if len(args) == 1 else Coalesce(tuple(args), args[0].type)

    def _unified(self, nodes: Sequence[ast.Expression], construct: str) -> list[Scalar]:
        scalars = [self.plan(arg) for arg in nodes]
        return self.coercer.unify(scalars, construct, [position(arg) for arg in nodes])

    def _null_if(self, node: ast.NullIf) -> Scalar:
        left, right = self.plan(node.left), self.plan(node.right)
        places = (position(node.left), position(node.right))
        equal = self.compare("=", left, right, node.pos, places)
        if left.type.oid == UNKNOWN.oid:
            left = equal.args[0] if isinstance(equal, Call) else self.coercer.known(left)
        return Case(((equal, intrinsics.null_of(left.type)),), left, left.type)

    def _min_max(self, node: ast.MinMax) -> Scalar:
        construct = "GREATEST" if node.is_greatest else "LEAST"
        args = self._unified(node.args, construct)
        return Call(f"{construct.lower()}(anycompatible)", tuple(args), args[0].type)

    # Casts, arrays, rows

    def _cast(self, node: ast.CastExpression) -> Scalar:
        target = resolve_type(node.type)
        inner = node.arg
        if isinstance(inner, ast.ArrayExpression) and target.element is not None:
            return self._array_as(inner, target)
        arg = self.plan(inner)
        at_value = isinstance(arg, Literal) and inner_pos(inner) >= 0
        return self.cast(arg, target, inner_pos(inner) if at_value else node.pos)

    def cast(self, arg: Scalar, target: SqlType, pos: int) -> Scalar:
        """An explicit cast; names of catalog objects are resolved here."""
        is_text = arg.type.info.category == "S"
        if target.oid in _CATALOG_TYPES and (is_text or arg.type.oid == UNKNOWN.oid):
            if isinstance(arg, Literal) and not arg.is_null:
                return resolve_catalog_literal(self.context, arg.value, target, pos)
            if is_text:
                return self.catalog_cast(self.coercer.coerce(arg, TEXT), target, pos)
        if arg.type.oid in _CATALOG_TYPES and target.info.category == "S":
            return self.catalog_text(arg, target, pos)
        return self.coercer.coerce(arg, target, CastContext.EXPLICIT, pos + 1)

    def _collate(self, node: ast.CollateExpression) -> Scalar:
        arg = self.coercer.known(self.plan(node.arg))
        if arg.type.info.category != "S":
            raise SqlError(
                DATATYPE_MISMATCH,
                f"collations are not supported by type {arg.type.info.sql_name}",
                position=node.pos + 1,
            )
        name = node.collation[-1]
        if name not in ("default", "C", "POSIX", "ucs_basic", "C.UTF-8"):
            raise SqlError(
                "42704",
                f'collation "{name}" for encoding "UTF8" does not exist',
                position=node.pos + 1,
            )
        return arg

    def _array_as(self, node: ast.ArrayExpression, target: SqlType | None) -> Scalar:
        nested = any(isinstance(item, ast.ArrayExpression) for item in node.items)
        if target is not None:
            element = target.element
            assert element is not None
            items = tuple(
                self._array_as(item, target)
                if isinstance(item, ast.ArrayExpression)
                else self.cast(self.plan(item), element, inner_pos(item))
                for item in node.items
            )
            build = intrinsics.array_of_arrays if nested else intrinsics.array_of
            return build(items, target)
        if not node.items:
            raise SqlError(
                "42P18",
                "cannot determine type of empty array",
                hint="Explicitly cast to the desired type, for example ARRAY[]::integer[].",
                position=node.pos + 1,
            )
        scalars = [self.plan(item) for item in node.items]
        unified = self.coercer.unify(scalars, "ARRAY", [position(item) for item in node.items])
        if unified[0].type.element is not None:
            return intrinsics.array_of_arrays(tuple(unified), unified[0].type)
        array_type = unified[0].type.array
        if array_type is None:
            raise SqlError(
                "42704",
                f"could not find array type for data type {unified[0].type.info.sql_name}",
                position=node.pos + 1,
            )
        return intrinsics.array_of(tuple(unified), array_type)

    def _subscript(self, node: ast.Subscript) -> Scalar:
        levels: list[ast.Subscript] = []
        base: ast.Expression = node
        while isinstance(base, ast.Subscript):
            levels.append(base)
            base = base.arg
        levels.reverse()
        array = self.plan(base)
        element = array.type.element
        if element is None:
            return self.subscript_other(array, levels)
        if any(level.is_slice for level in levels):
            bounds: list[Scalar] = []
            for level in levels:
                if level.is_slice:
                    bounds.append(self._bound(level.lower, omitted=MIN_INT4))
                    bounds.append(self._bound(level.upper, omitted=MAX_INT4))
                else:
                    bounds += [literal(1, INT4), self._bound(level.lower)]
            return intrinsics.array_slice(array, tuple(bounds))
        return intrinsics.subscript(
            array, tuple(self._bound(level.lower) for level in levels), element
        )

    def _bound(self, node: ast.Expression | None, omitted: int = MAX_INT4) -> Scalar:
        if node is None:
            return literal(omitted, INT4)
        return self.plan_as(node, INT4, CastContext.ASSIGNMENT)

    def _field(self, node: ast.FieldSelection) -> Scalar:
        if isinstance(node.arg, ast.ColumnName):
            entry = self.scope.table(node.arg.parts, node.arg.pos)
            if entry is not None:
                return self.scope.column((*node.arg.parts, node.field), node.pos)
        return self.record_field(self.plan(node.arg), node.field, node.pos)
