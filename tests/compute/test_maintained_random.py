"""Random indexes over random tables, on a real replica, against a naive recomputation at the time
of every commit: indexes of tables, of relations that read the tables or their indexes, and of
relations that read other indexes."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import expr.library  # noqa: F401
from compute.dataflow.updates import consolidate
from core.ids import GlobalId, Timestamp, new_shard_id
from core.rows import codec_for
from core.sql_types import BOOL, INT4, INT8, MZ_TIMESTAMP
from expr.relation import (
    Aggregate,
    Filter,
    Get,
    Join,
    Reduce,
    Relation,
    column_types,
    replace_get,
    substitute,
)
from expr.scalar import Call, ColumnRef, literal
from expr.temporal import MZ_NOW
from expr.text_format import text_output
from persist.batches import inline_batch
from persist.txns_state import TxnWrite
from tests.compute.changes import Batch, batches
from tests.compute.compute_environment import ComputeEnvironment, Table, compute_environment
from tests.compute.indexes import Index, Indexes, TextRow
from tests.compute.naive import CONTEXT, Multiset, naive
from tests.compute.relations import TABLES, columns_of, relations

ENCODE = {id: codec_for(types).encode for id, types in TABLES.items()}
FIRST, SECOND = TABLES
FIRST_TYPES = TABLES[FIRST]
IS_KNOWN = Call("<(int4,int4)", (literal(0, INT4), ColumnRef(0, INT4)), BOOL)

BOTH = Join(
    (Get(FIRST, TABLES[FIRST]), Filter(Get(SECOND, TABLES[SECOND]), (IS_KNOWN,))),
    ((ColumnRef(0, INT4), ColumnRef(len(FIRST_TYPES), INT4)),),
)

Contents = dict[GlobalId, Multiset]


class World:
    """A replica, driven from tests that are not coroutines themselves."""

    def __init__(self, runner: asyncio.Runner, environment: ComputeEnvironment) -> None:
        self.environment = environment
        self.indexes = Indexes(environment)
        self.case_count = 0
        self._runner = runner

    def check(self, case: "Case") -> None:
        self.case_count += 1
        self._runner.run(case.check(self))


@pytest.fixture
def world(fresh_database_url: str, tmp_path: Path) -> Iterator[World]:
    with asyncio.Runner() as runner:
        made = compute_environment(fresh_database_url, tmp_path)
        environment = runner.run(made.__aenter__())
        try:
            yield World(runner, environment)
        finally:
            runner.run(made.__aexit__(None, None, None))


@dataclass
class Case:
    """Changes, and indexes that are made before some of them. The second one reads the first table
    through an index, the third reads the first index, the last one joins the tables."""

    changes: list[Batch]
    first: Relation
    second: Relation
    keys: tuple[int, int, int]
    late: int  # how many changes come before the second and later ones are made
    joins_indexes: bool
    _contents: list[tuple[Timestamp, Contents]] = field(default_factory=list, repr=False)
    _maintained: list[tuple[Index, Relation, Timestamp]] = field(default_factory=list, repr=False)
    _views: dict[GlobalId, Relation] = field(default_factory=dict, repr=False)

    async def check(self, world: World) -> None:
        environment, indexes = world.environment, world.indexes
        tables = {
            id: Table(GlobalId(f"{id}00{world.case_count}"), new_shard_id(), types)
            for id, types in TABLES.items()
        }
        shards = [table.shard for table in tables.values()]
        start = await environment.writer.commit([], register=shards)
        with environment.collections.holds.acquire(start):
            await self._play(environment, indexes, tables, start)
            for index, relation, as_of in self._maintained:
                for ts, contents in self._contents:
                    if ts >= as_of:
                        found = await indexes.rows(index, ts)
                        assert found == self._expected(relation, ts, contents)
        for index, _, _ in self._maintained:
            indexes.drop(index)

    async def _play(
        self,
        environment: ComputeEnvironment,
        indexes: Indexes,
        tables: dict[GlobalId, Table],
        start: Timestamp,
    ) -> None:
        contents: Contents = {table.id: [] for table in tables.values()}
        named = partial(_over, tables=tables)
        self._contents.append((start, dict(contents)))
        of_table = self._create(indexes, tables[FIRST].get, self.keys[0], tables[FIRST])
        first = self._create(indexes, named(self.first), self.keys[1], *tables.values())
        self._views[first.on] = named(self.first)
        for number, batch in enumerate(self.changes):
            if number == self.late:
                through = Index(of_table.id, tables[FIRST].id, FIRST_TYPES)
                self._create(indexes, named(self.second), self.keys[2], through, tables[SECOND])
                self._create(indexes, named(_upon(first)), 0, first, tables[SECOND])
                if self.joins_indexes:  # looks both up in place
                    self._create(indexes, tables[SECOND].get, 0, tables[SECOND])
                    self._create(indexes, tables[FIRST].get, 0, tables[FIRST])
                self._create(indexes, named(BOTH), 1, *tables.values())
            writes = [
                TxnWrite(
                    tables[id].shard,
                    inline_batch([(ENCODE[id](row), diff) for row, diff in updates]),
                )
                for id, updates in batch.items()
            ]
            ts = await environment.writer.commit(writes)
            for id, updates in batch.items():
                name = tables[id].id
                contents[name] = consolidate(contents[name] + updates, ENCODE[id])
            self._contents.append((ts, dict(contents)))

    def _create(
        self, indexes: Indexes, relation: Relation, key: int, *inputs: Table | Index
    ) -> Index:
        columns = columns_of(relation)
        index = indexes.create(relation, *inputs, key=(columns[key % len(columns)],))
        self._maintained.append((index, relation, indexes.now))
        return index

    def _expected(self, relation: Relation, ts: Timestamp, contents: Contents) -> list[TextRow]:
        now = literal(ts, MZ_TIMESTAMP)

        def value(of: Relation) -> Multiset:
            fixed = substitute(of, (), lambda call: now if call.function == MZ_NOW else None)
            return naive(fixed, known)

        known = dict(contents)
        for id, view in self._views.items():
            known[id] = value(view)
        outputs = [text_output(t, CONTEXT) for t in column_types(relation)]
        found: Counter[TextRow] = Counter()
        for row, count in value(relation):
            text = tuple(
                None if datum is None else output(datum)
                for output, datum in zip(outputs, row, strict=True)
            )
            found[text] += count
        return sorted(found.elements(), key=repr)


def _over(relation: Relation, tables: dict[GlobalId, Table]) -> Relation:
    """The relation over this case's tables: no other case may find indexes of them."""
    for id, table in tables.items():
        relation = replace_get(relation, id, table.get)
    return relation


