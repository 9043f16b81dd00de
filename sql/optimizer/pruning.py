"""Columns that nobody reads are dropped as early as possible.

`prune(relation, needed)` gives the relation with exactly the columns `needed`, in that order.
A `Let`'s value is pruned to what all its uses need. Multisets are not changed: a column is dropped
from rows, never a row, except that set-like nodes (`Threshold`, `Reduce` by key) keep what defines
them.
"""

from collections.abc import Iterable

import msgspec

from core.rows import codec_for
from expr.relation import (
    Aggregate,
    CardinalityCheck,
    ColumnOrder,
    Constant,
    Filter,
    FlatMap,
    Get,
    Join,
    JoinKind,
    Let,
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
    children,
    column_types,
    with_children,
)
from expr.scalar import Scalar
from sql.optimizer.columns import columns_of, columns_of_all, remap
from sql.optimizer.joins import starts_of

Columns = tuple[int, ...]
_Needs = dict[int, set[int]]


def prune_columns(relation: Relation) -> Relation:
    """`relation` with the same columns, computed from as few as possible."""
    needs: _Needs = {}
    return _prune(relation, tuple(range(len(column_types(relation)))), needs)


def _prune(relation: Relation, needed: Columns, needs: _Needs) -> Relation:
    match relation:
        case Constant():
            return _prune_constant(relation, needed)
        case Get():
            return project(relation, needed)
        case LocalGet(id=local_id):
            needs.setdefault(local_id, set()).update(needed)
            return project(relation, needed)
        case Let():
            return _prune_let(relation, needed, needs)
        case Project(input=source, outputs=outputs):
            wanted = tuple(outputs[index] for index in needed)
            below = _sorted(wanted)
            positions = _positions(below)
            return project(_prune(source, below, needs), tuple(positions[i] for i in wanted))
        case Map():
            return _prune_map(relation, needed, needs)
        case Filter(input=source, predicates=predicates):
            below = _sorted((*needed, *columns_of_all(predicates)))
            positions = _positions(below)
            kept = Filter(
                _prune(source, below, needs), tuple(remap(p, positions) for p in predicates)
            )
            return project(kept, tuple(positions[i] for i in needed))
        case FlatMap():
            return _prune_flat_map(relation, needed, needs)
        case Join():
            return _prune_join(relation, needed, needs)
        case OuterJoin():
            return _prune_outer_join(relation, needed, needs)
        case Reduce():
            return _prune_reduce(relation, needed, needs)
        case TopK(input=source, group_key=group_key, order_by=order_by):
            below = _sorted((*needed, *group_key, *(order.column for order in order_by)))
            positions = _positions(below)
            kept_rows = msgspec.structs.replace(
                relation,
                input=_prune(source, below, needs),
                group_key=tuple(positions[i] for i in group_key),
                order_by=tuple(_move(order, positions) for order in order_by),
            )
            return project(kept_rows, tuple(positions[i] for i in needed))
        case Window():
            return _prune_window(relation, needed, needs)
        case Union(inputs=inputs):
            return Union(tuple(_prune(part, needed, needs) for part in inputs))
        case Negate(input=source):
            return Negate(_prune(source, needed, needs))
        case Threshold(input=source):
            everything = tuple(range(len(column_types(source))))
            return project(Threshold(_prune(source, everything, needs)), needed)
        case CardinalityCheck(input=source, group_key=group_key):
            below = _sorted((*needed, *group_key))
            positions = _positions(below)
            checked = CardinalityCheck(
                _prune(source, below, needs), tuple(positions[i] for i in group_key)
            )
            return project(checked, tuple(positions[i] for i in needed))


def project(relation: Relation, outputs: Columns) -> Relation:
    """`relation` projected, without a node where nothing changes."""
    if outputs == tuple(range(len(column_types(relation)))):
        return relation
    if isinstance(relation, Project):
        return project(relation.input, tuple(relation.outputs[index] for index in outputs))
    return Project(relation, outputs)


