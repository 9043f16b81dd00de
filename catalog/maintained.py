"""Materialized views and indexes: items that a cluster maintains."""

from dataclasses import replace

from catalog.creations import new_item, place, refuse_temporary_dependencies
from catalog.drops import drop_items
from catalog.objects import Cluster, StoredCollection
from catalog.operations import (
    CreateIndex,
    CreateMaterializedView,
    DropItems,
    OperationResult,
    SetRetainHistory,
)
from catalog.rewrite import rewrite_names
from catalog.transaction import Transaction, relation_exists
from core import errors
from core.errors import SqlError
from core.ids import GlobalId
from sql.catalog_view import ItemKind, QualifiedName
from sql.maintained_text import with_retain_history


def create_materialized_view(
    transaction: Transaction, operation: CreateMaterializedView
) -> OperationResult:
    name = operation.name
    schema, _ = place(transaction, name, None)
    transaction.check_dependencies(operation.depends_on)
    refuse_temporary_dependencies(transaction, operation.depends_on)
    cluster = user_cluster(transaction, operation.cluster)
    existing = transaction.found_in(schema, None, name.item)
    if existing is not None:
        if operation.if_not_exists:
            return OperationResult(existing, was_skipped=True)
        if not operation.or_replace:
            raise relation_exists(name.item)
        _drop_replaced(transaction, existing, operation)
    record = new_item(
        transaction,
        schema,
        name.item,
        ItemKind.MATERIALIZED_VIEW,
        operation.owner,
        operation.create_sql,
        operation.desc,
        None,
        operation.depends_on,
    )
    record = replace(record, cluster_id=cluster.id, retain_history_us=operation.retain_history_us)
    transaction.builder.put(record)
    transaction.builder.put(StoredCollection(record.id, operation.shard, transaction.context.as_of))
    transaction.audit_item("create", record)
    return OperationResult(record.id)


def create_index(transaction: Transaction, operation: CreateIndex) -> OperationResult:
    on = transaction.entry(operation.on)
    refuse_temporary_dependencies(transaction, (operation.on,))
    cluster = user_cluster(transaction, operation.cluster)
    schema = transaction.catalog.schemas[on.record.schema_id]
    name, create_sql = operation.name, operation.create_sql
    existing = transaction.found_in(schema, None, name)
    if existing is not None:
        if operation.is_name_made:
            name, create_sql = _numbered(transaction, operation, on.item.name)
        elif operation.if_not_exists:
            return OperationResult(existing, was_skipped=True)
        else:
            raise relation_exists(name)
    record = new_item(
        transaction,
        schema,
        name,
        ItemKind.INDEX,
        operation.owner,
        create_sql,
        operation.desc,
        None,
        frozenset({operation.on}),
    )
    record = replace(
        record,
        cluster_id=cluster.id,
        index_on=operation.on,
        index_key=operation.key,
        retain_history_us=operation.retain_history_us,
    )
    transaction.builder.put(record)
    transaction.audit_item("create", record)
    return OperationResult(record.id)


def set_retain_history(transaction: Transaction, operation: SetRetainHistory) -> OperationResult:
    record = transaction.entry(operation.id).record
    create_sql = with_retain_history(record.create_sql, operation.text)
    transaction.builder.put(
        replace(record, create_sql=create_sql, retain_history_us=operation.retain_history_us)
    )
    transaction.audit(
        "alter", str(record.kind), id=record.id, retain_history=operation.text or "DEFAULT"
    )
    return OperationResult(record.id)


def user_cluster(transaction: Transaction, name: str) -> Cluster:
    """The cluster of that name, which maintains users' objects. 42704, 42501."""
    cluster = transaction.catalog.cluster_named(name)
    if cluster is None:
        raise unknown_cluster(name)
    if cluster.is_system:
        raise SqlError(errors.INSUFFICIENT_PRIVILEGE, f'system cluster "{name}" cannot be modified')
    return cluster


def unknown_cluster(name: str) -> SqlError:
    """The error for a cluster that does not exist."""
    return SqlError(errors.UNDEFINED_OBJECT, f'cluster "{name}" does not exist')


def _drop_replaced(
    transaction: Transaction, existing: GlobalId, operation: CreateMaterializedView
) -> None:
    record = transaction.catalog.items[existing].record
    if record.kind is not ItemKind.MATERIALIZED_VIEW:
        raise SqlError(errors.WRONG_OBJECT_TYPE, f'"{record.name}" is not a materialized view')
    if existing in operation.depends_on:
        raise SqlError(
            errors.INVALID_TABLE_DEFINITION,
            f'cannot replace materialized view "{record.name}" by a query of it',
        )
    drop_items(transaction, DropItems((existing,)))


def _numbered(
    transaction: Transaction, operation: CreateIndex, on: QualifiedName
) -> tuple[str, str]:
    """The made name with the first number that is free, and the definition under it."""
    schema = transaction.catalog.schemas[transaction.entry(operation.on).record.schema_id]
    number = 1
    while transaction.found_in(schema, None, f"{operation.name}{number}") is not None:
        number += 1
    name = f"{operation.name}{number}"
    qualifier = (on.schema,) if on.database is None else (on.database, on.schema)
    renames = {(*qualifier, operation.name): (*qualifier, name)}
    return name, rewrite_names(operation.create_sql, renames)
