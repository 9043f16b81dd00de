"""Rows of pg_proc, pg_aggregate, pg_operator and pg_cast, from the registry of functions.

The registry names functions by text; an oid is given here by the order of ids, from 12000 on, and
is meaningful only within one process. Input and output functions of types keep PostgreSQL's oids.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import expr.library  # noqa: F401  (fills the registry)
from catalog.builtin.definitions import MZ_CATALOG, PG_CATALOG
from catalog.builtin.type_rows import (
    CSTRING,
    SYSTEM_ROLE_OID,
    input_output_functions,
    type_id,
)
from core.rows import Array, Row
from core.sql_types import ELEMENT_OIDS, TYPES
from expr.registry import CastContext, Function, FunctionKind, all_casts, all_functions
from sql.catalog_functions import CATALOG_FUNCTIONS, CATALOG_TABLE_FUNCTIONS

FIRST_FUNCTION_OID: Final = 12_000
INTERNAL_LANGUAGE: Final = 12
RECORD: Final = 2249
ANY: Final = 2276
_LISTED: Final = {
    FunctionKind.SCALAR: "f",
    FunctionKind.SESSION: "f",
    FunctionKind.TABLE: "f",
    FunctionKind.AGGREGATE: "a",
    FunctionKind.WINDOW: "w",
}
_CAST_CONTEXTS: Final = {
    CastContext.IMPLICIT: "i",
    CastContext.ASSIGNMENT: "a",
    CastContext.EXPLICIT: "e",
}
FUNCTION_COLUMNS: Final = """
    oid oid!, proname name!, pronamespace oid!, proowner oid!, prolang oid!, procost float4!,
    prorows float4!, provariadic oid!, prosupport regproc!, prokind char!, prosecdef bool!,
    proleakproof bool!, proisstrict bool!, proretset bool!, provolatile char!, proparallel char!,
    pronargs int2!, pronargdefaults int2!, prorettype oid!, proargtypes oidvector!,
    proallargtypes oid[], proargmodes char[], proargnames text[], proargdefaults text,
    protrftypes oid[], prosrc text!, probin text, prosqlbody text, proconfig text[],
    proacl text[], proisagg bool!, proiswindow bool!
"""
SIGNATURE_COLUMNS: Final = "oid oid!, arguments text!, result text!, definition text!"
MZ_FUNCTION_COLUMNS: Final = """
    id text!, oid oid!, schema_oid oid!, name text!, argument_type_ids text[]!,
    variadic_argument_type_id text, return_type_id text, returns_set bool!, kind text!
"""
AGGREGATE_COLUMNS: Final = """
    aggfnoid regproc!, aggkind char!, aggnumdirectargs int2!, aggtransfn regproc!,
    aggfinalfn regproc!, aggcombinefn regproc!, aggserialfn regproc!, aggdeserialfn regproc!,
    aggmtransfn regproc!, aggminvtransfn regproc!, aggmfinalfn regproc!, aggfinalextra bool!,
    aggmfinalextra bool!, aggfinalmodify char!, aggmfinalmodify char!, aggsortop oid!,
    aggtranstype oid!, aggtransspace int4!, aggmtranstype oid!, aggmtransspace int4!,
    agginitval text, aggminitval text
"""
OPERATOR_COLUMNS: Final = """
    oid oid!, oprname name!, oprnamespace oid!, oprowner oid!, oprkind char!, oprcanmerge bool!,
    oprcanhash bool!, oprleft oid!, oprright oid!, oprresult oid!, oprcom oid!, oprnegate oid!,
    oprcode regproc!, oprrest regproc!, oprjoin regproc!
"""
CAST_COLUMNS: Final = """
    oid oid!, castsource oid!, casttarget oid!, castfunc oid!, castcontext char!, castmethod char!
