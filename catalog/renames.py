"""ALTER … RENAME: the object itself, and every normalised definition that quotes its name."""

from collections.abc import Iterable
from dataclasses import replace

from catalog.creations import check_role_name, check_schema_name
from catalog.drops import detail_of
from catalog.objects import ItemRecord
from catalog.operations import (
    CatalogChangedError,
    OperationResult,
    RenameColumn,
    RenameDatabase,
    RenameItem,
    RenameRole,
    RenameSchema,
)
from catalog.rewrite import Parts, rewrite_names
from catalog.state import ItemEntry
from catalog.transaction import (
    Transaction,
    database_missing,
    refuse_system,
    relation_exists,
    schema_missing,
)
from core import errors
from core.errors import SqlError
from core.ids import GlobalId
from core.sql_types import Column, RelationDesc
from sql.catalog_view import ItemKind, QualifiedName
from sql.definition_text import create_table_sql
from sql.maintained_text import renamed_in, retained_history, with_renamed_column


def rename_item(transaction: Transaction, operation: RenameItem) -> OperationResult:
    catalog = transaction.catalog
    entry = _renamable(transaction, operation.id)
    record = entry.record
    schema = catalog.schemas[record.schema_id]
    if transaction.found_in(schema, record.temporary_connection, operation.new_name) is not None:
        raise relation_exists(operation.new_name)
    old = _parts(entry.item.name)
    renames = {old: (*old[:-1], operation.new_name)}
    _rewrite(transaction, {record.id, *catalog.dependents.get(record.id, ())}, renames)
    rewritten = transaction.catalog.items[record.id].record
    new = replace(rewritten, name=operation.new_name)
    transaction.builder.put(new)
    transaction.builder.definition_changed()
    transaction.audit("alter", str(record.kind), id=record.id, old=record.name, new=new.name)
    return OperationResult(record.id)


def rename_column(transaction: Transaction, operation: RenameColumn) -> OperationResult:
    """The keys of indexes are rewritten. Other definitions that name the table are not: text alone
    does not tell whether a name in them is the column's."""
    catalog = transaction.catalog
    entry = _renamable(transaction, operation.id)
    record = entry.record
    if record.kind is not ItemKind.TABLE:
        raise SqlError(errors.WRONG_OBJECT_TYPE, f'"{record.name}" is not a table')
    names = record.desc.names
    if operation.column not in names:
        raise CatalogChangedError(f"column {operation.column} is gone")
    if operation.new_name in names:
        raise SqlError(
            errors.DUPLICATE_COLUMN,
            f'column "{operation.new_name}" of relation "{record.name}" already exists',
        )
    dependents = [catalog.items[id].record for id in catalog.dependents.get(record.id, ())]
    lines = sorted(
        f"{transaction.describe(dependent)} depends on {transaction.describe(record)}"
        for dependent in dependents
        if dependent.kind is not ItemKind.INDEX
    )
    if lines:
        raise SqlError(
            errors.DEPENDENT_OBJECTS_STILL_EXIST,
            f"cannot rename column {operation.column} of table {record.name} because other "
            "objects depend on it",
            detail=detail_of(lines),
        )
    desc = _with_renamed(record.desc, names.index(operation.column), operation.new_name)
    is_temporary = record.temporary_connection is not None
    defaults = record.defaults or (None,) * len(desc.columns)
    create_sql = create_table_sql(
        entry.item.name,
        desc,
        defaults,
        temporary=is_temporary,
        retain_history=retained_history(record.create_sql),
    )
    transaction.builder.put(replace(record, desc=desc, create_sql=create_sql))
    for index in dependents:
        position = names.index(operation.column) + 1
        transaction.builder.put(_rekeyed(index, position, operation))
    transaction.builder.definition_changed()
    transaction.audit(
        "alter", str(record.kind), id=record.id, old=operation.column, new=operation.new_name
    )
    return OperationResult(record.id)


def _rekeyed(index: ItemRecord, position: int, operation: RenameColumn) -> ItemRecord:
    """An index after column `position` (from 1) of what it is on was renamed."""
    old, new = operation.column, operation.new_name
    key = tuple(
        part if isinstance(part, int) else renamed_in(part, old, new) for part in index.index_key
    )
    desc = index.desc
    if position in key:
        desc = _with_renamed(desc, key.index(position), new)
    create_sql = with_renamed_column(index.create_sql, old, new)
    return replace(index, index_key=key, desc=desc, create_sql=create_sql)


