"""EXPLAIN in all its forms, on a running server."""

import json
import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.running_server import HeadwaterServer

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def connection(headwater_server: HeadwaterServer) -> Iterator[Connection]:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as opened:
        for statement in (
            "CREATE TABLE t (a int, b text)",
            "INSERT INTO t SELECT g, 'b' || g % 3 FROM generate_series(1, 100) g",
            "CREATE VIEW v AS SELECT b, count(*) AS n FROM t WHERE a > 10 GROUP BY b",
            "CREATE INDEX v_b ON v (b)",
            "CREATE MATERIALIZED VIEW mv AS SELECT b FROM v WHERE n > 5",
        ):
            opened.execute(statement.encode())
        yield opened


def lines(connection: Connection, statement: str) -> list[str]:
    return [str(line) for (line,) in connection.execute(statement.encode())]


def test_stages(connection: Connection) -> None:
    raw = lines(connection, "EXPLAIN RAW PLAN FOR SELECT 1 + 1 AS two FROM t WHERE a = 1 + 1")
    assert any("Filter (#0 = (1 + 1))" in line for line in raw)
    local = lines(connection, "EXPLAIN LOCALLY OPTIMIZED PLAN FOR SELECT a FROM t WHERE a = 1 + 1")
    assert local == [
        "Filter (#0 = 2)",
        "  Project (#0)",
        "    ReadStorage materialize.public.t",
    ]
    assert lines(connection, "EXPLAIN DECORRELATED PLAN FOR VIEW v") == [
        "Reduce group_by=[#1] aggregates=[count(*)]",
        "  Filter (#0 > 10)",
        "    ReadStorage materialize.public.t",
    ]
    titles = {
        "EXPLAIN SELECT 1": "Optimized Plan",
        "EXPLAIN PHYSICAL PLAN AS TEXT FOR SELECT 1": "Physical Plan",
        "EXPLAIN OPTIMIZED PLAN WITH (humanized expressions, arity) FOR SELECT 1": "Optimized Plan",
    }
    for statement, title in titles.items():
        cursor = connection.execute(statement.encode())
        assert cursor.description is not None
        assert cursor.description[0].name == title
        assert cursor.fetchall()[0] == ("Explained Query (fast path):",)


def test_what_is_maintained(connection: Connection) -> None:
    assert lines(connection, "EXPLAIN MATERIALIZED VIEW mv") == [
        "materialize.public.mv:",
        "  Project (#0)",
        "    Filter (#1 > 5)",
        "      ReadIndex on=materialize.public.v v_b=[*** full scan ***]",
        "",
        "Used Indexes:",
        "  - materialize.public.v_b (*** full scan ***)",
        "",
        "Target cluster: quickstart",
    ]
    shown = lines(connection, "EXPLAIN OPTIMIZED PLAN FOR INDEX v_b")
    assert shown[:4] == [
        "materialize.public.v_b:",
        "  ArrangeBy keys=[[#0]]",
        "    ReadGlobalFromSameDataflow materialize.public.v",
        "",
    ]
    assert shown[4] == "materialize.public.v:"
    shown = lines(connection, "EXPLAIN CREATE MATERIALIZED VIEW w AS SELECT n FROM v")
    assert shown[0] == "w:"
    assert any("v_b=[*** full scan ***]" in line for line in shown)
    assert lines(connection, "EXPLAIN CREATE VIEW w AS SELECT a FROM t") == [
        "w:",
        "  Project (#0)",
        "    ReadStorage materialize.public.t",
    ]
    with pytest.raises(psycopg.errors.WrongObjectType):
        lines(connection, "EXPLAIN INDEX mv")


def test_json(connection: Connection) -> None:
    (text,) = lines(connection, "EXPLAIN (FORMAT JSON) SELECT b FROM v WHERE b = 'b1'")
    shown = json.loads(text)
    assert shown["is_fast_path"] is True
    assert shown["used_indexes"] == ["materialize.public.v_b"]
    assert shown["target_cluster"] == "quickstart"
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        lines(connection, "EXPLAIN (FORMAT YAML) SELECT 1")
    with pytest.raises(psycopg.errors.SyntaxError):
        lines(connection, "EXPLAIN (SPEED) SELECT 1")


