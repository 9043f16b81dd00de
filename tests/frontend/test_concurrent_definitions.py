"""Several connections create, change and drop what clusters maintain, while others write."""

import random
import threading
from typing import Final

import psycopg
import pytest

from tests.running_server import HeadwaterServer

CONNECTIONS: Final = 5
STATEMENTS: Final = 12
# What another connection did first: it is gone, or there already.
EXPECTED: Final = frozenset({"42704", "42710", "42P01", "42P07"})


def statements(seed: int) -> list[str]:
    """What one connection runs."""
    chance = random.Random(seed)
    made = []
    for number in range(STATEMENTS):
        cluster = f"k{chance.randrange(3)}"
        view, earlier = f"m{seed}_{number}", f"m{seed}_{max(0, number - 1)}"
        made.append(
            chance.choice(
                [
                    "CREATE INDEX ON t (a)",
                    f"DROP INDEX IF EXISTS t_a_idx{chance.randrange(1, 5)}",
                    f"CREATE MATERIALIZED VIEW {view} AS SELECT a, count(*) FROM t GROUP BY a",
                    f"CREATE MATERIALIZED VIEW {view} IN CLUSTER {cluster} AS SELECT a FROM t",
                    f"DROP MATERIALIZED VIEW IF EXISTS {earlier}",
                    "INSERT INTO t VALUES (7)",
                    "SELECT count(*) FROM t WHERE a = 7",
                    f"CREATE CLUSTER {cluster}",
                    f"ALTER CLUSTER {cluster} SET (REPLICATION FACTOR {chance.randrange(2)})",
                    f"DROP CLUSTER {cluster} CASCADE",
                ]
            )
        )
    return made


def run(dsn: str, seed: int, unexpected: list[str]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements(seed):
            try:
                connection.execute(statement.encode())
            except psycopg.Error as error:
                if error.sqlstate not in EXPECTED:
                    unexpected.append(f"{statement}: {error.sqlstate} {error}")


@pytest.mark.parametrize("first_seed", [1, pytest.param(101, marks=pytest.mark.long)])
def test_definitions_from_many_connections(
    headwater_server: HeadwaterServer, first_seed: int
) -> None:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a int)")
        connection.execute("INSERT INTO t SELECT generate_series(1, 20)")
        unexpected: list[str] = []
        threads = [
            threading.Thread(target=run, args=(headwater_server.dsn, seed, unexpected))
            for seed in range(first_seed, first_seed + CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert unexpected == []
        connection.execute("SET statement_timeout = '60s'")
        (row_count,) = connection.execute("SELECT count(*) FROM t").fetchone() or ()
        served = connection.execute(
            "SELECT m.name, m.definition LIKE '%count%' FROM mz_catalog.mz_materialized_views m "
            "JOIN mz_catalog.mz_clusters c ON c.id = m.cluster_id WHERE c.replication_factor > 0"
        ).fetchall()
        for name, is_grouped in served:
            counted = "sum(count)" if is_grouped else "count(*)"
            query = f"SELECT {counted} FROM {name}"
            assert connection.execute(query.encode()).fetchone() == (row_count,), name
        connection.execute("DROP TABLE t CASCADE")
        for (cluster,) in connection.execute(
            "SELECT name FROM mz_catalog.mz_clusters WHERE name LIKE 'k_'"
        ).fetchall():
            connection.execute(f"DROP CLUSTER {cluster}".encode())
