"""Predicates sink towards the data, and outer joins that they make inner become inner.

`push_down` walks from the root with the predicates that its caller has for the relation's rows. A
node lets through what it can and keeps the rest in a `Filter` above itself. Predicates may be
evaluated on rows that an operator above would have removed, as in PostgreSQL; volatile ones stay.
"""

from collections.abc import Callable

import msgspec

from expr.relation import (
    CardinalityCheck,
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
    Threshold,
    TopK,
    Union,
    Window,
    column_types,
)
from expr.scalar import ColumnRef, Scalar
from sql.equality import equality_pair
from sql.intrinsics import conjunction, conjuncts
from sql.optimizer.columns import (
    columns_of,
    expand_map,
    inline,
    is_volatile,
    rejects_null,
    remap,
    shift,
)
from sql.optimizer.joins import (
    FlatJoin,
    flatten,
    input_of,
    rebuild,
    starts_of,
    take_equalities,
)

Predicates = tuple[Scalar, ...]


def push_down(relation: Relation, predicates: Predicates = ()) -> Relation:
    """The rows of `relation` for which all of `predicates` are true, filtered early."""
    match relation:
        case Constant() | Get() | LocalGet():
            return _filter(relation, predicates)
        case Let(value=value, body=body):
            return Let(relation.id, push_down(value), push_down(body, predicates))
        case Project(input=source, outputs=outputs):
            return Project(push_down(source, tuple(remap(p, outputs) for p in predicates)), outputs)
        case Filter(input=source, predicates=own):
            return push_down(source, tuple(q for p in own for q in conjuncts(p)) + predicates)
        case Map():
            return _push_through_map(relation, predicates)
        case FlatMap(input=source):
            arity = len(column_types(source))
            return _push_below(relation, predicates, lambda p: _reads_below(p, arity))
        case Join():
            return _push_into_join(relation, predicates)
        case OuterJoin():
            return _push_into_outer_join(relation, predicates)
        case Reduce():
            return _push_through_reduce(relation, predicates)
        case TopK(group_key=group_key):
            keys = frozenset(group_key)
            return _push_below(relation, predicates, lambda p: bool(keys) and columns_of(p) <= keys)
        case Window(partition_by=partition_by):
            parts = frozenset(s.index for s in partition_by if isinstance(s, ColumnRef))
            return _push_below(
                relation, predicates, lambda p: bool(parts) and columns_of(p) <= parts
            )
        case Union(inputs=inputs):
            if any(map(is_volatile, predicates)):
                return _filter(Union(tuple(map(push_down, inputs))), predicates)
            return Union(tuple(push_down(part, predicates) for part in inputs))
        case Negate(input=source):
            return Negate(push_down(source, predicates))
        case Threshold(input=source):
            return Threshold(push_down(source, predicates))
        case CardinalityCheck(input=source, group_key=group_key):
            return _filter(CardinalityCheck(push_down(source), group_key), predicates)


def _filter(relation: Relation, predicates: Predicates) -> Relation:
    unique = tuple(dict.fromkeys(predicates))
    return Filter(relation, unique) if unique else relation


def _reads_below(predicate: Scalar, arity: int) -> bool:
    return all(index < arity for index in columns_of(predicate))


def _split(
    predicates: Predicates, sinks: Callable[[Scalar], bool]
) -> tuple[list[Scalar], list[Scalar]]:
    """(what sinks, what stays)."""
    sinking: list[Scalar] = []
    staying: list[Scalar] = []
    for predicate in predicates:
        (sinking if sinks(predicate) and not is_volatile(predicate) else staying).append(predicate)
    return sinking, staying


def _push_below(
    relation: FlatMap | TopK | Window, predicates: Predicates, sinks: Callable[[Scalar], bool]
) -> Relation:
    sinking, staying = _split(predicates, sinks)
    below = push_down(relation.input, tuple(sinking))
    return _filter(msgspec.structs.replace(relation, input=below), tuple(staying))


def _push_through_map(relation: Map, predicates: Predicates) -> Relation:
    types = column_types(relation.input)
    definitions = expand_map(types, relation.scalars)
    volatile = {i for i, definition in enumerate(definitions) if is_volatile(definition)}
    sinking, staying = _split(predicates, lambda p: volatile.isdisjoint(columns_of(p)))
    below = tuple(inline(predicate, definitions) for predicate in sinking)
    return _filter(Map(push_down(relation.input, below), relation.scalars), tuple(staying))


def _push_through_reduce(relation: Reduce, predicates: Predicates) -> Relation:
    keys = relation.group_key
    sinking, staying = _split(
        predicates,
        lambda p: (
            bool(keys)
            and _reads_below(p, len(keys))
            and not any(is_volatile(keys[i]) for i in columns_of(p))
        ),
    )
    below = tuple(inline(predicate, keys) for predicate in sinking)
    source = push_down(relation.input, below)
    return _filter(msgspec.structs.replace(relation, input=source), tuple(staying))


def _push_into_join(relation: Join | Filter, predicates: Predicates) -> Relation:
    flat = flatten(relation)
    flat.predicates += (inline(predicate, flat.outputs) for predicate in predicates)
    return _push_into_flat(flat)


