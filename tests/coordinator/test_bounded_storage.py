"""The tables of the store, seen through a live server's life: many small inserts leave them small,
and a dropped table leaves nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

import asyncpg
import psycopg
import pytest

from tests.running_server import HeadwaterServer

CONNECTIONS: Final = 16
PADDING: Final = "x" * 60
DEADLINE_S: Final = 60.0
POLL_S: Final = 0.25
MAX_ENTRIES: Final = 3_000  # the log keeps two bases of the txns shard, 1,000 entries apart
MAX_CONSENSUS_BYTES: Final = 32 * 1024 * 1024
MAX_BLOBS: Final = 32
MAX_BLOB_BYTES: Final = 16 * 1024 * 1024
SIZES: Final = """
SELECT (SELECT count(*) FROM consensus), pg_total_relation_size('consensus'),
       (SELECT count(*) FROM blob), pg_total_relation_size('blob')"""
REMAINS: Final = """
SELECT (SELECT count(*) FROM consensus WHERE shard = $1)
     + (SELECT count(*) FROM consensus_head WHERE shard = $1)
     + (SELECT count(*) FROM blob WHERE starts_with(key, $1 || '/'))"""

MALFORMED_AT_LAST: Final = b"1\tx\n" * 100_000 + b"one\tx\n"
BLOBS: Final = "SELECT count(*) FROM blob WHERE starts_with(key, $1 || '/')"

Connection = asyncpg.Connection


@pytest.fixture
def server(tmp_path: Path, fresh_database_url: str) -> Iterator[HeadwaterServer]:
    server = HeadwaterServer(tmp_path / "data", ("--metadata-url", fresh_database_url))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def store(fresh_database_url: str) -> AsyncIterator["Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(fresh_database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def insert(server: HeadwaterServer, first: int, count: int) -> None:
    connection = await asyncpg.connect(server.dsn)
    try:
        for number in range(first, first + count):
            await connection.execute(f"INSERT INTO small VALUES ({number}, '{PADDING}')")
    finally:
        await connection.close()


async def sizes(store: "Connection[asyncpg.Record]") -> tuple[int, ...]:
    """Rows and bytes of `consensus`, rows and bytes of `blob`."""
    row = await store.fetchrow(SIZES)
    assert row is not None
    return tuple(row)


def shard_of(server: HeadwaterServer, table: str) -> str:
    with psycopg.connect(server.internal_dsn) as connection:
        row = connection.execute(
            "SELECT s.value ->> 'shard' FROM mz_internal.mz_catalog_raw s "
            "JOIN mz_internal.mz_catalog_raw i ON i.key = s.key "
            "WHERE s.kind = 'storage_collection' AND i.kind = 'item' "
            "AND i.value ->> 'name' = %s",
            (table,),
        ).fetchone()
    assert row is not None
    return str(row[0])


async def wait_for_blobs(store: "Connection[asyncpg.Record]", shard: str, count: int) -> None:
    """Until `shard` has `count` blobs."""
    deadline = time.monotonic() + DEADLINE_S
    while (found := await store.fetchval(BLOBS, shard)) != count:
        assert time.monotonic() < deadline, f"{found} blobs"
        await asyncio.sleep(POLL_S)


async def test_writes_that_were_given_up_leave_nothing(
    server: HeadwaterServer, store: "Connection[asyncpg.Record]"
) -> None:
    first, second = [await asyncpg.connect(server.dsn) for _ in range(2)]
    await first.execute("CREATE TABLE large (n int NOT NULL, padding text)")
    shard = await asyncio.to_thread(shard_of, server, "large")
    fill = f"INSERT INTO large SELECT n, '{PADDING}' FROM generate_series(1, 10000) AS n"
    await first.execute("BEGIN")
    await first.execute(fill)
    assert await store.fetchval(BLOBS, shard) > 0
    await first.execute("ROLLBACK")
    await wait_for_blobs(store, shard, 0)
    vanishing = await asyncpg.connect(server.dsn)
    await vanishing.execute("BEGIN")
    await vanishing.execute(fill)
    vanishing.terminate()
    await wait_for_blobs(store, shard, 0)
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await first.copy_to_table("large", source=BytesIO(MALFORMED_AT_LAST))
    await wait_for_blobs(store, shard, 0)
    # Of two that read what the other writes, one is refused.
    fill += " WHERE NOT EXISTS (SELECT FROM large)"
    for client in (first, second):
        await client.execute("BEGIN")
        await client.execute(fill)
    await first.execute("COMMIT")
    with pytest.raises(asyncpg.SerializationError):
        await second.execute("COMMIT")
    await wait_for_blobs(store, shard, 1)
    assert await second.fetchval("SELECT count(*) FROM large") == 10_000
    for client in (first, second):
        await client.close()


@pytest.mark.parametrize(
    "inserts",
    [
        pytest.param(1_600, id="sample"),
        pytest.param(10_000, id="long", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
async def test_small_inserts_and_a_drop(
    server: HeadwaterServer, store: "Connection[asyncpg.Record]", inserts: int
) -> None:
    client = await asyncpg.connect(server.dsn)
    await client.execute("CREATE TABLE small (n int NOT NULL, padding text)")
    shard = await asyncio.to_thread(shard_of, server, "small")
    before = peak = await sizes(store)
    share = inserts // CONNECTIONS
    writers = asyncio.gather(*(insert(server, n * share, share) for n in range(CONNECTIONS)))
    while not writers.done():
        await asyncio.wait([writers], timeout=POLL_S)
        peak = tuple(map(max, peak, await sizes(store)))
    await writers
    assert await client.fetchval("SELECT count(*) FROM small") == inserts
    after = await sizes(store)
    assert await store.fetchval(REMAINS, shard) > 0
    await client.execute("DROP TABLE small")
    await client.close()
    deadline = time.monotonic() + DEADLINE_S
    while await store.fetchval(REMAINS, shard):
        assert time.monotonic() < deadline, "the dropped table's shard is still there"
        await asyncio.sleep(POLL_S)
    print(f"before {before}, peak {peak}, after {after}, dropped {await sizes(store)}")
    assert peak[0] < MAX_ENTRIES
    assert peak[1] < MAX_CONSENSUS_BYTES
    assert peak[2] < MAX_BLOBS
    assert peak[3] < MAX_BLOB_BYTES
