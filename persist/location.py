"""Where an environment keeps its durable state, opened for one process.

`claim_environment` takes the next epoch and so fences every earlier process; `open_location` opens
the stores under that fence. Replicas open the same location with the fence they were given.

Blob URLs: `postgres:` (or none: a table next to consensus), `file:///directory`, `s3://bucket/prefix`,
`memory:` (tests).
"""

from dataclasses import dataclass

import msgspec

from core.ids import ShardId
from persist.blob import Blob
from persist.consensus import Consensus, Fence
from persist.postgres_pool import PostgresPool

DEFAULT_ENVIRONMENT = "environment-default"


class EnvironmentClaim(msgspec.Struct, frozen=True):
    """An epoch taken, and the two shards everything else is found from."""

    fence: Fence
    txns_shard: ShardId
    catalog_shard: ShardId


@dataclass(frozen=True, slots=True)
class PersistLocation:
    """Open stores. Reads need no fence; a write without one is refused."""

    consensus: Consensus
    blob: Blob
    fence: Fence | None
    pool: PostgresPool

    async def close(self) -> None:
        """Close every connection; waits for none that is in use."""


async def claim_environment(
    metadata_url: str, environment: str = DEFAULT_ENVIRONMENT
) -> EnvironmentClaim:
    """Create what is missing in the metadata database, take the next epoch of `environment` and
    return it with the environment's well-known shards. From its commit on no holder of a lower
    epoch can write."""
    raise NotImplementedError


async def open_location(
    metadata_url: str,
    blob_url: str,
    *,
    fence: Fence | None,
    pool_size: int = 8,
) -> PersistLocation:
    """Open the stores. Connections are opened when first needed, at most `pool_size`."""
    raise NotImplementedError