def _push_into_flat(flat: FlatJoin) -> Relation:
    take_equalities(flat)
    starts = starts_of(flat.arities)
    for_input: list[list[Scalar]] = [[] for _ in flat.inputs]
    staying = []
    for predicate in flat.predicates:
        target = None if is_volatile(predicate) else input_of(predicate, starts)
        if target is None:
            staying.append(predicate)
        else:
            for_input[target].append(shift(predicate, -starts[target]))
    pushed = [push_down(part, tuple(own)) for part, own in zip(flat.inputs, for_input, strict=True)]
    again = FlatJoin(pushed, flat.equivalences, staying, flat.outputs)
    if any(len(flatten(part).inputs) > 1 for part in pushed):  # an outer join became inner
        return _push_into_flat(_flatten_again(again))
    return rebuild(again)


def _flatten_again(flat: FlatJoin) -> FlatJoin:
    inner = flatten(Join(tuple(flat.inputs), tuple(flat.equivalences)))
    inner.predicates += (inline(predicate, inner.outputs) for predicate in flat.predicates)
    inner.outputs = [inline(output, inner.outputs) for output in flat.outputs]
    return inner


def _push_into_outer_join(relation: OuterJoin, predicates: Predicates) -> Relation:
    left_arity = len(column_types(relation.left))
    if relation.kind in (JoinKind.SEMI, JoinKind.ANTI):
        return _push_into_semi_join(relation, predicates, left_arity)
    arity = left_arity + len(column_types(relation.right))
    left_columns = frozenset(range(left_arity))
    right_columns = frozenset(range(left_arity, arity))
    needs_left = any(rejects_null(p, left_columns) for p in predicates)
    needs_right = any(rejects_null(p, right_columns) for p in predicates)
    is_left = relation.kind is JoinKind.LEFT
    if needs_right and (is_left or needs_left):
        return _push_into_join(_as_inner(relation, left_arity), predicates)
    if not is_left and needs_right:
        return push_down(_swapped(relation, left_arity, arity), predicates)
    if not is_left and needs_left:
        relation = msgspec.structs.replace(relation, kind=JoinKind.LEFT)
        is_left = True
    if not is_left:
        pushed = msgspec.structs.replace(
            relation, left=push_down(relation.left), right=push_down(relation.right)
        )
        return _filter(pushed, predicates)
    sinking, staying = _split(predicates, lambda p: columns_of(p) <= left_columns)
    keys, residual, for_right = _matching(relation, left_arity)
    pushed = OuterJoin(
        JoinKind.LEFT,
        push_down(relation.left, tuple(sinking)),
        push_down(relation.right, for_right),
        keys,
        residual,
    )
    return _filter(pushed, tuple(staying))


def _push_into_semi_join(relation: OuterJoin, predicates: Predicates, left_arity: int) -> Relation:
    if relation.null_aware:
        return msgspec.structs.replace(
            relation,
            left=push_down(relation.left, predicates),
            right=push_down(relation.right),
        )
    keys, residual, for_right = _matching(relation, left_arity)
    return OuterJoin(
        relation.kind,
        push_down(relation.left, predicates),
        push_down(relation.right, for_right),
        keys,
        residual,
    )


def _matching(
    relation: OuterJoin, left_arity: int
) -> tuple[tuple[tuple[Scalar, Scalar], ...], Scalar | None, Predicates]:
    """(keys, residual, predicates for the right input alone) of the join's condition."""
    keys = list(relation.keys)
    residual: list[Scalar] = []
    for_right: list[Scalar] = []
    for part in () if relation.residual is None else conjuncts(relation.residual):
        read = columns_of(part)
        if is_volatile(part):
            residual.append(part)
        elif read and min(read) >= left_arity:
            for_right.append(shift(part, -left_arity))
        elif (pair := _key_pair(part, left_arity)) is not None:
            keys.append(pair)
        else:
            residual.append(part)
    return tuple(keys), conjunction(residual) if residual else None, tuple(for_right)


def _key_pair(part: Scalar, left_arity: int) -> tuple[Scalar, Scalar] | None:
    pair = equality_pair(part)
    if pair is None:
        return None
    reads = [columns_of(side) for side in pair]
    if not all(reads):
        return None
    for a, b in ((0, 1), (1, 0)):
        if max(reads[a]) < left_arity <= min(reads[b]):
            return pair[a], shift(pair[b], -left_arity)
    return None


def _as_inner(relation: OuterJoin, left_arity: int) -> Join | Filter:
    joined = Join(
        (relation.left, relation.right),
        tuple((left, shift(right, left_arity)) for left, right in relation.keys),
    )
    return joined if relation.residual is None else Filter(joined, (relation.residual,))


def _swapped(relation: OuterJoin, left_arity: int, arity: int) -> Relation:
    """A FULL join whose right rows all count, as a LEFT join of the right input."""
    right_arity = arity - left_arity
    positions = [*range(right_arity, arity), *range(right_arity)]
    residual = None if relation.residual is None else remap(relation.residual, positions)
    swapped = OuterJoin(
        JoinKind.LEFT,
        relation.right,
        relation.left,
        tuple((right, left) for left, right in relation.keys),
        residual,
    )
    return Project(swapped, tuple(positions))