"""


class ListedFunction(NamedTuple):
    """A function as the catalogs show it."""

    oid: int
    name: str
    arguments: tuple[int, ...]
    result: int
    kind: str = "f"
    returns_set: bool = False
    is_variadic: bool = False
    is_strict: bool = True
    volatility: str = "i"


def function_rows() -> list[Row]:
    """The rows of pg_proc."""
    return [_function_row(function) for function in listed_functions()]


def signature_rows() -> list[Row]:
    """(oid, argument list, result, definition) of each function, as pg_get_function_*() say."""
    return [_signature_row(function) for function in listed_functions()]


def mz_function_rows() -> list[Row]:
    """The rows behind mz_functions."""
    return [
        (
            f"s{200_000 + function.oid}",
            function.oid,
            _schema_oid(function.name),
            function.name,
            _array(tuple(map(type_id, function.arguments))),
            type_id(function.arguments[-1]) if function.is_variadic else None,
            type_id(function.result),
            function.returns_set,
            "aggregate" if function.kind == "a" else "function",
        )
        for function in listed_functions()
    ]


def aggregate_rows() -> list[Row]:
    """The rows of pg_aggregate."""
    return [
        (function.oid, "n", 0) + (0,) * 8 + (False, False, "r", "r", 0, RECORD, 0, 0, 0, None, None)
        for function in listed_functions()
        if function.kind == "a"
    ]


def operator_rows() -> list[Row]:
    """The rows of pg_operator."""
    operators = sorted(
        (f for f in all_functions() if f.kind is FunctionKind.OPERATOR), key=lambda f: f.id
    )
    return [_operator_row(FIRST_FUNCTION_OID + i, f) for i, f in enumerate(operators)]


def cast_rows() -> list[Row]:
    """The rows of pg_cast."""
    casts = sorted(all_casts(), key=lambda cast: (cast.source.oid, cast.target.oid))
    return [
        (
            FIRST_FUNCTION_OID + i,
            cast.source.oid,
            cast.target.oid,
            0,
            _CAST_CONTEXTS[cast.context],
            "b" if cast.function is None else "i",
        )
        for i, cast in enumerate(casts)
    ]


@lru_cache(maxsize=1)
def listed_functions() -> tuple[ListedFunction, ...]:
    """Every function that pg_proc lists, each once."""
    registered = {
        (function.name, tuple(arg.oid for arg in function.args)): function
        for function in all_functions()
        if function.kind in _LISTED
    }
    macros: dict[tuple[str, tuple[int, ...]], tuple[int, bool]] = {
        (macro.name, tuple(p.oid for p in macro.parameters)): (macro.returns.oid, False)
        for macro in CATALOG_FUNCTIONS
    } | {
        (macro.name, tuple(p.oid for p in macro.parameters)): (RECORD, True)
        for macro in CATALOG_TABLE_FUNCTIONS
    }
    listed = [
        ListedFunction(oid, name, arguments, result)
        for oid, name, arguments, result in input_output_functions()
    ]
    for oid, key in enumerate(sorted(registered.keys() | macros.keys()), FIRST_FUNCTION_OID):
        name, arguments = key
        function = registered.get(key)
        if function is None:
            result, returns_set = macros[key]
            listed.append(
                ListedFunction(oid, name, arguments, result, "f", returns_set, False, False, "s")
            )
        else:
            listed.append(_listed(oid, function, arguments))
    return tuple(listed)


def _listed(oid: int, function: Function, arguments: tuple[int, ...]) -> ListedFunction:
    is_session = function.kind is FunctionKind.SESSION
    returns_set = function.kind is FunctionKind.TABLE
    columns = function.columns
    return ListedFunction(
        oid=oid,
        name=function.name,
        arguments=arguments,
        result=columns[0].type.oid if returns_set and len(columns) == 1 else function.returns.oid,
        kind=_LISTED[function.kind],
        returns_set=returns_set,
        is_variadic=function.variadic,
        is_strict=function.strict,
        volatility="v" if function.volatile else "s" if is_session else "i",
    )


def _function_row(function: ListedFunction) -> Row:
    is_aggregate, is_window = function.kind == "a", function.kind == "w"
    return (
        function.oid,
        function.name,
        _schema_oid(function.name),
        SYSTEM_ROLE_OID,
        INTERNAL_LANGUAGE,
        1.0,
        1000.0 if function.returns_set else 0.0,
        ELEMENT_OIDS.get(function.arguments[-1], ANY) if function.is_variadic else 0,
        0,
        function.kind,
        False,
        False,
        function.is_strict,
        function.returns_set,
        function.volatility,
        "s",
        len(function.arguments),
        0,
        function.result,
        _vector(function.arguments),
        None,
        None,
        None,
        None,
        None,
        function.name,
        None,
        None,
        None,
        None,
        is_aggregate,
        is_window,
    )


def _signature_row(function: ListedFunction) -> Row:
    names = [_type_name(oid) for oid in function.arguments]
    if function.is_variadic:
        names[-1] = f"VARIADIC {names[-1]}"
    arguments = ", ".join(names)
    result = _type_name(function.result)
    if function.returns_set:
        result = f"SETOF {result}"
    schema = "mz_catalog" if _schema_oid(function.name) == MZ_CATALOG.oid else "pg_catalog"
    definition = (
        f"CREATE OR REPLACE FUNCTION {schema}.{function.name}({arguments})\n"
        f" RETURNS {result}\n LANGUAGE internal\nAS $function${function.name}$function$\n"
    )
    return (function.oid, arguments, result, definition)


def _type_name(oid: int) -> str:
    return "cstring" if oid == CSTRING else TYPES[oid].sql_name


def _schema_oid(name: str) -> int:
    return MZ_CATALOG.oid if name.startswith("mz_") else PG_CATALOG.oid


def _operator_row(oid: int, function: Function) -> Row:
    left = function.args[0].oid if len(function.args) == 2 else 0
    hashable = function.name == "="
    return (
        oid,
        function.name,
        PG_CATALOG.oid,
        SYSTEM_ROLE_OID,
        "b" if left else "l",
        hashable,
        hashable,
        left,
        function.args[-1].oid if function.args else 0,
        function.returns.oid,
        0,
        0,
        0,
        0,
        0,
    )


def _array(elements: tuple[str, ...]) -> Array[str]:
    return Array(((len(elements), 1),) if elements else (), elements)


def _vector(elements: tuple[int, ...]) -> Array[int]:
    return Array(((len(elements), 0),) if elements else (), elements)
