"""The times that a session can see: of its last commit, and of its reads."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.running_server import HeadwaterServer

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def connection(headwater_server: HeadwaterServer) -> Iterator[Connection]:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as opened:
        opened.execute("DROP TABLE IF EXISTS timed")
        yield opened


def last_commit(connection: Connection) -> int:
    row = connection.execute("SHOW last_commit_timestamp").fetchone()
    assert row is not None
    return int(str(row[0]))


def test_last_commit_is_zero_before_any(headwater_server: HeadwaterServer) -> None:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as fresh:
        fresh.execute("SELECT count(*) FROM mz_tables")
        assert last_commit(fresh) == 0


def test_every_commit_moves_the_last_commit(connection: Connection) -> None:
    times = [last_commit(connection)]
    for statement in (
        "CREATE TABLE timed (a int)",
        "INSERT INTO timed VALUES (1)",
        "UPDATE timed SET a = 2",
        "BEGIN; INSERT INTO timed VALUES (3); INSERT INTO timed VALUES (4); COMMIT",
        "BEGIN; CREATE VIEW timed_view AS SELECT a FROM timed; COMMIT",
        "INSERT INTO timed SELECT a FROM timed",
        "DROP VIEW timed_view",
    ):
        connection.execute(statement.encode())
        times.append(last_commit(connection))
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "BEGIN; INSERT INTO timed VALUES (1); ROLLBACK",
        "RESET ALL",
        "SET datestyle = ''",
    ],
)
def test_nothing_else_moves_it(connection: Connection, statement: str) -> None:
    connection.execute("CREATE TABLE timed (a int)")
    before = last_commit(connection)
    connection.execute(statement.encode())
    assert last_commit(connection) == before > 0


def test_copy_moves_the_last_commit(connection: Connection) -> None:
    connection.execute("CREATE TABLE timed (a int)")
    before = last_commit(connection)
    with connection.cursor().copy("COPY timed FROM STDIN") as copy:
        copy.write(b"1\n")
    assert last_commit(connection) > before


def test_it_cannot_be_set(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.CantChangeRuntimeParam):
        connection.execute("SET last_commit_timestamp = '7'")


def test_a_read_sees_at_or_after_the_last_commit(connection: Connection) -> None:
    connection.execute("CREATE TABLE timed (a int)")
    connection.execute("INSERT INTO timed VALUES (1)")
    row = connection.execute("SELECT mz_now()::text, a FROM timed").fetchone()
    assert row is not None
    assert int(str(row[0])) >= last_commit(connection)
    assert row[1] == 1


def test_a_read_transaction_reads_at_one_time(
    connection: Connection, headwater_server: HeadwaterServer
) -> None:
    connection.execute("CREATE TABLE timed (a int)")
    connection.execute("BEGIN READ ONLY")
    first = connection.execute("SELECT mz_now()::text, count(*) FROM timed").fetchone()
    with psycopg.connect(headwater_server.dsn, autocommit=True) as other:
        other.execute("INSERT INTO timed VALUES (1)")
        later = other.execute("SELECT mz_now()::text, count(*) FROM timed").fetchone()
    assert connection.execute("SELECT mz_now()::text, count(*) FROM timed").fetchone() == first
    only = connection.execute("SELECT mz_now()::text").fetchone()
    connection.execute("COMMIT")
    assert first is not None
    assert later is not None
    assert only is not None
    assert only[0] == first[0]
    assert int(str(later[0])) > int(str(first[0]))
    assert (first[1], later[1]) == (0, 1)
