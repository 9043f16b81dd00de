"""Feeds of what commits of the txns shard change: tables and the raw catalog.

A commit is decoded once, when the first dataflow takes it, and shared by all that read the table.
Large commits lie in blobs: each dataflow reads them for itself, part by part.
"""

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

from compute.collections import Collections
from compute.dataflow.updates import Updates
from compute.maintained.decoding import Decode, decoded
from compute.maintained.feed import FeedLostError, Part
from compute.maintained.progress import Progress
from compute.maintained.table_history import table_history
from core.ids import MAX_TIMESTAMP, ShardId, Timestamp
from core.rows import codec_for
from core.sql_types import SqlType
from persist.batches import Batch, decode_chunk, read_part
from persist.blob import Blob
from persist.location import PersistLocation
from persist.txn_reader import TxnsReader
from persist.txns_state import CommitRecord

MAX_WAITING_BYTES: Final = 256 * 1024 * 1024  # of small commits, for one cursor

Types = tuple[SqlType, ...]


class TableFeeds:
    """The feeds of all tables that dataflows read. One event loop; not thread-safe."""

    def __init__(
        self,
        location: PersistLocation,
        reader: TxnsReader,
        collections: Collections,
        progress: Progress,
    ) -> None:
        self.upper = reader.upper  # commits before have been given to cursors
        self.location = location
        self.reader = reader
        self.collections = collections
        self._progress = progress
        self._followed: dict[ShardId, set[TableFeed]] = {}
        reader.add_listener(self._on_commit, self._on_reset)

    def feed(self, shard: ShardId, types: Types) -> "TableFeed":
        """The feed of a table, decoded as `types`: the one that is followed already, if any is."""
        types = tuple(t.base for t in types)
        for found in self._followed.get(shard, ()):
            if found.types == types:
                return found
        return TableFeed(self, shard, types)

    def enter(self, feed: "TableFeed") -> None:
        """Somebody follows the feed from now on."""
        self._followed.setdefault(feed.shard, set()).add(feed)

    def leave(self, feed: "TableFeed") -> None:
        """Nobody follows the feed any more."""
        feeds = self._followed.get(feed.shard, set())
        feeds.discard(feed)
        if not feeds:
            self._followed.pop(feed.shard, None)

    def _on_commit(self, record: CommitRecord) -> None:
        self.upper = Timestamp(record.ts + 1)
        if self._followed:
            batches: dict[ShardId, list[Batch]] = {}
            for write in record.writes:
                if write.shard in self._followed:
                    batches.setdefault(write.shard, []).append(write.batch)
            for shard, written in batches.items():
                for feed in self._followed[shard]:
                    feed.offer(record.ts, written)
        self._progress.moved()

    def _on_reset(self) -> None:
        self.upper = self.reader.upper
        for feeds in self._followed.values():
            for feed in feeds:
                feed.lose()
        self._progress.moved()


