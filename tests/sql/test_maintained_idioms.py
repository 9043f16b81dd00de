"""Views that need operators of their own: rows that come and go by time, recursion, top-k."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.running_server import HeadwaterServer

Rows = list[tuple[object, ...]]
SCHEMA = (
    "CREATE TABLE visits (id int, since timestamptz)",
    (
        "CREATE MATERIALIZED VIEW present AS SELECT id FROM visits "
        "WHERE mz_now() >= since AND mz_now() < since + interval '300 milliseconds'"
    ),
    "CREATE TABLE edge (a int, b int)",
    (
        "CREATE MATERIALIZED VIEW path AS WITH MUTUALLY RECURSIVE known (a int, b int) AS "
        "(SELECT a, b FROM edge UNION SELECT known.a, edge.b FROM known JOIN edge "
        "ON known.b = edge.a) SELECT a, b FROM known"
    ),
    (
        "CREATE MATERIALIZED VIEW reached AS WITH RECURSIVE r (n) AS "
        "(SELECT 1 UNION SELECT b FROM r JOIN edge ON a = n) SELECT n FROM r"
    ),
    (
        "CREATE MATERIALIZED VIEW best AS SELECT a, b FROM (SELECT a, b, row_number() OVER "
        "(PARTITION BY a ORDER BY b DESC) AS n FROM edge) numbered WHERE n <= 2"
    ),
)


@pytest.fixture(scope="module")
def connection(headwater_server: HeadwaterServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        for statement in SCHEMA:
            connection.execute(statement.encode())
        yield connection


def ask(connection: psycopg.Connection, query: str) -> Rows:
    return connection.execute(query.encode()).fetchall()


def test_rows_come_and_go_at_their_times(
    connection: psycopg.Connection, headwater_server: HeadwaterServer
) -> None:
    connection.execute("INSERT INTO visits SELECT 7, now() + interval '1 second'")
    ((begin,),) = ask(connection, "SELECT (extract(epoch FROM since) * 1000000)::int8 FROM visits")
    assert isinstance(begin, int)
    changes: Rows = []
    with psycopg.connect(headwater_server.dsn) as other:
        other.execute("DECLARE changes CURSOR FOR SUBSCRIBE (SELECT id FROM present)")
        while len(changes) < 2:
            changes += ask(other, "FETCH ALL changes WITH (timeout = '5s')")
    assert [tuple(map(int, map(str, row))) for row in changes] == [
        (begin, 1, 7),
        (begin + 300_000, -1, 7),
    ]


def test_recursive_views_follow_insertions_and_deletions(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO edge VALUES (1, 2), (2, 3), (3, 4)")
    assert ask(connection, "SELECT count(*) FROM path") == [(6,)]
    assert ask(connection, "SELECT n FROM reached ORDER BY n") == [(1,), (2,), (3,), (4,)]
    connection.execute("DELETE FROM edge WHERE a = 2")
    assert ask(connection, "SELECT a, b FROM path ORDER BY a") == [(1, 2), (3, 4)]
    assert ask(connection, "SELECT n FROM reached ORDER BY n") == [(1,), (2,)]
    connection.execute("INSERT INTO edge VALUES (2, 1)")
    assert ask(connection, "SELECT a, b FROM path ORDER BY a, b") == [
        *((1, 1), (1, 2), (2, 1), (2, 2)),
        (3, 4),
    ]
    connection.execute("DELETE FROM edge")


def test_the_first_rows_of_each_group_follow(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO edge SELECT i % 2, i FROM generate_series(1, 9) i")
    assert ask(connection, "SELECT a, b FROM best ORDER BY a, b") == [
        (0, 6),
        (0, 8),
        (1, 7),
        (1, 9),
    ]
    connection.execute("DELETE FROM edge WHERE b IN (8, 9)")
    assert ask(connection, "SELECT a, b FROM best ORDER BY a, b") == [
        (0, 4),
        (0, 6),
        (1, 5),
        (1, 7),
    ]
    connection.execute("DELETE FROM edge")


def test_a_recursion_that_does_not_rest_is_an_error_while_it_does_not(
    connection: psycopg.Connection,
) -> None:
    connection.execute(
        "CREATE MATERIALIZED VIEW counted AS WITH MUTUALLY RECURSIVE (ERROR AT RECURSION LIMIT 20) "
        "t (n int) AS (SELECT a FROM edge UNION SELECT n + 1 FROM t) SELECT count(*) FROM t"
    )
    assert ask(connection, "SELECT * FROM counted") == [(0,)]
    connection.execute("INSERT INTO edge VALUES (1, 1)")
    with pytest.raises(psycopg.errors.ProgramLimitExceeded, match="recursion limit 20"):
        ask(connection, "SELECT * FROM counted")
    connection.execute("DELETE FROM edge")
    assert ask(connection, "SELECT * FROM counted") == [(0,)]


@pytest.mark.parametrize(
    "query", ["SELECT mz_now() FROM edge", "SELECT a FROM edge WHERE mz_now() < a OR b = 1"]
)
def test_other_uses_of_the_time_cannot_be_maintained(
    connection: psycopg.Connection, query: str
) -> None:
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="Unsupported temporal predicate"):
        connection.execute(f"CREATE MATERIALIZED VIEW refused AS {query}".encode())


def test_a_recursive_view_keeps_its_meaning_when_names_change(
    connection: psycopg.Connection,
) -> None:
    connection.execute("CREATE TABLE link (a int, b int)")
    connection.execute(
        "CREATE MATERIALIZED VIEW linked AS WITH MUTUALLY RECURSIVE link (a int, b int) AS "
        "(SELECT a, b FROM public.link UNION SELECT x.a, y.b FROM link x JOIN link y ON x.b = y.a) "
        "SELECT link.a, link.b FROM link"
    )
    connection.execute("ALTER TABLE link RENAME TO connection")
    connection.execute("INSERT INTO connection VALUES (1, 2), (2, 3)")
    assert ask(connection, "SELECT count(*) FROM linked") == [(3,)]
