"""Queries: set operations, VALUES, ORDER BY and LIMIT around SELECT.

`sql.select_planner` plans SELECT itself, `sql.from_planner` its FROM, `sql.with_planner` WITH.
"""

from collections.abc import Sequence
from typing import Final

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_COLUMN_REFERENCE,
    SYNTAX_ERROR,
    TOO_MANY_COLUMNS,
    SqlError,
)
from core.sql_types import BOOL, INT8, UNKNOWN, SqlType
from expr.fold import fold
from expr.registry import CastContext
from expr.relation import Aggregate, ColumnOrder
from expr.scalar import Call, ColumnRef, Literal, Scalar, literal
from sql import hir, intrinsics, limits
from sql import syntax as ast
from sql.coercion import common_type
from sql.equality import require_equality, require_order
from sql.expression_base import OutputColumn, PlannedQuery
from sql.hir import Hir, types_of
from sql.mutual_recursion import MutualRecursionPlanner
from sql.pending import Pending, Substitution, attach_subqueries
from sql.positions import inner_pos, position
from sql.row_limits import limited
from sql.scope import Scope, ScopeColumn, names_column
from sql.select_planner import SelectPlanner
from sql.view_planner import ViewPlanner
from sql.with_planner import WithPlanner

_LIMIT_ERRORS: Final = {"LIMIT": "2201W", "OFFSET": "2201X"}


