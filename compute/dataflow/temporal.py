"""Rows that are there at certain times only: comparisons with `mz_now()`.

A row's conditions give the times [from, until) at which it is there. It is emitted at `from` (or
when it comes in, if that is later) and retracted at `until`, whether or not anything else happens
then. What is to come is kept by time; a row that is retracted before its time takes back what it
was going to do, so nothing is kept of rows that are gone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sortedcontainers import SortedDict

from compute.dataflow.graph import Clock
from compute.dataflow.updates import Errors, Identity, Update, Updates, add_row
from core.errors import SqlError
from core.ids import MAX_TIMESTAMP, Timestamp
from core.rows import Datum, Row
from expr.temporal import TimeBound

Bucket = dict[Datum, Update]


@dataclass(slots=True)
class TemporalFilterNode:
    """The input's rows at the times at which all conditions hold: `bounds` of what `values` gives
    of a row. Times are those of `clock`."""

    bounds: tuple[TimeBound, ...]
    values: Callable[[Row], Row]
    identity: Identity
    clock: Clock
    _future: "SortedDict[Timestamp, Bucket]" = field(default_factory=SortedDict)

    def next_event_time(self) -> Timestamp | None:
        return self._future.peekitem(0)[0] if self._future else None

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        now = self.clock.now
        out: Updates = []
        for row, diff in inputs[0]:
            try:
                start, end = self._interval(self.values(row))
            except SqlError as error:
                errors.add(error, diff)
                continue
            if end <= now or start >= end:
                continue
            if start <= now:
                out.append((row, diff))
            else:
                self._schedule(start, row, diff)
            if end < MAX_TIMESTAMP:
                self._schedule(end, row, -diff)
        while self._future and self._future.peekitem(0)[0] <= now:
            _, bucket = self._future.popitem(0)
            out += bucket.values()
        return out

    def _interval(self, values: Row) -> tuple[int, int]:
        """The times [from, until) at which the conditions hold."""
        start, end = 0, int(MAX_TIMESTAMP)
        for bound, value in zip(self.bounds, values, strict=True):
            if value is None:
                return 0, 0
            match bound:
                case TimeBound.AT:
                    start, end = max(start, value), min(end, value + 1)
                case TimeBound.BEFORE:
                    end = min(end, value)
                case TimeBound.THROUGH:
                    end = min(end, value + 1)
                case TimeBound.AFTER:
                    start = max(start, value + 1)
                case TimeBound.FROM:
                    start = max(start, value)
        return start, end

    def _schedule(self, time: int, row: Row, diff: int) -> None:
        ts = Timestamp(time)
        bucket = self._future.get(ts)
        if bucket is None:
            bucket = self._future[ts] = {}
        add_row(bucket, self.identity(row), row, diff)
        if not bucket:
            del self._future[ts]
