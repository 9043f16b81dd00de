"""Columns that nobody reads are dropped as early as possible.

`_prune(node, needed)` returns the columns `needed` (ascending) of `node`, and nothing else.
"""

from collections.abc import Iterable
from functools import partial

from core.allowance import checkpoint
from core.sql_types import SqlType
from expr.relation import (
    CardinalityCheck,
    ColumnOrder,
    Constant,
    Filter,
    Fixpoint,
    FlatMap,
    Get,
    Join,
    JoinKind,
    Let,
    LocalGet,
    Lookup,
    Map,
    Negate,
    OuterJoin,
    Project,
    Recursion,
    Reduce,
    Relation,
    Threshold,
    TopK,
    Union,
    Window,
    aggregate_scalars,
    children,
    column_types,
    map_aggregate,
    map_orders,
    map_window_function,
    with_children,
)
from expr.scalar import ColumnRef, Scalar
from sql.optimizer.simplify import project_constant
from sql.scope import columns_in, map_columns

Columns = tuple[int, ...]


def prune_columns(relation: Relation) -> Relation:
    """The relation, computed from no more columns than it needs."""
    return _prune(relation, tuple(range(len(column_types(relation)))))


def _prune(node: Relation, needed: Columns) -> Relation:
    checkpoint()
    match node:
        case Constant(types=types):
            return node if len(needed) == len(types) else project_constant(node, needed)
        case Get(types=types) | LocalGet(types=types):
            return node if len(needed) == len(types) else Project(node, needed)
        case Let():
            return _prune_let(node, needed)
        case Recursion() | Lookup():
            whole = tuple(range(len(column_types(node))))
            pruned = with_children(node, tuple(_prune(part, whole) for part in children(node)))
            return _select(pruned, whole, needed)
        case Fixpoint(values=values, body=body):
            whole_values = (_prune(v, tuple(range(len(column_types(v))))) for v in values)
            return with_children(node, (*whole_values, _prune(body, needed)))
        case Project(input=source, outputs=outputs):
            wanted = tuple(outputs[index] for index in needed)
            below = _ordered(wanted)
            return _project(_prune(source, below), _places(below, wanted), len(below))
        case Map():
            return _prune_map(node, needed)
        case Filter(input=source, predicates=predicates):
            below = _ordered((*needed, *_columns_of(predicates)))
            moved = _moved(predicates, below)
            return _select(Filter(_prune(source, below), moved), below, needed)
        case FlatMap():
            return _prune_flat_map(node, needed)
        case Join():
            return _prune_join(node, needed)
        case OuterJoin():
            return _prune_outer(node, needed)
        case Reduce():
            return _prune_reduce(node, needed)
        case Window():
            return _prune_window(node, needed)
        case TopK(input=source, group_key=key, order_by=orders, limit=limit, offset=offset):
            below = _ordered((*needed, *key, *(o.column for o in orders)))
            place = {old: new for new, old in enumerate(below)}
            top = TopK(
                _prune(source, below),
                tuple(place[index] for index in key),
                tuple(ColumnOrder(place[o.column], o.descending, o.nulls_last) for o in orders),
                limit,
                offset,
            )
            return _select(top, below, needed)
        case Union(inputs=inputs):
            return Union(tuple(_prune(part, needed) for part in inputs))
        case Negate(input=source):
            return Negate(_prune(source, needed))
        case Threshold(input=source):
            width = tuple(range(len(column_types(source))))
            return _select(Threshold(_prune(source, width)), width, needed)
        case CardinalityCheck(input=source, group_key=key):
            below = _ordered((*needed, *key))
            checked = CardinalityCheck(_prune(source, below), _places(below, key))
            return _select(checked, below, needed)


# Columns and places


def _ordered(columns: Iterable[int]) -> Columns:
    return tuple(sorted(set(columns)))


def _places(below: Columns, wanted: Columns) -> Columns:
    place = {old: new for new, old in enumerate(below)}
    return tuple(place[index] for index in wanted)


def _project(node: Relation, outputs: Columns, width: int) -> Relation:
    return node if outputs == tuple(range(width)) else Project(node, outputs)


def _select(node: Relation, have: Columns, needed: Columns) -> Relation:
    """`node`, whose columns are `have`, with the columns `needed`."""
    return _project(node, _places(have, needed), len(have))


def _columns_of(scalars: Iterable[Scalar]) -> set[int]:
    found: set[int] = set()
    for scalar in scalars:
        columns_in(scalar, found)
    return found


def _moved(scalars: Iterable[Scalar], below: Columns) -> tuple[Scalar, ...]:
    place = {old: new for new, old in enumerate(below)}
    return tuple(_at(scalar, place) for scalar in scalars)


def _at(scalar: Scalar, place: dict[int, int]) -> Scalar:
    return map_columns(scalar, lambda ref: ColumnRef(place[ref.index], ref.type))


# Nodes


def _prune_map(node: Map, needed: Columns) -> Relation:
    width = len(column_types(node.input))
    wanted = set(needed)
    for index in range(len(node.scalars) - 1, -1, -1):
        if width + index in wanted:
            columns_in(node.scalars[index], wanted)
    below = tuple(sorted(index for index in wanted if index < width))
    kept = [index for index in range(len(node.scalars)) if width + index in wanted]
    have = (*below, *(width + index for index in kept))
    place = {old: new for new, old in enumerate(have)}
    scalars = tuple(_at(node.scalars[index], place) for index in kept)
    source = _prune(node.input, below)
    return _select(Map(source, scalars) if scalars else source, have, needed)