class QueryPlanner(WithPlanner, MutualRecursionPlanner, SelectPlanner, ViewPlanner):
    """Plans whole queries."""

    def plan_query(
        self, query: ast.Query, scope: Scope, *, keep_unknown: bool = False
    ) -> PlannedQuery:
        """Plan a query whose names may also mean those of `scope`'s parents.

        Columns of unknown type become text unless `keep_unknown`.
        """
        self.context.enter()
        saved = self.common_tables
        self.common_tables = dict(saved)
        match query.with_:
            case ast.MutualRecursion() as clause:
                recursion = self.plan_mutual_recursion(clause, scope)
                planned = recursion.around(self._plan_body(query, scope))
            case ast.With() as clause:
                self.plan_with(clause, scope)
                planned = self._plan_body(query, scope)
            case None:
                planned = self._plan_body(query, scope)
        self.common_tables = saved
        if not keep_unknown:
            planned = self.known_columns(planned)
        self.context.leave()
        return planned

    def _plan_body(self, query: ast.Query, scope: Scope) -> PlannedQuery:
        body = query.body
        if isinstance(body, ast.Select):
            planned = self.plan_select(body, query.order_by, scope)
        else:
            match body:
                case ast.Values():
                    planned = self._values(body, scope)
                case ast.SetOperation():
                    planned = self._set_operation(body, scope)
                case ast.NestedQuery(query=inner):
                    nested = self.plan_query(inner, scope)
                    planned = PlannedQuery(self.as_relation(nested), nested.columns)
                case _:
                    raise AssertionError(type(body).__name__)
            if query.order_by:
                planned = self._ordered(planned, body, query.order_by, scope)
        if len(planned.columns) > limits.MAX_SELECT_ITEMS:
            raise SqlError(
                TOO_MANY_COLUMNS,
                f"target lists can have at most {limits.MAX_SELECT_ITEMS} entries",
            )
        return self._limited(planned, query, scope)

    # LIMIT and OFFSET

    def _limited(self, planned: PlannedQuery, query: ast.Query, scope: Scope) -> PlannedQuery:
        if query.limit is None and query.offset is None:
            return planned
        if query.with_ties:
            raise SqlError(FEATURE_NOT_SUPPORTED, "WITH TIES is not supported")
        return PlannedQuery(
            planned.hir,
            planned.columns,
            planned.order_by,
            self._count(query.limit, "LIMIT", scope),
            self._count(query.offset, "OFFSET", scope),
            planned.constants,
        )

    def _count(self, node: ast.Expression | None, word: str, scope: Scope) -> Scalar | None:
        if node is None:
            return None
        outer = Scope(parent=scope.parent, boundary=scope.boundary)
        planner = self.scalars(outer, Pending(self.indices), word)
        scalar = self._count_scalar(node, planner.plan(node), word)
        if isinstance(scalar, Literal):
            if scalar.is_null:
                return None
            if scalar.value < 0:
                raise SqlError(_LIMIT_ERRORS[word], f"{word} must not be negative")
        elif names_column(scalar):
            raise SqlError(
                INVALID_COLUMN_REFERENCE,
                f"argument of {word} must not contain variables",
                position=position(node),
            )
        return scalar

    def _count_scalar(self, node: ast.Expression, scalar: Scalar, word: str) -> Scalar:
        coerced = self.context.coercer.try_coerce(
            scalar, INT8, CastContext.ASSIGNMENT, position(node)
        )
        if coerced is None:
            raise SqlError(
                "42804",
                f"argument of {word} must be type bigint, not type {scalar.type.info.sql_name}",
                position=position(node),
            )
        return fold(coerced, self.context.session.context)

    def as_relation(self, planned: PlannedQuery) -> Hir:
        """The rows of a planned query: LIMIT applied, order and hidden columns dropped."""
        relation = limited(planned)
        width = len(planned.columns)
        if len(types_of(relation)) > width:
            relation = hir.Project(relation, tuple(range(width)))
        return relation

    # Types of columns

    def known_columns(self, planned: PlannedQuery) -> PlannedQuery:
        """`planned` with columns of unknown type made text."""
        if all(column.type.oid != UNKNOWN.oid for column in planned.columns):
            return planned
        types = [c.type if c.type.oid != UNKNOWN.oid else SqlType(25) for c in planned.columns]
        return self.cast_columns(planned, types, CastContext.IMPLICIT)

    def cast_columns(
        self, planned: PlannedQuery, types: Sequence[SqlType], context: CastContext
    ) -> PlannedQuery:
        """`planned` with its columns coerced to `types`."""
        changed: dict[int, Scalar] = {}
        for index, (column, wanted) in enumerate(zip(planned.columns, types, strict=True)):
            if column.type == wanted:
                continue
            constant = planned.constants[index] if planned.constants else None
            source: Scalar = ColumnRef(index, column.type) if constant is None else constant
            changed[index] = self.context.coercer.coerce(source, wanted, context)
        if not changed:
            return planned
        width = len(types_of(planned.hir))
        places = {index: width + i for i, index in enumerate(changed)}
        mapped = hir.Map(planned.hir, tuple(changed.values()))
        outputs = tuple(places.get(index, index) for index in range(width))
        columns = tuple(
            OutputColumn(c.name, t, c.nullable) for c, t in zip(planned.columns, types, strict=True)
        )
        return PlannedQuery(
            hir.Project(mapped, outputs), columns, planned.order_by, planned.limit, planned.offset
        )

    # VALUES

    def _values(self, values: ast.Values, scope: Scope) -> PlannedQuery:
        width = len(values.rows[0])
        pending = Pending(self.indices)
        inner = Scope(parent=scope.parent, boundary=scope.boundary)
        planner = self.scalars(inner, pending, "VALUES")
        rows: list[list[Scalar]] = []
        for row in values.rows:
            if len(row) != width:
                raise SqlError(
                    SYNTAX_ERROR,
                    "VALUES lists must all be the same length",
                    position=inner_pos(row[0]) + 1,
                )
            rows.append([planner.plan(cell) for cell in row])
        types = self._column_types(rows, values)
        coerce = self.context.coercer.coerce
        for row_scalars, nodes in zip(rows, values.rows, strict=True):
            for index, wanted in enumerate(types):
                if row_scalars[index].type != wanted and wanted.oid != UNKNOWN.oid:
                    row_scalars[index] = coerce(
                        row_scalars[index], wanted, CastContext.IMPLICIT, position(nodes[index])
                    )
        columns = tuple(OutputColumn(f"column{i + 1}", t) for i, t in enumerate(types))
        if len(rows) == 1:
            return self._single_row(rows[0], columns, pending)
        if pending.subqueries:
            parts = tuple(
                self._single_row(row, columns, pending_of).hir
                for row, pending_of in self._separate_rows(values, scope, types)
            )
            return PlannedQuery(hir.Union(parts), columns)
        frozen = tuple(tuple(row) for row in rows)
        return PlannedQuery(hir.Rows(frozen, tuple(types)), columns)

    def _column_types(self, rows: list[list[Scalar]], values: ast.Values) -> list[SqlType]:
        types = []
        for index in range(len(rows[0])):
            cells = [row[index].type for row in rows]
            if len(rows) == 1:
                types.append(cells[0])
                continue
            places = [position(row[index]) for row in values.rows]
            types.append(common_type(cells, "VALUES", places))
        return types

    def _single_row(
        self, row: list[Scalar], columns: tuple[OutputColumn, ...], pending: Pending
    ) -> PlannedQuery:
        substitution = Substitution()
        relation, width = attach_subqueries(hir.UNIT, 0, pending, substitution)
        scalars = tuple(map(substitution.apply, row))
        relation = hir.Map(relation, scalars)
        if width:
            relation = hir.Project(relation, tuple(range(width, width + len(scalars))))
        constants = tuple(s if s.type.oid == UNKNOWN.oid else None for s in scalars)
        return PlannedQuery(relation, columns, constants=constants)

    def _separate_rows(
        self, values: ast.Values, scope: Scope, types: list[SqlType]
    ) -> list[tuple[list[Scalar], Pending]]:
        inner = Scope(parent=scope.parent, boundary=scope.boundary)
        result = []
        for row in values.rows:
            pending = Pending(self.indices)
            planner = self.scalars(inner, pending, "VALUES")
            scalars = [
                planner.plan_as(cell, wanted) for cell, wanted in zip(row, types, strict=True)
            ]
            result.append((scalars, pending))
        return result

    # Set operations

    def _set_operation(self, node: ast.SetOperation, scope: Scope) -> PlannedQuery:
        word = node.operator.upper()
        left = self.plan_query(node.left, scope, keep_unknown=True)
        right = self.plan_query(node.right, scope, keep_unknown=True)
        if len(left.columns) != len(right.columns):
            raise SqlError(
                SYNTAX_ERROR,
                f"each {word} query must have the same number of columns",
                position=_first_item_pos(node.right) + 1,
            )
        places = [_first_item_pos(node.right) + 1] * 2
        types = [
            common_type([a.type, b.type], word, places)
            for a, b in zip(left.columns, right.columns, strict=True)
        ]
        left = self.cast_columns(left, types, CastContext.IMPLICIT)
        right = self.cast_columns(right, types, CastContext.IMPLICIT)
        columns = tuple(
            OutputColumn(a.name, t, a.nullable or b.nullable)
            for a, b, t in zip(left.columns, right.columns, types, strict=True)
        )
        relation = _combined(
            node.operator, node.all, self.as_relation(left), self.as_relation(right)
        )
        return PlannedQuery(relation, columns)

    def _ordered(
        self,
        planned: PlannedQuery,
        body: ast.QueryBody,
        order_by: tuple[ast.OrderItem, ...],
        scope: Scope,
    ) -> PlannedQuery:
        planned = self.known_columns(planned)
        orders = []
        extra: list[Scalar] = []
        width = len(planned.columns)
        for item in order_by:
            index = self.output_position(item.expression, planned.columns, "ORDER BY")
            if index is None:
                if isinstance(body, ast.SetOperation):
                    raise _set_order_error(item, planned.columns)
                extra.append(self._order_scalar(item, planned, scope))
                index = width + len(extra) - 1
            ordered = planned.columns[index].type if index < width else extra[-1].type
            require_order(ordered, position(item.expression))
            nulls_first = item.descending if item.nulls_first is None else item.nulls_first
            orders.append(ColumnOrder(index, item.descending, not nulls_first))
        relation = hir.Map(planned.hir, tuple(extra)) if extra else planned.hir
        return PlannedQuery(relation, planned.columns, tuple(orders))

    def _order_scalar(self, item: ast.OrderItem, planned: PlannedQuery, scope: Scope) -> Scalar:
        columns = tuple(
            ScopeColumn(c.name, ColumnRef(i, c.type)) for i, c in enumerate(planned.columns)
        )
        names = Scope(columns, (), scope.parent, scope.boundary)
        pending = Pending(self.indices)
        scalar = self.scalars(names, pending, "ORDER BY").plan(item.expression)
        if pending.subqueries:
            raise SqlError(FEATURE_NOT_SUPPORTED, "subqueries are not supported in this ORDER BY")
        return self.context.coercer.known(scalar)


