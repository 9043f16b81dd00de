"""Carries out catalog operations: a pure function from a catalog and operations to what to commit.

Operations of one transaction apply in order, each to the result of those before it; the first that
fails fails them all, and since nothing was mutated there is nothing to undo. Errors are in
PostgreSQL's words. What a statement was planned on may have changed since: an object that is gone,
or means something else, raises CatalogChangedError, and planning again finds the right answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from catalog.builder import CatalogBuilder
from catalog.clusters import (
    alter_cluster,
    create_cluster,
    create_replica,
    drop_clusters,
    drop_replicas,
    rename_cluster,
)
from catalog.creations import (
    create_database,
    create_role,
    create_schema,
    create_table,
    create_view,
)
from catalog.drops import (
    drop_databases,
    drop_items,
    drop_roles,
    drop_schemas,
    drop_temporary_items,
)
from catalog.durable import RowDiff
from catalog.maintained import create_index, create_materialized_view, set_retain_history
from catalog.objects import (
    CatalogObject,
    Cluster,
    ClusterReplica,
    Comment,
    Database,
    ItemRecord,
    Role,
    Schema,
    StoredCollection,
    SystemParameter,
    UnfinalizedShard,
)
from catalog.operations import (
    AlterCluster,
    CatalogChangedError,
    CreateCluster,
    CreateDatabase,
    CreateIndex,
    CreateMaterializedView,
    CreateReplica,
    CreateRole,
    CreateSchema,
    CreateSource,
    CreateTable,
    CreateView,
    DropClusters,
    DropDatabases,
    DropItems,
    DropReplicas,
    DropRoles,
    DropSchemas,
    DropTemporaryItems,
    ForgetFinalizedShards,
    Operation,
    OperationResult,
    RenameCluster,
    RenameColumn,
    RenameDatabase,
    RenameItem,
    RenameRole,
    RenameSchema,
    ResetSystemParameters,
    SetComment,
    SetRetainHistory,
    SetSystemParameter,
    TransactionContext,
)
from catalog.renames import rename_column, rename_database, rename_item, rename_role, rename_schema
from catalog.source_items import create_source
from catalog.state import Catalog
from catalog.transaction import Transaction
from core.ids import GlobalId, ShardId
from persist.batches import Batch

# What has comments, items aside.
_COMMENTED: Final[dict[str, type[CatalogObject]]] = {
    "database": Database,
    "schema": Schema,
    "role": Role,
    "cluster": Cluster,
    "cluster-replica": ClusterReplica,
}


@dataclass(frozen=True, slots=True)
class InitialContents:
    """The first rows of a table made in this transaction."""

    item_id: GlobalId
    shard: ShardId
    batch: Batch


@dataclass(frozen=True, slots=True)
class AppliedTransaction:
    """What a transaction does: the catalog after it (its `ts` is the caller's to set, from the
    commit), the rows to write, which data shards of the txns shard appear and disappear (what
    others write are none), which items stored collections changed of, and which items changed."""

    catalog: Catalog
    diffs: tuple[RowDiff, ...]
    results: tuple[OperationResult, ...]
    register: tuple[ShardId, ...] = ()
    forget: tuple[ShardId, ...] = ()
    contents: tuple[InitialContents, ...] = ()
    changed_ids: frozenset[GlobalId] = frozenset()
    changed_items: frozenset[GlobalId] = frozenset()


def apply_operations(
    catalog: Catalog,
    operations: Sequence[Operation],
    planned_revision: int,
    context: TransactionContext,
) -> AppliedTransaction:
    """Carry out `operations`, planned at `planned_revision`, on `catalog`.

    Raises SqlError and CatalogChangedError.
    """
    builder = CatalogBuilder(catalog)
    transaction = Transaction(builder, planned_revision, context)
    results = tuple(_apply(transaction, operation) for operation in operations)
    before = catalog.collections
    after = builder.catalog.collections
    changed = [
        value for pair in builder.changed() for value in pair if isinstance(value, StoredCollection)
    ]
    committed = [
        c for c in changed if _is_committed(catalog, c.id) or _is_committed(builder.catalog, c.id)
    ]
    appeared = [c.shard for c in committed if after.get(c.id) == c and before.get(c.id) != c]
    gone = [c.shard for c in committed if before.get(c.id) == c and after.get(c.id) != c]
    return AppliedTransaction(
        catalog=builder.finish(),
        diffs=builder.diffs(),
        results=results,
        register=tuple(dict.fromkeys(appeared)),
        forget=tuple(dict.fromkeys(gone)),
        contents=tuple(
            InitialContents(item_id, after[item_id].shard, batch)
            for item_id, batch in transaction.contents.items()
            if item_id in after
        ),
        changed_ids=frozenset(collection.id for collection in changed),
        changed_items=frozenset(
            value.id
            for pair in builder.changed()
            for value in pair
            if isinstance(value, ItemRecord)
        ),
    )


def _is_committed(catalog: Catalog, id: GlobalId) -> bool:
    """Whether the item's rows are written by commits."""
    entry = catalog.items.get(id)
    return entry is not None and not entry.record.is_written_directly


