"""Contents of catalog items: tables are read, views are planned from their definitions.

A view that an index has the rows of is read from it like a table. The plan of another one is kept
as long as the very items it was planned from are current and have the same indexes, so a DDL
statement does not make every system view be planned again.
"""

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Final

from core.errors import FEATURE_NOT_SUPPORTED, STATEMENT_TOO_COMPLEX, SqlError
from core.ids import GlobalId
from expr.scalar import ColumnRef, EvaluationContext
from sql import hir, limits
from sql import syntax as ast
from sql.catalog_view import CatalogItem, CatalogView, ItemKind
from sql.expression_base import OutputColumn, PlannedQuery
from sql.hir import Hir, types_of
from sql.lexer import tokenize
from sql.maintained_syntax import CreateMaterializedView
from sql.planner_base import PlannerBase
from sql.scope import Scope
from sql.statement_context import Reading
from sql.statement_parser import StatementParser

_CACHE_SIZE: Final = 2_048


@dataclass(frozen=True, slots=True)
class _PlannedView:
    """A view's relation, the collections it reads, the items it was planned from, and all items
    that are read in it with their indexes."""

    hir: Hir
    depends_on: frozenset[GlobalId]
    items: tuple[CatalogItem, ...]
    indexes: dict[GlobalId, tuple[CatalogItem, ...]]


_Key = tuple[GlobalId, str, EvaluationContext, str, Reading]
_cache: OrderedDict[_Key, _PlannedView] = OrderedDict()
_cache_lock = Lock()


class ViewPlanner(PlannerBase):
    """Plans what table references name."""

    def item_relation(self, item: CatalogItem) -> PlannedQuery:
        """The contents of a relation of the catalog."""
        columns = tuple(
            OutputColumn(column.name, column.type, column.nullable) for column in item.desc.columns
        )
        if item.constant is not None:
            return PlannedQuery(hir.Constant(item.constant.rows, item.constant.types), columns)
        if self._is_computed(item):
            return PlannedQuery(self._view(item), columns)
        self.context.depends_on.add(item.id)
        nullable = tuple(column.nullable for column in item.desc.columns)
        return PlannedQuery(hir.Get(item.id, item.desc.types, nullable), columns)

    def _is_computed(self, item: CatalogItem) -> bool:
        """Whether the item's query stands for it, since its rows are kept nowhere."""
        indexes = self.context.indexes_on(item)
        if item.kind is ItemKind.MATERIALIZED_VIEW:
            return self.context.reading.is_from_base
        return item.kind is ItemKind.VIEW and not indexes

    def _view(self, item: CatalogItem) -> Hir:
        context = self.context
        session = context.session
        key = (item.id, item.create_sql, session.context, session.database, context.reading)
        planned = _cached(key, context.catalog)
        if planned is None:
            planned = self._plan_view(item)
            _remember(key, planned)
        context.depends_on |= planned.depends_on
        context.indexes |= planned.indexes
        return planned.hir

    def _plan_view(self, item: CatalogItem) -> _PlannedView:
        context = self.context
        if context.view_depth >= limits.MAX_VIEW_DEPTH:
            raise SqlError(STATEMENT_TOO_COMPLEX, "views are nested too deep")
        query = view_query(item.create_sql)
        saved_tables, self.common_tables = self.common_tables, {}
        saved_depends, context.depends_on = context.depends_on, set()
        saved_names, context.names_items = context.names_items, set()
        saved_indexes, context.indexes = context.indexes, {}
        try:
            with context.inside_definition():
                planned = self.plan_query(query, Scope())
            relation = self.as_relation(planned)
            relation = self.shaped(relation, item)
            items = tuple(context.catalog.item(id) for id in sorted(context.names_items))
            result = _PlannedView(relation, frozenset(context.depends_on), items, context.indexes)
        except SqlError as error:
            error.position = None
            raise
        finally:
            self.common_tables = saved_tables
            context.depends_on = saved_depends
            context.names_items = saved_names
            context.indexes = saved_indexes
        return result

    def shaped(self, relation: Hir, item: CatalogItem) -> Hir:
        """The view's relation with the column types that the catalog says it has."""
        have, want = types_of(relation), item.desc.types
        if have == want:
            return relation
        scalars = tuple(
            self.context.coercer.coerce(ColumnRef(i, h), w)
            for i, (h, w) in enumerate(zip(have, want, strict=True))
        )
        width = len(have)
        mapped = hir.Map(relation, scalars)
        return hir.Project(mapped, tuple(range(width, width + len(scalars))))


@lru_cache(maxsize=_CACHE_SIZE)
def view_query(create_sql: str) -> ast.Query:
    """The query in a definition: of a view, of a materialized view, or a bare query."""
    parser = StatementParser(create_sql, tokenize(create_sql))
    statement = parser.statement()
    match statement:
        case (
            ast.CreateView(query=query)
            | CreateMaterializedView(query=query)
            | ast.QueryStatement(query=query)
        ):
            return query
    raise SqlError(FEATURE_NOT_SUPPORTED, "this item has no query")


def _cached(key: _Key, catalog: CatalogView) -> _PlannedView | None:
    with _cache_lock:
        planned = _cache.get(key)
        if planned is not None:
            _cache.move_to_end(key)
    if planned is None:
        return None
    reading = key[-1]
    try:
        if any(catalog.item(item.id) is not item for item in planned.items):
            return None
        for id, indexes in planned.indexes.items():
            if reading.indexes(catalog.item(id), catalog) != indexes:
                return None
    except KeyError:
        return None
    return planned


def _remember(key: _Key, planned: _PlannedView) -> None:
    with _cache_lock:
        _cache[key] = planned
        while len(_cache) > _CACHE_SIZE:
            _cache.popitem(last=False)
