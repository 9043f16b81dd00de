"""Rows of pg_type and of the internal table of type names, from `core.sql_types`.

What `core` does not need to know of a type (alignment, storage, collation, the oids of its input
and output functions) is told here, by pg_type and pg_proc of PostgreSQL 15.
"""

from typing import Final, NamedTuple

from catalog.builtin.definitions import MZ_CATALOG, PG_CATALOG
from core.rows import Row
from core.sql_types import ELEMENT_OIDS, TYPES, TypeInfo

FIRST_MATERIALIZE_OID: Final = 16_384
SYSTEM_ROLE_OID: Final = 10
DEFAULT_COLLATION: Final = 100
C_COLLATION: Final = 950
CSTRING: Final = 2275
INTERNAL: Final = 2281
BYTEA: Final = 17


class InputOutput(NamedTuple):
    """The functions that read and write a type's values: names and oids, 0 for none."""

    stem: str  # `int4` of int4in, `date_` of date_in
    input: int
    output: int
    receive: int
    send: int


_INPUT_OUTPUT: Final = {
    16: InputOutput("bool", 1242, 1243, 2436, 2437),
    17: InputOutput("bytea", 1244, 31, 2412, 2413),
    18: InputOutput("char", 1245, 33, 2434, 2435),
    19: InputOutput("name", 34, 35, 2422, 2423),
    20: InputOutput("int8", 460, 461, 2408, 2409),
    21: InputOutput("int2", 38, 39, 2404, 2405),
    22: InputOutput("int2vector", 40, 41, 2410, 2411),
    23: InputOutput("int4", 42, 43, 2406, 2407),
    24: InputOutput("regproc", 44, 45, 2444, 2445),
    25: InputOutput("text", 46, 47, 2414, 2415),
    26: InputOutput("oid", 1798, 1799, 2418, 2419),
    28: InputOutput("xid", 50, 51, 2440, 2441),
    30: InputOutput("oidvector", 54, 55, 2420, 2421),
    114: InputOutput("json_", 321, 322, 323, 324),
    700: InputOutput("float4", 200, 201, 2424, 2425),
    701: InputOutput("float8", 214, 215, 2426, 2427),
    705: InputOutput("unknown", 109, 110, 2416, 2417),
    1042: InputOutput("bpchar", 1044, 1045, 2430, 2431),
    1043: InputOutput("varchar", 1046, 1047, 2432, 2433),
    1082: InputOutput("date_", 1084, 1085, 2468, 2469),
    1083: InputOutput("time_", 1143, 1144, 2470, 2471),
    1114: InputOutput("timestamp_", 1312, 1313, 2474, 2475),
    1184: InputOutput("timestamptz_", 1150, 1151, 2476, 2477),
    1186: InputOutput("interval_", 1160, 1161, 2478, 2479),
    1700: InputOutput("numeric_", 1701, 1702, 2460, 2461),
    2205: InputOutput("regclass", 2218, 2219, 2452, 2453),
    2206: InputOutput("regtype", 2220, 2221, 2454, 2455),
    2249: InputOutput("record_", 2290, 2291, 2402, 2403),
    2275: InputOutput("cstring_", 2292, 2293, 2500, 2501),
    2276: InputOutput("any_", 2294, 2295, 0, 0),
    2277: InputOutput("anyarray_", 2296, 2297, 2502, 2503),
    2278: InputOutput("void_", 2298, 2299, 3120, 3121),
    2279: InputOutput("trigger_", 2300, 2301, 0, 0),
    2281: InputOutput("internal_", 2304, 2305, 0, 0),
    2283: InputOutput("anyelement_", 2312, 2313, 0, 0),
    2776: InputOutput("anynonarray_", 2777, 2778, 0, 0),
    2950: InputOutput("uuid_", 2952, 2953, 2961, 2962),
    3802: InputOutput("jsonb_", 3806, 3804, 3805, 3803),
    4089: InputOutput("regnamespace", 4084, 4085, 4087, 4088),
    4096: InputOutput("regrole", 4098, 4092, 4094, 4095),
    5077: InputOutput("anycompatible_", 5086, 5087, 0, 0),
    5078: InputOutput("anycompatiblearray_", 5088, 5089, 5090, 5091),
}
_ARRAY_INPUT_OUTPUT: Final = InputOutput("array_", 750, 751, 2400, 2401)
_ARRAY_SUBSCRIPT_HANDLER: Final = 6179
_MODIFIER_FUNCTIONS: Final = {
    1042: (2913, 2914),
    1043: (2915, 2916),
    1083: (2909, 2910),
    1114: (2905, 2906),
    1184: (2907, 2908),
    1186: (2903, 2904),
    1700: (2917, 2918),
}
_ALIGNMENTS: Final = {1: "c", 2: "s", 4: "i", 8: "d", 64: "c"}
_DOUBLE_ALIGNED: Final = frozenset({1186, 2249, 2277, 5078})
_CHAR_ALIGNED: Final = frozenset({705, 2275, 2950})
_PLAIN_VARIABLE: Final = frozenset({22, 30, 705, 2275})
_COLLATIONS: Final = {
    19: C_COLLATION,
    25: DEFAULT_COLLATION,
    1042: DEFAULT_COLLATION,
    1043: DEFAULT_COLLATION,
}
_NUMERIC_BITS: Final = {20: 64, 21: 16, 23: 32, 700: 24, 701: 53}
_MATERIALIZE_BITS: Final = {16460: 16, 16462: 32, 16464: 64}
_FRACTIONAL_SECONDS: Final = frozenset({1083, 1114, 1184, 1186})

