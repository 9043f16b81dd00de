"""Materialized views and indexes, from SQL to replicas: fresh at once, whatever dies."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.processes import replicas
from tests.running_server import HeadwaterServer

Rows = list[tuple[object, ...]]

ANSWERS = 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadwaterServer]:
    server = HeadwaterServer(tmp_path_factory.mktemp("maintained") / "data")
    server.start()
    try:
        yield server
    finally:
        if server.is_running:
            server.stop()


@pytest.fixture
def schema(server: HeadwaterServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """A schema of the test's own, first on its search path."""
    name = request.node.name[:60].replace("[", "_").replace("]", "")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"')
    yield name
    if server.is_running:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA "{name}" CASCADE')


@pytest.fixture
def session(server: HeadwaterServer, schema: str) -> Iterator[psycopg.Connection]:
    with connect(server, schema) as connection:
        yield connection


def connect(server: HeadwaterServer, schema: str) -> psycopg.Connection:
    connection = psycopg.connect(server.dsn, autocommit=True)
    connection.execute(f'SET search_path = "{schema}"')
    return connection


def rows(session: psycopg.Connection, query: str) -> Rows:
    return session.execute(query).fetchall()


def run(session: psycopg.Connection, *statements: str) -> None:
    for statement in statements:
        session.execute(statement)


def kill_replicas(server: HeadwaterServer, count: int | None = None) -> None:
    """kill -9 of so many replicas of users' clusters, of all if None."""
    users = [found for found in replicas(server.pid) if "u1-replica" in " ".join(found.cmdline())]
    for replica in users[:count]:
        replica.kill()


def definitions(session: psycopg.Connection) -> None:
    """A table, a materialized view of it, one of that, a view of it, and indexes on all."""
    run(
        session,
        "CREATE TABLE sales (item text, amount int)",
        "INSERT INTO sales VALUES ('pen', 3), ('pen', 4), ('ink', 5)",
        "CREATE MATERIALIZED VIEW totals AS"
        " SELECT item, sum(amount) AS total, count(*) AS n FROM sales GROUP BY item",
        "CREATE MATERIALIZED VIEW best AS SELECT max(total) AS best FROM totals",
        "CREATE VIEW big AS SELECT * FROM totals WHERE total > 6",
        "CREATE INDEX sales_by_item ON sales (item)",
        "CREATE DEFAULT INDEX ON totals",
        "CREATE DEFAULT INDEX ON big",
    )


def everything(session: psycopg.Connection) -> list[Rows]:
    return [
        rows(session, "SELECT * FROM totals ORDER BY item"),
        rows(session, "SELECT best FROM best"),
        rows(session, "SELECT item FROM big ORDER BY item"),
        rows(session, "SELECT amount FROM sales WHERE item = 'pen' ORDER BY amount"),
    ]


BEFORE: list[Rows] = [[("ink", 5, 1), ("pen", 7, 2)], [(7,)], [("pen",)], [(3,), (4,)]]
AFTER: list[Rows] = [
    [("cap", 9, 1), ("ink", 5, 1), ("pen", 3, 1)],
    [(9,)],
    [("cap",)],
    [(3,)],
]


def change(session: psycopg.Connection) -> None:
    run(
        session,
        "INSERT INTO sales VALUES ('cap', 9)",
        "DELETE FROM sales WHERE item = 'pen' AND amount = 4",
    )


def test_what_is_maintained_is_fresh_in_the_next_read(
    session: psycopg.Connection, server: HeadwaterServer, schema: str
) -> None:
    definitions(session)
    assert everything(session) == BEFORE
    change(session)
    assert everything(session) == AFTER
    with connect(server, schema) as other:
        assert everything(other) == AFTER


def test_a_write_is_seen_in_every_view_by_every_connection(
    session: psycopg.Connection, server: HeadwaterServer, schema: str
) -> None:
    definitions(session)
    with connect(server, schema) as other:
        for amount in range(1, 30):
            run(session, f"INSERT INTO sales VALUES ('new', {amount})")
            total = amount * (amount + 1) // 2
            for reader in (other, session):
                assert rows(reader, "SELECT total, n FROM totals WHERE item = 'new'") == [
                    (total, amount)
                ]
                assert rows(reader, "SELECT best FROM best") == [(max(7, total),)]


