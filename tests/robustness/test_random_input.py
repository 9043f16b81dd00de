"""Random and mutated bytes and texts: an error or a closed connection, and nobody else notices."""

import random
import threading
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest

from tests.robustness.raw_client import (
    LOGIN,
    SYNC,
    RawClient,
    bind,
    execute,
    message,
    parse,
    query,
    startup,
)
from tests.robustness.vital_signs import assert_answering, process_ids, resident_bytes
from tests.running_server import HeadwaterServer

WIRE_SEED: Final = 4_711
SQL_SEED: Final = 4_712
MESSAGES_PER_CONNECTION: Final = 25
GROWTH_LIMIT_BYTES: Final = 64 * 1024 * 1024

GOOD_MESSAGES: Final = (
    startup(LOGIN),
    query("SELECT 1"),
    query("SELECT count(*) FROM fuzzed"),
    query("BEGIN; SELECT 1; COMMIT"),
    query("COPY fuzzed FROM STDIN"),
    query("COPY fuzzed TO STDOUT"),
    parse("", "SELECT $1::int + 1"),
    parse("s", "SELECT a, b FROM fuzzed WHERE a > $1"),
    bind("", "", (b"1",)),
    bind("p", "s", (b"\0\0\0\1",), formats=(1,), result_formats=(1,)),
    message("D", b"S\0"),
    message("D", b"Pp\0"),
    execute(),
    execute("p", 1),
    message("C", b"Ss\0"),
    message("H"),
    message("d", b"1\tx\n"),
    message("c"),
    message("f", b"stop\0"),
    SYNC,
)
GOOD_TEXTS: Final = (
    "SELECT a, b FROM fuzzed WHERE a = 1 AND b LIKE 'x%' ORDER BY 1 LIMIT 5",
    "SELECT b, count(*), sum(a) FILTER (WHERE a > 0) FROM fuzzed GROUP BY b HAVING count(*) > 1",
    "SELECT x.a FROM fuzzed x LEFT JOIN fuzzed y ON x.a = y.a WHERE y.b IS NULL",
    "WITH c AS (SELECT a FROM fuzzed) SELECT * FROM c WHERE a IN (SELECT max(a) FROM c)",
    "SELECT '2020-01-01'::date + interval '1 day', now()::text, '{1,2}'::int[]",
    "SELECT '{\"a\": [1, 2]}'::jsonb -> 'a' ->> 0, CASE WHEN true THEN 1 ELSE 2 END",
    "SELECT * FROM generate_series(1, 3) AS g(n), LATERAL (SELECT n * 2) AS d(m)",
    "INSERT INTO fuzzed VALUES (1, 'x'), (2, NULL)",
    "UPDATE fuzzed SET b = b || 'y' WHERE a BETWEEN 1 AND 2",
    "DELETE FROM fuzzed WHERE a NOT IN (SELECT a FROM fuzzed WHERE a < 10)",
    "CREATE TEMP VIEW v AS SELECT DISTINCT ON (a) a, b FROM fuzzed ORDER BY a, b DESC",
    "SELECT a FROM fuzzed UNION ALL SELECT 1 EXCEPT SELECT 2 INTERSECT SELECT 3",
    "EXPLAIN SELECT * FROM fuzzed WHERE EXISTS (SELECT 1 FROM fuzzed f WHERE f.a = fuzzed.a)",
    "SET statement_timeout = '1s'",
    "SHOW search_path",
)


@pytest.fixture(scope="module", autouse=True)
def fuzzed_table(headwater_server: HeadwaterServer) -> None:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE fuzzed (a int, b text)")


@pytest.fixture
def bystander(headwater_server: HeadwaterServer) -> Iterator[None]:
    """Another connection that asks all the while; it must get every answer."""
    stop, failures = threading.Event(), list[BaseException]()

    def ask() -> None:
        try:
            with psycopg.connect(headwater_server.dsn, autocommit=True) as connection:
                while not stop.wait(0.02):
                    assert connection.execute("SELECT 41 + 1").fetchone() == (42,)
        except BaseException as error:  # handed to the test's own thread
            failures.append(error)

    thread = threading.Thread(target=ask, name="bystander")
    thread.start()
    before = process_ids(headwater_server)
    size = resident_bytes(headwater_server.pid)
    yield
    stop.set()
    thread.join()
    assert failures == []
    assert process_ids(headwater_server) == before, "a process died"
    assert resident_bytes(headwater_server.pid) - size < GROWTH_LIMIT_BYTES
    assert_answering(headwater_server)


def _mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        position = rng.randrange(len(changed) + 1)
        match rng.randrange(4):
            case 0:
                changed[position : position + 1] = rng.randbytes(1)
            case 1:
                changed[position:position] = rng.randbytes(rng.choice((1, 2, 4)))
            case 2:
                del changed[position : position + rng.choice((1, 2, 4))]
            case _:
                changed[position : position + 1] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80"))
    return bytes(changed)


def _mutated_text(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    for _ in range(rng.choice((1, 1, 2, 4))):
        position = rng.randrange(len(words))
        match rng.randrange(4):
            case 0:
                words[position] = rng.choice(rng.choice(GOOD_TEXTS).split(" "))
            case 1:
                words.insert(position, rng.choice(rng.choice(GOOD_TEXTS).split(" ")))
            case 2:
                del words[position]
            case _:
                words[position] = _mutated(words[position].encode(), rng).decode(errors="replace")
        words = words or [""]
    return " ".join(words).replace("\0", "")


def _attack_by_wire(port: int, messages: int, rng: random.Random) -> int:
    sent = 0
    while sent < messages:
        with RawClient(port) as client:
            if rng.random() < 0.9:
                client.log_in()
            for _ in range(MESSAGES_PER_CONNECTION):
                data = rng.choice(GOOD_MESSAGES[1:])
                if rng.random() < 0.05:
                    data = rng.randbytes(rng.randrange(1, 200))
                elif rng.random() < 0.4:
                    data = _mutated(data, rng)
                client.send(data)
                sent += 1
            # Nothing more will come: whatever state we left it in, the server must let go.
            client.half_close()
            client.until_closed()
    return sent


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize(
    "messages",
    [3_000, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
    ids=["sample", "long"],
)
def test_random_wire_bytes(headwater_server: HeadwaterServer, messages: int) -> None:
    sent = _attack_by_wire(headwater_server.sql_port, messages, random.Random(WIRE_SEED))
    assert sent >= messages


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize(
    "texts",
    [600, pytest.param(5_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
    ids=["sample", "long"],
)
def test_mutated_statements(headwater_server: HeadwaterServer, texts: int) -> None:
    rng = random.Random(SQL_SEED)
    connection = psycopg.connect(headwater_server.dsn, autocommit=True)
    internal_errors = []
    for _ in range(texts):
        text = _mutated_text(rng.choice(GOOD_TEXTS), rng)
        try:
            connection.execute("SET statement_timeout = '5s'")
            connection.execute(text.encode())
        except psycopg.Error as error:
            assert error.sqlstate is not None, f"the connection broke: {text!r}: {error}"
            if error.sqlstate == "XX000":
                internal_errors.append((text, str(error)))
        if connection.closed or connection.info.transaction_status != 0:
            connection.close()
            connection = psycopg.connect(headwater_server.dsn, autocommit=True)
    connection.close()
    assert internal_errors == []
