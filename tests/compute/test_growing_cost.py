"""The same change costs the same on ten times the data: rows touched, operator by operator."""

import pytest

import expr.library  # noqa: F401
from compute.dataflow.build import build
from compute.dataflow.graph import Dataflow
from compute.dataflow.updates import Updates
from core.ids import GlobalId, Timestamp
from core.sql_types import BOOL, INT8, MZ_TIMESTAMP
from expr.relation import (
    Aggregate,
    ColumnOrder,
    Filter,
    Fixpoint,
    FlatMap,
    Get,
    Join,
    JoinKind,
    LocalGet,
    Map,
    Negate,
    OuterJoin,
    Project,
    Reduce,
    Relation,
    ScalarOrder,
    Threshold,
    TopK,
    Union,
    Window,
    WindowFunction,
)
from expr.scalar import Call, ColumnRef, Scalar, literal
from tests.compute.naive import CONTEXT

LEFT, RIGHT = GlobalId("u1"), GlobalId("u2")
A, B, C, D = (ColumnRef(i, INT8) for i in range(4))
LEFTS, RIGHTS = Get(LEFT, (INT8, INT8)), Get(RIGHT, (INT8, INT8))
KEYS = ((A, A),)
MOST = 1.05
ROWS_PER_KEY = 4
SMALL, TIMES = 300, 10  # keys


def aggregate(name: str, *args: Scalar, distinct: bool = False) -> Aggregate:
    return Aggregate(name, args, INT8, distinct)


def compared(symbol: str, left: Scalar, right: Scalar) -> Scalar:
    return Call(f"{symbol}(int8,int8)", (left, right), BOOL)


def expiring() -> Relation:
    now = Call("mz_now()", (), MZ_TIMESTAMP)
    end = Call("cast(int8,mz_timestamp)", (Call("+(int8,int8)", (B, literal(90, INT8)), INT8),),
               MZ_TIMESTAMP)  # fmt: skip
    alive = Call("<(mz_timestamp,mz_timestamp)", (now, end), BOOL)
    return Reduce(Filter(LEFTS, (alive,)), (A,), (aggregate("count()"),))


def reached() -> Relation:
    known = LocalGet(1, (INT8,))
    start = Project(Filter(LEFTS, (compared("=", A, literal(1, INT8)),)), (0,))
    further = Project(Join((known, RIGHTS), ((A, B),)), (2,))
    return Fixpoint((1,), (Reduce(Union((start, further)), (A,), ()),), known)


JOINED = Join((LEFTS, RIGHTS), ((A, C),))
RELATIONS: dict[str, Relation] = {
    "linear": Project(
        Map(Filter(LEFTS, (compared(">", B, A),)), (Call("+(int8,int8)", (A, B), INT8),)), (2,)
    ),
    "join": JOINED,
    "join of three": Join((LEFTS, RIGHTS, LEFTS), ((A, C, ColumnRef(4, INT8)),)),
    "sum of a join": Reduce(JOINED, (B,), (aggregate("sum(int8)", D),)),
    "left join": OuterJoin(JoinKind.LEFT, LEFTS, RIGHTS, KEYS),
    "full join": OuterJoin(JoinKind.FULL, LEFTS, RIGHTS, KEYS),
    "left join on more": OuterJoin(JoinKind.LEFT, LEFTS, RIGHTS, KEYS, compared("<", B, D)),
    "semi join": OuterJoin(JoinKind.SEMI, LEFTS, RIGHTS, KEYS),
    "anti join": OuterJoin(JoinKind.ANTI, LEFTS, RIGHTS, KEYS),
    "not in": OuterJoin(JoinKind.ANTI, LEFTS, RIGHTS, KEYS, null_aware=True),
    "distinct": Reduce(LEFTS, (A,), ()),
    "min and max": Reduce(LEFTS, (A,), (aggregate("min(int8)", B), aggregate("max(int8)", B))),
    "max of all": Reduce(LEFTS, (), (aggregate("max(int8)", B),)),
    "count distinct": Reduce(LEFTS, (), (aggregate("count(any)", A, distinct=True),)),
    "top-k": TopK(LEFTS, (0,), (ColumnOrder(1),), 2),
    "top-k of all": TopK(LEFTS, (), (ColumnOrder(1), ColumnOrder(0)), 3),
    "except": Threshold(Union((Project(LEFTS, (0,)), Negate(Project(RIGHTS, (0,)))))),
    "window": Window(LEFTS, (A,), (ScalarOrder(B),), (WindowFunction("rank()", (), INT8),)),
    "table function": FlatMap(LEFTS, "generate_series(int8,int8)", (A, A), (INT8,)),
    "temporal": expiring(),
    "recursion": reached(),
}


def filled(relation: Relation, keys: int) -> Dataflow:
    """Over rows of `keys` keys, a few of each, which lead on to other keys."""
    dataflow = build(relation, CONTEXT)
    dataflow.start(Timestamp(1))
    rows: Updates = [((k, k % 7 + n), 1) for k in range(keys) for n in range(ROWS_PER_KEY)]
    for id in dataflow.source_ids:
        dataflow.step(Timestamp(1), {id: rows})
    return dataflow


def touched(dataflow: Dataflow) -> list[tuple[str, int]]:
    return [(operator.name, operator.rows_touched) for operator in dataflow.operators]


def cost(relation: Relation, keys: int) -> list[tuple[str, int]]:
    """The rows that each operator touches for changes of some keys, which are there already or are
    new, and for taking them back."""
    dataflow = filled(relation, keys)
    before = touched(dataflow)
    delta: Updates = [((key, value), 1) for key in (3, 50, 111, -5) for value in (0, 4)]
    gone: Updates = [((key, key % 7), -1) for key in (3, 50, 111)]
    ts = 1
    for changes in (delta, gone, [(row, -diff) for row, diff in delta + gone]):
        for id in sorted(dataflow.source_ids):
            ts += 1
            dataflow.step(Timestamp(ts), {id: changes})
    after = touched(dataflow)
    return [(name, now - was) for (name, was), (_, now) in zip(before, after, strict=True)]


@pytest.mark.parametrize("name", RELATIONS)
def test_a_change_costs_the_same_on_more_data(name: str) -> None:
    relation = RELATIONS[name]
    small, large = cost(relation, SMALL), cost(relation, SMALL * TIMES)
    for (operator, few), (_, many) in zip(small, large, strict=True):
        assert many <= MOST * few, operator
    assert sum(count for _, count in small) > 0


def test_what_is_looked_up_by_the_same_key_is_arranged_once() -> None:
    ordered = Project(LEFTS, (1, 0))
    itself = Join((ordered, ordered, RIGHTS), ((A, C, ColumnRef(4, INT8)),))
    both = Union((itself, Join((ordered, RIGHTS, RIGHTS), ((A, C, ColumnRef(4, INT8)),))))
    dataflow = build(both, CONTEXT)
    assert len(dataflow.arrangements) == 2