def test_a_killed_replica_maintains_again(
    session: psycopg.Connection, server: HeadwaterServer
) -> None:
    definitions(session)
    assert everything(session) == BEFORE
    kill_replicas(server)
    assert everything(session) == BEFORE
    kill_replicas(server)
    change(session)
    assert everything(session) == AFTER


def test_a_transaction_reads_at_its_time_even_if_the_replica_dies(
    session: psycopg.Connection, server: HeadwaterServer, schema: str
) -> None:
    definitions(session)
    run(session, "BEGIN")
    assert everything(session) == BEFORE
    with connect(server, schema) as other:
        change(other)
        assert everything(other) == AFTER
        kill_replicas(server)
        assert everything(other) == AFTER
    assert everything(session) == BEFORE
    run(session, "COMMIT")
    assert everything(session) == AFTER


def test_two_replicas_answer_while_one_is_left(
    session: psycopg.Connection, server: HeadwaterServer
) -> None:
    run(session, "ALTER CLUSTER quickstart SET (REPLICATION FACTOR 2)")
    try:
        definitions(session)
        assert everything(session) == BEFORE
        for _ in range(3):
            kill_replicas(server, 1)
            assert everything(session) == BEFORE
        change(session)
        assert everything(session) == AFTER
    finally:
        run(session, "ALTER CLUSTER quickstart SET (REPLICATION FACTOR 1)")
    assert everything(session) == AFTER


def test_clusters_of_their_own(
    session: psycopg.Connection, server: HeadwaterServer, schema: str
) -> None:
    run(
        session,
        "CREATE TABLE t (a int)",
        "CREATE CLUSTER side (SIZE '25cc')",
        "CREATE MATERIALIZED VIEW v IN CLUSTER side AS SELECT a, count(*) AS n FROM t GROUP BY a",
        "INSERT INTO t VALUES (1), (1), (2)",
    )
    assert rows(session, "SELECT * FROM v ORDER BY a") == [(1, 2), (2, 1)]
    run(session, "ALTER CLUSTER side RENAME TO other_side", "SET cluster = other_side")
    run(session, "CREATE INDEX i ON v (a)")
    assert rows(session, "SELECT n FROM v WHERE a = 1") == [(2,)]
    run(session, "INSERT INTO t VALUES (1)")
    assert rows(session, "SELECT n FROM v WHERE a = 1") == [(3,)]
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        run(session, "DROP CLUSTER other_side")
    run(session, "ALTER CLUSTER other_side SET (REPLICATION FACTOR 0)")
    with pytest.raises(psycopg.OperationalError, match="has no replicas"):
        rows(session, "SELECT n FROM v WHERE a = 1")
    run(session, "INSERT INTO t VALUES (2)")
    run(session, "ALTER CLUSTER other_side SET (REPLICATION FACTOR 1)")
    assert rows(session, "SELECT * FROM v ORDER BY a") == [(1, 3), (2, 2)]
    run(session, "SET cluster = quickstart", "DROP CLUSTER other_side CASCADE")
    with pytest.raises(psycopg.errors.UndefinedTable):
        rows(session, "SELECT * FROM v")


def test_objects_dropped_while_they_are_read(
    session: psycopg.Connection, server: HeadwaterServer, schema: str
) -> None:
    run(session, "CREATE TABLE t (a int)", "INSERT INTO t SELECT generate_series(1, 100)")

    def read() -> None:
        answers = 0
        with connect(server, schema) as reader:
            while answers < ANSWERS:
                try:
                    found = rows(reader, "SELECT count(*), sum(a) FROM v WHERE a > 0")
                except psycopg.errors.UndefinedTable:
                    continue
                assert found == [(100, 5050)]
                answers += 1

    run(session, "CREATE MATERIALIZED VIEW v AS SELECT * FROM t")
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        while not all(reader.done() for reader in readers):
            run(session, "CREATE INDEX i ON v (a)", "DROP INDEX i")
            run(session, "DROP MATERIALIZED VIEW v")
            run(session, "CREATE MATERIALIZED VIEW v AS SELECT * FROM t")
        for reader in readers:
            reader.result()


