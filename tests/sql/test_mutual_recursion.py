"""WITH MUTUALLY RECURSIVE: rows, limits, and the words of errors."""

import asyncio

import pytest

from core.errors import SqlError
from tests.system_catalog.world import World

COUNTING = "t (n int) AS (SELECT 1 UNION SELECT n + 1 FROM t)"
QUERIES: list[tuple[str, list[tuple[object, ...]]]] = [
    (
        (
            "WITH MUTUALLY RECURSIVE t (n int) AS "
            "(VALUES (1) UNION SELECT n + 1 FROM t WHERE n < 4)"
            " SELECT n FROM t ORDER BY n DESC LIMIT 3"
        ),
        [(4,), (3,), (2,)],
    ),
    # Two tables that refer to each other, one of them before it is defined.
    (
        (
            "WITH MUTUALLY RECURSIVE even (n int) AS (SELECT 0 UNION SELECT n + 1 FROM odd), "
            "odd (n int) AS (SELECT n + 1 FROM even WHERE n < 6) "
            "SELECT (SELECT count(*) FROM even), (SELECT sum(n) FROM odd)"
        ),
        [(4, 9)],
    ),
    # Reachability, by joining the table with itself.
    (
        (
            "WITH MUTUALLY RECURSIVE "
            "edge (a int, b int) AS (VALUES (1, 2), (2, 3), (3, 1), (4, 5)), "
            "path (a int, b int) AS (SELECT a, b FROM edge UNION "
            "SELECT x.a, y.b FROM path x JOIN path y ON x.b = y.a) "
            "SELECT a, count(*) FROM path GROUP BY a ORDER BY a"
        ),
        [(1, 3), (2, 3), (3, 3), (4, 1)],
    ),
    # What is not monotone: the cheapest way.
    (
        (
            "WITH MUTUALLY RECURSIVE road (a text, b text, km bigint) AS "
            "(VALUES ('x', 'y', 7), ('x', 'z', 2), ('z', 'y', 3)), "
            "cost (town text, km bigint) AS (SELECT 'x', 0 UNION ALL SELECT town, min(km) FROM "
            "(SELECT b AS town, cost.km + road.km AS km FROM cost JOIN road ON town = a) w "
            "GROUP BY town) "
            "SELECT town, min(km) FROM cost GROUP BY town ORDER BY town"
        ),
        [("x", 0), ("y", 5), ("z", 2)],
    ),
    (
        f"WITH MUTUALLY RECURSIVE (RETURN AT RECURSION LIMIT 3) {COUNTING} SELECT sum(n) FROM t",
        [(6,)],
    ),
    (
        (
            "(WITH MUTUALLY RECURSIVE (RETURN AT RECURSION LIMIT 2) t (n int) AS "
            "(VALUES (1) UNION ALL SELECT n + 1 FROM t) SELECT sum(n) FROM t) UNION ALL SELECT 9"
        ),
        [(3,), (9,)],
    ),
    # Types are the declared ones.
    (
        (
            "WITH MUTUALLY RECURSIVE t (a numeric(5, 1), b text) AS (SELECT 1, NULL) "
            "SELECT a::text, pg_typeof(b)::text FROM t"
        ),
        [("1.0", "text")],
    ),
    # Of an outer row.
    (
        (
            "SELECT x, (WITH MUTUALLY RECURSIVE t (n int) AS (SELECT x UNION SELECT n + 1 FROM t "
            "WHERE n < 5) SELECT count(*) FROM t) FROM generate_series(3, 6) x ORDER BY x"
        ),
        [(3, 3), (4, 2), (5, 1), (6, 1)],
    ),
]
ERRORS = [
    (
        f"WITH MUTUALLY RECURSIVE (ERROR AT RECURSION LIMIT 10) {COUNTING} SELECT n FROM t",
        "54000",
        "Recursive query exceeded the recursion limit 10.",
    ),
    (
        f"WITH MUTUALLY RECURSIVE (RECURSION LIMIT 10) {COUNTING} SELECT n FROM t",
        "54000",
        "Recursive query exceeded the recursion limit 10.",
    ),
    (
        f"WITH MUTUALLY RECURSIVE (RECURSION LIMIT 0) {COUNTING} SELECT n FROM t",
        "0A000",
        "RECURSION LIMIT must be greater than 0.",
    ),
    (
        (
            "WITH MUTUALLY RECURSIVE (RECURSION LIMIT 3, RETURN AT RECURSION LIMIT 5) "
            f"{COUNTING} SELECT n FROM t"
        ),
        "42601",
        "more than one recursion limit given.",
    ),
    (
        "WITH MUTUALLY RECURSIVE t (a int) AS (SELECT 'x'::text) SELECT 1",
        "42804",
        (
            'WITH MUTUALLY RECURSIVE query "t" declared types (integer), but query returns types '
            "(text)"
        ),
    ),
    (
        "WITH MUTUALLY RECURSIVE t (a int) AS (SELECT 1, 2) SELECT 1",
        "42804",
        (
            'WITH MUTUALLY RECURSIVE query "t" declared types (integer), but query returns types '
            "(integer, integer)"
        ),
    ),
    (
        "WITH MUTUALLY RECURSIVE t (a int) AS (SELECT 1), t (a int) AS (SELECT 1) SELECT 1",
        "42712",
        'WITH query name "t" specified more than once',
    ),
    ("WITH MUTUALLY RECURSIVE t (a) AS (SELECT 1) SELECT 1", "42601", "syntax error"),
]


@pytest.fixture(scope="module")
def world() -> World:
    return asyncio.run(World.create())


@pytest.mark.parametrize(("query", "rows"), QUERIES)
def test_rows(world: World, query: str, rows: list[tuple[object, ...]]) -> None:
    assert world.query(query) == rows


@pytest.mark.parametrize(("query", "sqlstate", "message"), ERRORS)
def test_errors(world: World, query: str, sqlstate: str, message: str) -> None:
    with pytest.raises(SqlError) as caught:
        world.query(query)
    assert caught.value.sqlstate == sqlstate
    assert caught.value.message.startswith(message)
