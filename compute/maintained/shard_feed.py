"""Feeds of shards that replicas write directly: materialized views and sources.

Where the writer is a sink of this very replica its output is taken before it is durable: whatever
makes the same changes of the same inputs makes the same output, so nothing that was told is ever
taken back. Else the shard is followed: fetched whenever somebody says that it has moved, and every
`POLL_S` in any case.

Both give changes by time, so a feed may go over from the one to the other at any time: what comes
again is known by its time and skipped.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

import structlog

from compute.dataflow.updates import ErrorUpdates, Updates
from compute.maintained.decoding import PART_ROWS, Decode
from compute.maintained.feed import FeedLostError, Part
from compute.maintained.outstanding import Change
from compute.maintained.progress import Progress
from compute.maintained.shard_rows import decoded_parts, timed_parts
from compute.maintained.sink import Sink
from compute.maintained.written_shard import WrittenShard
from core.errors import StorageError
from core.ids import MAX_TIMESTAMP, MIN_TIMESTAMP, ShardId, Timestamp
from core.rows import codec_for
from core.sql_types import SqlType
from persist.batches import MissingPartError
from persist.location import PersistLocation
from persist.machine import RefusedError
from persist.shard_state import ShardState
from persist.snapshot import SinceError

POLL_S: Final = 1.0
MAX_WAITING_UPDATES: Final = 2_000_000  # for one cursor

Types = tuple[SqlType, ...]

_log: Final = structlog.get_logger(__name__)


class ShardFeeds:
    """The written shards of a replica: their feeds, and the sinks here. One event loop; not
    thread-safe."""

    def __init__(self, location: PersistLocation, progress: Progress) -> None:
        self.progress = progress
        self.location = location
        self._shards: dict[ShardId, WrittenShard] = {}
        self._sinks: dict[ShardId, Sink] = {}
        self._feeds: dict[tuple[ShardId, Types], ShardFeed] = {}

    def shard(self, id: ShardId) -> WrittenShard:
        """What is known here of a shard."""
        found = self._shards.get(id)
        if found is None:
            found = self._shards[id] = WrittenShard(id, self.location)
        return found

    def feed(self, shard: ShardId, types: Types) -> "ShardFeed":
        """The feed of a shard, decoded as `types`."""
        return self._feeds.get((shard, types)) or ShardFeed(
            self, WrittenShard(shard, self.location), types
        )

    async def wait_durable(self, id: ShardId, as_of: Timestamp) -> None:
        """Until the shard's upper has passed `as_of`. Raises StorageError, RefusedError."""
        shard, moved = self.shard(id), asyncio.Event()
        shard.add_listener(moved.set)
        try:
            while (await shard.fetch()).upper <= as_of:
                moved.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await moved.wait()
        finally:
            shard.remove_listener(moved.set)
            self._forget_shard(id)

    def advanced(self, shard: ShardId, upper: Timestamp) -> None:
        """Somebody moved the upper of a shard; nothing happens if it is none of those here."""
        found = self._shards.get(shard)
        if found is not None:
            found.advanced(upper)

    def add_sink(self, sink: Sink) -> None:
        """A sink of this replica makes the shard's contents from now on."""
        self._sinks[sink.shard.id] = sink
        for feed in tuple(self._feeds.values()):
            if feed.shard is sink.shard:
                feed.wake()

    def remove_sink(self, sink: Sink) -> None:
        """The sink is closed."""
        if self._sinks.get(sink.shard.id) is sink:
            del self._sinks[sink.shard.id]
        self._forget_shard(sink.shard.id)

    def sink(self, shard: ShardId) -> Sink | None:
        """The sink whose output can be taken for the shard's contents; None if there is none."""
        sink = self._sinks.get(shard)
        return sink if sink is not None and sink.is_live else None

    def enter(self, feed: "ShardFeed") -> WrittenShard:
        """Somebody begins to follow the feed; returns its shard."""
        self._feeds.setdefault((feed.shard.id, feed.types), feed)
        return self.shard(feed.shard.id)

    def forget(self, feed: "ShardFeed") -> None:
        """Nobody follows the feed any more."""
        if self._feeds.get((feed.shard.id, feed.types)) is feed:
            del self._feeds[feed.shard.id, feed.types]
        self._forget_shard(feed.shard.id)

    def _forget_shard(self, id: ShardId) -> None:
        if id not in self._sinks and not any(shard == id for shard, _ in self._feeds):
            self._shards.pop(id, None)


