"""Joins that look up what other dataflows of the replica have arranged, at their own time."""

from itertools import repeat

from hypothesis import given, settings
from hypothesis import strategies as st

import expr.library  # noqa: F401
from compute.dataflow.arrangement import Arrangement
from compute.dataflow.build import build
from compute.dataflow.graph import Dataflow
from compute.dataflow.imported import Importable
from compute.dataflow.updates import Updates, consolidate
from compute.operators.keys import group_key, identity_key
from core.ids import GlobalId, Timestamp
from core.rows import codec_for
from core.sql_types import INT4
from expr.relation import Filter, Get, Join, Project, Relation
from expr.scalar import ColumnRef
from tests.compute.changes import Batch, batches
from tests.compute.naive import CONTEXT, Multiset, encoded_multiset, naive
from tests.compute.relations import TABLES, columns_of, predicates, relations_with

ENCODE = {id: codec_for(types).encode for id, types in TABLES.items()}
Indexed = frozenset[tuple[GlobalId, tuple[int, ...]]]
START = Timestamp(3)


class Indexes:
    """Arrangements of the tables, kept by somebody else."""

    def __init__(self, indexed: Indexed) -> None:
        self._arrangements: dict[GlobalId, list[Importable]] = {}
        for id, columns in indexed:
            types = TABLES[id]
            places = tuple((column, types[column]) for column in columns)
            arrangement = Arrangement(group_key(places), identity_key(types), skips_null=False)
            arrangement.keep_history(START)
            self._arrangements.setdefault(id, []).append(Importable(arrangement, places))

    def find(self, relation: Relation, columns: frozenset[int]) -> Importable | None:
        if isinstance(relation, Get):
            for importable in self._arrangements.get(relation.id, ()):
                if columns == {column for column, _ in importable.places}:
                    return importable
        return None

    def commit(self, ts: Timestamp, changes: Batch) -> None:
        for id, updates in changes.items():
            for importable in self._arrangements.get(id, ()):
                importable.arrangement.stage(updates)
                importable.arrangement.commit(ts)


def hydrate(dataflow: Dataflow, tables: dict[GlobalId, Multiset]) -> Updates:
    """The tables' contents as of START, one row after the other."""
    maintained = list(dataflow.start(START))
    for id in dataflow.source_ids:
        for update in tables[id]:
            maintained += dataflow.step(START, {id: [update]})
    for imported in dataflow.imports:
        if imported.feeds_snapshot:
            for rows, weights in imported.importable.arrangement.scan_at(START):
                for update in zip(rows, weights or repeat(1)):
                    maintained += dataflow.feed_import(imported, [update])
    return maintained


@st.composite
def joins(draw: st.DrawFn) -> Relation:
    """Of some columns of some rows of the tables, by columns of theirs."""
    inputs: list[Relation] = []
    columns: list[ColumnRef] = []
    for id in draw(st.lists(st.sampled_from(list(TABLES)), min_size=2, max_size=3)):
        part: Relation = Get(id, TABLES[id])
        if draw(st.booleans()):
            part = Filter(part, (draw(predicates(TABLES[id])),))
        if draw(st.booleans()):
            part = Project(part, tuple(draw(st.permutations(range(len(TABLES[id]))))))
        first = len(columns)
        columns += [ColumnRef(first + c.index, c.type) for c in columns_of(part)]
        inputs.append(part)
    numbers = [column for column in columns if column.type == INT4]
    return Join(tuple(inputs), (tuple(numbers),))


@settings(max_examples=300, deadline=None)
@given(
    relation=relations_with("_join") | joins(),
    changes=batches(),
    indexed=st.frozensets(
        st.sampled_from(
            [(id, (column,)) for id, types in TABLES.items() for column in range(len(types))]
            + [(GlobalId("u1"), (2, 0))]
        ),
        min_size=2,
    ),
    lag=st.integers(0, 3),
)
def test_joins_with_imports_equal_their_recomputation(
    relation: Relation, changes: list[Batch], indexed: Indexed, lag: int
) -> None:
    """The indexes are `lag` times ahead of the dataflow that reads them."""
    indexes = Indexes(indexed)
    dataflow = build(relation, CONTEXT, indexes)
    tables: dict[GlobalId, Multiset] = {id: [] for id in TABLES}
    first, *rest = changes
    indexes.commit(START, first)
    pending = [(Timestamp(ts), batch) for ts, batch in enumerate(rest, START + 1)]
    for ts, batch in pending[:lag]:
        indexes.commit(ts, batch)
    tables = _changed(tables, first)
    maintained = hydrate(dataflow, tables)
    for number, (ts, batch) in enumerate(pending):
        for ahead, later in pending[number + lag : number + lag + 1]:
            indexes.commit(ahead, later)
        tables = _changed(tables, batch)
        relevant = {id: updates for id, updates in batch.items() if id in dataflow.source_ids}
        maintained += dataflow.step(ts, relevant)
        expected = naive(relation, tables)
        assert encoded_multiset(maintained, relation) == encoded_multiset(expected, relation)
    if not pending:
        expected = naive(relation, tables)
        assert encoded_multiset(maintained, relation) == encoded_multiset(expected, relation)


def _changed(tables: dict[GlobalId, Multiset], batch: Batch) -> dict[GlobalId, Multiset]:
    return {id: consolidate(rows + batch.get(id, []), ENCODE[id]) for id, rows in tables.items()}
