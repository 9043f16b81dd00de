"""Subqueries in expressions: scalar, EXISTS, IN, ANY, ALL, ARRAY.

In a general position a subquery becomes one column that is applied to the relation. As a conjunct
of WHERE, EXISTS and IN become semi- and anti-joins (`semi_join`). IN in a general position asks
three questions, each answered by a hash join: is there an equal row, a null, any row at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from core.errors import FEATURE_NOT_SUPPORTED, SYNTAX_ERROR, SqlError
from core.rows import Array
from core.sql_types import BOOL, SqlType
from expr.relation import Aggregate, ScalarOrder
from expr.scalar import Call, Case, ColumnRef, Scalar, literal
from sql import hir, intrinsics
from sql import syntax as ast
from sql.aggregates import resolve_aggregate
from sql.equality import equality_pair
from sql.expression_base import ExpressionBase, OutputColumn, PlannedQuery
from sql.hir import ApplyKind, Hir, types_of
from sql.pending import PendingSubquery, Substitution, attach_subqueries
from sql.scope import Boundary, Scope, shift_columns

Subquery = ast.ScalarSubquery | ast.ExistsSubquery | ast.ArraySubquery | ast.InQuery


@dataclass(frozen=True, slots=True)
class SemiJoin:
    """EXISTS or IN as a conjunct: `attach` adds it to a relation of a given width."""

    attach: Callable[[Hir, int, Substitution], tuple[Hir, int]]


class SubqueryPlanner(ExpressionBase):
    """The subquery forms of a scalar planner."""

    def _inner(self, query: ast.Query) -> tuple[PlannedQuery, Boundary]:
        boundary = Boundary(self.context.variables)
        scope = Scope(parent=self.scope, boundary=boundary)
        return self.queries.plan_query(query, scope), boundary

    def _relation(self, query: ast.Query) -> tuple[Hir, Boundary]:
        planned, boundary = self._inner(query)
        return self.queries.as_relation(planned), boundary

    def _single_column(self, planned: PlannedQuery, pos: int) -> None:
        if len(planned.columns) != 1:
            raise SqlError(SYNTAX_ERROR, "subquery must return only one column", position=pos + 1)

    def _applied_column(
        self, sub: Hir, boundary: Boundary, kind: ApplyKind = ApplyKind.LEFT
    ) -> Scalar:
        """The single column of `sub`, applied to the relation under this expression."""
        index = next(self.pending.indices)
        self.pending.subqueries.append(PendingSubquery(index, sub, tuple(boundary.bindings), kind))
        (result,) = types_of(sub)
        return ColumnRef(index, result)

    # Forms

    def subquery(self, node: Subquery) -> Scalar:
        """Any subquery in a general position."""
        match node:
            case ast.ScalarSubquery():
                return self._scalar_subquery(node)
            case ast.ExistsSubquery():
                return self._exists_subquery(node)
            case ast.ArraySubquery():
                return self._array_subquery(node)
            case ast.InQuery():
                return self._in_query(node)
            case _:
                assert_never(node)

    def _scalar_subquery(self, node: ast.ScalarSubquery) -> Scalar:
        """A subquery as a value."""
        planned, boundary = self._inner(node.query)
        self._single_column(planned, node.pos)
        sub = self.queries.as_relation(planned)
        return self._applied_column(sub, boundary, ApplyKind.SCALAR)

    def subquery_column(self, query: ast.Query, index: int, width: int, pos: int) -> Scalar:
        """Column `index` of a subquery of `width` columns, as a value."""
        planned, boundary = self._inner(query)
        if len(planned.columns) != width:
            raise SqlError(
                SYNTAX_ERROR, "number of columns does not match number of values", position=pos + 1
            )
        sub = hir.Project(self.queries.as_relation(planned), (index,))
        return self._applied_column(sub, boundary, ApplyKind.SCALAR)

    def _exists_subquery(self, node: ast.ExistsSubquery) -> Scalar:
        """EXISTS in a general position."""
        sub, boundary = self._relation(node.query)
        return self._exists(sub, boundary)

    def _exists(self, sub: Hir, boundary: Boundary) -> Scalar:
        one_row = hir.Reduce(sub, (), ())
        flag = self._applied_column(hir.Map(one_row, (intrinsics.TRUE,)), boundary)
        return intrinsics.or_else(flag, intrinsics.FALSE)

    def _array_subquery(self, node: ast.ArraySubquery) -> Scalar:
        """ARRAY(query): elements in the query's order."""
        planned, boundary = self._inner(node.query)
        self._single_column(planned, node.pos)
        if planned.limit is not None or planned.offset is not None:
            limited = hir.types_of(planned.hir)
            source: Hir = self.queries.as_relation(
                PlannedQuery(
                    planned.hir,
                    tuple(_anonymous(t) for t in limited),
                    planned.order_by,
                    planned.limit,
                    planned.offset,
                )
            )
        else:
            source = planned.hir
        value = ColumnRef(0, planned.columns[0].type)
        types = types_of(source)
        order = tuple(
            ScalarOrder(ColumnRef(o.column, types[o.column]), o.descending, o.nulls_last)
            for o in planned.order_by
        )
        function, args, result = resolve_aggregate("array_agg", (value,), self.coercer, node.pos)
        aggregate = Aggregate(function.id, args, result, order_by=order)
        column = self._applied_column(hir.Reduce(source, (), (aggregate,)), boundary)
        return intrinsics.or_else(column, literal(Array((), ()), result))

    def _in_query(self, node: ast.InQuery) -> Scalar:
        """`x [NOT] IN (query)` in a general position."""
        lefts = self._left_row(node.arg)
        sub, boundary = self._checked(node.query, lefts, node.pos)
        result = self._in(lefts, sub, boundary, node.pos)
        return intrinsics.negate(result) if node.negated else result

    def _in(self, lefts: Sequence[Scalar], sub: Hir, boundary: Boundary, pos: int) -> Scalar:
        tests = self._tests("=", lefts, sub, boundary, pos)
        found = self._exists(hir.Filter(sub, tuple(tests)), boundary)
        if len(lefts) == 1:
            (right,) = _columns(sub)
            has_null = self._exists(hir.Filter(sub, (intrinsics.is_null(right),)), boundary)
            missing = intrinsics.conjunction(
                [intrinsics.is_null(lefts[0]), self._exists(sub, boundary)]
            )
            unknown = intrinsics.disjunction([has_null, missing])
        else:
            test = intrinsics.conjunction(tests)
            unknown = self._exists(hir.Filter(sub, (intrinsics.is_null(test),)), boundary)
        return Case(
            ((found, intrinsics.TRUE), (unknown, intrinsics.NULL_BOOL)), intrinsics.FALSE, BOOL
        )

    def quantified_subquery(self, node: ast.Quantified, query: ast.Query) -> Scalar:
        """`x op ANY | ALL (query)`."""
        lefts = self._left_row(node.left)
        sub, boundary = self._checked(query, lefts, node.pos)
        if node.operator == "=" and not node.is_all:
            return self._in(lefts, sub, boundary, node.pos)
        if node.operator == "<>" and node.is_all:
            return intrinsics.negate(self._in(lefts, sub, boundary, node.pos))
        tests = self._tests(node.operator, lefts, sub, boundary, node.pos)
        test = intrinsics.conjunction(tests)
        if test.type.oid != BOOL.oid:
            raise SqlError(
                "42809", "op ANY/ALL requires operator to yield boolean", position=node.pos + 1
            )
        if node.is_all:
            test = intrinsics.negate(test)
        sub = hir.Map(sub, (test,))
        flag = ColumnRef(len(types_of(sub)) - 1, BOOL)
        any_true = Aggregate("bool_or(bool)", (flag,), BOOL)
        any_null = Aggregate("bool_or(bool)", (intrinsics.is_null(flag),), BOOL)
        reduced = hir.Reduce(sub, (), (any_true, any_null))
        verdict = Case(
            (
                (ColumnRef(0, BOOL), intrinsics.TRUE),
                (ColumnRef(1, BOOL), intrinsics.NULL_BOOL),
            ),
            intrinsics.FALSE,
            BOOL,
        )
        column = self._applied_column(
            hir.Project(hir.Map(reduced, (verdict,)), (2,)), boundary, ApplyKind.SCALAR
        )
        # No row at all: ANY is false, and ALL true.
        empty = self._exists(sub, boundary)
        result = Case(((empty, column),), intrinsics.FALSE, BOOL)
        return intrinsics.negate(result) if node.is_all else result

    def row_subquery_comparison(
        self, operator: str, left: ast.RowExpression, query: ast.Query, pos: int
    ) -> Scalar:
        """`(a, b) = (query)`."""
        lefts = [self.plan(item) for item in left.items]
        sub, boundary = self._checked(query, lefts, pos)
        test = intrinsics.conjunction(
            [self.compare_rows(operator, self._captured(lefts, boundary), _columns(sub), pos)]
        )
        width = len(types_of(sub))
        return self._applied_column(
            hir.Project(hir.Map(sub, (test,)), (width,)), boundary, ApplyKind.SCALAR
        )

    # Parts of the forms

    def _left_row(self, node: ast.Expression) -> list[Scalar]:
        if isinstance(node, ast.RowExpression):
            return [self.plan(item) for item in node.items]
        return [self.plan(node)]

    def _checked(self, query: ast.Query, lefts: Sequence[Scalar], pos: int) -> tuple[Hir, Boundary]:
        planned, boundary = self._inner(query)
        if len(planned.columns) != len(lefts):
            few = len(planned.columns) < len(lefts)
            raise SqlError(
                SYNTAX_ERROR,
                f"subquery has too {'few' if few else 'many'} columns",
                position=pos + 1,
            )
        return self.queries.as_relation(planned), boundary

    def _captured(self, lefts: Sequence[Scalar], boundary: Boundary) -> list[Scalar]:
        return [boundary.capture(left) for left in lefts]

    def _tests(
        self,
        operator: str,
        lefts: Sequence[Scalar],
        sub: Hir,
        boundary: Boundary,
        pos: int,
    ) -> list[Scalar]:
        """`left op column` for every column of `sub`, seen from inside."""
        return [
            self.compare(operator, left, right, pos)
            for left, right in zip(self._captured(lefts, boundary), _columns(sub), strict=True)
        ]

    # Conjuncts

    def semi_join(self, node: ast.Expression) -> SemiJoin | None:
        """The conjunct as a semi- or anti-join; None when it is neither."""
        negated = False
        while isinstance(node, ast.Negation):
            negated = not negated
            node = node.arg
        match node:
            case ast.ExistsSubquery(query=query):
                sub, boundary = self._relation(query)
                return self._exists_join(sub, boundary, negated)
            case ast.InQuery(arg=arg, query=query, negated=inverse, pos=pos):
                return self._in_join(arg, query, negated != inverse, pos)
            case ast.Quantified(
                left=left, operator="=", is_all=False, right=ast.Query() as query, pos=pos
            ):
                return self._in_join(left, query, negated, pos)
            case ast.Quantified(
                left=left, operator="<>", is_all=True, right=ast.Query() as query, pos=pos
            ):
                return self._in_join(left, query, not negated, pos)
        return None

    def _exists_join(self, sub: Hir, boundary: Boundary, negated: bool) -> SemiJoin:
        pending = self.pending
        kind = ApplyKind.ANTI if negated else ApplyKind.SEMI

        def attach(relation: Hir, width: int, substitution: Substitution) -> tuple[Hir, int]:
            relation, width = attach_subqueries(relation, width, pending, substitution)
            bindings = tuple((v, substitution.apply(s)) for v, s in boundary.bindings)
            return hir.Apply(kind, relation, bindings, sub), width

        return SemiJoin(attach)

    def _in_join(self, arg: ast.Expression, query: ast.Query, negated: bool, pos: int) -> SemiJoin:
        lefts = self._left_row(arg)
        sub, boundary = self._checked(query, lefts, pos)
        pairs = [
            self.compare("=", left, right, pos)
            for left, right in zip(lefts, _columns(sub), strict=True)
        ]
        pending = self.pending

        def attach(relation: Hir, width: int, substitution: Substitution) -> tuple[Hir, int]:
            relation, width = attach_subqueries(relation, width, pending, substitution)
            if boundary.bindings:
                return correlated(relation, substitution), width
            return uncorrelated(relation, width, substitution), width

        def correlated(relation: Hir, substitution: Substitution) -> Hir:
            tests: list[Scalar] = self._tests("=", lefts, sub, boundary, pos)
            if negated:
                test = intrinsics.conjunction(tests)
                tests = [intrinsics.negate(Call("is_false(bool)", (test,), BOOL))]
            bindings = tuple((v, substitution.apply(s)) for v, s in boundary.bindings)
            kind = ApplyKind.ANTI if negated else ApplyKind.SEMI
            return hir.Apply(kind, relation, bindings, hir.Filter(sub, tuple(tests)))

        def uncorrelated(relation: Hir, width: int, substitution: Substitution) -> Hir:
            keys = []
            tests: list[Scalar] = []
            for pair in pairs:
                sides = equality_pair(pair)
                assert isinstance(pair, Call)
                left, right = sides if sides is not None else pair.args
                left = substitution.apply(left)
                keys.append((left, right))
                if sides is None:
                    tests.append(Call(pair.function, (left, shift_columns(right, width)), BOOL))
            if not negated:
                on = [
                    Call(
                        pair.function,
                        (substitution.apply(pair.args[0]), shift_columns(pair.args[1], width)),
                        BOOL,
                    )
                    for pair in pairs
                    if isinstance(pair, Call)
                ]
                return hir.Join(hir.JoinKind.SEMI, relation, sub, tuple(on))
            if tests:
                raise SqlError(FEATURE_NOT_SUPPORTED, "NOT IN on these types is not supported")
            return hir.Join(hir.JoinKind.ANTI, relation, sub, (), tuple(keys), null_aware=True)

        return SemiJoin(attach)


def _columns(sub: Hir) -> list[Scalar]:
    return [ColumnRef(index, t) for index, t in enumerate(types_of(sub))]


def _anonymous(sql_type: SqlType) -> OutputColumn:
    return OutputColumn("", sql_type)
