"""What a session needs of the controllers, handed out once per session."""

from dataclasses import dataclass

from controllers.compute_client import ComputeClient
from controllers.introspection import Introspection
from controllers.read_holds import ReadHolds
from controllers.shard_pool import ShardPool
from controllers.storage_collections import StorageCollections


@dataclass(frozen=True, slots=True)
class ControllerClients:
    """`compute` runs peeks and stages writes, `collections` knows what can be read and keeps it
    so, `shards` gives a shard to each new table, `introspection` has the rows of introspection
    relations."""

    compute: ComputeClient
    collections: StorageCollections
    shards: ShardPool
    introspection: Introspection

    @property
    def holds(self) -> ReadHolds:
        """What keeps read times readable."""
        return self.collections.holds
