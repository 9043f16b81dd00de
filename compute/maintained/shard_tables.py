"""Written shards in memory, for the queries of this replica: each is a `Table` that follows its
feed.

A collection is loaded when it is first read and kept up from then on; a read waits until the feed's
upper has passed its time and the table has what came before. Errors in the collection's data at
that time are the read's error. A read at a time that memory does not reach back to gets a table of
its own. The least recently read collections are dropped when all together pass the limit.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import structlog

from compute.dataflow.updates import Updates
from compute.maintained.error_history import ErrorHistory
from compute.maintained.feed import FeedLostError, Part
from compute.maintained.shard_feed import ShardCursor, ShardFeed, ShardFeeds
from compute.maintained.written_shard import WrittenShard
from compute.metrics import LOADED_ROWS, LOADS
from compute.scheduler import Scheduler
from compute.table import Table
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp
from core.rows import Row, codec_for
from core.sql_types import SqlType
from persist.batches import MissingPartError
from persist.snapshot import SinceError

HISTORY_US: Final = 5_000_000
LOAD_ATTEMPTS: Final = 5
READ_TIMEOUT_S: Final = 120.0

Types = tuple[SqlType, ...]

_log: Final = structlog.get_logger(__name__)


class ShardTables:
    """All of a replica. `limit_bytes` tells what they may occupy. One event loop; not
    thread-safe."""

    def __init__(
        self, feeds: ShardFeeds, scheduler: Scheduler, limit_bytes: Callable[[], int]
    ) -> None:
        self._feeds = feeds
        self._scheduler = scheduler
        self._limit_bytes = limit_bytes
        self._residents: OrderedDict[tuple[ShardId, Types], _Resident] = OrderedDict()

    def ready(self, shard: ShardId, types: Types, as_of: Timestamp) -> Table | None:
        """The table if a read at `as_of` needs to wait for nothing. Raises SqlError for an error in
        the data."""
        resident = self._residents.get((shard, types))
        if resident is None or not resident.reaches(as_of) or not resident.reaches_back(as_of):
            return None
        self._residents.move_to_end((shard, types))
        return resident.checked(as_of)

    async def read(self, shard: ShardId, types: Types, as_of: Timestamp) -> Table:
        """The table as of `as_of`, held at it: `release` is the caller's duty. Raises SqlError,
        StorageError, TimeoutError."""
        for attempt in range(LOAD_ATTEMPTS):
            resident = self._residents.get((shard, types))
            if resident is None:
                resident = self._start(shard, types, as_of)
            self._residents.move_to_end((shard, types))
            try:
                return await resident.read(as_of)
            except (FeedLostError, MissingPartError, SinceError):
                if attempt == LOAD_ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def read_durable(self, shard: ShardId, types: Types, as_of: Timestamp) -> Table:
        """The same, of nothing but what is in the shard, as soon as that is complete: a table of
        its own."""
        feed = ShardFeed(self._feeds, WrittenShard(shard, self._feeds.location), types)
        async with asyncio.timeout(READ_TIMEOUT_S):
            await self._feeds.wait_durable(shard, as_of)
        return await _own_table(feed, as_of, self._scheduler)

    @property
    def size_bytes(self) -> int:
        return sum(resident.size_bytes for resident in self._residents.values())

    async def maintain(self) -> None:
        """Fold old history and keep within the limit. Called about once a second."""
        for resident in tuple(self._residents.values()):
            await resident.advance_since()
        size, limit = self.size_bytes, self._limit_bytes()
        for resident in tuple(self._residents.values()):
            if size > limit and not resident.is_in_use:
                size -= resident.size_bytes
                resident.close()

    def close(self) -> None:
        """Stop following."""
        for resident in tuple(self._residents.values()):
            resident.close()

    def _start(self, shard: ShardId, types: Types, as_of: Timestamp) -> "_Resident":
        feed = self._feeds.feed(shard, types)
        key = (shard, types)

        def end(ended: _Resident) -> None:
            if self._residents.get(key) is ended:
                del self._residents[key]

        resident = self._residents[key] = _Resident(feed, as_of, self._scheduler, end)
        return resident


class _Resident:
    """One collection in memory, from `as_of` on. `changed` is resolved and replaced whenever there
    is more to read or the collection is lost."""

    def __init__(
        self,
        feed: ShardFeed,
        as_of: Timestamp,
        scheduler: Scheduler,
        on_end: Callable[["_Resident"], None],
    ) -> None:
        self._feed = feed
        self._scheduler = scheduler
        self._on_end = on_end
        self._codec = codec_for(tuple(t.base for t in feed.types))
        self._table = Table(feed.types, as_of)
        self._errors = ErrorHistory()
        self._cursor: ShardCursor | None = None
        self._is_loaded = False
        self._is_applying = False
        self._failure: Exception | None = None
        self._waiting = 0
        self._lock = asyncio.Lock()  # held by whoever changes the table
        self._wake = asyncio.Event()
        self._changed = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(as_of), name=f"keep {feed.shard.id}")

    @property
    def size_bytes(self) -> int:
        return self._table.size_bytes

    @property
    def is_in_use(self) -> bool:
        return self._waiting > 0 or self._table.is_held or not self._is_loaded

    def reaches(self, as_of: Timestamp) -> bool:
        """Whether everything through `as_of` is in the table."""
        cursor = self._cursor
        return (
            self._is_loaded
            and not self._is_applying
            and self._failure is None
            and cursor is not None
            and not cursor.is_lost
            and cursor.next_ts > as_of
            and cursor.upper > as_of
        )

    def reaches_back(self, as_of: Timestamp) -> bool:
        return as_of >= self._table.since

    def checked(self, as_of: Timestamp) -> Table:
        """The table. Raises SqlError for an error in the data at `as_of`."""
        error = self._errors.first_at(as_of)
        if error is not None:
            raise error
        return self._table

    async def read(self, as_of: Timestamp) -> Table:
        """The table, held at `as_of`, as soon as it can be read there; one of its own for a time
        before this one's."""
        self._waiting += 1
        try:
            while self._feed.upper == MIN_TIMESTAMP:  # the first contents take as long as they take
                await self._progressed(MIN_TIMESTAMP)
            async with asyncio.timeout(READ_TIMEOUT_S):
                while not self.reaches(as_of):
                    await self._progressed(as_of)
            if self.reaches_back(as_of):
                table = self.checked(as_of)
                table.hold(as_of)
                return table
        finally:
            self._waiting -= 1
        return await _own_table(self._feed, as_of, self._scheduler)

    async def advance_since(self) -> None:
        """Forget what nobody reads any more."""
        if self._is_loaded and self._table.has_history:
            since = Timestamp(self._feed.upper - HISTORY_US)
            async with self._lock:
                await self._scheduler.run(self._table.advance_since(since))
            self._errors.compact(self._table.since)

    def close(self) -> None:
        self._task.cancel()
        self._fail(FeedLostError("the collection was dropped from memory"))

    async def _progressed(self, as_of: Timestamp) -> None:
        """Until there is reason to look again. Raises what became of the collection."""
        if self._failure is not None:
            raise self._failure
        progress, woken = self._feed.feeds.progress, self._changed
        token = None
        if self._cursor is not None and self._cursor.upper <= as_of:
            token = progress.when_past(lambda: self._feed.upper, as_of, self._announce)
        try:
            await asyncio.shield(woken)
        finally:
            if token is not None:
                progress.forget(token)

    async def _run(self, as_of: Timestamp) -> None:
        try:
            self._cursor = cursor = await self._feed.follow(as_of, self._wake.set)
            self._announce()
            await self._feed.feeds.progress.wait_past(lambda: self._feed.upper, as_of)
            await _load(self._feed, self._table, self._errors, as_of, self._scheduler)
            self._is_loaded = True
            while True:
                self._announce()
                self._wake.clear()
                while cursor.next_ts < cursor.upper:
                    await self._apply(cursor)
                    self._announce()
                await self._wake.wait()
        except Exception as error:  # handed to whoever waits; the next read loads anew
            if not isinstance(error, FeedLostError):
                _log.warning("collection_lost", shard=self._feed.shard.id, error=repr(error))
            self._fail(error)

    async def _apply(self, cursor: ShardCursor) -> None:
        ts = cursor.next_ts
        retractions: Updates = []
        async with self._lock:
            self._is_applying = True
            async for part in cursor.take():
                _insert(self._table, part, retractions, self._codec.encode)
                if part.errors:
                    self._errors.add(ts, part.errors)
            await _remove(self._table, retractions, ts, self._codec.encode, self._scheduler)
            self._table.commit(ts, sum(-diff for _, diff in retractions))
            self._is_applying = False

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.get_running_loop().create_future()
        changed.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        if self._cursor is not None:
            self._cursor.close()
        self._on_end(self)
        self._announce()


