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
from sql.plan import ObjectKind
from sql.statement_context import StatementContext

ITEM_KINDS: Final = {
    "table": (ObjectKind.TABLE, ItemKind.TABLE),
    "view": (ObjectKind.VIEW, ItemKind.VIEW),
}


def existing_item(
    parts: ast.Name,
    kind: ObjectKind,
    item_kind: ItemKind,
    if_exists: bool,
    context: StatementContext,
) -> CatalogItem | None:
    session = context.session
    item = context.catalog.resolve_item(session.database, session.search_path, parts)
    if item is None:
        if if_exists:
            return None
        if len(parts) > 1 and context.catalog.schema(session.database, parts[:-1]) is None:
            raise SqlError(INVALID_SCHEMA_NAME, f'schema "{".".join(parts[:-1])}" does not exist')
        word = "relation" if kind not in (ObjectKind.TABLE, ObjectKind.VIEW) else kind.value
        raise SqlError(UNDEFINED_TABLE, f'{word} "{".".join(parts)}" does not exist')
    if item.kind is not item_kind:
        hint = {
            ItemKind.VIEW: "Use DROP VIEW to remove a view.",
            ItemKind.TABLE: "Use DROP TABLE to remove a table.",
        }.get(item.kind)
        raise SqlError(WRONG_OBJECT_TYPE, f'"{item.name.item}" is not a {kind.value}', hint=hint)
    if item.is_system:
        raise SqlError("42501", f'permission denied: "{item.name.item}" is a system catalog')
    return item


def check_database(name: str, context: StatementContext) -> None:
    if context.catalog.database_oid(name) is None:
        raise SqlError(INVALID_CATALOG_NAME, f'database "{name}" does not exist')


def check_role(name: str, context: StatementContext) -> None:
    if name not in {role for role, _ in context.catalog.roles()}:
        raise SqlError(UNDEFINED_OBJECT, f'role "{name}" does not exist')
