"""Every registered function as calls that both we and PostgreSQL can evaluate.

A `Signature` is a function with concrete argument types: polymorphic ones are tried with several
types. `sql` writes the call for PostgreSQL; constructs that are functions only for us have a
template of their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Final

from core.errors import SqlError
from core.rows import Row
from core.sql_types import SqlType
from expr import library  # noqa: F401  (fills the registry)
from expr.registry import Function, FunctionKind, all_functions, bind, function_by_id
from expr.scalar import Call, ColumnRef, EvaluationContext, Scalar
from sql.overloads import resolve_polymorphic
from tests.expr.values import type_named

MAX_TABLE_ROWS: Final = 50
_SAMPLES: Final = tuple(
    map(
        type_named,
        (
            *("int4", "text", "numeric", "float8", "bool", "timestamptz", "jsonb", "bytea", "date"),
            *("interval", "uuid", "bpchar", "timestamp", "time", "int8", "float4", "name"),
        ),
    )
)
_ELEMENTS: Final = frozenset({"anyelement", "anynonarray", "anycompatible", "any"})
_ARRAYS: Final = frozenset({"anyarray", "anycompatiblearray"})
# What PostgreSQL has as syntax and we as functions.
_TEMPLATES: Final = {
    "is_null": "({}) IS NULL",
    "is_not_null": "({}) IS NOT NULL",
    "is_true": "({}) IS TRUE",
    "is_not_true": "({}) IS NOT TRUE",
    "is_false": "({}) IS FALSE",
    "is_not_false": "({}) IS NOT FALSE",
    "not": "NOT ({})",
    "is_distinct_from": "({}) IS DISTINCT FROM ({})",
    "is_not_distinct_from": "({}) IS NOT DISTINCT FROM ({})",
    "jsonb_subscript": "({})[{}]",
    "normalize": "pg_catalog.normalize({}, {})",
}
_LISTS: Final = {"greatest": "GREATEST({})", "least": "LEAST({})", "array_of": "ARRAY[{}]"} | {
    "row_of": "ROW({})"
}


def _subscripted(arguments: Sequence[str], *, is_slice: bool) -> str:
    array, *bounds = arguments
    if is_slice:
        pairs = zip(bounds[::2], bounds[1::2], strict=True)
        return f"({array})" + "".join(f"[{lower}:{upper}]" for lower, upper in pairs)
    return f"({array})" + "".join(f"[{bound}]" for bound in bounds)


@dataclass(frozen=True, slots=True)
class Signature:
    """A function with the types of one kind of call."""

    function: Function
    args: tuple[SqlType, ...]
    returns: SqlType

    def __str__(self) -> str:
        return f"{self.function.id} on {','.join(t.name for t in self.args)}"

    def sql(self, arguments: Sequence[str]) -> str:
        """The call in SQL, its arguments given as SQL."""
        name = self.function.name
        if self.function.kind is FunctionKind.OPERATOR:
            left = "" if len(arguments) == 1 else f"({arguments[0]}) "
            return f"{left}OPERATOR(pg_catalog.{name}) ({arguments[-1]})"
        if self.function.kind is FunctionKind.CAST:
            target = '"char"' if self.returns.name == "char" else self.returns.name
            return f"CAST({arguments[0]} AS {target})"
        if name in ("subscript", "slice"):
            return _subscripted(arguments, is_slice=name == "slice")
        if name in _LISTS:
            return _LISTS[name].format(", ".join(arguments))
        template = _TEMPLATES.get(name)
        if template is not None and template.count("{}") == len(arguments):
            return template.format(*arguments)
        call = f'pg_catalog."{name}"({", ".join(arguments)})'
        if self.function.kind is FunctionKind.TABLE:
            shown = "CASE WHEN num_nulls(v) = 0 THEN format('%s', v) END"
            rows = f"SELECT {call} LIMIT {MAX_TABLE_ROWS}"  # in FROM, all rows would be made
            return f"ARRAY(SELECT {shown} FROM ({rows}) AS r(v))"
        return call

    def scalar(self) -> Scalar:
        """Our call, of the columns of a row of arguments."""
        columns = tuple(ColumnRef(index, arg) for index, arg in enumerate(self.args))
        return Call(self.function.id, columns, self.returns)

    def rows(self, arguments: Row, context: EvaluationContext) -> list[Row]:
        """The first rows of a table function's call."""
        if self.function.strict and None in arguments:
            return []
        implementation = bind(self.function, self.args, self.returns, context)
        return list(islice(implementation(*arguments), MAX_TABLE_ROWS))


def _concrete(args: Sequence[SqlType], sample: SqlType) -> tuple[SqlType, ...] | None:
    array = sample.array
    result = []
    for arg in args:
        if arg.name in _ARRAYS:
            if array is None:
                return None
            result.append(array)
        else:
            result.append(sample if arg.name in _ELEMENTS else arg)
    return tuple(result)


@cache
def signatures(function_id: str) -> tuple[Signature, ...]:
    """The signatures a function is tried with; a variadic one with one and with three values."""
    function = function_by_id(function_id)
    declared = list(_spread(function))
    found: dict[tuple[SqlType, ...], Signature] = {}
    for args in declared:
        for sample in _samples(args, function):
            concrete = _concrete(args, sample)
            if concrete is None:
                continue
            try:
                _, returns = resolve_polymorphic(args, concrete, function.returns)
            except SqlError:
                continue
            found.setdefault(concrete, Signature(function, concrete, returns))
    return tuple(found.values())


def _samples(args: Sequence[SqlType], function: Function) -> tuple[SqlType, ...]:
    if any(arg.name in _ELEMENTS or arg.name in _ARRAYS for arg in args):
        if function.name == "to_jsonb" or function.name == "to_json":
            return (*_SAMPLES, type_named("_int4"), type_named("_text"), type_named("_timestamptz"))
        if "any" in {arg.name for arg in args}:
            return (*_SAMPLES[:8], type_named("_text"))
        return _SAMPLES
    return _SAMPLES[:1]


def _spread(function: Function) -> Iterator[tuple[SqlType, ...]]:
    if not function.variadic:
        yield function.args
        return
    *fixed, tail = function.args
    element = tail.element or tail
    counts = (1, 3) if function.name == "slice" else (1, 2, 3)
    for count in counts:
        yield (*fixed, *[element] * count)


def functions_by_name(*kinds: FunctionKind) -> dict[str, tuple[Function, ...]]:
    """The registered functions of these kinds, by name."""
    grouped: dict[str, list[Function]] = {}
    for function in all_functions():
        if function.kind in kinds:
            grouped.setdefault(function.name, []).append(function)
    return {name: tuple(group) for name, group in sorted(grouped.items())}
