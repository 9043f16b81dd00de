"""Rows that appear and expire by themselves, and the uses of `mz_now()` that are refused."""

import pytest

import expr.library  # noqa: F401
from compute.dataflow.build import build
from core.errors import SqlError
from core.ids import GlobalId, Timestamp
from core.sql_types import BOOL, INT8, MZ_TIMESTAMP
from expr.relation import Aggregate, Filter, Get, Map, Reduce, Relation
from expr.scalar import Call, ColumnRef, Or, Scalar, literal
from tests.compute.naive import CONTEXT

TABLE = GlobalId("u1")
NOW = Call("mz_now()", (), MZ_TIMESTAMP)
GET = Get(TABLE, (INT8, INT8))


def at(column: int) -> Scalar:
    return Call("cast(int8,mz_timestamp)", (ColumnRef(column, INT8),), MZ_TIMESTAMP)


def compared(operator: str, left: Scalar, right: Scalar) -> Scalar:
    return Call(f"{operator}(mz_timestamp,mz_timestamp)", (left, right), BOOL)


BETWEEN = Filter(GET, (compared(">=", NOW, at(0)), compared("<", NOW, at(1))))


def test_a_row_is_there_from_its_start_to_its_end() -> None:
    dataflow = build(BETWEEN, CONTEXT)
    assert dataflow.start(Timestamp(1)) == []
    assert dataflow.step(Timestamp(2), {TABLE: [((10, 20), 1)]}) == []
    assert dataflow.next_event_time() == 10
    assert dataflow.step(Timestamp(10), {}) == [((10, 20), 1)]
    assert dataflow.next_event_time() == 20
    assert dataflow.step(Timestamp(20), {}) == [((10, 20), -1)]
    assert dataflow.next_event_time() is None


def test_a_row_of_the_past_never_appears() -> None:
    dataflow = build(BETWEEN, CONTEXT)
    assert dataflow.step(Timestamp(20), {TABLE: [((10, 20), 1), ((10, 21), 2)]}) == [((10, 21), 2)]
    assert dataflow.step(Timestamp(21), {}) == [((10, 21), -2)]


def test_a_retracted_row_takes_back_what_was_to_come() -> None:
    dataflow = build(BETWEEN, CONTEXT)
    dataflow.step(Timestamp(2), {TABLE: [((10, 20), 1)]})
    dataflow.step(Timestamp(3), {TABLE: [((10, 20), -1)]})
    assert dataflow.next_event_time() is None
    dataflow.step(Timestamp(4), {TABLE: [((4, 20), 1)]})
    assert dataflow.step(Timestamp(5), {TABLE: [((4, 20), -1)]}) == [((4, 20), -1)]
    assert dataflow.next_event_time() is None


def test_a_count_of_expiring_rows_follows_time() -> None:
    counted = Reduce(BETWEEN, (), (Aggregate("count()", (), INT8),))
    dataflow = build(counted, CONTEXT)
    rows = [((1, 10), 1), ((1, 12), 1), ((1, 12), 1), ((5, 9), 1)]
    dataflow.step(Timestamp(1), {TABLE: list(rows)})
    counts = {}
    while (event := dataflow.next_event_time()) is not None:
        counts[event] = dict(dataflow.step(event, {}))
    assert counts == {
        5: {(3,): -1, (4,): 1},
        9: {(4,): -1, (3,): 1},
        10: {(3,): -1, (2,): 1},
        12: {(2,): -1},
    }


def test_an_error_in_a_condition_heals() -> None:
    dataflow = build(BETWEEN, CONTEXT)
    dataflow.step(Timestamp(1), {TABLE: [((-1, 10), 1)]})
    error = dataflow.errors.first()
    assert error is not None
    assert error.sqlstate == "22003"
    dataflow.step(Timestamp(2), {TABLE: [((-1, 10), -1)]})
    assert dataflow.errors.first() is None


@pytest.mark.parametrize(
    "relation",
    [
        Map(GET, (NOW,)),
        Filter(GET, (Or((compared("<", NOW, at(0)), compared(">", NOW, at(1)))),)),
        Filter(GET, (compared("<>", NOW, at(0)),)),
        Filter(GET, (compared("<", NOW, NOW),)),
        Filter(GET, (Call("not(bool)", (compared("=", NOW, at(0)),), BOOL),)),
        Reduce(GET, (NOW,), ()),
    ],
)
def test_other_uses_of_the_time_are_refused(relation: Relation) -> None:
    with pytest.raises(SqlError) as caught:
        build(relation, CONTEXT)
    assert caught.value.sqlstate == "0A000"
    assert caught.value.message.startswith("Unsupported temporal predicate")


def test_a_negated_comparison_is_its_opposite() -> None:
    relation = Filter(GET, (Call("not(bool)", (compared("<", at(0), NOW),), BOOL),))
    dataflow = build(relation, CONTEXT)
    assert dataflow.step(Timestamp(1), {TABLE: [((literal(5, INT8).value, 0), 1)]}) == [((5, 0), 1)]
    assert dataflow.step(Timestamp(6), {}) == [((5, 0), -1)]
