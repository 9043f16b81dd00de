"""Texts for input functions: values spelled in every way, and spoiled ones.

Most texts are made of the parts that a type's input function knows, put together rightly or
wrongly, or are texts of values with something changed in one place.
"""

from typing import Final

from hypothesis import strategies as st

from core.sql_types import SqlType
from tests.expr.values import Texts, texts, values

_DATE_PARTS: Final = (
    *("2024", "24", "02", "29", "31", "1", "Jan", "february", "Mon", "Tuesday", "BC", "AD", "T"),
    *("12:34", "12:34:56", "12:34:56.789", "24:00:00", "AM", "pm", "Z", "UTC", "+02", "-05:30"),
    *(
        "EST",
        "PDT",
        "America/New_York",
        "20240229",
        "123456",
        "2024-02-29",
        "29/02/2024",
        "J2451545",
    ),
    *("2/29/2024", "2024.060", "infinity", "-infinity", "epoch", "at", "on", "dst", "allballs"),
    *("Feb-29-2024", "29-Feb-2024", "y2024", "1 2", ",", "-", "99-Jan-08", "January 8, 1999"),
    *("04:05:06.789-8", "040506", "1999.008", "J", "foo", "+15:59", "+16", "60", "61", "23:59:60"),
)
_INTERVAL_PARTS: Final = (
    *(
        "1",
        "-2",
        "1.5",
        "+3",
        "1:02",
        "1:02:03",
        "-1:02:03.5",
        "day",
        "days",
        "mon",
        "months",
        "yr",
    ),
    *("year", "h", "hours", "min", "m", "s", "sec", "seconds", "ms", "us", "week", "decade", "ago"),
    *("@", "century", "millennium", "P1Y2M3DT4H5M6S", "P1W", "PT1.5S", "P0001-02-03T04:05:06", "P"),
    *("1-2", "-1-2", "1 2:03", "infinity", "-infinity", "d", "y", "c", "quarter", "PT36H", "P1.5Y"),
    *("2147483648", "9223372036854775807", ".5", "-.5", "1e3", "T", "PT", "P-1Y", "microseconds"),
)
_NUMBERS: Final = (
    *(
        "1_000",
        "0x1F",
        "0o17",
        "0b101",
        "-0x10",
        "1__0",
        "_1",
        "1_",
        " 12 ",
        "1e5",
        "1E-5",
        "1e",
        ".",
    ),
    *(
        "1.",
        ".5",
        "+1",
        "--1",
        "0x",
        "1e400",
        "1e-400",
        "inf",
        "-INF",
        "nan",
        "NaN ",
        "infinity",
        "1 2",
    ),
    *(
        "99999999999999999999",
        "1.5e2",
        "0x1p3",
        "1,000",
        "",
        " ",
        "\t3\n",
        "1_000.5_0",
        "1e1_0",
        "0xG",
    ),
    *(
        "1e131071",
        "1e131072",
        "1e-16383",
        "1e-16384",
        "-nan",
        "+inf",
        "00012",
        "0b2",
        "1\u00a0",
        "１",
    ),
)
_JSON: Final = (
    *(
        '{"a":1,}',
        "[1,]",
        "{a:1}",
        "'a'",
        "01",
        "1.",
        ".5",
        "+1",
        "nul",
        "[",
        "{",
        '{"a"}',
        '"\\u12"',
    ),
    *(
        '"\\ud800"',
        '"\\udc00"',
        '"\\u0000"',
        '"\\x"',
        "[1 2]",
        '{"a":}',
        "NaN",
        "Infinity",
        "-",
        "1e",
    ),
    *(
        '"a\nb"',
        '"\t"',
        "\x0b1",
        '{"a":1 "b":2}',
        "tru",
        "1 2",
        '"\\/"',
        "[[]",
        "]",
        ",",
        "1e9",
        "-0.0",
    ),
    *("\ufeff1", '{"\\u0061":1}', "1E400", "-1.50e-3", "[1,2]]", '""""', "true false"),
)
_ARRAYS: Final = (
    *(
        "{}",
        "{{}}",
        "{1,2}",
        "{1,2",
        "1,2}",
        "{1,,2}",
        "{,1}",
        '{"1"}',
        '{"a,b"}',
        "{NULL}",
        "{null}",
    ),
    *(
        "{{1},{2}}",
        "{{1},{2,3}}",
        "{{1},2}",
        "[0:1]={1,2}",
        "[0:2]={1,2}",
        "[2:1]={}",
        "{1} 2",
        " {1} ",
    ),
    *(
        "{ 1 , 2 }",
        '{"a\\"b"}',
        "{a b}",
        '{a"b"}',
        "{\\1}",
        "[1:1][1:2]={{1,2}}",
        "{{{{{{{1}}}}}}}",
        "",
    ),
    *("[1]={1}", "[-1:0]={1,2}", "{1,{2}}", "{{},{}}", '{"NULL"}', "{nUlL}", "[1:99999999999]={1}"),
)
_BOOLEANS: Final = (
    "t",
    "TRUE",
    " true ",
    "tr",
    "y",
    "YES",
    "on",
    "o",
    "of",
    "off",
    "1",
    "0",
    "2",
    "",
    "n",
)
_BYTEAS: Final = (
    "\\x",
    "\\xAB cd",
    "\\xa",
    "\\xzz",
    "\\x 1 2",
    "\\000",
    "\\\\",
    "\\4",
    "\\",
    "é",
    "\\777",
)
_UUIDS: Final = (
    *(
        "a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
        "a0ee-bc99",
        "",
    ),
    *(
        "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
        "{a0eebc99",
    ),
    *("g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d6bb9bd380a11", "{}"),
    "a-0eebc999c0b4ef8bb6d6bb9bd380a11",
)
_PARTS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("date", "time", "timestamp", "timestamptz"), _DATE_PARTS),
    "interval": _INTERVAL_PARTS,
}
_WHOLE: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        ("int2", "int4", "int8", "float4", "float8", "numeric", "oid", "xid"), _NUMBERS
    ),
    **dict.fromkeys(("json", "jsonb"), _JSON),
    "bool": _BOOLEANS,
    "bytea": _BYTEAS,
    "uuid": _UUIDS,
}
_SPOILERS: Final = (*" -+:.,/_{}[]()\"'\\0129eExTZaN", "é", "\t", "00", "--")


def _spoiled(text: str, position: int, spoiler: str, removed: int) -> str:
    at = position % (len(text) + 1)
    return text[:at] + spoiler + text[at + removed :]


def input_texts(sql_type: SqlType) -> Texts:
    """Texts that the type's input function takes or refuses."""
    right = values(sql_type)
    spoiled = st.builds(
        _spoiled, right, st.integers(0, 40), st.sampled_from(_SPOILERS), st.integers(0, 2)
    )
    name = sql_type.name
    if sql_type.element is not None:
        return st.sampled_from(_ARRAYS) | spoiled
    if name in _PARTS:
        parts = st.sampled_from(_PARTS[name])
        joined = st.lists(parts, min_size=1, max_size=4).map(" ".join)
        return joined | joined | spoiled | st.lists(parts, min_size=2, max_size=3).map("".join)
    if name in _WHOLE:
        return st.sampled_from(_WHOLE[name]) | spoiled
    return right | texts()
