"""Planned queries before decorrelation.

Scalars are those of `expr.scalar` over the columns of their node's input. A correlated reference is
a `Parameter` with a negative index, a *variable*: an `Apply` binds variables to scalars of its
input for each of its rows and joins that row with the rows of `sub`. Variables are unique in a
statement, so nesting of any depth needs no level counting. PostgreSQL's PARAM_EXEC is the same
idea.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from core.allowance import checkpoint
from core.ids import GlobalId
from core.sql_types import INT8, SqlType
from expr.relation import (
    Aggregate,
    ColumnOrder,
    ScalarOrder,
    WindowFunction,
    aggregate_scalars,
    map_aggregate,
    map_orders,
    map_window_function,
)
from expr.scalar import Parameter, Scalar, children

Binding = tuple[int, Scalar]


class HirNode(msgspec.Struct, frozen=True):
    """An immutable node."""


class Constant(HirNode, frozen=True):
    rows: tuple[tuple[bytes, int], ...]
    types: tuple[SqlType, ...]


class Rows(HirNode, frozen=True):
    """One row for each tuple of scalars (VALUES with expressions)."""

    rows: tuple[tuple[Scalar, ...], ...]
    types: tuple[SqlType, ...]


class Get(HirNode, frozen=True):
    """A stored collection; `nullable` tells of each column whether it may hold null."""

    id: GlobalId
    types: tuple[SqlType, ...]
    nullable: tuple[bool, ...]


class LocalGet(HirNode, frozen=True):
    """The rows of the common table or shared view `id` of the statement."""

    id: int
    types: tuple[SqlType, ...]


class RecursiveGet(HirNode, frozen=True):
    """Inside a `Recursion`'s step: the rows found last; inside a `Fixpoint`: those of a binding.
    `variable` counts as a free variable."""

    variable: int
    types: tuple[SqlType, ...]


class Recursion(HirNode, frozen=True):
    """`base`, then what `step` finds from the rows found last, until it finds none.

    With `is_distinct` only rows never found before count as found.
    """

    variable: int
    base: "Hir"
    step: "Hir"
    is_distinct: bool


class Fixpoint(HirNode, frozen=True):
    """`body` with the variables standing for the rows that `values` come to rest at, as
    `expr.relation.Fixpoint` describes. Bindings and `body` name them by `RecursiveGet`."""

    variables: tuple[int, ...]
    values: tuple["Hir", ...]
    body: "Hir"
    limit: int | None = None
    returns_at_limit: bool = False


class Filter(HirNode, frozen=True):
    input: "Hir"
    predicates: tuple[Scalar, ...]


class Map(HirNode, frozen=True):
    input: "Hir"
    scalars: tuple[Scalar, ...]


class Project(HirNode, frozen=True):
    input: "Hir"
    outputs: tuple[int, ...]


class FlatMap(HirNode, frozen=True):
    input: "Hir"
    function: str
    args: tuple[Scalar, ...]
    types: tuple[SqlType, ...]
    ordinality: bool = False


class JoinKind(StrEnum):
    INNER = "inner"
    LEFT = "left"
    FULL = "full"
    SEMI = "semi"
    ANTI = "anti"


class Join(HirNode, frozen=True):
    """A join on predicates over the concatenated columns.

    `null_aware` (ANTI): NOT IN over `pairs`, which compare left and right scalars.
    """

    kind: JoinKind
    left: "Hir"
    right: "Hir"
    on: tuple[Scalar, ...]
    pairs: tuple[tuple[Scalar, Scalar], ...] = ()
    null_aware: bool = False


class ApplyKind(StrEnum):
    CROSS = "cross"  # the input's row with each row of `sub`
    LEFT = "left"  # …and with nulls if there is none
    SCALAR = "scalar"  # LEFT, and an error when there are several
    SEMI = "semi"  # the input's rows for which `sub` has a row
    ANTI = "anti"  # … has none


class Apply(HirNode, frozen=True):
    """For LEFT, `on` filters over input ++ sub before rows count as partners."""

    kind: ApplyKind
    input: "Hir"
    bindings: tuple[Binding, ...]
    sub: "Hir"
    on: tuple[Scalar, ...] = ()


class Reduce(HirNode, frozen=True):
    """`default`: with no group key, the one row that SQL wants of an empty input."""

    input: "Hir"
    group_key: tuple[Scalar, ...]
    aggregates: tuple[Aggregate, ...]
    default: bool = False


class Window(HirNode, frozen=True):
    input: "Hir"
    partition_by: tuple[Scalar, ...]
    order_by: tuple[ScalarOrder, ...]
    functions: tuple[WindowFunction, ...]


class TopK(HirNode, frozen=True):
    input: "Hir"
    group_key: tuple[int, ...]
    order_by: tuple[ColumnOrder, ...]
    limit: int | None
    offset: int = 0


class Union(HirNode, frozen=True):
    inputs: tuple["Hir", ...]


class Negate(HirNode, frozen=True):
    input: "Hir"


class Threshold(HirNode, frozen=True):
    input: "Hir"


Hir = (
    Constant
    | Rows
    | Get
    | LocalGet
    | RecursiveGet
    | Recursion
    | Fixpoint
    | Filter
    | Map
    | Project
    | FlatMap
    | Join
    | Apply
    | Reduce
    | Window
    | TopK
    | Union
    | Negate
    | Threshold
)

UNIT = Constant(((b"\x90", 1),), ())
"""The relation of one row without columns."""


def types_of(hir: Hir) -> tuple[SqlType, ...]:
    """The types of the node's columns."""
    checkpoint()
    match hir:
        case Constant(types=types) | Rows(types=types) | Get(types=types):
            return types
        case LocalGet(types=types) | RecursiveGet(types=types):
            return types
        case Recursion(base=base):
            return types_of(base)
        case Fixpoint(body=body):
            return types_of(body)
        case Map(input=source, scalars=scalars):
            return (*types_of(source), *(s.type for s in scalars))
        case Project(input=source, outputs=outputs):
            types = types_of(source)
            return tuple(types[index] for index in outputs)
        case FlatMap(input=source, types=types, ordinality=ordinality):
            return (*types_of(source), *types, *((INT8,) if ordinality else ()))
        case Join(kind=JoinKind.SEMI | JoinKind.ANTI, left=left):
            return types_of(left)
        case Join(left=left, right=right):
            return types_of(left) + types_of(right)
        case Apply(kind=ApplyKind.SEMI | ApplyKind.ANTI, input=source):
            return types_of(source)
        case Apply(input=source, sub=sub):
            return types_of(source) + types_of(sub)
        case Reduce(group_key=keys, aggregates=aggregates):
            return (*(k.type for k in keys), *(a.type for a in aggregates))
        case Window(input=source, functions=functions):
            return (*types_of(source), *(f.type for f in functions))
        case Union(inputs=inputs):
            return types_of(inputs[0])
        case _:
            return types_of(hir.input)


