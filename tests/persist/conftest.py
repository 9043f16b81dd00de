"""Every implementation of Consensus and Blob, for their contract suites, and a whole location."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from persist.blob import Blob
from persist.consensus import Consensus, Fence
from persist.file_blob import FileBlob
from persist.location import PersistLocation, claim_environment, open_location
from persist.memory import MemoryBlob, MemoryConsensus, MemoryFences, MemoryLogs
from persist.postgres_blob import PostgresBlob
from persist.postgres_consensus import PostgresConsensus
from persist.postgres_pool import PostgresPool
from persist.postgres_schema import create_tables

ENVIRONMENT = "test"


@dataclass
class ConsensusStore:
    """One database: `take` fences earlier holders, `open` gives a client with a fence."""

    take: Callable[[], Awaitable[Fence]]
    open: Callable[[Fence | None], Consensus]


@pytest.fixture(params=["memory", "read committed", "repeatable read", "serializable"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ConsensusStore]:
    if request.param == "memory":
        fences, logs = MemoryFences(), MemoryLogs()

        async def take() -> Fence:
            return fences.take(ENVIRONMENT)

        yield ConsensusStore(take, lambda fence: MemoryConsensus(logs, fences, fence))
        return
    url = request.getfixturevalue("fresh_database_url")
    pool = PostgresPool(url, 8, isolation=request.param)

    async def claim() -> Fence:
        return (await claim_environment(url, ENVIRONMENT)).fence

    yield ConsensusStore(claim, lambda fence: PostgresConsensus(pool, fence))
    await pool.close()


@pytest.fixture
async def consensus(store: ConsensusStore) -> Consensus:
    return store.open(await store.take())


@pytest.fixture(params=["memory", "postgres", "file"])
async def blob(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blob]:
    if request.param == "memory":
        yield MemoryBlob()
    elif request.param == "file":
        yield FileBlob(tmp_path / "blobs")
    else:
        pool = PostgresPool(request.getfixturevalue("fresh_database_url"), 4)
        await create_tables(pool)
        yield PostgresBlob(pool)
        await pool.close()


@pytest.fixture
async def location(fresh_database_url: str) -> AsyncIterator[PersistLocation]:
    """A claimed environment on a real PostgreSQL."""
    claim = await claim_environment(fresh_database_url, ENVIRONMENT)
    opened = await open_location(fresh_database_url, "postgres:", fence=claim.fence)
    yield opened
    await opened.close()


@pytest.fixture
def memory_location() -> PersistLocation:
    """A claimed environment in memory."""
    fences = MemoryFences()
    fence = fences.take(ENVIRONMENT)
    return PersistLocation(
        metadata_url="",
        consensus=MemoryConsensus(MemoryLogs(), fences, fence),
        blob=MemoryBlob(),
        fence=fence,
        pool=None,
    )
