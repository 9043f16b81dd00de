"""The ways to ask for the first rows of each group: all are planned as top-k, and give the rows
that PostgreSQL gives."""

import asyncio

import psycopg
import pytest

from expr.relation import Relation, TopK, Window, children
from sql.plan import SelectPlan
from tests.system_catalog.world import World

SALES = (
    "WITH s (shop, day, amount) AS (VALUES (1, 1, 10), (1, 2, 30), (1, 3, 20), (2, 1, 5), "
    "(2, 2, 7), (3, 1, NULL), (NULL, 1, 4), (NULL, 2, 9), (1, 4, NULL), (2, 3, 6)) "
)
NUMBERED = (
    "SELECT *, row_number() OVER (PARTITION BY shop ORDER BY amount DESC NULLS LAST, day) AS n "
    "FROM s"
)
# Only the rows are wanted: no number is left to compute.
WITHOUT_NUMBERS = [
    f"{SALES} SELECT shop, amount FROM ({NUMBERED}) x WHERE n <= 2",
    f"{SALES} SELECT shop, amount FROM ({NUMBERED}) x WHERE n < 3",
    f"{SALES} SELECT shop, amount FROM ({NUMBERED}) x WHERE n = 1",
    f"{SALES} SELECT shop, amount FROM ({NUMBERED}) x WHERE 2 >= n AND amount > 4",
    f"{SALES} SELECT shop, amount FROM ({NUMBERED}) x WHERE n <= 2 AND n <= 4 AND shop = 1",
    (
        f"{SALES} SELECT shop, day FROM (SELECT shop, day, row_number() OVER "
        "(PARTITION BY shop % 2 ORDER BY amount + 1, shop, day) AS n FROM s) x WHERE n <= 3"
    ),
    (
        f"{SALES} SELECT g.shop, x.amount FROM (SELECT DISTINCT shop FROM s) g, LATERAL "
        "(SELECT amount FROM s WHERE s.shop = g.shop ORDER BY amount DESC, day LIMIT 2) x"
    ),
    (
        f"{SALES} SELECT g.shop, x.amount FROM (SELECT DISTINCT shop FROM s) g LEFT JOIN LATERAL "
        "(SELECT amount FROM s WHERE s.shop = g.shop ORDER BY amount DESC, day LIMIT 1) x ON true"
    ),
    f"{SALES} SELECT DISTINCT ON (shop) shop, amount FROM s ORDER BY shop, amount DESC, day",
]
WITH_NUMBERS = [
    f"{SALES} SELECT shop, amount, n FROM ({NUMBERED}) x WHERE n <= 2",
    f"{SALES} SELECT shop, amount FROM ({NUMBERED}) x WHERE n = 2",
    f"{SALES} SELECT shop, amount, n FROM ({NUMBERED}) x WHERE n BETWEEN 2 AND 3",
    f"{SALES} SELECT shop, n FROM ({NUMBERED}) x WHERE n <= 0",
]
# More of a partition is needed than its first rows.
NOT_TOP_K = [
    f"{SALES} SELECT shop, amount FROM ({NUMBERED}) x WHERE n >= 2",
    f"{SALES} SELECT shop, amount FROM ({NUMBERED}) x WHERE n <= 1 OR amount IS NULL",
    (
        f"{SALES} SELECT shop, day FROM (SELECT shop, day, rank() OVER (PARTITION BY shop "
        "ORDER BY day) AS n FROM s) x WHERE n <= 1"
    ),
    (
        f"{SALES} SELECT shop, n, total FROM (SELECT shop, row_number() OVER w AS n, sum(amount) "
        "OVER w AS total FROM s WINDOW w AS (PARTITION BY shop ORDER BY day ROWS BETWEEN "
        "UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) x WHERE n <= 1"
    ),
]


@pytest.fixture(scope="module")
def world() -> World:
    return asyncio.run(World.create())


def nodes(relation: Relation) -> set[type]:
    return {type(relation)}.union(*map(nodes, children(relation)))


def planned(world: World, query: str) -> set[type]:
    plan = world.plan(query).plan
    assert isinstance(plan, SelectPlan)
    return nodes(plan.query.relation)


@pytest.mark.parametrize("query", WITHOUT_NUMBERS)
def test_only_the_first_rows_are_kept(world: World, query: str) -> None:
    found = planned(world, query)
    assert TopK in found
    assert Window not in found


@pytest.mark.parametrize("query", WITH_NUMBERS)
def test_numbers_are_computed_of_the_first_rows(world: World, query: str) -> None:
    found = planned(world, query)
    assert TopK in found
    assert Window in found


@pytest.mark.parametrize("query", NOT_TOP_K)
def test_whole_partitions_are_kept_where_they_are_needed(world: World, query: str) -> None:
    assert TopK not in planned(world, query)


@pytest.mark.parametrize("query", WITHOUT_NUMBERS + WITH_NUMBERS + NOT_TOP_K)
def test_rows_are_postgresqls(world: World, postgres_url: str, query: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        expected = connection.execute(query).fetchall()
    key = repr
    assert sorted(world.query(query), key=key) == sorted(expected, key=key)
