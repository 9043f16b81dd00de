"""Aggregate functions: their resolution by name and argument types."""

from collections.abc import Sequence

from core.sql_types import SqlType
from expr.registry import Function, FunctionKind
from expr.scalar import Scalar
from sql.coercion import Coercer
from sql.functions import call_arguments, find, undefined_function


def resolve_aggregate(
    name: str, args: Sequence[Scalar], coercer: Coercer, pos: int
) -> tuple[Function, tuple[Scalar, ...], SqlType]:
    """(function, coerced arguments, result type). Raises SqlError 42883."""
    resolved = find((name,), args, FunctionKind.AGGREGATE, pos)
    if resolved is None or not isinstance(resolved.function, Function):
        raise undefined_function((name,), args, pos)
    return resolved.function, call_arguments(coercer, resolved, args), resolved.returns
