"""The parser by itself: total on any text, true to offsets, bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SqlError
from sql import syntax as ast
from sql.keywords import COLUMN_NAMES, RESERVED, TYPE_OR_FUNCTION_NAMES
from sql.parse import parse_statements

WORDS = sorted(RESERVED | TYPE_OR_FUNCTION_NAMES | COLUMN_NAMES)
STATEMENT_WORDS = (
    *("insert", "update", "delete", "set", "values", "view", "show", "drop", "alter", "begin"),
    *("copy", "explain", "prepare", "execute", "declare", "fetch", "over", "partition", "by"),
    *("interval", "array", "row", "cursor", "lateral", "extract", "rows", "range", "returning"),
)
SYMBOLS = (
    *("(", ")", "[", "]", ",", ";", ".", "*", "+", "-", "::", "=", "<>", "||", "->", "$1", "$x$"),
    *("'a'", "'", '"b"', '"', "e'\\x'", "U&'\\0041'", "1", "1.5e3", "0x1f", "a", "b.c", ":", "@"),
    *("--", "/*", "*/", "\x00", "é", "😀", "\\"),
)
tokens = st.sampled_from((*WORDS, *STATEMENT_WORDS, *SYMBOLS))


@settings(max_examples=1500, deadline=None)
@given(st.lists(tokens, max_size=25).map(" ".join))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        statements = parse_statements(text)
    except SqlError as error:
        assert error.position is None or 1 <= error.position <= len(text) + 1
    else:
        for statement in statements:
            assert text[statement.offset :].startswith(statement.sql)


def test_statements_know_their_slices() -> None:
    text = " SELECT ';' ; ;/* ; */ INSERT INTO t VALUES ($2) -- ;\n;"
    first, second = parse_statements(text)
    assert (first.sql.strip(), first.parameter_count) == ("SELECT ';'", 0)
    assert (second.tag, second.parameter_count) == ("INSERT", 2)
    assert text[second.offset :].startswith("INSERT")


def expression(text: str) -> ast.Expression:
    (parsed,) = parse_statements(f"SELECT {text}")
    assert isinstance(parsed.statement, ast.QueryStatement)
    body = parsed.statement.query.body
    assert isinstance(body, ast.Select)
    return body.items[0].expression


def shape(node: ast.Expression) -> str:
    """The expression with every operator in parentheses."""
    match node:
        case ast.Operator(left=None, name=name, right=right):
            return f"({name} {shape(right)})"
        case ast.Operator(left=left, name=name, right=right) if left is not None:
            return f"({shape(left)} {name} {shape(right)})"
        case ast.Conjunction(args=args):
            return f"({' AND '.join(map(shape, args))})"
        case ast.Disjunction(args=args):
            return f"({' OR '.join(map(shape, args))})"
        case ast.Negation(arg=arg):
            return f"(NOT {shape(arg)})"
        case ast.IsTest(arg=arg, test=test):
            return f"({shape(arg)} IS {test.upper()})"
        case ast.CastExpression(arg=arg, type=target):
            return f"({shape(arg)}::{target.name[-1]})"
        case ast.ColumnName(parts=parts):
            return ".".join(parts)
        case ast.NumberLiteral(text=number):
            return number
        case _:
            raise AssertionError(node)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("a ^ b ^ c", "((a ^ b) ^ c)"),
        ("- a ^ b", "((- a) ^ b)"),
        ("a || b + c", "(a || (b + c))"),
        ("a = b IS NULL", "((a = b) IS NULL)"),
        ("NOT a = b", "(NOT (a = b))"),
        ("a OR b AND NOT c", "(a OR (b AND (NOT c)))"),
        ("a < b OR c = d AND e", "((a < b) OR ((c = d) AND e))"),
        ("- a::int4", "(- (a::int4))"),
        ("a -> b = c", "((a -> b) = c)"),
        ("a * - b", "(a * (- b))"),
    ],
)
def test_precedence_is_postgresqls(text: str, meaning: str) -> None:
    assert shape(expression(text)) == meaning


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "(" * 300 + "1" + ")" * 300,
        "SELECT " + "NOT " * 3_000 + "true",
        "SELECT 1" + " + 1" * 3_000,
        "SELECT a" + "[1]" * 60,
        "SELECT * FROM " + "(" * 15_000,
    ],
)
def test_deep_texts_are_refused(text: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_statements(text)
    assert caught.value.sqlstate == "54001"
