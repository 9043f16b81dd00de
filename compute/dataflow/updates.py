"""Changes of collections, and the errors in their data.

`Updates` are (row, diff) pairs that belong to one time. They need not be consolidated: a row may
occur more than once, and diffs may cancel. What an operator emits adds up to the change of its
output, and nothing else is promised.

A row whose evaluation fails is an *error update*: the error, with the row's diff. Errors are a
collection beside the rows, so an error heals when the row that caused it is retracted.
"""

from collections.abc import Callable, Iterable
from typing import Final

from core.errors import SqlError
from core.rows import Datum, Row

Update = tuple[Row, int]
Updates = list[Update]
Identity = Callable[[Row], Datum]  # equal exactly for identical rows
ErrorKey = tuple[str, str]
ErrorUpdates = list[tuple[SqlError, int]]
NO_UPDATES: Final[Updates] = []


class Errors:
    """A multiset of errors in data, as large as the number of different errors. Every change of it
    is also appended to `journal`, if there is one."""

    def __init__(self, journal: ErrorUpdates | None = None) -> None:
        self.journal = journal
        self._counts: dict[ErrorKey, int] = {}
        self._errors: dict[ErrorKey, SqlError] = {}

    def add(self, error: SqlError, diff: int) -> None:
        """Count `diff` more occurrences of `error`."""
        # Where it was raised would keep all rows of that step.
        error.__traceback__ = error.__context__ = error.__cause__ = None
        if self.journal is not None:
            self.journal.append((error, diff))
        key = (error.sqlstate, error.message)
        count = self._counts.get(key, 0) + diff
        if count:
            self._counts[key] = count
            self._errors.setdefault(key, error)
        else:
            self._counts.pop(key, None)
            self._errors.pop(key, None)

    def items(self) -> ErrorUpdates:
        """Every error with its count."""
        return [(self._errors[key], count) for key, count in self._counts.items()]

    def first(self) -> SqlError | None:
        """An error to answer a read with, the same one on every replica; None if there is none."""
        present = [key for key, count in self._counts.items() if count > 0]
        if not present:
            return None
        return self._errors[min(present)].with_traceback(None)  # each read would add to it


def add_row(rows: dict[Datum, Update], name: Datum, row: Row, diff: int) -> None:
    """Count `diff` more of a row in a multiset by identity, which holds no count of zero."""
    known = rows.get(name)
    count = diff if known is None else known[1] + diff
    if count:
        rows[name] = (row, count)
    elif known is not None:
        del rows[name]


def add_count(counts: dict[Datum, int], name: Datum, diff: int) -> tuple[int, int]:
    """The same for a multiset of names; returns the count before and after."""
    was = counts.get(name, 0)
    now = was + diff
    if now:
        counts[name] = now
    else:
        counts.pop(name, None)
    return was, now


def consolidate(updates: Iterable[Update], identity: Identity) -> Updates:
    """The same change with every row once and no diff of zero."""
    rows: dict[Datum, Update] = {}
    for row, diff in updates:
        add_row(rows, identity(row), row, diff)
    return list(rows.values())
