"""Relational expressions: the IR between the planner, the optimizer and a replica's renderer.

A relation is a multiset of rows with signed multiplicities. Nodes are immutable, hashable and
encodable as msgpack; columns are positions; global collections are named by `GlobalId`. There are
no correlated references: the planner has decorrelated subqueries before it builds this IR.
The same IR serves one-off reads (evaluated at one time) and maintained views (rendered to a
dataflow), so a node must have an incremental meaning. Source of the algebra: Materialize's MIR.
"""

import operator
from collections.abc import Callable
from enum import StrEnum

import msgspec

from core.allowance import checkpoint
from core.ids import GlobalId
from core.sql_types import SqlType
from expr.scalar import Call, Literal, Node, Scalar
from expr.scalar import substitute as substitute_scalar


class JoinKind(StrEnum):
    """What an `OuterJoin` does with rows that find no partner (or, semi/anti, that find one)."""

    LEFT = "left"
    FULL = "full"
    SEMI = "semi"
    ANTI = "anti"


class ColumnOrder(msgspec.Struct, frozen=True, array_like=True):
    """Order by column `column`, in PostgreSQL's order of its type."""

    column: int
    descending: bool = False
    nulls_last: bool = True


class ScalarOrder(msgspec.Struct, frozen=True, array_like=True):
    """Order by a scalar of the input row (ORDER BY inside an aggregate)."""

    scalar: Scalar
    descending: bool = False
    nulls_last: bool = True


class Aggregate(msgspec.Struct, frozen=True, array_like=True):
    """One aggregate of a `Reduce`; `function` is a registry id of kind aggregate."""

    function: str
    args: tuple[Scalar, ...]
    type: SqlType
    distinct: bool = False
    filter: Scalar | None = None
    order_by: tuple[ScalarOrder, ...] = ()


class Constant(Node, frozen=True, tag="constant"):
    """Literal rows: canonical encodings with their multiplicities."""

    rows: tuple[tuple[bytes, int], ...]
    types: tuple[SqlType, ...]


class Get(Node, frozen=True, tag="get"):
    """The contents of a global collection (or, before inlining, of a view)."""

    id: GlobalId
    types: tuple[SqlType, ...]


class Lookup(Node, frozen=True, tag="lookup"):
    """Each input row joined with the rows of collection `id` that an index has for its key.

    `key` has a scalar over the input's columns for each part of the key of `index`; null equals
    nothing. The collection's columns, of types `types`, are appended. One-off reads only.
    """

    input: "Relation"
    id: GlobalId
    index: GlobalId
    types: tuple[SqlType, ...]
    key: tuple[Scalar, ...]


class LocalGet(Node, frozen=True, tag="local_get"):
    """The value bound by the enclosing `Let`, `Recursion` or `Fixpoint` of that id."""

    id: int
    types: tuple[SqlType, ...]


class Let(Node, frozen=True, tag="let"):
    """`body`, in which `LocalGet(id)` stands for `value`; ids are unique in a plan."""

    id: int
    value: "Relation"
    body: "Relation"


class Recursion(Node, frozen=True, tag="recursion"):
    """The rows of `base`, then those that `step` finds again and again, until it finds none.

    In `step`, `LocalGet(id)` stands for the rows found last. With `is_distinct` only rows never
    found before count as found (UNION; else UNION ALL), once each; of rows that are equal as a
    group's key is, the one with the least encoding.
    """

    id: int
    base: "Relation"
    step: "Relation"
    is_distinct: bool


class Fixpoint(Node, frozen=True, tag="fixpoint"):
    """`body`, in which `LocalGet(ids[i])` stands for the rows of binding i once all bindings have
    come to rest.

    Every binding starts empty. An iteration computes their `values` one after the other; in value
    i, `LocalGet` of a binding before it stands for what this iteration has given it, of itself and
    of later ones for what the last iteration has. They rest when an iteration changes none. After
    `limit` iterations (None: as many as it takes) that is an error, unless `returns_at_limit`:
    then what they are by then counts.
    """

    ids: tuple[int, ...]
    values: tuple["Relation", ...]
    body: "Relation"
    limit: int | None = None
    returns_at_limit: bool = False


