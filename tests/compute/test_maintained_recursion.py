"""Maintained recursion on graphs: reachability and shortest paths under insertions and deletions,
what a change costs, recursions that do not come to rest."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

import expr.library  # noqa: F401
from compute.dataflow.build import build
from compute.dataflow.graph import Dataflow
from compute.dataflow.recursion import ITERATIONS_AT_ONCE, SPARE_ITERATIONS, FixpointNode
from compute.dataflow.updates import Updates, consolidate
from compute.operators.keys import identity_key
from core.ids import GlobalId, Timestamp
from core.sql_types import BOOL, INT8
from expr.relation import (
    Aggregate,
    Filter,
    Fixpoint,
    Get,
    Join,
    LocalGet,
    Map,
    Project,
    Recursion,
    Reduce,
    Relation,
    Union,
)
from expr.scalar import Call, ColumnRef, Scalar, literal
from tests.compute.naive import CONTEXT

EDGES, STARTS = GlobalId("u1"), GlobalId("u2")
A, B, C, D = (ColumnRef(i, INT8) for i in range(4))
EDGE = Get(EDGES, (INT8, INT8))
START = Get(STARTS, (INT8,))
Edges = list[tuple[int, int]]


def distinct(relation: Relation, *columns: ColumnRef) -> Relation:
    return Reduce(relation, columns, ())


def plus(left: Scalar, right: Scalar) -> Scalar:
    return Call("+(int8,int8)", (left, right), INT8)


def reachable() -> Relation:
    """Pairs of nodes with a path from the first to the second."""
    known = LocalGet(1, (INT8, INT8))
    longer = Project(Join((known, EDGE), ((B, C),)), (0, 3))
    return Fixpoint((1,), (distinct(Union((EDGE, longer)), A, B),), known)


def distances_values() -> tuple[Relation]:
    """Nodes with the number of steps from the nearest start."""
    known = LocalGet(1, (INT8, INT8))
    starts = Map(START, (literal(0, INT8),))
    further = Map(Join((known, EDGE), ((A, C),)), (plus(B, literal(1, INT8)),))
    found = Union((starts, Project(further, (3, 4))))
    return (Reduce(found, (A,), (Aggregate("min(int8)", (B,), INT8),)),)


def distances() -> Relation:
    """The same, at rest."""
    return Fixpoint((1,), distances_values(), LocalGet(1, (INT8, INT8)), limit=30)


def paths(edges: Edges) -> set[tuple[int, int]]:
    found = set(edges)
    while more := {(a, d) for a, b in found for c, d in edges if b == c} - found:
        found |= more
    return found


def steps_from(starts: list[int], edges: Edges) -> set[tuple[int, int]]:
    found = dict.fromkeys(starts, 0)
    for distance in itertools.count(1):
        last = {node for node, at in found.items() if at == distance - 1}
        more = {b for a, b in edges if a in last} - found.keys()
        if not more:
            return set(found.items())
        found.update(dict.fromkeys(more, distance))
    raise AssertionError


class Maintained:
    """A dataflow with the rows that it has given so far."""

    def __init__(self, relation: Relation) -> None:
        self.dataflow = build(relation, CONTEXT)
        self.now = 1
        self.rows = self.dataflow.start(Timestamp(1))
        self._identity = identity_key(self.dataflow.output.types)

    def step(self, changes: dict[GlobalId, Updates]) -> None:
        self.now += 1
        found = self.rows + self.dataflow.step(Timestamp(self.now), changes)
        while (more := self.dataflow.settle(1)) is not None:
            found += more
        self.rows = consolidate(found, self._identity)

    def contents(self) -> set[tuple[object, ...]]:
        assert all(count == 1 for _, count in self.rows)
        return {row for row, _ in self.rows}


NODE = st.integers(0, 6)
TOGGLES = st.lists(
    st.lists(st.tuples(NODE, NODE), min_size=1, max_size=4, unique=True), max_size=12
)


@settings(max_examples=150, deadline=None)
@given(toggles=TOGGLES)
def test_reachability_follows_insertions_and_deletions(toggles: list[Edges]) -> None:
    maintained = Maintained(reachable())
    edges: Edges = []
    for batch in toggles:
        maintained.step({EDGES: [(edge, -1 if edge in edges else 1) for edge in batch]})
        edges = [*(e for e in edges if e not in batch), *(e for e in batch if e not in edges)]
        assert maintained.contents() == paths(edges)
        assert maintained.dataflow.errors.first() is None


@settings(max_examples=150, deadline=None)
@given(toggles=TOGGLES, starts=st.lists(NODE, min_size=1, max_size=2, unique=True))
def test_distances_follow_insertions_and_deletions(toggles: list[Edges], starts: list[int]) -> None:
    maintained = Maintained(distances())
    maintained.step({STARTS: [((start,), 1) for start in starts]})
    edges: Edges = []
    for batch in toggles:
        maintained.step({EDGES: [(edge, -1 if edge in edges else 1) for edge in batch]})
        edges = [*(e for e in edges if e not in batch), *(e for e in batch if e not in edges)]
        assert maintained.contents() == steps_from(starts, edges)
        assert maintained.dataflow.errors.first() is None


def iterations(dataflow: Dataflow) -> int:
    (node,) = (o.node for o in dataflow.operators if isinstance(o.node, FixpointNode))
    return len(node.instances)


def rows_touched(dataflow: Dataflow) -> int:
    return sum(operator.rows_touched for operator in dataflow.operators)


def touched_by_a_leaf(width: int) -> int:
    """What it costs to add a leaf to a tree of some depth and this many other nodes."""
    maintained = Maintained(distances())
    chain = [(n, n + 1) for n in range(8)]
    others = [(0, 100 + n) for n in range(width)]
    maintained.step({STARTS: [((0,), 1)], EDGES: [(edge, 1) for edge in chain + others]})
    before = rows_touched(maintained.dataflow)
    maintained.step({EDGES: [((7, 50), 1)]})
    assert (50, 8) in maintained.contents()
    return rows_touched(maintained.dataflow) - before


def test_a_change_costs_its_depth_and_not_the_graph() -> None:
    assert touched_by_a_leaf(1000) <= 1.05 * touched_by_a_leaf(100)


def test_a_step_adds_some_iterations_and_leaves_the_others_to_the_end() -> None:
    depth = 3 * ITERATIONS_AT_ONCE
    maintained = Maintained(Fixpoint((1,), distances_values(), LocalGet(1, (INT8, INT8))))
    edges: Updates = [((n, n + 1), 1) for n in range(depth)]
    maintained.dataflow.step(Timestamp(2), {STARTS: [((0,), 1)], EDGES: edges})
    assert iterations(maintained.dataflow) == 1 + ITERATIONS_AT_ONCE
    rows = 0
    while (more := maintained.dataflow.settle(1)) is not None:
        rows += len(more)
    assert iterations(maintained.dataflow) == depth + 2
    assert rows == depth - ITERATIONS_AT_ONCE


def test_iterations_that_nothing_needs_are_dropped() -> None:
    maintained = Maintained(distances())
    edges = [(n, n + 1) for n in range(20)]
    maintained.step({STARTS: [((0,), 1)], EDGES: [(edge, 1) for edge in edges]})
    assert iterations(maintained.dataflow) == 22
    maintained.step({EDGES: [((2, 3), -1)]})
    assert maintained.contents() == {(0, 0), (1, 1), (2, 2)}
    assert iterations(maintained.dataflow) == 4 + SPARE_ITERATIONS
    maintained.step({EDGES: [((2, 3), 1)]})
    assert maintained.contents() == {(n, n) for n in range(21)}


def test_a_recursion_that_does_not_rest_is_an_error_until_it_does() -> None:
    known = LocalGet(1, (INT8,))
    counting = distinct(
        Union((START, Project(Map(Join((known, EDGE), ()), (plus(A, B),)), (3,)))), A
    )
    maintained = Maintained(Fixpoint((1,), (counting,), known, limit=50))
    maintained.step({STARTS: [((1,), 1)]})
    maintained.step({EDGES: [((1, 0), 1)]})
    error = maintained.dataflow.errors.first()
    assert error is not None
    assert error.sqlstate == "54000"
    assert error.message.startswith("Recursive query exceeded the recursion limit 50.")
    maintained.step({EDGES: [((1, 0), -1)]})
    assert maintained.dataflow.errors.first() is None
    assert maintained.contents() == {(1,)}


def test_an_error_inside_heals_with_the_iteration_that_made_it() -> None:
    known = LocalGet(1, (INT8,))
    halves = Map(
        known, (Call("/(int8,int8)", (literal(12, INT8), plus(A, literal(-3, INT8))), INT8),)
    )
    smaller = Filter(halves, (Call("<(int8,int8)", (B, A), BOOL),))
    counting = distinct(Union((START, Project(smaller, (1,)))), A)
    maintained = Maintained(Fixpoint((1,), (counting,), known))
    maintained.step({STARTS: [((7,), 1)]})
    error = maintained.dataflow.errors.first()
    assert error is not None
    assert error.sqlstate == "22012"
    maintained.step({STARTS: [((7,), -1), ((10,), 1)]})
    assert maintained.dataflow.errors.first() is None
    assert maintained.contents() == {(10,), (1,), (-6,)}


def test_the_state_at_the_limit_can_be_asked_for() -> None:
    known = LocalGet(1, (INT8,))
    counting = Union((START, Project(Map(known, (plus(A, literal(1, INT8)),)), (1,))))
    maintained = Maintained(Fixpoint((1,), (counting,), known, limit=4, returns_at_limit=True))
    maintained.step({STARTS: [((1,), 1)]})
    assert maintained.contents() == {(1,), (2,), (3,), (4,)}
    maintained.step({STARTS: [((1,), -1), ((7,), 1)]})
    assert maintained.contents() == {(7,), (8,), (9,), (10,)}
    assert maintained.dataflow.errors.first() is None


def test_a_recursive_query_is_maintained() -> None:
    last = LocalGet(1, (INT8, INT8))
    longer = Project(Join((last, EDGE), ((B, C),)), (0, 3))
    maintained = Maintained(Recursion(1, EDGE, longer, True))
    maintained.step({EDGES: [((1, 2), 1), ((2, 3), 1), ((3, 1), 1)]})
    assert maintained.contents() == {(a, b) for a in (1, 2, 3) for b in (1, 2, 3)}
    maintained.step({EDGES: [((3, 1), -1)]})
    assert maintained.contents() == {(1, 2), (2, 3), (1, 3)}


def test_what_the_iterations_keep_is_counted_and_given_back() -> None:
    maintained = Maintained(reachable())
    maintained.step({EDGES: [((n, n + 1), 1) for n in range(5)]})
    (operator,) = (o for o in maintained.dataflow.operators if isinstance(o.node, FixpointNode))
    node = operator.node
    assert isinstance(node, FixpointNode)
    assert operator.rows_kept > len(maintained.contents())
    assert operator.size_bytes > 0
    iterations = node.dataflows
    for _ in maintained.dataflow.dismantle():
        pass
    assert not any(inner.operators for inner in iterations)
