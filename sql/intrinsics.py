"""Scalars that the planner builds itself, without overload resolution.

The functions behind them are registered like any other; their ids are fixed here.
"""

from typing import Final

from core.sql_types import BOOL, RECORD, SqlType
from expr.scalar import (
    And,
    Call,
    Coalesce,
    ColumnRef,
    Literal,
    Or,
    Scalar,
    literal,
)

TRUE: Final = literal(True, BOOL)
FALSE: Final = literal(False, BOOL)
NULL_BOOL: Final = literal(None, BOOL)
IS_NULL: Final = "is_null(any)"
NOT: Final = "not(bool)"
NOT_DISTINCT: Final = "is_not_distinct_from(anycompatible,anycompatible)"


def null_of(sql_type: SqlType) -> Literal:
    """The null of a type."""
    return literal(None, sql_type)


def is_null(arg: Scalar) -> Scalar:
    """`arg IS NULL`."""
    if isinstance(arg, Literal):
        return TRUE if arg.is_null else FALSE
    return Call(IS_NULL, (arg,), BOOL)


def negate(arg: Scalar) -> Scalar:
    """`NOT arg`."""
    if isinstance(arg, Call) and arg.function == NOT:
        return arg.args[0]
    if arg == TRUE:
        return FALSE
    if arg == FALSE:
        return TRUE
    return Call(NOT, (arg,), BOOL)


def conjunction(args: list[Scalar]) -> Scalar:
    """AND of any number of conditions."""
    flat: list[Scalar] = []
    for arg in args:
        flat.extend(arg.args if isinstance(arg, And) else (arg,))
    if not flat:
        return TRUE
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def disjunction(args: list[Scalar]) -> Scalar:
    """OR of any number of conditions."""
    flat: list[Scalar] = []
    for arg in args:
        flat.extend(arg.args if isinstance(arg, Or) else (arg,))
    if not flat:
        return FALSE
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def conjuncts(scalar: Scalar) -> tuple[Scalar, ...]:
    """The conditions that `scalar` is the AND of."""
    return scalar.args if isinstance(scalar, And) else (scalar,)


def is_true(arg: Scalar) -> Scalar:
    """`arg IS TRUE`."""
    return Call("is_true(bool)", (arg,), BOOL)


def not_distinct(left: Scalar, right: Scalar) -> Scalar:
    """`left IS NOT DISTINCT FROM right`, both of one type."""
    if isinstance(left, Literal) and left.is_null:
        return is_null(right)
    if isinstance(right, Literal) and right.is_null:
        return is_null(left)
    return Call(NOT_DISTINCT, (left, right), BOOL)


def equal_nulls_key(arg: Scalar) -> Scalar | None:
    """A scalar that is never null and equal for two rows exactly when `arg` is not distinct;
    None where the type has none."""
    array_type = arg.type.array
    return None if array_type is None else array_of((arg,), array_type)


def or_else(arg: Scalar, default: Scalar) -> Scalar:
    """`coalesce(arg, default)`."""
    return Coalesce((arg, default), arg.type)


def column(index: int, sql_type: SqlType) -> ColumnRef:
    """A column of the input."""
    return ColumnRef(index, sql_type)


def array_of(elements: tuple[Scalar, ...], array_type: SqlType) -> Scalar:
    """`ARRAY[…]` of elements of one type."""
    return Call("array_of(anycompatible)", elements, array_type)


def array_of_arrays(elements: tuple[Scalar, ...], array_type: SqlType) -> Scalar:
    """`ARRAY[…]` whose elements are arrays of one type: one more dimension."""
    return Call("array_of(anycompatible)", elements, array_type)


def row_of(fields: tuple[Scalar, ...]) -> Scalar:
    """`ROW(…)`."""
    return Call("row_of(any)", fields, RECORD)


def subscript(array: Scalar, indices: tuple[Scalar, ...], element: SqlType) -> Scalar:
    """`array[i][j]…`."""
    return Call("subscript(anyarray,int4)", (array, *indices), element)


def array_slice(array: Scalar, bounds: tuple[Scalar, ...]) -> Scalar:
    """`array[a:b][c:d]…`."""
    return Call("slice(anyarray,int4,int4)", (array, *bounds), array.type)