def _set_order_error(item: ast.OrderItem, columns: tuple[OutputColumn, ...]) -> SqlError:
    node = item.expression
    if isinstance(node, ast.ColumnName) and len(node.parts) == 1:
        return SqlError("42703", f'column "{node.parts[0]}" does not exist', position=node.pos + 1)
    return SqlError(
        FEATURE_NOT_SUPPORTED,
        "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
        detail="Only result column names can be used, not expressions or functions.",
        hint="Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
        position=position(node),
    )


def _first_item_pos(query: ast.Query) -> int:
    body = query.body
    if isinstance(body, ast.Select) and body.items:
        return inner_pos(body.items[0].expression)
    if isinstance(body, ast.Values):
        return inner_pos(body.rows[0][0])
    if isinstance(body, ast.SetOperation):
        return _first_item_pos(body.left)
    return query.pos


def _combined(operator: str, keep_all: bool, left: Hir, right: Hir) -> Hir:
    if operator == "union":
        union = hir.Union((left, right))
        return union if keep_all else distinct(union)
    return (_combined_all if keep_all else _combined_distinct)(operator, left, right)


def _marked(left: Hir, right: Hir) -> tuple[Hir, tuple[Scalar, ...], Scalar]:
    """(the rows of both sides, their columns as keys, whether a row is of the left side).

    EXCEPT and INTERSECT go by groups, so that rows are equal as SQL has it: 1.0 is 1.00.
    """
    marked = hir.Union((hir.Map(left, (intrinsics.TRUE,)), hir.Map(right, (intrinsics.FALSE,))))
    keys = _keys(types_of(left))
    return marked, keys, ColumnRef(len(keys), BOOL)


