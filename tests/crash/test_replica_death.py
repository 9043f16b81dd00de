"""A replica is killed while it works for a client: the client gets the right answer or a clear
error, never waits for ever, and goes on with the next replica."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import psutil
import pytest

from tests.processes import replicas
from tests.running_server import HeadwaterServer

DEADLINE_S: Final = 90.0
WORK_CPU_S: Final = 0.3  # so much of a processor says that a replica works on a statement
START_CPU_S: Final = 2.0  # more than it takes one to start
POLL_S: Final = 0.02
ROWS: Final = 20_000
MANY_ROWS: Final = f"generate_series(1, {ROWS}) AS a, generate_series(1, 1000) AS b"
LOST: Final = "57P01"

Connection = asyncpg.Connection


@pytest.fixture
async def connection(
    headwater_server: HeadwaterServer,
) -> AsyncIterator["Connection[asyncpg.Record]"]:
    """A connection beside an empty table, whose replicas serve."""
    connection = await asyncpg.connect(headwater_server.dsn)
    await connection.execute("CREATE TABLE target (n int NOT NULL)")
    await connection.fetch("SELECT n FROM target")
    try:
        yield connection
        await connection.execute("DROP TABLE target")
    finally:
        await connection.close()


async def kill_at_work(
    server: HeadwaterServer, statement: "asyncio.Task[object]", cpu_s: float = WORK_CPU_S
) -> int:
    """Kill the replica that works on `statement`; how many were killed: none if it was done."""
    before = {replica.pid: _cpu_s(replica) for replica in replicas(server.pid)}
    while not statement.done():
        for replica in replicas(server.pid):
            if _cpu_s(replica) - before.setdefault(replica.pid, _cpu_s(replica)) > cpu_s:
                replica.kill()
                return 1
        await asyncio.sleep(POLL_S)
    return 0


def _cpu_s(process: psutil.Process) -> float:
    try:
        return float(process.cpu_times().user)
    except psutil.NoSuchProcess:
        return 0.0


def kill_all(server: HeadwaterServer) -> None:
    for replica in replicas(server.pid):
        replica.kill()


async def count(connection: "Connection[asyncpg.Record]") -> int:
    return int(await connection.fetchval("SELECT count(*) FROM target"))


async def test_a_query_is_repeated(
    headwater_server: HeadwaterServer, connection: "Connection[asyncpg.Record]"
) -> None:
    async with asyncio.timeout(DEADLINE_S):
        query = asyncio.create_task(connection.fetchval(f"SELECT count(*) FROM {MANY_ROWS}"))
        assert await kill_at_work(headwater_server, query) == 1
        assert await query == ROWS * 1000


async def test_a_result_half_delivered_ends_with_an_error(
    headwater_server: HeadwaterServer, connection: "Connection[asyncpg.Record]"
) -> None:
    received = 0

    async def receive(data: bytes) -> None:
        nonlocal received
        if not received:
            kill_all(headwater_server)
        received += len(data)

    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await connection.copy_from_query(
                "SELECT repeat('x', 100) || n FROM generate_series(1, 1000000) AS n", output=receive
            )
        assert caught.value.sqlstate == LOST
        assert received < 100_000_000
        assert await count(connection) == 0


async def test_a_copy_half_sent_ends_with_an_error(
    headwater_server: HeadwaterServer, connection: "Connection[asyncpg.Record]"
) -> None:
    async def source() -> AsyncIterator[bytes]:
        for chunk in range(200):
            if chunk == 50:
                kill_all(headwater_server)
            yield b"".join(b"%d\n" % (chunk * 1000 + n) for n in range(1000))

    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await connection.copy_to_table("target", source=source())
        assert caught.value.sqlstate == LOST
        assert await count(connection) == 0


async def test_an_insert_from_a_query_is_repeated_and_happens_once(
    headwater_server: HeadwaterServer, connection: "Connection[asyncpg.Record]"
) -> None:
    statement = f"INSERT INTO target SELECT a * 1000 + b FROM {MANY_ROWS} WHERE (a + b) % 1000 = 0"
    async with asyncio.timeout(DEADLINE_S):
        insert = asyncio.create_task(connection.execute(statement))
        assert await kill_at_work(headwater_server, insert) == 1
        assert await insert == f"INSERT 0 {ROWS}"
        row = await connection.fetchrow("SELECT count(*), count(DISTINCT n) FROM target")
    assert row is not None
    assert tuple(row) == (ROWS, ROWS)


@pytest.mark.long
async def test_what_kills_every_replica_is_given_up(
    headwater_server: HeadwaterServer, connection: "Connection[asyncpg.Record]"
) -> None:
    killed = 0
    async with asyncio.timeout(DEADLINE_S):
        query = asyncio.create_task(
            connection.fetchval(f"SELECT count(*) FROM {MANY_ROWS}, generate_series(1, 100)")
        )
        while not query.done():
            killed += await kill_at_work(headwater_server, query, START_CPU_S)
        with pytest.raises(asyncpg.PostgresError) as caught:
            await query
        assert caught.value.sqlstate == LOST
        assert "cluster replica stopped" in str(caught.value)
        assert await count(connection) == 0
    assert 3 <= killed <= 10
