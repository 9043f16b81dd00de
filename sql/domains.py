"""The domain of variables under which a plan is lowered, and scalars over its columns."""

from collections.abc import Callable
from dataclasses import dataclass

from core.sql_types import SqlType
from expr import relation as mir
from expr.relation import Relation
from expr.scalar import (
    ColumnRef,
    Parameter,
    Scalar,
    children,
    with_children,
)
from sql.scope import map_columns

UNIT = mir.Constant(((b"\x90", 1),), ())


@dataclass(frozen=True, slots=True)
class Domain:
    """The variables in force: `columns` says which column of `relation` holds each."""

    relation: Relation
    columns: dict[int, int]
    types: tuple[SqlType, ...]
    nullable: tuple[bool, ...]

    @property
    def width(self) -> int:
        return len(self.types)


NO_DOMAIN = Domain(UNIT, {}, (), ())


def within(scalar: Scalar, domain: Domain) -> Scalar:
    """A scalar over a node's columns as one over domain ++ columns, variables resolved."""
    if not domain.columns:
        return scalar
    return shift_within(scalar, domain)


def shift_within(scalar: Scalar, domain: Domain) -> Scalar:
    """The same, also for a domain without variables: its columns still come first."""
    width = domain.width

    def change(node: Scalar) -> Scalar:
        if isinstance(node, ColumnRef):
            return ColumnRef(node.index + width, node.type) if width else node
        if isinstance(node, Parameter):
            place = domain.columns.get(node.index)
            return node if place is None else ColumnRef(place, node.type)
        return node

    return rewrite(scalar, change)


def within_raw(scalar: Scalar, domain: Domain) -> Scalar:
    """Variables resolved to marked columns, other columns untouched."""
    if not domain.columns:
        return scalar

    def change(node: Scalar) -> Scalar:
        if isinstance(node, Parameter):
            place = domain.columns.get(node.index)
            if place is not None:
                # Columns of the domain come first: before shifting they are negative.
                return ColumnRef(place - domain.width, node.type)
        return node

    return rewrite(scalar, change)


def rewrite(scalar: Scalar, change: Callable[[Scalar], Scalar]) -> Scalar:
    """`scalar` with every leaf replaced by what `change` makes of it."""
    operands = children(scalar)
    if not operands:
        return change(scalar)
    replaced = tuple(rewrite(part, change) for part in operands)
    if all(new is old for new, old in zip(replaced, operands, strict=True)):
        return scalar
    return with_children(scalar, replaced)


def in_place(
    scalar: Scalar, places: dict[int, int], types: tuple[SqlType, ...], offset: int
) -> Scalar:
    """A scalar of a subquery over source ++ subquery's columns."""

    def change(node: Scalar) -> Scalar:
        if isinstance(node, ColumnRef):
            return ColumnRef(node.index + offset, node.type)
        if isinstance(node, Parameter) and node.index in places:
            index = places[node.index]
            return ColumnRef(index, types[index])
        return node

    return rewrite(scalar, change)


def place_apply(ref: ColumnRef, width: int, input_width: int, extra: int) -> Scalar:
    """A column of an `Apply` over domain, input and sub, where `extra` columns follow the input."""
    index = ref.index + width
    return ColumnRef(index if index < input_width else index + extra, ref.type)


def skip_columns(scalar: Scalar, start: int, count: int) -> Scalar:
    """`scalar` after `count` columns were put in at `start`."""
    return map_columns(
        scalar,
        lambda ref: ref if ref.index < start else ColumnRef(ref.index + count, ref.type),
    )


def through_project(scalar: Scalar, outputs: tuple[int, ...]) -> Scalar:
    """A scalar over a Project as one over its input."""
    return map_columns(scalar, lambda ref: ColumnRef(outputs[ref.index], ref.type))


def through_map(scalar: Scalar, width: int, scalars: tuple[Scalar, ...]) -> Scalar:
    """A scalar over a Map as one over its input, `width` columns wide."""

    def change(ref: ColumnRef) -> Scalar:
        if ref.index < width:
            return ref
        return through_map(scalars[ref.index - width], width, scalars)

    return map_columns(scalar, change)