def _prune_flat_map(node: FlatMap, needed: Columns) -> Relation:
    width = len(column_types(node.input))
    total = len(column_types(node))
    below = _ordered((*(i for i in needed if i < width), *_columns_of(node.args)))
    have = (*below, *range(width, total))
    flat = FlatMap(
        _prune(node.input, below),
        node.function,
        _moved(node.args, below),
        node.types,
        node.ordinality,
    )
    return _select(flat, have, needed)


def _prune_join(node: Join, needed: Columns) -> Relation:
    wanted = set(needed)
    for equivalence in node.equivalences:
        wanted |= _columns_of(equivalence)
    inputs = []
    have: list[int] = []
    start = 0
    for part in node.inputs:
        width = len(column_types(part))
        own = tuple(sorted(i - start for i in wanted if start <= i < start + width))
        inputs.append(_prune(part, own))
        have.extend(start + index for index in own)
        start += width
    below = tuple(have)
    equivalences = tuple(_moved(equivalence, below) for equivalence in node.equivalences)
    return _select(Join(tuple(inputs), equivalences), below, needed)


def _prune_outer(node: OuterJoin, needed: Columns) -> Relation:
    width = len(column_types(node.left))
    residual = () if node.residual is None else (node.residual,)
    wanted = set(needed) | _columns_of(residual)
    lefts = {i for i in wanted if i < width} | _columns_of(left for left, _ in node.keys)
    rights = {i - width for i in wanted if i >= width}
    rights |= _columns_of(right for _, right in node.keys)
    left_below, right_below = _ordered(lefts), _ordered(rights)
    both = (*left_below, *(width + index for index in right_below))
    left_keys = _moved((left for left, _ in node.keys), left_below)
    right_keys = _moved((right for _, right in node.keys), right_below)
    moved = _moved(residual, both)
    joined = OuterJoin(
        node.kind,
        _prune(node.left, left_below),
        _prune(node.right, right_below),
        tuple(zip(left_keys, right_keys, strict=True)),
        moved[0] if moved else None,
        node.null_aware,
    )
    semi = node.kind in (JoinKind.SEMI, JoinKind.ANTI)
    return _select(joined, left_below if semi else both, needed)


def _prune_reduce(node: Reduce, needed: Columns) -> Relation:
    count = len(node.group_key)
    kept = [i for i in range(len(node.aggregates)) if count + i in needed]
    aggregates = [node.aggregates[index] for index in kept]
    scalars = [*node.group_key, *(s for a in aggregates for s in aggregate_scalars(a))]
    below = _ordered(_columns_of(scalars))
    place = {old: new for new, old in enumerate(below)}
    reduced = Reduce(
        _prune(node.input, below),
        _moved(node.group_key, below),
        tuple(map_aggregate(a, partial(_at, place=place)) for a in aggregates),
    )
    have = (*range(count), *(count + index for index in kept))
    return _select(reduced, have, needed)


def _prune_window(node: Window, needed: Columns) -> Relation:
    width = len(column_types(node.input))
    kept = [i for i in range(len(node.functions)) if width + i in needed]
    functions = [node.functions[index] for index in kept]
    scalars: list[Scalar] = [*node.partition_by, *(o.scalar for o in node.order_by)]
    for function in functions:
        scalars.extend(function.args)
        if function.filter is not None:
            scalars.append(function.filter)
    if not functions:
        return _prune(node.input, needed)
    below = _ordered((*(i for i in needed if i < width), *_columns_of(scalars)))
    moved = partial(_at, place={old: new for new, old in enumerate(below)})
    window = Window(
        _prune(node.input, below),
        _moved(node.partition_by, below),
        map_orders(node.order_by, moved),
        tuple(map_window_function(function, moved) for function in functions),
    )
    have = (*below, *(width + index for index in kept))
    return _select(window, have, needed)


def _prune_let(node: Let, needed: Columns) -> Relation:
    body = _prune(node.body, needed)
    used: set[int] = set()
    _local_columns(body, node.id, used)
    width = len(column_types(node.value))
    below = tuple(sorted(used))
    value = _prune(node.value, below)
    if len(below) < width:
        place = {old: new for new, old in enumerate(below)}
        body = _narrowed(body, node.id, column_types(value), place)
    return Let(node.id, value, body)


def _local_columns(node: Relation, local_id: int, used: set[int]) -> None:
    """Add the columns of `LocalGet(local_id)` that are read to `used`."""
    match node:
        case Project(input=LocalGet(id=id), outputs=outputs) if id == local_id:
            used.update(outputs)
        case LocalGet(id=id, types=types) if id == local_id:
            used.update(range(len(types)))
        case _:
            for part in children(node):
                _local_columns(part, local_id, used)


def _narrowed(
    node: Relation, local_id: int, types: tuple[SqlType, ...], place: dict[int, int]
) -> Relation:
    match node:
        case Project(input=LocalGet(id=id), outputs=outputs) if id == local_id:
            new = LocalGet(local_id, types)
            return _project(new, tuple(place[index] for index in outputs), len(types))
    inputs = children(node)
    if not inputs:
        return node
    return with_children(node, tuple(_narrowed(part, local_id, types, place) for part in inputs))