def test_analyze_counts_rows(connection: Connection) -> None:
    shown = lines(connection, "EXPLAIN ANALYZE SELECT b, count(*) FROM t WHERE a > 90 GROUP BY b")
    figures = r"  \(actual time=\d+\.\d{3} ms rows=(\d+) memory=\d+ kB\)"
    counted = [
        (match[1], int(match[2]))
        for line in shown
        if (match := re.fullmatch(r" *(\w+)[^(]* ?.*?" + figures, line))
    ]
    assert counted == [("Reduce", 3), ("Project", 10), ("ReadStorage", 100)]
    assert "Rows: 3" in shown
    assert re.fullmatch(r"Execution Time: \d+\.\d{3} ms", shown[-1])
    (text,) = lines(connection, "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM v WHERE b = 'b1'")
    assert json.loads(text)["plan"]["actual"]["rows"] == 1
    values = connection.execute("EXPLAIN ANALYZE SELECT * FROM t WHERE a < %s", (4,)).fetchall()
    assert ("Rows: 3",) in values
    with pytest.raises(psycopg.errors.DivisionByZero):
        lines(connection, "EXPLAIN ANALYZE SELECT 1 / (a - 1) FROM t")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        lines(connection, "EXPLAIN ANALYZE INSERT INTO t VALUES (1, 'x')")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (100,)


def test_timestamp(connection: Connection) -> None:
    shown = lines(connection, "EXPLAIN TIMESTAMP FOR SELECT * FROM t, v")
    labels = [line.partition(":")[0].strip() for line in shown]
    assert labels[:5] == [
        "oracle read timestamp",
        "query timestamp",
        "largest not in advance of upper",
        "upper",
        "since",
    ]
    assert "source materialize.public.t (u1, storage):" in shown
    assert any(
        re.fullmatch(r"source materialize\.public\.v_b \(u\d+, compute\):", x) for x in shown
    )
    (text,) = lines(connection, "EXPLAIN TIMESTAMP AS JSON FOR SELECT * FROM t")
    first = json.loads(text)
    assert first["respond_immediately"] is True
    later = first["determination"]["timestamp"] + 1_000_000_000_000
    (text,) = lines(connection, f"EXPLAIN TIMESTAMP AS JSON FOR SELECT * FROM t AS OF {later}")
    assert json.loads(text)["determination"]["timestamp"] == later
    assert json.loads(text)["respond_immediately"] is False
    connection.execute("INSERT INTO t VALUES (0, 'z')")
    connection.execute("DELETE FROM t WHERE a = 0")
    (text,) = lines(connection, "EXPLAIN TIMESTAMP AS JSON FOR SELECT * FROM t")
    assert json.loads(text)["determination"]["timestamp"] > first["determination"]["timestamp"]


def test_a_transaction_reads_at_one_time(headwater_server: HeadwaterServer) -> None:
    with psycopg.connect(headwater_server.dsn) as session:
        session.execute("SELECT count(*) FROM t")
        times = set()
        for _ in range(3):
            (text,) = lines(session, "EXPLAIN TIMESTAMP AS JSON FOR SELECT * FROM t")
            times.add(json.loads(text)["determination"]["timestamp"])
        assert len(times) == 1


def test_resources(connection: Connection) -> None:
    query = "EXPLAIN ANALYZE MEMORY, CPU FOR INDEX v_b"
    while not (found := connection.execute(query.encode()).fetchall()):
        pass  # replicas tell now and then
    operators = {row[0] for row in found}
    assert any("Arrangement" in str(name) for name in operators)
    assert connection.execute("EXPLAIN ANALYZE MEMORY FOR MATERIALIZED VIEW mv").description
    with pytest.raises(psycopg.errors.WrongObjectType):
        connection.execute("EXPLAIN ANALYZE MEMORY FOR VIEW v")
