"""Calls on which values made at random rarely show a difference, compared with PostgreSQL."""

from typing import Final

import pytest

from tests.expr.comparison import Texts, mismatches
from tests.expr.postgres_reference import PostgresReference
from tests.expr.signatures import signatures

CALLS: Final[dict[str, list[Texts]]] = {
    # Floats are added and divided step by step.
    "date_part(text,timestamp)": [
        ("epoch", "3059-01-01 00:00:00.000233"),
        ("epoch", "294276-12-19 23:59:08.401137"),
        ("second", "1974-09-07 20:11:56.690099"),
        ("milliseconds", "8367-04-14 04:24:05.625444"),
    ],
    "date_part(text,timestamptz)": [("epoch", "110287-08-28 21:47:04.469898+00")],
    "date_part(text,time)": [("second", "18:52:07.355140"), ("milliseconds", "16:12:06.464953")],
    "date_part(text,interval)": [
        ("epoch", "2 years 10 mons 42690 days 66876054:06:18.020854"),
        ("second", "-43998024:07:19.587949"),
    ],
    # An interval of days alone is a day of the year 0, and int4 wraps around.
    "to_char(interval,text)": [
        ("3 mons 969538 days", "IYYY IDDD IW J Q"),
        ("2147483647 days", "IYYY IDDD IW WW W DDD J"),
        ("-2147483648 days", "IYYY IDDD IW WW W DDD J"),
        ("17301009 years 1759884385 days", "IYYY IDDD IW WW W DDD J"),
        ("-465082 mons", "IYYY IDDD IW WW W DDD J Q"),
    ],
    "make_timestamptz(int4,int4,int4,int4,int4,float8,text)": [
        ("1", "1", "1", "0", "0", "0", zone)
        for zone in ("+05:30", "-8", "-0330", "+16", "5", "EST", "UTC+3", "+99999999999")
    ],
    "radians(float8)": [("5e-324",), ("1e-320",), ("Infinity",)],
    "degrees(float8)": [("5e-324",), ("1e308",), ("-Infinity",)],
    # Each product has to fit before the rest is added.
    "make_interval(int4,int4,int4,int4)": [("210613185", "-1491150999", "0", "569406713")],
    "make_interval(int4,int4,int4)": [("0", "0", "306783378"), ("0", "0", "306783379")],
    # The offset is an int4 of seconds and wraps around.
    "timezone(interval,timestamp)": [("5957746231.957169 secs", "4647-07-26 05:29:13.323513")],
    # Places for digits skip bytes, all else skips characters.
    "to_number(text,text)": [
        ("\u00a00", "99"),
        ("\u00a00", "999"),
        ("-5x\u00a0\u00a01", "90TH9"),
        ("9", "9RN"),
        ("x XIV7", "9 RN"),
        ("MMMDCCCLXXXVIIII", "RN"),
        ("-9.5", "99.9S"),
    ],
    # An empty match that lies ahead counts once.
    "regexp_count(text,text)": [("abc", "$"), ("a b", "x|$"), ("", "$"), ("abc", "b*")],
    "regexp_count(text,text,int4,text)": [("a\nb\n", "$", "1", "n"), ("a\nb\n", "^", "1", "n")],
    "regexp_replace(text,text,text,text)": [("abc", "$", "x", "g"), ("ab cd", "\\y", "|", "g")],
    "regexp_substr(text,text,int4,int4,text,int4)": [
        ("ab", "b", "1", "1", "", "1"),
        ("ab", "b", "1", "1", "", "2"),
        ("ab", "(b)", "1", "1", "", "2"),
    ],
    "regexp_instr(text,text,int4,int4,int4,text,int4)": [
        ("ab", "b", "1", "1", "0", "", "1"),
        ("ab", "(a)|b", "1", "2", "0", "", "1"),
    ],
    "to_regtype(text)": [("-",), ("4294967295",), ("4294967296",)],
    "to_timestamp(text,text)": [
        ("12 6", "FF1 SS"),
        ("Mon Mon", "DY DY"),
        ("Mon tue 2024", "DY DY YYYY"),
        ("46000021 1", "CC DD"),
        ("+05 UTC", "OF TZ"),
        ("-5 7", "SSSS SS"),
        ("60 367", "SS DDD"),
    ],
}


@pytest.mark.parametrize("function_id", CALLS)
def test_call_answers_as_postgres(reference: PostgresReference, function_id: str) -> None:
    (signature,) = signatures(function_id)
    found = mismatches(reference, signature, CALLS[function_id])
    assert not found, "\n".join(map(str, found))
