"""Frontiers of stored collections, as the rest of the process needs them.

All tables share the txns shard's frontier, so nothing here is per collection: the since that a
collection may have is one number, the policy's lag behind the newest commit, held back by the
oldest read. It is computed when somebody asks: compaction, when it has something to free. Nothing
is written per commit or tick.
"""

from collections.abc import Callable

from controllers.read_holds import ReadHolds
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp


class StorageCollections:
    """Synchronous for its callers. `upper` tells the txns shard's upper: every commit below it was
    acknowledged, so no later read is at a time before `upper() - 1`. `lag_us` is the policy: how
    far sinces stay behind."""

    def __init__(
        self, holds: ReadHolds, upper: Callable[[], Timestamp], lag_us: Callable[[], int]
    ) -> None:
        self.holds = holds
        self._upper = upper
        self._lag_us = lag_us

    def newest(self) -> Timestamp:
        """The time of the newest commit."""
        return Timestamp(self._upper() - 1)

    def oldest_readable(self) -> Timestamp:
        """The oldest time that anybody reads at from here on, whatever the policy: the oldest hold,
        else now."""
        return self.holds.advance_floor(self.newest())

    def since(self) -> Timestamp:
        """How far sinces may be now; from here on no hold before it can be taken."""
        wanted = Timestamp(max(MIN_TIMESTAMP, self.newest() - self._lag_us()))
        return self.holds.advance_floor(wanted)

    def since_of(self, shard: ShardId) -> Timestamp:
        """How far the since of a data shard may be now (what `TxnsWriter` asks)."""
        del shard  # one timeline, one policy
        return self.since()
