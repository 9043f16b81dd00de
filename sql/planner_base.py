"""What the planners of queries share: the statement, common tables, virtual column indices."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.sql_types import SqlType
from expr.registry import CastContext
from sql import syntax as ast
from sql.catalog_view import CatalogItem
from sql.expression_base import OutputColumn, PlannedQuery
from sql.hir import Hir, LocalGet, free_variables, types_of
from sql.pending import Pending
from sql.scalar_planner import ScalarPlanner
from sql.scope import VIRTUAL, Scope
from sql.statement_context import Shared, StatementContext


@dataclass(slots=True)
class CommonTable:
    """A planned WITH item. What does not depend on the queries around is computed once."""

    hir: Hir
    columns: tuple[OutputColumn, ...]
    shared: Shared | None = None

    def reference(self, context: StatementContext) -> PlannedQuery:
        """One mention of the table."""
        if self.shared is None and not context.view_depth and not free_variables(self.hir):
            self.shared = Shared(len(context.shared), self.hir)
            context.shared.append(self.shared)
        if self.shared is None:
            return PlannedQuery(self.hir, self.columns)
        return PlannedQuery(LocalGet(self.shared.id, types_of(self.hir)), self.columns)


class PlannerBase:
    """The state of a query planner."""

    def __init__(self, context: StatementContext) -> None:
        self.context = context
        self.common_tables: dict[str, CommonTable] = {}
        self.indices: Iterator[int] = itertools.count(VIRTUAL)

    def scalars(self, scope: Scope, pending: Pending, place: str) -> ScalarPlanner:
        """A planner of the expressions of one place."""
        return ScalarPlanner(self.context, self, scope, pending, place)

    def plan_query(
        self, query: ast.Query, scope: Scope, *, keep_unknown: bool = False
    ) -> PlannedQuery:
        """Plan a query; see `sql.query_planner`."""
        raise NotImplementedError

    def cast_columns(
        self, planned: PlannedQuery, types: Sequence[SqlType], context: CastContext
    ) -> PlannedQuery:
        """`planned` with its columns coerced to `types`."""
        raise NotImplementedError

    def as_relation(self, planned: PlannedQuery) -> Hir:
        """The rows of a planned query without hidden columns."""
        raise NotImplementedError

    def item_relation(self, item: CatalogItem) -> PlannedQuery:
        """The contents of a table or a view."""
        raise NotImplementedError
