"""The registry of functions, operators, aggregates, table functions and casts.

The planner asks it by name for candidates, a replica asks it by id for implementations. Adding a
function is adding a row: modules under `expr/functions/` build `Function` values and hand them to
`register`. Ids have the form `name(argtype,...)` with pg_type names, operators use their symbol as
name, e.g. `lower(text)`, `+(int4,int4)`, casts `cast(int4,text)`. Ids are never reused for another
meaning: plans name functions by them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, Final

from core.sql_types import TYPES_BY_NAME, Column, SqlType
from expr.scalar import EvaluationContext

MAX_DERIVED_FUNCTIONS: Final = 4096


class FunctionKind(StrEnum):
    """What a function is called with and gives back."""

    SCALAR = "scalar"
    OPERATOR = "operator"
    CAST = "cast"
    SESSION = "session"  # no implementation: replaced by a literal before a plan runs
    AGGREGATE = "aggregate"
    TABLE = "table"
    WINDOW = "window"


class CastContext(StrEnum):
    """Where a cast applies without being written (pg_cast.castcontext)."""

    IMPLICIT = "implicit"
    ASSIGNMENT = "assignment"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True)
class CallSite:
    """What a call of a polymorphic function knows: its argument and result types (never
    polymorphic, modifiers allowed) and the session's settings."""

    args: tuple[SqlType, ...]
    returns: SqlType
    context: EvaluationContext


@dataclass(frozen=True, slots=True)
class Function:
    """One overload.

    `implementation` takes the arguments' datums (the `EvaluationContext` first if `needs_context`)
    and returns the result's; a TABLE function's returns an iterable of rows; an AGGREGATE's is an
    `expr.aggregates.AggregateFunction`. A strict function is never called with a null and returns
    null instead. With `variadic`, the last of `args` is an array type and the call site passes its
    elements as separate arguments (a variadic `any` takes arguments of any types). Argument and
    result types may be polymorphic pseudo-types; modifiers never occur. With `needs_types` the
    implementation takes a `CallSite` and returns the callable for that site. Callers never call
    `implementation` themselves but what `bind` makes of it.
    """

    id: str
    name: str
    kind: FunctionKind
    args: tuple[SqlType, ...]
    returns: SqlType
    implementation: Callable[..., Any] | None
    strict: bool = True
    variadic: bool = False
    needs_context: bool = False
    volatile: bool = False
    columns: tuple[Column, ...] = ()  # result columns of a TABLE function
    needs_types: bool = False


@dataclass(frozen=True, slots=True)
class Cast:
    """How a value of one type becomes another; `function` None means the datum stays as it is."""

    source: SqlType
    target: SqlType
    context: CastContext
    function: str | None


_functions: dict[str, Function] = {}
_by_name: dict[str, list[Function]] = {}
_casts: dict[tuple[int, int], Cast] = {}
_derivations: list[Callable[[str], Function | None]] = []


def register(function: Function) -> None:
    """Add an overload. Raises ValueError when its id is taken."""
    if function.id in _functions:
        raise ValueError(f"function {function.id} is registered twice")
    _functions[function.id] = function
    _by_name.setdefault(function.name, []).append(function)


def define(
    signature: str,
    returns: str,
    implementation: Callable[..., Any] | None,
    *,
    kind: FunctionKind = FunctionKind.SCALAR,
    strict: bool = True,
    needs_context: bool = False,
    needs_types: bool = False,
    volatile: bool = False,
    columns: tuple[Column, ...] = (),
) -> None:
    """Register an overload written as `name(type, ..., variadic type)` with pg_type names."""
    name, _, rest = signature.partition("(") if signature[0] != "(" else ("(", "", signature)
    words = [word.strip() for word in rest.rstrip(")").split(",") if word.strip()]
    variadic = bool(words) and words[-1].startswith("variadic ")
    args = tuple(type_named(word.removeprefix("variadic ")) for word in words)
    function_id = f"{name}({','.join(arg.name for arg in args)})"
    register(
        Function(
            function_id,
            name,
            kind,
            args,
            type_named(returns),
            implementation,
            strict=strict,
            variadic=variadic,
            needs_context=needs_context,
            volatile=volatile,
            columns=columns,
            needs_types=needs_types,
        )
    )


def type_named(name: str) -> SqlType:
    """The type of that pg_type name; `x[]` means `_x`."""
    if name.endswith("[]"):
        name = f"_{name[:-2]}"
    return SqlType(TYPES_BY_NAME[name].oid)


def bind(
    function: Function,
    args: Sequence[SqlType],
    returns: SqlType,
    context: EvaluationContext,
) -> Callable[..., Any]:
    """The callable of argument datums alone, for one call site. For an AGGREGATE it takes no
    arguments' datums: the result of `bind` is the `expr.aggregates.AggregateFunction` itself.

    Strictness is left to the caller: a strict function must not be called with a null.
    Raises ValueError for a SESSION function, which has no implementation.
    """
    implementation = function.implementation
    if implementation is None:
        raise ValueError(f"function {function.id} has no implementation")
    if function.needs_types:
        bound: Callable[..., Any] = implementation(CallSite(tuple(args), returns, context))
        return bound
    if function.needs_context:
        return partial(implementation, context)
    return implementation


def register_cast(cast: Cast) -> None:
    """Add a cast. Raises ValueError when the pair of types has one."""
    key = (cast.source.oid, cast.target.oid)
    if key in _casts:
        raise ValueError(f"cast {cast.source.name} -> {cast.target.name} is registered twice")
    _casts[key] = cast


def register_derivation(derive: Callable[[str], Function | None]) -> None:
    """Add a rule that makes functions from ids that are not registered (casts of arrays, say)."""
    _derivations.append(derive)


def function_by_id(function_id: str) -> Function:
    """The function of that id. Raises KeyError for an id that no function has."""
    function = _functions.get(function_id)
    return _derived(function_id) if function is None else function


@lru_cache(maxsize=MAX_DERIVED_FUNCTIONS)
def _derived(function_id: str) -> Function:
    for derive in _derivations:
        function = derive(function_id)
        if function is not None:
            return function
    raise KeyError(function_id)


def functions_named(name: str) -> tuple[Function, ...]:
    """Every overload of a function name or an operator symbol, all kinds but casts."""
    return tuple(f for f in _by_name.get(name, ()) if f.kind is not FunctionKind.CAST)


def cast_between(source: SqlType, target: SqlType) -> Cast | None:
    """The registered cast between two types, modifiers ignored."""
    return _casts.get((source.oid, target.oid))


def all_functions() -> tuple[Function, ...]:
    """Every registered function, for system catalogs and tests."""
    return tuple(_functions.values())


def all_casts() -> tuple[Cast, ...]:
    """Every registered cast."""
    return tuple(_casts.values())
