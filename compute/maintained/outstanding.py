"""What a sink has still to append: its desired output against what the shard holds. No I/O.

Times before `upper` are settled: what the shard holds there is what was desired, but for the
*corrections*, the difference that is known. They are appended with the next times. Changes at
`upper` and later wait in order.

Settled times are of two kinds. Where the shard was read back (`compare`), desired changes count
for the corrections and persisted ones against them. Where another replica wrote and nobody read
back (`trust`), desired changes are dropped: replicas compute the same.

Invariant, once nothing is being read back and every change before `upper` has come: the shard's
contents plus the corrections are the desired contents at `upper` - 1.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from compute.dataflow.updates import ErrorUpdates, Updates
from compute.maintained.data_errors import encode_error
from core.ids import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp
from core.rows import Row
from persist.batches import UpdateChunk

STEP_ROWS: Final = 256


class Change(NamedTuple):
    """Some of the output's changes at one time."""

    ts: Timestamp
    updates: Updates
    errors: ErrorUpdates

    @property
    def update_count(self) -> int:
        return len(self.updates) + len(self.errors)


class Outstanding:
    """See the module docstring. The output begins with the contents at `as_of`, which are kept
    consolidated, as corrections of a shard that is empty as far as is known here."""

    def __init__(self, encode: Callable[[Row], bytes], as_of: Timestamp) -> None:
        self.upper = MIN_TIMESTAMP
        self.as_of = as_of
        self.corrections: dict[bytes, int] = {}
        self.pending_count = 0
        self._encode = encode
        self._pending: deque[Change] = deque()
        self._last_count = 0  # of the last time in `_pending`
        self._trusted = MIN_TIMESTAMP

    @property
    def is_empty(self) -> bool:
        return not self.corrections and not self._pending

    @property
    def is_compared(self) -> bool:
        """Whether no settled time was merely trusted."""
        return self._trusted == MIN_TIMESTAMP

    @property
    def count(self) -> int:
        """How many updates are kept."""
        return len(self.corrections) + self.pending_count

    @property
    def past_count(self) -> int:
        """How many updates wait at times before the last, which may not be complete yet."""
        return self.pending_count - self._last_count if self._pending else 0

    def waiting(self) -> list[Change]:
        """The changes at `upper` and later, in order."""
        return list(self._pending)

    def add(self, change: Change) -> None:
        """The next change of the output."""
        if change.ts < self._trusted:
            return
        if change.ts < self.upper or change.ts <= self.as_of:
            self._correct(change)
        else:
            if not self._pending or self._pending[-1].ts != change.ts:
                self._last_count = 0
            self._pending.append(change)
            self._last_count += change.update_count
            self.pending_count += change.update_count

    def trust(self, upper: Timestamp) -> None:
        """Another replica has written up to `upper`, and what it wrote is what was desired. As long
        as that does not reach past the output's beginning it helps nothing."""
        if upper <= max(self.upper, self.as_of):
            return
        self.upper = self._trusted = upper
        self.corrections.clear()
        self._drop_pending()

    def compare(self, upper: Timestamp) -> None:
        """The shard's upper is `upper`: count what is desired before it. The caller gives what was
        persisted between the former upper and this one to `subtract`, all of it."""
        self.upper = upper
        while self._pending and self._pending[0].ts < upper:
            change = self._pending.popleft()
            self.pending_count -= change.update_count
            self._correct(change)

    def subtract(self, chunk: UpdateChunk) -> Iterator[None]:
        """Updates that the shard holds; yields between bounded steps."""
        diffs = chunk.diffs
        if isinstance(diffs, int):
            diffs = [diffs] * len(chunk.rows)
        for number, (row, diff) in enumerate(zip(chunk.rows, diffs, strict=True)):
            _count(self.corrections, row, -diff)
            if number % STEP_ROWS == STEP_ROWS - 1:
                yield

    def encoded(
        self, through: Timestamp, into: Callable[[bytes, int, Timestamp], None]
    ) -> Iterator[None]:
        """Give `into` the row, diff and time of everything to append at times up to `through`,
        consolidated; yields between bounded steps. Changes may be added meanwhile, no more."""
        ts = max(self.upper, self.as_of)
        yield from _give(self.corrections, ts, into)
        counts: dict[bytes, int] = {}
        for change in tuple(self._pending):
            if change.ts > through:
                break
            if change.ts != ts:
                yield from _give(counts, ts, into)
                counts = {}
                ts = change.ts
            self._encode_into(counts, change)
            yield
        yield from _give(counts, ts, into)

    def last_time(self, before: Timestamp, limit: int) -> Timestamp:
        """The last time to append if all before `before` may be, and about `limit` updates: the
        changes of one time go together."""
        count = len(self.corrections)
        ts = max(self.upper, self.as_of)
        for change in self._pending:
            if change.ts >= before:
                break
            if count > limit and change.ts > ts:
                return ts
            count += change.update_count
            ts = change.ts
        return Timestamp(before - 1)

    def appended(self, upper: Timestamp) -> None:
        """What `encoded` gave, through `upper` - 1, is in the shard now."""
        self.corrections.clear()
        self.upper = max(self.upper, upper)  # others may have gone on since
        self._drop_pending()

    def forget(self) -> None:
        """Keep nothing from now on: nobody will append it."""
        self.trust(MAX_TIMESTAMP)

    def _drop_pending(self) -> None:
        while self._pending and self._pending[0].ts < self.upper:
            self.pending_count -= self._pending.popleft().update_count

    def _correct(self, change: Change) -> None:
        self._encode_into(self.corrections, change)

    def _encode_into(self, counts: dict[bytes, int], change: Change) -> None:
        encode = self._encode
        for row, diff in change.updates:
            _count(counts, encode(row), diff)
        for error, diff in change.errors:
            _count(counts, encode_error(error), diff)


def _give(
    counts: dict[bytes, int], ts: Timestamp, into: Callable[[bytes, int, Timestamp], None]
) -> Iterator[None]:
    for number, (row, diff) in enumerate(counts.items()):
        into(row, diff, ts)
        if number % STEP_ROWS == STEP_ROWS - 1:
            yield


def _count(counts: dict[bytes, int], row: bytes, diff: int) -> None:
    total = counts.get(row, 0) + diff
    if total:
        counts[row] = total
    else:
        counts.pop(row, None)
