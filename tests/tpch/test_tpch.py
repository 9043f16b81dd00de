"""The 22 questions of TPC-H as maintained views: after every batch of changes, what PostgreSQL
answers to the same queries on the same data."""

from collections.abc import Sequence
from typing import Final

import psycopg
import pytest

from tests.running_server import HeadwaterServer
from tests.tpch.data import SCHEMA, TABLES, Changes, Generator, Row
from tests.tpch.queries import QUERIES

REFERENCE_INDEXES: Final = (
    *("lineitem (l_partkey, l_suppkey)", "lineitem (l_orderkey)", "orders (o_orderkey)"),
    *("orders (o_custkey)", "partsupp (ps_partkey)", "customer (c_custkey)"),
)
INDEXED: Final = frozenset(sorted(QUERIES)[::2])  # the others are materialized views

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.mark.parametrize(
    ("scale", "batches", "orders"),
    [
        pytest.param(0.0005, 4, 10, id="small"),
        pytest.param(
            0.01, 12, 50, id="scale 0.01", marks=[pytest.mark.long, pytest.mark.timeout(900)]
        ),
    ],
)
def test_views_equal_postgresql_after_every_batch(
    headwater_server: HeadwaterServer,
    fresh_database_url: str,
    scale: float,
    batches: int,
    orders: int,
) -> None:
    generator = Generator(scale, seed=7)
    with (
        psycopg.connect(fresh_database_url, autocommit=True) as reference,
        psycopg.connect(headwater_server.dsn, autocommit=True) as connection,
    ):
        fill(reference, connection, generator)
        for name, query in QUERIES.items():
            execute_each(connection, definition(name, query))
        compare(reference, connection, "at the start")
        for number in range(batches):
            changes = generator.refresh(orders)
            for each in (reference, connection):
                apply(each, changes)
            compare(reference, connection, f"after batch {number + 1}")
        connection.execute("DROP SCHEMA tpch CASCADE")


def test_views_equal_postgresql(headwater_server: HeadwaterServer, fresh_database_url: str) -> None:
    generator = Generator(0.002, seed=8)
    with (
        psycopg.connect(fresh_database_url, autocommit=True) as reference,
        psycopg.connect(headwater_server.dsn, autocommit=True) as connection,
    ):
        fill(reference, connection, generator)
        for name, query in QUERIES.items():
            execute_each(connection, [f"CREATE VIEW {name} AS {query}"])
        compare(reference, connection, "at the start")
        connection.execute("DROP SCHEMA tpch CASCADE")


def fill(reference: Connection, connection: Connection, generator: Generator) -> None:
    """The same data in both; in a schema of its own on our side."""
    connection.execute("DROP SCHEMA IF EXISTS tpch CASCADE")
    connection.execute("CREATE SCHEMA tpch")
    connection.execute("SET search_path = tpch")
    for each in (reference, connection):
        execute_each(each, SCHEMA.split(";"))
    for table, rows in generator.tables():
        for each in (reference, connection):
            load(each, table, rows)
    execute_each(reference, [f"CREATE INDEX ON {index}" for index in REFERENCE_INDEXES])
    execute_each(reference, [f"ANALYZE {table}" for table in TABLES])


def definition(name: str, query: str) -> Sequence[str]:
    """The statements that make a query a maintained view."""
    if name in INDEXED:
        return f"CREATE VIEW {name} AS {query}", f"CREATE DEFAULT INDEX ON {name}"
    return (f"CREATE MATERIALIZED VIEW {name} AS {query}",)


def compare(reference: Connection, connection: Connection, when: str) -> None:
    for name, query in QUERIES.items():
        expected = reference.execute(query.encode()).fetchall()
        found = connection.execute(f"SELECT * FROM {name}".encode()).fetchall()
        assert sorted(map(repr, found)) == sorted(map(repr, expected)), f"{name} {when}"


def load(connection: Connection, table: str, rows: Sequence[Row]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def apply(connection: Connection, changes: Changes) -> None:
    load(connection, "orders", changes.orders)
    load(connection, "lineitem", changes.lines)
    keys = ", ".join(map(str, changes.deleted_orders))
    deletions = [
        f"DELETE FROM lineitem WHERE l_orderkey IN ({keys})",
        f"DELETE FROM orders WHERE o_orderkey IN ({keys})",
    ]
    execute_each(connection, [*deletions, *changes.updates])


def execute_each(connection: Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        if statement.strip():
            connection.execute(statement.encode())
