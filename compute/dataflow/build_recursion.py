"""Recursion as dataflow nodes."""

from typing import Final, Protocol, Self

from compute.dataflow.graph import Dataflow, Edge
from compute.dataflow.iteration import Iteration
from compute.dataflow.recursion import (
    ITERATIONS_AT_ONCE,
    MAX_ITERATIONS,
    BindingNode,
    FixpointNode,
    Instance,
)
from compute.operators.keys import identity_key
from core.sql_types import BOOL, INT8
from expr.relation import (
    Aggregate,
    Constant,
    Filter,
    Fixpoint,
    Get,
    Join,
    JoinKind,
    Let,
    LocalGet,
    Lookup,
    Map,
    OuterJoin,
    Project,
    Recursion,
    Reduce,
    Relation,
    Union,
    column_types,
)
from expr.scalar import Call, ColumnRef, literal

_ONE_ROW: Final = Constant(((b"\x90", 1),), ())


class RelationBuilder(Protocol):
    """What builds relations into a dataflow."""

    @property
    def dataflow(self) -> Dataflow: ...

    def build(self, relation: Relation, depth: int) -> Edge: ...

    def bind(self, local_id: int, edge: Edge) -> None:
        """From here on `LocalGet(local_id)` is `edge`."""
        ...

    def within(self, iteration: Iteration) -> Self:
        """A builder into `iteration`, which leaves outside what does not depend on it."""
        ...


def build_fixpoint(builder: RelationBuilder, relation: Fixpoint, depth: int) -> Edge:
    """The body of `relation`, with its bindings at rest."""
    types = [column_types(value) for value in relation.values]
    dataflow = builder.dataflow

    def make() -> Instance:
        iteration = Iteration(dataflow)
        inner = builder.within(iteration)
        previous, values = [], []
        for local_id, row_types in zip(relation.ids, types, strict=True):
            edge = iteration.entry(row_types)
            inner.bind(local_id, edge)
            previous.append(edge.number)
        for local_id, value in zip(relation.ids, relation.values, strict=True):
            edge = inner.build(value, depth)
            inner.bind(local_id, edge)
            values.append(iteration.local(edge).number)
        iteration.wake()
        return Instance(iteration, tuple(previous), tuple(values), [{} for _ in types])

    first = make()
    entries = tuple(first.dataflow.entries)
    outside = tuple(Edge(dataflow, number, ()) for number, _ in entries)
    identities = tuple(identity_key(row_types) for row_types in types)
    node = FixpointNode(
        make,
        outside,
        entries,
        identities,
        relation.limit,
        relation.returns_at_limit,
        at_once=MAX_ITERATIONS if isinstance(dataflow, Iteration) else ITERATIONS_AT_ONCE,
        instances=[first],
    )
    changed = dataflow.add_timed(node, outside, ())
    for number, (local_id, row_types) in enumerate(zip(relation.ids, types, strict=True)):
        builder.bind(local_id, dataflow.add(BindingNode(node, number), (changed,), row_types))
    return builder.build(relation.body, depth)


def as_fixpoint(relation: Recursion) -> Fixpoint:
    """WITH RECURSIVE by mutual recursion: the rows found last, and all found so far.

    An iteration finds `base` at first and then what `step` finds from the rows found last; with
    `is_distinct` only rows whose key is not known yet, and of those with equal keys the least.
    """
    types = column_types(relation)
    last_id, all_id, started_id = relation.id, -2 * relation.id - 1, -2 * relation.id - 2
    last, everything = LocalGet(last_id, types), LocalGet(all_id, types)
    found = relation.step
    if not _is_empty_without(found, last_id):
        found = OuterJoin(JoinKind.SEMI, found, last, ())
    if relation.is_distinct:
        found = _unknown(Union((relation.base, found)), everything)
        return Fixpoint((last_id, all_id), (found, Union((everything, last))), everything)
    started = LocalGet(started_id, ())
    base = OuterJoin(JoinKind.ANTI, relation.base, started, ())
    return Fixpoint(
        (last_id, all_id, started_id),
        (Union((base, found)), Union((everything, last)), _ONE_ROW),
        everything,
    )


def _unknown(found: Relation, known: Relation) -> Relation:
    """The rows of `found` whose key `known` does not have, the least of each key."""
    types = column_types(known)
    width = len(types)
    columns = tuple(ColumnRef(index, t) for index, t in enumerate(types))
    counted = Aggregate("count()", (), INT8, filter=ColumnRef(width, BOOL))
    tagged = Union(
        (
            Map(Reduce(found, columns, ()), (literal(False, BOOL),)),
            Map(known, (literal(True, BOOL),)),
        )
    )
    is_new = Call("=(int8,int8)", (ColumnRef(width, INT8), literal(0, INT8)), BOOL)
    fresh = Filter(Reduce(tagged, columns, (counted,)), (is_new,))
    return Project(fresh, tuple(range(width)))


def _is_empty_without(relation: Relation, local_id: int) -> bool:
    """Whether `relation` surely has no rows when `LocalGet(local_id)` has none."""
    match relation:
        case LocalGet(id=found):
            return found == local_id
        case Union(inputs=inputs):
            return all(_is_empty_without(part, local_id) for part in inputs)
        case Join(inputs=inputs):
            return any(_is_empty_without(part, local_id) for part in inputs)
        case OuterJoin(kind=kind, left=left):
            return kind is not JoinKind.FULL and _is_empty_without(left, local_id)
        case Constant() | Get() | Let() | Recursion() | Fixpoint() | Lookup():
            return False
        case _:
            return _is_empty_without(relation.input, local_id)
