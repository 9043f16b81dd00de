"""Recorded histories: what each client asked for, when, and what it was told.

A history is a list of transactions over *keys*. A key holds values that are unique in the whole
history, appended one by one. An ordered key is a row whose text is appended to by UPDATE, so a read
shows the order; an unordered key is a group of inserted rows, so a read shows a set.
"""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What the client knows of a transaction."""

    COMMITTED = "committed"
    FAILED = "failed"  # answered with an error that says it did not happen
    INDETERMINATE = "indeterminate"  # the connection broke: it may have happened


@dataclass(frozen=True, slots=True)
class Append:
    """The transaction appends `value` to `key`."""

    key: str
    value: int


@dataclass(frozen=True, slots=True)
class Read:
    """The transaction saw exactly `values` in `key`, before its own appends."""

    key: str
    values: tuple[int, ...]
    is_ordered: bool


@dataclass(frozen=True, slots=True)
class Use:
    """The transaction wrote to an object that existed (DML), or dropped it (DDL)."""

    name: str
    is_drop: bool


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction. Times are monotonic nanoseconds of the recording process; `timestamp` is
    the virtual time the server told for it (of the read, or of the commit), None if unknown."""

    id: int
    started_ns: int
    ended_ns: int
    outcome: Outcome
    appends: tuple[Append, ...] = ()
    reads: tuple[Read, ...] = ()
    uses: tuple[Use, ...] = ()
    timestamp: int | None = None

    @property
    def is_write(self) -> bool:
        return bool(self.appends) or any(use.is_drop for use in self.uses)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One way in which a history cannot have come from a strictly serializable database."""

    kind: str
    description: str
