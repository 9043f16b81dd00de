"""Exports: where the changes of a dataflow's output go.

The runner calls `start`, then `changes` any number of times (the snapshot, all at `as_of`, and then
time after time; a large change comes in several calls of one time), then `frontier` when a time is
complete. The calls come in the order of time, in the loop turn in which the change was computed.
An exception from any of them fails the dataflow.
"""

from typing import Protocol

from compute.dataflow.updates import ErrorUpdates, Updates
from core.ids import Timestamp


class Upper(Protocol):
    """How far something is."""

    @property
    def upper(self) -> Timestamp:
        """Contents at times before are complete. Computed when asked for: it moves with the
        dataflow's inputs while there is nothing to do (see `Progress`)."""
        ...


class Export(Protocol):
    """Takes the changes of one dataflow's output."""

    def start(self, as_of: Timestamp, dataflow: Upper) -> None:
        """The dataflow begins: what comes first are its contents at `as_of`."""
        ...

    def changes(self, ts: Timestamp, updates: Updates, errors: ErrorUpdates) -> None:
        """Some of the changes at `ts`, not consolidated, and the change of the errors in data."""
        ...

    def frontier(self, upper: Timestamp) -> None:
        """Every change before `upper` has been given. Called after each time that had changes at an
        input (though maybe none at the output), when hydration ends (`upper` > `as_of`), and a few
        times a second while nothing happens."""
        ...

    async def room(self) -> None:
        """Wait until more changes may come: called between steps."""
        ...

    @property
    def durable_upper(self) -> Timestamp:
        """Of the shard that is written; 0 without one. Call `DataflowRegistry.report` when it has
        moved because of a change."""
        ...

    @property
    def is_fragmented(self) -> bool:
        """Whether it is time to compact the shard that is written."""
        ...

    @property
    def row_count(self) -> int:
        """Rows that are kept here, for `DataflowSizes`."""
        ...

    @property
    def size_bytes(self) -> int:
        """What they occupy, estimated."""
        ...

    def allow_compaction(self, since: Timestamp) -> None:
        """Nobody reads before `since`."""
        ...

    def close(self) -> None:
        """The dataflow ends (dropped, failed, or `until` was reached). Idempotent."""
        ...
