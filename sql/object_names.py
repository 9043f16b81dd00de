"""Objects that DDL names: found, of the right kind, and no system catalog."""

from typing import Final

from core.errors import (
    INVALID_CATALOG_NAME,
    INVALID_SCHEMA_NAME,
    UNDEFINED_OBJECT,
    UNDEFINED_TABLE,
    WRONG_OBJECT_TYPE,
    SqlError,
)
from sql import syntax as ast
from sql.catalog_view import CatalogItem, ItemKind
from sql.plan import NoOpPlan, ObjectKind
from sql.statement_context import StatementContext

ITEM_KINDS: Final = {
    "table": (ObjectKind.TABLE, ItemKind.TABLE),
    "view": (ObjectKind.VIEW, ItemKind.VIEW),
    "materialized view": (ObjectKind.MATERIALIZED_VIEW, ItemKind.MATERIALIZED_VIEW),
    "index": (ObjectKind.INDEX, ItemKind.INDEX),
    "source": (ObjectKind.SOURCE, ItemKind.SOURCE),
}

DROP_HINTS: Final = {
    ItemKind.VIEW: "Use DROP VIEW to remove a view.",
    ItemKind.TABLE: "Use DROP TABLE to remove a table.",
    ItemKind.MATERIALIZED_VIEW: "Use DROP MATERIALIZED VIEW to remove a materialized view.",
    ItemKind.INDEX: "Use DROP INDEX to remove an index.",
    ItemKind.SOURCE: "Use DROP SOURCE to remove a source.",
}


def existing_item(
    parts: ast.Name,
    kind: ObjectKind,
    item_kind: ItemKind,
    if_exists: bool,
    context: StatementContext,
) -> CatalogItem | None:
    """The item to drop or to change; None if there is none and IF EXISTS allows that."""
    session = context.session
    item = context.catalog.resolve_item(session.database, session.search_path, parts)
    if item is None:
        if if_exists:
            return None
        undefined = UNDEFINED_OBJECT if kind is ObjectKind.INDEX else UNDEFINED_TABLE
        state = undefined if is_schema_there(parts, context) else INVALID_SCHEMA_NAME
        raise SqlError(state, f"{missing_item(parts, kind, context)} does not exist")
    if item.is_system:
        raise SqlError("42501", f'permission denied: "{item.name.item}" is a system catalog')
    if item.kind is not item_kind:
        raise wrong_kind(item, kind, DROP_HINTS.get(item.kind))
    return item


def altered_item(
    parts: ast.Name,
    kind: ObjectKind,
    item_kind: ItemKind,
    if_exists: bool,
    context: StatementContext,
) -> CatalogItem | None:
    """The item that an ALTER names; ALTER TABLE and ALTER INDEX may name any relation. In
    PostgreSQL's words."""
    session = context.session
    item = context.catalog.resolve_item(session.database, session.search_path, parts)
    if item is not None and kind in (ObjectKind.TABLE, ObjectKind.INDEX):
        item_kind = item.kind
    try:
        return existing_item(parts, kind, item_kind, if_exists, context)
    except SqlError as error:
        if error.sqlstate in (UNDEFINED_TABLE, UNDEFINED_OBJECT):
            error.sqlstate = UNDEFINED_TABLE
            error.message = f'relation "{".".join(parts)}" does not exist'
        error.hint = None  # which speaks of DROP
        raise


def skipped(kind: ObjectKind, name: ast.Name) -> NoOpPlan:
    """What ALTER … IF EXISTS does when there is nothing of the name."""
    word = kind.value if kind is ObjectKind.CLUSTER else "relation"
    notice = f'{word} "{".".join(name)}" does not exist, skipping'
    return NoOpPlan(f"ALTER {kind.value.upper()}", notice=notice)


def user_relation(name: ast.Name, context: StatementContext) -> CatalogItem:
    """A relation that is no system catalog. Raises SqlError 42P01, 42501."""
    session = context.session
    item = context.catalog.resolve_item(session.database, session.search_path, name)
    if item is None:
        raise SqlError(UNDEFINED_TABLE, f'relation "{".".join(name)}" does not exist')
    if item.is_system:
        raise SqlError("42501", f'permission denied: "{item.name.item}" is a system catalog')
    return item


def wrong_kind(item: CatalogItem, kind: ObjectKind, hint: str | None = None) -> SqlError:
    """The error for an item of another kind than the one that is meant."""
    article = "an" if kind is ObjectKind.INDEX else "a"
    message = f'"{item.name.item}" is not {article} {kind.value}'
    return SqlError(WRONG_OBJECT_TYPE, message, hint=hint)


def is_without_rows(item: CatalogItem) -> bool:
    """Whether it is a source whose rows are those of its subsources."""
    return item.kind is ItemKind.SOURCE and not item.desc.columns


def cannot_open(item: CatalogItem, pos: int | None) -> SqlError:
    """The error for an index, or a source of many tables, where a relation with rows of its own is
    named."""
    things = "indexes" if item.kind is ItemKind.INDEX else "sources of several tables"
    return SqlError(
        WRONG_OBJECT_TYPE,
        f'cannot open relation "{item.name.item}"',
        detail=f"This operation is not supported for {things}.",
        position=None if pos is None else pos + 1,
    )


def is_schema_there(parts: ast.Name, context: StatementContext) -> bool:
    """Whether the schema that a relation's name is qualified with exists, if it is."""
    schema = parts[:-1]
    return not schema or context.catalog.schema(context.session.database, schema) is not None


def missing_item(parts: ast.Name, kind: ObjectKind, context: StatementContext) -> str:
    """What to call the thing that is missing: the relation, or already its schema."""
    if is_schema_there(parts, context):
        return f'{kind.value} "{parts[-1]}"'
    return f'schema "{".".join(parts[:-1])}"'


def check_database(name: str, context: StatementContext) -> None:
    if context.catalog.database_oid(name) is None:
        raise SqlError(INVALID_CATALOG_NAME, f'database "{name}" does not exist')


def check_role(name: str, context: StatementContext) -> None:
    if name not in {role for role, _ in context.catalog.roles()}:
        raise SqlError(UNDEFINED_OBJECT, f'role "{name}" does not exist')
