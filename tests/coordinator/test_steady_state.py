"""In a steady state, reading and writing send the coordinator no command at all."""

import urllib.request
from collections.abc import Callable
from typing import Final

import psycopg
import pytest

from tests.running_server import HeadwaterServer

MESSAGES = "mz_slow_message_handling_count{"


def messages(server: HeadwaterServer) -> dict[str, float]:
    """Coordinator messages so far, by kind."""
    url = f"http://127.0.0.1:{server.http_port}/metrics"
    with urllib.request.urlopen(url) as response:
        lines = response.read().decode().splitlines()
    counts = {}
    for line in lines:
        if line.startswith(MESSAGES):
            name, _, value = line.rpartition(" ")
            counts[name] = float(value)
    return counts


Connection = psycopg.Connection[tuple[object, ...]]


def simple(*statements: str) -> Callable[[Connection], None]:
    """Runs statements through the simple protocol."""

    def run(connection: Connection) -> None:
        for statement in statements:
            connection.execute(statement.encode(), prepare=False)

    return run


def prepared(statement: str, *parameters: int) -> Callable[[Connection], None]:
    """Runs a prepared statement with parameters."""
    return lambda connection: connection.execute(
        statement.encode(), parameters, prepare=True
    ).close()


def pipelined(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO steady VALUES (%s)", [(1,), (2,), (3,)])


def copy_in(connection: Connection) -> None:
    with connection.cursor().copy("COPY steady FROM STDIN") as copy:
        copy.write(b"1\n2\n")


def copy_out(connection: Connection) -> None:
    with connection.cursor().copy("COPY (SELECT a FROM steady) TO STDOUT") as copy:
        assert b"".join(copy)


def cursor(connection: Connection) -> None:
    with connection.transaction(), connection.cursor("c") as opened:
        opened.execute("SELECT a FROM steady")
        opened.fetchmany(1)


DEFINITIONS: Final = (
    "CREATE TABLE IF NOT EXISTS steady (a int)",
    "CREATE MATERIALIZED VIEW IF NOT EXISTS steady_count AS SELECT count(*) AS n FROM steady",
    "CREATE OR REPLACE VIEW steady_view AS SELECT a, a + 1 AS b FROM steady",
    "CREATE INDEX IF NOT EXISTS steady_index ON steady_view (a)",
)
STEADY: Final = {
    "select": simple("SELECT count(*) FROM steady"),
    "select of a constant": simple("SELECT 1"),
    "select of the catalog": simple("SELECT count(*) FROM mz_tables"),
    "select of a materialized view": simple("SELECT n FROM steady_count"),
    "lookup in an index": simple("SELECT b FROM steady_view WHERE a = 1"),
    "select of what is known of replicas": simple("TABLE mz_internal.mz_hydration_statuses"),
    "select as of a time": simple("SELECT n FROM steady_count AS OF AT LEAST 0"),
    "insert": simple("INSERT INTO steady VALUES (1)"),
    "update": simple("UPDATE steady SET a = 2 WHERE a = 1"),
    "delete": simple("DELETE FROM steady WHERE a = 3"),
    "insert of a select": simple("INSERT INTO steady SELECT 1 FROM steady LIMIT 1"),
    "read transaction": simple("BEGIN READ ONLY", "TABLE steady", "TABLE steady", "COMMIT"),
    "write transaction": simple(
        "BEGIN", "INSERT INTO steady VALUES (1)", "INSERT INTO steady VALUES (2)", "COMMIT"
    ),
    "rolled back": simple("BEGIN", "INSERT INTO steady VALUES (1)", "ROLLBACK"),
    "serializable": simple("BEGIN ISOLATION LEVEL SERIALIZABLE", "TABLE steady", "COMMIT"),
    "settings": simple("SET datestyle = 'ISO'", "SHOW datestyle", "RESET datestyle"),
    "prepared select": prepared("SELECT a FROM steady WHERE a = %s", 7),
    "prepared insert": prepared("INSERT INTO steady VALUES (%s)", 7),
    "prepared update": prepared("UPDATE steady SET a = a + 1 WHERE a = %s", 7),
    "pipeline": pipelined,
    "copy in": copy_in,
    "copy out": copy_out,
    "cursor": cursor,
}


@pytest.mark.parametrize("statement", STEADY.values(), ids=STEADY.keys())
def test_steady_statements_send_no_command(
    headwater_server: HeadwaterServer,
    statement: Callable[[Connection], None],
) -> None:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        for definition in DEFINITIONS:
            connection.execute(definition.encode())
        connection.execute("INSERT INTO steady VALUES (1)")
        for _ in range(3):
            statement(connection)
        before = messages(headwater_server)
        assert sum(before.values()) > 0
        for _ in range(20):
            statement(connection)
        assert messages(headwater_server) == before


def test_the_count_sees_commands(headwater_server: HeadwaterServer) -> None:
    before = messages(headwater_server)
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        connection.execute("CREATE VIEW seen AS SELECT 1")
        after = messages(headwater_server)
        connection.execute("DROP VIEW seen")
    grown = {name for name, count in after.items() if count > before.get(name, 0)}
    for command in ("startup", "catalog_transact", "get_oracle"):
        assert any(command in name for name in grown), grown
