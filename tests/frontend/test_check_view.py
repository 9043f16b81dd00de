"""CHECK VIEW finds nothing in what is right, and whatever was written from outside."""

import asyncio
import threading
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from core.ids import ShardId, Timestamp
from core.rows import Row, codec_for
from core.sql_types import INT8, NUMERIC, TEXT
from persist.batches import inline_batch
from persist.consensus import Fence
from persist.handles import open_writer
from persist.location import open_location
from persist.machine import UpperMismatchError
from tests.running_server import HeadwaterServer

Connection = psycopg.Connection[tuple[object, ...]]
CHECKS = 12


@pytest.fixture(scope="module")
def connection(headwater_server: HeadwaterServer) -> Iterator[Connection]:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as opened:
        for statement in (
            "CREATE TABLE sales (shop int, amount numeric, note text)",
            "INSERT INTO sales SELECT g % 7, g / 2.0, 'n' || g % 3 FROM generate_series(1, 300) g",
            "CREATE INDEX sales_shop ON sales (shop)",
            "CREATE VIEW totals AS SELECT shop, sum(amount) s, count(*) n FROM sales GROUP BY shop",
            "CREATE DEFAULT INDEX totals_index ON totals",
            "CREATE MATERIALIZED VIEW large AS SELECT shop, s FROM totals WHERE n > 10",
            "CREATE MATERIALIZED VIEW best AS SELECT max(s) AS s FROM large",
            "CREATE VIEW loose AS SELECT 1 AS one",
        ):
            opened.execute(statement.encode())
        yield opened


def differences(connection: Connection, name: str) -> list[tuple[object, ...]]:
    return connection.execute(f"CHECK VIEW {name}".encode()).fetchall()


@pytest.mark.parametrize("name", ["sales", "sales_shop", "totals", "totals_index", "large", "best"])
def test_what_is_right_differs_in_nothing(connection: Connection, name: str) -> None:
    assert differences(connection, name) == []


def test_columns_are_the_views_and_both_counts(connection: Connection) -> None:
    cursor = connection.execute("CHECK MATERIALIZED VIEW large AS OF AT LEAST 0")
    assert cursor.description is not None
    shown = [(column.name, column.type_code) for column in cursor.description]
    assert shown == [("shop", 23), ("s", 1700), ("expected", 20), ("actual", 20)]


def test_only_what_is_maintained_can_be_checked(connection: Connection) -> None:
    for statement in ("CHECK VIEW loose", "CHECK INDEX large", "CHECK MATERIALIZED VIEW totals"):
        with pytest.raises(psycopg.errors.WrongObjectType):
            connection.execute(statement.encode())
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("CHECK VIEW nothing")
    with pytest.raises(psycopg.errors.SyntaxError):
        connection.execute("CHECK totals")


def test_checks_hold_while_writes_go_on(
    connection: Connection, headwater_server: HeadwaterServer
) -> None:
    is_over = threading.Event()

    def write() -> None:
        with psycopg.connect(headwater_server.dsn, autocommit=True) as session:
            number = 0
            while not is_over.is_set():
                number += 1
                session.execute("INSERT INTO sales VALUES (%s, 1.50, 'w')", (number % 9,))
                session.execute(
                    "UPDATE sales SET amount = amount + 1 WHERE shop = %s", (number % 7,)
                )
                if number % 5 == 0:
                    session.execute("DELETE FROM sales WHERE note = 'w'")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(CHECKS):
            for name in ("totals", "large", "sales_shop", "best"):
                assert differences(connection, name) == []
    finally:
        is_over.set()
        writer.join()


async def _plant(url: str, shard: ShardId, rows: list[tuple[Row, int]]) -> Timestamp:
    """Append rows to a shard as nobody should, in between what its sink appends; returns their
    time."""
    with psycopg.connect(url) as store:
        fence = store.execute("SELECT environment, epoch FROM fence").fetchone()
    assert fence is not None
    codec = codec_for((TEXT, NUMERIC, INT8))
    batch = inline_batch([(codec.encode(row), diff) for row, diff in rows])
    location = await open_location(url, "postgres:", fence=Fence(*fence))
    try:
        while True:
            writer = await open_writer(location, shard)
            ts = writer.upper
            try:
                await writer.compare_and_append([(batch, ts)], ts, Timestamp(ts + 1))
            except UpperMismatchError:
                continue
            return ts
    finally:
        await location.close()


def _counter(server: HeadwaterServer, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/metrics") as answer:  # noqa: S310
        for line in answer.read().decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def test_what_was_written_from_outside_is_found(tmp_path: Path, fresh_database_url: str) -> None:
    server = HeadwaterServer(tmp_path / "data", ["--metadata-url", fresh_database_url])
    server.start()
    try:
        with psycopg.connect(server.dsn, autocommit=True) as session:
            for statement in (
                "CREATE TABLE t (name text, price numeric)",
                "INSERT INTO t VALUES ('a', 1.50), ('a', 2), ('b', 3), ('c', 4)",
                "CREATE VIEW w AS SELECT name, sum(price) AS s, count(*) AS n FROM t GROUP BY name",
                "CREATE MATERIALIZED VIEW v AS SELECT * FROM w",
                "CREATE MATERIALIZED VIEW above AS SELECT max(s) AS s FROM v",
            ):
                session.execute(statement.encode())
            assert differences(session, "v") == differences(session, "above") == []
            found = session.execute(
                "SELECT c.value ->> 'shard' FROM mz_internal.mz_catalog_raw c, mz_objects o"
                " WHERE c.kind = 'storage_collection' AND c.key ->> 'id' = o.id AND o.name = 'v'"
            ).fetchone()
            assert found is not None
        planted: list[tuple[Row, int]] = [
            (("b", Decimal(3), 1), -1),
            (("b", Decimal("3.00"), 1), 1),
            (("c", Decimal(4), 1), 2),
            (("x", None, 9), 1),
            (("a", Decimal("3.50"), 2), -1),
        ]
        with (
            psycopg.connect(server.dsn) as holding,
            psycopg.connect(server.dsn, autocommit=True) as session,
        ):
            holding.execute("SELECT * FROM t")  # its transaction keeps what comes after readable
            ts = asyncio.run(_plant(fresh_database_url, ShardId(str(found[0])), planted))
            assert sorted(map(repr, differences(session, f"v AS OF {ts}"))) == [
                "('a', Decimal('3.50'), 2, 1, 0)",
                "('b', Decimal('3'), 1, 1, 0)",
                "('b', Decimal('3.00'), 1, 0, 1)",
                "('c', Decimal('4'), 1, 1, 3)",
                "('x', None, 9, 0, 1)",
            ]
            assert differences(session, f"v AS OF {ts - 1}") == []
            while differences(session, "v"):
                pass  # the sink takes back what it did not write
        assert _counter(server, "mz_check_view_runs_total") >= 5
        assert _counter(server, "mz_check_view_mismatches_total") >= 1
        assert _counter(server, "mz_check_view_mismatched_rows_total") >= 5
    finally:
        if server.is_running:
            server.stop()
