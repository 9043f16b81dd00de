"""What `mz_now()` can be compared with, and that other types do not meet through its type."""

import asyncio

import pytest

from core.errors import SqlError
from tests.system_catalog.world import NOW, World

SECOND_LATER = "timestamptz '1970-01-01 00:00:00+00' + "
NOW_AND_A_SECOND = f"interval '{NOW // 1_000_000 + 1} seconds'"


@pytest.fixture(scope="module")
def world() -> World:
    return asyncio.run(World.create())


@pytest.mark.parametrize(
    "later",
    [
        f"{NOW + 1}",
        f"{NOW + 1}::numeric",
        f"{SECOND_LATER}{NOW_AND_A_SECOND}",
        f"({SECOND_LATER}{NOW_AND_A_SECOND})::timestamp",
        "date '2100-01-01'",
        f"'{NOW + 1}'",
    ],
)
def test_numbers_and_moments_compare_with_now(world: World, later: str) -> None:
    query = f"SELECT mz_now() < {later}, mz_now() BETWEEN 5 AND {later}, {later} <= mz_now()"
    assert world.query(query) == [(True, True, False)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT now() = 5",
        "SELECT date '2020-01-01' < 5.5",
        "SELECT now() - 5",
        "SELECT mz_now() = true",
    ],
)
def test_other_types_do_not_meet_as_virtual_times(world: World, query: str) -> None:
    with pytest.raises(SqlError) as caught:
        world.plan(query)
    assert caught.value.sqlstate == "42883"
