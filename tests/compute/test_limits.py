"""What one query may cost a real replica, and what it leaves for others."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import OUT_OF_MEMORY, SqlError
from core.rows import codec_for
from core.sql_types import INT8, SqlType
from expr.relation import (
    Aggregate,
    ColumnOrder,
    Constant,
    Finishing,
    FlatMap,
    Join,
    Reduce,
    Relation,
)
from expr.scalar import ColumnRef, Literal
from tests.compute.compute_environment import (
    ComputeEnvironment,
    compute_environment,
    parse_data_rows,
)

MIB = 1024 * 1024
ONE_ROW = Constant(((codec_for(()).encode(()), 1),), ())
COLUMN = ColumnRef(0, INT8)
INT8_ARRAY = SqlType(1016)


def number(value: int) -> Literal:
    return Literal(codec_for((INT8,)).encode((value,)), INT8)


def series(stop: int) -> Relation:
    """The numbers from 1 to `stop`."""
    return FlatMap(ONE_ROW, "generate_series(int8,int8)", (number(1), number(stop)), (INT8,))


def collected(relation: Relation) -> Relation:
    return Reduce(relation, (), (Aggregate("array_agg(anynonarray)", (COLUMN,), INT8_ARRAY),))


ENDLESS = series(10**15)
GREEDY = {
    "array_agg": (collected(series(10**9)), Finishing()),
    "DISTINCT": (Reduce(series(10**9), (COLUMN,), ()), Finishing()),
    "GROUP BY": (
        Reduce(series(10**9), (COLUMN,), (Aggregate("count()", (), INT8),)),
        Finishing(),
    ),
    "ORDER BY": (series(10**9), Finishing(order_by=(ColumnOrder(0, descending=True),))),
    "join": (Join((series(10**9), series(10**9)), ((COLUMN, ColumnRef(1, INT8)),)), Finishing()),
}


@pytest.fixture
async def environment(fresh_database_url: str, tmp_path: Path) -> AsyncIterator[ComputeEnvironment]:
    async with compute_environment(fresh_database_url, tmp_path) as made:
        yield made


async def test_greedy_queries_fail_and_the_replica_lives(environment: ComputeEnvironment) -> None:
    environment.clusters.update_configuration(8 * MIB, 64 * MIB)
    before = environment.replica_pid
    for name, (relation, finishing) in GREEDY.items():
        with pytest.raises(SqlError) as caught:
            await environment.bytes_of(environment.request(relation, finishing=finishing))
        assert caught.value.sqlstate == OUT_OF_MEMORY, name
    assert await environment.rows_of(series(2)) == [("1",), ("2",)]
    assert environment.replica_pid == before


async def test_others_are_answered_while_an_endless_query_runs(
    environment: ComputeEnvironment,
) -> None:
    endless = await environment.clusters.peek(environment.request(ENDLESS))
    counting = Reduce(ENDLESS, (), (Aggregate("count()", (), INT8),))
    silent = await environment.clusters.peek(environment.request(counting))
    assert (await anext(endless)).row_count > 0
    for _ in range(20):
        assert await environment.rows_of(series(2)) == [("1",), ("2",)]
    await endless.aclose()
    await silent.aclose()
    assert await environment.rows_of(series(1)) == [("1",)]


async def test_tables_larger_than_the_cache_are_read(environment: ComputeEnvironment) -> None:
    environment.clusters.update_configuration(64 * MIB, 1024)
    tables = [await environment.create_table(INT8) for _ in range(3)]
    for table in tables:
        await environment.insert(table, [(n,) for n in range(1000)])
    for _ in range(2):
        for table in tables:
            data = await environment.bytes_of(environment.request(table.get, table))
            found = sorted(int(row[0] or "") for row in parse_data_rows(data))
            assert found == list(range(1000))
        await environment.insert(tables[0], [(1000,)])
        await environment.insert(tables[0], [(1000,)], diff=-1)