class Project(Node, frozen=True, tag="project"):
    """The input's columns at `outputs`, in that order; columns may repeat."""

    input: "Relation"
    outputs: tuple[int, ...]


class Map(Node, frozen=True, tag="map"):
    """The input with `scalars` appended; a scalar may refer to those before it."""

    input: "Relation"
    scalars: tuple[Scalar, ...]


class Filter(Node, frozen=True, tag="filter"):
    """The input's rows for which every predicate is true (not null), tested in order."""

    input: "Relation"
    predicates: tuple[Scalar, ...]


class FlatMap(Node, frozen=True, tag="flat_map"):
    """Each input row joined with every row that the table function returns for it.

    `function` is a registry id of kind table; its columns, of types `types`, are appended. With
    `ordinality` an int8 counting from 1 follows them.
    """

    input: "Relation"
    function: str
    args: tuple[Scalar, ...]
    types: tuple[SqlType, ...]
    ordinality: bool = False


class Join(Node, frozen=True, tag="join"):
    """Inner join of `inputs`: columns concatenated, all scalars of each equivalence SQL-equal.

    An equivalence's scalars refer to the concatenated columns, each to columns of one input. No
    equivalences: the cross product. Null equals nothing. Other predicates stand in a `Filter`.
    """

    inputs: tuple["Relation", ...]
    equivalences: tuple[tuple[Scalar, ...], ...]


class OuterJoin(Node, frozen=True, tag="outer_join"):
    """A two-input join that is not inner.

    Rows match when the scalars of each pair in `keys` (left of the left row, right of the right
    row, each over its own input's columns) are SQL-equal and `residual`, over the concatenated
    columns, is true. LEFT and FULL: concatenated columns, nulls for a missing partner. SEMI and
    ANTI: the left rows with at least one, or no, partner. With `null_aware` (ANTI only, for
    NOT IN) a left row also vanishes when a comparison with some right row is null; then `keys` has
    the pairs compared by IN and an empty right side keeps every row.
    """

    kind: JoinKind
    left: "Relation"
    right: "Relation"
    keys: tuple[tuple[Scalar, Scalar], ...]
    residual: Scalar | None = None
    null_aware: bool = False


class Reduce(Node, frozen=True, tag="reduce"):
    """One row per group: the `group_key` scalars, then the aggregates.

    Nulls are one group. An empty `group_key` still yields no row for an empty input; the planner
    adds the default row that SQL wants.
    """

    input: "Relation"
    group_key: tuple[Scalar, ...]
    aggregates: tuple[Aggregate, ...]


class TopK(Node, frozen=True, tag="top_k"):
    """In each group of equal `group_key` columns, in the given order (ties broken by the whole
    row), `limit` rows after `offset`; `limit` None keeps all."""

    input: "Relation"
    group_key: tuple[int, ...]
    order_by: tuple[ColumnOrder, ...]
    limit: int | None
    offset: int = 0


class FrameMode(StrEnum):
    """What the distances of a window frame count."""

    ROWS = "rows"
    GROUPS = "groups"  # rows equal in ORDER BY
    RANGE = "range"  # like GROUPS; only the current group and no bound are known


class WindowFrame(msgspec.Struct, frozen=True, array_like=True):
    """The rows of the partition that a window function sees, relative to the current one.

    `start` and `end` are distances, negative before the current row, both included; None: up to
    the partition's first or last row. The default is SQL's.
    """

    mode: FrameMode = FrameMode.RANGE
    start: int | None = None
    end: int | None = 0


class WindowFunction(msgspec.Struct, frozen=True, array_like=True):
    """One window function; `function` is a registry id of kind window or aggregate."""

    function: str
    args: tuple[Scalar, ...]
    type: SqlType
    frame: WindowFrame = WindowFrame()
    filter: Scalar | None = None


class Window(Node, frozen=True, tag="window"):
    """The input with one column per window function appended."""

    input: "Relation"
    partition_by: tuple[Scalar, ...]
    order_by: tuple[ScalarOrder, ...]
    functions: tuple[WindowFunction, ...]


class Union(Node, frozen=True, tag="union"):
    """The sum of the inputs' multiplicities (UNION ALL)."""

    inputs: tuple["Relation", ...]


class Negate(Node, frozen=True, tag="negate"):
    """The input with multiplicities negated."""

    input: "Relation"


