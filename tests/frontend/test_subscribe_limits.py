"""Subscribers who do not read, and many who do: what waits for them is bounded, in bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final

import psutil
import psycopg
import pytest

from tests.processes import replicas
from tests.running_server import HeadwaterServer
from tests.subscribing import DEADLINE_S, Connection, Subscription

ROW_BYTES: Final = 100_000
ROWS_AT_ONCE: Final = 20
COMMITS: Final = 15
SUBSCRIBERS: Final = 64


@pytest.fixture
async def connection(headwater_server: HeadwaterServer) -> AsyncIterator[Connection]:
    """A connection beside an empty table t, and a small backlog."""
    async with await psycopg.AsyncConnection.connect(
        headwater_server.internal_dsn, autocommit=True
    ) as system:
        await system.execute("ALTER SYSTEM SET max_subscribe_backlog = '4MB'")
    connection = await psycopg.AsyncConnection.connect(headwater_server.dsn, autocommit=True)
    async with connection:
        await connection.execute("CREATE TABLE t (k int, v text)")
        yield connection
        await connection.execute("DROP TABLE t")


def resident_bytes(server: HeadwaterServer) -> int:
    """What environmentd and its replicas occupy together."""
    processes = [psutil.Process(server.pid), *replicas(server.pid)]
    return sum(process.memory_info().rss for process in processes)


async def write(connection: Connection, number: int) -> None:
    """One commit of ROWS_AT_ONCE rows of ROW_BYTES each, and another that takes them away."""
    first = number * ROWS_AT_ONCE
    await connection.execute(
        f"INSERT INTO t SELECT k, repeat('x', {ROW_BYTES}) "
        f"FROM generate_series({first}, {first + ROWS_AT_ONCE - 1}) AS k".encode()
    )
    await connection.execute("DELETE FROM t")


async def test_a_slow_subscriber_is_ended_with_an_error(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    for number in range(COMMITS):  # what the server needs by itself, it has after this
        await write(connection, number)
    reader = await psycopg.AsyncConnection.connect(headwater_server.dsn, autocommit=True)
    async with reader, asyncio.timeout(DEADLINE_S):
        stream = reader.cursor().stream("SUBSCRIBE t WITH (PROGRESS)")
        await anext(stream)
        before = resident_bytes(headwater_server)
        for number in range(COMMITS):
            await write(connection, number)
        grown = resident_bytes(headwater_server) - before
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded) as raised:
            async for _ in stream:
                pass
    assert grown < COMMITS * ROWS_AT_ONCE * ROW_BYTES
    assert raised.value.diag.message_hint is not None
    assert "SNAPSHOT = false" in raised.value.diag.message_hint


async def test_many_subscribers(headwater_server: HeadwaterServer, connection: Connection) -> None:
    async with AsyncExitStack() as stack:
        subscriptions = await asyncio.gather(
            *(
                stack.enter_async_context(Subscription(headwater_server, "t"))
                for _ in range(SUBSCRIBERS)
            )
        )
        for number in range(20):
            await connection.execute("INSERT INTO t VALUES (%s, 'x')", [number])
        seen = await asyncio.gather(*(each.take(20) for each in subscriptions))
    assert [row[2] for row in seen[0]] == [str(number) for number in range(20)]
    assert all(rows == seen[0] for rows in seen)
