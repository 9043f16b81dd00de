"""The inputs of one dataflow: cursors in the feeds of what it reads."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Final

from compute.dataflow.graph import Import
from compute.dataflow.updates import ErrorUpdates, Updates
from compute.maintained.feed import Cursor, Feed
from compute.maintained.index_feed import IndexCursor, IndexFeed
from compute.maintained.progress import Progress
from core.ids import MAX_TIMESTAMP, GlobalId, Timestamp

GATHERED_ROWS: Final = 1024


class Inputs:
    """What a dataflow reads: feeds by collection, and the indexes it imports. A dataflow that reads
    nothing moves with `clock`, the upper of the timeline."""

    def __init__(
        self,
        feeds: Mapping[GlobalId, Feed],
        imports: Sequence[tuple[Import, IndexFeed]],
        clock: Callable[[], Timestamp],
        progress: Progress,
        on_change: Callable[[], None],
    ) -> None:
        self.feeds = feeds
        self.imports = imports
        self._clock = clock
        self._progress = progress
        self._on_change = on_change
        self._cursors: dict[GlobalId, Cursor] = {}
        self._import_cursors: list[IndexCursor] = []

    @property
    def upper(self) -> Timestamp:
        """Every change at a time before is known."""
        uppers = [cursor.upper for cursor in self._all()]
        return min(uppers) if uppers else self._clock()

    @property
    def next_ts(self) -> Timestamp:
        """The earliest time of changes not taken yet. Raises FeedLostError."""
        return min((cursor.next_ts for cursor in self._all()), default=MAX_TIMESTAMP)

    async def open(self, as_of: Timestamp) -> None:
        """Follow everything from `as_of` on; afterwards `upper` has passed it. Raises SinceError,
        StorageError, FeedLostError."""
        self.close()
        for id, feed in self.feeds.items():
            self._cursors[id] = await feed.follow(as_of, self._on_change)
        for _, index in self.imports:
            self._import_cursors.append(await index.follow(as_of, self._on_change))
        await self._progress.wait_past(lambda: self.upper, as_of)

    async def take(
        self, ts: Timestamp
    ) -> AsyncIterator[tuple[dict[GlobalId, Updates], ErrorUpdates]]:
        """The changes at `ts`, which `upper` has passed, in parts: of all inputs together if there
        are few. One part at least, though it may be empty: something is due."""
        gathered: dict[GlobalId, Updates] = {}
        errors: ErrorUpdates = []
        count = 0
        for imported in self._import_cursors:
            if imported.next_ts == ts:
                errors += imported.skip()
        for id, cursor in self._cursors.items():
            if cursor.next_ts != ts:
                continue
            async for part in cursor.take():
                errors += part.errors
                count += len(part.updates)
                known = gathered.get(id)
                gathered[id] = part.updates if known is None else known + part.updates
                if count >= GATHERED_ROWS:
                    yield gathered, errors
                    gathered, errors, count = {}, [], 0
        yield gathered, errors

    def close(self) -> None:
        """Let go of all cursors."""
        for cursor in self._all():
            cursor.close()
        self._cursors.clear()
        self._import_cursors.clear()

    def _all(self) -> Iterator[Cursor]:
        yield from self._cursors.values()
        yield from self._import_cursors
