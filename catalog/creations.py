"""CREATE: one function for each kind of object."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from catalog.drops import dependents_of, detail_of
from catalog.objects import Database, ItemRecord, Role, Schema, StoredCollection
from catalog.operations import (
    CreateDatabase,
    CreateRole,
    CreateSchema,
    CreateTable,
    CreateView,
    OperationResult,
)
from catalog.transaction import (
    RESERVED_PREFIXES,
    Transaction,
    database_missing,
    relation_exists,
)
from core import errors
from core.errors import SqlError
from core.ids import GlobalId
from core.sql_types import RelationDesc
from sql.catalog_view import ItemKind, QualifiedName

RESERVED_NAME: Final = "42939"
INVALID_RECURSION: Final = "42P17"
RESERVED_ROLE_NAMES: Final = frozenset({"public", "none", "current_user", "session_user"})


def create_database(transaction: Transaction, operation: CreateDatabase) -> OperationResult:
    existing = transaction.catalog.database_named(operation.name)
    if existing is not None:
        if operation.if_not_exists:
            return OperationResult(existing.id, was_skipped=True)
        raise SqlError(errors.DUPLICATE_DATABASE, f'database "{operation.name}" already exists')
    owner = transaction.role(operation.owner)
    builder = transaction.builder
    database_id = f"u{builder.allocate('database')}"
    builder.put(Database(database_id, operation.name, transaction.allocate_oid(), owner.id))
    schema_id = f"u{builder.allocate('schema')}"
    builder.put(Schema(schema_id, "public", transaction.allocate_oid(), owner.id, database_id))
    transaction.audit("create", "database", id=database_id, name=operation.name)
    return OperationResult(database_id)


def create_schema(transaction: Transaction, operation: CreateSchema) -> OperationResult:
    catalog = transaction.catalog
    database = catalog.database_named(operation.database)
    if database is None:
        raise database_missing(operation.database)
    existing = catalog.schema_named(operation.database, operation.name)
    existing = existing or catalog.schema_named(None, operation.name)
    if existing is not None:
        if operation.if_not_exists:
            return OperationResult(existing.id, was_skipped=True)
        raise SqlError(errors.DUPLICATE_SCHEMA, f'schema "{operation.name}" already exists')
    check_schema_name(operation.name)
    owner = transaction.role(operation.owner)
    schema_id = f"u{transaction.builder.allocate('schema')}"
    oid = transaction.allocate_oid()
    transaction.builder.put(Schema(schema_id, operation.name, oid, owner.id, database.id))
    transaction.audit("create", "schema", id=schema_id, database=database.name, name=operation.name)
    return OperationResult(schema_id)


def create_role(transaction: Transaction, operation: CreateRole) -> OperationResult:
    check_role_name(operation.name)
    if transaction.catalog.role_named(operation.name) is not None:
        raise SqlError(errors.DUPLICATE_OBJECT, f'role "{operation.name}" already exists')
    role = Role(
        id=f"u{transaction.builder.allocate('role')}",
        name=operation.name,
        oid=transaction.allocate_oid(),
        is_superuser=operation.is_superuser,
        inherits=operation.inherits,
        can_create_role=operation.can_create_role,
        can_create_database=operation.can_create_database,
        can_login=operation.can_login,
    )
    transaction.builder.put(role)
    transaction.audit("create", "role", id=role.id, name=role.name)
    return OperationResult(role.id)


def create_table(transaction: Transaction, operation: CreateTable) -> OperationResult:
    schema, connection = place(transaction, operation.name, operation.temporary_connection)
    existing = transaction.found_in(schema, connection, operation.name.item)
    if existing is not None:
        if operation.if_not_exists:
            return OperationResult(existing, was_skipped=True)
        raise relation_exists(operation.name.item)
    transaction.check_dependencies(operation.depends_on)
    record = new_item(
        transaction,
        schema,
        operation.name.item,
        ItemKind.TABLE,
        operation.owner,
        operation.create_sql,
        operation.desc,
        connection,
        operation.depends_on,
    )
    record = replace(
        record,
        defaults=_normal_defaults(operation.defaults),
        retain_history_us=operation.retain_history_us,
    )
    transaction.builder.put(record)
    transaction.builder.put(StoredCollection(record.id, operation.shard, transaction.context.as_of))
    if operation.contents is not None:
        transaction.contents[record.id] = operation.contents
    transaction.audit_item("create", record)
    return OperationResult(record.id)


def create_view(transaction: Transaction, operation: CreateView) -> OperationResult:
    schema, connection = place(transaction, operation.name, operation.temporary_connection)
    transaction.check_dependencies(operation.depends_on)
    if operation.temporary_connection is None:
        refuse_temporary_dependencies(transaction, operation.depends_on)
    existing = transaction.found_in(schema, connection, operation.name.item)
    if existing is not None:
        if operation.if_not_exists:
            return OperationResult(existing, was_skipped=True)
        if not operation.or_replace:
            raise relation_exists(operation.name.item)
        return _replace_view(transaction, existing, operation)
    record = new_item(
        transaction,
        schema,
        operation.name.item,
        ItemKind.VIEW,
        operation.owner,
        operation.create_sql,
        operation.desc,
        connection,
        operation.depends_on,
    )
    transaction.builder.put(record)
    transaction.audit_item("create", record)
    return OperationResult(record.id)


def check_schema_name(name: str) -> None:
    """42939 for a name that only the system may use."""
    if name.startswith(RESERVED_PREFIXES):
        prefix = name[:3]
        raise SqlError(
            RESERVED_NAME,
            f'unacceptable schema name "{name}"',
            detail=f'The prefix "{prefix}" is reserved for system schemas.',
        )


def check_role_name(name: str) -> None:
    """42939 for a name that only the system may use."""
    if name in RESERVED_ROLE_NAMES:
        raise SqlError(RESERVED_NAME, f'role name "{name}" is reserved')
    if name.startswith(RESERVED_PREFIXES):
        raise SqlError(
            RESERVED_NAME,
            f'role name "{name}" is reserved',
            detail=f'Role names starting with "{name[:3]}" are reserved.',
        )


def place(
    transaction: Transaction, name: QualifiedName, connection: int | None
) -> tuple[Schema, int | None]:
    """Where a new item goes: the schema, and the connection whose temporary item it is."""
    if connection is not None:
        return transaction.temporary_schema(), connection
    return transaction.user_schema(name), None


def new_item(
    transaction: Transaction,
    schema: Schema,
    name: str,
    kind: ItemKind,
    owner: str,
    create_sql: str,
    desc: RelationDesc,
    connection: int | None,
    depends_on: frozenset[GlobalId],
) -> ItemRecord:
    """A record under a new id and oid."""
    prefix = "u" if connection is None else "t"
    return ItemRecord(
        id=GlobalId(f"{prefix}{transaction.builder.allocate('item')}"),
        oid=transaction.allocate_oid(),
        schema_id=schema.id,
        name=name,
        kind=kind,
        owner=transaction.role(owner).id,
        create_sql=create_sql,
        desc=desc,
        depends_on=depends_on,
        temporary_connection=connection,
        created_at=transaction.context.now,
    )


def _normal_defaults(defaults: tuple[str | None, ...]) -> tuple[str | None, ...]:
    return defaults if any(default is not None for default in defaults) else ()


def refuse_temporary_dependencies(transaction: Transaction, ids: Iterable[GlobalId]) -> None:
    """What outlives a connection cannot be defined on its temporary items."""
    for item_id in ids:
        record = transaction.catalog.items[item_id].record
        if record.temporary_connection is not None:
            raise SqlError(
                errors.INVALID_TABLE_DEFINITION,
                "non-temporary items cannot depend on temporary items",
                detail=f'"{record.name}" is temporary.',
            )


def _replace_view(
    transaction: Transaction, item_id: GlobalId, operation: CreateView
) -> OperationResult:
    """CREATE OR REPLACE: the same object, whose columns may only be added to."""
    record = transaction.entry(item_id).record
    if record.kind is not ItemKind.VIEW:
        raise SqlError(errors.WRONG_OBJECT_TYPE, f'"{record.name}" is not a view')
    _check_same_columns(record.desc, operation.desc)
    if item_id in _everything_used_by(transaction, operation.depends_on):
        raise SqlError(
            INVALID_RECURSION,
            f'infinite recursion detected in rules for relation "{record.name}"',
        )
    new = replace(
        record,
        create_sql=operation.create_sql,
        desc=operation.desc,
        depends_on=operation.depends_on,
    )
    if new != record:
        _refuse_maintained_dependents(transaction, new)
        transaction.builder.put(new)
        transaction.builder.definition_changed()
        transaction.audit_item("alter", new)
    return OperationResult(item_id)


def _refuse_maintained_dependents(transaction: Transaction, view: ItemRecord) -> None:
    """What is maintained keeps the meaning it was created with."""
    lines = [
        f"{transaction.describe(record)} depends on {transaction.describe(used)}"
        for record, used in dependents_of(transaction, (view,))
        if record.cluster_id is not None
    ]
    if lines:
        raise SqlError(
            errors.DEPENDENT_OBJECTS_STILL_EXIST,
            f"cannot replace {transaction.describe(view)} because what is maintained depends on it",
            detail=detail_of(lines),
            hint="Drop the materialized views and indexes first, and create them again.",
        )


def _everything_used_by(transaction: Transaction, ids: frozenset[GlobalId]) -> set[GlobalId]:
    seen: set[GlobalId] = set()
    waiting = list(ids)
    while waiting:
        item_id = waiting.pop()
        if item_id not in seen:
            seen.add(item_id)
            waiting.extend(transaction.catalog.items[item_id].record.depends_on)
    return seen


def _check_same_columns(old: RelationDesc, new: RelationDesc) -> None:
    if len(new.columns) < len(old.columns):
        raise SqlError(errors.INVALID_TABLE_DEFINITION, "cannot drop columns from view")
    for before, after in zip(old.columns, new.columns, strict=False):
        if before.name != after.name:
            raise SqlError(
                errors.INVALID_TABLE_DEFINITION,
                f'cannot change name of view column "{before.name}" to "{after.name}"',
                hint="Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.",
            )
        if before.type != after.type:
            raise SqlError(
                errors.INVALID_TABLE_DEFINITION,
                f'cannot change data type of view column "{before.name}" from '
                f"{before.type.info.sql_name} to {after.type.info.sql_name}",
            )
