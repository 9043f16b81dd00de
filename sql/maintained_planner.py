"""CREATE MATERIALIZED VIEW and what is said of materialized views and indexes later."""

from collections.abc import Iterable
from typing import Final

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INSUFFICIENT_PRIVILEGE,
    UNDEFINED_COLUMN,
    UNDEFINED_OBJECT,
    SqlError,
)
from core.sql_types import Column, RelationDesc
from sql import syntax as ast
from sql.catalog_view import ItemKind
from sql.definition_text import replaced
from sql.maintained import asserted_not_null, maintained_rows
from sql.maintained_options import check_names, check_refresh, retain_history_us, text_of
from sql.maintained_syntax import (
    AlterOptions,
    CreateMaterializedView,
    Option,
    RefreshMaterializedView,
)
from sql.maintained_text import ASSERT_NOT_NULL, RETAIN_HISTORY, MaintainedDefinition
from sql.new_items import new_item_name, no_parameters, plain, view_columns
from sql.object_names import ITEM_KINDS, altered_item, skipped, wrong_kind
from sql.parse import ParsedStatement
from sql.plan import (
    CreateMaterializedViewPlan,
    NoOpPlan,
    PlannedStatement,
    RetainHistoryPlan,
)
from sql.query_planner import QueryPlanner
from sql.scope import Scope
from sql.statement_context import StatementContext

_VIEW_OPTIONS: Final = frozenset({RETAIN_HISTORY, ASSERT_NOT_NULL, "refresh"})
_REFRESH: Final = "refresh"


def plan_create_materialized_view(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """CREATE MATERIALIZED VIEW, once it is known that its query can be maintained."""
    assert isinstance(statement, CreateMaterializedView)
    no_parameters(parsed)
    name = new_item_name(statement.name, False, statement.pos, context)
    cluster = cluster_for(statement.cluster, context)
    check_names(statement.options, _VIEW_OPTIONS)
    history_us = history_of(statement.options, context)
    queries = QueryPlanner(context)
    planned = queries.plan_query(statement.query, Scope())
    depends_on = frozenset(context.names_items)
    for id in depends_on:
        if context.catalog.item(id).is_temporary:
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                "materialized views must not use temporary tables or views",
            )
    desc = view_columns(planned.columns, statement.columns, "too many column names were specified")
    asserted = _asserted(statement.options, desc)
    rows = queries.as_relation(planned)
    rows = asserted_not_null(rows, name.item, desc.names, asserted)
    maintained_rows(rows, desc, context)
    definition = MaintainedDefinition(
        tuple(part for part in (name.database, name.schema, name.item) if part is not None),
        cluster,
        tuple(option for option in statement.options if option.name != _REFRESH),
        (replaced(statement.query_sql, statement.query_pos, context.replacements),),
        statement.columns,
    )
    return plain(
        CreateMaterializedViewPlan(
            name,
            RelationDesc(
                tuple(
                    Column(c.name, c.type, c.nullable and c.name not in asserted)
                    for c in desc.columns
                )
            ),
            definition.sql(),
            depends_on,
            cluster,
            statement.or_replace,
            statement.if_not_exists,
            history_us,
            () if statement.with_data else ("a materialized view always has its data",),
        )
    )


def cluster_for(name: str | None, context: StatementContext) -> str:
    """The cluster that maintains a new item: the one named, or the session's. 42704, 42501."""
    cluster = name or context.session.cluster
    if cluster not in context.catalog.clusters():
        raise SqlError(UNDEFINED_OBJECT, f'unknown cluster "{cluster}"')
    if cluster.startswith("mz_"):
        raise SqlError(
            INSUFFICIENT_PRIVILEGE,
            f'system cluster "{cluster}" cannot maintain objects of users',
            hint="Name another one with IN CLUSTER, or with SET cluster.",
        )
    return cluster


def history_of(options: Iterable[Option], context: StatementContext) -> int | None:
    """The microseconds that RETAIN HISTORY asks for, None: the default."""
    for option in options:
        if option.name == RETAIN_HISTORY:
            return retain_history_us(option, context.session.context)
    return None


def _asserted(options: Iterable[Option], desc: RelationDesc) -> frozenset[str]:
    """The columns of ASSERT NOT NULL; REFRESH is checked along."""
    names: set[str] = set()
    for option in options:
        if option.name == _REFRESH:
            check_refresh(option)
        elif option.name == ASSERT_NOT_NULL:
            name = text_of(option)
            if name not in desc.names:
                raise SqlError(
                    UNDEFINED_COLUMN,
                    f'column "{name}" of ASSERT NOT NULL does not exist',
                    position=option.pos + 1,
                )
            names.add(name)
    return frozenset(names)


def plan_refresh(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """REFRESH MATERIALIZED VIEW: every commit has done so already."""
    assert isinstance(statement, RefreshMaterializedView)
    kind, item_kind = ITEM_KINDS["materialized view"]
    altered_item(statement.name, kind, item_kind, False, context)
    notice = f'materialized view "{statement.name[-1]}" is always up to date'
    return plain(NoOpPlan("REFRESH MATERIALIZED VIEW", notice=notice))


def plan_item_options(statement: AlterOptions, context: StatementContext) -> PlannedStatement:
    """ALTER MATERIALIZED VIEW | INDEX … SET or RESET (RETAIN HISTORY)."""
    kind, item_kind = ITEM_KINDS[statement.kind]
    item = altered_item(statement.name, kind, item_kind, statement.if_exists, context)
    check_names(statement.options, {RETAIN_HISTORY})
    if item is None:
        return plain(skipped(kind, statement.name))
    if item.kind is not item_kind:
        raise wrong_kind(item, kind)
    if item_kind is ItemKind.SOURCE:
        raise SqlError(FEATURE_NOT_SUPPORTED, "RETAIN HISTORY is not supported for sources")
    if statement.is_reset:
        return plain(RetainHistoryPlan(item.id, None, None))
    length = history_of(statement.options, context)
    return plain(RetainHistoryPlan(item.id, length, text_of(statement.options[0])))
