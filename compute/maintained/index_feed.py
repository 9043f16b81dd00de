"""Feeds of indexes: what is maintained once in a replica is taken from there by other dataflows."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from itertools import repeat
from typing import Final

from compute.dataflow.updates import ErrorUpdates, Updates
from compute.maintained.feed import FeedLostError, Part
from compute.maintained.index_export import IndexArrangement
from compute.maintained.progress import Progress
from core.ids import MAX_TIMESTAMP, Timestamp
from persist.snapshot import SinceError

MAX_WAITING_UPDATES: Final = 4_000_000  # for one cursor; they are shared with other cursors


class IndexFeed:
    """A `Feed` of an index's rows."""

    def __init__(self, index: IndexArrangement, progress: Progress) -> None:
        self.index = index
        self._progress = progress

    @property
    def upper(self) -> Timestamp:
        return self.index.upper

    async def follow(self, as_of: Timestamp, on_change: Callable[[], None]) -> "IndexCursor":
        index = self.index
        cursor = IndexCursor(index, on_change)
        try:
            await self._progress.wait_past(cursor.upper_or_end, as_of)
            if index.is_closed:
                raise FeedLostError("an index that is read has ended")
            if as_of < index.since:
                raise SinceError(as_of, index.since)
            cursor.start(as_of)
        except BaseException:
            cursor.close()
            raise
        return cursor

    async def snapshot(self, as_of: Timestamp) -> AsyncGenerator[Part, None]:
        index = self.index
        if as_of < index.since:
            raise SinceError(as_of, index.since)
        index.hold(as_of)
        try:
            yield Part([], index.errors.all_at(as_of))
            for rows, weights in index.arrangement.scan_at(as_of):
                yield Part(list(zip(rows, repeat(1) if weights is None else weights)), [])
        finally:
            index.release(as_of)


class IndexCursor:
    """A `Cursor` in an index's changes. While there is one, the index is in use: a dropped index
    goes on for it."""

    def __init__(self, index: IndexArrangement, on_change: Callable[[], None]) -> None:
        self.index = index
        self._on_change = on_change
        self._waiting: deque[tuple[Timestamp, list[Part]]] = deque()
        self._waiting_count = 0
        self._is_lost = False
        self._is_open = True
        index.users += 1

    def start(self, as_of: Timestamp) -> None:
        """Give what changed after `as_of`, from now on too."""
        arrangement = self.index.arrangement
        errors = self.index.errors.changes_after(as_of)
        for ts in sorted({*arrangement.times_after(as_of), *errors}):
            rows = [u for updates in arrangement.changes_at(ts).values() for u in updates]
            self._add(ts, rows, errors.get(ts, []))
        self.index.add_listener(self._add)

    @property
    def next_ts(self) -> Timestamp:
        if self._is_lost:
            raise FeedLostError("a dataflow was too slow for the index that it reads")
        if self.index.is_closed:
            raise FeedLostError("an index that is read has ended")
        return self._waiting[0][0] if self._waiting else MAX_TIMESTAMP

    @property
    def upper(self) -> Timestamp:
        return self.index.upper

    def upper_or_end(self) -> Timestamp:
        """The same, past everything once the index has ended."""
        return MAX_TIMESTAMP if self.index.is_closed else self.index.upper

    async def take(self) -> AsyncIterator[Part]:
        _, parts = self._waiting.popleft()
        for part in parts:
            self._waiting_count -= len(part.updates)
            yield part

    def skip(self) -> ErrorUpdates:
        """Take the changes at `next_ts`, of which only those of errors are wanted."""
        errors: ErrorUpdates = []
        for part in self._waiting.popleft()[1]:
            self._waiting_count -= len(part.updates)
            errors += part.errors
        return errors

    def close(self) -> None:
        self._waiting.clear()
        self.index.remove_listener(self._add)
        if self._is_open:
            self._is_open = False
            self.index.users -= 1

    def _add(self, ts: Timestamp, updates: Updates, errors: ErrorUpdates) -> None:
        if not updates and not errors:
            return
        part = Part(updates, errors)
        if self._waiting and self._waiting[-1][0] == ts:
            self._waiting[-1][1].append(part)
        else:
            self._waiting.append((ts, [part]))
        self._waiting_count += len(updates)
        if self._waiting_count > MAX_WAITING_UPDATES:
            self._is_lost = True
            self._waiting.clear()
        self._on_change()