def _sorted(columns: Iterable[int]) -> Columns:
    return tuple(sorted(set(columns)))


def _positions(columns: Columns) -> dict[int, int]:
    return {column: position for position, column in enumerate(columns)}


def _move(order: ColumnOrder, positions: dict[int, int]) -> ColumnOrder:
    return msgspec.structs.replace(order, column=positions[order.column])


def _move_scalar_order(order: ScalarOrder, positions: dict[int, int]) -> ScalarOrder:
    return msgspec.structs.replace(order, scalar=remap(order.scalar, positions))


def _prune_constant(relation: Constant, needed: Columns) -> Relation:
    if needed == tuple(range(len(relation.types))):
        return relation
    types = tuple(relation.types[index] for index in needed)
    decode = codec_for(relation.types).decode
    encode = codec_for(types).encode
    rows = []
    for data, diff in relation.rows:
        row = decode(data)
        rows.append((encode(tuple(row[index] for index in needed)), diff))
    return Constant(tuple(rows), types)


def _prune_let(relation: Let, needed: Columns, needs: _Needs) -> Relation:
    body = _prune(relation.body, needed, needs)
    wanted = _sorted(needs.pop(relation.id, ()))
    value = _prune(relation.value, wanted, needs)
    types = column_types(value)
    if len(wanted) != len(column_types(relation.value)):
        body = _narrow(body, LocalGet(relation.id, types), _positions(wanted))
    return Let(relation.id, value, body)


def _narrow(relation: Relation, narrow: LocalGet, positions: dict[int, int]) -> Relation:
    """Replace the uses of a `Let` whose value has lost columns."""
    match relation:
        case Project(input=LocalGet(id=local_id), outputs=outputs) if local_id == narrow.id:
            return project(narrow, tuple(positions[index] for index in outputs))
        case LocalGet(id=local_id) if local_id == narrow.id:
            return narrow
    new = tuple(_narrow(child, narrow, positions) for child in children(relation))
    return with_children(relation, new)


def _prune_map(relation: Map, needed: Columns, needs: _Needs) -> Relation:
    arity = len(column_types(relation.input))
    wanted = set(needed)
    for index in range(arity + len(relation.scalars) - 1, arity - 1, -1):
        if index in wanted:
            wanted |= columns_of(relation.scalars[index - arity])
    kept = _sorted(wanted)
    positions = _positions(kept)
    below = tuple(index for index in kept if index < arity)
    scalars = tuple(
        remap(relation.scalars[index - arity], positions) for index in kept if index >= arity
    )
    source = _prune(relation.input, below, needs)
    mapped = Map(source, scalars) if scalars else source
    return project(mapped, tuple(positions[index] for index in needed))


def _prune_flat_map(relation: FlatMap, needed: Columns, needs: _Needs) -> Relation:
    arity = len(column_types(relation.input))
    added = len(relation.types) + relation.ordinality
    below = _sorted((*(i for i in needed if i < arity), *columns_of_all(relation.args)))
    positions = _positions(below)
    expanded = msgspec.structs.replace(
        relation,
        input=_prune(relation.input, below, needs),
        args=tuple(remap(arg, positions) for arg in relation.args),
    )
    positions |= {arity + i: len(below) + i for i in range(added)}
    return project(expanded, tuple(positions[index] for index in needed))


def _prune_join(relation: Join, needed: Columns, needs: _Needs) -> Relation:
    arities = [len(column_types(part)) for part in relation.inputs]
    starts = starts_of(arities)
    wanted = _sorted((*needed, *(c for e in relation.equivalences for c in columns_of_all(e))))
    inputs = []
    for number, part in enumerate(relation.inputs):
        start, end = starts[number], starts[number + 1]
        below = tuple(index - start for index in wanted if start <= index < end)
        inputs.append(_prune(part, below, needs))
    positions = _positions(wanted)
    equivalences = tuple(
        tuple(remap(scalar, positions) for scalar in equivalence)
        for equivalence in relation.equivalences
    )
    joined = Join(tuple(inputs), equivalences)
    return project(joined, tuple(positions[index] for index in needed))


