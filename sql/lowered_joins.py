"""Joins of relations as decorrelation builds them: keys, filters, the merge of two domains."""

from collections.abc import Sequence

from core.rows import Array
from core.sql_types import INT8
from expr import relation as mir
from expr.relation import Aggregate, Relation, column_types
from expr.scalar import (
    Call,
    ColumnRef,
    Scalar,
    literal,
)
from sql import intrinsics
from sql.domains import UNIT, Domain
from sql.equality import equality_pair
from sql.hir import ApplyKind
from sql.operators import equality_id
from sql.scope import columns_in, map_columns, shift_columns


def inner_join(
    left: Relation,
    right: Relation,
    on: list[Scalar],
    pairs: list[tuple[Scalar, Scalar]],
) -> Relation:
    """Inner join on predicates and pairs of equal scalars, all over the concatenation."""
    joined: Relation = mir.Join((left, right), tuple(pairs))
    return mir.Filter(joined, tuple(on)) if on else joined


def product(left: Relation, right: Relation) -> Relation:
    """The cross product; the relation of one row without columns adds nothing to it."""
    if left == UNIT:
        return right
    if right == UNIT:
        return left
    return mir.Join((left, right), ())


def split_keys(
    on: list[Scalar], split: int
) -> tuple[tuple[tuple[Scalar, Scalar], ...], Scalar | None]:
    """The equalities between the sides as key pairs (each over its own side), and the rest."""
    keys: list[tuple[Scalar, Scalar]] = []
    rest: list[Scalar] = []
    for test in (part for predicate in on for part in intrinsics.conjuncts(predicate)):
        pair = equality_pair(test)
        sided = None if pair is None else _sided(pair, split)
        if sided is None:
            rest.append(test)
        else:
            keys.append(sided)
    return tuple(keys), (intrinsics.conjunction(rest) if rest else None)


def _sided(pair: tuple[Scalar, Scalar], split: int) -> tuple[Scalar, Scalar] | None:
    for left, right in (pair, pair[::-1]):
        lefts: set[int] = set()
        rights: set[int] = set()
        columns_in(left, lefts)
        columns_in(right, rights)
        if (
            lefts
            and rights
            and all(index < split for index in lefts)
            and all(index >= split for index in rights)
        ):
            return left, shift_columns(right, -split)
    return None


def right_based(
    pairs: list[tuple[Scalar, Scalar]], split: int
) -> tuple[tuple[Scalar, Scalar], ...]:
    """Pairs over the concatenation with the right scalars over the right side alone."""
    return tuple((left, shift_columns(right, -split)) for left, right in pairs)


def null_safe_pairs(left: Scalar, right: Scalar, nullable: bool) -> list[tuple[Scalar, Scalar]]:
    """Key pairs under which two columns match when they are not distinct."""
    if not nullable:
        return [(left, right)]
    left_key, right_key = intrinsics.equal_nulls_key(left), intrinsics.equal_nulls_key(right)
    if left_key is not None and right_key is not None:
        return [(left_key, right_key)]
    empty = literal(Array((), ()), left.type) if left.type.element is not None else None
    if empty is None:
        return [(left, right)]
    return [
        (intrinsics.or_else(left, empty), intrinsics.or_else(right, empty)),
        (intrinsics.is_null(left), intrinsics.is_null(right)),
    ]


def equality_of(left: Scalar, right: Scalar) -> Scalar:
    """The equality of two scalars that can be compared as they are."""
    return Call(equality_id(left.type, right.type), (left, right), intrinsics.TRUE.type)


def filtered_join(
    kind: ApplyKind,
    source: Relation,
    right: Relation,
    tests: Sequence[Scalar],
    on: tuple[Scalar, ...],
    outputs: tuple[int, ...] | None,
) -> Relation:
    """`source` applied to an uncorrelated `right`: a join whose predicates are `tests` and `on`.

    `outputs` are the columns of `right` that are wanted; None: all.
    """
    split = len(column_types(source))
    right_width = len(column_types(right))
    kept = tuple(range(right_width)) if outputs is None else outputs
    extra = [
        map_columns(
            test,
            lambda ref: (
                ref if ref.index < split else ColumnRef(split + kept[ref.index - split], ref.type)
            ),
        )
        for test in on
    ]
    joined: Relation
    if kind is ApplyKind.CROSS:
        joined = inner_join(source, right, [*tests, *extra], [])
    else:
        keys, residual = split_keys([*tests, *extra], split)
        joined = mir.OuterJoin(mir.JoinKind(kind.value), source, right, keys, residual)
    if outputs is None or kind in (ApplyKind.SEMI, ApplyKind.ANTI):
        return joined
    return mir.Project(joined, (*range(split), *(split + index for index in outputs)))


def merge_domain(joined: Relation, domain: Domain, left_width: int, right_width: int) -> Relation:
    """A full join may have the domain's columns from either side."""
    width = domain.width
    right_start = width + left_width
    merged = tuple(
        intrinsics.or_else(ColumnRef(i, t), ColumnRef(right_start + i, t))
        for i, t in enumerate(domain.types)
    )
    total = right_start + width + right_width
    mapped = mir.Map(joined, merged)
    return mir.Project(
        mapped,
        (
            *range(total, total + width),
            *range(width, right_start),
            *range(right_start + width, total),
        ),
    )


def with_defaults(joined: Relation, width: int, aggregates: tuple[Aggregate, ...]) -> Relation:
    """domain ++ (domain ++ aggregates, maybe null) as domain ++ aggregates: counts become 0."""
    first = width * 2
    outputs = list(range(width))
    mapped: list[Scalar] = []
    total = first + len(aggregates)
    for index, aggregate in enumerate(aggregates):
        if aggregate.function.startswith("count("):
            mapped.append(
                intrinsics.or_else(ColumnRef(first + index, aggregate.type), literal(0, INT8))
            )
            outputs.append(total + len(mapped) - 1)
        else:
            outputs.append(first + index)
    relation = mir.Map(joined, tuple(mapped)) if mapped else joined
    return mir.Project(relation, tuple(outputs))
