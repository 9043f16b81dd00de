"""CREATE and DROP: names resolved, texts normalised, queries planned for their shape."""

from collections.abc import Callable
from typing import Final

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_CATALOG_NAME,
    INVALID_SCHEMA_NAME,
    INVALID_TABLE_DEFINITION,
    SYNTAX_ERROR,
    TOO_MANY_COLUMNS,
    UNDEFINED_OBJECT,
    SqlError,
)
from core.ids import GlobalId
from core.sql_types import Column, RelationDesc
from sql import limits
from sql import syntax as ast
from sql.alter_planner import ALTER_PLANNERS, CONSTRAINT_NOTICE
from sql.catalog_view import SchemaName
from sql.cluster_planner import plan_create_cluster, plan_create_replica, plan_drop_replicas
from sql.definition_text import create_table_sql, create_view_sql, qualified_default
from sql.index_planner import plan_create_index
from sql.maintained_options import text_of
from sql.maintained_planner import history_of, plan_create_materialized_view, plan_refresh
from sql.maintained_syntax import (
    CreateCluster,
    CreateIndex,
    CreateMaterializedView,
    CreateReplica,
    Option,
    RefreshMaterializedView,
)
from sql.maintained_text import RETAIN_HISTORY
from sql.modification_planner import assign
from sql.new_items import (
    check_column_names,
    new_item_name,
    no_parameters,
    plain,
    too_many_parts,
    view_columns,
)
from sql.object_names import ITEM_KINDS, check_database, existing_item, missing_item
from sql.parse import ParsedStatement
from sql.pending import Pending
from sql.plan import (
    CreateDatabasePlan,
    CreateRolePlan,
    CreateSchemaPlan,
    CreateTablePlan,
    CreateViewPlan,
    DropPlan,
    NoOpPlan,
    ObjectKind,
    PlannedStatement,
    Query,
)
from sql.positions import position
from sql.query_planner import QueryPlanner
from sql.query_statement import finish
from sql.scope import Scope
from sql.source_planner import plan_create_source, plan_create_webhook, refuse_subsource
from sql.source_syntax import CreateSource, CreateSubsource, CreateWebhook
from sql.statement_context import StatementContext
from sql.type_names import resolve_storable_type

# CREATE


def _create_database(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.CreateDatabase)
    return plain(CreateDatabasePlan(statement.name, statement.if_not_exists))


def _create_schema(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.CreateSchema)
    parts = statement.name
    if len(parts) > 2:
        raise too_many_parts(parts, statement.pos)
    database = parts[0] if len(parts) == 2 else context.session.database
    check_database(database, context)
    name = parts[-1]
    if name.startswith(("pg_", "mz_")) or name == "information_schema":
        raise SqlError(
            "42939",
            f'unacceptable schema name "{name}"',
            detail='The prefixes "mz_" and "pg_" are reserved for system schemas.',
        )
    return plain(CreateSchemaPlan(database, name, statement.if_not_exists))


def _create_role(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.CreateRole)
    name = statement.name
    if name.startswith(("pg_", "mz_")) or name in ("public", "none"):
        raise SqlError(
            "42939",
            f'role name "{name}" is reserved',
            detail='The prefixes "mz_" and "pg_" are reserved for system roles.',
        )
    return plain(CreateRolePlan(name, statement.options))


def _create_table(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.CreateTable)
    name = new_item_name(statement.name, statement.temporary, statement.pos, context)
    query: Query | None = None
    defaults: tuple[str | None, ...]
    if statement.as_query is not None:
        query, desc = _table_as(statement, context)
        defaults = (None,) * len(desc.columns)
    else:
        no_parameters(parsed)
        desc, defaults = _table_columns(statement, context)
    has_constraints = bool(statement.constraints) or any(
        column.constraints for column in statement.columns
    )
    retained = None
    retained_us = None
    if statement.retain_history is not None:
        option = Option(RETAIN_HISTORY, *statement.retain_history)
        retained = text_of(option)
        retained_us = history_of((option,), context)
    plan = CreateTablePlan(
        name,
        desc,
        defaults,
        create_table_sql(
            name, desc, defaults, temporary=statement.temporary, retain_history=retained
        ),
        statement.temporary,
        statement.if_not_exists,
        query,
        statement.with_data,
        (CONSTRAINT_NOTICE,) if has_constraints else (),
        retained_us,
    )
    return PlannedStatement(plan, context.parameters.final(), None)


