"""Prepared statements give for each value of their parameters what they give for literals."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.running_server import HeadwaterServer

Connection = psycopg.Connection[tuple[object, ...]]
Values = Callable[[int], tuple[object, ...]]
STATEMENTS: tuple[tuple[str, Values], ...] = (
    ("SELECT a, current_user FROM p WHERE a = %s AND b <> %s", lambda n: (n, f"x{n + 1}")),
    ("SELECT count(*) FROM p WHERE a IN (%s, %s) OR b LIKE %s", lambda n: (n, n + 1, f"x{n}%")),
    ("SELECT * FROM p WHERE a = ANY(%s::int[])", lambda n: ([n, n + 1],)),
    ("SELECT %s::text, b FROM p ORDER BY a LIMIT %s OFFSET %s", lambda n: ("t", n + 1, n)),
    ("SELECT q.c FROM p JOIN q ON q.a = p.a WHERE q.c < %s AND p.a >= %s", lambda n: (n * 3, n)),
    ("SELECT sum(c) FILTER (WHERE c > %s) FROM q GROUP BY a %% %s", lambda n: (n, n + 1)),
    ("SELECT coalesce(b, %s) FROM p WHERE (now() > %s::timestamptz) = %s",
     lambda n: (None, "2020-01-01", n % 2 == 0)),
    ("UPDATE p SET b = %s WHERE a = %s RETURNING b || %s", lambda n: (f"y{n}", n, str(n))),
    ("DELETE FROM q WHERE c = %s RETURNING %s::int + c, current_database()", lambda n: (n, n)),
    ("INSERT INTO q SELECT a, %s FROM p WHERE a = %s", lambda n: (n, n)),
)  # fmt: skip


@pytest.fixture(scope="module")
def sessions(headwater_server: HeadwaterServer) -> Iterator[tuple[Connection, Connection]]:
    """Two sessions whose tables are the same, in schemas of their own; only some have indexes."""
    with (
        psycopg.connect(headwater_server.dsn, autocommit=True) as one,
        psycopg.connect(headwater_server.dsn, autocommit=True) as two,
    ):
        for number, session in enumerate((one, two)):
            session.execute(f"CREATE SCHEMA s{number}".encode())
            session.execute(f"SET search_path = s{number}".encode())
            session.execute("CREATE TABLE p (a int, b text)")
            session.execute("CREATE TABLE q (a int, c int)")
            session.execute("INSERT INTO p SELECT g, 'x' || g FROM generate_series(1, 20) g")
            session.execute("INSERT INTO q SELECT g % 7, g FROM generate_series(1, 30) g")
        one.execute("CREATE INDEX ON p (a)")
        yield one, two


@pytest.mark.parametrize(("statement", "values"), STATEMENTS)
def test_parameters_mean_what_literals_do(
    sessions: tuple[Connection, Connection], statement: str, values: Values
) -> None:
    prepared, plain = sessions
    for number in range(1, 6):
        arguments = values(number)
        got = prepared.execute(statement.encode(), arguments, prepare=True)
        literals = [psycopg.sql.Literal(value).as_string(plain) for value in arguments]
        expected = plain.execute((statement % tuple(literals)).encode())
        assert got.rowcount == expected.rowcount
        if expected.description is not None:
            assert sorted(map(repr, got)) == sorted(map(repr, expected))
    for table in ("p", "q"):
        query = f"SELECT * FROM {table} ORDER BY 1, 2".encode()
        assert prepared.execute(query).fetchall() == plain.execute(query).fetchall()
