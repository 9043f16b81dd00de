"""DROP: what goes along, what stands in the way, and what is left for the finalizer."""

from collections.abc import Iterable, Sequence
from typing import Final

from catalog.objects import Comment, ItemRecord, Schema, UnfinalizedShard
from catalog.operations import (
    CatalogChangedError,
    DropDatabases,
    DropItems,
    DropRoles,
    DropSchemas,
    DropTemporaryItems,
    OperationResult,
)
from catalog.transaction import (
    Transaction,
    database_missing,
    refuse_system,
    schema_missing,
)
from core import errors
from core.errors import SqlError
from core.ids import GlobalId
from sql.catalog_view import ItemKind, SchemaName

MAX_DETAIL_LINES: Final = 100
OBJECT_IN_USE: Final = "55006"
CASCADE_HINT: Final = "Use DROP ... CASCADE to drop the dependent objects too."


def drop_items(transaction: Transaction, operation: DropItems) -> OperationResult:
    roots: list[ItemRecord] = []
    for item_id in dict.fromkeys(operation.ids):
        if item_id not in transaction.catalog.items:
            if operation.if_exists:
                continue
            raise CatalogChangedError(f"item {item_id} is gone")
        record = transaction.catalog.items[item_id].record
        refuse_system(record.name, record.is_system)
        roots.append(record)
    if not roots:
        return OperationResult(was_skipped=True)
    _refuse_parts(transaction, roots)
    dependents = _in_the_way(dependents_of(transaction, roots))
    if dependents and not operation.cascade:
        subject = (
            f"cannot drop {transaction.describe(roots[0])} because other objects depend on it"
            if len(roots) == 1
            else "cannot drop desired object(s) because other objects depend on them"
        )
        raise dependency_error(
            subject,
            [
                f"{transaction.describe(record)} depends on {transaction.describe(used)}"
                for record, used in dependents
            ],
        )
    cascaded = tuple(transaction.describe(record) for record, _ in dependents)
    drop_with_dependents(transaction, roots)
    return OperationResult(roots[0].id, cascaded=cascaded)


def drop_schemas(transaction: Transaction, operation: DropSchemas) -> OperationResult:
    cascaded: list[str] = []
    dropped: str | None = None
    for name in dict.fromkeys(operation.schemas):
        schema = transaction.catalog.schema_named(name.database, name.schema)
        if schema is None:
            if operation.if_exists:
                continue
            raise schema_missing(name.schema)
        cascaded.extend(_drop_schema(transaction, schema, name, operation.cascade))
        dropped = schema.id
    return OperationResult(dropped, was_skipped=dropped is None, cascaded=tuple(cascaded))


def drop_databases(transaction: Transaction, operation: DropDatabases) -> OperationResult:
    dropped: str | None = None
    for name in dict.fromkeys(operation.names):
        database = transaction.catalog.database_named(name)
        if database is None:
            if operation.if_exists:
                continue
            raise database_missing(name)
        schemas = [s for s in transaction.catalog.schemas.values() if s.database_id == database.id]
        if operation.restrict and any(_items_of(transaction, schema) for schema in schemas):
            raise SqlError(
                errors.DEPENDENT_OBJECTS_STILL_EXIST,
                f'database "{name}" cannot be dropped with RESTRICT while it contains objects',
            )
        for schema in schemas:
            _drop_schema(transaction, schema, transaction.catalog.schema_name(schema), cascade=True)
        remove_comments(transaction, "database", database.id)
        transaction.builder.remove(database)
        transaction.audit("drop", "database", id=database.id, name=name)
        dropped = database.id
    return OperationResult(dropped, was_skipped=dropped is None)


def drop_roles(transaction: Transaction, operation: DropRoles) -> OperationResult:
    dropped: str | None = None
    for name in dict.fromkeys(operation.names):
        role = transaction.catalog.role_named(name)
        if role is None:
            if operation.if_exists:
                continue
            raise SqlError(errors.UNDEFINED_OBJECT, f'role "{name}" does not exist')
        if role.id.startswith("s"):
            raise SqlError(
                errors.INSUFFICIENT_PRIVILEGE, f'role "{name}" is required by the system'
            )
        if name == transaction.context.user:
            raise SqlError(OBJECT_IN_USE, "current user cannot be dropped")
        owned = _owned_by(transaction, role.id)
        if owned:
            raise SqlError(
                errors.DEPENDENT_OBJECTS_STILL_EXIST,
                f'role "{name}" cannot be dropped because some objects depend on it',
                detail=detail_of([f"owner of {thing}" for thing in owned]),
            )
        remove_comments(transaction, "role", role.id)
        transaction.builder.remove(role)
        transaction.audit("drop", "role", id=role.id, name=name)
        dropped = role.id
    return OperationResult(dropped, was_skipped=dropped is None)


def drop_temporary_items(
    transaction: Transaction, operation: DropTemporaryItems
) -> OperationResult:
    catalog = transaction.catalog
    records = [
        catalog.items[item_id].record for item_id in catalog.temporary_items(operation.connection)
    ]
    _remove_items(transaction, records)
    return OperationResult(was_skipped=not records)