def _table_as(statement: ast.CreateTable, context: StatementContext) -> tuple[Query, RelationDesc]:
    assert statement.as_query is not None
    queries = QueryPlanner(context)
    query = finish(queries.plan_query(statement.as_query, Scope()), context)
    names = list(query.desc.names)
    if len(statement.column_names) > len(names):
        raise SqlError(SYNTAX_ERROR, "too many column names were specified")
    names[: len(statement.column_names)] = statement.column_names
    check_column_names(names)
    columns = []
    for name, column in zip(names, query.desc.columns, strict=True):
        if column.type.info.category == "P":
            raise SqlError(
                INVALID_TABLE_DEFINITION,
                f'column "{name}" has pseudo-type {column.type.info.sql_name}',
            )
        columns.append(Column(name, column.type, True))
    return query, RelationDesc(tuple(columns))


def _table_columns(
    statement: ast.CreateTable, context: StatementContext
) -> tuple[RelationDesc, tuple[str | None, ...]]:
    if len(statement.columns) > limits.MAX_COLUMNS:
        raise SqlError(TOO_MANY_COLUMNS, f"tables can have at most {limits.MAX_COLUMNS} columns")
    check_column_names([column.name for column in statement.columns])
    columns = []
    defaults: list[str | None] = []
    for column in statement.columns:
        if "generated" in column.constraints:
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                "generated columns are not supported",
                position=column.pos + 1,
            )
        column_type = resolve_storable_type(column.type)
        columns.append(Column(column.name, column_type, not column.not_null))
        defaults.append(_default(column, columns[-1], context))
    return RelationDesc(tuple(columns)), tuple(defaults)


def _default(
    definition: ast.ColumnDefinition, column: Column, context: StatementContext
) -> str | None:
    """The default as text, once it is known to be a value of the column."""
    if definition.default is None or definition.default_sql is None:
        return None
    if isinstance(definition.default, ast.NullLiteral):
        return None
    queries = QueryPlanner(context)
    pending = Pending(queries.indices)
    planner = queries.scalars(Scope(), pending, "DEFAULT expressions")
    if isinstance(definition.default, ast.ColumnName):
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            "cannot use column reference in DEFAULT expression",
            position=position(definition.default),
        )
    scalar = planner.plan(definition.default)
    if pending.subqueries:
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            "cannot use subquery in DEFAULT expression",
            position=position(definition.default),
        )
    try:
        assign(context.coercer, scalar, column.type, column.name, position(definition.default))
    except SqlError as error:
        if error.sqlstate != "42804":
            raise
        raise SqlError(
            error.sqlstate,
            f'column "{column.name}" is of type {column.type.info.sql_name} but default '
            f"expression is of type {scalar.type.info.sql_name}",
            hint=error.hint,
        ) from None
    return qualified_default(definition.default_sql)


def _create_view(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.CreateView)
    if statement.recursive:
        raise SqlError(FEATURE_NOT_SUPPORTED, "recursive views are not supported")
    no_parameters(parsed)
    queries = QueryPlanner(context)
    planned = queries.plan_query(statement.query, Scope())
    depends_on = frozenset(context.names_items)
    items = [context.catalog.item(id) for id in depends_on]
    temporary = statement.temporary or any(item.is_temporary for item in items)
    name = new_item_name(statement.name, temporary, statement.pos, context)
    desc = view_columns(
        planned.columns,
        statement.columns,
        "CREATE VIEW specifies more column names than columns",
    )
    text = create_view_sql(name, statement, context.replacements, temporary=temporary)
    plan = CreateViewPlan(
        name,
        desc,
        text,
        depends_on,
        temporary,
        statement.or_replace,
        statement.if_not_exists,
        ()
        if temporary == statement.temporary
        else (f'view "{name.item}" will be a temporary view',),
    )
    return plain(plan)


