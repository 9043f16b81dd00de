"""What a session needs of the controllers, handed out once per session."""

from dataclasses import dataclass

from controllers.compute_client import ComputeClient
from controllers.read_holds import ReadHolds
from controllers.shard_pool import ShardPool


@dataclass(frozen=True, slots=True)
class ControllerClients:
    """`compute` runs peeks and stages writes, `holds` keeps read times readable, `shards` gives a
    shard to each new table."""

    compute: ComputeClient
    holds: ReadHolds
    shards: ShardPool
