"""Untrusted values: each asks for too much of something and gets an error, not the machine."""

import pytest

from core.errors import SqlError
from core.rows import Datum
from expr.compile import compile_scalar
from expr.registry import FunctionKind
from expr.scalar import Call, ColumnRef, EvaluationContext
from expr.text_format import text_input, text_output
from tests.expr.signatures import MAX_TABLE_ROWS, signatures
from tests.expr.values import type_named

CONTEXT = EvaluationContext()


def read(type_name: str, text: str) -> Datum:
    """A value from its text."""
    return text_input(type_named(type_name), CONTEXT)(text)


def call(function_id: str, *texts: str) -> str | None:
    """The text of a call's result, its arguments given as texts."""
    signature = signatures(function_id)[0]
    row = tuple(read(t.name, text) for t, text in zip(signature.args, texts, strict=True))
    value = compile_scalar(signature.scalar(), CONTEXT)(row)
    return None if value is None else text_output(signature.returns, CONTEXT)(value)


@pytest.mark.parametrize(
    ("type_name", "text", "sqlstate"),
    [
        ("json", "[" * 100_000, "54001"),
        ("jsonb", '{"a":' * 100_000, "54001"),
        ("jsonb", "[" * 1_000_000, "54001"),
        ("numeric", "1e131072", "22003"),
        ("numeric", "1e-16384", "22003"),
        ("numeric", "1e999999999999", "22003"),
        ("numeric", "9" * 131_073, "22003"),
        ("numeric", "0x" + "f" * 200_000, "22003"),
        ("float8", "1e400", "22003"),
        ("int4", "9" * 100_000, "22003"),
        ("interval", "9" * 1_000 + " years", "22007"),
        ("timestamp", "2024-01-01 " * 1_000, "22007"),
        ("date", "5874898-01-01", "22008"),
        ("_int4", "{" * 10_000, "54000"),
        ("_int4", "[1:2147483647]={1}", "22P02"),
        ("timestamptz", "2024-01-01 00:00:00 America/../../etc/passwd", "22023"),
    ],
)
def test_text_beyond_the_bounds_is_refused(type_name: str, text: str, sqlstate: str) -> None:
    with pytest.raises(SqlError) as caught:
        read(type_name, text)
    assert caught.value.sqlstate == sqlstate


@pytest.mark.parametrize(
    ("function_id", "texts", "sqlstate"),
    [
        ("repeat(text,int4)", ("x", "2000000000"), "54000"),
        ("repeat(text,int4)", ("x" * 1000, "1000000"), "54000"),
        ("lpad(text,int4)", ("x", "2000000000"), "54000"),
        ("rpad(text,int4,text)", ("x", "2000000000", "yz"), "54000"),
        ("format(text,any)", ("%2000000000s", "1"), "54000"),
        ("array_fill(anyelement,_int4)", ("1", "{100000,100000}"), "54000"),
        ("array_fill(anyelement,_int4)", ("1", "{1,1,1,1,1,1,1}"), "54000"),
        ("factorial(int8)", ("100000",), "22003"),
        ("^(numeric,numeric)", ("10", "200000"), "22003"),
        ("power(numeric,numeric)", ("99999", "99999999"), "22003"),
        ("exp(numeric)", ("1000000",), "22003"),
        ("power(float8,float8)", ("10", "400"), "22003"),
        ("timezone(text,timestamp)", ("../../etc/passwd", "2024-01-01 00:00:00"), "22023"),
        ("timezone(text,timestamp)", ("/etc/localtime", "2024-01-01 00:00:00"), "22023"),
        ("timezone(text,timestamp)", ("UTC" * 100_000, "2024-01-01 00:00:00"), "22023"),
        ("~(text,text)", ("a", "((a{1,255}){1,255}){1,255}"), "2201B"),
        ("~(text,text)", ("a", "(" * 100_000), "2201B"),
        ("~~(text,text)", ("a", "_" * 200_000), "54000"),
        ("to_char(int4,text)", ("1", "9" * 100_000), "54000"),
        ("to_char(timestamp,text)", ("2024-01-01 00:00:00", "YYYY" * 10_000), "54000"),
        ("regexp_replace(text,text,text)", ("a", "a{1001}", "b"), "2201B"),
    ],
)
def test_call_beyond_the_bounds_is_refused(
    function_id: str, texts: tuple[str, ...], sqlstate: str
) -> None:
    with pytest.raises(SqlError) as caught:
        call(function_id, *texts)
    assert caught.value.sqlstate == sqlstate


@pytest.mark.parametrize(
    ("function_id", "texts", "expected"),
    [
        ("~(text,text)", ("a" * 1000 + "b", "^(a+)+$"), "f"),
        ("~(text,text)", ("a" * 100_000 + "b", "(a|aa)+$"), "f"),
        ("~~(text,text)", ("a" * 10_000, "%a" * 50 + "%b"), "f"),
        ("regexp_count(text,text)", ("x" * 10_000, "(x+x+)+y"), "0"),
        ("round(numeric,int4)", ("1.5", "2147483647"), "1.5" + "0" * 16_382),
        ("trunc(numeric,int4)", ("12345.6", "-2147483648"), "0"),
        ("jsonb_typeof(jsonb)", ("[" * 400 + "]" * 400,), "array"),
        ("to_char(numeric,text)", ("1e1000", "9"), "#"),
    ],
)
def test_call_that_looks_expensive_is_answered(
    function_id: str, texts: tuple[str, ...], expected: str
) -> None:
    result = call(function_id, *texts)
    assert result is not None
    assert result.strip() == expected


@pytest.mark.parametrize(
    ("function_id", "texts", "last"),
    [
        ("generate_series(int4,int4)", ("2147483646", "2147483647"), 2147483647),
        ("generate_series(int8,int8)", ("9223372036854775806", "9223372036854775807"), 2**63 - 1),
        (
            "generate_series(int8,int8,int8)",
            ("0", "9223372036854775807", "9223372036854775807"),
            2**63 - 1,
        ),
        (
            "generate_series(int8,int8,int8)",
            ("0", "-9223372036854775808", "-9223372036854775808"),
            -(2**63),
        ),
        ("generate_series(int8,int8)", ("0", "9223372036854775807"), MAX_TABLE_ROWS - 1),
    ],
)
def test_series_ends_at_its_bounds(function_id: str, texts: tuple[str, ...], last: int) -> None:
    (signature,) = signatures(function_id)
    assert signature.function.kind is FunctionKind.TABLE
    row = tuple(read(t.name, text) for t, text in zip(signature.args, texts, strict=True))
    assert signature.rows(row, CONTEXT)[-1] == (last,)


def test_calls_nested_too_deep_are_refused() -> None:
    int4 = type_named("int4")
    scalar: Call | ColumnRef = ColumnRef(0, int4)
    for _ in range(50_000):
        scalar = Call("-(int4)", (scalar,), int4)
    with pytest.raises(SqlError) as caught:
        compile_scalar(scalar, CONTEXT)
    assert caught.value.sqlstate == "54001"
