"""pg8000: the unnamed statement lives across Sync, everything in text."""

import datetime
from collections.abc import Iterator
from decimal import Decimal

import pg8000.exceptions
import pg8000.native
import pytest

from tests.running_server import HeadwaterServer


@pytest.fixture
def connection(headwater_server: HeadwaterServer) -> Iterator[pg8000.native.Connection]:
    connection = pg8000.native.Connection(
        "materialize", host="127.0.0.1", port=headwater_server.sql_port, database="materialize"
    )
    try:
        yield connection
    finally:
        connection.close()


def test_types(connection: pg8000.native.Connection) -> None:
    rows = connection.run(
        "SELECT :i::int, :t::text, :n::numeric, :d::date, :b::bool, :a::int[]",
        i=1,
        t="é",
        n=Decimal("1.50"),
        d=datetime.date(2024, 1, 2),
        b=True,
        a=[1, 2],
    )
    assert rows == [[1, "é", Decimal("1.50"), datetime.date(2024, 1, 2), True, [1, 2]]]
    assert [column["name"] for column in connection.columns] == [
        "int4",
        "text",
        "numeric",
        "date",
        "bool",
        "int4",
    ]


def test_statements(connection: pg8000.native.Connection) -> None:
    connection.run("DROP TABLE IF EXISTS r")
    connection.run("CREATE TABLE r (a int, b text)")
    connection.run("START TRANSACTION")
    connection.run("INSERT INTO r VALUES (:a, :b)", a=1, b="x")
    connection.run("INSERT INTO r VALUES (:a, :b)", a=2, b=None)
    connection.run("COMMIT")
    assert connection.run("SELECT * FROM r ORDER BY a") == [[1, "x"], [2, None]]
    connection.run("UPDATE r SET b = :b", b="y")
    assert connection.row_count == 2


def test_prepared(connection: pg8000.native.Connection) -> None:
    prepared = connection.prepare("SELECT :a::int + 1 AS next")
    assert [prepared.run(a=n) for n in range(3)] == [[[1]], [[2]], [[3]]]
    prepared.close()


def test_errors(connection: pg8000.native.Connection) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError) as caught:
        connection.run("SELECT * FROM nowhere")
    assert caught.value.args[0]["C"] == "42P01"
    assert connection.run("SELECT 1") == [[1]]