def _drop_schema(
    transaction: Transaction, schema: Schema, name: SchemaName, cascade: bool
) -> list[str]:
    refuse_system(schema.name, schema.database_id is None)
    items = _items_of(transaction, schema)
    named = [record for record in items if not _belongs(record)]
    if named and not cascade:
        raise dependency_error(
            f"cannot drop schema {schema.name} because other objects depend on it",
            [f"{transaction.describe(r)} depends on schema {schema.name}" for r in named],
        )
    outside = [record for record, _ in _in_the_way(dependents_of(transaction, items))]
    described = [transaction.describe(record) for record in (*named, *outside)]
    drop_with_dependents(transaction, items)
    remove_comments(transaction, "schema", schema.id)
    transaction.builder.remove(schema)
    transaction.audit(
        "drop", "schema", id=schema.id, database=name.database or "", name=schema.name
    )
    return described


def _items_of(transaction: Transaction, schema: Schema) -> list[ItemRecord]:
    contents = transaction.catalog.contents.get((schema.id, None))
    if contents is None:
        return []
    records = [transaction.catalog.items[item_id].record for item_id in contents.values()]
    return sorted(records, key=lambda record: record.oid)


def dependents_of(
    transaction: Transaction, roots: Iterable[ItemRecord]
) -> list[tuple[ItemRecord, ItemRecord]]:
    """Everything outside `roots` that depends on one of them, directly or not, nearest first,
    with the item that it depends on."""
    catalog = transaction.catalog
    waiting = list(roots)
    seen = {record.id for record in waiting}
    found: list[tuple[ItemRecord, ItemRecord]] = []
    for used in waiting:  # grows while it is walked
        direct = (
            catalog.items[item_id].record
            for item_id in catalog.dependents.get(used.id, frozenset())
        )
        for record in sorted(direct, key=lambda record: record.oid):
            if record.id not in seen:
                seen.add(record.id)
                waiting.append(record)
                found.append((record, used))
    return found


def _in_the_way(
    dependents: list[tuple[ItemRecord, ItemRecord]],
) -> list[tuple[ItemRecord, ItemRecord]]:
    """Dependents that a DROP must name or cascade to; indexes just go with what they are on, and
    subsources with their source."""
    return [pair for pair in dependents if not _belongs(pair[0])]


def _belongs(record: ItemRecord) -> bool:
    return record.kind is ItemKind.INDEX or record.is_subsource


def _refuse_parts(transaction: Transaction, roots: Iterable[ItemRecord]) -> None:
    """A subsource goes with its source only."""
    ids = {record.id for record in roots}
    for record in roots:
        if record.is_subsource and not record.depends_on <= ids:
            (source_id,) = record.depends_on
            source = transaction.describe(transaction.catalog.items[source_id].record)
            raise SqlError(
                errors.DEPENDENT_OBJECTS_STILL_EXIST,
                f"cannot drop {transaction.describe(record)} because {source} requires it",
                hint=f"You can drop {source} instead.",
            )


def drop_with_dependents(transaction: Transaction, roots: Sequence[ItemRecord]) -> None:
    """Remove items and everything that depends on them."""
    dependents = dependents_of(transaction, roots)
    _remove_items(transaction, [*roots, *(record for record, _ in dependents)])


def _remove_items(transaction: Transaction, records: Iterable[ItemRecord]) -> None:
    """Remove items, dependents before what they depend on does not matter: all of them go."""
    for record in records:
        transaction.audit_item("drop", record)
        collection = transaction.catalog.collections.get(record.id)
        if collection is not None:
            transaction.builder.remove(collection)
            transaction.builder.put(UnfinalizedShard(collection.shard))
        remove_comments(transaction, str(record.kind), record.id)
        transaction.builder.remove(record)


def remove_comments(transaction: Transaction, object_type: str, object_id: str) -> None:
    """Remove the comments on an object and on its columns."""
    catalog = transaction.catalog
    item = catalog.items.get(GlobalId(object_id))
    columns = range(1, len(item.record.desc.columns) + 1) if item is not None else ()
    for column in (None, *columns):
        stored = catalog.objects.get((Comment, (object_type, object_id, column)))
        if stored is not None:
            transaction.builder.remove(stored)


def _owned_by(transaction: Transaction, role_id: str) -> list[str]:
    catalog = transaction.catalog
    return [
        *(f"database {d.name}" for d in catalog.databases.values() if d.owner == role_id),
        *(f"schema {s.name}" for s in catalog.schemas.values() if s.owner == role_id),
        *(f"cluster {c.name}" for c in catalog.clusters.values() if c.owner == role_id),
        *(
            transaction.describe(entry.record)
            for entry in catalog.items.values()
            if entry.record.owner == role_id
        ),
    ]


def dependency_error(message: str, lines: list[str]) -> SqlError:
    """2BP01: what would have to go along."""
    return SqlError(
        errors.DEPENDENT_OBJECTS_STILL_EXIST, message, detail=detail_of(lines), hint=CASCADE_HINT
    )


def detail_of(lines: list[str]) -> str:
    """The lines of a DETAIL, as many as one may have."""
    shown = lines[:MAX_DETAIL_LINES]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} other objects")
    return "\n".join(shown)
