"""asyncpg: binary throughout, prepared statements, pools, cursors, COPY."""

import asyncio
import datetime
import json
import uuid
from collections.abc import AsyncIterator
from decimal import Decimal

import asyncpg
import pytest

from tests.running_server import HeadwaterServer


@pytest.fixture
async def connection(headwater_server: HeadwaterServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(headwater_server.dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def table(connection: asyncpg.Connection) -> str:
    await connection.execute("DROP TABLE IF EXISTS q")
    await connection.execute("CREATE TABLE q (id int8, name text, at timestamptz)")
    return "q"


VALUES = [
    ("bool", False),
    ("int2", 7),
    ("int4", -1),
    ("int8", 2**62),
    ("float4", 0.5),
    ("float8", 1e300),
    ("numeric", Decimal("-0.000100")),
    ("text", "é"),
    ("varchar(3)", "abc"),
    ("bytea", b"\0\xff"),
    ("date", datetime.date(1, 1, 1)),
    ("time", datetime.time(1, 2, 3, 4)),
    ("timestamp", datetime.datetime(2024, 5, 6, 7, 8, 9, 10)),  # noqa: DTZ001
    ("timestamptz", datetime.datetime(2024, 5, 6, tzinfo=datetime.UTC)),
    ("interval", datetime.timedelta(days=1, microseconds=2)),
    ("uuid", uuid.UUID(int=1)),
    ("jsonb", '{"a": [1, null]}'),
    ("int4[]", [1, 2, None]),
    ("text[]", ["a", "", None]),
    ("oid", 26),
]


@pytest.mark.parametrize(("type_name", "value"), VALUES, ids=[name for name, _ in VALUES])
async def test_every_type_there_and_back(
    connection: asyncpg.Connection, type_name: str, value: object
) -> None:
    row = await connection.fetchrow(f"SELECT $1::{type_name}, NULL::{type_name}", value)
    assert row is not None
    assert tuple(row) == (value, None)


async def test_prepared_statement(connection: asyncpg.Connection, table: str) -> None:
    statement = await connection.prepare("SELECT $1::int + id FROM q WHERE name = $2")
    assert [p.name for p in statement.get_parameters()] == ["int4", "text"]
    assert [a.type.name for a in statement.get_attributes()] == ["int8"]
    await connection.execute("INSERT INTO q (id, name) VALUES (1, 'x')")
    for number in range(5):
        assert await statement.fetchval(number, "x") == number + 1


async def test_executemany(connection: asyncpg.Connection, table: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    await connection.executemany(
        "INSERT INTO q VALUES ($1, $2, $3)", [(n, str(n), now) for n in range(300)]
    )
    assert await connection.fetchval("SELECT count(*) FROM q WHERE at = $1", now) == 300


async def test_command_tags(connection: asyncpg.Connection, table: str) -> None:
    assert await connection.execute("INSERT INTO q VALUES (1, 'a', now())") == "INSERT 0 1"
    assert await connection.execute("UPDATE q SET id = $1", 2) == "UPDATE 1"
    assert await connection.execute("DELETE FROM q WHERE id = $1", 2) == "DELETE 1"
    assert await connection.execute("SET timezone TO 'UTC'") == "SET"


async def test_transactions(connection: asyncpg.Connection, table: str) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO q (id) VALUES (1)")
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with connection.transaction():
                await connection.execute("INSERT INTO q (id) VALUES (2)")
                await connection.fetchval("SELECT 1 / (SELECT 0)")
    assert await connection.fetchval("SELECT sum(id)::int8 FROM q") == 1
    async with connection.transaction(readonly=True):
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("INSERT INTO q (id) VALUES (3)")


async def test_cursors(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        cursor = await connection.cursor("SELECT g FROM generate_series(1, 200) g ORDER BY g")
        assert [r[0] for r in await cursor.fetch(3)] == [1, 2, 3]
        await cursor.forward(10)
        row = await cursor.fetchrow()
        assert row is not None
        assert row[0] == 14
        seen = [
            record[0]
            async for record in connection.cursor(
                "SELECT g FROM generate_series(1, 200) g ORDER BY g", prefetch=7
            )
        ]
    assert seen == list(range(1, 201))


async def test_copy(connection: asyncpg.Connection, table: str) -> None:
    rows = [(n, f"name {n}" if n % 3 else None, None) for n in range(1000)]
    assert await connection.copy_records_to_table("q", records=rows) == "COPY 1000"
    data = bytearray()

    async def collect(part: bytes) -> None:
        data.extend(part)

    tag = await connection.copy_from_query(
        "SELECT id FROM q WHERE id < $1 ORDER BY id", 3, output=collect, format="csv"
    )
    assert (tag, bytes(data)) == ("COPY 3", b"0\n1\n2\n")


async def test_pool(headwater_server: HeadwaterServer) -> None:
    async with asyncpg.create_pool(headwater_server.dsn, min_size=2, max_size=4) as pool:

        async def work(number: int) -> int:
            async with pool.acquire() as connection:
                await connection.execute("SET timezone TO 'Europe/Berlin'")
                value = await connection.fetchval("SELECT $1::int * 2", number)
                assert isinstance(value, int)
                return value

        assert await asyncio.gather(*(work(n) for n in range(40))) == [2 * n for n in range(40)]
        async with pool.acquire() as connection:
            assert await connection.fetchval("SHOW timezone") == "UTC"


async def test_cancel_by_timeout(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await connection.fetchval(
            "SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b",
            timeout=0.3,
        )
    assert await connection.fetchval("SELECT 1") == 1


async def test_errors(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.fetch("SELECT * FROM nowhere")
    with pytest.raises(asyncpg.DataError):
        await connection.fetch("SELECT $1::int", "x")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await connection.execute("SELECT 1;; SELCT")
    assert await connection.fetchval("SELECT 1") == 1


async def test_several_statements_in_one_text(connection: asyncpg.Connection, table: str) -> None:
    await connection.execute("INSERT INTO q (id) VALUES (1); INSERT INTO q (id) VALUES (2)")
    assert await connection.fetchval("SELECT count(*) FROM q") == 2


async def test_concurrent_updates_are_all_counted(
    headwater_server: HeadwaterServer, connection: asyncpg.Connection, table: str
) -> None:
    await connection.execute("INSERT INTO q (id) VALUES (0)")

    async def add(times: int) -> None:
        own = await asyncpg.connect(headwater_server.dsn)
        try:
            for _ in range(times):
                await own.execute("UPDATE q SET id = id + 1")
        finally:
            await own.close()

    await asyncio.gather(*(add(5) for _ in range(6)))
    assert await connection.fetchval("SELECT id FROM q") == 30


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("bool[]", [True, None]),
        ("int2[]", [[1, 2], [3, 4]]),
        ("int8[]", []),
        ("float8[]", [0.5, -1.0]),
        ("numeric[]", [Decimal("1.50")]),
        ("date[]", [datetime.date(2024, 2, 29)]),
        ("timestamptz[]", [datetime.datetime(2024, 5, 6, tzinfo=datetime.UTC)]),
        ("uuid[]", [uuid.UUID(int=7)]),
        ("jsonb[]", ['{"a": 1}']),
        ("varchar(4)[]", ["abcd"]),
    ],
)
async def test_arrays_are_introspected(
    connection: asyncpg.Connection, type_name: str, value: object
) -> None:
    assert await connection.fetchval(f"SELECT $1::{type_name}", value) == value


async def test_a_codec_of_the_clients_own(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )
    value = {"a": [1, None, "é"]}
    assert await connection.fetchval("SELECT $1::jsonb", value) == value
    assert await connection.fetchval("SELECT array[$1::jsonb]", value) == [value]
    await connection.reset_type_codec("jsonb", schema="pg_catalog")
    assert await connection.fetchval("SELECT '[1]'::jsonb") == "[1]"


async def test_a_type_that_the_client_does_not_know(connection: asyncpg.Connection) -> None:
    now = await connection.fetchval("SELECT mz_now()")
    assert int(now) > 0
    assert await connection.fetchval("SHOW jit") in ("on", "off")


async def test_names_of_objects(connection: asyncpg.Connection) -> None:
    row = await connection.fetchrow("SELECT $1::regclass, 'int4'::regtype", "pg_class")
    assert row is not None
    assert tuple(row) == ("pg_class", "integer")