def test_reads_of_the_past(session: psycopg.Connection) -> None:
    run(
        session,
        "CREATE TABLE t (a int)",
        "CREATE MATERIALIZED VIEW v WITH (RETAIN HISTORY FOR '1 hour') AS SELECT sum(a) FROM t",
        "INSERT INTO t VALUES (1)",
    )
    run(session, "BEGIN")
    assert rows(session, "SELECT * FROM v") == [(1,)]
    [(then,)] = rows(session, "SELECT mz_now()")
    run(session, "COMMIT", "INSERT INTO t VALUES (2)")
    assert rows(session, "SELECT * FROM v") == [(3,)]
    assert rows(session, f"SELECT * FROM v AS OF {then}") == [(1,)]
    assert rows(session, f"SELECT * FROM v AS OF AT LEAST {then}") == [(1,)]
    with pytest.raises(psycopg.Error, match="is not valid for all inputs"):
        rows(session, "SELECT * FROM t AS OF 1000")


def test_what_is_known_of_replicas_and_dataflows(session: psycopg.Connection) -> None:
    definitions(session)
    everything(session)
    of_schema = (
        "JOIN mz_objects o ON o.id = x.object_id JOIN mz_schemas s ON s.id = o.schema_id"
        " WHERE s.name = current_schema()"
    )
    hydrated = rows(
        session, f"SELECT o.name, x.hydrated FROM mz_internal.mz_hydration_statuses x {of_schema}"
    )
    assert {name for name, is_hydrated in hydrated if is_hydrated} == {
        "totals",
        "best",
        "sales_by_item",
        "totals_primary_idx",
        "big_primary_idx",
    }
    frontiers = rows(
        session,
        f"SELECT x.read_frontier <= x.write_frontier FROM mz_internal.mz_frontiers x {of_schema}",
    )
    assert frontiers == [(True,)] * 6
    lags = rows(
        session, f"SELECT x.global_lag FROM mz_internal.mz_materialization_lag x {of_schema}"
    )
    assert len(lags) == 5 and all(lag is not None for (lag,) in lags)
    statuses = rows(session, "SELECT DISTINCT status FROM mz_internal.mz_cluster_replica_statuses")
    assert statuses == [("online",)]


def test_environmentd_dies_and_views_go_on(tmp_path: Path) -> None:
    server = HeadwaterServer(tmp_path / "data")
    server.start()
    try:
        with psycopg.connect(server.dsn, autocommit=True) as session:
            definitions(session)
            run(
                session,
                "CREATE MATERIALIZED VIEW kept WITH (RETAIN HISTORY FOR '1 hour') AS"
                " SELECT count(*) AS n FROM sales",
            )
            assert everything(session) == BEFORE
            with session.transaction():
                assert rows(session, "SELECT n FROM kept") == [(3,)]
                [(then,)] = rows(session, "SELECT mz_now()")
            change(session)
            run(
                session, "INSERT INTO sales VALUES ('ink', 0)", "DELETE FROM sales WHERE amount = 0"
            )
        server.kill()
        server.start()
        with psycopg.connect(server.dsn, autocommit=True) as session:
            assert everything(session) == AFTER
            assert rows(session, f"SELECT n FROM kept AS OF {then}") == [(3,)]
            run(session, "INSERT INTO sales VALUES ('pen', 4)")
        assert server.stop() == 0
        server.start()
        with psycopg.connect(server.dsn, autocommit=True) as session:
            run(session, "DELETE FROM sales WHERE item = 'cap'")
            assert everything(session) == BEFORE
    finally:
        if server.is_running:
            server.stop()
