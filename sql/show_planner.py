"""SHOW TABLES and its kin: queries over system relations; SHOW CREATE."""

from typing import Final

import msgspec

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_SCHEMA_NAME,
    SYNTAX_ERROR,
    SqlError,
)
from sql import syntax as ast
from sql.catalog_view import CatalogItem, ItemKind, SchemaName
from sql.cluster_planner import check_cluster
from sql.identifiers import quote_name, quote_string
from sql.macros import parse_query
from sql.object_names import wrong_kind
from sql.parse import ParsedStatement
from sql.plan import ObjectKind, PlannedStatement, SelectPlan
from sql.query_planner import QueryPlanner
from sql.query_statement import finish, plan_top_query, planned_statement
from sql.scope import Scope
from sql.statement_context import StatementContext

_ITEM_TYPES: Final = {
    "tables": "table",
    "views": "view",
    "sinks": "sink",
    "types": "type",
    "connections": "connection",
    "secrets": "secret",
}


def plan_show_objects(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """SHOW objects, with FROM, ON, IN CLUSTER, LIKE and WHERE."""
    assert isinstance(statement, ast.ShowObjects)
    _check_clauses(statement)
    inner = _select(statement, context)
    conditions = []
    if statement.like is not None:
        conditions.append(f"name LIKE {quote_string(statement.like)}")
    columns = "name, nullable, type, comment" if statement.kind == "columns" else "*"
    text = f"SELECT {columns} FROM ({inner}) AS shown"
    if conditions:
        text += " WHERE " + " AND ".join(conditions)
    query = parse_query(f"{text} ORDER BY {_order(statement.kind)}")
    if statement.where is not None:
        query = _with_condition(query, statement.where)
    planned = QueryPlanner(context).plan_query(query, Scope())
    result = finish(planned, context)
    return planned_statement(SelectPlan(result), context, result.desc)


def _check_clauses(statement: ast.ShowObjects) -> None:
    if statement.on is not None and statement.kind != "indexes":
        raise SqlError(SYNTAX_ERROR, f"SHOW {statement.kind.upper()} takes no ON")
    maintained = ("indexes", "materialized views", "sources")
    if statement.cluster is not None and statement.kind not in maintained:
        raise SqlError(SYNTAX_ERROR, f"SHOW {statement.kind.upper()} takes no IN CLUSTER")


def _order(kind: str) -> str:
    return "position" if kind == "columns" else "1"


def _with_condition(query: ast.Query, condition: ast.Expression) -> ast.Query:

    replace = msgspec.structs.replace
    return replace(query, body=replace(query.body, where=condition))


def _select(statement: ast.ShowObjects, context: StatementContext) -> str:
    kind = statement.kind
    qualifier = statement.qualifier
    match kind:
        case "databases":
            return "SELECT name, '' AS comment FROM mz_catalog.mz_databases"
        case "schemas":
            database = qualifier[-1] if qualifier else context.session.database
            return (
                "SELECT name, comment FROM mz_internal.mz_show_schemas "
                f"WHERE database_name = {quote_string(database)} OR database_name IS NULL"
            )
        case "roles":
            return "SELECT name, '' AS comment FROM mz_catalog.mz_roles"
        case "clusters":
            return "SELECT name, replicas, comment FROM mz_internal.mz_show_clusters"
        case "cluster replicas":
            return (
                "SELECT cluster, replica, size, comment FROM mz_internal.mz_show_cluster_replicas"
            )
        case "materialized views":
            conditions = _maintained(statement, context)
            return (
                "SELECT name, cluster, comment FROM mz_internal.mz_show_materialized_views "
                f"WHERE {conditions}"
            )
        case "sources":
            conditions = _maintained(statement, context)
            return (
                "SELECT name, type, cluster, comment FROM mz_internal.mz_show_sources "
                f"WHERE {conditions}"
            )
        case "indexes":
            conditions = _maintained(statement, context)
            return (
                'SELECT name, "on", cluster, key, comment FROM mz_internal.mz_show_indexes '
                f"WHERE {conditions}"
            )
        case "columns":
            return _columns_of(statement, context)
        case "objects":
            return _objects(statement, context, None)
    item_type = _ITEM_TYPES.get(kind)
    if item_type is None:
        raise SqlError(FEATURE_NOT_SUPPORTED, f"SHOW {kind.upper()} is not supported")
    return _objects(statement, context, item_type)


def _objects(statement: ast.ShowObjects, context: StatementContext, item_type: str | None) -> str:
    schema = _schema(statement, context)
    conditions = [f"schema_name = {quote_string(schema.schema)}"]
    if schema.database is None:
        conditions.append("database_name IS NULL")
    else:
        conditions.append(f"database_name = {quote_string(schema.database)}")
    if item_type is not None:
        conditions.append(f"type = {quote_string(item_type)}")
    columns = "name, comment" if item_type is not None else "name, type, comment"
    if statement.full and item_type is not None:
        columns = "name, type, comment"
    return f"SELECT {columns} FROM mz_internal.mz_show_objects WHERE " + " AND ".join(conditions)


def _maintained(statement: ast.ShowObjects, context: StatementContext) -> str:
    """Which of what clusters maintain is shown: of a relation, of a cluster, of a schema (the
    current one, if nothing else is said)."""
    conditions: list[str] = []
    if statement.on is not None:
        item = QueryPlanner(context).resolve_item(statement.on, statement.pos)
        conditions.append(f"on_id = {quote_string(item.id)}")
    if statement.cluster is not None:
        check_cluster(statement.cluster, context)
        conditions.append(f"cluster = {quote_string(statement.cluster)}")
    if statement.qualifier is not None or not conditions:
        oid = _schema(statement, context).oid
        conditions.append(
            f"schema_id = (SELECT s.id FROM mz_catalog.mz_schemas s WHERE s.oid = {oid})"
        )
    return " AND ".join(conditions)


def _schema(statement: ast.ShowObjects, context: StatementContext) -> SchemaName:
    session = context.session
    candidates = (
        [statement.qualifier]
        if statement.qualifier is not None
        else [(name,) for name in session.search_path]
    )
    for parts in candidates:
        found = context.catalog.schema(session.database, parts)
        if found is not None:
            return found
    if statement.qualifier is None:
        raise SqlError(INVALID_SCHEMA_NAME, "no schema has been selected")
    raise SqlError(
        INVALID_SCHEMA_NAME,
        f'schema "{".".join(statement.qualifier)}" does not exist',
    )


def _columns_of(statement: ast.ShowObjects, context: StatementContext) -> str:
    if statement.qualifier is None:
        raise SqlError("42601", "SHOW COLUMNS needs FROM and the name of a relation")
    item = QueryPlanner(context).resolve_item(statement.qualifier, statement.pos)
    return (
        "SELECT name, nullable, type, comment, position FROM mz_internal.mz_show_columns "
        f"WHERE id = {quote_string(item.id)}"
    )


def plan_show_create(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """SHOW CREATE kind name: (name, create_sql)."""
    assert isinstance(statement, ast.ShowCreate)
    if statement.kind == "cluster":
        return _show_create_cluster(statement, context)
    item = QueryPlanner(context).resolve_item(statement.name, statement.pos)
    kinds = {
        "table": ItemKind.TABLE,
        "view": ItemKind.VIEW,
        "materialized view": ItemKind.MATERIALIZED_VIEW,
        "source": ItemKind.SOURCE,
        "index": ItemKind.INDEX,
    }
    wanted = kinds.get(statement.kind)
    if wanted is None:
        raise SqlError(
            FEATURE_NOT_SUPPORTED, f"SHOW CREATE {statement.kind.upper()} is not supported"
        )
    if item.kind is not wanted:
        raise wrong_kind(item, ObjectKind(statement.kind))
    text = (
        f"SELECT {quote_string(_full_name(item))} AS name, "
        f"{quote_string(item.create_sql + ';')} AS create_sql"
    )
    query = plan_top_query(parse_query(text), context)
    return planned_statement(SelectPlan(query), context, query.desc)


def _show_create_cluster(statement: ast.ShowCreate, context: StatementContext) -> PlannedStatement:
    name = statement.name[-1]
    check_cluster(name, context)
    text = (
        f"SELECT c.name, concat('CREATE CLUSTER ', quote_ident(c.name), ' (', CASE WHEN c.managed "
        "THEN concat('MANAGED = true, SIZE = ', quote_literal(c.size), ', REPLICATION FACTOR = ', "
        "c.replication_factor) ELSE concat('MANAGED = false, REPLICAS (', (SELECT string_agg("
        "concat(quote_ident(r.name), ' (SIZE = ', quote_literal(r.size), ')'), ', ' ORDER BY "
        "r.name) FROM mz_catalog.mz_cluster_replicas r WHERE r.cluster_id = c.id), ')') END, ');') "
        f"AS create_sql FROM mz_catalog.mz_clusters c WHERE c.name = {quote_string(name)}"
    )
    query = plan_top_query(parse_query(text), context)
    return planned_statement(SelectPlan(query), context, query.desc)


def _full_name(item: CatalogItem) -> str:
    return quote_name(item.name.database, item.name.schema, item.name.item)