def _combined_all(operator: str, left: Hir, right: Hir) -> Hir:
    """Each group as often as the difference, or the lesser, of its counts on both sides."""
    marked, keys, is_left = _marked(left, right)
    width = len(keys)
    aggregates = (
        Aggregate("count()", (), INT8, filter=is_left),
        Aggregate("count()", (), INT8, filter=intrinsics.negate(is_left)),
    )
    lefts, rights = ColumnRef(width, INT8), ColumnRef(width + 1, INT8)
    times: Scalar
    if operator == "except":
        times = Call("-(int8,int8)", (lefts, rights), INT8)
    else:
        times = Call("least(anycompatible)", (lefts, rights), INT8)
    grouped = hir.Reduce(marked, keys, aggregates)
    series = (literal(1, INT8), times)
    repeated = hir.FlatMap(grouped, "generate_series(int8,int8)", series, (INT8,))
    return hir.Project(repeated, tuple(range(width)))


def _combined_distinct(operator: str, left: Hir, right: Hir) -> Hir:
    marked, keys, is_left = _marked(left, right)
    width = len(keys)
    aggregates = (
        Aggregate("bool_or(bool)", (is_left,), BOOL),
        Aggregate("bool_and(bool)", (is_left,), BOOL),
    )
    grouped = hir.Reduce(marked, keys, aggregates)
    some_left: Scalar = ColumnRef(width, BOOL)
    only_left: Scalar = ColumnRef(width + 1, BOOL)
    if operator == "except":
        kept = hir.Filter(grouped, (only_left,))
    else:
        kept = hir.Filter(grouped, (some_left, intrinsics.negate(only_left)))
    return hir.Project(kept, tuple(range(width)))


def distinct(relation: Hir) -> Hir:
    """The relation with each row once."""
    return hir.Reduce(relation, _keys(types_of(relation)), ())


def _keys(types: Sequence[SqlType]) -> tuple[Scalar, ...]:
    """All columns, as what rows are compared by."""
    for sql_type in types:
        require_equality(sql_type, None)
    return tuple(ColumnRef(index, t) for index, t in enumerate(types))
