"""Indexes that a real replica maintains."""

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import expr.library  # noqa: F401
from core.errors import SqlError
from core.ids import Timestamp
from core.sql_types import INT4, INT8, TEXT
from expr.relation import Aggregate, Map, Reduce
from expr.scalar import Call, ColumnRef, literal
from tests.compute.compute_environment import ComputeEnvironment, compute_environment
from tests.compute.indexes import Indexes

COUNT = Aggregate("count()", (), INT8)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def environment(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ComputeEnvironment]:
    path = tmp_path_factory.mktemp("compute")
    async with compute_environment(module_database_url, path) as made:
        yield made


@pytest.fixture(scope="module")
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


async def test_an_index_is_read_as_it_was(
    environment: ComputeEnvironment, indexes: Indexes
) -> None:
    table = await environment.create_table(INT4, INT4)
    start = await environment.insert(table, [(1, 0), (2, 0)])
    with environment.collections.holds.acquire(start):
        index = indexes.create(table.get, table)
        times = [start]
        for n in range(1, 5):
            await environment.insert(table, [(1, n - 1)], diff=-1)
            times.append(await environment.insert(table, [(1, n)]))
        for n, ts in enumerate(times):
            assert await indexes.rows(index, ts) == [("1", str(n)), ("2", "0")]
            assert await indexes.find(index, literal(1, INT4), as_of=ts) == [("1", str(n))]
            assert await indexes.find(index, literal(2, INT4), as_of=ts) == [("2", "0")]


async def test_an_error_in_the_data_is_one_at_its_times_only(
    environment: ComputeEnvironment, indexes: Indexes
) -> None:
    table = await environment.create_table(INT4)
    before = await environment.insert(table, [(1,), (2,)])
    with environment.collections.holds.acquire(before):
        divided = Call("/(int4,int4)", (literal(6, INT4), ColumnRef(0, INT4)), INT4)
        view = indexes.create(Map(table.get, (divided,)), table)
        keyed = indexes.create(table.get, table, key=(divided,))
        upon = indexes.create(view.get, view)
        during = await environment.insert(table, [(0,)])
        await environment.insert(table, [(3,)])
        after = await environment.insert(table, [(0,)], diff=-1)
        for index in (view, keyed, upon):
            assert len(await indexes.rows(index, before)) == 2
            assert len(await indexes.rows(index, after)) == 3
            for ts in (during, Timestamp(after - 1)):
                with pytest.raises(SqlError) as raised:
                    await indexes.rows(index, ts)
                assert raised.value.sqlstate == "22012"
        assert await indexes.find(keyed, literal(6, INT4)) == [("1",)]


async def test_a_replica_that_starts_again_resumes_at_the_same_time(
    environment: ComputeEnvironment, indexes: Indexes
) -> None:
    table = await environment.create_table(INT4)
    start = await environment.insert(table, [(0,)])
    with environment.collections.holds.acquire(start):
        times = [await environment.insert(table, [(n,)]) for n in range(1, 4)]
        os.kill(environment.replica_pid, signal.SIGKILL)
        index = indexes.create(table.get, table, as_of=start)
        for n, ts in enumerate([start, *times], start=1):
            assert len(await indexes.rows(index, ts)) == n
        times.append(await environment.insert(table, [(9,)]))
        assert len(await indexes.rows(index)) == 5


async def test_a_dataflow_that_fails_takes_nothing_with_it(
    environment: ComputeEnvironment, indexes: Indexes
) -> None:
    table = await environment.create_table(INT4)
    await environment.insert(table, [(1,)])
    good = indexes.create(table.get, table)
    indexes.create(table.get)  # nobody says where the table is
    assert await indexes.rows(good) == [("1",)]
    await environment.insert(table, [(2,)])
    assert await indexes.rows(good) == [("1",), ("2",)]
    assert await environment.rows_of(table.get, table) == [("1",), ("2",)]


async def test_a_large_table_and_a_large_commit_come_in_parts(
    environment: ComputeEnvironment, indexes: Indexes
) -> None:
    table = await environment.create_table(INT4, INT4)
    rows = [(n % 7, n) for n in range(20_000)]
    await environment.insert(table, rows)
    total = Aggregate("sum(int4)", (ColumnRef(1, INT4),), INT8)
    sums = indexes.create(Reduce(table.get, (ColumnRef(0, INT4),), (total, COUNT)), table)
    copies = indexes.create(sums.get, sums)
    for factor in (1, 2):
        expected = [
            (str(k), str(factor * sum(n for key, n in rows if key == k)), str(factor * count))
            for k, count in Counter(key for key, _ in rows).items()
        ]
        assert await indexes.rows(sums) == sorted(expected)
        assert await indexes.rows(copies) == sorted(expected)
        await environment.insert(table, rows)


async def test_an_index_may_begin_at_a_time_that_is_to_come(
    environment: ComputeEnvironment, indexes: Indexes
) -> None:
    table = await environment.create_table(INT4)
    as_of = Timestamp(indexes.now + 100_000)
    index = indexes.create(table.get, table, as_of=as_of)
    count = 0
    while indexes.now <= as_of:
        await environment.insert(table, [(count,)])
        count += 1
    assert len(await indexes.rows(index)) == count
