"""Random and mutated bytes and texts: an error or a closed connection, and nobody else notices."""

import random
import re
import threading
from collections import Counter
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
    sqlstates,
    startup,
)
from tests.robustness.vital_signs import assert_answering, resident_bytes
from tests.running_server import HeadwaterServer

WIRE_SEED: Final = 4_711
SQL_SEED: Final = 4_712
MESSAGES_PER_CONNECTION: Final = 25
GROWTH_LIMIT_BYTES: Final = 128 * 1024 * 1024
MAX_ANSWER_BYTES: Final = 1 << 20
INTERNAL_ERROR: Final = "XX000"

START_OF_COPY: Final = query("COPY fuzzed FROM STDIN")
GOOD_MESSAGES: Final = (
    startup(LOGIN),
    query("SELECT 1"),
    query("SELECT count(*) FROM fuzzed"),
    query("BEGIN; SELECT 1; COMMIT"),
    START_OF_COPY,
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
    "SET LOCAL statement_timeout = '1s'",
    "SHOW search_path",
    "SELECT a, b, row_number() OVER (PARTITION BY b ORDER BY a DESC NULLS LAST) FROM fuzzed",
    "WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 9) TABLE r",
    "SELECT ARRAY[[1, 2], [3, 4]][1:2][2], ROW(1, 'x') = ROW(1, NULL), 5 = ANY ('{1,5}'::int[])",
    "SELECT substring('abc' from 2 for 1), position('b' in 'abc'), trim(both 'x' from 'xax')",
    "SELECT extract(epoch from timestamp '2020-01-01 00:00'), interval '1 year 2 days' * 1.5",
    "SELECT 1.50::numeric(5,1), 1e10::float8, -5 % 3, 2 ^ 10, ~1 # 5 << 3, 'a' || 1, @ -5",
    "SELECT '\\x00ff'::bytea, E'a\\nb', U&'\\0041', $x$y$x$, B'101', 'x'::char(3), null::uuid",
    "SELECT date_trunc('month', now()) AT TIME ZONE 'UTC', to_char(now(), 'YYYY-MM-DD HH24:MI')",
    "SELECT string_agg(DISTINCT b, ',' ORDER BY b), array_agg(a), jsonb_agg(b) FROM fuzzed",
    "SELECT regexp_replace(b, '(x+)', '\\1y', 'g'), b SIMILAR TO '%x', b ~* 'X' FROM fuzzed",
    "SELECT jsonb_build_object('a', 1) @> '{}', '[1, {}]'::jsonb #> '{1,b}', '{}'::jsonb ? 'a'",
    'SELECT CAST(a AS text) COLLATE "C", COALESCE(a, 0), NULLIF(a, 1), GREATEST(a, 2) FROM fuzzed',
    "COPY fuzzed (a, b) FROM STDIN WITH (FORMAT csv, HEADER true, DELIMITER ';', NULL 'x')",
    "COPY (SELECT * FROM fuzzed) TO STDOUT WITH (FORMAT text, DELIMITER '|')",
    "INSERT INTO fuzzed (b, a) SELECT b, a + 1 FROM fuzzed LIMIT 1 RETURNING a, b || 'z'",
    "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; DECLARE c CURSOR FOR SELECT 1; FETCH ALL c; END",
    "PREPARE p (int, text) AS SELECT a FROM fuzzed WHERE a = $1 AND b = $2; EXECUTE p (1, 'x')",
    "CREATE TEMP TABLE u (a int NOT NULL DEFAULT 1 + 1, b numeric(10, 2), c timestamptz, d text[])",
    "ALTER TABLE IF EXISTS nothing RENAME TO anything; DROP TABLE IF EXISTS nothing CASCADE",
    "VALUES (1, 'a'), (2, 'b') ORDER BY 1 DESC OFFSET 1 ROW FETCH FIRST 1 ROW ONLY",
    "SELECT 'fuzzed'::regclass, pg_typeof(1), has_table_privilege('fuzzed', 'select')",
    "SHOW COLUMNS FROM fuzzed; SHOW TABLES; SHOW CREATE TABLE fuzzed; DISCARD ALL",
    "DELETE FROM fuzzed USING fuzzed f WHERE f.a = fuzzed.a AND fuzzed.a > 1000",
    "COMMENT ON TABLE fuzzed IS 'x'; RESET ALL; DEALLOCATE ALL; SAVEPOINT s",
    "CREATE MATERIALIZED VIEW IF NOT EXISTS m (x) WITH (ASSERT NOT NULL x) AS SELECT a FROM fuzzed",
    "ALTER MATERIALIZED VIEW m SET (RETAIN HISTORY FOR '1 hour'); DROP MATERIALIZED VIEW m CASCADE",
    "CREATE INDEX i ON fuzzed USING arranged (lower(b) DESC, (a + 1)); DROP INDEX IF EXISTS i",
    "ALTER CLUSTER IF EXISTS nothing SET (SIZE '25cc', REPLICATION FACTOR 1, MANAGED = true)",
    "SHOW INDEXES ON fuzzed IN CLUSTER quickstart; SHOW CLUSTERS; SHOW CREATE CLUSTER quickstart",
)
# What can be replaced in a good text, and by what.
VALUE: Final = re.compile(r"'[^']*'|\b\d+(\.\d+)?\b|\b[ab]\b|\bint\b|\btext\b")
EXPRESSIONS: Final = (
    "NULL",
    "-1",
    "0",
    "''",
    "'x'",
    "a",
    "b",
    "fuzzed",
    "int8",
    "numeric(3, 1)",
    "text[]",
    "interval",
    "9223372036854775807",
    "'NaN'::float8",
    "-1e400",
    "'infinity'::timestamptz",
    "'-178000000 years'::interval",
    "ARRAY[1, NULL]",
    "'{{1},{2}}'::int[]",
    "(SELECT 1)",
    "(SELECT a FROM fuzzed)",
    "(SELECT max(a) FROM fuzzed f WHERE f.b = b)",
    "count(*)",
    "generate_series(1, 3)",
    "unnest(ARRAY[a, 1])",
    "CASE WHEN a > 0 THEN b END",
    "ROW(1, a)",
    "'{}'::jsonb",
    "'[[1]]'::jsonb -> 0",
    "now()",
    "$1",
    "x.y.z.a",
    "fuzzed.*",
    "1 / 0",
    "repeat('x', 100000)",
    "'\U0001f600'::char(1)",
    "'a' COLLATE \"C\"",
    "string_agg(b, ',')",
    "sum(a) OVER (ORDER BY b)",
    "a = ANY (ARRAY[1, 2])",
    "EXISTS (TABLE fuzzed)",
    "1::bool",
    "current_setting('no.such')",
    "B'1'",
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
    before = resident_bytes(headwater_server)
    yield
    stop.set()
    thread.join()
    assert failures == []
    after = resident_bytes(headwater_server)
    assert after.keys() == before.keys(), "a process died"
    assert all(after[pid] - before[pid] < GROWTH_LIMIT_BYTES for pid in before)
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


def _mutated_message(data: bytes, rng: random.Random) -> bytes:
    """Changed anywhere, or in its body only, which keeps what follows it legible."""
    if rng.random() < 0.1:
        return _mutated(data, rng)
    return message(chr(data[0]), _mutated(data[5:], rng))


def _followers(data: bytes, rng: random.Random) -> bytes:
    """What mostly lets the server see the messages behind a COPY or an error."""
    if rng.random() < 0.1:
        return b""
    if data == START_OF_COPY:
        return rng.choice((message("c"), message("d", b"1\tx\n") + message("c")))
    return SYNC if data[:1] in b"PBDEC" and rng.random() < 0.5 else b""


def _mutated_text(text: str, rng: random.Random) -> str:
    """Half of the texts get words or bytes changed, which few of them survive as SQL; in the others
    values are replaced by other expressions, which gets them further."""
    if rng.random() < 0.5:
        return _with_other_words(text, rng)
    values = list(VALUE.finditer(text))
    for match in rng.sample(values, min(len(values), rng.choice((1, 1, 2, 3)))):
        text = text[: match.start()] + rng.choice(EXPRESSIONS) + text[match.end() :]
    return text


def _with_other_words(text: str, rng: random.Random) -> str:
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


def _attack_by_wire(port: int, messages: int, rng: random.Random) -> "Counter[str]":
    """Send that many messages; the SQLSTATEs that came back, and `sent`."""
    counts: Counter[str] = Counter()
    while counts["sent"] < messages:
        with RawClient(port) as client:
            is_logged_in = rng.random() < 0.9
            if is_logged_in:
                client.log_in()
            for _ in range(MESSAGES_PER_CONNECTION):
                data = rng.choice(GOOD_MESSAGES[1:] if is_logged_in else GOOD_MESSAGES)
                if rng.random() < 0.01:
                    data = rng.randbytes(rng.randrange(1, 200))
                elif rng.random() < 0.4:
                    data = _mutated_message(data, rng)
                client.send(data + _followers(data, rng))
                counts["sent"] += 1
            # Nothing more will come: whatever state we left it in, the server must let go.
            client.half_close()
            if is_logged_in:
                counts.update(sqlstates(client.until_closed()))
            else:
                client.receive_bytes(MAX_ANSWER_BYTES)
    return counts


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize(
    "messages",
    [3_000, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
    ids=["sample", "long"],
)
def test_random_wire_bytes(headwater_server: HeadwaterServer, messages: int) -> None:
    counts = _attack_by_wire(headwater_server.sql_port, messages, random.Random(WIRE_SEED))
    assert counts["sent"] >= messages
    assert counts["08P01"] > 0
    assert counts[INTERNAL_ERROR] == 0


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize(
    "texts",
    [600, pytest.param(5_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
    ids=["sample", "long"],
)
def test_mutated_statements(headwater_server: HeadwaterServer, texts: int) -> None:
    rng = random.Random(SQL_SEED)
    internal_errors = []
    with RawClient(headwater_server.sql_port) as client:
        client.log_in()
        for _ in range(texts):
            text = _mutated_text(rng.choice(GOOD_TEXTS), rng)
            # The CopyFail ends a COPY FROM STDIN and is dropped after anything else.
            client.send(query(text) + message("f", b"stop\0"))
            answers = client.until_ready()
            assert answers, f"the connection was closed: {text!r}"
            assert answers[-1].tag == "Z", f"the connection was closed: {text!r}: {answers[-1]}"
            if INTERNAL_ERROR in sqlstates(answers):
                internal_errors.append((text, answers))
            client.send(query("ROLLBACK; SET statement_timeout = '1s'"))
            assert sqlstates(client.until_ready()) == []
    assert internal_errors == []
