"""WITH RECURSIVE against a real PostgreSQL: rows, and the words of errors."""

import asyncio

import psycopg
import pytest

from core.errors import SqlError
from core.rows import Array
from tests.system_catalog.world import World

QUERIES = [
    "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION SELECT (n + 1) % 4 FROM t) SELECT n FROM t",
    # What it names is not itself.
    "WITH RECURSIVE a AS (SELECT 1 AS n), b AS (SELECT n + 1 AS n FROM a) SELECT n FROM b",
    (
        "WITH RECURSIVE t(n) AS (SELECT 'a' UNION ALL SELECT n || 'b' FROM t WHERE length(n) < 3) "
        "SELECT n FROM t"
    ),
    # A graph with a cycle.
    (
        "WITH RECURSIVE edge(a, b) AS (VALUES (1, 2), (2, 3), (3, 1), (4, 5)), "
        "reached(n) AS (SELECT 1 UNION SELECT b FROM reached JOIN edge ON a = n) "
        "SELECT n FROM reached"
    ),
    # A table of the recursive term's own.
    (
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL "
        "(WITH twice AS (SELECT 2 * n AS n FROM t) SELECT n FROM twice WHERE n < 40)) "
        "SELECT n FROM t"
    ),
    # Correlated, also by a subquery inside the recursive term.
    (
        "SELECT x, (WITH RECURSIVE t(n) AS (SELECT x UNION ALL SELECT n + 1 FROM t WHERE n < 5) "
        "SELECT count(*) FROM t) FROM generate_series(3, 6) x"
    ),
    (
        "SELECT x, (WITH RECURSIVE t(n) AS (SELECT x UNION ALL SELECT n + 1 FROM t WHERE n < "
        "(SELECT max(y) FROM generate_series(1, 5) y WHERE y > n)) SELECT array_agg(n ORDER BY n) "
        "FROM t) FROM generate_series(3, 6) x"
    ),
]
ERRORS = [
    "WITH RECURSIVE t AS (SELECT n FROM t) SELECT n FROM t",
    "WITH RECURSIVE t AS (SELECT n FROM t UNION ALL SELECT 1) SELECT n FROM t",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1.5 FROM t) SELECT n FROM t",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n, n FROM t) SELECT n FROM t",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t ORDER BY 1) SELECT n FROM t",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t LIMIT 5) SELECT n FROM t",
]


@pytest.fixture(scope="module")
def world() -> World:
    return asyncio.run(World.create())


@pytest.mark.parametrize("query", QUERIES)
def test_rows_are_postgresqls(world: World, postgres_url: str, query: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        expected = connection.execute(query).fetchall()
    assert sorted(map(_plain, world.query(query))) == sorted(expected)


def _plain(row: tuple[object, ...]) -> tuple[object, ...]:
    """Arrays as psycopg gives them."""
    return tuple(list(value.elements) if isinstance(value, Array) else value for value in row)


@pytest.mark.parametrize("query", ERRORS)
def test_errors_are_postgresqls(world: World, postgres_url: str, query: str) -> None:
    with (
        psycopg.connect(postgres_url) as connection,
        pytest.raises(psycopg.DatabaseError) as expected,
    ):
        connection.execute(query)
    with pytest.raises(SqlError) as caught:
        world.query(query)
    diagnostics = expected.value.diag
    assert caught.value.sqlstate == diagnostics.sqlstate
    assert caught.value.message == diagnostics.message_primary
    assert caught.value.hint == diagnostics.message_hint