def inputs_of(hir: Hir) -> tuple[Hir, ...]:
    """The direct inputs of the node."""
    match hir:
        case Constant() | Rows() | Get() | LocalGet() | RecursiveGet():
            return ()
        case Recursion(base=base, step=step):
            return (base, step)
        case Fixpoint(values=values, body=body):
            return (*values, body)
        case Join(left=left, right=right):
            return (left, right)
        case Apply(input=source, sub=sub):
            return (source, sub)
        case Union(inputs=inputs):
            return inputs
        case _:
            return (hir.input,)


def scalars_of(hir: Hir) -> tuple[Scalar, ...]:
    """The scalars that stand in the node itself."""
    match hir:
        case Rows(rows=rows):
            return tuple(s for row in rows for s in row)
        case Filter(predicates=predicates):
            return predicates
        case Map(scalars=scalars):
            return scalars
        case FlatMap(args=args):
            return args
        case Join(on=on, pairs=pairs):
            return (*on, *(s for pair in pairs for s in pair))
        case Apply(bindings=bindings, on=on):
            return (*(s for _, s in bindings), *on)
        case Reduce(group_key=keys, aggregates=aggregates):
            return (*keys, *(s for a in aggregates for s in aggregate_scalars(a)))
        case Window(partition_by=partition_by, order_by=order_by, functions=functions):
            return (
                *partition_by,
                *(o.scalar for o in order_by),
                *(s for f in functions for s in f.args),
                *(f.filter for f in functions if f.filter is not None),
            )
        case _:
            return ()


