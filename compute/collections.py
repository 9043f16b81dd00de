"""The collections a replica keeps in memory, fed by the txns shard.

A collection is loaded from a snapshot when it is first read and from then on kept up by commits, so
that a later read waits for nothing but the txns upper. Small commits are applied as they come,
large ones by a task in slices; a read waits for the commits it must see. Commits are also
remembered for a while, so that a snapshot taken at a read's time can be brought up to now.

A read at a time that memory no longer (or not yet) reaches gets a table of its own, loaded at that
time and dropped afterwards. The least recently read collections are dropped when all together pass
the cache's size.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

import structlog

from compute.execution import CHUNK_ROWS
from compute.metrics import CACHE_BYTES, CACHED_COLLECTIONS, LOADED_ROWS, LOADS
from compute.recent_commits import Commit, RecentCommits
from compute.scheduler import Scheduler
from compute.table import Table
from core.ids import ShardId, Timestamp
from core.sql_types import SqlType
from persist.batches import Batch, MissingPartError, UpdateChunk, decode_chunk, read_part
from persist.blob import Blob
from persist.txn_reader import TxnsReader
from persist.txns_state import CommitRecord

_log: Final = structlog.get_logger(__name__)

MAX_INSTANT_UPDATES: Final = 512
MAX_INSTANT_BYTES: Final = 64 * 1024
HISTORY_US: Final = 5_000_000
LOAD_ATTEMPTS: Final = 5
READ_TIMEOUT_S: Final = 120.0

Types = tuple[SqlType, ...]
Key = tuple[ShardId, Types]


class _Resident:
    """A collection in memory. `table` is None until it is loaded; `pending` are commits that are
    not yet in it; `changed` is replaced and resolved whenever either changes; `waiting` reads stand
    for holds that they will take."""

    __slots__ = ("changed", "error", "pending", "table", "task", "waiting")

    def __init__(self, changed: asyncio.Future[None]) -> None:
        self.table: Table | None = None
        self.pending: deque[Commit] = deque()
        self.task: asyncio.Task[None] | None = None
        self.changed = changed
        self.error: BaseException | None = None
        self.waiting = 0

    @property
    def is_in_use(self) -> bool:
        return self.waiting > 0 or (self.table is not None and self.table.is_held)


class Collections:
    """All collections of a replica. One event loop; not thread-safe."""

    def __init__(
        self, reader: TxnsReader, blob: Blob, scheduler: Scheduler, cache_bytes: int
    ) -> None:
        self._reader = reader
        self._blob = blob
        self._scheduler = scheduler
        self.cache_bytes = cache_bytes
        self._loop = asyncio.get_running_loop()
        self._residents: OrderedDict[Key, _Resident] = OrderedDict()
        self._by_shard: dict[ShardId, list[_Resident]] = {}
        self._with_history: set[_Resident] = set()
        self.recent = RecentCommits(reader.upper)
        reader.add_listener(self._on_commit, self._on_reset)

    def ready(self, shard: ShardId, types: Types, as_of: Timestamp) -> Table | None:
        """The table if a read at `as_of` needs to wait for nothing; the caller has seen to it that
        the txns upper is past `as_of`."""
        key = (shard, types)
        resident = self._residents.get(key)
        if resident is None or resident.table is None or as_of < resident.table.since:
            return None
        if resident.pending and resident.pending[0][0] <= as_of:
            return None
        self._residents.move_to_end(key)
        return resident.table

    async def read(self, shard: ShardId, types: Types, as_of: Timestamp) -> Table:
        """The table as of `as_of`, held at it: `release` is the caller's duty.

        Raises DeterminateError, IndeterminateError, SinceError, TimeoutError.
        """
        await self._reader.wait_past(as_of)
        async with asyncio.timeout(READ_TIMEOUT_S):
            while True:
                table = self.ready(shard, types, as_of)
                if table is not None:
                    table.hold(as_of)
                    return table
                resident = self._residents.get((shard, types))
                if resident is None and as_of + 1 >= self.recent.complete_from:
                    resident = self._start_load(shard, types, as_of)
                if resident is None or (
                    resident.table is not None and as_of < resident.table.since
                ):
                    return await self._load_transient(shard, types, as_of)
                resident.waiting += 1
                try:
                    await asyncio.shield(resident.changed)
                finally:
                    resident.waiting -= 1
                if resident.error is not None:
                    raise resident.error

    async def maintain(self) -> None:
        """Fold old history and keep the cache within its size. Called about once a second."""
        since = Timestamp(self._reader.upper - HISTORY_US)
        for resident in tuple(self._with_history):
            table = resident.table
            if table is None or resident.task is not None:
                continue
            await self._scheduler.run(table.advance_since(since))
            if not table.has_history:
                self._with_history.discard(resident)
        self._evict()
        CACHED_COLLECTIONS.set(len(self._residents))
        CACHE_BYTES.set(self._size_bytes())

    @property
    def spare_bytes(self) -> int:
        """What is left of the cache's size."""
        return max(0, self.cache_bytes - self._size_bytes())

    async def close(self) -> None:
        """Stop loading and applying."""
        residents = [r for group in self._by_shard.values() for r in group]
        tasks = [r.task for r in residents if r.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start_load(self, shard: ShardId, types: Types, as_of: Timestamp) -> _Resident:
        resident = _Resident(self._loop.create_future())
        resident.pending.extend(self.recent.after(as_of, shard))
        self._residents[shard, types] = resident
        self._by_shard.setdefault(shard, []).append(resident)
        resident.task = asyncio.create_task(
            self._load(resident, shard, types, as_of), name=f"load {shard}"
        )
        return resident

    async def _load(
        self, resident: _Resident, shard: ShardId, types: Types, as_of: Timestamp
    ) -> None:
        try:
            table = await self._snapshot(shard, types, as_of)
        except asyncio.CancelledError:
            self._drop(shard, types, resident)
            self._announce(resident)
            raise
        except Exception as error:  # handed to whoever waits for the collection
            resident.error = error
            self._drop(shard, types, resident)
            self._announce(resident)
            return
        resident.table = table
        resident.task = None
        self._announce(resident)
        self._start_applying(resident)
        self._evict()

    async def _load_transient(self, shard: ShardId, types: Types, as_of: Timestamp) -> Table:
        table = await self._snapshot(shard, types, as_of)
        table.hold(as_of)
        return table

    async def _snapshot(self, shard: ShardId, types: Types, as_of: Timestamp) -> Table:
        """Load from persist; a part that compaction took away under us is a reason to try again."""
        for attempt in range(LOAD_ATTEMPTS):
            try:
                return await self._snapshot_once(shard, types, as_of)
            except MissingPartError:
                if attempt == LOAD_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def _snapshot_once(self, shard: ShardId, types: Types, as_of: Timestamp) -> Table:
        LOADS.inc()
        table = Table(types, as_of)
        retractions: list[tuple[bytes, int]] = []
        async with contextlib.aclosing(self._reader.snapshot(shard, as_of)) as chunks:
            async for chunk in chunks:
                await self._scheduler.run(_append(table, chunk, retractions))
                LOADED_ROWS.inc(len(chunk.rows))
        await self._scheduler.run(_remove(table, retractions, as_of))
        table.finish_snapshot()
        return table

    def _on_commit(self, record: CommitRecord) -> None:
        for shard, batches in self.recent.add(record).items():
            for resident in self._by_shard.get(shard, ()):
                if (
                    resident.table is not None
                    and resident.task is None
                    and not resident.pending
                    and _is_instant(batches)
                ):
                    chunks = [decode_chunk(p.inline) for b in batches for p in b.parts if p.inline]
                    for _ in _apply(resident.table, record.ts, chunks):
                        pass
                    self._with_history.add(resident)
                else:
                    resident.pending.append((record.ts, batches))
                    self._start_applying(resident)

    def _on_reset(self) -> None:
        """Commits were missed: nothing in memory can be brought up to date any more."""
        self.recent.restart(self._reader.upper)
        for (shard, types), resident in tuple(self._residents.items()):
            self._drop(shard, types, resident)
            if resident.task is not None:
                resident.task.cancel()

    def _start_applying(self, resident: _Resident) -> None:
        if resident.pending and resident.table is not None and resident.task is None:
            resident.task = asyncio.create_task(
                self._apply_pending(resident, resident.table), name="apply commits"
            )

    async def _apply_pending(self, resident: _Resident, table: Table) -> None:
        """Bring the table up to date. What a failure leaves half-applied is thrown away."""
        try:
            while resident.pending:
                ts, batches = resident.pending[0]
                await self._apply_commit(table, ts, batches)
                resident.pending.popleft()
                self._with_history.add(resident)
                self._announce(resident)
        except BaseException as error:
            self._forget(resident)
            self._announce(resident)
            if isinstance(error, asyncio.CancelledError):
                raise
            if not isinstance(error, MissingPartError):
                _log.exception("collection_dropped")
        finally:
            resident.task = None

    async def _apply_commit(self, table: Table, ts: Timestamp, batches: list[Batch]) -> None:
        retractions: list[tuple[bytes, int]] = []
        for batch in batches:
            for part in batch.parts:
                chunk = await read_part(self._blob, part)
                await self._scheduler.run(_append(table, chunk, retractions))
        await self._scheduler.run(_remove(table, retractions, ts))
        table.commit(ts, sum(count for _, count in retractions))

    def _announce(self, resident: _Resident) -> None:
        changed, resident.changed = resident.changed, self._loop.create_future()
        if not changed.done():
            changed.set_result(None)

    def _forget(self, resident: _Resident) -> None:
        for (shard, types), other in tuple(self._residents.items()):
            if other is resident:
                self._drop(shard, types, resident)

    def _drop(self, shard: ShardId, types: Types, resident: _Resident) -> None:
        if self._residents.get((shard, types)) is resident:
            del self._residents[shard, types]
        group = self._by_shard.get(shard, [])
        if resident in group:
            group.remove(resident)
            if not group:
                del self._by_shard[shard]
        self._with_history.discard(resident)

    def _size_bytes(self) -> int:
        return sum(r.table.size_bytes for r in self._residents.values() if r.table is not None)

    def _evict(self) -> None:
        size = self._size_bytes()
        for (shard, types), resident in tuple(self._residents.items()):
            if size <= self.cache_bytes:
                return
            if resident.table is None or resident.task is not None or resident.is_in_use:
                continue
            size -= resident.table.size_bytes
            self._drop(shard, types, resident)


def _is_instant(batches: list[Batch]) -> bool:
    """Whether a commit is small enough to be applied between two messages."""
    count = size = 0
    for batch in batches:
        count += batch.update_count
        for part in batch.parts:
            if part.inline is None:
                return False
            size += len(part.inline)
    return count <= MAX_INSTANT_UPDATES and size <= MAX_INSTANT_BYTES


def _append(
    table: Table, chunk: UpdateChunk, retractions: list[tuple[bytes, int]]
) -> Iterator[None]:
    """Add the chunk's insertions to the table, its retractions to `retractions`."""
    rows, diffs = chunk.rows, chunk.diffs
    if isinstance(diffs, int):
        diffs = [diffs] * len(rows) if diffs != 1 else []
    if not diffs:
        for start in range(0, len(rows), CHUNK_ROWS):
            table.append(rows[start : start + CHUNK_ROWS])
            yield
        return
    for start in range(0, len(rows), CHUNK_ROWS):
        plain: list[bytes] = []
        stop = start + CHUNK_ROWS
        for row, diff in zip(rows[start:stop], diffs[start:stop], strict=True):
            if diff == 1:
                plain.append(row)
            elif diff > 0:
                table.append_copies(row, diff)
            elif diff < 0:
                retractions.append((row, -diff))
        table.append(plain)
        yield


def _remove(table: Table, retractions: list[tuple[bytes, int]], ts: Timestamp) -> Iterator[None]:
    for row, count in retractions:
        yield from table.remove(row, count, ts)
        yield


def _apply(table: Table, ts: Timestamp, chunks: list[UpdateChunk]) -> Iterator[None]:
    retractions: list[tuple[bytes, int]] = []
    for chunk in chunks:
        yield from _append(table, chunk, retractions)
    yield from _remove(table, retractions, ts)
    table.commit(ts, sum(count for _, count in retractions))
