"""The timestamp oracle: hands out virtual time, linearizably across processes.

Rules (`read_ts` and `write_ts` are those of the store, never of a cache):

- `read_ts` >= every applied write and < every write timestamp handed out later; - `apply_write(ts)`
is called only once the write at ts is durable; - a `read_ts` answer comes from a call that started
after it was asked for: no caching. - No time is handed out more than `core.clock.MAX_LEAD_US` past
the clock: a caller waits for the clock.
"""

from typing import Final, Protocol

import msgspec

from core.ids import Epoch, Timestamp

DEFAULT_TIMELINE: Final = "epoch_microseconds"


class ReadTimestamp(msgspec.Struct, frozen=True):
    """One snapshot of the oracle: reads at `read_ts` see every acknowledged write; `catalog_ts` is
    the time of the last catalog change, `epoch` the environment's newest."""

    read_ts: Timestamp
    catalog_ts: Timestamp
    epoch: Epoch


class WriteTimestamp(msgspec.Struct, frozen=True):
    """A time for one write, and the time collections without writes may advance to."""

    timestamp: Timestamp
    advance_to: Timestamp


class TimestampOracle(Protocol):
    """Raises StorageError of either kind; every operation may be tried again."""

    async def write_ts(self) -> WriteTimestamp:
        """A time greater than any handed out or applied before, not behind the clock."""
        ...

    async def peek_write_ts(self) -> Timestamp:
        """The newest write time handed out or applied."""
        ...

    async def read_ts(self) -> ReadTimestamp:
        """A time at which every write acknowledged before this call is visible."""
        ...

    async def apply_write(self, ts: Timestamp, *, is_catalog_change: bool = False) -> None:
        """Let reads see the durable write at `ts`."""
        ...