async def _own_table(feed: ShardFeed, as_of: Timestamp, scheduler: Scheduler) -> Table:
    """A table of one read, held at its time."""
    table, errors = Table(feed.types, as_of), ErrorHistory()
    await _load(feed, table, errors, as_of, scheduler)
    error = errors.first_at(as_of)
    if error is not None:
        raise error
    table.hold(as_of)
    return table


async def _load(
    feed: ShardFeed, table: Table, errors: ErrorHistory, as_of: Timestamp, scheduler: Scheduler
) -> None:
    LOADS.inc()
    encode = codec_for(tuple(t.base for t in feed.types)).encode
    retractions: Updates = []
    async with contextlib.aclosing(feed.snapshot(as_of)) as parts:
        async for part in parts:
            _insert(table, part, retractions, encode)
            errors.add(as_of, part.errors)
            LOADED_ROWS.inc(len(part.updates))
            await scheduler.turn()
    await _remove(table, retractions, as_of, encode, scheduler)
    table.finish_snapshot()


async def _remove(
    table: Table,
    retractions: Updates,
    ts: Timestamp,
    encode: Callable[[Row], bytes],
    scheduler: Scheduler,
) -> None:
    for row, diff in retractions:
        await scheduler.run(table.remove(encode(row), -diff, ts))


def _insert(table: Table, part: Part, retractions: Updates, encode: Callable[[Row], bytes]) -> None:
    """Add the part's insertions to the table, its retractions to `retractions`."""
    plain = [row for row, diff in part.updates if diff == 1]
    table.append_rows(plain)
    if len(plain) < len(part.updates):
        for row, diff in part.updates:
            if diff > 1:
                table.append_copies(encode(row), diff)
            elif diff < 0:
                retractions.append((row, diff))
