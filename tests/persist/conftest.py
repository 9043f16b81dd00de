"""Every implementation of Consensus and Blob, for their contract suites, and a whole location."""

import urllib.request
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from persist.blob import Blob
from persist.consensus import Consensus, Fence
from persist.file_blob import FileBlob
from persist.location import PersistLocation, claim_environment, open_location
from persist.memory import MemoryBlob, MemoryConsensus, MemoryFences, MemoryLogs
from persist.postgres_blob import PostgresBlob
from persist.postgres_consensus import PostgresConsensus
from persist.postgres_pool import PostgresPool
from persist.postgres_schema import create_tables
from persist.s3_blob import S3Blob

ENVIRONMENT = "test"


@dataclass
class ConsensusStore:
    """One database: `take` fences earlier holders, `open` gives a client with a fence."""

    take: Callable[[], Awaitable[Fence]]
    open: Callable[[Fence | None], Consensus]


@pytest.fixture(
    params=[
        "memory",
        "read committed",
        "repeatable read",
        "serializable",
        pytest.param("debian", marks=pytest.mark.debian),
    ]
)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ConsensusStore]:
    if request.param == "memory":
        fences, logs = MemoryFences(), MemoryLogs()

        async def take() -> Fence:
            return fences.take(ENVIRONMENT)

        yield ConsensusStore(take, lambda fence: MemoryConsensus(logs, fences, fence))
        return
    is_debian = request.param == "debian"
    url = request.getfixturevalue(
        "fresh_debian_database_url" if is_debian else "fresh_database_url"
    )
    pool = PostgresPool(url, 8, isolation=None if is_debian else request.param)

    async def claim() -> Fence:
        return (await claim_environment(url, ENVIRONMENT)).fence

    yield ConsensusStore(claim, lambda fence: PostgresConsensus(pool, fence))
    await pool.close()


@pytest.fixture
async def consensus(store: ConsensusStore) -> Consensus:
    return store.open(await store.take())


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3-compatible server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def s3_blob(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> S3Blob:
    """A blob store in a bucket of its own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bucket = f"bucket-{uuid.uuid4().hex}"
    request = urllib.request.Request(f"{endpoint}/{bucket}", method="PUT")
    urllib.request.urlopen(request).close()
    return S3Blob.from_url(f"s3://{bucket}/some/prefix?endpoint={endpoint}")


@pytest.fixture(params=["memory", "postgres", "file", "s3"])
async def blob(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blob]:
    if request.param == "memory":
        yield MemoryBlob()
    elif request.param == "file":
        yield FileBlob(tmp_path / "blobs")
    elif request.param == "s3":
        endpoint = request.getfixturevalue("s3_endpoint")
        yield s3_blob(endpoint, request.getfixturevalue("monkeypatch"))
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