def variables_in(scalar: Scalar, found: set[int]) -> None:
    """Add the variables that `scalar` names to `found`."""
    if isinstance(scalar, Parameter):
        if scalar.index < 0:
            found.add(scalar.index)
        return
    for part in children(scalar):
        variables_in(part, found)


Known = dict[int, tuple[Hir, frozenset[int]]]
"""What `free_variables` found, by the node's identity; the node is kept so that this stays its."""


def free_variables(hir: Hir, known: Known | None = None) -> frozenset[int]:
    """The variables that the node names and does not bind; each node is looked at once for one
    `known`, which nodes that stand in several places can share."""
    known = {} if known is None else known
    before = known.get(id(hir))
    if before is not None:
        return before[1]
    checkpoint()
    found: set[int] = set()
    for scalar in scalars_of(hir):
        variables_in(scalar, found)
    for source in inputs_of(hir):
        found |= free_variables(source, known)
    match hir:
        case RecursiveGet(variable=variable):
            found.add(variable)
        case Recursion(variable=variable):
            found.discard(variable)
        case Fixpoint(variables=variables):
            found.difference_update(variables)
        case Apply(bindings=bindings):
            found -= {variable for variable, _ in bindings}
    known[id(hir)] = (hir, frozenset(found))
    return known[id(hir)][1]


def map_scalars(hir: Hir, change: Callable[[Scalar], Scalar]) -> Hir:
    """`hir` with `change` applied to every scalar in it and below it."""
    replace = msgspec.structs.replace

    def changed(scalars: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        return tuple(map(change, scalars))

    match hir:
        case Constant() | Get() | LocalGet() | RecursiveGet():
            return hir
        case Recursion(base=base, step=step):
            return replace(hir, base=map_scalars(base, change), step=map_scalars(step, change))
        case Fixpoint(values=values, body=body):
            return replace(
                hir,
                values=tuple(map_scalars(value, change) for value in values),
                body=map_scalars(body, change),
            )
        case Rows(rows=rows):
            return replace(hir, rows=tuple(map(changed, rows)))
        case Join(left=left, right=right, on=on, pairs=pairs):
            return replace(
                hir,
                left=map_scalars(left, change),
                right=map_scalars(right, change),
                on=changed(on),
                pairs=tuple((change(a), change(b)) for a, b in pairs),
            )
        case Union(inputs=inputs):
            return Union(tuple(map_scalars(part, change) for part in inputs))
        case Apply(input=source, bindings=bindings, sub=sub, on=on):
            return replace(
                hir,
                input=map_scalars(source, change),
                bindings=tuple((variable, change(scalar)) for variable, scalar in bindings),
                sub=map_scalars(sub, change),
                on=changed(on),
            )
    hir = replace(hir, input=map_scalars(hir.input, change))
    match hir:
        case Filter(predicates=predicates):
            return replace(hir, predicates=changed(predicates))
        case Map(scalars=scalars):
            return replace(hir, scalars=changed(scalars))
        case FlatMap(args=args):
            return replace(hir, args=changed(args))
        case Reduce(group_key=keys, aggregates=aggregates):
            return replace(
                hir,
                group_key=changed(keys),
                aggregates=tuple(map_aggregate(a, change) for a in aggregates),
            )
        case Window(partition_by=partition_by, order_by=order_by, functions=functions):
            return replace(
                hir,
                partition_by=changed(partition_by),
                order_by=map_orders(order_by, change),
                functions=tuple(map_window_function(f, change) for f in functions),
            )
    return hir
