"""Statements made to crash, hang or bloat a server: each is an error that says what is wrong."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.running_server import HeadwaterServer

STATEMENTS = {
    "nested parentheses": ("SELECT " + "(" * 5_000 + "1" + ")" * 5_000, {"54001", "42601"}),
    "unclosed parentheses": ("SELECT * FROM " + "(" * 15_000, {"54001", "42601"}),
    "nested subqueries": ("(SELECT * FROM " * 8_000, {"54001", "42601"}),
    "nested laterals": ("SELECT * FROM " + "LATERAL (" * 8_000, {"54001", "42601"}),
    "subscripts": ("SELECT a" + "[1]" * 5_000, {"54001"}),
    "a long sum": ("SELECT 1" + " + 1" * 50_000, {"54001"}),
    "NOT after NOT": ("SELECT " + "NOT " * 50_000 + "true", {"54001"}),
    "minus after minus": ("SELECT " + "- " * 50_000 + "1", {"54001"}),
    "CASE in CASE": ("SELECT " + "CASE WHEN true THEN " * 20_000, {"54001", "42601"}),
    "deep json": ("SELECT '" + "[" * 1_000_000 + "'::jsonb", {"54001", "22P02"}),
    "deep array": ("SELECT '" + "{" * 100_000 + "'::int[]", {"54000", "54001", "22P02"}),
    "a power without bound": ("SELECT 10::numeric ^ 200000", {"22003"}),
    "a numeric without bound": ("SELECT '1e131072'::numeric", {"22003"}),
    "a numeric literal without bound": ("SELECT 1e300000", {"22003"}),
    "integer overflow": ("SELECT 2147483647 + 1", {"22003"}),
    "division by zero": ("SELECT 1 / 0", {"22012"}),
    "a text of two gigabytes": ("SELECT repeat('x', 2000000000)", {"54000"}),
    "padding of two gigabytes": ("SELECT lpad('x', 2000000000, 'y')", {"54000"}),
    "an array of ten billion": (
        "SELECT array_fill(1, ARRAY[100000, 100000])",
        {"54000", "42883"},
    ),
    "a repeated repetition": ("SELECT 'x' ~ '((((x{1,255}){1,255}){1,255}){1,255})'", {"2201B"}),
    "a year too far": ("SELECT '999999-01-01'::timestamp", {"22008"}),
    "a time zone that is a path": ("SET timezone = '../../etc/passwd'", {"22023"}),
    "a parameter beyond numbers": ("SELECT $99999999999", {"42601", "42P02"}),
    "1,601 columns": (
        "CREATE TABLE wide (" + ", ".join(f"c{i} int" for i in range(1_601)) + ")",
        {"54011"},
    ),
    "101 arguments": ("SELECT concat(" + ", ".join(["1"] * 101) + ")", {"54023"}),
    "an endless series": (
        "SELECT count(*) FROM generate_series(1, 1000000000000)",
        {"57014", "53200", "54000"},
    ),
    "an endless product": (
        "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000000) b",
        {"57014", "53200", "54000"},
    ),
    "a join of 9,000 tables": (
        "SELECT count(*) FROM " + ", ".join(f"mz_tables t{i}" for i in range(9_000)),
        {"57014", "54001"},
    ),
    "300 natural joins": (
        "SELECT 1 FROM mz_tables" + "".join(f" NATURAL JOIN mz_tables t{i}" for i in range(300)),
        {"57014", "54001"},
    ),
    "COPY from a program": ("COPY (SELECT 1) TO PROGRAM 'id'", {"42501", "42601", "0A000"}),
    "COPY from a file": ("COPY t FROM '/etc/passwd'", {"42501", "42601", "0A000", "42P01"}),
    "an identifier that never ends": ('SELECT "abc', {"42601"}),
    "a text that never ends": ("SELECT 'abc", {"42601"}),
    "a comment that never ends": ("SELECT /* abc", {"42601"}),
    "NUL as an escape": ("SELECT E'\\000'", {"22021"}),
    "half a surrogate": ("SELECT E'\\ud800'", {"22021", "42601", "22025"}),
    "a view on itself": ("CREATE VIEW loop AS SELECT * FROM loop", {"42P01"}),
}


@pytest.fixture
def connection(
    headwater_server: HeadwaterServer,
) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as opened:
        yield opened


@pytest.mark.parametrize("use", ["fresh", "used"])
@pytest.mark.parametrize(("sql", "sqlstates"), STATEMENTS.values(), ids=STATEMENTS.keys())
def test_bad_statement_is_an_error(
    connection: "psycopg.Connection[tuple[object, ...]]", sql: str, sqlstates: set[str], use: str
) -> None:
    if use == "used":
        assert connection.execute("SELECT count(*) FROM mz_tables").fetchone() is not None
    connection.execute("SET statement_timeout = '2s'")
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(sql.encode())
    assert raised.value.sqlstate in sqlstates, raised.value
    assert raised.value.diag.message_primary
    connection.execute("RESET statement_timeout")
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_endless_planning_keeps_no_thread(
    connection: "psycopg.Connection[tuple[object, ...]]", headwater_server: HeadwaterServer
) -> None:
    def plan_for_ever() -> str | None:
        with psycopg.connect(headwater_server.dsn, autocommit=True) as other:
            other.execute("SET statement_timeout = '1s'")
            try:
                other.execute(STATEMENTS["a join of 9,000 tables"][0].encode())
            except psycopg.Error as error:
                return error.sqlstate
        return None

    with ThreadPoolExecutor(6) as pool:
        outcomes = [pool.submit(plan_for_ever) for _ in range(6)]
        assert {outcome.result() for outcome in outcomes} <= {"57014", "54001"}
    row = connection.execute("SELECT count(*) FROM mz_schemas WHERE name = 'public'").fetchone()
    assert row == (1,)


def test_nested_common_tables_do_not_double_the_work(
    connection: "psycopg.Connection[tuple[object, ...]]",
) -> None:
    connection.execute("SET statement_timeout = '20s'")
    tables = ["c0 AS (SELECT 1 AS a)"]
    tables += [f"c{i} AS (SELECT x.a FROM c{i - 1} x, c{i - 1} y)" for i in range(1, 50)]
    row = connection.execute(f"WITH {', '.join(tables)} SELECT * FROM c49".encode()).fetchone()
    assert row == (1,)


def test_nested_views_that_double_the_work_are_refused(
    connection: "psycopg.Connection[tuple[object, ...]]",
) -> None:
    connection.execute("SET statement_timeout = '2s'")
    connection.execute("CREATE VIEW v0 AS SELECT 1 AS a")
    with pytest.raises(psycopg.Error) as raised:
        for i in range(1, 40):
            sql = f"CREATE VIEW v{i} AS SELECT x.a FROM v{i - 1} x, v{i - 1} y"
            connection.execute(sql.encode())
    assert raised.value.sqlstate in {"54001", "57014"}
    connection.execute("RESET statement_timeout")
    connection.execute("DROP VIEW v0 CASCADE")


def test_patterns_do_not_backtrack(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    row = connection.execute("SELECT repeat('a', 5000) || '!' ~ '^(a+)+$'").fetchone()
    assert row == (False,)


def test_error_in_a_transaction_blocks_it(
    connection: "psycopg.Connection[tuple[object, ...]]",
) -> None:
    connection.execute("BEGIN")
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / 0")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        connection.execute("SELECT 1")
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT 1").fetchone() == (1,)