class ShardFeed:
    """A `Feed` of one shard, and a `Consumer` of the sink that makes it.

    Every change before `_position` was given to the cursors; those in `_held` are of times that
    are not complete yet.
    """

    def __init__(self, feeds: ShardFeeds, shard: WrittenShard, types: Types) -> None:
        self.shard = shard
        self.types = types
        self.feeds = feeds
        self._decode: Decode = codec_for(tuple(t.base for t in types)).decode
        self._position: Timestamp | None = None  # unknown as long as nobody follows
        self._held: list[Change] = []
        self._sink: Sink | None = None
        self._cursors: set[ShardCursor] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def upper(self) -> Timestamp:
        position = self._position or MIN_TIMESTAMP
        if self._sink is not None:
            produced = self._held[0].ts if self._held else self._sink.upper
            position = self._position = max(position, produced)
        return position

    async def follow(self, as_of: Timestamp, on_change: Callable[[], None]) -> "ShardCursor":
        position = self._position
        if position is None:
            position = (await self.shard.fetch()).upper
        cursor = ShardCursor(self, as_of, on_change)
        position = self._add(cursor, position)
        try:
            if as_of + 1 < position:
                cursor.put_first(await self._history(as_of, Timestamp(position - 1)))
        except BaseException:
            cursor.close()
            raise
        return cursor

    async def snapshot(self, as_of: Timestamp) -> AsyncGenerator[Part, None]:
        waiting = self._waiting()  # before the shard: what is appended meanwhile is in either
        async with self.shard.held(await self.shard.fetch(), None, as_of) as held:
            upper = held.state.upper
            if as_of >= upper and waiting is None:
                raise FeedLostError("the sink that was as far has ended")
            async for chunk in held.read(None, as_of):
                for part in decoded_parts(chunk, self._decode):
                    yield part
        for change in waiting or ():
            if upper <= change.ts <= as_of:
                yield Part(change.updates, change.errors)

    def wake(self) -> None:
        """Look again how far the shard is."""
        self._wake.set()

    # What the sink calls.

    def produced(self, ts: Timestamp, updates: Updates, errors: ErrorUpdates) -> None:
        if ts >= (self._position or MIN_TIMESTAMP) and (updates or errors):
            self._held.append(Change(ts, updates, errors))

    def produced_before(self, upper: Timestamp) -> None:
        position = self._position or MIN_TIMESTAMP
        held, self._held = self._held, []
        for change in held:
            if change.ts >= upper:
                self._held.append(change)
            elif change.ts >= position:
                self._offer(change)
        self._position = max(position, upper)
        if held:
            self.feeds.progress.moved()

    def ended(self) -> None:
        """The sink is closed, or its output cannot be taken for the contents any more."""
        self._detach()
        self.wake()

    def remove(self, cursor: "ShardCursor") -> None:
        self._cursors.discard(cursor)
        if not self._cursors and self._task is not None:
            self._detach()
            self._task.cancel()
            self._task = None
            self._position = None
            self.shard.remove_listener(self.wake)
            self.feeds.forget(self)

    def _add(self, cursor: "ShardCursor", position: Timestamp) -> Timestamp:
        """Give `cursor` every change from now on: those from the time returned, which is `position`
        unless others follow already."""
        self._cursors.add(cursor)
        if self._position is None:
            self._position = position
            self.shard = self.feeds.enter(self)
            self.shard.add_listener(self.wake)
            self._task = asyncio.create_task(self._run(), name=f"follow {self.shard.id}")
        return self._position

    def _attach(self) -> None:
        """Take the output of a sink here from now on, if it reaches back to where this is."""
        sink = self.feeds.sink(self.shard.id)
        if sink is None or self._sink is not None or self.upper < sink.outstanding.upper:
            return
        self._sink = sink
        sink.consumers.append(self)
        for change in sink.outstanding.waiting():
            self.produced(*change)
        self.produced_before(sink.upper)
        self.feeds.progress.moved()

    def _detach(self) -> None:
        if self._sink is not None:
            with contextlib.suppress(ValueError):
                self._sink.consumers.remove(self)
            self._sink = None
            self._held.clear()

    def _waiting(self) -> list[Change] | None:
        """The output of the sink here that may not be in the shard."""
        return None if self._sink is None else self._sink.outstanding.waiting()

    async def _run(self) -> None:
        """Go on until nobody follows."""
        while True:
            self._wake.clear()
            try:
                await self._advance()
            except (RefusedError, SinceError, MissingPartError) as error:
                self._lose(str(error))
            except StorageError as error:
                _log.warning("follow_failed", shard=self.shard.id, error=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()

    async def _advance(self) -> None:
        """Take what is in the shard, unless a sink here gives it."""
        self._attach()
        if self._sink is None:
            await self._take_durable()
            self._attach()

    async def _take_durable(self) -> None:
        state = await self.shard.fetch()
        position = self.upper
        if state.upper <= position:
            return
        wanted = min((cursor.as_of for cursor in self._cursors), default=MIN_TIMESTAMP)
        after = Timestamp(max(position - 1, wanted))
        for change in await self._read(state, after, Timestamp(state.upper - 1)):
            self._offer(change)
        self._position = max(self.upper, state.upper)
        self.feeds.progress.moved()

    async def _history(self, after: Timestamp, through: Timestamp) -> list[Change]:
        """The changes after `after` up to `through`, in order."""
        waiting = self._waiting()
        state = await self.shard.fetch()
        durable = Timestamp(min(through, state.upper - 1))
        changes = await self._read(state, after, durable) if durable > after else []
        if durable < through:
            if waiting is None:
                raise FeedLostError("the sink that was as far has ended")
            changes += [change for change in waiting if durable < change.ts <= through]
        return changes

    async def _read(self, state: ShardState, after: Timestamp, through: Timestamp) -> list[Change]:
        found: dict[int, Change] = {}
        async with contextlib.aclosing(self.shard.read(state, after, through)) as chunks:
            async for chunk in chunks:
                for ts, part in timed_parts(chunk, self._decode):
                    change = found.setdefault(ts, Change(ts, [], []))
                    change.updates.extend(part.updates)
                    change.errors.extend(part.errors)
        return [found[ts] for ts in sorted(found)]

    def _offer(self, change: Change) -> None:
        for cursor in tuple(self._cursors):
            cursor.offer(change)

    def _lose(self, reason: str) -> None:
        for cursor in tuple(self._cursors):
            cursor.lose(reason)


class ShardCursor:
    """A `Cursor` in a written shard's changes."""

    def __init__(self, feed: ShardFeed, as_of: Timestamp, on_change: Callable[[], None]) -> None:
        self._feed = feed
        self.as_of = as_of
        self._on_change = on_change
        self._waiting: deque[Change] = deque()
        self._waiting_count = 0
        self._lost: str | None = None

    @property
    def is_lost(self) -> bool:
        return self._lost is not None

    @property
    def next_ts(self) -> Timestamp:
        if self._lost is not None:
            raise FeedLostError(self._lost)
        return self._waiting[0].ts if self._waiting else MAX_TIMESTAMP

    @property
    def upper(self) -> Timestamp:
        return self._feed.upper

    def offer(self, change: Change) -> None:
        """One more change."""
        if change.ts <= self.as_of:
            return
        self._waiting.append(change)
        self._waiting_count += change.update_count
        if self._waiting_count > MAX_WAITING_UPDATES:
            self.lose("too many changes waited")
        self._on_change()

    def put_first(self, changes: list[Change]) -> None:
        """Changes before those that came in already."""
        self._waiting.extendleft(reversed(changes))
        self._waiting_count += sum(change.update_count for change in changes)

    def lose(self, reason: str) -> None:
        """Changes are missing from now on."""
        self._lost = reason
        self._waiting.clear()
        self._on_change()

    async def take(self) -> AsyncIterator[Part]:
        ts = self._waiting[0].ts
        while self._waiting and self._waiting[0].ts == ts:
            change = self._waiting.popleft()
            self._waiting_count -= change.update_count
            if change.update_count <= PART_ROWS:
                yield Part(change.updates, change.errors)
                continue
            yield Part([], change.errors)
            for start in range(0, len(change.updates), PART_ROWS):
                yield Part(change.updates[start : start + PART_ROWS], [])

    def close(self) -> None:
        self._waiting.clear()
        self._feed.remove(self)
