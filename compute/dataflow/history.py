"""What recent commits of an arrangement changed, so that it can be read at recent times.

Changes are kept twice: by time, for those who follow them, and by key, so that a read of a key that
nothing has touched since costs no more than a read of now. History is kept after `since`;
`compact` forgets what nobody may read any more.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from compute.dataflow.updates import Updates
from core.ids import Timestamp
from core.rows import Datum

CHANGE_OVERHEAD_BYTES: Final = 400  # of a key at a time, with its rows
KEYS_A_STEP: Final = 512

Changes = dict[Datum, Updates]


class History:
    """Changes after `since`, in the order of time."""

    __slots__ = ("_at", "_by_key", "_times", "change_count", "since")

    def __init__(self, since: Timestamp) -> None:
        self.since = since
        self.change_count = 0
        self._times: deque[Timestamp] = deque()
        self._at: dict[Timestamp, Changes] = {}
        self._by_key: dict[Datum, list[tuple[Timestamp, Updates]]] = {}

    @property
    def size_bytes(self) -> int:
        return self.change_count * CHANGE_OVERHEAD_BYTES

    def record(self, ts: Timestamp, changes: Changes) -> None:
        """Remember what a commit at `ts` changed; the lists belong to the history from now on."""
        if ts <= self.since:
            return
        known = self._at.get(ts)
        if known is None:
            self._times.append(ts)
            known = self._at[ts] = {}
        by_key = self._by_key
        for key, updates in changes.items():
            if key in known:
                known[key] += updates
                continue
            known[key] = updates
            self.change_count += 1
            entries = by_key.get(key)
            if entries is None:
                by_key[key] = [(ts, updates)]
            else:
                entries.append((ts, updates))

    def at(self, ts: Timestamp) -> Changes:
        """The changes at a time after `since`."""
        return self._at.get(ts, {})

    def times_after(self, ts: Timestamp) -> list[Timestamp]:
        """When something changed after `ts`, in order."""
        return [time for time in self._times if time > ts]

    def has_touched(self, key: Datum, ts: Timestamp) -> bool:
        """Whether anything of that key has changed after `ts`."""
        entries = self._by_key.get(key)
        return entries is not None and entries[-1][0] > ts

    def undoing(self, key: Datum, ts: Timestamp) -> Updates:
        """What takes the rows of a key back to `ts`."""
        return [
            (row, -diff)
            for time, updates in self._by_key.get(key, ())
            if time > ts
            for row, diff in updates
        ]

    def touched_after(self, ts: Timestamp) -> set[Datum]:
        """The keys with changes after `ts`."""
        return {key for time in self._times if time > ts for key in self._at[time]}

    def compact(self, since: Timestamp) -> Iterator[None]:
        """No reads before `since` from now on; forget what they would need in the steps that are
        returned, which are bounded."""
        self.since = max(self.since, since)
        return self._forget_all()

    def _forget_all(self) -> Iterator[None]:
        by_key = self._by_key
        while self._times and self._times[0] <= self.since:
            changes = self._at.pop(self._times.popleft())
            self.change_count -= len(changes)
            for number, key in enumerate(changes, 1):
                if key in by_key:
                    self._forget(key, by_key[key])
                if not number % KEYS_A_STEP:
                    yield
            yield

    def _forget(self, key: Datum, entries: list[tuple[Timestamp, Updates]]) -> None:
        since = self.since
        if entries[-1][0] <= since:
            del self._by_key[key]
            return
        count = 0
        while entries[count][0] <= since:
            count += 1
        del entries[:count]
