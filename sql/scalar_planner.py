"""Expressions to scalars: names, constants, operators, conditions, casts.

Function calls are in `sql.call_planner`, subqueries in `sql.subquery_planner`; this class is their
common front. Types and error texts follow PostgreSQL's parse_expr.c.
"""

from collections.abc import Callable, Sequence
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
from sql.call_planner import CallPlanner
from sql.catalog_names import resolve_catalog_literal
from sql.numbers import number_literal
from sql.operators import operator_call
from sql.positions import inner_pos, position
from sql.scope import TableEntry, missing_table
from sql.type_names import resolve_type

_COMPARISONS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
_CATALOG_TYPES: Final = frozenset({2205, 2206, 24, 4089, 4096})


class ScalarPlanner(CallPlanner):
    """Plans the expressions of one place in a query."""

    # Entry points

    def plan(self, node: ast.Expression) -> Scalar:
        """The scalar of an expression; its type may still be unknown."""
        method = _METHODS.get(type(node))
        if method is None:
            raise SqlError(FEATURE_NOT_SUPPORTED, f"{type(node).__name__} is not supported here")
        context = self.context
        context.enter()
        result = method(self, node)
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

    # Names and constants

    def _column(self, node: ast.ColumnName) -> Scalar:
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
        if len(entry.columns) == 1 and entry.columns[0].name == entry.alias:
            return entry.columns[0].scalar
        return intrinsics.row_of(tuple(c.scalar for c in entry.columns))

    def _star(self, node: ast.Star) -> Scalar:
        if not node.qualifier:
            raise SqlError(SYNTAX_ERROR, 'syntax error at or near "*"', position=node.pos + 1)
        entry = self.scope.table(node.qualifier, node.pos)
        if entry is None:
            raise missing_table(node.qualifier, node.pos)
        return self._whole_row(entry)

    def _number(self, node: ast.NumberLiteral) -> Scalar:
        return number_literal(node.text, node.pos)

    def _string(self, node: ast.StringLiteral) -> Scalar:
        return literal(node.value, UNKNOWN)

    def _boolean(self, node: ast.BooleanLiteral) -> Scalar:
        return intrinsics.TRUE if node.value else intrinsics.FALSE

    def _null(self, node: ast.NullLiteral) -> Scalar:
        return literal(None, UNKNOWN)

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

    def _default(self, node: ast.DefaultMarker) -> Scalar:
        raise SqlError(
            SYNTAX_ERROR, "DEFAULT is not allowed in this context", position=node.pos + 1
        )

    # Operators

    def _operator(self, node: ast.Operator) -> Scalar:
        right_node = node.right
        if node.left is None:
            return operator_call(
                self.coercer, node.name, (self.plan(right_node),), node.pos, node.schema
            )
        if isinstance(node.left, ast.RowExpression) and node.name in _COMPARISONS:
            if isinstance(right_node, ast.RowExpression):
                return self._row_comparison(node.name, node.left, right_node, node.pos)
            if isinstance(right_node, ast.ScalarSubquery):
                return self.row_subquery_comparison(
                    node.name, node.left, right_node.query, node.pos
                )
        left = self.plan(node.left)
        return operator_call(
            self.coercer, node.name, (left, self.plan(right_node)), node.pos, node.schema
        )

    def _row_comparison(
        self, operator: str, left: ast.RowExpression, right: ast.RowExpression, pos: int
    ) -> Scalar:
        if len(left.items) != len(right.items):
            raise SqlError(
                SYNTAX_ERROR, "unequal number of entries in row expressions", position=pos + 1
            )
        if not left.items:
            raise SqlError(
                FEATURE_NOT_SUPPORTED, "cannot compare rows of zero length", position=pos + 1
            )
        lefts = [self.plan(item) for item in left.items]
        rights = [self.plan(item) for item in right.items]
        return self.compare_rows(operator, lefts, rights, pos)

    def compare(self, operator: str, left: Scalar, right: Scalar, pos: int) -> Scalar:
        """One comparison, by operator name."""
        return operator_call(self.coercer, operator, (left, right), pos)

    def compare_rows(
        self, operator: str, lefts: Sequence[Scalar], rights: Sequence[Scalar], pos: int
    ) -> Scalar:
        """A comparison of rows, field by field."""
        pairs = list(zip(lefts, rights, strict=True))
        if operator in ("=", "<>"):
            tests = [self.compare(operator, a, b, pos) for a, b in pairs]
            combine = intrinsics.conjunction if operator == "=" else intrinsics.disjunction
            return combine(tests)
        strict = operator[0]
        result = self.compare(operator, *pairs[-1], pos)
        for left, right in reversed(pairs[:-1]):
            equal = self.compare("=", left, right, pos)
            less = self.compare(strict, left, right, pos)
            result = intrinsics.disjunction([less, intrinsics.conjunction([equal, result])])
        return result

    def _conjunction(self, node: ast.Conjunction) -> Scalar:
        return intrinsics.conjunction([self.condition(arg, "AND") for arg in node.args])

    def _disjunction(self, node: ast.Disjunction) -> Scalar:
        return intrinsics.disjunction([self.condition(arg, "OR") for arg in node.args])

    def _negation(self, node: ast.Negation) -> Scalar:
        return intrinsics.negate(self.condition(node.arg, "NOT"))

    def _is_test(self, node: ast.IsTest) -> Scalar:
        if node.test == "null":
            return self._null_test(node)
        words = f"IS {'NOT ' if node.negated else ''}{node.test.upper()}"
        arg = self.condition(node.arg, words)
        match node.test:
            case "true":
                result = intrinsics.is_true(arg)
            case "false":
                result = intrinsics.is_true(intrinsics.negate(arg))
            case _:
                result = intrinsics.is_null(arg)
        return intrinsics.negate(result) if node.negated else result

    def _null_test(self, node: ast.IsTest) -> Scalar:
        if isinstance(node.arg, ast.RowExpression):
            tests = [intrinsics.is_null(self.plan(item)) for item in node.arg.items]
            if node.negated:
                tests = [intrinsics.negate(test) for test in tests]
            return intrinsics.conjunction(tests)
        arg = self.coercer.known(self.plan(node.arg))
        test = intrinsics.is_null(arg)
        return intrinsics.negate(test) if node.negated else test

    def _distinct_test(self, node: ast.DistinctTest) -> Scalar:
        if isinstance(node.left, ast.RowExpression) and isinstance(node.right, ast.RowExpression):
            if len(node.left.items) != len(node.right.items):
                raise SqlError(
                    SYNTAX_ERROR,
                    "unequal number of entries in row expressions",
                    position=node.pos + 1,
                )
            pairs = list(zip(node.left.items, node.right.items, strict=True))
        else:
            pairs = [(node.left, node.right)]
        tests = []
        for left_node, right_node in pairs:
            left, right = self.plan(left_node), self.plan(right_node)
            equal = self.compare("=", left, right, node.pos)
            if isinstance(equal, Call) and len(equal.args) == 2:
                left, right = equal.args
            tests.append(intrinsics.not_distinct(left, right))
        same = intrinsics.conjunction(tests)
        return same if node.negated else intrinsics.negate(same)

    def _between(self, node: ast.Between) -> Scalar:
        arg, low, high = self.plan(node.arg), self.plan(node.low), self.plan(node.high)

        def within(least: Scalar, most: Scalar) -> Scalar:
            return intrinsics.conjunction(
                [
                    self.compare(">=", arg, least, node.pos),
                    self.compare("<=", arg, most, node.pos),
                ]
            )

        result = within(low, high)
        if node.symmetric:
            result = intrinsics.disjunction([result, within(high, low)])
        return intrinsics.negate(result) if node.negated else result

    def _in_list(self, node: ast.InList) -> Scalar:
        operator = "<>" if node.negated else "="
        tests = []
        if isinstance(node.arg, ast.RowExpression):
            for item in node.items:
                if not isinstance(item, ast.RowExpression):
                    raise SqlError(
                        SYNTAX_ERROR,
                        "unequal number of entries in row expressions",
                        position=node.pos + 1,
                    )
                tests.append(self._row_comparison(operator, node.arg, item, node.pos))
        else:
            tests = self._list_tests(node, operator)
        return intrinsics.conjunction(tests) if node.negated else intrinsics.disjunction(tests)

    def _list_tests(self, node: ast.InList, operator: str) -> list[Scalar]:
        """The items are first brought to one type with the argument, as PostgreSQL does when all
        of them agree; otherwise each is compared for itself."""
        arg = self.plan(node.arg)
        items = [self.plan(item) for item in node.items]
        if len(items) > 1 and len({item.type.oid for item in items}) > 1:
            places = [position(node.arg), *map(position, node.items)]
            try:
                arg, *items = self.coercer.unify([arg, *items], "IN", places)
            except SqlError as error:
                if error.sqlstate != DATATYPE_MISMATCH:
                    raise
        return [self.compare(operator, arg, item, node.pos) for item in items]

    def _pattern_match(self, node: ast.PatternMatch) -> Scalar:
        arg, pattern = self.plan(node.arg), self.plan(node.pattern)
        if node.is_similar:
            escape = () if node.escape is None else (self.plan(node.escape),)
            pattern = self.call_named("similar_to_escape", (pattern, *escape), node.pos)
        elif node.escape is not None:
            pattern = self.call_named("like_escape", (pattern, self.plan(node.escape)), node.pos)
        return operator_call(self.coercer, node.operator, (arg, pattern), node.pos)

    def _quantified(self, node: ast.Quantified) -> Scalar:
        if isinstance(node.right, ast.Query):
            return self.quantified_subquery(node, node.right)
        return self.quantified_array(node, node.right)

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
        equal = self.compare("=", left, right, node.pos)
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
        return self.cast(arg, target, node.pos if position(inner) is None else inner_pos(inner))

    def cast(self, arg: Scalar, target: SqlType, pos: int) -> Scalar:
        """An explicit cast; names of catalog objects are resolved here."""
        if target.oid in _CATALOG_TYPES and arg.type.oid in (UNKNOWN.oid, TEXT.oid):
            if isinstance(arg, Literal) and not arg.is_null:
                return resolve_catalog_literal(self.context, arg.value, target, pos)
            if arg.type.oid == TEXT.oid:
                return self.catalog_cast(arg, target, pos)
        if arg.type.oid in _CATALOG_TYPES and target.info.category == "S":
            return self.catalog_text(arg, target, pos)
        return self.coercer.coerce(arg, target, CastContext.EXPLICIT, pos + 1)

    def _collate(self, node: ast.CollateExpression) -> Scalar:
        arg = self.coercer.known(self.plan(node.arg))
        if arg.type.info.category not in ("S",):
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

    def _array(self, node: ast.ArrayExpression) -> Scalar:
        return self._array_as(node, None)

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

    def _row(self, node: ast.RowExpression) -> Scalar:
        return intrinsics.row_of(tuple(self.coercer.known(self.plan(i)) for i in node.items))

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
                    lower = self._bound(level.lower)
                    bounds += [lower, self._bound(level.upper)]
                else:
                    bounds += [literal(1, INT4), self._bound(level.lower)]
            return intrinsics.array_slice(array, tuple(bounds))
        return intrinsics.subscript(
            array, tuple(self._bound(level.lower) for level in levels), element
        )

    def _bound(self, node: ast.Expression | None) -> Scalar:
        if node is None:
            return intrinsics.null_of(INT4)
        return self.plan_as(node, INT4, CastContext.ASSIGNMENT)

    def _field(self, node: ast.FieldSelection) -> Scalar:
        if isinstance(node.arg, ast.ColumnName):
            entry = self.scope.table(node.arg.parts, node.arg.pos)
            if entry is not None:
                return self.scope.column((*node.arg.parts, node.field), node.pos)
        return self.record_field(self.plan(node.arg), node.field, node.pos)


