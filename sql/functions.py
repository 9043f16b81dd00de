"""Function calls by name: candidates from the registry and from the catalog macros.

Which overload is meant depends on the name, on the argument types and on nothing else, so answers
are cached.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import expr.library  # noqa: F401  (fills the registry)
from core.errors import AMBIGUOUS_FUNCTION, TOO_MANY_ARGUMENTS, UNDEFINED_FUNCTION, SqlError
from core.sql_types import ANY, SqlType
from expr.registry import Function, FunctionKind, functions_named
from expr.scalar import Scalar
from sql import limits
from sql.catalog_functions import (
    CatalogFunction,
    CatalogTableFunction,
    catalog_functions_named,
    catalog_table_functions_named,
)
from sql.coercion import Coercer
from sql.overloads import Ambiguous, Candidate, resolve_polymorphic, select

_CACHE_SIZE: Final = 16_384
_SCHEMAS: Final = frozenset(
    {"pg_catalog", "mz_catalog", "mz_internal", "mz_unsafe", "information_schema"}
)
_NOT_CALLABLE: Final = frozenset({FunctionKind.OPERATOR, FunctionKind.CAST})

AnyFunction = Function | CatalogFunction | CatalogTableFunction


@dataclass(frozen=True, slots=True)
class Resolved:
    """A function with the types its arguments are coerced to, and its result type."""

    function: AnyFunction
    args: tuple[SqlType, ...]
    returns: SqlType


def local_name(name: Sequence[str]) -> str | None:
    """The last part of a function's name; None for a schema that has no functions."""
    if len(name) == 1 or (len(name) == 2 and name[0] in _SCHEMAS):
        return name[-1]
    return None


@lru_cache(maxsize=1024)
def kinds_named(name: str) -> frozenset[FunctionKind]:
    """The kinds of the functions of that name."""
    kinds = {f.kind for f in functions_named(name)} - _NOT_CALLABLE
    if catalog_functions_named(name):
        kinds.add(FunctionKind.SCALAR)
    if catalog_table_functions_named(name):
        kinds.add(FunctionKind.TABLE)
    return frozenset(kinds)


@lru_cache(maxsize=_CACHE_SIZE)
def resolve(
    name: str, oids: tuple[int, ...], kind: FunctionKind | None, variadic: bool
) -> Resolved | None:
    """The overload that a call means, None when there is none. Raises Ambiguous, and SqlError for
    polymorphic arguments that do not agree."""
    functions: list[AnyFunction] = [
        f
        for f in functions_named(name)
        if f.kind not in _NOT_CALLABLE and (kind is None or f.kind is kind)
    ]
    if kind is None or kind is FunctionKind.SCALAR:
        functions.extend(catalog_functions_named(name))
    if kind is None or kind is FunctionKind.TABLE:
        functions.extend(catalog_table_functions_named(name))
    candidates = []
    for key, function in enumerate(functions):
        candidate = _candidate(key, function, len(oids), variadic)
        if candidate is not None:
            candidates.append(candidate)
    actual = tuple(SqlType(oid) for oid in oids)
    chosen = select(candidates, actual, is_operator=False)
    if chosen is None:
        return None
    function = functions[chosen.key]
    returns = function.returns if not isinstance(function, CatalogTableFunction) else SqlType(2249)
    args, returns = resolve_polymorphic(chosen.args, actual, returns)
    return Resolved(function, args, returns)


def _candidate(key: int, function: AnyFunction, count: int, variadic: bool) -> Candidate | None:
    if not isinstance(function, Function):
        return Candidate(key, function.parameters) if len(function.parameters) == count else None
    args = function.args
    if not function.variadic or variadic:
        return Candidate(key, args) if len(args) == count else None
    fixed, last = args[:-1], args[-1]
    if count < len(args):
        return None
    element = _spread_type(last)
    return Candidate(key, (*fixed, *(element,) * (count - len(fixed))), is_variadic=True)


def _spread_type(last: SqlType) -> SqlType:
    """What each spread argument is declared as. A variadic `any` or pseudo-element stands for
    itself, an array type for its elements."""
    match last.name:
        case "anyarray":
            return SqlType(2283)
        case "anycompatiblearray":
            return SqlType(5077)
    return last if last.element is None else last.element


def call_arguments(
    coercer: Coercer, resolved: Resolved, args: Sequence[Scalar]
) -> tuple[Scalar, ...]:
    """The arguments coerced to what the function takes."""
    return tuple(
        arg if arg.type.oid == wanted.oid else coercer.coerce(arg, wanted)
        for arg, wanted in zip(args, resolved.args, strict=True)
    )


def undefined_function(name: Sequence[str], args: Sequence[Scalar], pos: int) -> SqlError:
    """PostgreSQL's error for a call that no function fits."""
    return SqlError(
        UNDEFINED_FUNCTION,
        f"function {signature(name, args)} does not exist",
        hint="No function matches the given name and argument types. "
        "You might need to add explicit type casts.",
        position=pos + 1,
    )


def ambiguous_function(name: Sequence[str], args: Sequence[Scalar], pos: int) -> SqlError:
    """PostgreSQL's error for a call that several functions fit."""
    return SqlError(
        AMBIGUOUS_FUNCTION,
        f"function {signature(name, args)} is not unique",
        hint="Could not choose a best candidate function. "
        "You might need to add explicit type casts.",
        position=pos + 1,
    )


def signature(name: Sequence[str], args: Sequence[Scalar]) -> str:
    """`name(type, …)` as errors show it."""
    return f"{'.'.join(name)}({', '.join(arg.type.info.sql_name for arg in args)})"


def find(
    name: Sequence[str],
    args: Sequence[Scalar],
    kind: FunctionKind | None,
    pos: int,
    *,
    variadic: bool = False,
) -> Resolved | None:
    """`resolve` on planned arguments, with PostgreSQL's errors."""
    if len(args) > limits.MAX_ARGUMENTS:
        raise SqlError(
            TOO_MANY_ARGUMENTS,
            f"cannot pass more than {limits.MAX_ARGUMENTS} arguments to a function",
            position=pos + 1,
        )
    local = local_name(name)
    if local is None:
        return None
    oids = tuple(arg.type.oid for arg in args)
    try:
        return resolve(local, oids, kind, variadic)
    except Ambiguous:
        raise ambiguous_function(name, args, pos) from None
    except SqlError as error:
        raise SqlError(error.sqlstate, error.message, position=pos + 1) from None


def is_any(sql_type: SqlType) -> bool:
    """Whether an argument of this declared type takes a value of any type."""
    return sql_type.oid == ANY.oid
