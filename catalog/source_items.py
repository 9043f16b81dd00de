"""Sources and their subsources."""

from dataclasses import replace

from catalog.creations import new_item, place
from catalog.maintained import user_cluster
from catalog.objects import ItemRecord, Schema, StoredCollection
from catalog.operations import CreateSource, CreateSubsource, OperationResult
from catalog.transaction import Transaction, relation_exists
from core.ids import ShardId
from sql.catalog_view import ItemKind


def create_source(transaction: Transaction, operation: CreateSource) -> OperationResult:
    name = operation.name
    schema, _ = place(transaction, name, None)
    cluster = None
    if operation.cluster is not None:
        cluster = user_cluster(transaction, operation.cluster)
    existing = transaction.found_in(schema, None, name.item)
    if existing is not None:
        if operation.if_not_exists:
            return OperationResult(existing, was_skipped=True)
        raise relation_exists(name.item)
    record = new_item(
        transaction,
        schema,
        name.item,
        ItemKind.SOURCE,
        operation.owner,
        operation.create_sql,
        operation.desc,
        None,
        frozenset(),
    )
    record = replace(
        record,
        cluster_id=None if cluster is None else cluster.id,
        source_output=operation.output,
    )
    _put(transaction, record, operation.shard)
    for subsource in operation.subsources:
        _create_subsource(transaction, schema, record, operation.owner, subsource)
    return OperationResult(record.id)


def _create_subsource(
    transaction: Transaction,
    schema: Schema,
    source: ItemRecord,
    owner: str,
    operation: CreateSubsource,
) -> None:
    if transaction.found_in(schema, None, operation.name) is not None:
        raise relation_exists(operation.name)
    record = new_item(
        transaction,
        schema,
        operation.name,
        ItemKind.SOURCE,
        owner,
        operation.create_sql,
        operation.desc,
        None,
        frozenset({source.id}),
    )
    _put(transaction, replace(record, source_output=operation.output), operation.shard)


def _put(transaction: Transaction, record: ItemRecord, shard: ShardId | None) -> None:
    transaction.builder.put(record)
    if shard is not None:
        collection = StoredCollection(record.id, shard, transaction.context.as_of)
        transaction.builder.put(collection)
    transaction.audit_item("create", record)
