"""EXPLAIN and CHECK in both grammars, and AS OF beside aliases that are called so."""

import pytest

from core.errors import SqlError
from sql import syntax as ast
from sql.inspection_syntax import (
    Check,
    Explain,
    ExplainedItem,
    ExplainResources,
    ExplainTimestamp,
)
from sql.parse import parse_statements


def parsed(text: str) -> ast.Statement:
    (statement,) = parse_statements(text)
    return statement.statement


@pytest.mark.parametrize(
    ("text", "stage", "format", "is_analyzed"),
    [
        ("EXPLAIN SELECT 1", "optimized", "text", False),
        ("EXPLAIN VERBOSE SELECT 1", "optimized", "text", False),
        ("EXPLAIN PLAN FOR SELECT 1", "optimized", "text", False),
        ("EXPLAIN RAW PLAN FOR SELECT 1", "raw", "text", False),
        ("EXPLAIN LOCALLY OPTIMIZED PLAN AS JSON FOR SELECT 1", "locally optimized", "json", False),
        (
            "EXPLAIN PHYSICAL PLAN WITH (join implementations, keys = on) AS TEXT FOR TABLE t",
            "physical",
            "text",
            False,
        ),
        ("EXPLAIN ANALYZE SELECT 1", "optimized", "text", True),
        ("EXPLAIN ANALYZE VERBOSE SELECT 1", "optimized", "text", True),
        ("EXPLAIN (ANALYZE, COSTS off, FORMAT JSON) SELECT 1", "optimized", "json", True),
        ("EXPLAIN (ANALYZE false) SELECT 1", "optimized", "text", False),
        ("EXPLAIN (SELECT 1)", "optimized", "text", False),
        ("EXPLAIN WITH a AS (SELECT 1) SELECT * FROM a", "optimized", "text", False),
    ],
)
def test_explained_queries(text: str, stage: str, format: str, is_analyzed: bool) -> None:
    statement = parsed(text)
    assert isinstance(statement, Explain)
    assert isinstance(statement.statement, ast.QueryStatement)
    assert (statement.stage, statement.format, statement.is_analyzed) == (
        stage,
        format,
        is_analyzed,
    )


def test_explained_items() -> None:
    for words in ("materialized view", "view", "index"):
        statement = parsed(f"EXPLAIN OPTIMIZED PLAN FOR {words.upper()} s.x")
        assert isinstance(statement, Explain)
        assert isinstance(statement.statement, ExplainedItem)
        assert (statement.statement.kind, statement.statement.name) == (words, ("s", "x"))
    resources = parsed("EXPLAIN ANALYZE CPU, MEMORY, CPU FOR INDEX x")
    assert isinstance(resources, ExplainResources)
    assert resources.measures == ("cpu", "memory")
    timestamp = parsed("EXPLAIN TIMESTAMP AS JSON FOR SELECT * FROM t AS OF 5")
    assert isinstance(timestamp, ExplainTimestamp)
    assert timestamp.query.as_of is not None


@pytest.mark.parametrize(
    "text",
    [
        "EXPLAIN",
        "EXPLAIN EXPLAIN SELECT 1",
        "EXPLAIN (SPEED) SELECT 1",
        "EXPLAIN LOCALLY PLAN FOR SELECT 1",
        "EXPLAIN ANALYZE MEMORY FOR x",
        "EXPLAIN TIMESTAMP FOR INSERT INTO t VALUES (1)",
        "CHECK x",
        "CHECK TABLE x",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(SqlError) as raised:
        parsed(text)
    assert raised.value.sqlstate == "42601"


def test_checks() -> None:
    for text, kind in (
        ("CHECK VIEW a.b", None),
        ("CHECK MATERIALIZED VIEW a.b AS OF AT LEAST now()", "materialized view"),
        ("CHECK INDEX a.b AS OF 5", "index"),
    ):
        statement = parsed(text)
        assert isinstance(statement, Check)
        assert (statement.kind, statement.name) == (kind, ("a", "b"))
        assert statement.as_of_at_least == ("AT LEAST" in text)


@pytest.mark.parametrize(
    ("text", "has_time"),
    [
        ("SELECT 1 AS of", False),
        ("SELECT 1 AS of FROM t", False),
        ("SELECT 1 AS of, 2", False),
        ("SELECT * FROM t AS of", False),
        ("SELECT * FROM t AS of WHERE (true)", False),
        ("SELECT * FROM t AS of (a, b)", False),
        ("SELECT * FROM t AS of JOIN u ON (true)", False),
        ("SELECT * FROM t AS of, u", False),
        ("SELECT 1 AS OF 5", True),
        ("SELECT * FROM t AS OF 5", True),
        ("SELECT * FROM t AS OF AT LEAST 5", True),
        ("SELECT * FROM t AS OF now()", True),
        ("SELECT * FROM t AS OF mz_now()", True),
        ("SELECT * FROM t AS OF current_timestamp", True),
        ("SELECT * FROM t AS OF timestamptz '2024-01-01'", True),
        ("SELECT * FROM t AS OF '2024-01-01'", True),
        ("SELECT * FROM t AS OF $1", True),
        ("SELECT * FROM t AS of WHERE a = 1 AS OF 5", True),
        ("SELECT a FROM t ORDER BY a LIMIT 1 AS OF 5", True),
        ("TABLE t AS OF 5", True),
        ("WITH w AS (SELECT 1) SELECT * FROM w AS OF 5", True),
    ],
)
def test_times_and_aliases(text: str, has_time: bool) -> None:
    statement = parsed(text)
    assert isinstance(statement, ast.QueryStatement)
    assert (statement.as_of is not None) == has_time
    assert statement.as_of_at_least == ("AT LEAST" in text)


def test_only_whole_queries_have_times() -> None:
    for text in ("SELECT * FROM (SELECT 1 AS OF 5) s", "SELECT (SELECT 1 AS OF 5)"):
        with pytest.raises(SqlError):
            parsed(text)
