"""Every implementation of the timestamp oracle and of the commit point, over one set of stores."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from core.clock import Clock
from oracle.commit_point import PostgresCommitPoint, ThreeStepCommitPoint
from oracle.memory import MemoryOracle, MemoryTimeline
from oracle.oracle import TimestampOracle
from oracle.postgres import PostgresOracle
from persist.commit_point import CommitPoint
from persist.consensus import Consensus, Fence
from persist.location import claim_environment
from persist.memory import MemoryConsensus, MemoryFences, MemoryLogs
from persist.postgres_consensus import PostgresConsensus
from persist.postgres_pool import PostgresPool

ENVIRONMENT = "test"
START = 1_000_000_000


class ManualClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@dataclass
class OracleStore:
    """One database: `take` fences earlier holders; the others open clients with a fence."""

    take: Callable[[], Awaitable[Fence]]
    oracle: Callable[[Fence, Clock], Awaitable[TimestampOracle]]
    consensus: Callable[[Fence], Consensus]
    commit_point: Callable[[Fence, TimestampOracle], CommitPoint]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(
    params=[
        "memory",
        "three steps",
        "read committed",
        "repeatable read",
        "serializable",
        pytest.param("debian", marks=pytest.mark.debian),
    ]
)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[OracleStore]:
    if request.param == "memory":
        fences, logs, timeline = MemoryFences(), MemoryLogs(), MemoryTimeline()

        async def take() -> Fence:
            return fences.take(ENVIRONMENT)

        async def open_memory(fence: Fence, clock: Clock) -> TimestampOracle:
            return MemoryOracle(timeline, fences, fence, clock)

        def memory_consensus(fence: Fence) -> Consensus:
            return MemoryConsensus(logs, fences, fence)

        yield OracleStore(
            take,
            open_memory,
            memory_consensus,
            lambda fence, oracle: ThreeStepCommitPoint(memory_consensus(fence), oracle),
        )
        return
    is_debian = request.param == "debian"
    url = request.getfixturevalue(
        "fresh_debian_database_url" if is_debian else "fresh_database_url"
    )
    isolation = None if request.param in ("three steps", "debian") else request.param
    pool = PostgresPool(url, 8, isolation=isolation)

    async def claim() -> Fence:
        return (await claim_environment(url, ENVIRONMENT)).fence

    async def open_postgres(fence: Fence, clock: Clock) -> TimestampOracle:
        oracle = PostgresOracle(pool, fence, clock)
        await oracle.create()
        return oracle

    def postgres_consensus(fence: Fence) -> Consensus:
        return PostgresConsensus(pool, fence)

    def commit_point(fence: Fence, oracle: TimestampOracle) -> CommitPoint:
        if request.param == "three steps":
            return ThreeStepCommitPoint(postgres_consensus(fence), oracle)
        return PostgresCommitPoint(pool, fence)

    yield OracleStore(claim, open_postgres, postgres_consensus, commit_point)
    await pool.close()