class TableFeed:
    """A `Feed` of one table."""

    def __init__(self, feeds: TableFeeds, shard: ShardId, types: Types) -> None:
        self.shard = shard
        self.types = types
        self._feeds = feeds
        self._decode: Decode = codec_for(types).decode
        self._cursors: set[TableCursor] = set()

    @property
    def upper(self) -> Timestamp:
        return self._feeds.upper

    async def follow(self, as_of: Timestamp, on_change: Callable[[], None]) -> "TableCursor":
        cursor = TableCursor(self, as_of, on_change)
        self._cursors.add(cursor)
        self._feeds.enter(self)
        recent = self._feeds.collections.recent
        try:
            if as_of + 1 >= recent.complete_from:
                commits = recent.after(as_of, self.shard)
                cursor.put_first([self._change(ts, batches) for ts, batches in commits])
            else:
                cursor.put_first(await self._history(as_of, Timestamp(self.upper - 1)))
        except BaseException:
            cursor.close()
            raise
        return cursor

    async def snapshot(self, as_of: Timestamp) -> AsyncGenerator[Part, None]:
        table = self._feeds.collections.ready(self.shard, self.types, as_of)
        if table is not None:
            table.hold(as_of)
            try:
                for rows in table.scan(as_of, None):
                    yield Part([(row, 1) for row in rows], [])
            finally:
                table.release(as_of)
            return
        async with contextlib.aclosing(self._feeds.reader.snapshot(self.shard, as_of)) as chunks:
            async for chunk in chunks:
                for updates in decoded(chunk, self._decode):
                    yield Part(updates, [])

    def offer(self, ts: Timestamp, batches: list[Batch]) -> None:
        """A commit wrote to the table."""
        if self._cursors:
            change = self._change(ts, batches)
            for cursor in tuple(self._cursors):
                cursor.offer(change)

    def lose(self) -> None:
        """Commits were missed."""
        for cursor in tuple(self._cursors):
            cursor.lose()

    def remove(self, cursor: "TableCursor") -> None:
        self._cursors.discard(cursor)
        if not self._cursors:
            self._feeds.leave(self)

    def _change(self, ts: Timestamp, batches: list[Batch]) -> "_Change":
        return _Change(ts, batches, self._decode, self._feeds.location.blob)

    async def _history(self, after: Timestamp, through: Timestamp) -> list["_Change"]:
        """The changes after `after` up to `through`, in order."""
        feeds = self._feeds
        found: dict[int, Updates] = {}
        history = table_history(feeds.location, feeds.reader, self.shard, after, through)
        async with contextlib.aclosing(history) as chunks:
            async for chunk in chunks:
                times = chunk.times
                assert times is not None
                rows = (update for part in decoded(chunk, self._decode) for update in part)
                if isinstance(times, int):
                    found.setdefault(times, []).extend(rows)
                    continue
                for ts, update in zip(times, rows, strict=True):
                    found.setdefault(ts, []).append(update)
        blob = feeds.location.blob
        return [_Change(Timestamp(ts), [], self._decode, blob, found[ts]) for ts in sorted(found)]


class _Change:
    """What one commit did to the table. Small ones are decoded when they are first taken."""

    __slots__ = ("_batches", "_blob", "_decode", "_updates", "size_bytes", "ts")

    def __init__(
        self,
        ts: Timestamp,
        batches: list[Batch],
        decode: Decode,
        blob: Blob,
        updates: Updates | None = None,
    ) -> None:
        self.ts = ts
        self.size_bytes = sum(batch.inline_bytes for batch in batches)
        self._batches = batches
        self._decode = decode
        self._blob = blob
        self._updates = updates

    async def parts(self) -> AsyncIterator[Part]:
        if self._updates is None and not any(batch.keys for batch in self._batches):
            self._updates = [
                update
                for batch in self._batches
                for part in batch.parts
                if part.inline is not None
                for updates in decoded(decode_chunk(part.inline), self._decode)
                for update in updates
            ]
        if self._updates is not None:
            yield Part(self._updates, [])
            return
        for batch in self._batches:
            for part in batch.parts:
                for updates in decoded(await read_part(self._blob, part), self._decode):
                    yield Part(updates, [])


class TableCursor:
    """A `Cursor` in a table's commits."""

    def __init__(self, feed: TableFeed, as_of: Timestamp, on_change: Callable[[], None]) -> None:
        self._feed = feed
        self._as_of = as_of  # which commits may not have reached yet
        self._on_change = on_change
        self._waiting: deque[_Change] = deque()
        self._waiting_bytes = 0
        self._limit_bytes = MAX_WAITING_BYTES
        self._is_lost = False

    @property
    def next_ts(self) -> Timestamp:
        if self._is_lost:
            raise FeedLostError("commits were missed")
        return self._waiting[0].ts if self._waiting else MAX_TIMESTAMP

    @property
    def upper(self) -> Timestamp:
        return self._feed.upper

    def offer(self, change: _Change) -> None:
        """One more change."""
        if change.ts <= self._as_of:
            return
        self._waiting.append(change)
        self._waiting_bytes += change.size_bytes
        if self._waiting_bytes > self._limit_bytes:
            self.lose()
        self._on_change()

    def put_first(self, changes: list[_Change]) -> None:
        """Changes before those that came in already, however many."""
        self._waiting.extendleft(reversed(changes))
        size = sum(change.size_bytes for change in changes)
        self._waiting_bytes += size
        self._limit_bytes += size

    def lose(self) -> None:
        """Changes are missing from now on."""
        self._is_lost = True
        self._waiting.clear()
        self._on_change()

    async def take(self) -> AsyncIterator[Part]:
        change = self._waiting.popleft()
        self._waiting_bytes -= change.size_bytes
        async for part in change.parts():
            yield part

    def close(self) -> None:
        self._waiting.clear()
        self._feed.remove(self)
