"""Texts of values that are worth trying, for every type: boundaries first, then anything.

A strategy gives texts that a type's input function takes (mostly), or None for null. Arguments with
a meaning of their own (a field's name, a pattern, a length) have strategies of their own in
`tests.expr.arguments`.
"""

import json
from functools import cache
from typing import Final

from hypothesis import strategies as st

from core.sql_types import TYPES_BY_NAME, SqlType

Texts = st.SearchStrategy[str]
NullableTexts = st.SearchStrategy[str | None]

ALPHABET: Final = "abcXYZ019 _-%.,'\"\\/{}()[]éßÀİıΣς漢😀\t\n\u00a0\u0301"
WORDS: Final = (
    *("", " ", "a", "A", "abc", "Hello World", "  padded  ", "foo.bar", "%", "_", "\\", "'", '"'),
    *("ß", "éè", "ÀÉ", "漢字", "😀a", "Σίσυφος ΟΔΟΣ", "İstanbul", "e\u0301", "\u00e9", "a\tb\nc"),
    *("123", "-5", "1e3", "null", "NULL", "true", "{}", "[1]", "a,b,c", "x" * 70, "ab" * 8, "\x01"),
    *("ǆ", "ﬁ", "o'neil mc-donald", "1st 2nd", "a_b", "\\\\", "A1b2", "ﬀ", "\u2003x\u2003"),
)
_INTEGERS: Final = {
    "int2": ("0", "1", "-1", "2", "7", "10", "100", "32767", "-32768", "32766", "255"),
    "int4": ("0", "1", "-1", "2", "3", "10", "65536", "2147483647", "-2147483648", "46341"),
    "int8": (
        *("0", "1", "-1", "2", "10", "9223372036854775807", "-9223372036854775808", "4294967296"),
        *("3037000500", "-2147483649", "10239", "10240", "20971519", "1000000000000"),
    ),
    "oid": ("0", "1", "16384", "2147483648", "4294967295", "25"),
    "xid": ("0", "1", "4294967295"),
}
_BITS: Final = {"int2": 15, "int4": 31, "int8": 63}
_FLOATS: Final = (
    *("0", "-0", "1", "-1", "0.5", "-0.5", "1.5", "2.5", "-2.5", "0.1", "3.14159", "NaN"),
    *("Infinity", "-Infinity", "1e15", "1e16", "123456789.123", "1e-5", "0.0001", "1e20", "2"),
    *("10", "90", "180", "-45", "30", "60", "360", "1e-30", "0.3", "100.25", "1e-7", "1e6"),
)
_FLOAT8: Final = (
    *("1.7976931348623157e308", "-1.7976931348623157e308", "5e-324", "2.2250738585072014e-308"),
    *("1e200", "1e-200", "9007199254740993", "9223372036854775807", "2147483647.5", "1e300"),
    *(
        "-9007199254740992",
        "1.8014398509481984e16",
        "32767.5",
        "-32768.5",
        "709.78",
        "-745.2",
        "0.49999999999999994",
        "4503599627370497.5",
    ),
)
_FLOAT4: Final = ("3.4028235e38", "-3.4028235e38", "1e-45", "1.17549435e-38", "16777217", "1e37")
_NUMERICS: Final = (
    *("0", "0.0", "0.000", "1", "-1", "1.0", "1.00", "-1.50", "0.5", "1.5", "2.5", "-2.5", "0.05"),
    *("NaN", "Infinity", "-Infinity", "123456789.987654321", "1e20", "1e-20", "99999999999999"),
    *("0.99999", "9.995", "10", "100", "1000.00", "12345678901234567890.0987654321", "1e100"),
    *("1e-100", "3.14159265358979", "2", "3", "7", "0.1", "0.01", "9223372036854775807.5"),
    *("-9223372036854775808.4", "32767.4", "2147483647.5", "1e1000", "1e-1000", "1.10", "0.00010"),
)
DATES: Final = (
    *("2000-01-01", "1999-12-31", "2024-02-29", "1900-02-28", "1970-01-01", "4713-11-24 BC"),
    *("5874897-12-31", "infinity", "-infinity", "0001-01-01", "0001-12-31 BC", "2023-12-31"),
    *("2026-01-01", "2021-01-03", "2008-12-29", "1582-10-15", "294276-12-31", "0044-03-15 BC"),
    *("2024-03-10", "2024-11-03", "2000-02-29", "2100-03-01", "10000-01-01", "1001-06-15"),
)
TIMESTAMPS: Final = (
    *("2000-01-01 00:00:00", "1999-12-31 23:59:59.999999", "2024-02-29 12:34:56.789"),
    *("1970-01-01 00:00:00", "4713-11-24 00:00:00 BC", "294276-12-31 23:59:59.999999", "infinity"),
    *("-infinity", "2024-03-10 02:30:00", "2024-11-03 01:30:00", "2024-03-31 02:30:00"),
    *(
        "2024-10-27 01:30:00",
        "0001-01-01 00:00:00",
        "0001-12-31 23:59:59 BC",
        "2001-09-09 01:46:40",
    ),
    *("1883-11-18 12:03:58", "2038-01-19 03:14:08", "1900-01-01 00:00:00", "2024-01-31 10:00:00"),
    *("2023-12-31 23:59:59.5", "10000-07-04 01:02:03.000001", "1945-08-14 23:00:00"),
)
TIMES: Final = (
    *("00:00:00", "24:00:00", "23:59:59.999999", "12:00:00", "01:02:03.000004", "00:00:00.000001"),
    *("13:14:15.5", "06:30:00"),
)
INTERVALS: Final = (
    *("0", "1 day", "-1 day", "1 month", "-1 mon +1 day", "1 year 2 mons 3 days 04:05:06.789"),
    *("00:00:00.000001", "-00:00:01", "24:00:00", "36:00:00", "30 days", "1 mon -30 days"),
    *("100 years", "178000000 years", "-178000000 years", "2147483647 days", "-2147483648 days"),
    *("infinity", "-infinity", "1 day -24:00:00", "35 days", "5 mons 40 days 30:00:00"),
    *("2562047788:00:54.775807", "-1 years -2 mons +3 days -04:05:06", "15 minutes", "1 week"),
    *("1.5 months", "0.1 years", "-0.000001 seconds", "11 mons", "13 mons", "1 hour", "00:00:30"),
)
_JSON: Final = (
    *("null", "true", "false", "0", "-0", "1", "1.0", "1.50", "-2", "1e2", "1E-3", '""', '"a"'),
    *('"é\\u00e9"', '"\\ud83d\\ude00"', '"a\\"b\\\\c\\/"', '"\\n\\t\\u0001"', "[]", "{}", "[1]"),
    *("[1, 2, 3]", '[null, "a", [1.0, {"b": []}], {}]', '{"a": 1}', '{"a": 1, "a": 2}'),
    *('{"b": 1, "aa": 2, "a": null}', '{"a": {"b": {"c": [1, 2]}}}', '["a", "b", "a"]'),
    *('{"": 1}', "[[1, 2], [3]]", '"2024-01-01"', '"12"', "12345678901234567890.5", "100000"),
    *('{"k": "v", "n": 12, "t": true, "z": null, "l": [{"x": 1}]}', "[true, false]", "32768"),
    *('  { "a" :\n[ 1 , 2 ] } ', '"true"', '{"1": "one", "0": "zero"}', '[{"a": null}, null]'),
)
_UUIDS: Final = (
    *("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    *("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"),
    *("c232ab00-9414-11ec-b3c8-9f6bdeced846", "{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"),
)
_CHARS: Final = ("", "a", "Z", "0", " ", "\\200", "\\377", "é", "xyz", "~")


def texts() -> Texts:
    """Any text that PostgreSQL can hold."""
    return st.sampled_from(WORDS) | st.text(st.sampled_from(ALPHABET), max_size=12)


def integers(name: str) -> Texts:
    """An integer of that type."""
    bits = _BITS.get(name)
    small = st.integers(-12, 40) if bits else st.integers(0, 100)
    full = st.integers(-(2**bits), 2**bits - 1) if bits else st.integers(0, 2**32 - 1)
    return st.sampled_from(_INTEGERS[name]) | small.map(str) | full.map(str)


@cache
def floats(width: int) -> Texts:
    """A float as a text that reads back as the same float."""
    special = _FLOATS + (_FLOAT4 if width == 32 else _FLOAT8)
    decimal = st.tuples(st.integers(-99999, 99999), st.integers(-6, 4))
    return (
        st.sampled_from(special)
        | decimal.map(lambda pair: f"{pair[0]}e{pair[1]}")
        | st.floats(width=32 if width == 32 else 64).map(repr)
    )


@cache
def numerics() -> Texts:
    """A numeric with some scale."""
    moderate = st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 8)).map(_scaled)
    wide = st.tuples(st.integers(-(10**40), 10**40), st.integers(0, 45)).map(_scaled)
    return st.sampled_from(_NUMERICS) | moderate | moderate | wide


