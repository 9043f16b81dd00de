"""Tables that retain history: their definitions, and how far back they can be read and followed."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.running_server import HeadwaterServer
from tests.subscribing import Subscription

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def connection(headwater_server: HeadwaterServer) -> Iterator[Connection]:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        yield connection


def definition(connection: Connection, table: str) -> str:
    row = connection.execute(f"SHOW CREATE TABLE {table}".encode()).fetchone()
    assert row is not None
    return str(row[1]).removeprefix(f"CREATE TABLE materialize.public.{table} ").removesuffix(";")


def test_definitions(connection: Connection) -> None:
    connection.execute("CREATE TABLE r (a int, b text) WITH (RETAIN HISTORY = FOR '1 hour')")
    assert definition(connection, "r") == "(a integer, b text) WITH (RETAIN HISTORY FOR '1 hour')"
    connection.execute("ALTER TABLE r RENAME COLUMN b TO c")
    assert definition(connection, "r") == "(a integer, c text) WITH (RETAIN HISTORY FOR '1 hour')"
    connection.execute("ALTER TABLE r SET (RETAIN HISTORY FOR '2 days')")
    assert definition(connection, "r") == "(a integer, c text) WITH (RETAIN HISTORY FOR '2 days')"
    connection.execute("ALTER TABLE r RESET (RETAIN HISTORY)")
    assert definition(connection, "r") == "(a integer, c text)"
    connection.execute("CREATE TABLE filled WITH (RETAIN HISTORY FOR '1s') AS SELECT 1 AS x")
    assert definition(connection, "filled") == "(x integer) WITH (RETAIN HISTORY FOR '1s')"
    connection.execute("CREATE TABLE plain (x int) WITH (fillfactor = 70)")
    assert definition(connection, "plain") == "(x integer)"
    connection.execute("DROP TABLE r, filled, plain")


@pytest.mark.parametrize("length", ["-1 hour", "soon", "0s"])
def test_lengths_that_make_no_sense(connection: Connection, length: str) -> None:
    with pytest.raises(psycopg.DataError):
        connection.execute(f"CREATE TABLE r (a int) WITH (RETAIN HISTORY FOR '{length}')".encode())


async def test_reading_and_following_from_long_ago(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    connection.execute("CREATE TABLE kept (k int) WITH (RETAIN HISTORY FOR '1 hour')")
    connection.execute("CREATE TABLE forgotten (k int)")
    for table in ("kept", "forgotten"):
        connection.execute(f"INSERT INTO {table} VALUES (1), (2)".encode())
    row = connection.execute("SELECT mz_now()::text, count(*) FROM kept").fetchone()
    assert row is not None
    start = row[0]
    with psycopg.connect(headwater_server.internal_dsn, autocommit=True) as system:
        system.execute("ALTER SYSTEM SET since_lag = '0s'")
    connection.execute("DELETE FROM kept WHERE k = 1")
    connection.execute("DELETE FROM forgotten")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="is not valid for all inputs"):
        connection.execute(f"SELECT * FROM forgotten AS OF {start}".encode())
    rows = connection.execute(f"SELECT k FROM kept ORDER BY k AS OF {start}".encode())
    assert rows.fetchall() == [(1,), (2,)]
    async with Subscription(headwater_server, f"kept AS OF {start}") as subscription:
        assert [row[1:] for row in await subscription.take(3)] == [
            ("1", "1"),
            ("1", "2"),
            ("-1", "1"),
        ]
    connection.execute("DROP TABLE kept, forgotten")