def _prune_outer_join(relation: OuterJoin, needed: Columns, needs: _Needs) -> Relation:
    arity = len(column_types(relation.left))
    residual = frozenset() if relation.residual is None else columns_of(relation.residual)
    wanted = {*needed, *residual}
    left = _sorted(
        (*(i for i in wanted if i < arity), *columns_of_all(a for a, _ in relation.keys))
    )
    right = _sorted(
        (*(i - arity for i in wanted if i >= arity), *columns_of_all(b for _, b in relation.keys))
    )
    left_positions, right_positions = _positions(left), _positions(right)
    positions = left_positions | {
        arity + index: len(left) + position for index, position in right_positions.items()
    }
    joined = msgspec.structs.replace(
        relation,
        left=_prune(relation.left, left, needs),
        right=_prune(relation.right, right, needs),
        keys=tuple((remap(a, left_positions), remap(b, right_positions)) for a, b in relation.keys),
        residual=None if relation.residual is None else remap(relation.residual, positions),
    )
    if relation.kind in (JoinKind.SEMI, JoinKind.ANTI):
        positions = left_positions
    return project(joined, tuple(positions[index] for index in needed))


def _scalars_of(aggregate: Aggregate) -> list[Scalar]:
    condition = [] if aggregate.filter is None else [aggregate.filter]
    return [*aggregate.args, *condition, *(order.scalar for order in aggregate.order_by)]


def _prune_reduce(relation: Reduce, needed: Columns, needs: _Needs) -> Relation:
    keys = len(relation.group_key)
    kept = _sorted(index - keys for index in needed if index >= keys)
    aggregates = [relation.aggregates[index] for index in kept]
    read = columns_of_all(
        (*relation.group_key, *(scalar for a in aggregates for scalar in _scalars_of(a)))
    )
    below = _sorted(read)
    positions = _positions(below)
    reduced = Reduce(
        _prune(relation.input, below, needs),
        tuple(remap(key, positions) for key in relation.group_key),
        tuple(
            msgspec.structs.replace(
                aggregate,
                args=tuple(remap(arg, positions) for arg in aggregate.args),
                filter=None if aggregate.filter is None else remap(aggregate.filter, positions),
                order_by=tuple(_move_scalar_order(o, positions) for o in aggregate.order_by),
            )
            for aggregate in aggregates
        ),
    )
    outputs = {index: index for index in range(keys)} | {
        keys + index: keys + position for position, index in enumerate(kept)
    }
    return project(reduced, tuple(outputs[index] for index in needed))


def _prune_window(relation: Window, needed: Columns, needs: _Needs) -> Relation:
    arity = len(column_types(relation.input))
    kept = _sorted(index - arity for index in needed if index >= arity)
    functions = [relation.functions[index] for index in kept]
    scalars = [
        *relation.partition_by,
        *(order.scalar for order in relation.order_by),
        *(arg for function in functions for arg in function.args),
        *(function.filter for function in functions if function.filter is not None),
    ]
    below = _sorted((*(i for i in needed if i < arity), *columns_of_all(scalars)))
    positions = _positions(below)
    source = _prune(relation.input, below, needs)
    windowed: Relation = source
    if functions:
        windowed = Window(
            source,
            tuple(remap(scalar, positions) for scalar in relation.partition_by),
            tuple(_move_scalar_order(order, positions) for order in relation.order_by),
            tuple(
                msgspec.structs.replace(
                    function,
                    args=tuple(remap(arg, positions) for arg in function.args),
                    filter=None if function.filter is None else remap(function.filter, positions),
                )
                for function in functions
            ),
        )
    outputs = positions | {
        arity + index: len(below) + position for position, index in enumerate(kept)
    }
    return project(windowed, tuple(outputs[index] for index in needed))