def _scaled(pair: tuple[int, int]) -> str:
    digits, scale = pair
    if scale == 0:
        return str(digits)
    text = str(abs(digits)).rjust(scale + 1, "0")
    return f"{'-' if digits < 0 else ''}{text[:-scale]}.{text[-scale:]}"


def _dates() -> Texts:
    return st.sampled_from(DATES) | st.dates().map(lambda value: value.isoformat())


def _timestamps() -> Texts:
    return st.sampled_from(TIMESTAMPS) | st.datetimes().map(lambda value: value.isoformat(" "))


def _times() -> Texts:
    return st.sampled_from(TIMES) | st.times().map(lambda value: value.isoformat())


@cache
def intervals() -> Texts:
    """An interval, its three parts independent of each other."""
    parts = st.tuples(
        st.integers(-30, 30), st.integers(-50, 50), st.integers(-(10**12), 10**12)
    ).map(lambda p: f"{p[0]} mons {p[1]} days {p[2]} microseconds")
    return st.sampled_from(INTERVALS) | parts


def _json_leaves() -> st.SearchStrategy[object]:
    return (
        st.none()
        | st.booleans()
        | st.integers(-1000, 10**12)
        | st.sampled_from((0.5, -1.25, 1e-7, 1e25))
        | st.sampled_from(("", "a", "b", "é", 'q"', "\\", "12", "\u001f", "😀"))
    )


