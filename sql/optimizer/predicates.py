"""Predicates move down to where they remove most; equalities become join keys.

`_push(node, predicates)` returns the rows of `node` for which all predicates are true. What a node
cannot pass on stays above it in a Filter. Predicates that reject nulls turn outer joins into inner
ones. Volatile predicates stay where they are. PostgreSQL takes the same liberties with predicates
that can raise errors.
"""

from core.allowance import checkpoint
from expr.relation import (
    CardinalityCheck,
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
    column_types,
    with_children,
)
from expr.scalar import Call, ColumnRef, Literal, Parameter, Scalar
from sql import intrinsics
from sql.equality import respects_equality
from sql.lowered_joins import split_keys
from sql.nullability import rejected_nulls
from sql.optimizer.joins import JoinBuilder
from sql.optimizer.volatility import is_volatile
from sql.scope import columns_in, map_columns, shift_columns

_MAX_INLINED = 3


def push_predicates(relation: Relation) -> Relation:
    """The relation with its predicates pushed down."""
    return _push(relation, [])


def _push(node: Relation, predicates: list[Scalar]) -> Relation:
    checkpoint()
    match node:
        case Filter(input=source, predicates=own):
            if any(map(is_volatile, own)):
                return _filtered(Filter(_push(source, []), own), predicates)
            flat = [part for test in own for part in intrinsics.conjuncts(test)]
            return _push(source, [*flat, *predicates])
        case Project(input=source, outputs=outputs):
            moved = [_through_project(test, outputs) for test in predicates]
            return Project(_push(source, moved), outputs)
        case Map():
            return _push_map(node, predicates)
        case Join():
            return _push_join(node, predicates)
        case OuterJoin():
            return _push_outer(node, predicates)
        case Reduce():
            return _push_reduce(node, predicates)
        case Union(inputs=inputs):
            return Union(tuple(_push(part, list(predicates)) for part in inputs))
        case Negate(input=source):
            return Negate(_push(source, predicates))
        case Threshold(input=source):
            return Threshold(_push(source, predicates))
        case TopK(input=source, group_key=key):
            low, high = _split_by_group(predicates, set(key))
            return _filtered(_with_input(node, _push(source, low)), high)
        case FlatMap(input=source):
            low, high = _split(predicates, set(range(len(column_types(source)))))
            return _filtered(_with_input(node, _push(source, low)), high)
        case Window(input=source, partition_by=partition_by):
            columns = {s.index for s in partition_by if isinstance(s, ColumnRef)}
            low, high = _split_by_group(predicates, columns)
            return _filtered(_with_input(node, _push(source, low)), high)
        case Let(id=local_id, value=value, body=body):
            return Let(local_id, _push(value, []), _push(body, predicates))
        case Recursion(base=base, step=step):
            return _filtered(with_children(node, (_push(base, []), _push(step, []))), predicates)
        case Fixpoint(values=values, body=body):
            pushed = (*(_push(value, []) for value in values), _push(body, predicates))
            return with_children(node, pushed)
        case CardinalityCheck(input=source) | Lookup(input=source):
            return _filtered(_with_input(node, _push(source, [])), predicates)
        case Constant() | Get() | LocalGet():
            return _filtered(node, predicates)


def _filtered(node: Relation, predicates: list[Scalar]) -> Relation:
    return Filter(node, tuple(predicates)) if predicates else node


def _with_input(node: Relation, source: Relation) -> Relation:
    return with_children(node, (source,))


def _columns(scalar: Scalar) -> set[int]:
    found: set[int] = set()
    columns_in(scalar, found)
    return found


def _split(predicates: list[Scalar], columns: set[int]) -> tuple[list[Scalar], list[Scalar]]:
    """The predicates over `columns` alone, and the others."""
    low: list[Scalar] = []
    high: list[Scalar] = []
    for test in predicates:
        (low if _columns(test) <= columns and not is_volatile(test) else high).append(test)
    return low, high


def _split_by_group(predicates: list[Scalar], keys: set[int]) -> tuple[list[Scalar], list[Scalar]]:
    """The predicates that are true of a whole group or of none of its rows, and the others."""
    over_keys, high = _split(predicates, keys)
    low: list[Scalar] = []
    for test in over_keys:
        (low if respects_equality(test) else high).append(test)
    return low, high


def _through_project(scalar: Scalar, outputs: tuple[int, ...]) -> Scalar:
    return map_columns(scalar, lambda ref: ColumnRef(outputs[ref.index], ref.type))


def _push_map(node: Map, predicates: list[Scalar]) -> Relation:
    width = len(column_types(node.input))
    low: list[Scalar] = []
    high: list[Scalar] = []
    for test in predicates:
        moved = _inlined(test, width, node.scalars)
        if moved is not None and not is_volatile(moved):
            low.append(moved)
        else:
            high.append(test)
    return _filtered(Map(_push(node.input, low), node.scalars), high)


def _inlined(test: Scalar, width: int, scalars: tuple[Scalar, ...]) -> Scalar | None:
    """`test` over the Map's input, if that repeats no costly work."""
    for _ in range(_MAX_INLINED):
        high = [index for index in _columns(test) if index >= width]
        if not high:
            return test
        for index in high:
            scalar = scalars[index - width]
            if not _is_cheap(scalar):
                return None
        test = map_columns(
            test, lambda ref: ref if ref.index < width else scalars[ref.index - width]
        )
    return None if any(index >= width for index in _columns(test)) else test


def _is_cheap(scalar: Scalar) -> bool:
    if isinstance(scalar, (ColumnRef, Literal, Parameter)):
        return True
    if isinstance(scalar, Call):
        return (
            len(scalar.args) <= 2
            and all(isinstance(arg, (ColumnRef, Literal, Parameter)) for arg in scalar.args)
            and not is_volatile(scalar)
        )
    return False