def _apply(transaction: Transaction, operation: Operation) -> OperationResult:
    match operation:
        case CreateTable():
            return create_table(transaction, operation)
        case CreateView():
            return create_view(transaction, operation)
        case CreateSchema():
            return create_schema(transaction, operation)
        case CreateDatabase():
            return create_database(transaction, operation)
        case CreateRole():
            return create_role(transaction, operation)
        case CreateMaterializedView():
            return create_materialized_view(transaction, operation)
        case CreateSource():
            return create_source(transaction, operation)
        case CreateIndex():
            return create_index(transaction, operation)
        case SetRetainHistory():
            return set_retain_history(transaction, operation)
        case CreateCluster():
            return create_cluster(transaction, operation)
        case AlterCluster():
            return alter_cluster(transaction, operation)
        case RenameCluster():
            return rename_cluster(transaction, operation)
        case CreateReplica():
            return create_replica(transaction, operation)
        case DropReplicas():
            return drop_replicas(transaction, operation)
        case DropClusters():
            return drop_clusters(transaction, operation)
        case DropItems():
            return drop_items(transaction, operation)
        case DropSchemas():
            return drop_schemas(transaction, operation)
        case DropDatabases():
            return drop_databases(transaction, operation)
        case DropRoles():
            return drop_roles(transaction, operation)
        case DropTemporaryItems():
            return drop_temporary_items(transaction, operation)
        case RenameItem():
            return rename_item(transaction, operation)
        case RenameColumn():
            return rename_column(transaction, operation)
        case RenameSchema():
            return rename_schema(transaction, operation)
        case RenameDatabase():
            return rename_database(transaction, operation)
        case RenameRole():
            return rename_role(transaction, operation)
        case SetSystemParameter():
            return _set_system_parameter(transaction, operation)
        case ResetSystemParameters():
            return _reset_system_parameters(transaction)
        case SetComment():
            return _set_comment(transaction, operation)
        case ForgetFinalizedShards():
            return _forget_finalized(transaction, operation)
        case _:
            assert_never(operation)


def _set_system_parameter(
    transaction: Transaction, operation: SetSystemParameter
) -> OperationResult:
    catalog = transaction.catalog
    stored = catalog.objects.get((SystemParameter, operation.name))
    if operation.value is not None:
        transaction.builder.put(SystemParameter(operation.name, operation.value))
    elif stored is not None:
        transaction.builder.remove(stored)
    transaction.audit("alter", "system", name=operation.name, value=operation.value or "DEFAULT")
    return OperationResult()


def _reset_system_parameters(transaction: Transaction) -> OperationResult:
    for name, value in transaction.catalog.system_parameters.items():
        transaction.builder.remove(SystemParameter(name, value))
    transaction.audit("alter", "system", name="ALL", value="DEFAULT")
    return OperationResult()


def _set_comment(transaction: Transaction, operation: SetComment) -> OperationResult:
    target = _COMMENTED.get(operation.object_type, ItemRecord)
    if (target, operation.object_id) not in transaction.catalog.objects:
        raise CatalogChangedError(f"{operation.object_type} {operation.object_id} is gone")
    key = (operation.object_type, operation.object_id, operation.column)
    if operation.comment is not None:
        transaction.builder.put(Comment(*key, operation.comment))
        return OperationResult()
    stored = transaction.catalog.objects.get((Comment, key))
    if stored is not None:
        transaction.builder.remove(stored)
    return OperationResult()


def _forget_finalized(
    transaction: Transaction, operation: ForgetFinalizedShards
) -> OperationResult:
    for shard in operation.shards:
        if shard in transaction.catalog.unfinalized:
            transaction.builder.remove(UnfinalizedShard(shard))
    return OperationResult()
