"""ALTER and COMMENT ON: what they name, and what is to become of it."""

from collections.abc import Callable
from typing import Final

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_SCHEMA_NAME,
    UNDEFINED_COLUMN,
    UNDEFINED_OBJECT,
    SqlError,
)
from sql import syntax as ast
from sql.catalog_view import CatalogItem, ItemKind
from sql.cluster_planner import check_cluster, plan_cluster_options, replica_name
from sql.maintained_planner import plan_item_options
from sql.maintained_syntax import AlterOptions
from sql.new_items import plain
from sql.object_names import (
    ITEM_KINDS,
    altered_item,
    check_database,
    check_role,
    existing_item,
    skipped,
    user_relation,
    wrong_kind,
)
from sql.parse import ParsedStatement
from sql.plan import (
    CommentPlan,
    NoOpPlan,
    ObjectKind,
    PlannedStatement,
    RenameColumnPlan,
    RenamePlan,
)
from sql.statement_context import StatementContext

CONSTRAINT_NOTICE: Final = "constraints other than NOT NULL are accepted but not enforced"


def _alter_rename(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.AlterRename)
    if statement.column is not None:
        return _rename_column(statement, statement.column, context)
    new_name = statement.new_name
    match statement.kind:
        case "table" | "view" | "materialized view" | "index" | "source":
            kind, item_kind = ITEM_KINDS[statement.kind]
            item = altered_item(statement.name, kind, item_kind, statement.if_exists, context)
            if item is None:
                return plain(skipped(kind, statement.name))
            return plain(RenamePlan(kind, item.id, None, None, new_name))
        case "schema":
            schema = context.catalog.schema(context.session.database, statement.name)
            if schema is None or schema.database is None:
                raise SqlError(INVALID_SCHEMA_NAME, f'schema "{statement.name[-1]}" does not exist')
            return plain(RenamePlan(ObjectKind.SCHEMA, None, schema, None, new_name))
        case "database":
            check_database(statement.name[-1], context)
            return plain(RenamePlan(ObjectKind.DATABASE, None, None, statement.name[-1], new_name))
        case "role":
            check_role(statement.name[-1], context)
            return plain(RenamePlan(ObjectKind.ROLE, None, None, statement.name[-1], new_name))
        case "cluster":
            name = statement.name[-1]
            if statement.if_exists and name not in context.catalog.clusters():
                return plain(skipped(ObjectKind.CLUSTER, statement.name))
            check_cluster(name, context)
            return plain(RenamePlan(ObjectKind.CLUSTER, None, None, name, new_name))
    raise SqlError(FEATURE_NOT_SUPPORTED, f"ALTER {statement.kind.upper()} is not supported")


def _rename_column(
    statement: ast.AlterRename, column: str, context: StatementContext
) -> PlannedStatement:
    if statement.kind != "table":
        what = f"ALTER {statement.kind.upper()} RENAME COLUMN"
        raise SqlError(FEATURE_NOT_SUPPORTED, f"{what} is not supported")
    item = altered_item(statement.name, *ITEM_KINDS["table"], statement.if_exists, context)
    if item is None:
        return plain(skipped(ObjectKind.TABLE, statement.name))
    if item.kind is not ItemKind.TABLE:
        what = item.kind.value.replace("-", " ")
        raise SqlError(FEATURE_NOT_SUPPORTED, f"renaming a column of a {what} is not supported")
    if column not in item.desc.names:
        raise SqlError(UNDEFINED_COLUMN, f'column "{column}" does not exist')
    return plain(RenameColumnPlan(item.id, column, statement.new_name))


