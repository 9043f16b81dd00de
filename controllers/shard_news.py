"""Telling the replicas of a cluster that others moved the uppers of shards that they read."""

import asyncio
from collections.abc import Callable, Mapping, Set

from compute.dataflow_messages import ShardAdvanced
from compute.protocol import Command
from controllers.replica import Replica
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp


class ShardNews:
    """What comes in one turn of the event loop is told in one message. The shards of the cluster's
    own dataflows concern all its replicas, those of others only once they are followed."""

    def __init__(
        self, replicas: Mapping[str, Replica], send: Callable[[str, Command], None]
    ) -> None:
        self._replicas = replicas
        self._send = send
        self._followed: set[ShardId] = set()
        self._awaited = MIN_TIMESTAMP
        self._untold: dict[str, dict[ShardId, Timestamp]] = {}  # by replica

    def follow(self, shard: ShardId) -> None:
        """A shard that another cluster writes is read here."""
        if shard not in self._followed:
            self._followed.add(shard)
            self._awaited = MIN_TIMESTAMP

    def awaited(self, past: Timestamp) -> Set[ShardId]:
        """A read here may wait until what others write is past a time: the shards to move, unless
        that was asked for already."""
        if past <= self._awaited:
            return frozenset()
        self._awaited = past
        return self._followed

    def unfollow(self, shard: ShardId) -> None:
        """The shard is no more."""
        self._followed.discard(shard)

    def advanced(self, shard: ShardId, upper: Timestamp, by: Replica) -> None:
        """`by`, of this cluster or another, moved the upper of `shard`."""
        if by.process not in self._replicas and shard not in self._followed:
            return
        for process, replica in self._replicas.items():
            if replica is by or not replica.serves:
                continue
            if not self._untold:
                asyncio.get_running_loop().call_soon(self._tell)
            self._untold.setdefault(process, {})[shard] = upper

    def _tell(self) -> None:
        untold, self._untold = self._untold, {}
        for process, uppers in untold.items():
            self._send(process, ShardAdvanced(tuple(uppers.items())))