TYPE_COLUMNS: Final = """
    oid oid!, typname name!, typnamespace oid!, typowner oid!, typlen int2!, typbyval bool!,
    typtype char!, typcategory char!, typispreferred bool!, typisdefined bool!, typdelim char!,
    typrelid oid!, typsubscript regproc!, typelem oid!, typarray oid!, typinput regproc!,
    typoutput regproc!, typreceive regproc!, typsend regproc!, typmodin regproc!,
    typmodout regproc!, typanalyze regproc!, typalign char!, typstorage char!, typnotnull bool!,
    typbasetype oid!, typtypmod int4!, typndims int4!, typcollation oid!, typdefaultbin text,
    typdefault text, typacl text[]
"""
TYPE_NAME_COLUMNS: Final = """
    oid oid!, name text!, sql_name text!, category text!, element_oid oid!, id text!,
    numeric_precision int4, datetime_precision int4
"""


def type_rows() -> list[Row]:
    """The rows of pg_type."""
    return [_type_row(info) for info in TYPES.values()]


def type_name_rows() -> list[Row]:
    """(oid, name, SQL name, category, element's oid, Materialize's id, bits of a number's
    mantissa, decimals of seconds) of each type."""
    bits = _NUMERIC_BITS | _MATERIALIZE_BITS
    return [
        (
            info.oid,
            info.name,
            info.sql_name,
            info.category,
            ELEMENT_OIDS.get(info.oid, 0),
            type_id(info.oid),
            bits.get(info.oid),
            6 if info.oid in _FRACTIONAL_SECONDS else 0 if info.oid == 1082 else None,
        )
        for info in TYPES.values()
    ]


def type_id(oid: int) -> str:
    """The id by which mz_types and mz_functions name a type."""
    return f"s{100_000 + oid}"


def type_schema_oid(oid: int) -> int:
    """The schema that holds a type."""
    schema = PG_CATALOG if oid < FIRST_MATERIALIZE_OID else MZ_CATALOG
    return schema.oid


def input_output_functions() -> list[tuple[int, str, tuple[int, ...], int]]:
    """(oid, name, argument types, result type) of every type's input and output functions."""
    functions: dict[int, tuple[int, str, tuple[int, ...], int]] = {}
    for oid, functions_of in [*_INPUT_OUTPUT.items(), (2277, _ARRAY_INPUT_OUTPUT)]:
        for function_oid, suffix, arguments, result in (
            (functions_of.input, "in", (CSTRING,), oid),
            (functions_of.output, "out", (oid,), CSTRING),
            (functions_of.receive, "recv", (INTERNAL,), oid),
            (functions_of.send, "send", (oid,), BYTEA),
        ):
            if function_oid:
                name = functions_of.stem + suffix
                functions[function_oid] = (function_oid, name, arguments, result)
    return list(functions.values())


def _type_row(info: TypeInfo) -> Row:
    is_array = info.name.startswith("_")
    element = ELEMENT_OIDS.get(info.oid, 18 if info.name == "name" else 0)
    base = element if is_array else info.oid
    by_value = info.size in (1, 2, 4, 8)
    io = _ARRAY_INPUT_OUTPUT if is_array else _INPUT_OUTPUT.get(info.oid, _INPUT_OUTPUT[25])
    modifier_functions = _MODIFIER_FUNCTIONS.get(base, (0, 0))
    is_pseudo = info.category in ("P", "X") or base == 2249
    return (
        info.oid,
        info.name,
        type_schema_oid(info.oid),
        SYSTEM_ROLE_OID,
        info.size,
        by_value,
        "p" if is_pseudo else "b",
        "P" if base == 2249 else info.category,
        info.preferred,
        True,
        ",",
        0,
        _ARRAY_SUBSCRIPT_HANDLER if is_array or info.oid in (22, 30) else 0,
        element,
        info.array_oid,
        io.input,
        io.output,
        io.receive,
        io.send,
        *modifier_functions,
        0,
        _alignment(info, base),
        _storage(info),
        False,
        0,
        -1,
        0,
        _COLLATIONS.get(base, 0),
        None,
        None,
        None,
    )


def _alignment(info: TypeInfo, base: int) -> str:
    if info.oid in _CHAR_ALIGNED:
        return "c"
    if info.oid in _DOUBLE_ALIGNED or TYPES[base].size == 8 or base in _DOUBLE_ALIGNED:
        return "d"
    return _ALIGNMENTS.get(info.size, "i")


def _storage(info: TypeInfo) -> str:
    if info.size > 0 or info.oid in _PLAIN_VARIABLE:
        return "p"
    return "m" if info.oid == 1700 else "x"
