"""The oracle and the commit point of one environment, opened for environmentd.

They have connections of their own, one for commits and one for reads, so that neither ever waits
for the other or for background work on the shared pool.
"""

from dataclasses import dataclass

from core.clock import Clock, system_clock
from oracle.batching import BatchingOracle
from oracle.commit_point import PostgresCommitPoint
from oracle.oracle import TimestampOracle
from oracle.postgres import open_postgres_oracle
from persist.commit_point import CommitPoint
from persist.location import PersistLocation
from persist.postgres_pool import PostgresPool


@dataclass(frozen=True, slots=True)
class EnvironmentOracle:
    """`oracle` batches reads; `commit_point` is for the `TxnsWriter`."""

    oracle: TimestampOracle
    commit_point: CommitPoint
    _batching: BatchingOracle
    _pools: tuple[PostgresPool, ...]

    async def close(self) -> None:
        """Stop the batching task and drop the connections."""
        await self._batching.close()
        for pool in self._pools:
            await pool.close()


async def open_environment_oracle(
    location: PersistLocation, *, clock: Clock = system_clock
) -> EnvironmentOracle:
    """Open them in the metadata database of `location`, which must have a fence."""
    fence = location.fence
    assert fence is not None, "the oracle is opened under an epoch only"
    commits = PostgresPool(location.metadata_url, 1)
    reads = PostgresPool(location.metadata_url, 1)
    batching = BatchingOracle(await open_postgres_oracle(reads, fence, clock))
    commit_point = PostgresCommitPoint(commits, fence)
    return EnvironmentOracle(batching, commit_point, batching, (commits, reads))
