"""Strategies for arguments that mean something: fields, zones, patterns, lengths, formats.

Random texts rarely name a field of a timestamp or make a regular expression; random integers as
lengths make everything empty or too large. `argument_texts` gives the strategies of a function's
arguments: the listed ones, and those of the types for the rest.
"""

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

from core.encodings import encoding_names
from core.sql_types import SqlType
from tests.expr.values import NullableTexts, Texts, nullable, or_null, values

_SMALL: Final = st.integers(-6, 14).map(str) | st.sampled_from(("2147483647", "-2147483648"))
_COUNT: Final = st.integers(-1, 9).map(str)
_FIELDS: Final = st.sampled_from(
    (
        *("year", "month", "day", "hour", "minute", "second", "milliseconds", "microseconds"),
        *("decade", "century", "millennium", "quarter", "week", "dow", "isodow", "doy", "isoyear"),
        *("epoch", "julian", "timezone", "timezone_hour", "timezone_minute", "YEAR", "mons"),
        *("hours", "sec", "ms", "nonsense", "", "yr", "us", "d", "h", "m", "s", "c", "mil", "q"),
    )
)
_ZONES: Final = st.sampled_from(
    (
        *("UTC", "America/New_York", "Europe/Paris", "Asia/Kolkata", "Australia/Lord_Howe", "EST"),
        *("PDT", "+05:30", "-8", "UTC+3", "GMT", "Asia/Kathmandu", "america/new_york", "nowhere"),
        *("../../etc/passwd", "", "Pacific/Apia", "MSK", "America/St_Johns", "z"),
    )
)
_ZONE_OFFSETS: Final = st.sampled_from(("2 hours", "-05:30", "00:00", "1 day", "1 month", "15:59"))
_PATTERNS: Final = st.sampled_from(
    (
        *("a", "^a", "a$", ".", "[a-z]+", "(a)(b)?", "(\\w+)\\s(\\w+)", "\\d+", "[^,]+", ",", "x*"),
        *("", "a|b", "(?i)HELLO", "l{2}", "^$", "\\s*", "[[:alpha:]]+", "o\\M", "(", "[", "a**"),
        *("\\.", "é", "b+", "(a|b)*c", "\\yfoo\\y", "(?:ab)+", "[0-9]{2,}", "\\", "{", "a{2,1}"),
        *("^(a+)+$", "o", " ", "(o)(.)", "\\m[A-Z]", "[[:<:]]a", "\\W", "\\n", "\\x41", "\\u0041"),
    )
)
_FLAGS: Final = st.sampled_from(("", "i", "g", "gi", "n", "x", "c", "s", "p", "w", "q", "z", "m"))
_TEMPLATES: Final = st.sampled_from(
    ("", "X", "[\\1]", "\\2\\1", "<\\&>", "\\\\", "\\0", "\\", "é", "$1", "\\9", "\\x")
)
_LIKE: Final = st.sampled_from(
    (
        *(
            "%",
            "_",
            "a%",
            "%c",
            "%b%",
            "a_c",
            "\\%",
            "abc",
            "",
            "A%",
            "%\\",
            "__",
            "%_%",
            "H%o W%d",
        ),
        *("é%", "%é", "\\_", "\\\\", "_bc", "%%", "a\\bc", "%DIN%", "ß", "%漢%", "x%x"),
    )
)
_SIMILAR: Final = st.sampled_from(
    (
        *("%", "_", "a%", "(a|b)%", "[a-c]+", "a{2}", "a*", '%#"b#"%', "\\%", "", "a.b", "^a$"),
        *("(ab)+", "[^x]%", "a|b", "x?", 'a#"b#"c', "[[:alpha:]]+", "\\", "a#", '%\\"b\\"%'),
    )
)
_ESCAPES: Final = st.sampled_from(("\\", "#", "", "x", "##", "é"))
_ENCODINGS: Final = st.sampled_from(("hex", "base64", "escape", "HEX", "Base64", "nonsense", ""))
_ENCODED: Final = st.sampled_from(
    (
        *(
            "00ff",
            "0",
            "zz",
            "YWJj",
            "YWI=",
            "YQ==",
            "YQ",
            "====",
            "a\\000b",
            "\\\\",
            "\\4",
            "Y W J j",
        ),
        *("", "abc", "DEAD beef", "é", "YWJj=", "+/+/", "\\377\\\\x", "Y=Jj", "-_8="),
    )
)
_CHARSETS: Final = st.sampled_from(("UTF8", "utf-8", "UTF_8", "unicode", "nonsense"))
_ENCODING_NAMES: Final = st.sampled_from((*encoding_names(), "nonsense"))
_FORMATS: Final = st.sampled_from(
    (
        *(
            "%s",
            "%I",
            "%L",
            "%%",
            "%s and %s",
            "%2$s %1$s",
            "%-10s|",
            "%10s|",
            "%*s|",
            "%-*s|",
            "%",
        ),
        *("%z", "%1$", "%0$s", "plain", "%3$s", "%s%%%s", "%1$-5s|", "%*2$s|", "%99999999999$s"),
        *("%I.%I", "%L, %L", "%*1$s", "%5L|", "%-5I|", "%1$I %1$L", "", "%s %", "%1s%2s"),
    )
)
_NORMAL_FORMS: Final = st.sampled_from(("NFC", "NFD", "NFKC", "NFKD", "nfc", "x"))
_NUMBER_KEYWORDS: Final = (
    *("9", "99", "999", "0", "00", "9", "0", ".", "D", ",", "G", "FM", "S", "MI", "PL", "SG", "PR"),
    *("V", "B", "L", "th", "TH", "EEEE", "RN", " ", "x", '"q"'),
)
_TIME_KEYWORDS: Final = (
    *("YYYY", "YY", "Y,YYY", "MM", "Mon", "MONTH", "DD", "ddth", "DDD", "HH24", "HH12", "HH", "MI"),
    *("SS", "MS", "US", "FF2", "AM", "p.m.", "Day", "dy", "D", "ID", "IYYY", "IW", "WW", "W", "Q"),
    *("CC", "BC", "J", "RM", "FM", "FM", "TH", "TZH", "OF", "-", "/", " ", ":", '"T"', "x", "\\"),
)
_TIME_PIECES: Final = (
    *("2024", "05", "5", "12", "Dec", "friday", "-", "/", " ", ":", "13", "59", "AM", "366", "+02"),
    *("BC", "1999", "24", "0", "March", "th", ",", ".", "20", "7", "xii", "pm", "-3", "EST", "T"),
)


