"""A change of the schema, once acknowledged, is there for whoever asks next, as a relation and in
the system catalogs; and no statement ever sees half of one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import pytest

from tests.running_server import HeadwaterServer

ROUNDS: Final = 25
# What a statement may say whose table was renamed or dropped while it ran.
GONE: Final = (asyncpg.UndefinedTableError, asyncpg.SerializationError)

Connection = asyncpg.Connection


@pytest.fixture
async def pair(
    headwater_server: HeadwaterServer,
) -> AsyncIterator[tuple["Connection[asyncpg.Record]", "Connection[asyncpg.Record]"]]:
    """Who changes the schema, and who looks."""
    first = await asyncpg.connect(headwater_server.dsn)
    second = await asyncpg.connect(headwater_server.dsn)
    yield first, second
    await first.close()
    await second.close()


async def count_named(connection: "Connection[asyncpg.Record]", name: str) -> int:
    return int(
        await connection.fetchval(
            "SELECT (SELECT count(*) FROM mz_catalog.mz_tables WHERE name = $1) "
            "+ (SELECT count(*) FROM pg_catalog.pg_class WHERE relname = $1) "
            "+ (SELECT count(*) FROM information_schema.tables WHERE table_name = $1)",
            name,
        )
    )


async def test_acknowledged_changes_are_seen_at_once(
    pair: tuple["Connection[asyncpg.Record]", "Connection[asyncpg.Record]"],
) -> None:
    changer, reader = pair
    for number in range(ROUNDS):
        name = f"seen_{number}"
        await changer.execute(f"CREATE TABLE {name} (a int)")
        assert await reader.execute(f"INSERT INTO {name} VALUES (1)") == "INSERT 0 1"
        assert await count_named(reader, name) == 3
        await changer.execute(f"ALTER TABLE {name} RENAME TO {name}_moved")
        assert await count_named(reader, name) == 0
        assert await reader.fetchval(f"SELECT count(*) FROM {name}_moved") == 1
        with pytest.raises(asyncpg.UndefinedTableError):
            await reader.fetchval(f"SELECT count(*) FROM {name}")
        await changer.execute(f"DROP TABLE {name}_moved")
        assert await count_named(reader, f"{name}_moved") == 0
        with pytest.raises(asyncpg.UndefinedTableError):
            await reader.execute(f"INSERT INTO {name}_moved VALUES (1)")


async def test_a_name_never_leads_to_another_table_half_way(
    pair: tuple["Connection[asyncpg.Record]", "Connection[asyncpg.Record]"],
) -> None:
    """Two tables change names in one transaction again and again; a reader of both finds each row
    under the name that it has at one time."""
    changer, reader = pair
    for name, value in (("left_side", 1), ("right_side", 2)):
        await changer.execute(f"CREATE TABLE {name} (a int)")
        await changer.execute(f"INSERT INTO {name} VALUES ({value})")

    async def swap() -> None:
        for _ in range(ROUNDS):
            await changer.execute(
                "BEGIN; ALTER TABLE left_side RENAME TO other; "
                "ALTER TABLE right_side RENAME TO left_side; "
                "ALTER TABLE other RENAME TO right_side; COMMIT"
            )

    swaps = asyncio.create_task(swap())
    seen: set[tuple[int, int]] = set()
    while not swaps.done():
        row = await reader.fetchrow(
            "SELECT (SELECT a FROM left_side) AS l, (SELECT a FROM right_side) AS r"
        )
        assert row is not None
        seen.add((row["l"], row["r"]))
    await swaps
    assert seen <= {(1, 2), (2, 1)}
    assert len(seen) == 2, "no swap was ever seen"


async def test_writes_race_with_drops(
    pair: tuple["Connection[asyncpg.Record]", "Connection[asyncpg.Record]"],
) -> None:
    """An INSERT that races with DROP and CREATE of its name lands in one of the tables or fails."""
    changer, writer = pair
    acknowledged = 0
    found = 0
    await changer.execute("CREATE TABLE raced (a int NOT NULL)")

    async def replace() -> None:
        nonlocal found
        for _ in range(ROUNDS):
            await changer.execute("ALTER TABLE raced RENAME TO retired")
            await changer.execute("CREATE TABLE raced (a int NOT NULL)")
            found += await changer.fetchval("SELECT count(*) FROM retired")
            await changer.execute("DROP TABLE retired")

    replacing = asyncio.create_task(replace())
    while not replacing.done():
        try:
            await writer.execute("INSERT INTO raced VALUES (1)")
        except GONE:
            continue
        acknowledged += 1
    await replacing
    found += await writer.fetchval("SELECT count(*) FROM raced")
    assert acknowledged > 0
    assert found <= acknowledged
