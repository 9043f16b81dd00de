"""SUBSCRIBE through cursors: DECLARE, FETCH with and without a timeout, and transactions."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import asyncpg
import pytest

from tests.running_server import HeadwaterServer

DEADLINE_S = 60.0

Connection = asyncpg.Connection


@pytest.fixture
async def writer(headwater_server: HeadwaterServer) -> AsyncIterator["Connection[asyncpg.Record]"]:
    """A connection beside a table t of three rows."""
    connection = await asyncpg.connect(headwater_server.dsn)
    await connection.execute("CREATE TABLE t (k int)")
    await connection.execute("INSERT INTO t VALUES (1), (2), (3)")
    try:
        yield connection
        await connection.execute("DROP TABLE t")
    finally:
        await connection.close()


@pytest.fixture
async def reader(headwater_server: HeadwaterServer) -> AsyncIterator["Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(headwater_server.dsn)
    async with asyncio.timeout(DEADLINE_S):
        try:
            yield connection
        finally:
            await connection.close()


async def fetched(reader: "Connection[asyncpg.Record]", what: str) -> list[tuple[object, ...]]:
    """What FETCH gives, without mz_timestamp."""
    return [tuple(row)[1:] for row in await reader.fetch(f"FETCH {what}")]


async def test_counts(
    reader: "Connection[asyncpg.Record]", writer: "Connection[asyncpg.Record]"
) -> None:
    async with reader.transaction():
        await reader.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
        (first,) = await reader.fetch("FETCH 1 c")
        assert list(first.keys()) == ["mz_timestamp", "mz_diff", "k"]
        assert isinstance(first["mz_timestamp"], Decimal)
        assert tuple(first)[1:] == (1, 1)
        assert await fetched(reader, "2 c") == [(1, 2), (1, 3)]
        await writer.execute("INSERT INTO t VALUES (4)")
        # Without a timeout FETCH waits for the first rows, then gives what is there.
        assert await fetched(reader, "ALL c") == [(1, 4)]
        await writer.execute("DELETE FROM t WHERE k < 3")
        assert await fetched(reader, "100 c") == [(-1, 1), (-1, 2)]
        assert await reader.execute("CLOSE c") == "CLOSE CURSOR"


async def test_timeouts(
    reader: "Connection[asyncpg.Record]", writer: "Connection[asyncpg.Record]"
) -> None:
    async with reader.transaction():
        await reader.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
        assert len(await fetched(reader, "3 c WITH (timeout = '1 hour')")) == 3
        assert await fetched(reader, "ALL c WITH (timeout = '0s')") == []
        assert await fetched(reader, "ALL c WITH (TIMEOUT '100ms')") == []
        waiting = asyncio.create_task(fetched(reader, "2 c WITH (timeout = '1 hour')"))
        await writer.execute("INSERT INTO t VALUES (4)")
        await writer.execute("INSERT INTO t VALUES (5)")
        assert await waiting == [(1, 4), (1, 5)]
        await writer.execute("INSERT INTO t VALUES (6)")
        seen: list[tuple[object, ...]] = []
        while not seen:
            seen = await fetched(reader, "ALL c WITH (timeout = '50ms')")
        assert seen == [(1, 6)]
        assert await reader.execute("MOVE ALL IN c WITH (timeout = '0s')") == "MOVE 0"


@pytest.mark.parametrize("timeout", ["'-1s'", "'2 days'", "'soon'"])
async def test_timeouts_out_of_range(
    reader: "Connection[asyncpg.Record]", writer: "Connection[asyncpg.Record]", timeout: str
) -> None:
    with pytest.raises((asyncpg.DataError, asyncpg.InvalidDatetimeFormatError)):
        await reader.fetch(f"FETCH ALL c WITH (timeout = {timeout})")


async def test_the_end(
    reader: "Connection[asyncpg.Record]", writer: "Connection[asyncpg.Record]"
) -> None:
    as_of = await writer.fetchval("SELECT max(mz_now()::text) FROM t GROUP BY ()")
    async with reader.transaction():
        await reader.execute(
            f"DECLARE c CURSOR FOR SUBSCRIBE t WITH (PROGRESS) AS OF {as_of} UP TO {int(as_of) + 1}"
        )
        rows: list[tuple[object, ...]] = []
        while part := await fetched(reader, "ALL c"):
            rows += part
        assert rows == [
            (True, None, None),
            *((False, 1, k) for k in (1, 2, 3)),
            (True, None, None),
        ]
        assert await fetched(reader, "ALL c WITH (timeout = '1 hour')") == []


async def test_asyncpg_cursors(
    reader: "Connection[asyncpg.Record]", writer: "Connection[asyncpg.Record]"
) -> None:
    async with reader.transaction():
        cursor = await reader.cursor("SUBSCRIBE (SELECT k FROM t WHERE k > $1)", 1)
        assert [row["k"] for row in await cursor.fetch(1)] == [2]
        assert [row["k"] for row in await cursor.fetch(1)] == [3]
        waiting = asyncio.create_task(cursor.fetch(2))
        await writer.execute("INSERT INTO t VALUES (7), (8)")
        assert [row["k"] for row in await waiting] == [7, 8]


async def test_a_fetch_can_be_cancelled(
    reader: "Connection[asyncpg.Record]", writer: "Connection[asyncpg.Record]"
) -> None:
    await reader.execute("BEGIN")
    await reader.execute("DECLARE c CURSOR FOR SUBSCRIBE t WITH (SNAPSHOT = false)")
    with pytest.raises(asyncio.TimeoutError):
        await reader.fetch("FETCH ALL c", timeout=0.2)  # asyncpg cancels the statement
    await reader.execute("ROLLBACK")
    await reader.execute("SET statement_timeout = '100ms'")
    await reader.execute("BEGIN")
    await reader.execute("DECLARE c CURSOR FOR SUBSCRIBE t WITH (SNAPSHOT = false)")
    with pytest.raises(asyncpg.QueryCanceledError):
        await reader.fetch("FETCH ALL c")
    await reader.execute("ROLLBACK")
    assert await reader.fetchval("SELECT count(*) FROM t") == 3


async def test_a_transaction_that_subscribes_does_nothing_else(
    reader: "Connection[asyncpg.Record]", writer: "Connection[asyncpg.Record]"
) -> None:
    only = "SUBSCRIBE in transactions must be the only read statement"
    for statement in ("SELECT * FROM t", "INSERT INTO t VALUES (9)", "DELETE FROM t"):
        await reader.execute("BEGIN")
        await reader.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
        await reader.fetch("FETCH 1 c")
        with pytest.raises(asyncpg.InvalidTransactionStateError, match=only):
            await reader.execute(statement)
        await reader.execute("ROLLBACK")
        await reader.execute("BEGIN")
        await reader.execute(statement)
        await reader.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
        with pytest.raises(asyncpg.InvalidTransactionStateError, match=only):
            await reader.fetch("FETCH 1 c")
        await reader.execute("ROLLBACK")
    await reader.execute("BEGIN READ ONLY")
    await reader.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
    assert len(await fetched(reader, "3 c")) == 3
    await reader.execute("COMMIT")
    with pytest.raises(asyncpg.NoActiveSQLTransactionError):
        await reader.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
