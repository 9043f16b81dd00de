"""One group commit in the making: validation and folding of requests, without I/O.

Requests join in order; each is validated against the catalog as the members before it leave it,
against every commit since it read, and against what earlier members write. A member that fails
leaves the batch as it was. All members commit at one timestamp, in this order.
"""

from collections.abc import Iterable
from typing import Final

from catalog.durable import RAW_CATALOG_ID, DurableRow, RowDiff
from catalog.operations import CatalogChangedError, OperationResult, TransactionContext
from catalog.state import Catalog
from catalog.transact import AppliedTransaction, apply_operations
from coordinator.requests import (
    CatalogRequest,
    SerializationConflictError,
    TableWrite,
    WriteRequest,
)
from core import errors
from core.errors import SqlError
from core.ids import GlobalId, ShardId, Timestamp
from persist.batches import (
    Batch,
    BatchPart,
    UpdateChunk,
    decode_chunk,
    inline_batch,
    inline_chunk_batch,
)
from persist.txns_state import TxnWrite

MAX_REQUESTS: Final = 1024
MAX_INLINE_BYTES: Final = 8 * 1024 * 1024


class LastWrites:
    """When each collection was last written, as far as this process knows: since its start.

    A read older than the start cannot be validated, and counts as overtaken.
    """

    def __init__(self, started_at: Timestamp) -> None:
        self._started_at = started_at
        self._times: dict[GlobalId, Timestamp] = {}

    def note(self, ids: Iterable[GlobalId], ts: Timestamp) -> None:
        for written in ids:
            self._times[written] = ts

    def forget(self, ids: Iterable[GlobalId]) -> None:
        for dropped in ids:
            self._times.pop(dropped, None)

    def is_written_since(self, ids: Iterable[GlobalId], ts: Timestamp) -> bool:
        times = self._times
        return ts < self._started_at or any(times.get(read, -1) > ts for read in ids)