# DROP


def _drop(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.Drop)
    match statement.kind:
        case "database" | "role" | "cluster":
            return plain(_drop_named(statement, context))
        case "schema":
            return plain(_drop_schemas(statement, context))
        case "table" | "view" | "materialized view" | "index" | "source":
            return plain(_drop_items(statement, context))
        case "cluster replica":
            return plan_drop_replicas(statement, context)
    if statement.if_exists:
        return plain(NoOpPlan(f"DROP {statement.kind.upper()}"))
    raise SqlError(FEATURE_NOT_SUPPORTED, f"DROP {statement.kind.upper()} is not supported")


def _drop_named(statement: ast.Drop, context: StatementContext) -> DropPlan:
    kind = ObjectKind(statement.kind)
    known = {
        ObjectKind.DATABASE: {name for name, _ in context.catalog.databases()},
        ObjectKind.ROLE: {name for name, _ in context.catalog.roles()},
        ObjectKind.CLUSTER: set(context.catalog.clusters()),
    }[kind]
    missing_state = INVALID_CATALOG_NAME if kind is ObjectKind.DATABASE else UNDEFINED_OBJECT
    names: list[str] = []
    missing: list[str] = []
    for parts, _pos in statement.names:
        name = parts[-1]
        if name in known:
            names.append(name)
        elif statement.if_exists:
            missing.append(f'{kind.value} "{name}"')
        else:
            raise SqlError(missing_state, f'{kind.value} "{name}" does not exist')
    return DropPlan(kind, (), (), tuple(names), tuple(missing), statement.cascade)


def _drop_schemas(statement: ast.Drop, context: StatementContext) -> DropPlan:
    schemas: list[SchemaName] = []
    missing: list[str] = []
    for parts, _pos in statement.names:
        found = context.catalog.schema(context.session.database, parts)
        if found is None:
            if not statement.if_exists:
                raise SqlError(INVALID_SCHEMA_NAME, f'schema "{parts[-1]}" does not exist')
            missing.append(f'schema "{parts[-1]}"')
        elif found.database is None:
            raise SqlError(
                "2BP01",
                f"cannot drop schema {found.schema} because it is required by the database system",
            )
        else:
            schemas.append(found)
    return DropPlan(ObjectKind.SCHEMA, (), tuple(schemas), (), tuple(missing), statement.cascade)


def _drop_items(statement: ast.Drop, context: StatementContext) -> DropPlan:
    kind, item_kind = ITEM_KINDS[statement.kind]
    ids: list[GlobalId] = []
    missing: list[str] = []
    for parts, _pos in statement.names:
        item = existing_item(parts, kind, item_kind, statement.if_exists, context)
        if item is None:
            missing.append(missing_item(parts, kind, context))
        elif item.id not in ids:
            ids.append(item.id)
    return DropPlan(kind, tuple(ids), (), (), tuple(missing), statement.cascade)


_Planner = Callable[[ast.Statement, ParsedStatement, StatementContext], PlannedStatement]
DEFINITION_PLANNERS: Final[dict[type[ast.Statement], _Planner]] = {
    ast.CreateDatabase: _create_database,
    ast.CreateSchema: _create_schema,
    ast.CreateRole: _create_role,
    ast.CreateTable: _create_table,
    ast.CreateView: _create_view,
    CreateMaterializedView: plan_create_materialized_view,
    RefreshMaterializedView: plan_refresh,
    CreateSource: plan_create_source,
    CreateSubsource: refuse_subsource,
    CreateWebhook: plan_create_webhook,
    CreateIndex: plan_create_index,
    CreateCluster: plan_create_cluster,
    CreateReplica: plan_create_replica,
    ast.Drop: _drop,
    **ALTER_PLANNERS,
}