def _alter_tolerated(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """ALTER … OWNER TO and the adding of constraints: accepted when the object exists."""
    assert isinstance(statement, ast.AlterTolerated)
    tag = f"ALTER {statement.kind.upper()}"
    if statement.kind in ITEM_KINDS:
        kind, item_kind = ITEM_KINDS[statement.kind]
        existing_item(statement.name, kind, item_kind, statement.if_exists, context)
    elif statement.kind == "role":
        check_role(statement.name[-1], context)
    elif statement.kind == "database":
        check_database(statement.name[-1], context)
    elif statement.kind == "cluster" and not statement.if_exists:
        check_cluster(statement.name[-1], context)
    action = statement.action
    if action.startswith("owner "):
        return plain(NoOpPlan(tag, "owners are recorded at creation and do not change"))
    if action in ("add primary", "add constraint", "add unique", "add foreign", "add check"):
        return plain(NoOpPlan(tag, CONSTRAINT_NOTICE))
    if action.startswith(("set (", "reset (", "cluster ", "replica ")) and (
        statement.kind != "cluster"
    ):
        return plain(NoOpPlan(tag))
    raise SqlError(FEATURE_NOT_SUPPORTED, f"{tag} {action.upper().strip()} is not supported")


# COMMENT


def _comment(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.Comment)
    kind, name, text = statement.kind, statement.name, statement.text
    if kind in ITEM_KINDS:
        object_kind, item_kind = ITEM_KINDS[kind]
        item = _commented_item(name, object_kind, item_kind, context)
        return plain(CommentPlan(object_kind, item.id, None, None, None, text))
    match kind:
        case "column":
            if len(name) < 2:
                raise SqlError("42601", "column name must be qualified")
            item = user_relation(name[:-1], context)
            position = _column_position(item, name)
            return plain(CommentPlan(ObjectKind.TABLE, item.id, None, None, position, text))
        case "schema":
            schema = context.catalog.schema(context.session.database, name)
            if schema is None:
                raise SqlError(INVALID_SCHEMA_NAME, f'schema "{name[-1]}" does not exist')
            return plain(CommentPlan(ObjectKind.SCHEMA, None, schema, None, None, text))
        case "database":
            check_database(name[-1], context)
        case "role":
            check_role(name[-1], context)
        case "cluster":
            check_cluster(name[-1], context)
        case "cluster replica":
            return plain(_replica_comment(name, text, context))
        case _:
            raise AssertionError(kind)
    return plain(CommentPlan(ObjectKind(kind), None, None, name[-1], None, text))


def _replica_comment(parts: ast.Name, text: str | None, context: StatementContext) -> CommentPlan:
    cluster, name = replica_name(parts, -1)
    check_cluster(cluster, context)
    if name not in context.catalog.replicas(cluster):
        raise SqlError(UNDEFINED_OBJECT, f'cluster replica "{cluster}.{name}" does not exist')
    return CommentPlan(ObjectKind.CLUSTER_REPLICA, None, None, name, None, text, cluster)


def _commented_item(
    name: ast.Name, kind: ObjectKind, item_kind: ItemKind, context: StatementContext
) -> CatalogItem:
    item = user_relation(name, context)
    if item.kind is not item_kind:
        raise wrong_kind(item, kind)
    return item


def _column_position(item: CatalogItem, name: ast.Name) -> int:
    """Counted from 1; `name` is the column's, qualified."""
    *relation, column = name
    names = item.desc.names
    if column not in names:
        raise SqlError(
            UNDEFINED_COLUMN,
            f'column "{column}" of relation "{".".join(relation)}" does not exist',
        )
    return names.index(column) + 1


def _alter_options(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, AlterOptions)
    if statement.kind == "cluster":
        return plan_cluster_options(statement, context)
    return plan_item_options(statement, context)


_Planner = Callable[[ast.Statement, ParsedStatement, StatementContext], PlannedStatement]
ALTER_PLANNERS: Final[dict[type[ast.Statement], _Planner]] = {
    ast.AlterRename: _alter_rename,
    ast.AlterTolerated: _alter_tolerated,
    ast.Comment: _comment,
    AlterOptions: _alter_options,
}