class Threshold(Node, frozen=True, tag="threshold"):
    """The input's rows of positive multiplicity."""

    input: "Relation"


class CardinalityCheck(Node, frozen=True, tag="cardinality_check"):
    """The input; SQLSTATE 21000 when two rows agree on `group_key` (a scalar subquery that
    returned more than one row)."""

    input: "Relation"
    group_key: tuple[int, ...]


Relation = (
    Constant
    | Get
    | Lookup
    | LocalGet
    | Let
    | Recursion
    | Fixpoint
    | Project
    | Map
    | Filter
    | FlatMap
    | Join
    | OuterJoin
    | Reduce
    | TopK
    | Window
    | Union
    | Negate
    | Threshold
    | CardinalityCheck
)


class Finishing(msgspec.Struct, frozen=True, array_like=True):
    """What happens to a result's rows on their way to a client: order, offset, limit, project."""

    order_by: tuple[ColumnOrder, ...] = ()
    limit: int | None = None
    offset: int = 0
    project: tuple[int, ...] | None = None


def column_types(relation: Relation) -> tuple[SqlType, ...]:
    """The types of the relation's columns."""
    checkpoint()
    match relation:
        case Constant(types=types) | Get(types=types) | LocalGet(types=types):
            return types
        case Let(body=body) | Fixpoint(body=body):
            return column_types(body)
        case Recursion(base=base):
            return column_types(base)
        case Project(input=source, outputs=outputs):
            types = column_types(source)
            return tuple(types[index] for index in outputs)
        case Map(input=source, scalars=scalars):
            return (*column_types(source), *(scalar.type for scalar in scalars))
        case FlatMap(input=source, types=types, ordinality=ordinality):
            return (*column_types(source), *types, *((SqlType(20),) if ordinality else ()))
        case Lookup(input=source, types=types):
            return column_types(source) + types
        case Join(inputs=inputs):
            return tuple(t for part in inputs for t in column_types(part))
        case OuterJoin(kind=JoinKind.LEFT | JoinKind.FULL, left=left, right=right):
            return column_types(left) + column_types(right)
        case OuterJoin(left=left):
            return column_types(left)
        case Reduce(group_key=keys, aggregates=aggregates):
            return (*(key.type for key in keys), *(a.type for a in aggregates))
        case Window(input=source, functions=functions):
            return (*column_types(source), *(f.type for f in functions))
        case Union(inputs=inputs):
            return column_types(inputs[0])
        case (
            Filter(input=source)
            | TopK(input=source)
            | Negate(input=source)
            | Threshold(input=source)
            | CardinalityCheck(input=source)
        ):
            return column_types(source)


def children(relation: Relation) -> tuple[Relation, ...]:
    """The direct inputs of `relation`."""
    checkpoint()
    match relation:
        case Constant() | Get() | LocalGet():
            return ()
        case Let(value=value, body=body):
            return (value, body)
        case Recursion(base=base, step=step):
            return (base, step)
        case Fixpoint(values=values, body=body):
            return (*values, body)
        case Join(inputs=inputs) | Union(inputs=inputs):
            return inputs
        case OuterJoin(left=left, right=right):
            return (left, right)
        case _:
            return (relation.input,)


def with_children(relation: Relation, new: tuple[Relation, ...]) -> Relation:
    """`relation` with its inputs replaced, in the order of `children`."""
    match relation:
        case Constant() | Get() | LocalGet():
            return relation
        case Let(id=local_id):
            return Let(local_id, *new)
        case Recursion():
            return msgspec.structs.replace(relation, base=new[0], step=new[1])
        case Fixpoint():
            return msgspec.structs.replace(relation, values=new[:-1], body=new[-1])
        case Join(equivalences=equivalences):
            return Join(new, equivalences)
        case Union():
            return Union(new)
        case OuterJoin():
            return msgspec.structs.replace(relation, left=new[0], right=new[1])
        case _:
            return msgspec.structs.replace(relation, input=new[0])


