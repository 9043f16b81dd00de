"""Feeds: the decoded changes of one collection, by time, as the replica's dataflows take them in.

A feed is shared by all dataflows that read the collection; each has a cursor of its own. To start,
a dataflow opens a cursor at its as_of and then reads the snapshot at that time: the two meet
without a gap. What the slowest cursor has not taken is kept, within a bound; a cursor that lags
behind it, or whose feed misses changes, is lost, and its dataflow starts anew.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import NamedTuple, Protocol

from compute.dataflow.updates import ErrorUpdates, Updates
from core.ids import Timestamp


class Part(NamedTuple):
    """Some of the changes at one time: a bounded number of them, for one step."""

    updates: Updates
    errors: ErrorUpdates


class FeedLostError(Exception):
    """Changes were missed, or what the feed follows is gone: start anew from a snapshot."""


class Cursor(Protocol):
    """One dataflow's place in a feed."""

    @property
    def next_ts(self) -> Timestamp:
        """The earliest time of changes not taken yet; MAX_TIMESTAMP if none are known. Raises
        FeedLostError."""
        ...

    @property
    def upper(self) -> Timestamp:
        """Every change at a time before is known: it was taken or is waiting. The changes of a time
        are taken only when it is before this."""
        ...

    def take(self) -> AsyncIterator[Part]:
        """Take the changes at `next_ts`, all of them: iterate to the end. Raises MissingPartError,
        StorageError."""
        ...

    def close(self) -> None:
        """Let go of what is kept for this cursor. Idempotent."""
        ...


class Feed(Protocol):
    """The changes of a collection. Whoever moves its upper calls `Progress.moved`."""

    @property
    def upper(self) -> Timestamp:
        """How far the collection is known here."""
        ...

    async def follow(self, as_of: Timestamp, on_change: Callable[[], None]) -> Cursor:
        """A cursor that gives every change after `as_of`. `on_change` is called when changes come
        in that were not waiting before, or the cursor is lost; it must do no more than wake
        somebody. Raises SinceError, StorageError, FeedLostError."""
        ...

    def snapshot(self, as_of: Timestamp) -> AsyncGenerator[Part, None]:
        """The contents at `as_of`, which `upper` has passed, in parts; close the iterator
        (`contextlib.aclosing`). Raises SinceError, MissingPartError, StorageError, FeedLostError.
        """
        ...
