"""What materialized views leave in the durable store: little while they are there, then nothing;
and that it is all that readers in other clusters need."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest

from tests.crash.test_ddl import wait_until_nothing_leaks
from tests.processes import replicas
from tests.running_server import HeadwaterServer

COMMITS: Final = 400
MOST_ENTRIES: Final = 64  # of a shard's log
ENTRIES: Final = """
SELECT max(entries)::int FROM (
  SELECT count(*) AS entries FROM consensus WHERE shard NOT IN (SELECT txns_shard FROM fence)
   GROUP BY shard
) AS shards"""


@pytest.fixture
def server(tmp_path: Path, fresh_database_url: str) -> Iterator[HeadwaterServer]:
    server = HeadwaterServer(tmp_path / "data", ("--metadata-url", fresh_database_url))
    server.start()
    yield server
    if server.is_running:
        server.stop()


@pytest.fixture
def session(server: HeadwaterServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.dsn, autocommit=True) as session:
        session.execute("CREATE CLUSTER elsewhere (SIZE '25cc')")
        session.execute("CREATE TABLE numbers (n int)")
        yield session


def test_views_leave_little_and_then_nothing(
    server: HeadwaterServer, session: psycopg.Connection, fresh_database_url: str
) -> None:
    session.execute(
        "CREATE MATERIALIZED VIEW sums AS SELECT n % 7 AS k, sum(n) AS s FROM numbers GROUP BY k"
    )
    session.execute(
        "CREATE MATERIALIZED VIEW best IN CLUSTER elsewhere AS SELECT max(s) AS m FROM sums"
    )
    for number in range(COMMITS):
        session.execute("INSERT INTO numbers VALUES (%s)", [number])
    expected = [sum(range(k, COMMITS, 7)) for k in range(7)]
    assert session.execute("SELECT s FROM sums ORDER BY k").fetchall() == [(s,) for s in expected]
    assert session.execute("SELECT m FROM best").fetchall() == [(max(expected),)]
    with psycopg.connect(fresh_database_url) as store:
        row = store.execute(ENTRIES).fetchone()
        assert row is not None
        assert row[0] <= MOST_ENTRIES
    for replica in replicas(server.pid):
        replica.kill()  # what it wrote last, and what it would have written next, is gone too
    session.execute("DROP TABLE numbers CASCADE")
    asyncio.run(wait_until_nothing_leaks(server, fresh_database_url))


def test_errors_in_data_are_read_wherever_the_view_is(
    server: HeadwaterServer, session: psycopg.Connection
) -> None:
    session.execute("CREATE MATERIALIZED VIEW shares AS SELECT n, 12 / n AS s FROM numbers")
    session.execute(
        "CREATE MATERIALIZED VIEW total IN CLUSTER elsewhere AS SELECT sum(s) AS s FROM shares"
    )
    session.execute("INSERT INTO numbers VALUES (3), (0), (4)")

    def read_all() -> list[object]:
        found: list[object] = []
        for cluster in ("quickstart", "elsewhere"):
            session.execute(f"SET cluster = {cluster}")
            for query in ("SELECT s FROM shares ORDER BY n", "SELECT s FROM total"):
                try:
                    found.append(session.execute(query).fetchall())
                except psycopg.errors.DivisionByZero:
                    found.append("division by zero")
        return found

    assert read_all() == ["division by zero"] * 4
    for replica in replicas(server.pid):
        replica.kill()
    assert read_all() == ["division by zero"] * 4
    session.execute("DELETE FROM numbers WHERE n = 0")
    assert read_all() == [[(4,), (3,)], [(7,)]] * 2