def _made_of(keywords: tuple[str, ...]) -> Texts:
    return st.lists(st.sampled_from(keywords), min_size=1, max_size=6).map("".join)


_NUMBER_FORMATS: Final = _made_of(_NUMBER_KEYWORDS) | st.sampled_from(
    (
        *(
            "999",
            "9999.99",
            "0999.90",
            "FM999.99",
            "S999",
            "999MI",
            "999PR",
            "9,999,999.99",
            "L999",
        ),
        *("RN", "FMRN", "999th", "9.99EEEE", "99V99", "B999", "SG999", "PL999", "FM0000", "$999.9"),
        *("999D99", "9G999", "", '999"text"', "FM9990.099", "999.", ".99", "rn", "FM9.9EEEE", "x9"),
        *("S9,999.99", "999S", "MI999", "999SG", "9999999999999999999999.99", "FMS0.99", "0", "9"),
    )
)
_TIME_FORMATS: Final = _made_of(_TIME_KEYWORDS) | st.sampled_from(
    (
        *("YYYY-MM-DD HH24:MI:SS", "YYYY-MM-DD", "HH12:MI:SS AM", "Day, DD Month YYYY", "DY Dy dy"),
        *(
            "FMDay, FMDD FMMonth YYYY",
            "Mon DDth, YYYY",
            "MS US FF1 FF3 FF6",
            "J Q WW IW W D ID DDD",
        ),
        *("IDDD IYYY IYY IY I", "CC BC AD b.c. A.D.", "RM rm", "SSSS SSSSS", "TZ tz TZH TZM OF"),
        *("Y,YYY YYY YY Y", "HH:MI a.m.", '"quoted" YYYY', "YYYYth FMMMth", "TMDay TMMonth", ""),
        *("YYYYMMDDHH24MISS", "DD/MM/YYYY", "FXYYYY-MM-DD", "yyyy mm dd", "MONTH MON", "HH24 HH12"),
    )
)
_TIME_INPUTS: Final = _made_of(_TIME_PIECES) | st.sampled_from(
    (
        *(
            "2024-02-29 13:14:15",
            "2024-02-30",
            "05 Dec 2000",
            "12:30:45 PM",
            "2024-366",
            "20240229",
        ),
        *(
            "1 January 2024",
            "Monday, 5 February 2024",
            "44 BC",
            "2024-06-15T10:20:30",
            "",
            "garbage",
        ),
        *("2024-13-01", "12/31/99", "0001-01-01", "2451545", "23:59:59.123456", "1999 1 1", "-1"),
    )
)
_NUMBER_INPUTS: Final = st.sampled_from(
    ("12", "-12.34", "1,234.56", "  7", "+5", "<12>", "12-", "abc", "", "$12.5", "1e5", "XIV", "0")
)
_JSON_PATHS: Final = st.lists(
    or_null(st.sampled_from(("a", "b", "0", "1", "-1", "k", "", "aa", "c", "5", "l", "x"))),
    max_size=3,
).map(lambda keys: "{" + ",".join("NULL" if k is None else f'"{k}"' for k in keys) + "}")
_JSON_KEYS: Final = st.sampled_from(("a", "b", "", "aa", "k", "é", "1", "0", "12", "q\\"))
_DELIMITERS: Final = st.sampled_from((",", "", " ", "a", "ab", "b", "xx", ".", "é", "NULL"))
_YEARS: Final = st.integers(-5000, 3000).map(str) | st.sampled_from(("0", "294276", "5874897"))
_MONTHS: Final = st.integers(0, 13).map(str)
_DAYS: Final = st.integers(0, 32).map(str)
_HOURS: Final = st.integers(-1, 25).map(str)
_MINUTES: Final = st.integers(-1, 61).map(str)
_SECONDS: Final = st.sampled_from(("0", "59.999999", "60", "30.5", "-1", "1e-6", "61", "NaN"))
_STEPS: Final = st.sampled_from(
    ("1 hour", "15 minutes", "1 day", "1 month", "-1 hour", "0", "7 days", "00:00:00.000007")
)
_SCALES: Final = st.integers(-20, 40).map(str) | st.sampled_from(("2147483647", "-2147483648"))
_CODES: Final = st.sampled_from(
    ("65", "0", "-1", "233", "128512", "1114111", "1114112", "55296", "2147483647", "57343", "1")
)
_NEAR_NUMBERS: Final = st.sampled_from(
    (
        "0",
        "1",
        "-1",
        "0.5",
        "1.5",
        "-2.5",
        "10",
        "2.000",
        "3.14159",
        "99.99",
        "0.001",
        "1000",
        "NaN",
    )
)
_EXPONENTS: Final = st.sampled_from(
    (
        "0",
        "1",
        "-1",
        "0.5",
        "2",
        "3.7",
        "-0.25",
        "10",
        "100",
        "-7",
        "NaN",
        "Infinity",
        "0.333",
        "40",
    )
)
_BOUNDS: Final = st.integers(1, 6).map(str) | st.sampled_from(("0", "-1", "2147483647"))
_DIMENSIONS: Final = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(
    lambda sizes: "{" + ",".join(map(str, sizes)) + "}"
)
_SIZES: Final = st.sampled_from(("{1}", "{2,2}", "{0}", "{}", "{-1}", "{NULL}", "{3}", "{1,1,1}"))
_FACTORIALS: Final = st.integers(-2, 60).map(str)
Listed = tuple[Texts | None, ...]

