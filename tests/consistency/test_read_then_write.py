"""What reads and then writes, from many connections at once: no update is lost, no row is taken
twice, no two exclude each other. A statement alone is retried by the server; a transaction is told
to retry (40001) and changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Final

import asyncpg
import pytest

from tests.running_server import HeadwaterServer

CONNECTIONS: Final = 8
ROUNDS: Final = 15
ISOLATION_LEVELS: Final = ("strict serializable", "serializable")

Connection = asyncpg.Connection
Work = Callable[["Connection[asyncpg.Record]", int], Coroutine[None, None, None]]


@pytest.fixture(params=ISOLATION_LEVELS)
async def connections(
    request: pytest.FixtureRequest, headwater_server: HeadwaterServer
) -> AsyncIterator[list["Connection[asyncpg.Record]"]]:
    """Connections of one isolation level, on empty tables."""
    opened = [await asyncpg.connect(headwater_server.dsn) for _ in range(CONNECTIONS)]
    first = opened[0]
    for connection in opened:
        await connection.execute(f"SET transaction_isolation = '{request.param}'")
    await first.execute("CREATE TABLE counters (name text NOT NULL, n int NOT NULL)")
    await first.execute("CREATE TABLE jobs (id int NOT NULL)")
    await first.execute("INSERT INTO counters VALUES ('a', 0), ('b', 0)")
    try:
        yield opened
    finally:
        await first.execute("DROP TABLE counters")
        await first.execute("DROP TABLE jobs")
        for connection in opened:
            await connection.close()


async def run_all(connections: list["Connection[asyncpg.Record]"], work: Work) -> None:
    async with asyncio.TaskGroup() as group:
        for number, connection in enumerate(connections):
            group.create_task(work(connection, number))


async def retried(
    connection: "Connection[asyncpg.Record]",
    transaction: Callable[["Connection[asyncpg.Record]"], Awaitable[None]],
) -> int:
    """Run a transaction until it commits; how often it was told to retry."""
    retries = 0
    while True:
        await connection.execute("BEGIN")
        try:
            await transaction(connection)
            await connection.execute("COMMIT")
        except asyncpg.SerializationError:
            await connection.execute("ROLLBACK")
            retries += 1
        else:
            return retries


async def test_no_increment_is_lost(connections: list["Connection[asyncpg.Record]"]) -> None:
    async def increment(connection: "Connection[asyncpg.Record]", number: int) -> None:
        for _ in range(ROUNDS):
            status = await connection.execute("UPDATE counters SET n = n + 1 WHERE name = 'a'")
            assert status == "UPDATE 1"

    await run_all(connections, increment)
    rows = await connections[0].fetch("SELECT name, n FROM counters ORDER BY name")
    assert [tuple(row) for row in rows] == [("a", CONNECTIONS * ROUNDS), ("b", 0)]


async def test_every_increment_returns_another_number(
    connections: list["Connection[asyncpg.Record]"],
) -> None:
    seen: list[int] = []

    async def increment(connection: "Connection[asyncpg.Record]", number: int) -> None:
        for _ in range(ROUNDS):
            seen.append(
                await connection.fetchval(
                    "UPDATE counters SET n = n + 1 WHERE name = 'a' RETURNING n"
                )
            )

    await run_all(connections, increment)
    assert sorted(seen) == list(range(1, CONNECTIONS * ROUNDS + 1))


async def test_no_increment_of_a_transaction_is_lost(
    connections: list["Connection[asyncpg.Record]"],
) -> None:
    retries = 0

    async def transaction(connection: "Connection[asyncpg.Record]") -> None:
        seen = await connection.fetchval("SELECT n FROM counters WHERE name = 'a'")
        await connection.execute(f"UPDATE counters SET n = {seen + 1} WHERE name = 'a'")
        await connection.execute("INSERT INTO jobs VALUES (1)")

    async def increment(connection: "Connection[asyncpg.Record]", number: int) -> None:
        nonlocal retries
        for _ in range(ROUNDS // 3):
            retries += await retried(connection, transaction)

    await run_all(connections, increment)
    expected = CONNECTIONS * (ROUNDS // 3)
    assert await connections[0].fetchval("SELECT n FROM counters WHERE name = 'a'") == expected
    assert await connections[0].fetchval("SELECT count(*) FROM jobs") == expected
    assert retries > 0, "nothing ever collided"


async def test_every_row_is_deleted_by_one_connection(
    connections: list["Connection[asyncpg.Record]"],
) -> None:
    jobs = CONNECTIONS * ROUNDS
    await connections[0].execute(f"INSERT INTO jobs SELECT generate_series(1, {jobs})")
    taken: list[int] = []

    async def take(connection: "Connection[asyncpg.Record]", number: int) -> None:
        while True:
            rows = await connection.fetch(
                "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs ORDER BY id LIMIT 2) "
                "RETURNING id"
            )
            if not rows:
                return
            taken.extend(row["id"] for row in rows)

    await run_all(connections, take)
    assert sorted(taken) == list(range(1, jobs + 1))


async def test_one_of_many_wins_each_place(connections: list["Connection[asyncpg.Record]"]) -> None:
    won: list[int] = []

    async def claim(connection: "Connection[asyncpg.Record]", number: int) -> None:
        for place in range(ROUNDS):
            status = await connection.execute(
                f"INSERT INTO jobs SELECT {place} "
                f"WHERE NOT EXISTS (SELECT FROM jobs WHERE id = {place})"
            )
            if status == "INSERT 0 1":
                won.append(place)

    await run_all(connections, claim)
    assert sorted(won) == list(range(ROUNDS))
    rows = await connections[0].fetch("SELECT id FROM jobs ORDER BY id")
    assert [row["id"] for row in rows] == list(range(ROUNDS))


async def test_a_constraint_over_two_tables_holds(
    connections: list["Connection[asyncpg.Record]"],
) -> None:
    """Write skew: each checks one row and writes the other; in any order one must see the other."""

    async def skew(connection: "Connection[asyncpg.Record]", number: int) -> None:
        mine, other = ("a", "b") if number % 2 else ("b", "a")
        await connection.execute(
            f"UPDATE counters SET n = 1 WHERE name = '{mine}' "
            f"AND (SELECT n FROM counters WHERE name = '{other}') = 0"
        )

    await run_all(connections, skew)
    assert await connections[0].fetchval("SELECT sum(n) FROM counters") == 1
