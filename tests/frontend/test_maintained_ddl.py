"""DDL of materialized views, indexes and clusters, as clients see it."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.running_server import HeadwaterServer

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def connection(headwater_server: HeadwaterServer) -> Iterator[Connection]:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as opened:
        opened.execute("SET statement_timeout = '30s'")
        opened.execute('CREATE TABLE t (a int, b text, "Odd" int NOT NULL)')
        opened.execute("INSERT INTO t VALUES (1, 'x', 10), (2, 'y', 20), (3, 'x', 30)")
        opened.execute("CREATE VIEW per_b AS SELECT b, count(*) AS n FROM t GROUP BY b")
        yield opened


def rows(connection: Connection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query.encode()).fetchall()


def refusal(connection: Connection, statement: str) -> tuple[str | None, str | None]:
    """SQLSTATE and message of the error that `statement` gives."""
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(statement.encode())
    return raised.value.diag.sqlstate, raised.value.diag.message_primary


def definition(connection: Connection, kind: str, name: str) -> str:
    ((_, text),) = rows(connection, f"SHOW CREATE {kind} {name}")
    return str(text)


def test_definitions_are_shown_in_full(connection: Connection) -> None:
    connection.execute(
        "CREATE MATERIALIZED VIEW shown (x, \"y z\") WITH (retain history = for '1 hour', "
        "ASSERT NOT NULL x, refresh on commit) AS SELECT * /* all */ FROM per_b"
    )
    assert definition(connection, "MATERIALIZED VIEW", "shown") == (
        'CREATE MATERIALIZED VIEW materialize.public.shown (x, "y z") IN CLUSTER quickstart '
        "WITH (RETAIN HISTORY FOR '1 hour', ASSERT NOT NULL x) "
        "AS SELECT b, n FROM materialize.public.per_b;"
    )
    connection.execute("ALTER MATERIALIZED VIEW shown SET (RETAIN HISTORY FOR '2 days')")
    assert "(ASSERT NOT NULL x, RETAIN HISTORY FOR '2 days')" in definition(
        connection, "MATERIALIZED VIEW", "shown"
    )
    connection.execute("ALTER MATERIALIZED VIEW shown RESET (RETAIN HISTORY)")
    connection.execute('CREATE INDEX ON t (lower(t.b) DESC, t."Odd", public.t.a + 1)')
    assert definition(connection, "INDEX", '"t_lower_Odd_expr_idx"') == (
        'CREATE INDEX materialize.public."t_lower_Odd_expr_idx" IN CLUSTER quickstart '
        'ON materialize.public.t USING arranged (lower(b), "Odd", (a + 1));'
    )
    assert rows(connection, "SHOW COLUMNS FROM shown") == [
        ("x", False, "text", ""),
        ("y z", True, "bigint", ""),
    ]
    connection.execute('DROP INDEX "t_lower_Odd_expr_idx"')
    connection.execute("DROP MATERIALIZED VIEW shown")


def test_default_indexes_have_a_known_key(connection: Connection) -> None:
    connection.execute(
        "CREATE VIEW newest AS SELECT DISTINCT ON (b) a, b FROM t ORDER BY b, a DESC"
    )
    for name in ("per_b", "newest", "t"):
        connection.execute(f"CREATE DEFAULT INDEX ON {name}".encode())
    connection.execute("CREATE DEFAULT INDEX mine ON t")
    assert rows(connection, "SHOW INDEXES") == [
        ("mine", "t", "quickstart", ["a", "b", '"Odd"'], ""),
        ("newest_primary_idx", "newest", "quickstart", ["b"], ""),
        ("per_b_primary_idx", "per_b", "quickstart", ["b"], ""),
        ("t_primary_idx", "t", "quickstart", ["a", "b", '"Odd"'], ""),
    ]
    assert [name for name, *_ in rows(connection, "SHOW INDEXES ON per_b")] == ["per_b_primary_idx"]
    assert rows(connection, "SHOW INDEXES IN CLUSTER mz_catalog_server") == []
    connection.execute("DROP VIEW newest")
    connection.execute("DROP INDEX mine, t_primary_idx, per_b_primary_idx")


def test_what_has_no_lasting_value_is_refused(connection: Connection) -> None:
    for call in ("now", "clock_timestamp", "random", "pg_backend_pid", "current_schema"):
        for statement in (
            f"CREATE MATERIALIZED VIEW bad AS SELECT {call}() FROM t",
            f"CREATE INDEX ON t ((a + length({call}()::text)))",
        ):
            assert refusal(connection, statement) == (
                "0A000",
                f"cannot materialize call to {call}()",
            )
    assert refusal(connection, "CREATE MATERIALIZED VIEW bad AS SELECT current_user")[0] == "0A000"
    connection.execute("CREATE VIEW timely AS SELECT a FROM t WHERE b < now()::text")
    assert refusal(connection, "CREATE DEFAULT INDEX ON timely")[0] == "0A000"
    assert refusal(connection, "CREATE MATERIALIZED VIEW bad AS TABLE timely")[0] == "0A000"
    assert refusal(connection, "CREATE INDEX ON t ((mz_now()))")[0] == "0A000"
    connection.execute("DROP VIEW timely")


def test_options_are_checked(connection: Connection) -> None:
    view = "CREATE MATERIALIZED VIEW bad WITH ({}) AS SELECT a FROM t"
    for options, sqlstate in (
        ("fillfactor = 70", "22023"),
        ("RETAIN HISTORY FOR '-1 hour'", "22023"),
        ("RETAIN HISTORY FOR 'soon'", "22007"),
        ("ASSERT NOT NULL zz", "42703"),
        ("REFRESH EVERY '1 hour'", "0A000"),
        ("RETAIN HISTORY FOR '1h', RETAIN HISTORY FOR '2h'", "42601"),
    ):
        assert refusal(connection, view.format(options))[0] == sqlstate, options
    for statement, sqlstate in (
        ("CREATE UNIQUE INDEX ON t (a)", "0A000"),
        ("CREATE INDEX ON t (a) WHERE a > 0", "0A000"),
        ("CREATE INDEX ON t USING gin (a)", "0A000"),
        ("CREATE INDEX ON t ((SELECT 1))", "0A000"),
        ("CREATE INDEX other.i ON t (a)", "42602"),
        ("CREATE INDEX ON pg_class (relname)", "42501"),
        ("CREATE INDEX IN CLUSTER nosuch ON t (a)", "42704"),
        ("CREATE INDEX IN CLUSTER mz_catalog_server ON t (a)", "42501"),
        ("CREATE CLUSTER bad (SIZE 'huge')", "22023"),
        ("CREATE CLUSTER bad (REPLICATION FACTOR lots)", "22023"),
        ("CREATE CLUSTER bad (COLOR 'red')", "22023"),
        ("CREATE CLUSTER bad (SIZE '25cc') WITH", "42601"),
        ("CREATE CLUSTER bad (MANAGED, REPLICAS (r1 (SIZE '25cc')))", "22023"),
        ("CREATE CLUSTER bad (SCHEDULE = ON REFRESH)", "0A000"),
        ("ALTER CLUSTER nosuch SET (SIZE '25cc')", "42704"),
        ("ALTER CLUSTER quickstart SET (COLOR 'red')", "22023"),
        ("DROP CLUSTER REPLICA quickstart.r1", "55000"),
        ("DROP CLUSTER REPLICA quickstart.r9", "42704"),
        ("DROP CLUSTER nosuch", "42704"),
        ("DROP CLUSTER mz_catalog_server", "42501"),
        ("SHOW TABLES ON t", "42601"),
    ):
        assert refusal(connection, statement)[0] == sqlstate, statement


def test_a_cluster_and_what_it_maintains(connection: Connection) -> None:
    connection.execute("CREATE CLUSTER c (SIZE = '50cc', REPLICATION FACTOR = 2)")
    connection.execute("COMMENT ON CLUSTER c IS 'mine'")
    connection.execute("COMMENT ON CLUSTER REPLICA c.r2 IS 'second'")
    assert ("c", "r1 (50cc), r2 (50cc)", "mine") in rows(connection, "SHOW CLUSTERS")
    connection.execute("SET cluster = c")
    connection.execute("CREATE MATERIALIZED VIEW held AS SELECT a FROM t")
    connection.execute("RESET cluster")
    connection.execute("CREATE INDEX held_idx IN CLUSTER c ON t (a)")
    connection.execute("ALTER CLUSTER c SET (REPLICATION FACTOR 1)")
    connection.execute("ALTER CLUSTER c RENAME TO d")
    assert rows(connection, "SHOW MATERIALIZED VIEWS IN CLUSTER d") == [("held", "d", "")]
    assert "IN CLUSTER d ON" in definition(connection, "INDEX", "held_idx")
    assert definition(connection, "CLUSTER", "d") == (
        "CREATE CLUSTER d (MANAGED = true, SIZE = '50cc', REPLICATION FACTOR = 1);"
    )
    sqlstate, _ = refusal(connection, "DROP CLUSTER d")
    assert sqlstate == "2BP01"
    connection.execute("DROP CLUSTER d CASCADE")
    assert refusal(connection, "SELECT * FROM held")[0] == "42P01"
    assert refusal(connection, "DROP INDEX held_idx")[0] == "42704"


def test_replicas_one_by_one(connection: Connection) -> None:
    connection.execute("CREATE CLUSTER u REPLICAS (r1 (SIZE '25cc'))")
    connection.execute("CREATE CLUSTER REPLICA u.other SIZE = '50cc'")
    connection.execute("DROP CLUSTER REPLICA u.r1")
    connection.execute("DROP CLUSTER REPLICA IF EXISTS u.r1")
    shown = rows(connection, "SHOW CLUSTER REPLICAS WHERE cluster = 'u'")
    assert shown == [("u", "other", "50cc", "")]
    assert definition(connection, "CLUSTER", "u") == (
        "CREATE CLUSTER u (MANAGED = false, REPLICAS (other (SIZE = '50cc')));"
    )
    connection.execute("ALTER CLUSTER u SET (MANAGED = true)")
    assert rows(connection, "SHOW CLUSTER REPLICAS WHERE cluster = 'u'") == [
        ("u", "r1", "50cc", "")
    ]
    connection.execute("DROP CLUSTER u")


def test_notices(connection: Connection) -> None:
    connection.execute("CREATE MATERIALIZED VIEW noticed AS SELECT a FROM t WITH NO DATA")
    connection.execute("CREATE INDEX noticed_idx ON noticed (a)")
    heard: list[str | None] = []

    def hear(diagnostics: psycopg.errors.Diagnostic) -> None:
        heard.append(diagnostics.message_primary)

    connection.add_notice_handler(hear)
    for statement in (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS noticed AS SELECT 1",
        "CREATE INDEX IF NOT EXISTS noticed_idx ON noticed (a)",
        "CREATE CLUSTER IF NOT EXISTS quickstart",
        "ALTER CLUSTER IF EXISTS nosuch SET (SIZE '25cc')",
        "DROP CLUSTER IF EXISTS nosuch",
        "DROP CLUSTER REPLICA IF EXISTS nosuch.r1",
        "DROP MATERIALIZED VIEW IF EXISTS nosuch",
        "REFRESH MATERIALIZED VIEW noticed",
        "SET cluster = nosuch",
        "RESET cluster",
        "DROP MATERIALIZED VIEW noticed",
    ):
        connection.execute(statement.encode())
    connection.remove_notice_handler(hear)
    assert heard == [
        'relation "noticed" already exists, skipping',
        'relation "noticed_idx" already exists, skipping',
        'cluster "quickstart" already exists, skipping',
        'cluster "nosuch" does not exist, skipping',
        'cluster "nosuch" does not exist, skipping',
        'cluster replica "nosuch.r1" does not exist, skipping',
        'materialized view "nosuch" does not exist, skipping',
        'materialized view "noticed" is always up to date',
        'cluster "nosuch" does not exist',
    ]


def test_ddl_in_a_transaction_is_all_or_nothing(connection: Connection) -> None:
    for end in ("ROLLBACK", "COMMIT"):
        connection.execute("BEGIN")
        connection.execute("CREATE CLUSTER k")
        connection.execute("CREATE MATERIALIZED VIEW kept IN CLUSTER k AS SELECT a FROM t")
        connection.execute("CREATE INDEX IN CLUSTER k ON kept (a)")
        connection.execute("ALTER CLUSTER k RENAME TO kk")
        connection.execute(end.encode())
    assert rows(connection, "SHOW MATERIALIZED VIEWS") == [("kept", "kk", "")]
    assert rows(connection, "SHOW INDEXES ON kept") == [("kept_a_idx", "kept", "kk", ["a"], "")]
    connection.execute("DROP CLUSTER kk CASCADE")


def test_a_transaction_reads_without_the_indexes_that_it_makes(connection: Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("CREATE INDEX ON t (a)")
    connection.execute("CREATE DEFAULT INDEX ON per_b")
    assert rows(connection, "SELECT b FROM t WHERE a = 2") == [("y",)]
    assert rows(connection, "SELECT n FROM per_b WHERE b = 'x'") == [(2,)]
    connection.execute("ROLLBACK")


def test_materialized_views_replace_each_other(connection: Connection) -> None:
    connection.execute("CREATE OR REPLACE MATERIALIZED VIEW r AS SELECT a FROM t")
    connection.execute("CREATE INDEX ON r (a)")
    connection.execute("CREATE OR REPLACE MATERIALIZED VIEW r AS SELECT a, b FROM t")
    assert rows(connection, "SHOW INDEXES ON r") == []
    connection.execute("CREATE VIEW on_r AS TABLE r")
    replaced = "CREATE OR REPLACE MATERIALIZED VIEW r AS SELECT 1 AS a"
    assert refusal(connection, replaced)[0] == "2BP01"
    connection.execute("DROP VIEW on_r")
    connection.execute("DROP MATERIALIZED VIEW r")


def test_clusters_that_cannot_serve_say_so(connection: Connection) -> None:
    connection.execute("CREATE CLUSTER idle (REPLICATION FACTOR 0)")
    connection.execute("SET cluster = idle")
    for statement in ("SELECT a FROM t", "INSERT INTO t SELECT * FROM t", "COPY t TO STDOUT"):
        assert refusal(connection, statement) == ("55000", 'cluster "idle" has no replicas')
    assert rows(connection, "SELECT 1") == [(1,)]
    connection.execute("ALTER CLUSTER idle SET (REPLICATION FACTOR 1)")
    assert rows(connection, "SELECT a FROM t WHERE a = 3") == [(3,)]
    connection.execute("BEGIN")
    connection.execute("CREATE CLUSTER fresh")
    connection.execute("SET LOCAL cluster = fresh")
    sqlstate, message = refusal(connection, "SELECT a FROM t")
    connection.execute("ROLLBACK")
    assert (sqlstate, message) == (
        "55000",
        'cluster "fresh" does not run before the transaction that creates it has committed',
    )
    connection.execute("SET cluster = nosuch")
    assert refusal(connection, "SELECT a FROM t") == ("42704", 'unknown cluster "nosuch"')
    connection.execute("RESET cluster")
    connection.execute("DROP CLUSTER idle")


def test_what_is_of_the_moment_cannot_be_maintained(connection: Connection) -> None:
    statement = "CREATE MATERIALIZED VIEW bad AS SELECT * FROM mz_internal.mz_frontiers"
    assert refusal(connection, statement) == ("0A000", 'cannot materialize "mz_frontiers"')


def test_a_materialized_view_can_be_copied_out(connection: Connection) -> None:
    connection.execute("CREATE MATERIALIZED VIEW copied AS SELECT b, a FROM t WHERE a < 3")
    with connection.cursor().copy("COPY copied (a, b) TO STDOUT") as copy:
        assert sorted(bytes(part) for part in copy) == [b"1\tx\n", b"2\ty\n"]
    connection.execute("CREATE INDEX copied_idx ON copied (a)")
    assert refusal(connection, "COPY copied_idx TO STDOUT")[0] == "42809"
    assert refusal(connection, "COPY per_b TO STDOUT")[0] == "42809"
    assert refusal(connection, "COPY copied FROM STDIN")[0] == "42809"
    connection.execute("DROP MATERIALIZED VIEW copied")
