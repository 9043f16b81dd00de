"""Opens the durable catalog: reads it, fills in what is missing, and takes it over.

The environment was claimed before (`persist.location.claim_environment`), so no earlier process can
commit any more; what the earlier ones left half-way is settled in one commit:

- a new environment gets its defaults, and rows of an older version become those of this one;
- the rows of built-in relations are made to match this build;
- temporary items, whose connections are gone, are dropped;
- shards that were pre-opened and never claimed are handed to the finalizer, minus every shard that
  a stored collection names;
- the epoch is recorded.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from catalog.builder import CatalogBuilder
from catalog.builtin.definitions import BUILTIN_SCHEMAS, SYSTEM_ROLE
from catalog.builtin.relations import builtin_items
from catalog.drops import drop_temporary_items
from catalog.durable import (
    RAW_CATALOG_ID,
    CorruptCatalogError,
    DurableRow,
    RowDiff,
    decode_row,
    from_row,
    to_row,
)
from catalog.objects import (
    Cluster,
    ClusterReplica,
    ConfigEntry,
    Database,
    FenceToken,
    IdAllocator,
    ItemRecord,
    PreAllocatedShard,
    Role,
    Schema,
    StoredCollection,
    SystemParameter,
    UnfinalizedShard,
)
from catalog.operations import DropTemporaryItems, TransactionContext
from catalog.state import TEMPORARY_SCHEMA, Catalog
from catalog.transaction import Transaction
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp
from persist.batches import Batch, BatchBuilder, UpdateChunk, part_prefix
from persist.blob import Blob
from persist.txns_state import TxnWrite
from sql.catalog_view import CatalogItem

CATALOG_VERSION: Final = "2"
READABLE_VERSIONS: Final = ("1", CATALOG_VERSION)
SYSTEM_ROLE_ID: Final = "s1"
SYSTEM_ROLE_OID: Final = 10
TEMPORARY_SCHEMA_OID: Final = 10_004
DEFAULT_DATABASE: Final = "materialize"
DEFAULT_ROLE: Final = "materialize"
DEFAULT_CLUSTER: Final = "quickstart"
DEFAULT_CLUSTER_ID: Final = "u1"
SYSTEM_CLUSTER: Final = "mz_catalog_server"
SYSTEM_CLUSTER_ID: Final = "s2"
REPLICA_NAME: Final = "r1"


class IncompatibleCatalogError(Exception):
    """The catalog was written by a version that this one does not understand."""


class CommitLog(Protocol):
    """What opening needs of `persist.txn_wal.TxnsWriter`."""

    @property
    def upper(self) -> Timestamp: ...

    async def commit(
        self,
        writes: Sequence[TxnWrite],
        *,
        register: Sequence[ShardId] = (),
        forget: Sequence[ShardId] = (),
        is_catalog_change: bool = False,
        not_before: Timestamp = ...,
    ) -> Timestamp: ...


@dataclass(frozen=True, slots=True)
class BootParameters:
    """What opening is told: the epoch that was claimed, the time, start values of parameters."""

    catalog_shard: ShardId
    epoch: int
    now: Timestamp
    system_parameters: tuple[tuple[str, str], ...] = ()


async def open_catalog(
    chunks: Iterable[UpdateChunk], log: CommitLog, blob: Blob, parameters: BootParameters
) -> Catalog:
    """The catalog of the environment, made this process's own by a commit.

    `chunks` are the updates of the catalog shard, all of them. Raises CorruptCatalogError,
    IncompatibleCatalogError, StorageError.
    """
    rows = consolidate(chunks)
    builder = CatalogBuilder(Catalog())
    builder.load_all(from_row(row) for row in rows)
    is_new = not rows
    version = builder.catalog.config_value("catalog_version")
    if not is_new and version not in READABLE_VERSIONS:
        raise IncompatibleCatalogError(
            f"the catalog has version {version}, this Headwater understands {CATALOG_VERSION}"
        )
    if is_new:
        _create_defaults(builder)
    builder.put(ConfigEntry("catalog_version", CATALOG_VERSION))
    _take_over(builder, parameters, log.upper)
    upgrades = () if version == CATALOG_VERSION else tuple(_upgrades(rows))
    batch = await _batch((*upgrades, *builder.diffs()), blob, parameters)
    ts = await log.commit(
        (TxnWrite(parameters.catalog_shard, batch),),
        register=(parameters.catalog_shard,) if is_new else (),
        forget=_dropped_shards(builder),
        is_catalog_change=True,
    )
    return replace(builder.finish(), ts=ts)


def consolidate(chunks: Iterable[UpdateChunk]) -> tuple[DurableRow, ...]:
    """The rows that the updates add up to. Raises CorruptCatalogError unless each stands once."""
    counts: dict[bytes, int] = {}
    for chunk in chunks:
        diffs = [chunk.diffs] * len(chunk.rows) if isinstance(chunk.diffs, int) else chunk.diffs
        for row, diff in zip(chunk.rows, diffs, strict=True):
            counts[row] = counts.get(row, 0) + diff
    for row, count in counts.items():
        if count not in (0, 1):
            raise CorruptCatalogError(f"catalog row {decode_row(row)} stands {count} times")
    return tuple(decode_row(row) for row, count in counts.items() if count)


def _upgrades(rows: Iterable[DurableRow]) -> Iterator[RowDiff]:
    """What makes rows of an older version those that this one writes for the same objects."""
    for row in rows:
        current = to_row(from_row(row))
        if current != row:
            yield row, -1
            yield current, 1


def _create_defaults(builder: CatalogBuilder) -> None:
    """What a new environment has."""
    builder.put(ConfigEntry("environment_id", f"headwater-local-{uuid.uuid4()}-0"))
    builder.put(
        Role(
            SYSTEM_ROLE_ID,
            SYSTEM_ROLE,
            SYSTEM_ROLE_OID,
            is_superuser=True,
            inherits=True,
            can_create_role=True,
            can_create_database=True,
            can_login=True,
        )
    )
    transaction = Transaction(builder, 0, TransactionContext(None, MIN_TIMESTAMP, MIN_TIMESTAMP))
    builder.put(
        Role(
            f"u{builder.allocate('role')}",
            DEFAULT_ROLE,
            transaction.allocate_oid(),
            is_superuser=False,
            inherits=True,
            can_create_role=True,
            can_create_database=True,
            can_login=True,
        )
    )
    database_id = f"u{builder.allocate('database')}"
    oid = transaction.allocate_oid()
    builder.put(Database(database_id, DEFAULT_DATABASE, oid, SYSTEM_ROLE_ID))
    schema_id = f"u{builder.allocate('schema')}"
    oid = transaction.allocate_oid()
    builder.put(Schema(schema_id, "public", oid, SYSTEM_ROLE_ID, database_id))
    builder.put(Cluster(DEFAULT_CLUSTER_ID, DEFAULT_CLUSTER, SYSTEM_ROLE_ID))
    builder.put(ClusterReplica("u1", REPLICA_NAME, DEFAULT_CLUSTER_ID, SYSTEM_ROLE_ID))
    builder.put(Cluster(SYSTEM_CLUSTER_ID, SYSTEM_CLUSTER, SYSTEM_ROLE_ID))
    builder.put(ClusterReplica("s1", REPLICA_NAME, SYSTEM_CLUSTER_ID, SYSTEM_ROLE_ID))
    builder.put(IdAllocator("cluster", 2))
    builder.put(IdAllocator("replica", 2))


def _take_over(builder: CatalogBuilder, parameters: BootParameters, upper: Timestamp) -> None:
    _update_builtins(builder, parameters.catalog_shard)
    context = TransactionContext(None, parameters.now, upper)
    transaction = Transaction(builder, builder.base.revision, context)
    connections = [c for _, c in builder.catalog.contents if c is not None]
    for connection in connections:
        drop_temporary_items(transaction, DropTemporaryItems(connection))
    live = {collection.shard for collection in builder.catalog.collections.values()}
    for shard in tuple(builder.catalog.pre_allocated):
        builder.remove(PreAllocatedShard(shard))
        if shard not in live:
            builder.put(UnfinalizedShard(shard))
    for name, value in parameters.system_parameters:
        builder.put(SystemParameter(name, value))
    builder.put(FenceToken(parameters.epoch))


def _update_builtins(builder: CatalogBuilder, catalog_shard: ShardId) -> None:
    """Make the rows of built-in schemas and relations what this build says."""
    schema_ids: dict[str, str] = {}
    for number, schema in enumerate(BUILTIN_SCHEMAS, start=1):
        schema_ids[schema.schema] = f"s{number}"
        builder.put(Schema(f"s{number}", schema.schema, schema.oid, SYSTEM_ROLE_ID, None))
    temporary_id = f"s{len(BUILTIN_SCHEMAS) + 1}"
    builder.put(Schema(temporary_id, TEMPORARY_SCHEMA, TEMPORARY_SCHEMA_OID, SYSTEM_ROLE_ID, None))
    items = builtin_items()
    known = {item.id for item in items}
    for entry in tuple(builder.catalog.items.values()):
        if entry.record.is_system and entry.record.id not in known:
            builder.remove(entry.record)
    for item in items:
        builder.put(_builtin_record(item, schema_ids))
        if item.constant is not None or item.is_introspection:
            builder.set_builtin(item)
    builder.put(StoredCollection(RAW_CATALOG_ID, catalog_shard, MIN_TIMESTAMP))


def _builtin_record(item: CatalogItem, schema_ids: dict[str, str]) -> ItemRecord:
    return ItemRecord(
        id=item.id,
        oid=item.oid,
        schema_id=schema_ids[item.name.schema],
        name=item.name.item,
        kind=item.kind,
        owner=SYSTEM_ROLE_ID,
        create_sql=item.create_sql,
        desc=item.desc,
    )


def _dropped_shards(builder: CatalogBuilder) -> tuple[ShardId, ...]:
    """The shards of what was dropped (temporary tables)."""
    return tuple(
        before.shard
        for before, after in builder.changed()
        if isinstance(before, StoredCollection) and after is None
    )


async def _batch(diffs: Sequence[RowDiff], blob: Blob, parameters: BootParameters) -> Batch:
    """The first commit of an environment is too large to stand inline."""
    batch = BatchBuilder(blob, part_prefix(parameters.catalog_shard, parameters.epoch))
    for row, diff in diffs:
        batch.add(row.encode(), diff)
        await batch.flush_full()
    return await batch.finish()
