"""Every operator against its naive meaning, on random relations over random tables."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import expr.library  # noqa: F401
from compute.execution import Execution, MemoryBudget, evaluate_all
from compute.render import render
from compute.result import finished_query
from core.errors import SqlError
from core.ids import GlobalId, Timestamp
from core.rows import Row
from core.sql_types import INT4, TEXT
from expr.relation import CardinalityCheck, ColumnOrder, Finishing, Get, Relation, column_types
from tests.compute.naive import (
    CONTEXT,
    Multiset,
    compare_rows,
    consolidated,
    encoded_multiset,
    naive,
)
from tests.compute.relations import TABLES, relations, table_contents

LARGE_BYTES = 1 << 30


class ListTable:
    """A collection held as a list of rows."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def scan(self, columns: tuple[int, ...] | None) -> Iterator[list[Row]]:
        if columns is None:
            yield list(self._rows)
        else:
            yield [tuple(row[i] for i in columns) for row in self._rows]


def execution_of(tables: dict[GlobalId, list[Row]], limit_bytes: int = LARGE_BYTES) -> Execution:
    return Execution(
        Timestamp(1),
        {id: ListTable(rows) for id, rows in tables.items()},
        MemoryBudget(limit_bytes),
    )


def multisets(tables: dict[GlobalId, list[Row]]) -> dict[GlobalId, Multiset]:
    return {id: [(row, 1) for row in rows] for id, rows in tables.items()}


@settings(max_examples=600, deadline=None)
@given(relation=relations(), tables=table_contents())
def test_relations_mean_what_the_naive_evaluation_says(
    relation: Relation, tables: dict[GlobalId, list[Row]]
) -> None:
    rendered = render(relation, CONTEXT)
    assert rendered.types == column_types(relation)
    got = evaluate_all(rendered.operator, execution_of(tables))
    expected = naive(relation, multisets(tables))
    assert encoded_multiset(got, relation) == encoded_multiset(expected, relation)
    if not rendered.may_be_negative:
        assert all(diff >= 0 for _, diff in got)


@settings(max_examples=150, deadline=None)
@given(
    relation=relations(depth=2),
    tables=table_contents(),
    descending=st.booleans(),
    limit=st.none() | st.integers(0, 5),
    offset=st.integers(0, 3),
)
def test_finishing_orders_and_cuts(
    relation: Relation,
    tables: dict[GlobalId, list[Row]],
    descending: bool,
    limit: int | None,
    offset: int,
) -> None:
    types = column_types(relation)
    orders = tuple(ColumnOrder(i, descending) for i in range(len(types)))
    finishing = Finishing(orders, limit, offset)
    query = finished_query(render(relation, CONTEXT), finishing)
    got = [row for part in query.run(execution_of(tables)) for row in part]
    whole = consolidated(naive(relation, multisets(tables)), relation)
    rows = [row for row, diff in whole for _ in range(diff)]
    key = compare_rows(orders, types)
    rows.sort(key=key)
    stop = None if limit is None else offset + limit
    expected = rows[offset:stop]
    # Rows that the ORDER BY calls equal may come in any order: compare what it sees.
    assert [_seen(row) for row in got] == [_seen(row) for row in expected]


def _seen(row: Row) -> list[object]:
    return ["NaN" if value != value else value for value in row]


@given(tables=table_contents())
def test_cardinality_check_wants_one_row_a_group(tables: dict[GlobalId, list[Row]]) -> None:
    relation = CardinalityCheck(Get(GlobalId("u1"), TABLES[GlobalId("u1")]), (0,))
    operator = render(relation, CONTEXT).operator
    keys = [row[0] for row in tables[GlobalId("u1")]]
    if len(set(keys)) == len(keys):
        assert len(evaluate_all(operator, execution_of(tables))) == len(keys)
    else:
        with pytest.raises(SqlError) as caught:
            evaluate_all(operator, execution_of(tables))
        assert caught.value.sqlstate == "21000"


def test_a_query_that_keeps_too_much_is_stopped() -> None:
    rows: list[Row] = [(i, "x" * 100) for i in range(10_000)]
    relation = Get(GlobalId("u1"), (INT4, TEXT))
    query = finished_query(render(relation, CONTEXT), Finishing((ColumnOrder(0),)))
    with pytest.raises(SqlError) as caught:
        list(query.run(execution_of({GlobalId("u1"): rows}, limit_bytes=100_000)))
    assert caught.value.sqlstate == "53200"