_Method = Callable[[ScalarPlanner, ast.Expression], Scalar]
_METHODS: Final[dict[type[ast.Expression], _Method]] = {
    ast.ColumnName: ScalarPlanner._column,  # type: ignore[dict-item]
    ast.Star: ScalarPlanner._star,  # type: ignore[dict-item]
    ast.NumberLiteral: ScalarPlanner._number,  # type: ignore[dict-item]
    ast.StringLiteral: ScalarPlanner._string,  # type: ignore[dict-item]
    ast.BooleanLiteral: ScalarPlanner._boolean,  # type: ignore[dict-item]
    ast.NullLiteral: ScalarPlanner._null,  # type: ignore[dict-item]
    ast.ParameterReference: ScalarPlanner._parameter,  # type: ignore[dict-item]
    ast.DefaultMarker: ScalarPlanner._default,  # type: ignore[dict-item]
    ast.Operator: ScalarPlanner._operator,  # type: ignore[dict-item]
    ast.Conjunction: ScalarPlanner._conjunction,  # type: ignore[dict-item]
    ast.Disjunction: ScalarPlanner._disjunction,  # type: ignore[dict-item]
    ast.Negation: ScalarPlanner._negation,  # type: ignore[dict-item]
    ast.IsTest: ScalarPlanner._is_test,  # type: ignore[dict-item]
    ast.DistinctTest: ScalarPlanner._distinct_test,  # type: ignore[dict-item]
    ast.Between: ScalarPlanner._between,  # type: ignore[dict-item]
    ast.InList: ScalarPlanner._in_list,  # type: ignore[dict-item]
    ast.InQuery: ScalarPlanner.in_query,  # type: ignore[dict-item]
    ast.PatternMatch: ScalarPlanner._pattern_match,  # type: ignore[dict-item]
    ast.Quantified: ScalarPlanner._quantified,  # type: ignore[dict-item]
    ast.FunctionCall: ScalarPlanner.function_call,  # type: ignore[dict-item]
    ast.SessionValue: ScalarPlanner.session_value,  # type: ignore[dict-item]
    ast.CaseExpression: ScalarPlanner._case,  # type: ignore[dict-item]
    ast.CoalesceExpression: ScalarPlanner._coalesce,  # type: ignore[dict-item]
    ast.NullIf: ScalarPlanner._null_if,  # type: ignore[dict-item]
    ast.MinMax: ScalarPlanner._min_max,  # type: ignore[dict-item]
    ast.CastExpression: ScalarPlanner._cast,  # type: ignore[dict-item]
    ast.CollateExpression: ScalarPlanner._collate,  # type: ignore[dict-item]
    ast.ArrayExpression: ScalarPlanner._array,  # type: ignore[dict-item]
    ast.RowExpression: ScalarPlanner._row,  # type: ignore[dict-item]
    ast.Subscript: ScalarPlanner._subscript,  # type: ignore[dict-item]
    ast.FieldSelection: ScalarPlanner._field,  # type: ignore[dict-item]
    ast.ScalarSubquery: ScalarPlanner.scalar_subquery,  # type: ignore[dict-item]
    ast.ExistsSubquery: ScalarPlanner.exists_subquery,  # type: ignore[dict-item]
    ast.ArraySubquery: ScalarPlanner.array_subquery,  # type: ignore[dict-item]
    ast.GroupingCall: ScalarPlanner.grouping_call,  # type: ignore[dict-item]
}
