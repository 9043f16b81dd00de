"""What scalars say about columns, and rewriting them when columns move."""

from collections.abc import Callable, Iterable, Sequence

from core.sql_types import SqlType
from expr.registry import FunctionKind, function_by_id
from expr.scalar import (
    And,
    Call,
    ColumnRef,
    Literal,
    Or,
    Parameter,
    Scalar,
    children,
    with_children,
)


def columns_of(scalar: Scalar) -> frozenset[int]:
    """The columns that `scalar` reads."""
    found: set[int] = set()
    _collect(scalar, found)
    return frozenset(found)


def columns_of_all(scalars: Iterable[Scalar]) -> frozenset[int]:
    """The columns that any of `scalars` reads."""
    found: set[int] = set()
    for scalar in scalars:
        _collect(scalar, found)
    return frozenset(found)


def rewrite_columns(scalar: Scalar, change: Callable[[ColumnRef], Scalar]) -> Scalar:
    """`scalar` with every column reference replaced."""
    if isinstance(scalar, ColumnRef):
        return change(scalar)
    operands = children(scalar)
    if not operands:
        return scalar
    new = tuple(rewrite_columns(operand, change) for operand in operands)
    return scalar if new == operands else with_children(scalar, new)


def remap(scalar: Scalar, positions: Sequence[int] | dict[int, int]) -> Scalar:
    """`scalar` with column i replaced by column `positions[i]`."""
    return rewrite_columns(scalar, lambda column: ColumnRef(positions[column.index], column.type))


def shift(scalar: Scalar, by: int) -> Scalar:
    """`scalar` with every column index raised by `by`."""
    if by == 0:
        return scalar
    return rewrite_columns(scalar, lambda column: ColumnRef(column.index + by, column.type))


def inline(scalar: Scalar, definitions: Sequence[Scalar]) -> Scalar:
    """`scalar` with column i replaced by `definitions[i]`."""
    return rewrite_columns(scalar, lambda column: definitions[column.index])


def expand_map(types: Sequence[SqlType], scalars: Sequence[Scalar]) -> list[Scalar]:
    """A Map's output columns as scalars over its input alone, whose columns are of `types`."""
    definitions: list[Scalar] = [ColumnRef(i, t) for i, t in enumerate(types)]
    for scalar in scalars:
        definitions.append(inline(scalar, definitions))
    return definitions


def is_volatile(scalar: Scalar) -> bool:
    """Whether evaluating `scalar` twice may give two results."""
    if isinstance(scalar, Call) and function_by_id(scalar.function).volatile:
        return True
    return any(map(is_volatile, children(scalar)))


def is_constant(scalar: Scalar) -> bool:
    """Whether `scalar` has one value that is known when planning."""
    match scalar:
        case ColumnRef() | Parameter():
            return False
        case Call(function=function_id):
            function = function_by_id(function_id)
            if function.volatile or function.kind is FunctionKind.SESSION:
                return False
    return all(map(is_constant, children(scalar)))


def rejects_null(predicate: Scalar, columns: frozenset[int]) -> bool:
    """Whether `predicate` is surely not true when all of `columns` are null."""
    match predicate:
        case And(args=args):
            return any(rejects_null(arg, columns) for arg in args)
        case Or(args=args):
            return all(rejects_null(arg, columns) for arg in args)
        case Call(function="not(bool)", args=(Call(function="is_null(any)", args=(arg,)),)):
            return is_null_when(arg, columns)
        case Call(function="is_true(bool)", args=(arg,)):
            return rejects_null(arg, columns)
        case _:
            return is_null_when(predicate, columns)


def is_null_when(scalar: Scalar, columns: frozenset[int]) -> bool:
    """Whether `scalar` is surely null when all of `columns` are null."""
    match scalar:
        case ColumnRef(index=index):
            return index in columns
        case Literal():
            return scalar.is_null
        case Call(function=function_id, args=args):
            return function_by_id(function_id).strict and any(
                is_null_when(arg, columns) for arg in args
            )
        case _:
            return False


def _collect(scalar: Scalar, found: set[int]) -> None:
    if isinstance(scalar, ColumnRef):
        found.add(scalar.index)
    for operand in children(scalar):
        _collect(operand, found)
