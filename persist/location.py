"""Where an environment keeps its durable state, opened for one process.

`claim_environment` takes the next epoch and so fences every earlier process; `open_location` opens
the stores under that fence. Replicas open the same location with the fence they were given.

Blob URLs: `postgres:` (or nothing: a table next to consensus), `file:///directory`,
`s3://bucket/prefix`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from core.ids import ShardId, new_shard_id
from persist.blob import Blob
from persist.consensus import Consensus, Fence
from persist.file_blob import FileBlob
from persist.metrics import external_op
from persist.postgres_blob import PostgresBlob
from persist.postgres_consensus import PostgresConsensus
from persist.postgres_pool import PostgresPool
from persist.postgres_schema import create_tables
from persist.s3_blob import S3Blob

DEFAULT_ENVIRONMENT: Final = "environment-default"
DEFAULT_POOL_SIZE: Final = 8

_CLAIM: Final = """
INSERT INTO fence (environment, epoch, txns_shard, catalog_shard) VALUES ($1, 1, $2, $3)
ON CONFLICT (environment) DO UPDATE SET epoch = fence.epoch + 1
RETURNING epoch, txns_shard, catalog_shard"""


class EnvironmentClaim(msgspec.Struct, frozen=True):
    """An epoch taken, and the two shards everything else is found from."""

    fence: Fence
    txns_shard: ShardId
    catalog_shard: ShardId


@dataclass(frozen=True, slots=True)
class PersistLocation:
    """Open stores. Reads need no fence; a write without one is refused. `metadata_url` lets the
    oracle open connections of its own, so that no background work makes a commit wait."""

    metadata_url: str
    consensus: Consensus
    blob: Blob
    fence: Fence | None
    pool: PostgresPool | None

    async def close(self) -> None:
        """Drop every connection at once."""
        if self.pool is not None:
            await self.pool.close()


async def claim_environment(
    metadata_url: str, environment: str = DEFAULT_ENVIRONMENT
) -> EnvironmentClaim:
    """Create what is missing in the metadata database, take the next epoch of `environment` and
    return it with the environment's well-known shards. From its commit on no holder of a lower
    epoch can write. Raises DeterminateError if the database cannot be reached."""
    pool = PostgresPool(metadata_url, 1)
    try:
        await create_tables(pool)
        with external_op("claim_environment"):
            # Safe to repeat after a lost answer: an epoch may be skipped, never shared.
            rows = await pool.read(_CLAIM, environment, new_shard_id(), new_shard_id())
        epoch, txns_shard, catalog_shard = rows[0]
        return EnvironmentClaim(
            Fence(environment, int(epoch)), ShardId(txns_shard), ShardId(catalog_shard)
        )
    finally:
        await pool.close()


async def open_location(
    metadata_url: str,
    blob_url: str,
    *,
    fence: Fence | None,
    pool_size: int = DEFAULT_POOL_SIZE,
) -> PersistLocation:
    """Open the stores. Connections are opened when first needed, at most `pool_size`. Raises
    ValueError if `blob_url` is of no known kind."""
    pool = PostgresPool(metadata_url, pool_size)
    return PersistLocation(
        metadata_url=metadata_url,
        consensus=PostgresConsensus(pool, fence),
        blob=open_blob(blob_url, pool),
        fence=fence,
        pool=pool,
    )


def open_blob(blob_url: str, pool: PostgresPool) -> Blob:
    """The blob store at `blob_url`. Raises ValueError if it is of no known kind."""
    parts = urlsplit(blob_url)
    match parts.scheme:
        case "" | "postgres":
            return PostgresBlob(pool)
        case "file":
            return FileBlob(Path(unquote(parts.path)))
        case "s3":
            return S3Blob.from_url(blob_url)
        case _:
            raise ValueError(f"unknown kind of blob URL: {blob_url!r}")
