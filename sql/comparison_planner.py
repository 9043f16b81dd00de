"""Operators, comparisons and boolean tests: the middle of the scalar planner.

Rows are compared field by field; what PostgreSQL builds as a special node (IS DISTINCT FROM,
BETWEEN, IN) becomes operators joined by AND and OR.
"""

from collections.abc import Sequence
from typing import Final, assert_never

from core.errors import DATATYPE_MISMATCH, FEATURE_NOT_SUPPORTED, SYNTAX_ERROR, SqlError
from expr.scalar import Call, Scalar
from sql import intrinsics
from sql import syntax as ast
from sql.call_planner import CallPlanner
from sql.operators import operator_call
from sql.positions import position

_COMPARISONS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})

Comparison = (
    ast.Operator
    | ast.Conjunction
    | ast.Disjunction
    | ast.Negation
    | ast.IsTest
    | ast.DistinctTest
    | ast.Between
    | ast.InList
    | ast.PatternMatch
    | ast.Quantified
)


class ComparisonPlanner(CallPlanner):
    """The operators and boolean tests of a scalar planner."""

    def comparison(self, node: Comparison) -> Scalar:
        """Any operator or test."""
        match node:
            case ast.Operator():
                return self._operator(node)
            case ast.Conjunction(args=args):
                return intrinsics.conjunction([self.condition(arg, "AND") for arg in args])
            case ast.Disjunction(args=args):
                return intrinsics.disjunction([self.condition(arg, "OR") for arg in args])
            case ast.Negation(arg=arg):
                return intrinsics.negate(self.condition(arg, "NOT"))
            case ast.IsTest():
                return self._is_test(node)
            case ast.DistinctTest():
                return self._distinct_test(node)
            case ast.Between():
                return self._between(node)
            case ast.InList():
                return self._in_list(node)
            case ast.PatternMatch():
                return self._pattern_match(node)
            case ast.Quantified(right=right):
                if isinstance(right, ast.Query):
                    return self.quantified_subquery(node, right)
                return self.quantified_array(node, right)
            case _:
                assert_never(node)

    def _operator(self, node: ast.Operator) -> Scalar:
        right_node = node.right
        if node.left is None:
            operand = self.plan(right_node)
            return operator_call(
                self.coercer,
                node.name,
                (operand,),
                node.pos,
                node.schema,
                (position(right_node),),
            )
        if isinstance(node.left, ast.RowExpression) and node.name in _COMPARISONS:
            if isinstance(right_node, ast.RowExpression):
                return self._row_comparison(node.name, node.left, right_node, node.pos)
            if isinstance(right_node, ast.ScalarSubquery):
                return self.row_subquery_comparison(
                    node.name, node.left, right_node.query, node.pos
                )
        left = self.plan(node.left)
        right = self.plan(right_node)
        places = (position(node.left), position(right_node))
        return operator_call(self.coercer, node.name, (left, right), node.pos, node.schema, places)

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

    def compare(
        self,
        operator: str,
        left: Scalar,
        right: Scalar,
        pos: int,
        places: Sequence[int | None] = (),
    ) -> Scalar:
        """One comparison, by operator name; `places` are the positions of its sides."""
        return operator_call(self.coercer, operator, (left, right), pos, places=places)

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
            places = (position(left_node), position(right_node))
            equal = self.compare("=", left, right, node.pos, places)
            if isinstance(equal, Call) and len(equal.args) == 2:
                left, right = equal.args
            tests.append(intrinsics.not_distinct(left, right))
        same = intrinsics.conjunction(tests)
        return same if node.negated else intrinsics.negate(same)

    def _between(self, node: ast.Between) -> Scalar:
        arg, low, high = self.plan(node.arg), self.plan(node.low), self.plan(node.high)
        at_arg, at_low, at_high = position(node.arg), position(node.low), position(node.high)

        def within(
            least: Scalar, at_least: int | None, most: Scalar, at_most: int | None
        ) -> Scalar:
            return intrinsics.conjunction(
                [
                    self.compare(">=", arg, least, node.pos, (at_arg, at_least)),
                    self.compare("<=", arg, most, node.pos, (at_arg, at_most)),
                ]
            )

        result = within(low, at_low, high, at_high)
        if node.symmetric:
            result = intrinsics.disjunction([result, within(high, at_high, low, at_low)])
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
        places = [position(node.arg), *map(position, node.items)]
        if len(items) > 1 and len({item.type.oid for item in items}) > 1:
            try:
                arg, *items = self.coercer.unify([arg, *items], "IN", places)
            except SqlError as error:
                if error.sqlstate != DATATYPE_MISMATCH:
                    raise
        return [
            self.compare(operator, arg, item, node.pos, (places[0], place))
            for item, place in zip(items, places[1:], strict=True)
        ]

    def _pattern_match(self, node: ast.PatternMatch) -> Scalar:
        arg, pattern = self.plan(node.arg), self.plan(node.pattern)
        if node.is_similar:
            escape = () if node.escape is None else (self.plan(node.escape),)
            pattern = self.call_named("similar_to_escape", (pattern, *escape), node.pos)
        elif node.escape is not None:
            pattern = self.call_named("like_escape", (pattern, self.plan(node.escape)), node.pos)
        return operator_call(self.coercer, node.operator, (arg, pattern), node.pos)
