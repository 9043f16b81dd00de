"""Set-returning functions in a select list: how they multiply its rows.

Calls run side by side, as long as the longest of them; the shorter ones give nulls. A call within
the arguments of another runs before it. Source: PostgreSQL's ProjectSet.
"""

from collections.abc import Iterator

from core.sql_types import INT8
from expr.scalar import Call, Coalesce, ColumnRef, Parameter, Scalar
from sql import hir, intrinsics
from sql.hir import Hir, JoinKind, types_of
from sql.pending import Pending, PendingRows, Substitution
from sql.scope import columns_in


def attach_rows(
    relation: Hir,
    width: int,
    pending: Pending,
    substitution: Substitution,
    variables: Iterator[int],
) -> tuple[Hir, int]:
    """Apply the functions waiting in `pending`; the relation and its new width.

    `substitution` then knows their columns too. `variables` gives new variables.
    """
    waiting = list(pending.rows or ())
    while waiting:
        unknown = {index for rows in waiting for index in rows.indices}
        ready = [rows for rows in waiting if not _names_any(rows.args, unknown)]
        waiting = [rows for rows in waiting if rows not in ready]
        if len(ready) == 1:
            (rows,) = ready
            args = tuple(map(substitution.apply, rows.args))
            relation = hir.FlatMap(relation, rows.function, args, rows.types)
        else:
            bindings, sub = _side_by_side(ready, substitution, variables)
            relation = hir.Apply(hir.ApplyKind.CROSS, relation, bindings, sub)
        for rows in ready:
            for index, column_type in zip(rows.indices, rows.types, strict=True):
                substitution.real[index] = ColumnRef(width, column_type)
                width += 1
    return relation, width


def _names_any(scalars: tuple[Scalar, ...], indices: set[int]) -> bool:
    found: set[int] = set()
    for scalar in scalars:
        columns_in(scalar, found)
    return bool(found & indices)


def _side_by_side(
    ready: list[PendingRows], substitution: Substitution, variables: Iterator[int]
) -> tuple[tuple[hir.Binding, ...], Hir]:
    """The calls' columns in one relation, rows matched by their number."""
    bindings: list[hir.Binding] = []
    sub: Hir | None = None
    for rows in ready:
        args = []
        for arg in rows.args:
            real = substitution.apply(arg)
            variable = next(variables)
            bindings.append((variable, real))
            args.append(Parameter(variable, real.type))
        part = hir.FlatMap(hir.UNIT, rows.function, tuple(args), rows.types, ordinality=True)
        sub = part if sub is None else _beside(sub, part)
    assert sub is not None
    return tuple(bindings), hir.Project(sub, tuple(range(len(types_of(sub)) - 1)))


def _beside(left: Hir, right: Hir) -> Hir:
    """Two relations, each with an ordinal as its last column, joined by it."""
    at_left = len(types_of(left)) - 1
    at_right = at_left + len(types_of(right))
    a, b = ColumnRef(at_left, INT8), ColumnRef(at_right, INT8)
    test = Call("=(int8,int8)", (a, b), intrinsics.TRUE.type)
    joined = hir.Join(JoinKind.FULL, left, right, (test,))
    mapped = hir.Map(joined, (Coalesce((a, b), INT8),))
    columns = [index for index in range(at_right) if index != at_left]
    return hir.Project(mapped, (*columns, at_right + 1))
