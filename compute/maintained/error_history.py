"""The errors in the data of a maintained collection, at recent times."""

from collections import deque

from compute.dataflow.updates import Errors, ErrorUpdates
from core.errors import SqlError
from core.ids import Timestamp


class ErrorHistory:
    """Errors now, and what recent changes of them take back."""

    def __init__(self) -> None:
        self._now = Errors()
        self._changes: deque[tuple[Timestamp, ErrorUpdates]] = deque()

    def add(self, ts: Timestamp, errors: ErrorUpdates) -> None:
        """The changes at `ts`; times never go back."""
        for error, diff in errors:
            self._now.add(error, diff)
        self._changes.append((ts, errors))

    def first_at(self, ts: Timestamp) -> SqlError | None:
        """What a read at `ts` fails with; None if nothing is wrong."""
        later = [errors for time, errors in self._changes if time > ts]
        if not later:
            return self._now.first()
        then = Errors()
        for error, diff in self._now.items():
            then.add(error, diff)
        for errors in later:
            for error, diff in errors:
                then.add(error, -diff)
        return then.first()

    def all_at(self, ts: Timestamp) -> ErrorUpdates:
        """Every error at `ts`, for those who follow the collection from there; not consolidated."""
        undone = [
            (error, -diff) for time, errors in self._changes if time > ts for error, diff in errors
        ]
        return [*self._now.items(), *undone]

    def changes_after(self, ts: Timestamp) -> dict[Timestamp, ErrorUpdates]:
        """The changes after `ts`, by time."""
        found: dict[Timestamp, ErrorUpdates] = {}
        for time, errors in self._changes:
            if time > ts:
                found.setdefault(time, []).extend(errors)
        return found

    def compact(self, since: Timestamp) -> None:
        """Forget how it was before `since`."""
        while self._changes and self._changes[0][0] <= since:
            self._changes.popleft()
