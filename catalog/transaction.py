"""One catalog transaction in progress: what the functions for single operations share."""

from collections.abc import Iterable
from typing import Final

from catalog.builder import CatalogBuilder
from catalog.objects import AuditEvent, ItemRecord, Role, Schema
from catalog.operations import CatalogChangedError, TransactionContext
from catalog.state import TEMPORARY_SCHEMA, Catalog, ItemEntry
from core import errors
from core.errors import SqlError
from core.ids import GlobalId
from persist.batches import Batch
from sql.catalog_view import ItemKind, QualifiedName

FIRST_USER_OID: Final = 20_000
RESERVED_PREFIXES: Final = ("pg_", "mz_")
KIND_WORDS: Final = {
    ItemKind.TABLE: "table",
    ItemKind.VIEW: "view",
    ItemKind.MATERIALIZED_VIEW: "materialized view",
    ItemKind.SOURCE: "source",
    ItemKind.INDEX: "index",
}


class Transaction:
    """A builder, what the transaction was planned on, and what it leaves for the commit."""

    def __init__(
        self, builder: CatalogBuilder, planned_revision: int, context: TransactionContext
    ) -> None:
        self.builder = builder
        self.planned_revision = planned_revision
        self.context = context
        self.contents: dict[GlobalId, Batch] = {}

    @property
    def catalog(self) -> Catalog:
        return self.builder.catalog

    def allocate_oid(self) -> int:
        return self.builder.allocate("oid", FIRST_USER_OID)

    def entry(self, item_id: GlobalId) -> ItemEntry:
        """The item, which must still mean what it meant when the statement was planned."""
        entry = self.catalog.items.get(item_id)
        if entry is None:
            raise CatalogChangedError(f"item {item_id} is gone")
        if self.planned_revision < entry.definition_revision < self.builder.revision:
            raise CatalogChangedError(f"item {item_id} was redefined")
        return entry

    def check_dependencies(self, ids: Iterable[GlobalId]) -> None:
        """All of them must still mean what they meant when the statement was planned."""
        for item_id in ids:
            self.entry(item_id)

    def user_schema(self, name: QualifiedName) -> Schema:
        """The schema that a new item named `name` goes to. 3F000, 42501."""
        if name.database is None:
            if self.catalog.schema_named(None, name.schema) is not None:
                raise SqlError(
                    errors.INSUFFICIENT_PRIVILEGE,
                    f'permission denied to create "{name.schema}.{name.item}"',
                    detail="System catalog modifications are currently disallowed.",
                )
            raise schema_missing(name.schema)
        schema = self.catalog.schema_named(name.database, name.schema)
        if schema is None:
            raise schema_missing(name.schema)
        return schema

    def temporary_schema(self) -> Schema:
        schema = self.catalog.schema_named(None, TEMPORARY_SCHEMA)
        assert schema is not None
        return schema

    def role(self, name: str) -> Role:
        """42704 when there is none."""
        role = self.catalog.role_named(name)
        if role is None:
            raise SqlError(errors.UNDEFINED_OBJECT, f'role "{name}" does not exist')
        return role

    def found_in(self, schema: Schema, connection: int | None, name: str) -> GlobalId | None:
        """The item of that name in a schema (of a connection, for temporary ones)."""
        contents = self.catalog.contents.get((schema.id, connection))
        return None if contents is None else contents.get(name)

    def audit(self, event_type: str, object_type: str, **details: str) -> None:
        """Append to the audit log."""
        self.builder.put(
            AuditEvent(
                id=self.builder.allocate("audit_event"),
                event_type=event_type,
                object_type=object_type,
                details=tuple(details.items()),
                user=self.context.user,
                occurred_at=self.context.now,
            )
        )

    def audit_item(self, event_type: str, record: ItemRecord) -> None:
        """Append an item's event; temporary items are not logged."""
        if record.temporary_connection is not None:
            return
        schema = self.catalog.schema_name(self.catalog.schemas[record.schema_id])
        self.audit(
            event_type,
            str(record.kind),
            id=record.id,
            database=schema.database or "",
            schema=schema.schema,
            item=record.name,
        )

    def describe(self, record: ItemRecord) -> str:
        """The item as PostgreSQL's messages name it: `table t`, or `view s.v` outside public."""
        schema = self.catalog.schemas[record.schema_id]
        is_plain = schema.name in ("public", TEMPORARY_SCHEMA)
        name = record.name if is_plain else f"{schema.name}.{record.name}"
        return f"{KIND_WORDS[record.kind]} {name}"


def schema_missing(name: str) -> SqlError:
    """The error for a schema that does not exist."""
    return SqlError(errors.INVALID_SCHEMA_NAME, f'schema "{name}" does not exist')


def database_missing(name: str) -> SqlError:
    """The error for a database that does not exist."""
    return SqlError(errors.INVALID_CATALOG_NAME, f'database "{name}" does not exist')


def relation_exists(name: str) -> SqlError:
    """The error for a relation name that is taken."""
    return SqlError(errors.DUPLICATE_TABLE, f'relation "{name}" already exists')


def refuse_system(name: str, is_system: bool) -> None:
    """42501 for system objects."""
    if is_system:
        raise SqlError(
            errors.INSUFFICIENT_PRIVILEGE, f'permission denied: "{name}" is a system catalog'
        )