def _with_renamed(desc: RelationDesc, index: int, name: str) -> RelationDesc:
    columns = list(desc.columns)
    columns[index] = Column(name, columns[index].type, columns[index].nullable)
    return RelationDesc(tuple(columns))


def _renamable(transaction: Transaction, id: GlobalId) -> ItemEntry:
    entry = transaction.catalog.items.get(id)
    if entry is None:
        raise CatalogChangedError(f"item {id} is gone")
    refuse_system(entry.record.name, entry.record.is_system)
    return entry


def rename_schema(transaction: Transaction, operation: RenameSchema) -> OperationResult:
    catalog = transaction.catalog
    schema = catalog.schema_named(operation.schema.database, operation.schema.schema)
    if schema is None:
        raise schema_missing(operation.schema.schema)
    refuse_system(schema.name, schema.database_id is None)
    taken = catalog.schema_named(operation.schema.database, operation.new_name)
    if taken is not None or catalog.schema_named(None, operation.new_name) is not None:
        raise SqlError(errors.DUPLICATE_SCHEMA, f'schema "{operation.new_name}" already exists')
    check_schema_name(operation.new_name)
    contents = tuple(catalog.contents.get((schema.id, None), {}).values())
    transaction.builder.put(replace(schema, name=operation.new_name))
    _move(transaction, contents, {1: operation.new_name})
    transaction.audit("alter", "schema", id=schema.id, old=schema.name, new=operation.new_name)
    return OperationResult(schema.id)


def rename_database(transaction: Transaction, operation: RenameDatabase) -> OperationResult:
    catalog = transaction.catalog
    database = catalog.database_named(operation.name)
    if database is None:
        raise database_missing(operation.name)
    if catalog.database_named(operation.new_name) is not None:
        raise SqlError(errors.DUPLICATE_DATABASE, f'database "{operation.new_name}" already exists')
    contents = [
        item_id
        for schema in catalog.schemas.values()
        if schema.database_id == database.id
        for item_id in catalog.contents.get((schema.id, None), {}).values()
    ]
    transaction.builder.put(replace(database, name=operation.new_name))
    _move(transaction, contents, {0: operation.new_name})
    transaction.audit(
        "alter", "database", id=database.id, old=database.name, new=operation.new_name
    )
    return OperationResult(database.id)


def rename_role(transaction: Transaction, operation: RenameRole) -> OperationResult:
    role = transaction.role(operation.name)
    if role.id.startswith("s"):
        raise SqlError(
            errors.INSUFFICIENT_PRIVILEGE, f'role "{role.name}" is required by the system'
        )
    check_role_name(operation.new_name)
    if transaction.catalog.role_named(operation.new_name) is not None:
        raise SqlError(errors.DUPLICATE_OBJECT, f'role "{operation.new_name}" already exists')
    transaction.builder.put(replace(role, name=operation.new_name))
    for entry in transaction.catalog.items.values():
        if entry.record.owner == role.id:
            transaction.builder.refresh(entry.record)
    transaction.audit("alter", "role", id=role.id, old=role.name, new=operation.new_name)
    return OperationResult(role.id)


def _move(transaction: Transaction, ids: Iterable[GlobalId], changes: dict[int, str]) -> None:
    """The items `ids` got another qualifier: parts of their names, by position, as in `changes`.

    Their `CatalogItem`s still carry the old names when this starts.
    """
    catalog = transaction.catalog
    renames: dict[Parts, Parts] = {}
    affected: set[GlobalId] = set()
    moved = tuple(ids)
    for item_id in moved:
        old = _parts(catalog.items[item_id].item.name)
        renames[old] = tuple(changes.get(position, part) for position, part in enumerate(old))
        affected |= {item_id, *catalog.dependents.get(item_id, ())}
    _rewrite(transaction, affected, renames)
    for item_id in moved:
        transaction.builder.refresh(transaction.catalog.items[item_id].record)
    transaction.builder.definition_changed()


def _rewrite(
    transaction: Transaction, ids: Iterable[GlobalId], renames: dict[Parts, Parts]
) -> None:
    for item_id in ids:
        record = transaction.catalog.items[item_id].record
        transaction.builder.put(_rewritten(record, renames))


def _rewritten(record: ItemRecord, renames: dict[Parts, Parts]) -> ItemRecord:
    return replace(record, create_sql=rewrite_names(record.create_sql, renames))


def _parts(name: QualifiedName) -> Parts:
    if name.database is None:
        return name.schema, name.item
    return name.database, name.schema, name.item
