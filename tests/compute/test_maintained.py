"""Indexes that a real replica maintains."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import expr.library  # noqa: F401
from core.errors import SqlError
from core.sql_types import INT4, INT8, TEXT
from expr.relation import Aggregate, Reduce
from expr.scalar import ColumnRef, literal
from tests.compute.compute_environment import ComputeEnvironment, compute_environment
from tests.compute.indexes import Indexes

COUNT = Aggregate("count()", (), INT8)


@pytest.fixture
async def environment(fresh_database_url: str, tmp_path: Path) -> AsyncIterator[ComputeEnvironment]:
    async with compute_environment(fresh_database_url, tmp_path) as made:
        yield made


@pytest.fixture
def indexes(environment: ComputeEnvironment) -> Indexes:
    return Indexes(environment)


async def test_an_index_follows_its_table(
    environment: ComputeEnvironment, indexes: Indexes
) -> None:
    table = await environment.create_table(INT4, TEXT)
    await environment.insert(table, [(1, "a"), (2, "b"), (2, "b"), (None, "n")])
    index = indexes.create(table.get, table)
    assert await indexes.rows(index) == [("1", "a"), ("2", "b"), ("2", "b"), (None, "n")]
    await environment.insert(table, [(2, "b")], diff=-1)
    await environment.insert(table, [(3, "c")])
    assert await indexes.rows(index) == [("1", "a"), ("2", "b"), ("3", "c"), (None, "n")]
    assert await indexes.find(index, literal(2, INT4)) == [("2", "b")]
    assert await indexes.find(index, literal(7, INT4)) == []
    assert await indexes.find(index, literal(None, INT4)) == []


async def test_a_missing_index_is_an_error(
    environment: ComputeEnvironment, indexes: Indexes
) -> None:
    table = await environment.create_table(INT4)
    index = indexes.create(table.get, table)
    assert await indexes.rows(index) == []
    indexes.drop(index)
    with pytest.raises(SqlError) as raised:
        await indexes.rows(index)
    assert raised.value.sqlstate == "42704"


async def test_an_index_of_a_view_and_one_upon_it(
    environment: ComputeEnvironment, indexes: Indexes
) -> None:
    table = await environment.create_table(INT4, INT4)
    await environment.insert(table, [(n % 3, n) for n in range(30)])
    counts = indexes.create(Reduce(table.get, (ColumnRef(0, INT4),), (COUNT,)), table)
    upon = indexes.create(
        Reduce(counts.get, (ColumnRef(1, INT8),), (COUNT,)), counts, as_of=indexes.now
    )
    assert await indexes.rows(counts) == [("0", "10"), ("1", "10"), ("2", "10")]
    assert await indexes.rows(upon) == [("10", "3")]
    await environment.insert(table, [(0, 99)])
    assert await indexes.rows(upon) == [("10", "2"), ("11", "1")]
    indexes.drop(counts)
    await environment.insert(table, [(1, 99)])
    assert await indexes.rows(upon) == [("10", "1"), ("11", "2")]