def _push_join(node: Join, predicates: list[Scalar]) -> Relation:
    builder = JoinBuilder()
    builder.add_join(node)
    for test in predicates:
        builder.add_predicate(test)
    return builder.build(_push)


def _push_reduce(node: Reduce, predicates: list[Scalar]) -> Relation:
    keys = node.group_key
    low, high = _split_by_group(predicates, set(range(len(keys))))
    moved = [map_columns(test, lambda ref: keys[ref.index]) for test in low]
    return _filtered(_with_input(node, _push(node.input, moved)), high)


# Outer joins


def _push_outer(node: OuterJoin, predicates: list[Scalar]) -> Relation:
    width = len(column_types(node.left))
    if node.kind in (JoinKind.SEMI, JoinKind.ANTI):
        return _push_semi(node, predicates, width)
    rejected: set[int] = set()
    for test in predicates:
        if not is_volatile(test):
            rejected |= rejected_nulls(test)
    rejects_left = any(index < width for index in rejected)
    rejects_right = any(index >= width for index in rejected)
    if node.kind is JoinKind.LEFT:
        if rejects_right:
            return _push(_as_inner(node, width), predicates)
        return _push_left(node, predicates, width)
    if rejects_left and rejects_right:
        return _push(_as_inner(node, width), predicates)
    if rejects_left:
        left = OuterJoin(JoinKind.LEFT, node.left, node.right, node.keys, node.residual)
        return _push(left, predicates)
    if rejects_right:
        return _push(_exchanged(node, width), predicates)
    joined = OuterJoin(
        node.kind, _push(node.left, []), _push(node.right, []), node.keys, node.residual
    )
    return _filtered(joined, predicates)


def _as_inner(node: OuterJoin, width: int) -> Relation:
    equivalences = tuple((left, shift_columns(right, width)) for left, right in node.keys)
    joined: Relation = Join((node.left, node.right), equivalences)
    if node.residual is not None:
        joined = Filter(joined, intrinsics.conjuncts(node.residual))
    return joined


def _exchanged(node: OuterJoin, width: int) -> Relation:
    """A full join that must keep right rows only: a left join of the exchanged sides."""
    right_width = len(column_types(node.right))

    def exchange(ref: ColumnRef) -> Scalar:
        moved = ref.index + right_width if ref.index < width else ref.index - width
        return ColumnRef(moved, ref.type)

    keys = tuple((right, left) for left, right in node.keys)
    residual = None if node.residual is None else map_columns(node.residual, exchange)
    joined = OuterJoin(JoinKind.LEFT, node.right, node.left, keys, residual)
    order = (*range(right_width, right_width + width), *range(right_width))
    return Project(joined, order)


def _push_left(node: OuterJoin, predicates: list[Scalar], width: int) -> Relation:
    low, high = _split(predicates, set(range(width)))
    keys, on_right, residual = _sort_residual(node, width, push_left=False)
    right_tests = [*on_right[1], *_transferred(low, keys)]
    joined = OuterJoin(
        JoinKind.LEFT, _push(node.left, low), _push(node.right, right_tests), keys, residual
    )
    return _filtered(joined, high)


def _push_semi(node: OuterJoin, predicates: list[Scalar], width: int) -> Relation:
    if node.null_aware:
        left = _push(node.left, [p for p in predicates if not is_volatile(p)])
        joined = OuterJoin(
            node.kind, left, _push(node.right, []), node.keys, node.residual, null_aware=True
        )
        return _filtered(joined, [p for p in predicates if is_volatile(p)])
    is_semi = node.kind is JoinKind.SEMI
    keys, (on_left, on_right), residual = _sort_residual(node, width, push_left=is_semi)
    low = [p for p in predicates if not is_volatile(p)]
    left_tests = [*low, *on_left]
    right_tests = [*on_right, *_transferred(left_tests, keys)]
    joined = OuterJoin(
        node.kind, _push(node.left, left_tests), _push(node.right, right_tests), keys, residual
    )
    return _filtered(joined, [p for p in predicates if is_volatile(p)])


def _sort_residual(
    node: OuterJoin, width: int, *, push_left: bool
) -> tuple[tuple[tuple[Scalar, Scalar], ...], tuple[list[Scalar], list[Scalar]], Scalar | None]:
    """(keys, (tests of the left side, tests of the right side), what remains)."""
    if node.residual is None:
        return node.keys, ([], []), None
    more, rest = split_keys([node.residual], width)
    lefts: list[Scalar] = []
    rights: list[Scalar] = []
    kept: list[Scalar] = []
    for test in () if rest is None else intrinsics.conjuncts(rest):
        columns = _columns(test)
        if is_volatile(test) or not columns:
            kept.append(test)
        elif all(index >= width for index in columns):
            rights.append(shift_columns(test, -width))
        elif push_left and all(index < width for index in columns):
            lefts.append(test)
        else:
            kept.append(test)
    residual = intrinsics.conjunction(kept) if kept else None
    return (*node.keys, *more), (lefts, rights), residual


def _transferred(left_tests: list[Scalar], keys: tuple[tuple[Scalar, Scalar], ...]) -> list[Scalar]:
    """Tests `key = constant` of the left side, said of the right side's equal key."""
    result: list[Scalar] = []
    for test in left_tests:
        if not (isinstance(test, Call) and test.function.startswith("=(")):
            continue
        for subject, constant in (test.args, test.args[::-1]):
            if not isinstance(constant, (Literal, Parameter)):
                continue
            for left, right in keys:
                if left == subject and right.type.oid == left.type.oid:
                    args = (right, constant) if test.args[0] is subject else (constant, right)
                    result.append(Call(test.function, args, test.type))
    return result
