"""Queries over indexes give what they give over the collections themselves."""

import asyncio
from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

import expr.library  # noqa: F401
from compute.dataflow_messages import DataflowDescription, IndexExport
from compute.execution import Execution, MemoryBudget, TableReader, evaluate_all
from compute.maintained.index_export import IndexArrangement, IndexAt
from compute.measure import WHOLE_QUERY, measured_query
from compute.render import render
from compute.scheduler import Scheduler
from core.errors import SqlError
from core.ids import GlobalId, Timestamp
from core.rows import Row
from core.sql_types import INT4
from expr.relation import Filter, Finishing, Get, Join, JoinKind, OuterJoin, Project, Relation
from expr.relation import column_types as types_of
from expr.scalar import ColumnRef
from sql.optimizer.lookups import KeyedIndex, use_indexes
from tests.compute.naive import CONTEXT, encoded_multiset, naive
from tests.compute.relations import TABLES, columns_of, predicates, relations, rows
from tests.sql.test_lookups import filtered_tables, keyed

NOW = Timestamp(5)
LARGE, SMALL = TABLES
Contents = dict[GlobalId, list[Row]]
Indexes = dict[GlobalId, list[KeyedIndex]]


def contents() -> st.SearchStrategy[Contents]:
    """One table much larger than the other, so that looking it up is worth it."""
    return st.fixed_dictionaries(
        {
            LARGE: st.lists(rows(TABLES[LARGE]), min_size=16, max_size=40),
            SMALL: st.lists(rows(TABLES[SMALL]), max_size=4),
        }
    )


@st.composite
def joins(draw: st.DrawFn) -> Relation:
    """A few rows of one table joined with another, changed row by row or not."""
    small: Relation = Get(SMALL, TABLES[SMALL])
    large: Relation = Get(LARGE, TABLES[LARGE])
    if draw(st.booleans()):
        large = Filter(large, (draw(predicates(types_of(large))),))
    if draw(st.booleans()):
        large = Project(large, tuple(draw(st.permutations(range(3)))))
    number = columns_of(small)[0]
    keys = [column for column in columns_of(large) if column.type == INT4]
    if draw(st.booleans()):
        return OuterJoin(draw(st.sampled_from(list(JoinKind))), small, large, ((number, keys[0]),))
    width = len(types_of(small))
    inputs: list[Relation] = [small, large]
    equal = [number, ColumnRef(width + keys[0].index, INT4)]
    if draw(st.booleans()):
        inputs.append(small)
        equal.append(ColumnRef(width + len(types_of(large)), INT4))
    return Join(tuple(inputs), (tuple(equal),))


def _index(id: GlobalId, index: KeyedIndex, found: list[Row]) -> IndexAt:
    """A maintained index with these rows, of which some came after it began."""
    relation = Get(id, TABLES[id])
    export = IndexExport(id, index.key)
    description = DataflowDescription(index.id, relation, (), Timestamp(1), export)
    arrangement = IndexArrangement(description, Scheduler())
    half = len(found) // 2
    arrangement.changes(Timestamp(1), [(row, 1) for row in found[:half]], [])
    arrangement.changes(Timestamp(3), [(row, 1) for row in found[half:]], [])
    return IndexAt(arrangement, NOW)


def _readers(tables: Contents, indexes: Indexes) -> Mapping[GlobalId, TableReader]:
    readers: dict[GlobalId, TableReader] = {}
    for id, found in tables.items():
        own = indexes.get(id) or [
            KeyedIndex(GlobalId("u0"), tuple(columns_of(Get(id, TABLES[id]))))
        ]
        readers[id] = _index(id, own[0], found)
        readers |= {index.id: _index(id, index, found) for index in own}
    return readers


def _evaluated(relation: Relation, tables: Contents, indexes: Indexes) -> list[tuple[Row, int]]:
    async def evaluate() -> list[tuple[Row, int]]:
        execution = Execution(NOW, _readers(tables, indexes), MemoryBudget(1 << 30))
        return evaluate_all(render(relation, CONTEXT).operator, execution)

    return asyncio.run(evaluate())


@settings(max_examples=150, deadline=None)
@given(
    relation=st.one_of(joins(), joins(), filtered_tables(), relations(depth=2)),
    tables=contents(),
    indexes=keyed(),
)
def test_indexes_change_no_rows(relation: Relation, tables: Contents, indexes: Indexes) -> None:
    try:
        expected = naive(relation, {id: [(row, 1) for row in t] for id, t in tables.items()})
    except SqlError:
        return  # an error may be avoided
    got = _evaluated(use_indexes(relation, indexes), tables, indexes)
    assert encoded_multiset(got, relation) == encoded_multiset(expected, relation)


BY_NUMBER = {LARGE: [KeyedIndex(GlobalId("u10"), (ColumnRef(0, INT4),))]}


def _rows_read(relation: Relation, tables: Contents) -> dict[int, int]:
    """How many rows each node of a query gave, by its number."""

    async def measure() -> dict[int, int]:
        query = measured_query(relation, Finishing(), CONTEXT)
        execution = Execution(NOW, _readers(tables, BY_NUMBER), MemoryBudget(1 << 30))
        found = [row for part in query.run(execution) for row in part]
        return {number: count for number, count, _, _ in found}

    return asyncio.run(measure())


def test_a_small_side_looks_up_the_other() -> None:
    many: list[Row] = [(n, "x", None) for n in range(1000)]
    few: list[Row] = [(n, 1.5) for n in (3, 5, 5, 2000)]
    small, large = Get(SMALL, TABLES[SMALL]), Get(LARGE, TABLES[LARGE])
    inner = Join((large, small), ((ColumnRef(0, INT4), ColumnRef(3, INT4)),))
    assert _rows_read(inner, {LARGE: many, SMALL: few}) == {WHOLE_QUERY: 3, 0: 3, 1: 2, 2: 4}
    left = OuterJoin(JoinKind.LEFT, small, large, ((ColumnRef(0, INT4), ColumnRef(0, INT4)),))
    assert _rows_read(left, {LARGE: many, SMALL: few}) == {WHOLE_QUERY: 4, 0: 4, 1: 4, 2: 2}
    whole = {LARGE: many, SMALL: few * 100}
    assert _rows_read(left, whole)[2] == len(many)
