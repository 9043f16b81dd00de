"""Operators: which one a symbol and two types mean, and the call of it."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import repeat
from typing import Final

from core.errors import AMBIGUOUS_FUNCTION, UNDEFINED_FUNCTION, SqlError
from core.sql_types import SqlType
from expr.registry import Function, FunctionKind, functions_named
from expr.scalar import Call, Scalar
from sql.coercion import Coercer
from sql.overloads import Ambiguous, Candidate, resolve_polymorphic, select

_CACHE_SIZE: Final = 16_384
_SYSTEM_SCHEMAS: Final = frozenset({None, "pg_catalog", "mz_catalog", "mz_internal"})


def operator_call(
    coercer: Coercer,
    name: str,
    operands: tuple[Scalar, ...],
    pos: int,
    schema: str | None = None,
    places: Sequence[int | None] = (),
) -> Scalar:
    """The call of operator `name`. `places` are the operands' positions, for errors about their
    values. Raises SqlError 42883 or 42725."""
    oids = tuple(operand.type.oid for operand in operands)
    resolved = _resolve(name, oids) if schema in _SYSTEM_SCHEMAS else None
    if resolved is None:
        raise SqlError(
            UNDEFINED_FUNCTION,
            f"operator does not exist: {_describe(name, operands)}",
            hint="No operator matches the given name and argument types. "
            "You might need to add explicit type casts."
            if len(operands) > 1
            else "No operator matches the given name and argument type. "
            "You might need to add an explicit type cast.",
            position=pos + 1,
        )
    function, types, returns = resolved
    if function is None:
        raise SqlError(
            AMBIGUOUS_FUNCTION,
            f"operator is not unique: {_describe(name, operands)}",
            hint="Could not choose a best candidate operator. "
            "You might need to add explicit type casts.",
            position=pos + 1,
        )
    args = tuple(
        operand
        if operand.type.oid == wanted.oid
        else coercer.coerce(operand, wanted, position=place)
        for operand, wanted, place in zip(
            operands, types, places or repeat(None, len(operands)), strict=True
        )
    )
    return Call(function, args, returns)


@lru_cache(maxsize=_CACHE_SIZE)
def _resolve(
    name: str, oids: tuple[int, ...]
) -> tuple[str | None, tuple[SqlType, ...], SqlType] | None:
    """(function id, argument types, result type); None: no such operator; id None: ambiguous."""
    functions: list[Function] = [
        f
        for f in functions_named(name)
        if f.kind is FunctionKind.OPERATOR and len(f.args) == len(oids)
    ]
    candidates = [Candidate(i, f.args) for i, f in enumerate(functions)]
    actual = tuple(SqlType(oid) for oid in oids)
    try:
        chosen = select(candidates, actual, is_operator=True)
    except Ambiguous:
        return None, (), SqlType(16)
    if chosen is None:
        return None
    function = functions[chosen.key]
    args, returns = resolve_polymorphic(function.args, actual, function.returns)
    return function.id, args, returns


def equality_id(left: SqlType, right: SqlType) -> str:
    """The id of the operator `=` on two types that can be compared as they are."""
    resolved = _resolve("=", (left.oid, right.oid))
    assert resolved is not None and resolved[0] is not None
    return resolved[0]


def _describe(name: str, operands: tuple[Scalar, ...]) -> str:
    names = [operand.type.info.sql_name for operand in operands]
    return f"{name} {names[0]}" if len(names) == 1 else f"{names[0]} {name} {names[1]}"
