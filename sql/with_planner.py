"""WITH: common tables, recursive ones included.

A recursive table is `base UNION [ALL] step`; inside `step` its name means the rows found last. The
planner allows such a name wherever a table may stand; PostgreSQL refuses some places (outer joins,
subqueries, EXCEPT), in which the meaning is the same.
"""

from dataclasses import dataclass
from typing import Final

from core.errors import (
    DATATYPE_MISMATCH,
    FEATURE_NOT_SUPPORTED,
    INVALID_COLUMN_REFERENCE,
    SYNTAX_ERROR,
    SqlError,
)
from core.type_names import format_type
from expr.registry import CastContext
from sql import hir
from sql import syntax as ast
from sql.coercion import common_type
from sql.expression_base import OutputColumn, PlannedQuery
from sql.hir import Hir
from sql.planner_base import CommonTable, PlannerBase
from sql.scope import Scope
from sql.statement_context import StatementContext

INVALID_RECURSION: Final = "42P19"


@dataclass(slots=True)
class _Misplaced(CommonTable):
    """The name of a recursive table where it may not stand."""

    message: str = ""

    def reference(self, context: StatementContext) -> PlannedQuery:
        raise SqlError(INVALID_RECURSION, self.message)


@dataclass(slots=True)
class _LastRows(CommonTable):
    """The name of a recursive table inside its recursive term."""

    is_used: bool = False

    def reference(self, context: StatementContext) -> PlannedQuery:
        self.is_used = True
        return PlannedQuery(self.hir, self.columns)


class WithPlanner(PlannerBase):
    """Plans WITH clauses."""

    def plan_with(self, with_: ast.With, scope: Scope) -> None:
        """Plan the tables of a WITH clause into `common_tables`."""
        names = set()
        for table in with_.tables:
            if table.name in names:
                raise SqlError(
                    "42712",
                    f'WITH query name "{table.name}" specified more than once',
                    position=table.pos + 1,
                )
            names.add(table.name)
        for table in with_.tables:
            if not isinstance(table.statement, ast.Query):
                raise SqlError(
                    FEATURE_NOT_SUPPORTED,
                    "data-modifying statements in WITH are not supported",
                    position=table.pos + 1,
                )
            inner = Scope(parent=scope.parent, boundary=scope.boundary)
            if with_.recursive:
                relation, columns = self._recursive(table, table.statement, inner)
            else:
                relation, columns = self._with_item(table, self.plan_query(table.statement, inner))
            self.common_tables[table.name] = CommonTable(relation, columns)

    def _with_item(
        self, table: ast.CommonTable, planned: PlannedQuery
    ) -> tuple[Hir, tuple[OutputColumn, ...]]:
        """The rows of a planned WITH query and its columns under their given names."""
        columns = list(planned.columns)
        if len(table.columns) > len(columns):
            raise SqlError(
                INVALID_COLUMN_REFERENCE,
                f'WITH query "{table.name}" has {len(columns)} columns available but '
                f"{len(table.columns)} columns specified",
                position=table.pos + 1,
            )
        for index, name in enumerate(table.columns):
            columns[index] = OutputColumn(name, columns[index].type, columns[index].nullable)
        return self.as_relation(planned), tuple(columns)

    def _recursive(
        self, table: ast.CommonTable, query: ast.Query, scope: Scope
    ) -> tuple[Hir, tuple[OutputColumn, ...]]:
        """A table of WITH RECURSIVE, which need not name itself."""
        outside = self.common_tables
        self.common_tables = dict(outside)
        if isinstance(query.with_, ast.With):
            self.plan_with(query.with_, scope)
        result = self._recursion(table, query, scope)
        if result is None:
            self._forbid(
                table,
                f'recursive query "{table.name}" does not have the form non-recursive-term '
                "UNION [ALL] recursive-term",
            )
            result = self._with_item(table, self.plan_query(query, scope))
        self.common_tables = outside
        return result

    def _recursion(
        self, table: ast.CommonTable, query: ast.Query, scope: Scope
    ) -> tuple[Hir, tuple[OutputColumn, ...]] | None:
        """None when the table does not name itself on the right of a UNION."""
        body = query.body
        if not isinstance(body, ast.SetOperation) or body.operator != "union":
            return None
        if isinstance(query.with_, ast.MutualRecursion):
            return None
        self._forbid(
            table,
            f'recursive reference to query "{table.name}" must not appear within its '
            "non-recursive term",
        )
        base, columns = self._with_item(table, self.plan_query(body.left, scope))
        columns = tuple(OutputColumn(c.name, c.type) for c in columns)
        variable = next(self.context.variables)
        last = _LastRows(hir.RecursiveGet(variable, hir.types_of(base)), columns)
        self.common_tables[table.name] = last
        planned = self.plan_query(body.right, scope, keep_unknown=True)
        if not last.is_used:
            return None
        _refuse_order_and_limit(query)
        step = self._as_columns(table, planned, columns)
        return hir.Recursion(variable, base, step, is_distinct=not body.all), columns

    def _forbid(self, table: ast.CommonTable, message: str) -> None:
        self.common_tables[table.name] = _Misplaced(hir.UNIT, (), message=message)

    def _as_columns(
        self, table: ast.CommonTable, planned: PlannedQuery, columns: tuple[OutputColumn, ...]
    ) -> Hir:
        """The recursive term, of the types of the non-recursive one."""
        if len(planned.columns) != len(columns):
            raise SqlError(
                SYNTAX_ERROR,
                "each UNION query must have the same number of columns",
                position=table.pos + 1,
            )
        for number, (base, step) in enumerate(zip(columns, planned.columns, strict=True), start=1):
            overall = common_type([base.type, step.type], "UNION", [None, None])
            if overall != base.type:
                was = format_type(base.type.oid, base.type.modifier)
                becomes = format_type(overall.oid, overall.modifier)
                raise SqlError(
                    DATATYPE_MISMATCH,
                    f'recursive query "{table.name}" column {number} has type {was} in '
                    f"non-recursive term but type {becomes} overall",
                    hint="Cast the output of the non-recursive term to the correct type.",
                )
        types = [column.type for column in columns]
        return self.as_relation(self.cast_columns(planned, types, CastContext.IMPLICIT))


def _refuse_order_and_limit(query: ast.Query) -> None:
    for present, word in (
        (query.order_by, "ORDER BY"),
        (query.offset is not None, "OFFSET"),
        (query.limit is not None, "LIMIT"),
    ):
        if present:
            raise SqlError(FEATURE_NOT_SUPPORTED, f"{word} in a recursive query is not implemented")