class CommitBatch:
    """What one durable commit will carry."""

    def __init__(self, base: Catalog, last_writes: LastWrites) -> None:
        self.base = base
        self.catalog = base
        self.written: set[GlobalId] = set()
        self.changed_collections: set[GlobalId] = set()
        self.changed_items: set[GlobalId] = set()
        self.request_count = 0
        self._last_writes = last_writes
        self._rows: dict[DurableRow, int] = {}
        self._writes: dict[ShardId, list[Batch]] = {}
        self._register: dict[ShardId, None] = {}
        self._forget: dict[ShardId, None] = {}
        self._inline_bytes = 0

    @property
    def is_full(self) -> bool:
        return self.request_count >= MAX_REQUESTS or self._inline_bytes >= MAX_INLINE_BYTES

    @property
    def is_catalog_change(self) -> bool:
        return self.catalog is not self.base

    def add_write(self, request: WriteRequest) -> None:
        """Validate a table write and take it in.

        Raises SqlError, SerializationConflictError, CatalogChangedError.
        """
        self._check_reads(request.read_set, request.read_ts, request.planned_revision)
        shards = self._shards(request.writes, self.catalog)
        self.request_count += 1
        self._take_writes(request.writes, shards)

    def add_catalog(
        self, request: CatalogRequest, context: TransactionContext
    ) -> tuple[OperationResult, ...]:
        """Validate a catalog transaction and take it in, its table writes included.

        Raises SqlError, SerializationConflictError, CatalogChangedError.
        """
        self._check_reads(request.read_set, request.read_ts, request.planned_revision)
        base = request.previewed_on
        if base is not None and not self.catalog.allocates_like(base):
            raise CatalogChangedError("ids were allocated since the transaction began")
        applied = apply_operations(
            self.catalog, request.operations, request.planned_revision, context
        )
        shards = self._shards(request.table_writes, applied.catalog)
        self.request_count += 1
        if applied.diffs:
            self.catalog = applied.catalog
            self.changed_items |= applied.changed_items
            self.written.add(RAW_CATALOG_ID)
            self._take_rows(applied.diffs)
        self._take_shards(applied)
        self._take_writes(request.table_writes, shards)
        return applied.results

    def writes(self, catalog_shard: ShardId) -> tuple[TxnWrite, ...]:
        """The writes of the commit, one per shard; none to a shard that the commit drops."""
        rows = [(row.encode(), diff) for row, diff in self._rows.items() if diff]
        catalog_writes = (TxnWrite(catalog_shard, inline_batch(rows)),) if rows else ()
        tables = (
            TxnWrite(shard, merge_batches(batches))
            for shard, batches in self._writes.items()
            if shard not in self._forget
        )
        return (*catalog_writes, *tables)

    def register(self) -> tuple[ShardId, ...]:
        return tuple(shard for shard in self._register if shard not in self._forget)

    def forget(self) -> tuple[ShardId, ...]:
        return tuple(shard for shard in self._forget if shard not in self._register)

    def _check_reads(
        self,
        read_set: frozenset[GlobalId] | None,
        read_ts: Timestamp | None,
        planned_revision: int,
    ) -> None:
        """What was read must still be so: the rows, and what the names in the query meant."""
        if read_set is None:
            return
        assert read_ts is not None
        if self.catalog.definitions_revision > planned_revision:
            raise CatalogChangedError("a definition changed since the statement was planned")
        if self._last_writes.is_written_since(read_set, read_ts):
            raise SerializationConflictError
        if not self.written.isdisjoint(read_set):
            raise SerializationConflictError

    def _shards(self, writes: tuple[TableWrite, ...], catalog: Catalog) -> tuple[ShardId, ...]:
        """The shard of each write. Raises SqlError if its table is gone."""
        shards: list[ShardId] = []
        for write in writes:
            collection = catalog.collections.get(write.id)
            if collection is None:
                raise SqlError(
                    errors.UNDEFINED_TABLE,
                    f'relation "{write.name or write.id}" does not exist',
                    detail="It was dropped after the statement was planned.",
                )
            shards.append(collection.shard)
        return tuple(shards)

    def _take_writes(self, writes: tuple[TableWrite, ...], shards: tuple[ShardId, ...]) -> None:
        for write, shard in zip(writes, shards, strict=True):
            if write.batch.update_count:
                self.written.add(write.id)
                self._take_batch(shard, write.batch)

    def _take_batch(self, shard: ShardId, batch: Batch) -> None:
        self._writes.setdefault(shard, []).append(batch)
        self._inline_bytes += sum(len(part.inline or b"") for part in batch.parts)

    def _take_rows(self, diffs: tuple[RowDiff, ...]) -> None:
        for row, diff in diffs:
            self._rows[row] = self._rows.get(row, 0) + diff

    def _take_shards(self, applied: AppliedTransaction) -> None:
        self.changed_collections |= applied.changed_ids
        self._register.update(dict.fromkeys(applied.register))
        self._forget.update(dict.fromkeys(applied.forget))
        for contents in applied.contents:
            self.written.add(contents.item_id)
            self._take_batch(contents.shard, contents.batch)


def merge_batches(batches: list[Batch]) -> Batch:
    """One batch of everything; small inline parts become one part."""
    if len(batches) == 1:
        return batches[0]
    parts: list[BatchPart] = []
    rows: list[bytes] = []
    diffs: list[int] = []
    for batch in batches:
        for part in batch.parts:
            chunk = None if part.inline is None else decode_chunk(part.inline)
            if chunk is None or chunk.times is not None:
                parts.append(part)
                continue
            rows.extend(chunk.rows)
            if isinstance(chunk.diffs, int):
                diffs.extend([chunk.diffs] * len(chunk.rows))
            else:
                diffs.extend(chunk.diffs)
    if rows:
        is_uniform = all(diff == diffs[0] for diff in diffs)
        chunk = UpdateChunk(rows, diffs[0] if is_uniform else diffs)
        parts.extend(inline_chunk_batch(chunk).parts)
    return Batch(tuple(parts), sum(part.update_count for part in parts))
