"""How much of a stream of changes was delivered, when several replicas send it, or one by one.

Every replica sends the same rows in the same order, so a place in the stream is a time and a number
of rows: everything before the time, and so many of the rows at it.
"""

from core.ids import MIN_TIMESTAMP, Timestamp


class Delivered:
    """All changes before `upper`, and `count` rows of those at `upper`."""

    __slots__ = ("count", "upper")

    def __init__(self, upper: Timestamp) -> None:
        self.upper = upper
        self.count = 0

    def take(self, ts: Timestamp, first: int, row_count: int) -> int:
        """Rows from number `first` on of those at `ts` have come, of a replica that has sent all
        that comes before. Returns how many of them had been delivered; the rest is now."""
        if ts < self.upper:
            return row_count
        if ts > self.upper:
            self.upper, self.count = ts, 0
        known = max(0, min(row_count, self.count - first))
        self.count = max(self.count, first + row_count)
        return known

    def advance(self, upper: Timestamp) -> bool:
        """A replica has sent all changes before `upper`. Returns whether that is news."""
        if upper <= self.upper:
            return False
        self.upper, self.count = upper, 0
        return True


class Place:
    """Where one replica is in the stream: it has sent `count` of the rows at `ts`."""

    __slots__ = ("count", "ts")

    def __init__(self) -> None:
        self.ts = MIN_TIMESTAMP
        self.count = 0

    def pass_by(self, ts: Timestamp, row_count: int) -> int:
        """The next rows are `row_count` at `ts`; the number of the first one."""
        if ts != self.ts:
            self.ts, self.count = ts, 0
        first = self.count
        self.count += row_count
        return first
