"""What the shape of a planned query says: how many rows it can have, what it is made of."""

from expr.scalar import (
    Parameter,
    Scalar,
)
from sql import hir
from sql.domains import rewrite
from sql.hir import ApplyKind, Hir


def scalars_only(sub: Hir) -> tuple[tuple[Scalar, ...], tuple[int, ...]] | None:
    """(scalars, which of them are columns) when `sub` is one row of scalars: no FROM."""
    match sub:
        case hir.Map(input=source, scalars=scalars) if source == hir.UNIT:
            return scalars, tuple(range(len(scalars)))
        case hir.Project(input=hir.Map(input=source, scalars=scalars), outputs=outputs) if (
            source == hir.UNIT
        ):
            return scalars, outputs
    return None


def is_row_wise(sub: Hir) -> bool:
    """Whether `sub` reads nothing but its variables, one binding at a time: then its rows follow
    each row of the input as they are, equal bindings repeated."""
    match sub:
        case (
            hir.Map(input=source)
            | hir.Filter(input=source)
            | hir.Project(input=source)
            | hir.FlatMap(input=source)
        ):
            return is_row_wise(source)
    return sub == hir.UNIT


def yields_one_row_at_most(node: Hir) -> bool:
    """Whether `node` has one row at most, for each value of its variables."""
    match node:
        case hir.Reduce(group_key=()):
            return True
        case hir.Constant(rows=rows):
            return sum(count for _, count in rows) <= 1
        case hir.Map(input=source) | hir.Project(input=source) | hir.Filter(input=source):
            return yields_one_row_at_most(source)
        case hir.TopK(group_key=(), limit=limit):
            return limit is not None and limit <= 1
        case hir.Apply(kind=ApplyKind.SCALAR | ApplyKind.SEMI | ApplyKind.ANTI, input=source):
            return yields_one_row_at_most(source)
    return False


def yields_one_row(node: Hir) -> bool:
    """Whether `node` has exactly one row, for each value of its variables."""
    match node:
        case hir.Reduce(group_key=(), default=True):
            return True
        case hir.Constant(rows=rows):
            return sum(count for _, count in rows) == 1
        case hir.Map(input=source) | hir.Project(input=source):
            return yields_one_row(source)
        case hir.Apply(kind=ApplyKind.SCALAR, input=source):
            return yields_one_row(source)
    return False


def count_uses(node: Hir, uses: dict[int, int]) -> None:
    """Add how often each shared relation is named below `node` to `uses`."""
    if isinstance(node, hir.LocalGet):
        uses[node.id] = uses.get(node.id, 0) + 1
    for source in hir.inputs_of(node):
        count_uses(source, uses)


def substitute_variables(node: Hir, constants: dict[int, Scalar]) -> Hir:
    """`node` with variables replaced by constants."""
    return hir.map_scalars(
        node,
        lambda scalar: rewrite(
            scalar,
            lambda part: constants.get(part.index, part) if isinstance(part, Parameter) else part,
        ),
    )