def _upon(index: Index) -> Relation:
    """A relation that reads an index: joined with a table where types allow."""
    column = columns_of(index.get)[0]
    table = Get(SECOND, TABLES[SECOND])
    for other in columns_of(table):
        if other.type == column.type:
            moved = ColumnRef(len(index.types) + other.index, other.type)
            return Join((index.get, table), ((column, moved),))
    count = Aggregate("count()", (), INT8)
    return Reduce(index.get, (column,), (count,))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    changes = draw(batches())
    first = draw(relations(depth=2, is_maintained=True))
    second = draw(relations(depth=2, is_maintained=True))
    key = st.integers(0, 5)
    late = draw(st.integers(0, len(changes) - 1))
    keys = draw(key), draw(key), draw(key)
    return Case(changes, first, second, keys, late, draw(st.booleans()))


UNHEALTHY = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=40, deadline=None, suppress_health_check=UNHEALTHY)
@given(case=cases())
def test_indexes_equal_their_recomputation_at_every_time(world: World, case: Case) -> None:
    world.check(case)


@pytest.mark.long
@settings(max_examples=2000, deadline=None, suppress_health_check=UNHEALTHY)
@given(case=cases())
def test_many_indexes_equal_their_recomputation(world: World, case: Case) -> None:
    world.check(case)
