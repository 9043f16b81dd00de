"""Two processes on one metadata database: the second takes over, the first says so and ends."""

from pathlib import Path

import psycopg
import pytest

from tests.running_server import HeadwaterServer


def test_the_second_process_takes_over(fresh_database_url: str, tmp_path: Path) -> None:
    arguments = ("--metadata-url", fresh_database_url)
    first = HeadwaterServer(tmp_path / "first", arguments)
    second = HeadwaterServer(tmp_path / "second", arguments)
    first.start()
    try:
        with psycopg.connect(first.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (a int)")
            connection.execute("INSERT INTO t VALUES (1)")
        second.start()
        status = first.wait()
        assert status != 0
        assert "another Headwater process took over" in first.stderr
        with psycopg.connect(second.dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO t VALUES (2)")
            rows = connection.execute("SELECT a FROM t ORDER BY a").fetchall()
        assert rows == [(1,), (2,)]
    finally:
        for server in (first, second):
            if server.is_running:
                server.kill()


def test_a_client_of_the_first_process_is_never_told_a_lie(
    fresh_database_url: str, tmp_path: Path
) -> None:
    arguments = ("--metadata-url", fresh_database_url)
    first = HeadwaterServer(tmp_path / "first", arguments)
    second = HeadwaterServer(tmp_path / "second", arguments)
    first.start()
    try:
        with psycopg.connect(first.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (a int)")
            second.start()
            acknowledged = []
            with pytest.raises(psycopg.Error):
                for value in range(1_000_000):
                    connection.execute("INSERT INTO t VALUES (%s)", (value,))
                    acknowledged.append(value)
        with psycopg.connect(second.dsn, autocommit=True) as connection:
            rows = connection.execute("SELECT a FROM t ORDER BY a").fetchall()
        assert [row[0] for row in rows] == acknowledged
        assert acknowledged == []
    finally:
        for server in (first, second):
            if server.is_running:
                server.kill()
