"""Read holds: while one is held, no collection's since passes its time.

Holds are timeline-wide: one number per reader, not one per collection, so that taking one is a
dictionary increment. The storage controller asks for the least held time before it lets a since
advance; `since_floor` is the furthest it has let any since advance, so that a hold below it is
refused instead of being a promise that nobody keeps. Everything here is synchronous: there is no
await between the check and the act.
"""

from types import TracebackType
from typing import Self

from core.ids import MIN_TIMESTAMP, Timestamp


class HoldTooOldError(Exception):
    """The time asked for is before the since that collections may already have."""


class ReadHold:
    """A promise about one time; released by `release()` (idempotent) or by leaving `with`."""

    __slots__ = ("_holds", "ts")

    def __init__(self, holds: "ReadHolds", ts: Timestamp) -> None:
        self._holds: ReadHolds | None = holds
        self.ts = ts

    def move(self, to: Timestamp) -> None:
        """Hold a later time instead."""
        if self._holds is not None and to > self.ts:
            self._holds.hold_one(to)
            self._holds.release_one(self.ts)
            self.ts = to

    def release(self) -> None:
        if self._holds is not None:
            self._holds.release_one(self.ts)
            self._holds = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class ReadHolds:
    """The holds of one process."""

    def __init__(self) -> None:
        self.since_floor: Timestamp = MIN_TIMESTAMP
        self._counts: dict[Timestamp, int] = {}

    def acquire(self, ts: Timestamp, since: Timestamp | None = None) -> ReadHold:
        """Hold `ts`. Raises HoldTooOldError when a since may already be past it; `since` is that of
        the collections that are to be read, if they keep more of their past than others."""
        floor = self.since_floor if since is None else since
        if ts < floor:
            raise HoldTooOldError(f"{ts} is before {floor}")
        self.hold_one(ts)
        return ReadHold(self, ts)

    def advance_floor(self, to: Timestamp) -> Timestamp:
        """Let sinces advance to `to`, or to the least held time if that is earlier.

        Returns the time that sinces may now advance to; it never goes back.
        """
        self.since_floor = max(self.since_floor, min(to, self.oldest(to)))
        return self.since_floor

    def oldest(self, default: Timestamp) -> Timestamp:
        """The least held time, `default` if there is none."""
        return min(self._counts, default=default)

    @property
    def count(self) -> int:
        return sum(self._counts.values())

    def hold_one(self, ts: Timestamp) -> None:
        """Count one more hold at `ts`, which is known to be held back."""
        self._counts[ts] = self._counts.get(ts, 0) + 1

    def release_one(self, ts: Timestamp) -> None:
        """Give up one hold at `ts` (what `ReadHold.release` calls)."""
        left = self._counts[ts] - 1
        if left:
            self._counts[ts] = left
        else:
            del self._counts[ts]
