"""Sources, from SQL and HTTP to rows: load generators, exactly once, and webhooks."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Final

import psycopg
import pytest

from tests.processes import replicas
from tests.running_server import HeadwaterServer

DEADLINE_S: Final = 60.0
POLL_S: Final = 0.1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadwaterServer]:
    server = HeadwaterServer(tmp_path_factory.mktemp("sources") / "data")
    server.start()
    yield server
    if server.is_running:
        server.stop()


@pytest.fixture
def session(server: HeadwaterServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.dsn, autocommit=True) as session:
        yield session


def rows(session: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    return session.execute(query).fetchall()


def count(session: psycopg.Connection, query: str) -> int:
    ((found,),) = rows(session, query)
    assert isinstance(found, int)
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(POLL_S)


def test_a_counter_keeps_its_last_rows(session: psycopg.Connection) -> None:
    session.execute(
        "CREATE SOURCE ticks FROM LOAD GENERATOR COUNTER (TICK INTERVAL '20 ms', MAX CARDINALITY 3)"
    )
    wait_until(lambda: count(session, "SELECT coalesce(max(counter), 0) FROM ticks") > 10)
    ((least, most, number),) = rows(
        session, "SELECT min(counter), max(counter), count(*) FROM ticks"
    )
    assert isinstance(most, int)
    assert (least, number) == (most - 2, 3)
    session.execute("DROP SOURCE ticks")
    with pytest.raises(psycopg.errors.UndefinedTable):
        session.execute("SELECT * FROM ticks_progress")


def test_an_auction_goes_on_exactly_once(
    server: HeadwaterServer, session: psycopg.Connection
) -> None:
    session.execute(
        "CREATE SOURCE house FROM LOAD GENERATOR AUCTION (TICK INTERVAL '10 ms') FOR ALL TABLES"
    )
    session.execute(
        "CREATE MATERIALIZED VIEW best AS SELECT auction_id, max(amount) AS amount, count(*) AS n"
        " FROM bids GROUP BY auction_id"
    )

    def check(at_least: int) -> int:
        wait_until(lambda: count(session, "SELECT count(*)::int FROM bids") > at_least)
        with session.transaction():  # at one time
            ticks = count(session, 'SELECT "offset"::text::int FROM house_progress')
            auctions = count(session, "SELECT count(*)::int FROM auctions")
            bids = rows(session, "SELECT count(*), count(DISTINCT id), max(id) FROM bids")
            assert auctions == (ticks + 9) // 10
            assert bids == [(ticks - auctions,) * 3]
            assert rows(session, "SELECT sum(n) FROM best") == [(ticks - auctions,)]
            assert count(session, "SELECT count(*)::int FROM users") == 1_000
        unknown = "SELECT count(*)::int FROM mz_internal.mz_frontiers WHERE write_frontier = 0"
        assert count(session, unknown) == 0
        return ticks

    seen = check(0)
    for replica in replicas(server.pid):
        replica.kill()
    seen = check(seen)
    server.kill()
    server.start()
    with psycopg.connect(server.dsn, autocommit=True) as session:
        check(seen)
        shown = {
            name: kind for name, kind, *_ in session.execute("SHOW SOURCES IN CLUSTER quickstart")
        }
        assert shown["house"] == "load-generator"
        listed = {name: kind for name, kind, *_ in session.execute("SHOW SOURCES")}
        assert (listed["bids"], listed["house_progress"]) == ("subsource", "progress")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            session.execute("DROP SOURCE bids")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            session.execute("DROP SOURCE house")
        session.execute("DROP SOURCE house CASCADE")
        assert rows(session, "SELECT name FROM mz_sources WHERE id LIKE 'u%'") == []


def test_the_tables_of_tpch(session: psycopg.Connection) -> None:
    session.execute(
        "CREATE SOURCE benchmark FROM LOAD GENERATOR TPCH"
        " (SCALE FACTOR 0.001, TICK INTERVAL '20 ms') FOR TABLES (orders, lineitem AS lines)"
    )
    wait_until(lambda: count(session, "SELECT count(*)::int FROM orders") > 0)
    loose = (
        "SELECT count(*)::int FROM lines FULL JOIN orders ON l_orderkey = o_orderkey"
        " WHERE l_orderkey IS NULL OR o_orderkey IS NULL"
    )
    for _ in range(3):
        assert count(session, "SELECT count(*)::int FROM orders") == 1_500
        assert count(session, loose) == 0
    session.execute("DROP SOURCE benchmark")


def post(server: HeadwaterServer, source: str, body: bytes) -> int:
    url = f"http://127.0.0.1:{server.http_port}/api/webhook/materialize/public/{source}"
    request = urllib.request.Request(url, data=body, headers={"X-Kind": "test"}, method="POST")
    try:
        with urllib.request.urlopen(request) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)


def test_webhooks_append_what_is_posted(
    server: HeadwaterServer, session: psycopg.Connection
) -> None:
    session.execute("CREATE SOURCE texts FROM WEBHOOK BODY FORMAT TEXT")
    session.execute("CREATE SOURCE events FROM WEBHOOK BODY FORMAT JSON INCLUDE HEADERS")
    session.execute("CREATE SOURCE blobs FROM WEBHOOK BODY FORMAT BYTES")
    session.execute("CREATE MATERIALIZED VIEW kinds AS SELECT body ->> 'k' AS k FROM events")
    assert post(server, "texts", "größer".encode()) == 200
    assert rows(session, "SELECT body FROM texts") == [("größer",)]
    assert post(server, "texts", b"\xff") == 400
    assert post(server, "events", b'{"k": 1, "k": 2}') == 200
    assert rows(session, "SELECT body, headers ->> 'x-kind' FROM events") == [({"k": 2}, "test")]
    assert rows(session, "SELECT k FROM kinds") == [("2",)]
    assert post(server, "events", b"{") == 400
    assert post(server, "blobs", b"\x00\xff") == 200
    assert rows(session, "SELECT body FROM blobs") == [(b"\x00\xff",)]
    assert post(server, "kinds", b"") == 404
    with pytest.raises(psycopg.errors.WrongObjectType):
        session.execute("INSERT INTO texts VALUES ('x')")
    session.execute("DROP SOURCE texts, blobs")
    session.execute("DROP SOURCE events CASCADE")
    assert post(server, "texts", b"x") == 404


def test_what_is_refused(session: psycopg.Connection) -> None:
    session.execute("CREATE SOURCE counted FROM LOAD GENERATOR COUNTER")
    for statement, sqlstate in (
        ("CREATE SOURCE s FROM LOAD GENERATOR AUCTION", "42601"),
        ("CREATE SOURCE s FROM LOAD GENERATOR COUNTER FOR ALL TABLES", "42601"),
        ("CREATE SOURCE s FROM LOAD GENERATOR WEATHER", "0A000"),
        ("CREATE SOURCE s FROM LOAD GENERATOR COUNTER (SCALE FACTOR 1)", "22023"),
        ("CREATE SOURCE s FROM LOAD GENERATOR COUNTER (TICK INTERVAL '0s')", "22023"),
        ("CREATE SOURCE s FROM LOAD GENERATOR TPCH FOR TABLES (bids)", "42704"),
        ("CREATE SOURCE s IN CLUSTER nowhere FROM LOAD GENERATOR COUNTER", "42704"),
        ("CREATE SOURCE s FROM KAFKA CONNECTION k (TOPIC 't')", "0A000"),
        ("CREATE SOURCE s FROM WEBHOOK BODY FORMAT TEXT CHECK (true)", "0A000"),
        ("CREATE SUBSOURCE a OF SOURCE b REFERENCE c", "0A000"),
        ("ALTER SOURCE counted SET (RETAIN HISTORY FOR '1h')", "0A000"),
        ("UPDATE counted SET counter = 1", "42809"),
        ("TRUNCATE counted", "42809"),
        ("ALTER TABLE counted RENAME COLUMN counter TO c", "0A000"),
        ("DROP TABLE counted", "42809"),
    ):
        with pytest.raises(psycopg.Error) as raised:
            session.execute(statement)
        assert raised.value.sqlstate == sqlstate, statement
    session.execute("DROP SOURCE counted")


def test_definitions_follow_renames(session: psycopg.Connection) -> None:
    session.execute("CREATE CLUSTER machines (SIZE '25cc')")
    session.execute("CREATE SOURCE numbers IN CLUSTER machines FROM LOAD GENERATOR COUNTER")
    session.execute("ALTER SOURCE numbers RENAME TO figures")
    session.execute("ALTER CLUSTER machines RENAME TO engines")
    ((_, definition),) = rows(session, "SHOW CREATE SOURCE figures")
    assert definition == (
        "CREATE SOURCE materialize.public.figures IN CLUSTER engines FROM LOAD GENERATOR COUNTER;"
    )
    ((_, progress),) = rows(session, "SHOW CREATE SOURCE numbers_progress")
    assert "OF SOURCE materialize.public.figures" in json.dumps(progress)
    session.execute("DROP CLUSTER engines CASCADE")
    assert rows(session, "SELECT name FROM mz_sources WHERE name LIKE 'figures%'") == []
