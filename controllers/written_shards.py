"""Shards that replicas write directly: materialized views and sources.

environmentd creates them, keeps them small and destroys them; their writers only append. A replica
never creates one, so none comes back after it was finalized, whatever a replica that lags still
tries.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from core.ids import ShardId, Timestamp
from persist.handles import open_shard
from persist.location import PersistLocation

MAX_AT_ONCE: Final = 8


class WrittenShards:
    """`notice_written` is told of each shard that is to be compacted."""

    def __init__(
        self, location: PersistLocation, notice_written: Callable[[ShardId], None]
    ) -> None:
        assert location.fence is not None, "shards are created under an epoch only"
        self._location = location
        self._epoch = location.fence.epoch
        self._notice_written = notice_written
        self._uppers: dict[ShardId, Timestamp] = {}

    async def open(self, sinces: Mapping[ShardId, Timestamp]) -> None:
        """Create those shards that do not exist, with these sinces; from here on `upper` knows
        each. Raises FencedError, DeterminateError, IndeterminateError (in an exception group)."""
        permits = asyncio.Semaphore(MAX_AT_ONCE)

        async def one(shard: ShardId, since: Timestamp) -> None:
            async with permits:
                state = await open_shard(self._location, shard, self._epoch, since)
            self.advanced(shard, state.upper, is_fragmented=True)

        async with asyncio.TaskGroup() as group:
            for shard, since in sinces.items():
                group.create_task(one(shard, since), name=f"open {shard}")

    def upper(self, shard: ShardId) -> Timestamp:
        """The durable upper of an open shard, as last told."""
        return self._uppers[shard]

    def advanced(self, shard: ShardId, upper: Timestamp, is_fragmented: bool) -> None:
        """A replica says that the upper of `shard` is `upper`, and whether there is something to
        compact: a shard of which only the upper moves costs nothing."""
        if upper > self._uppers.get(shard, -1):
            self._uppers[shard] = upper
            if is_fragmented:
                self._notice_written(shard)

    def forget(self, shard: ShardId) -> None:
        """The shard was dropped: it is for the storage controller to finalize."""
        self._uppers.pop(shard, None)
