"""In a steady state, reading and writing send the coordinator no command at all."""

import urllib.request
from collections.abc import Callable

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


def select(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    connection.execute("SELECT count(*) FROM steady", prepare=False)


def insert(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    connection.execute("INSERT INTO steady VALUES (1)", prepare=False)


def prepared(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    connection.execute("SELECT a FROM steady WHERE a = %s", (7,), prepare=True)


def update(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    connection.execute("UPDATE steady SET a = 2 WHERE a = 1", prepare=False)


@pytest.mark.parametrize("statement", [select, insert, prepared, update])
def test_steady_statements_send_no_command(
    headwater_server: HeadwaterServer,
    statement: Callable[["psycopg.Connection[tuple[object, ...]]"], None],
) -> None:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS steady (a int)")
        for _ in range(3):
            statement(connection)
        before = messages(headwater_server)
        assert sum(before.values()) > 0
        for _ in range(20):
            statement(connection)
        assert messages(headwater_server) == before
