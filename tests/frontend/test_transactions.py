"""Transactions as clients see them: one read time, atomic writes, what cannot be mixed."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.running_server import HeadwaterServer

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def connection(headwater_server: HeadwaterServer) -> Iterator[Connection]:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as opened:
        opened.execute("DROP TABLE IF EXISTS one")
        opened.execute("DROP TABLE IF EXISTS two")
        opened.execute("CREATE TABLE one (a int)")
        opened.execute("CREATE TABLE two (a int)")
        yield opened


@pytest.fixture
def other(headwater_server: HeadwaterServer) -> Iterator[Connection]:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as opened:
        yield opened


def rows(connection: Connection, table: str) -> list[object]:
    return [row[0] for row in connection.execute(f"SELECT a FROM {table} ORDER BY a".encode())]


def test_writes_become_visible_together(connection: Connection, other: Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("INSERT INTO one VALUES (1)")
    connection.execute("INSERT INTO two VALUES (2)")
    assert rows(other, "one") == rows(other, "two") == []
    connection.execute("COMMIT")
    assert rows(other, "one") == [1]
    assert rows(other, "two") == [2]
    before = connection.execute("SHOW last_commit_timestamp").fetchone()
    connection.execute("BEGIN; INSERT INTO one VALUES (3); INSERT INTO two VALUES (4); ROLLBACK")
    assert connection.execute("SHOW last_commit_timestamp").fetchone() == before
    assert rows(other, "one") == [1]


def test_statements_of_one_query_are_one_transaction(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("INSERT INTO one VALUES (1); INSERT INTO two VALUES (2); SELECT 1 / 0")
    assert rows(connection, "one") == rows(connection, "two") == []
    connection.execute("INSERT INTO one VALUES (1); INSERT INTO two VALUES (2)")
    assert (rows(connection, "one"), rows(connection, "two")) == ([1], [2])


def test_a_transaction_cannot_read_what_it_wrote(connection: Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("INSERT INTO one VALUES (1)")
    assert rows(connection, "two") == []
    with pytest.raises(psycopg.Error) as raised:
        rows(connection, "one")
    assert raised.value.sqlstate == "25000"
    connection.execute("ROLLBACK")
    connection.execute("BEGIN")
    connection.execute("INSERT INTO one VALUES (1)")
    with pytest.raises(psycopg.errors.ActiveSqlTransaction):
        connection.execute("UPDATE one SET a = 2")
    connection.execute("ROLLBACK")
    assert rows(connection, "one") == []


def test_what_was_read_must_not_have_changed(connection: Connection, other: Connection) -> None:
    connection.execute("BEGIN")
    assert rows(connection, "one") == []
    other.execute("INSERT INTO one VALUES (7)")
    connection.execute("INSERT INTO two VALUES (1)")
    with pytest.raises(psycopg.errors.SerializationFailure):
        connection.execute("COMMIT")
    assert rows(connection, "two") == []


def test_updates_of_many_rows_in_a_pipeline(connection: Connection) -> None:
    connection.execute("INSERT INTO one VALUES (1), (2), (3)")
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE one SET a = a + 10 WHERE a = %s", [(1,), (2,), (3,)])
        assert cursor.rowcount == 3
    assert rows(connection, "one") == [11, 12, 13]
    with connection.pipeline():
        connection.execute("INSERT INTO one VALUES (20)")
        seen = connection.execute("SELECT count(*) FROM one")
        connection.execute("DELETE FROM one WHERE a < 20")
    assert seen.fetchone() == (4,)
    assert rows(connection, "one") == [20]


def test_a_pipeline_that_need_not_be_split_is_one_transaction(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero), connection.pipeline():
        connection.execute("INSERT INTO one VALUES (1)")
        connection.execute("UPDATE two SET a = 1")
        connection.execute("SELECT 1 / 0")
    assert rows(connection, "one") == []


@pytest.mark.parametrize(
    "statement", ["CREATE DATABASE d", "DISCARD ALL", "DROP DATABASE materialize"]
)
def test_what_cannot_be_in_a_block(connection: Connection, statement: str) -> None:
    connection.execute("BEGIN")
    with pytest.raises(psycopg.errors.ActiveSqlTransaction):
        connection.execute(statement.encode())
    connection.execute("ROLLBACK")


@pytest.mark.parametrize("statement", ["INSERT INTO one VALUES (1)", "CREATE TABLE three (a int)"])
def test_read_only(connection: Connection, statement: str) -> None:
    connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute(statement.encode())
    connection.execute("BEGIN READ WRITE")
    connection.execute(statement.encode())
    connection.execute("ROLLBACK")


def test_isolation_levels(connection: Connection) -> None:
    def level() -> object:
        row = connection.execute("SHOW transaction_isolation").fetchone()
        assert row is not None
        return row[0]

    assert level() == "strict serializable"
    connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
    assert level() == "serializable"
    assert rows(connection, "one") == []
    connection.execute("COMMIT")
    assert level() == "strict serializable"
    connection.execute("SET transaction_isolation = 'serializable'")
    assert level() == "serializable"
    connection.execute("RESET transaction_isolation")
    connection.execute("BEGIN")
    connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY")
    assert level() == "serializable"
    connection.execute("COMMIT")
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        connection.execute("SET transaction_isolation = 'chaos'")


def test_savepoints_undo_writes_and_settings(connection: Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("INSERT INTO one VALUES (1)")
    connection.execute("SAVEPOINT s")
    connection.execute("INSERT INTO one VALUES (2)")
    connection.execute("SET search_path = 'elsewhere'")
    connection.execute("ROLLBACK TO SAVEPOINT s")
    assert connection.execute("SHOW search_path").fetchone() == ("public",)
    connection.execute("INSERT INTO one VALUES (3)")
    connection.execute("COMMIT")
    assert rows(connection, "one") == [1, 3]


def test_system_settings_last(headwater_server: HeadwaterServer) -> None:
    def shown(name: str) -> object:
        with psycopg.connect(headwater_server.dsn, autocommit=True) as fresh:
            row = fresh.execute(f"SHOW {name}".encode()).fetchone()
            return None if row is None else row[0]

    with psycopg.connect(headwater_server.dsn, autocommit=True) as user:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            user.execute("ALTER SYSTEM SET max_portals = 7")
        with pytest.raises(psycopg.errors.CantChangeRuntimeParam):
            user.execute("SET max_portals = 7")
    before = shown("max_portals")
    with psycopg.connect(headwater_server.internal_dsn, autocommit=True) as system:
        system.execute("ALTER SYSTEM SET max_portals = 7")
        system.execute("ALTER SYSTEM SET timezone = 'Asia/Tokyo'")
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            system.execute("ALTER SYSTEM SET max_portals = 'many'")
        with pytest.raises(psycopg.errors.UndefinedObject):
            system.execute("ALTER SYSTEM SET nonsense = 1")
    assert (shown("max_portals"), shown("timezone")) == ("7", "Asia/Tokyo")
    headwater_server.restart()
    assert (shown("max_portals"), shown("timezone")) == ("7", "Asia/Tokyo")
    with psycopg.connect(headwater_server.internal_dsn, autocommit=True) as system:
        system.execute("ALTER SYSTEM RESET max_portals")
        system.execute("ALTER SYSTEM RESET ALL")
    headwater_server.restart()
    assert (shown("max_portals"), shown("timezone")) == (before, "UTC")