# By function id, by name; None stands for the strategy of the type.
_BY_NAME: Final[dict[str, Listed]] = {
    **dict.fromkeys(("extract", "date_part"), (_FIELDS,)),
    "date_trunc": (_FIELDS, None, _ZONES),
    **dict.fromkeys(("left", "right"), (None, _SMALL)),
    **dict.fromkeys(("lpad", "rpad", "repeat"), (None, _COUNT)),
    **dict.fromkeys(("substring", "substr"), (None, _SMALL, _SMALL)),
    "overlay": (None, None, _SMALL, _SMALL),
    **dict.fromkeys(("get_byte", "get_bit"), (None, _SMALL)),
    **dict.fromkeys(("set_byte", "set_bit"), (None, _SMALL, None)),
    "split_part": (None, _DELIMITERS, _SMALL),
    **dict.fromkeys(("string_to_array", "string_to_table"), (None, _DELIMITERS, _DELIMITERS)),
    "chr": (_CODES,),
    "encode": (None, _ENCODINGS),
    "decode": (_ENCODED, _ENCODINGS),
    "convert_from": (None, _CHARSETS),
    "convert_to": (None, _CHARSETS),
    "convert": (None, _CHARSETS, _CHARSETS),
    "pg_char_to_encoding": (_ENCODING_NAMES,),
    "normalize": (None, _NORMAL_FORMS),
    "is_normalized": (None, _NORMAL_FORMS),
    "format": (_FORMATS,),
    **dict.fromkeys(("~", "!~", "~*", "!~*"), (None, _PATTERNS)),
    **dict.fromkeys(("~~", "!~~", "~~*", "!~~*", "like", "notlike"), (None, _LIKE)),
    "like_escape": (_LIKE, _ESCAPES),
    "similar_to_escape": (_SIMILAR, _ESCAPES),
    "regexp_replace": (None, _PATTERNS, _TEMPLATES, _COUNT, _COUNT, _FLAGS),
    **dict.fromkeys(
        (
            *("regexp_match", "regexp_matches", "regexp_like", "regexp_split_to_array"),
            "regexp_split_to_table",
        ),
        (None, _PATTERNS, _FLAGS),
    ),
    "regexp_count": (None, _PATTERNS, _COUNT, _FLAGS),
    "regexp_substr": (None, _PATTERNS, _COUNT, _COUNT, _FLAGS, _COUNT),
    "regexp_instr": (None, _PATTERNS, _COUNT, _COUNT, _COUNT, _FLAGS, _COUNT),
    **dict.fromkeys(("#>", "#>>", "#-", "jsonb_set", "jsonb_insert"), (None, _JSON_PATHS)),
    **dict.fromkeys(("jsonb_set_lax",), (None, _JSON_PATHS)),
    **dict.fromkeys(("?", "jsonb_subscript", "jsonb_exists"), (None, _JSON_KEYS)),
    **dict.fromkeys(("make_date",), (_YEARS, _MONTHS, _DAYS)),
    "make_time": (_HOURS, _MINUTES, _SECONDS),
    "make_timestamp": (_YEARS, _MONTHS, _DAYS, _HOURS, _MINUTES, _SECONDS),
    "make_timestamptz": (_YEARS, _MONTHS, _DAYS, _HOURS, _MINUTES, _SECONDS, _ZONES),
    "factorial": (_FACTORIALS,),
    "exp": (_EXPONENTS,),
    "array_fill": (None, _SIZES, _DIMENSIONS),
    "to_number": (_NUMBER_INPUTS, _NUMBER_FORMATS),
    "to_date": (_TIME_INPUTS, _TIME_FORMATS),
}
_BY_ID: Final[dict[str, Listed]] = {
    "timezone(text,timestamptz)": (_ZONES,),
    "timezone(text,timestamp)": (_ZONES,),
    "timezone(text,time)": (_ZONES,),
    **dict.fromkeys(
        ("timezone(interval,timestamptz)", "timezone(interval,timestamp)"), (_ZONE_OFFSETS,)
    ),
    **dict.fromkeys(
        ("date_add(timestamptz,interval,text)", "date_subtract(timestamptz,interval,text)"),
        (None, None, _ZONES),
    ),
    "generate_series(timestamptz,timestamptz,interval,text)": (None, None, _STEPS, _ZONES),
    "substring(text,text)": (None, _PATTERNS),
    "substring(text,text,text)": (None, _SIMILAR, _ESCAPES),
    "regexp_replace(text,text,text,text)": (None, _PATTERNS, _TEMPLATES, _FLAGS),
    **dict.fromkeys(
        (f"{op}({kind},text)" for op in ("->", "->>") for kind in ("json", "jsonb")),
        (None, _JSON_KEYS),
    ),
    **dict.fromkeys(
        (f"{op}({kind},int4)" for op in ("->", "->>") for kind in ("json", "jsonb")),
        (None, _SMALL),
    ),
    "-(jsonb,int4)": (None, _SMALL),
    "-(jsonb,text)": (None, _JSON_KEYS),
    **dict.fromkeys(("round(numeric,int4)", "trunc(numeric,int4)"), (None, _SCALES)),
    **dict.fromkeys(
        ("^(numeric,numeric)", "power(numeric,numeric)", "pow(numeric,numeric)"),
        (_NEAR_NUMBERS, _EXPONENTS),
    ),
    "log(numeric,numeric)": (_NEAR_NUMBERS, _NEAR_NUMBERS),
    "generate_series(int4,int4)": (_SMALL, _COUNT),
    "array_length(anyarray,int4)": (None, _BOUNDS),
    "array_lower(anyarray,int4)": (None, _BOUNDS),
    "array_upper(anyarray,int4)": (None, _BOUNDS),
    "subscript(anyarray,int4)": (None, _SMALL),
    "slice(anyarray,int4,int4)": (None, _SMALL, _SMALL),
    "trim_array(anyarray,int4)": (None, _COUNT),
    "array_sample(anyarray,int4)": (None, _COUNT),
    "to_timestamp(text,text)": (_TIME_INPUTS, _TIME_FORMATS),
    **dict.fromkeys(
        (f"to_char({kind},text)" for kind in ("int4", "int8", "float4", "float8", "numeric")),
        (None, _NUMBER_FORMATS),
    ),
    **dict.fromkeys(
        (f"to_char({kind},text)" for kind in ("timestamp", "timestamptz", "interval")),
        (None, _TIME_FORMATS),
    ),
    "width_bucket(float8,float8,float8,int4)": (None, None, None, _BOUNDS),
    "width_bucket(numeric,numeric,numeric,int4)": (None, None, None, _BOUNDS),
}

# A function of a listed name over arrays or bytes has other arguments.
_SIZES_OF: Final = frozenset({"int4", "int8", "_int4", "name"})
_LISTED_TYPES: Final = _SIZES_OF | {"text", "name", "float8", "numeric", "interval", "_text"}


def argument_texts(
    function_id: str, name: str, types: Sequence[SqlType]
) -> tuple[NullableTexts, ...]:
    """A strategy for each argument of a call with arguments of these types."""
    listed = _BY_ID.get(function_id) or _BY_NAME.get(name) or ()
    strategies: list[NullableTexts] = []
    for position, sql_type in enumerate(types):
        special = listed[position] if position < len(listed) else None
        if special is None or sql_type.name not in _LISTED_TYPES:
            strategies.append(nullable(sql_type))
        elif (
            sql_type.name in _SIZES_OF or special is _ZONES
        ):  # any number as a size would make only huge values
            strategies.append(or_null(special))
        else:
            strategies.append(or_null(special | values(sql_type)))
    return tuple(strategies)
