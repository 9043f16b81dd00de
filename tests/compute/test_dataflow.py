"""Maintained relations against a naive recomputation after every batch of random changes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import expr.library  # noqa: F401
from compute.dataflow.build import build
from compute.dataflow.updates import Updates, consolidate
from core.ids import GlobalId, Timestamp
from core.rows import codec_for
from core.sql_types import INT4, INT8, MZ_TIMESTAMP
from expr.relation import (
    Aggregate,
    CardinalityCheck,
    Get,
    Map,
    Reduce,
    Relation,
    children,
    column_types,
    scalars_of,
    substitute,
)
from expr.scalar import Call, ColumnRef, literal
from expr.temporal import MZ_NOW, mentions_now
from tests.compute.changes import Batch, batches
from tests.compute.naive import CONTEXT, Multiset, encoded_multiset, naive
from tests.compute.relations import MAINTAINED_STEPS, STEPS, TABLES, relations, relations_with

ENCODE = {id: codec_for(types).encode for id, types in TABLES.items()}

FIRST_BATCH, BATCH_EVERY, AFTER_LAST = 2, 3, 6  # times; expiring rows go between and after them


def check_batches(relation: Relation, changes: list[Batch]) -> None:
    """Maintain `relation` through the changes and through the times between them."""
    dataflow = build(relation, CONTEXT)
    assert dataflow.output.types == column_types(relation)
    tables: dict[GlobalId, Multiset] = {id: [] for id in TABLES}
    maintained = list(dataflow.start(Timestamp(1)))
    batch_at = {FIRST_BATCH + BATCH_EVERY * n: batch for n, batch in enumerate(changes)}
    for time in range(FIRST_BATCH, max(batch_at) + AFTER_LAST):
        ts, batch = Timestamp(time), batch_at.get(time, {})
        event = dataflow.next_event_time()
        if not batch and not is_timed(relation):
            assert event is None
            continue
        relevant = {id: updates for id, updates in batch.items() if id in dataflow.source_ids}
        assert event is None or event >= ts
        if relevant or event == ts:
            maintained += dataflow.step(ts, relevant)
        for id, updates in batch.items():
            tables[id] = consolidate(tables[id] + updates, ENCODE[id])
        expected = naive(at_time(relation, ts), tables)
        assert encoded_multiset(maintained, relation) == encoded_multiset(expected, relation)
        assert dataflow.errors.first() is None


def is_timed(relation: Relation) -> bool:
    return any(map(mentions_now, scalars_of(relation))) or any(map(is_timed, children(relation)))


def at_time(relation: Relation, ts: Timestamp) -> Relation:
    """What a read at `ts` evaluates."""
    now = literal(ts, MZ_TIMESTAMP)
    return substitute(relation, (), lambda call: now if call.function == MZ_NOW else None)


@settings(max_examples=250, deadline=None)
@given(relation=relations(depth=2, is_maintained=True), changes=batches())
def test_maintained_relations_equal_their_recomputation(
    relation: Relation, changes: list[Batch]
) -> None:
    check_batches(relation, changes)


@pytest.mark.parametrize("kind", [step.__name__ for step in STEPS + MAINTAINED_STEPS])
@settings(max_examples=75, deadline=None)
@given(data=st.data(), changes=batches())
def test_each_operator_equals_its_recomputation(
    kind: str, data: st.DataObject, changes: list[Batch]
) -> None:
    check_batches(data.draw(relations_with(kind)), changes)


@pytest.mark.long
@settings(max_examples=10_000, deadline=None)
@given(relation=relations(depth=4, is_maintained=True), changes=batches(max_size=8))
def test_many_deeper_relations_equal_their_recomputation(
    relation: Relation, changes: list[Batch]
) -> None:
    check_batches(relation, changes)


@pytest.mark.long
@pytest.mark.parametrize("kind", [step.__name__ for step in STEPS + MAINTAINED_STEPS])
@settings(max_examples=1_000, deadline=None)
@given(data=st.data(), changes=batches(max_size=8))
def test_each_operator_equals_its_recomputation_many_times(
    kind: str, data: st.DataObject, changes: list[Batch]
) -> None:
    check_batches(data.draw(relations_with(kind)), changes)


INT_TABLE = GlobalId("u1")


def test_an_error_in_the_data_heals_with_the_row_that_made_it() -> None:
    divided = Call("/(int4,int4)", (literal(6, INT4), ColumnRef(0, INT4)), INT4)
    relation = Reduce(
        Map(Get(INT_TABLE, (INT4,)), (divided,)),
        (),
        (Aggregate("sum(int4)", (ColumnRef(1, INT4),), INT8),),
    )
    dataflow = build(relation, CONTEXT)
    dataflow.start(Timestamp(1))
    total = dataflow.step(Timestamp(2), {INT_TABLE: [((2,), 1), ((0,), 1), ((3,), 1)]})
    error = dataflow.errors.first()
    assert error is not None
    assert error.sqlstate == "22012"
    total += dataflow.step(Timestamp(3), {INT_TABLE: [((0,), -1)]})
    assert dataflow.errors.first() is None
    assert encoded_multiset(total, relation) == encoded_multiset([((5,), 1)], relation)


def test_a_row_whose_argument_fails_leaves_the_others_counted() -> None:
    types = (INT4, INT8)
    relation = Reduce(
        Get(INT_TABLE, types),
        (ColumnRef(0, INT4),),
        (Aggregate("sum(int4)", (Call("abs(int4)", (ColumnRef(0, INT4),), INT4),), INT8),),
    )
    dataflow = build(relation, CONTEXT)
    rows: Updates = [((1, 1), 1), ((-(2**31), 1), 1)]
    maintained = dataflow.step(Timestamp(2), {INT_TABLE: rows})
    error = dataflow.errors.first()
    assert error is not None
    assert error.sqlstate == "22003"
    assert maintained == [((1, 1), 1)]


def test_a_second_row_of_a_scalar_subquery_is_an_error_while_it_lasts() -> None:
    relation = CardinalityCheck(Get(INT_TABLE, (INT4, INT4)), (0,))
    dataflow = build(relation, CONTEXT)
    dataflow.step(Timestamp(2), {INT_TABLE: [((1, 1), 1), ((2, 1), 1)]})
    assert dataflow.errors.first() is None
    dataflow.step(Timestamp(3), {INT_TABLE: [((1, 2), 1)]})
    error = dataflow.errors.first()
    assert error is not None
    assert error.sqlstate == "21000"
    dataflow.step(Timestamp(4), {INT_TABLE: [((1, 1), -1)]})
    assert dataflow.errors.first() is None
