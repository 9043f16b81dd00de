"""One collection in memory: decoded rows in columns, readable at recent times.

Rows stand in blocks of columns in the order they were committed; a retraction marks a row as
removed at its time. A read at `as_of` sees the rows that were appended through `as_of` (a prefix,
since commits come in order) minus those removed through `as_of`. History before `since` is folded:
rows removed by then vanish from their blocks.

Columns are lists that are only ever appended to or replaced whole, never changed inside, so a scan
that is interrupted between two steps goes on over what it found; `hold` keeps the history that
running scans need. Equal datums share one object where their type allows it.

A collection that is append-only needs no index; the first retraction makes one for every block it
looks through (hash of the canonical encoding to positions).
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, compress, islice
from typing import Any, Final, NamedTuple

from compute.execution import CHUNK_ROWS
from core.errors import OUT_OF_MEMORY, SqlError
from core.ids import Timestamp
from core.rows import Datum, Row, RowCodec
from core.sql_types import SqlType

BLOCK_ROWS: Final = 16_384
MAX_COPIES: Final = 50_000_000  # of one row in one commit
MAX_MERGED_ROWS: Final = 2 * BLOCK_ROWS
MAX_MEMO: Final = 16_384
MIN_DEAD_TO_COMPACT: Final = 64
CELL_BYTES: Final = 8

Update = tuple[bytes, int]


class Table:
    """Applies commits in time order; scans at any time in [since, now]."""

    def __init__(self, types: Sequence[SqlType], since: Timestamp) -> None:
        self.types = tuple(types)
        self.since = since
        self.size_bytes = 0
        self.row_count = 0  # now
        self._codec = RowCodec([t.base for t in types])
        self._interners = [_interner(t) for t in self.types]
        self._blocks: list[_Block] = []
        self._history = _History()
        self._holds: Counter[Timestamp] = Counter()

    def append(self, encoded: Sequence[bytes]) -> None:
        """Add rows that belong to the commit at hand, or to the state at `since`. Bounded by the
        caller: at most about CHUNK_ROWS rows a call."""
        decode = self._codec.decode
        self._append_rows(list(map(decode, encoded)))
        self.size_bytes += sum(map(len, encoded))

    def append_rows(self, rows: list[Row]) -> None:
        """The same for decoded rows; they count as long as the first of them."""
        if rows:
            self._append_rows(rows)
            self.size_bytes += len(rows) * len(self._codec.encode(rows[0]))

    def append_copies(self, encoded: bytes, copies: int) -> None:
        """Add one row many times. Raises SqlError 53200 past MAX_COPIES."""
        if copies > MAX_COPIES:
            raise SqlError(OUT_OF_MEMORY, f"a table holds a row more than {MAX_COPIES} times")
        row = self._codec.decode(encoded)
        while copies > 0:
            some = min(copies, BLOCK_ROWS)
            self._append_rows([row] * some)
            copies -= some

    def remove(self, encoded: bytes, copies: int, ts: Timestamp) -> Iterator[None]:
        """Mark `copies` rows of that encoding as removed at `ts`; yields between bounded steps.

        Raises AssertionError if there are not that many: a shard is always a multiset.
        """
        for block in reversed(self._blocks):
            if block.index is None:
                yield from self._build_index(block)
            copies -= block.remove(hash(encoded), encoded, copies, ts, self._codec)
            if copies == 0:
                return
        raise AssertionError("a commit retracts a row that the collection does not hold")

    def commit(self, ts: Timestamp, removed: int) -> None:
        """End the commit at `ts`: what was appended since the last one belongs to it."""
        self.row_count -= removed
        self._history.add(ts, self._end())

    def finish_snapshot(self) -> None:
        """What was appended and removed so far is the state at `since`."""
        self._history.base = self._end()
        self.row_count = sum(block.size - len(block.removed) for block in self._blocks)

    def hold(self, as_of: Timestamp) -> None:
        """Keep what a read at `as_of` needs until `release`."""
        self._holds[as_of] += 1

    def release(self, as_of: Timestamp) -> None:
        self._holds[as_of] -= 1
        if not self._holds[as_of]:
            del self._holds[as_of]

    @property
    def is_held(self) -> bool:
        return bool(self._holds)

    @property
    def has_history(self) -> bool:
        """Whether anything happened after `since`."""
        return self._history.is_long

    def advance_since(self, since: Timestamp) -> Iterator[None]:
        """Fold history through `since` as far as holds allow; yields between bounded steps. Not
        while a commit is being applied."""
        since = min((since, *self._holds))
        if since <= self.since:
            return
        self.since = since
        self._history.forget(since)
        for number, block in enumerate(self._blocks):
            dead = block.dead_count(since)
            if dead and dead >= max(MIN_DEAD_TO_COMPACT, block.size // 8):
                self.size_bytes -= dead * self.size_bytes // max(1, self._slot_count())
                self._history.move(number, block.compact(since))
                yield
        if len(self._blocks) > 1 and not self._holds:
            self._merge_small()

    def scan(self, as_of: Timestamp, columns: tuple[int, ...] | None) -> Iterator[list[Row]]:
        """The rows at `as_of` in chunks. The caller holds `as_of` while it iterates."""
        wanted = range(len(self.types)) if columns is None else columns
        position = 0
        while True:
            # Asked anew for each block: compaction between two steps may have moved it.
            last, last_size = self._history.frontier(as_of)
            if position > last:
                return
            block = self._blocks[position]
            size = last_size if position == last else block.size
            yield from block.scan(as_of, wanted, size)
            position += 1

    def _end(self) -> "_End":
        return _End(len(self._blocks) - 1, self._blocks[-1].size if self._blocks else 0)

    def _slot_count(self) -> int:
        return sum(block.size for block in self._blocks)

    def _merge_small(self) -> None:
        """Put blocks that lost most of their rows together, if that is a bounded step."""
        slots = self._slot_count()
        if slots > MAX_MERGED_ROWS or slots * 4 > len(self._blocks) * BLOCK_ROWS:
            return
        starts = list(accumulate((block.size for block in self._blocks), initial=0))
        merged = [_Block(len(self.types))]
        for block in self._blocks:
            start = 0
            while start < block.size:
                if merged[-1].size >= BLOCK_ROWS:
                    merged.append(_Block(len(self.types)))
                start += merged[-1].take(block, start)

        def moved(end: _End) -> _End:
            slot = starts[end.block] + end.size if end.block >= 0 else 0
            if slot == slots:
                return _End(len(merged) - 1, merged[-1].size)
            return _End(slot // BLOCK_ROWS, slot % BLOCK_ROWS)

        self._history.move_all(moved)
        self._blocks = merged

    def _append_rows(self, rows: list[Row]) -> None:
        self.row_count += len(rows)
        self.size_bytes += CELL_BYTES * len(rows) * len(self.types)
        start = 0
        while start < len(rows):
            if not self._blocks or self._blocks[-1].size >= BLOCK_ROWS:
                self._blocks.append(_Block(len(self.types)))
            block = self._blocks[-1]
            some = rows[start : start + BLOCK_ROWS - block.size]
            start += len(some)
            if block.index is not None:
                encode = self._codec.encode
                for offset, row in enumerate(some):
                    block.index_row(hash(encode(row)), block.size + offset)
            for column, values, intern in zip(
                block.columns, zip(*some, strict=True), self._interners, strict=True
            ):
                column += values if intern is None else intern(values)
            block.size += len(some)

    def _build_index(self, block: "_Block") -> Iterator[None]:
        block.index = {}
        encode = self._codec.encode
        rows = block.all_rows()
        position = 0
        while part := list(islice(rows, CHUNK_ROWS)):
            for row in part:
                block.index_row(hash(encode(row)), position)
                position += 1
            yield
        self.size_bytes += 100 * block.size


class _End(NamedTuple):
    """A point in the order of rows: everything before `block` and the first `size` rows of it."""

    block: int
    size: int


class _History:
    """Where the rows of each recent commit end, by time; before them the state at `since`."""

    def __init__(self) -> None:
        self._times: list[Timestamp] = []
        self._ends: list[_End] = []
        self.base = _End(-1, 0)

    def add(self, ts: Timestamp, end: _End) -> None:
        self._times.append(ts)
        self._ends.append(end)

    def frontier(self, as_of: Timestamp) -> _End:
        """What a read at `as_of` sees."""
        index = bisect_right(self._times, as_of)
        return self._ends[index - 1] if index else self.base

    @property
    def is_long(self) -> bool:
        return bool(self._times)

    def forget(self, since: Timestamp) -> None:
        index = bisect_right(self._times, since)
        if index:
            self.base = self._ends[index - 1]
            del self._times[:index]
            del self._ends[:index]

    def move(self, block: int, places: Sequence[int]) -> None:
        """Rows of `block` moved: `places[n]` of its first `n` rows are left."""
        self.move_all(lambda end: end if end.block != block else _End(block, places[end.size]))

    def move_all(self, moved: Callable[[_End], _End]) -> None:
        self.base = moved(self.base)
        self._ends = [moved(end) for end in self._ends]


class _Block:
    """Up to BLOCK_ROWS rows as columns."""

    __slots__ = ("columns", "index", "removed", "size")

    def __init__(self, width: int) -> None:
        self.columns: list[list[Datum]] = [[] for _ in range(width)]
        self.size = 0
        self.removed: dict[int, Timestamp] = {}
        self.index: dict[int, int | list[int]] | None = None

    def index_row(self, key: int, position: int) -> None:
        assert self.index is not None
        known = self.index.get(key)
        if known is None:
            self.index[key] = position
        elif isinstance(known, list):
            known.append(position)
        else:
            self.index[key] = [known, position]

    def remove(self, key: int, encoded: bytes, copies: int, ts: Timestamp, codec: RowCodec) -> int:
        """Mark up to `copies` rows; how many there were."""
        assert self.index is not None
        found = self.index.get(key)
        if found is None:
            return 0
        positions = found if isinstance(found, list) else [found]
        taken = 0
        while positions and taken < copies:
            position = positions[-1]
            row = tuple([column[position] for column in self.columns])
            if codec.encode(row) != encoded:  # another row with the same hash
                return taken + self._remove_among(positions, encoded, copies - taken, ts, codec)
            positions.pop()
            self.removed[position] = ts
            taken += 1
        if not positions or not isinstance(found, list):
            del self.index[key]
        return taken

    def _remove_among(
        self,
        positions: list[int],
        encoded: bytes,
        copies: int,
        ts: Timestamp,
        codec: RowCodec,
    ) -> int:
        taken = 0
        for position in list(positions):
            row = tuple([column[position] for column in self.columns])
            if taken < copies and codec.encode(row) == encoded:
                positions.remove(position)
                self.removed[position] = ts
                taken += 1
        return taken

    def all_rows(self) -> Iterator[Row]:
        if not self.columns:
            return iter([()] * self.size)
        return zip(*self.columns, strict=True)

    def dead_count(self, since: Timestamp) -> int:
        if not self.removed:
            return 0
        return sum(1 for ts in self.removed.values() if ts <= since)

    def compact(self, since: Timestamp) -> Sequence[int]:
        """Drop the rows removed through `since`; how many of the first n rows are left, by n."""
        keep = bytearray(b"\x01" * self.size)
        for position, ts in self.removed.items():
            if ts <= since:
                keep[position] = 0
        places = list(accumulate(keep, initial=0))
        self.columns = [list(compress(column, keep)) for column in self.columns]
        self.removed = {places[p]: ts for p, ts in self.removed.items() if ts > since}
        self.size = places[-1]
        self.index = None
        return places

    def take(self, other: "_Block", start: int) -> int:
        """Append rows of `other` from `start` on while there is room; how many."""
        count = min(BLOCK_ROWS - self.size, other.size - start)
        stop = start + count
        for column, values in zip(self.columns, other.columns, strict=True):
            column += values[start:stop]
        for position, ts in other.removed.items():
            if start <= position < stop:
                self.removed[position - start + self.size] = ts
        self.size += count
        return count

    def scan(self, as_of: Timestamp, wanted: Sequence[int], size: int) -> Iterator[list[Row]]:
        gone = [p for p, ts in self.removed.items() if ts <= as_of and p < size]
        if not wanted:
            count = size - len(gone)
            for start in range(0, count, CHUNK_ROWS):
                yield [()] * min(CHUNK_ROWS, count - start)
            return
        columns = self.columns
        chosen: list[Any] = [columns[index] for index in wanted]
        if gone:
            keep = bytearray(b"\x01" * size)
            for position in gone:
                keep[position] = 0
            chosen = [compress(column, keep) for column in chosen]
        elif size <= CHUNK_ROWS:
            if size:
                yield list(islice(zip(*chosen, strict=True), size))
            return
        # Columns may grow while this is suspended.
        rows = islice(zip(*chosen, strict=True), size)
        while part := list(islice(rows, CHUNK_ROWS)):
            yield part


def _interner(sql_type: SqlType) -> Callable[[Sequence[Datum]], Sequence[Datum]] | None:
    """Makes equal datums one object. None for types whose equal datums may differ (1.0 and 1.00)
    or are hardly ever equal; a column that turns out to have few equals is left alone."""
    if sql_type.oid == 16 or sql_type.element is not None or sql_type.oid in (1700, 1186, 3802):
        return None
    memo: dict[Datum, Datum] = {}
    is_float = sql_type.oid in (700, 701)
    seen = 0
    is_worth_it = True

    def intern(values: Sequence[Datum]) -> Sequence[Datum]:
        nonlocal seen, is_worth_it
        if not is_worth_it:
            return values
        seen += len(values)
        if len(memo) > MAX_MEMO:
            is_worth_it = len(memo) * 2 < seen
            memo.clear()
            seen = 0
        share = memo.setdefault
        if is_float:  # zero has two signs
            return [share(value, value) if value else value for value in values]
        return list(map(share, values, values))

    return intern
