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

DROP_HINTS: Final = {
    ItemKind.VIEW: "Use DROP VIEW to remove a view.",
    ItemKind.TABLE: "Use DROP TABLE to remove a table.",
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
        state = UNDEFINED_TABLE if is_schema_there(parts, context) else INVALID_SCHEMA_NAME
        raise SqlError(state, f"{missing_item(parts, kind, context)} does not exist")
    if item.is_system:
        raise SqlError("42501", f'permission denied: "{item.name.item}" is a system catalog')
    if item.kind is not item_kind:
        raise SqlError(
            WRONG_OBJECT_TYPE,
            f'"{item.name.item}" is not a {kind.value}',
            hint=DROP_HINTS.get(item.kind),
        )
    return item


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