def scalars_of(relation: Relation) -> tuple[Scalar, ...]:
    """The scalars that stand in the node itself."""
    match relation:
        case Map(scalars=scalars) | Filter(predicates=scalars) | FlatMap(args=scalars):
            return scalars
        case Join(equivalences=equivalences):
            return tuple(scalar for scalars in equivalences for scalar in scalars)
        case OuterJoin(keys=keys, residual=residual):
            rest = () if residual is None else (residual,)
            return (*(scalar for pair in keys for scalar in pair), *rest)
        case Reduce(group_key=group_key, aggregates=aggregates):
            return (*group_key, *(s for a in aggregates for s in aggregate_scalars(a)))
        case Window(partition_by=partition_by, order_by=order_by, functions=functions):
            return (
                *partition_by,
                *(order.scalar for order in order_by),
                *(scalar for function in functions for scalar in function.args),
                *(f.filter for f in functions if f.filter is not None),
            )
        case _:
            return ()


def aggregate_scalars(aggregate: Aggregate) -> tuple[Scalar, ...]:
    """Every scalar of an aggregate."""
    condition = () if aggregate.filter is None else (aggregate.filter,)
    return (*aggregate.args, *condition, *(o.scalar for o in aggregate.order_by))


def map_scalars(relation: Relation, change: Callable[[Scalar], Scalar]) -> Relation:
    """`relation` with `change` applied to every scalar in it and in its inputs."""
    new = tuple(map_scalars(child, change) for child in children(relation))
    relation = with_children(relation, new)
    replace = msgspec.structs.replace
    match relation:
        case Map(scalars=scalars):
            return replace(relation, scalars=tuple(map(change, scalars)))
        case Filter(predicates=predicates):
            return replace(relation, predicates=tuple(map(change, predicates)))
        case FlatMap(args=args):
            return replace(relation, args=tuple(map(change, args)))
        case Lookup(key=key):
            return replace(relation, key=tuple(map(change, key)))
        case Join(equivalences=equivalences):
            changed = tuple(tuple(map(change, scalars)) for scalars in equivalences)
            return replace(relation, equivalences=changed)
        case OuterJoin(keys=keys, residual=residual):
            return replace(
                relation,
                keys=tuple((change(left), change(right)) for left, right in keys),
                residual=None if residual is None else change(residual),
            )
        case Reduce(group_key=group_key, aggregates=aggregates):
            return replace(
                relation,
                group_key=tuple(map(change, group_key)),
                aggregates=tuple(map_aggregate(a, change) for a in aggregates),
            )
        case Window(partition_by=partition_by, order_by=order_by, functions=functions):
            return replace(
                relation,
                partition_by=tuple(map(change, partition_by)),
                order_by=map_orders(order_by, change),
                functions=tuple(map_window_function(function, change) for function in functions),
            )
        case _:
            return relation


def substitute(
    relation: Relation,
    parameters: tuple[Literal, ...],
    session: Callable[[Call], Literal | None],
) -> Relation:
    """`relation` with parameters and session calls replaced (see `expr.scalar.substitute`)."""
    return map_scalars(relation, lambda scalar: substitute_scalar(scalar, parameters, session))


def replace_get(relation: Relation, id: GlobalId, by: Relation) -> Relation:
    """`relation` with `by` in place of each `Get` of `id`."""
    if isinstance(relation, Get):
        return by if relation.id == id else relation
    below = children(relation)
    new = tuple(replace_get(child, id, by) for child in below)
    return relation if all(map(operator.is_, new, below)) else with_children(relation, new)


def map_orders(
    orders: tuple[ScalarOrder, ...], change: Callable[[Scalar], Scalar]
) -> tuple[ScalarOrder, ...]:
    """The orders with `change` applied to their scalars."""
    return tuple(ScalarOrder(change(o.scalar), o.descending, o.nulls_last) for o in orders)


def map_aggregate(aggregate: Aggregate, change: Callable[[Scalar], Scalar]) -> Aggregate:
    """The aggregate with `change` applied to its scalars."""
    return msgspec.structs.replace(
        aggregate,
        args=tuple(map(change, aggregate.args)),
        filter=None if aggregate.filter is None else change(aggregate.filter),
        order_by=map_orders(aggregate.order_by, change),
    )


def map_window_function(
    function: WindowFunction, change: Callable[[Scalar], Scalar]
) -> WindowFunction:
    """The window function with `change` applied to its scalars."""
    return msgspec.structs.replace(
        function,
        args=tuple(map(change, function.args)),
        filter=None if function.filter is None else change(function.filter),
    )