@cache
def jsons() -> Texts:
    """A JSON text: nested, with repeated keys and numbers of several spellings."""
    keys = st.sampled_from(("a", "b", "aa", "", "é", "k", "0", "1"))
    values = st.recursive(
        _json_leaves(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=8,
    )
    dumped = st.tuples(values, st.booleans()).map(
        lambda pair: json.dumps(pair[0], ensure_ascii=pair[1])
    )
    return st.sampled_from(_JSON) | dumped


def _byte_texts() -> Texts:
    special = (
        b"",
        b"\x00",
        b"abc",
        b"\xff\x00\x7f",
        bytes(range(16)),
        b"\\x",
        b"  pad ",
        b"\xc3\xa9",
    )
    return (st.sampled_from(special) | st.binary(max_size=12)).map(lambda v: "\\x" + v.hex())


def _uuids() -> Texts:
    return st.sampled_from(_UUIDS) | st.uuids().map(str)


def _quote_element(text: str | None) -> str:
    if text is None:
        return "NULL"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _array_text(elements: list[str | None], rows: int, lower: int | None) -> str:
    quoted = [_quote_element(element) for element in elements]
    if rows > 1 and elements:
        body = "{" + ",".join([f"{{{','.join(quoted)}}}"] * rows) + "}"
        bounds = f"[{lower}:{lower + rows - 1}][1:{len(quoted)}]=" if lower is not None else ""
    else:
        body = f"{{{','.join(quoted)}}}"
        bounds = f"[{lower}:{lower + len(quoted) - 1}]=" if lower is not None and quoted else ""
    return bounds + body


def arrays(element: NullableTexts) -> Texts:
    """An array: empty, with nulls, of two dimensions, with lower bounds of its own."""
    few = st.lists(element, max_size=4)
    rows = st.sampled_from((1, 1, 1, 2))
    lower = st.sampled_from((None, None, None, 0, -2, 5))
    return st.builds(_array_text, few, rows, lower)


@cache
def values(sql_type: SqlType) -> Texts:
    """Texts of values of the type."""
    name = sql_type.name
    if sql_type.element is not None:
        if name in ("int2vector", "oidvector"):
            return st.lists(st.integers(0, 99), max_size=4).map(lambda v: " ".join(map(str, v)))
        return arrays(nullable(sql_type.element))
    if name in _INTEGERS:
        return integers(name)
    match name:
        case "float4" | "float8":
            return floats(32 if name == "float4" else 64)
        case "numeric":
            return numerics()
        case "bool":
            return st.sampled_from(("t", "f", "true", "off"))
        case "bytea":
            return _byte_texts()
        case "char":
            return st.sampled_from(_CHARS)
        case "date":
            return _dates()
        case "time":
            return _times()
        case "timestamp":
            return _timestamps()
        case "timestamptz":
            zones = st.sampled_from(("", "+00", "-05:30", " America/New_York", " Europe/Paris"))
            return st.builds(
                lambda ts, zone: ts + ("" if "inf" in ts else zone), _timestamps(), zones
            )
        case "interval":
            return intervals()
        case "json" | "jsonb":
            return jsons()
        case "uuid":
            return _uuids()
        case _:
            return texts()


def nullable(sql_type: SqlType) -> NullableTexts:
    """Texts of values of the type, now and then null."""
    return or_null(values(sql_type))


def or_null(strategy: Texts) -> NullableTexts:
    """The strategy's texts, one in twenty null."""
    nulls = st.integers(0, 19)
    return st.builds(lambda text, n: None if n == 19 else text, strategy, nulls)


def type_named(name: str) -> SqlType:
    """The type of that pg_type name."""
    return SqlType(TYPES_BY_NAME[name].oid)
