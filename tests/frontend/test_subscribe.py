"""SUBSCRIBE against a running server: snapshots, changes, progress, envelopes, bounds, errors."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import pairwise
from urllib.request import Request, urlopen

import psycopg
import pytest
from psycopg import sql

from tests.running_server import HeadwaterServer
from tests.subscribing import DEADLINE_S, Connection, Row, Subscription, without_time


@pytest.fixture
async def connection(headwater_server: HeadwaterServer) -> AsyncIterator[Connection]:
    """A connection beside a table t of two rows."""
    connection = await psycopg.AsyncConnection.connect(headwater_server.dsn, autocommit=True)
    async with connection:
        await connection.execute("CREATE TABLE t (k int, v text)")
        await connection.execute("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
        yield connection
        await connection.execute("DROP TABLE IF EXISTS t CASCADE")


async def now(connection: Connection) -> int:
    """A time at which everything acknowledged so far is visible."""
    async with connection.transaction():
        cursor = await connection.execute("SELECT mz_now()::text, count(*) FROM t")
        row = await cursor.fetchone()
    assert row is not None
    return int(str(row[0]))


async def test_snapshot_and_changes(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    async with Subscription(headwater_server, "t") as subscription:
        assert without_time(await subscription.take(2)) == [("1", "1", "one"), ("1", "2", "two")]
        await connection.execute("INSERT INTO t SELECT 3, 'three' FROM generate_series(1, 2)")
        await connection.execute("UPDATE t SET v = 'TWO' WHERE k = 2")
        await connection.execute("DELETE FROM t WHERE k <> 2")
        changes = await subscription.take(5)
    assert without_time(changes) == [
        ("2", "3", "three"),
        ("1", "2", "TWO"),
        ("-1", "2", "two"),
        ("-1", "1", "one"),
        ("-2", "3", "three"),
    ]
    times = [int(str(row[0])) for row in changes]
    assert times[0] < times[1] == times[2] < times[3] == times[4]


async def test_the_writes_of_a_transaction_have_one_time(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    async with Subscription(headwater_server, "t WITH (SNAPSHOT = false)") as subscription:
        async with connection.transaction():
            await connection.execute("INSERT INTO t VALUES (3, 'c')")
            await connection.execute("INSERT INTO t VALUES (4, 'd')")
        first, second = await subscription.take(2)
    assert first[0] == second[0]


async def test_queries(headwater_server: HeadwaterServer, connection: Connection) -> None:
    query = "(SELECT v, sum(k) FROM t GROUP BY v ORDER BY sum(k) DESC LIMIT 1)"
    async with Subscription(headwater_server, query) as subscription:
        assert without_time(await subscription.take(1)) == [("1", "two", "2")]
        await connection.execute("INSERT INTO t VALUES (4, 'one')")
        changes = without_time(await subscription.take(2))
        assert sorted(changes) == [("-1", "two", "2"), ("1", "one", "5")]


async def test_views(headwater_server: HeadwaterServer, connection: Connection) -> None:
    await connection.execute("CREATE VIEW w AS SELECT upper(v) AS u FROM t")
    async with Subscription(headwater_server, "TO w") as subscription:
        assert without_time(await subscription.take(2)) == [("1", "ONE"), ("1", "TWO")]
    await connection.execute("CREATE INDEX w_idx ON w (u)")
    async with Subscription(headwater_server, "w") as subscription:
        assert without_time(await subscription.take(2)) == [("1", "ONE"), ("1", "TWO")]
        await connection.execute("DELETE FROM t WHERE k = 1")
        assert without_time(await subscription.take(1)) == [("-1", "ONE")]


async def test_progress(headwater_server: HeadwaterServer, connection: Connection) -> None:
    async with Subscription(headwater_server, "t WITH (PROGRESS)") as subscription:
        start, *snapshot = await subscription.take(3)
        await connection.execute("INSERT INTO t VALUES (3, 'three')")
        rows: list[Row] = []
        while len(rows) < 6 or rows[-1][1] != "t":
            rows.append(await subscription.next())
    assert start[1:] == ("t", None, None, None)
    assert [row[0] for row in snapshot] == [start[0]] * 2
    assert [row[1:] for row in rows if row[1] == "f"] == [("f", "1", "3", "three")]
    complete = 0
    for row in [start, *snapshot, *rows]:
        ts = int(str(row[0]))
        assert ts >= complete
        if row[1] == "t":
            complete = ts
    progress = [int(str(row[0])) for row in rows if row[1] == "t"]
    assert all(earlier < later for earlier, later in pairwise(progress))


async def test_resuming_from_progress_misses_and_repeats_nothing(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    async with Subscription(headwater_server, "t WITH (PROGRESS)") as subscription:
        await connection.execute("INSERT INTO t VALUES (3, 'three')")
        row = await subscription.next()
        while row[3] != "3":
            row = await subscription.next()
        while row[1] != "t":
            row = await subscription.next()
        await connection.execute("INSERT INTO t VALUES (4, 'four')")
    resumed = int(str(row[0])) - 1
    again = f"t WITH (PROGRESS, SNAPSHOT = false) AS OF {resumed}"
    async with Subscription(headwater_server, again) as subscription:
        start, change = await subscription.take(2)
        # What is known already is told again, so that resuming again changes nothing.
        assert start == (row[0], "t", None, None, None)
        assert change[1:] == ("f", "1", "4", "four")


async def test_up_to_ends_the_stream(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    start = await now(connection)
    await connection.execute("INSERT INTO t VALUES (3, 'three')")
    await connection.execute("INSERT INTO t VALUES (4, 'four')")
    async with Subscription(headwater_server, f"t AS OF {start}") as subscription:
        *_, third, fourth = await subscription.take(4)
    statement = f"t WITH (PROGRESS) AS OF {start} UP TO {fourth[0]}"
    async with Subscription(headwater_server, statement) as subscription:
        rows = await subscription.rest()
    assert [row[3] for row in rows if row[1] == "f"] == ["1", "2", "3"]
    assert rows[-1] == (fourth[0], "t", None, None, None)
    statement = f"t WITH (SNAPSHOT = false) AS OF {third[0]} UP TO {int(str(fourth[0])) + 1}"
    async with Subscription(headwater_server, statement) as subscription:
        assert await subscription.rest() == [fourth]


async def test_times_in_words(headwater_server: HeadwaterServer, connection: Connection) -> None:
    statement = "t AS OF AT LEAST 0 UP TO mz_now()::timestamptz + '1 second'"
    async with Subscription(headwater_server, statement) as subscription:
        assert len(await subscription.rest()) == 2
    future = await now(connection) + 300_000
    async with Subscription(headwater_server, f"t AS OF {future}") as subscription:
        await connection.execute("INSERT INTO t VALUES (3, 'three')")
        assert [row[0] for row in await subscription.take(3)] == [str(future)] * 3


async def test_bounds_that_make_no_sense(connection: Connection) -> None:
    start = await now(connection)
    with pytest.raises(psycopg.errors.DataException, match="greater than its upper bound"):
        await connection.execute(f"SUBSCRIBE t AS OF {start} UP TO {start - 1}".encode())
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
    cursor = await connection.execute(f"SUBSCRIBE t AS OF {start} UP TO {start}".encode())
    assert await cursor.fetchall() == []
    (notice,) = notices
    assert notice.endswith(f"up to the same bound {start} (exclusive) is guaranteed to be empty")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="is not valid for all inputs"):
        await connection.execute("SUBSCRIBE t AS OF 1")
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="can't use null"):
        await connection.execute("SUBSCRIBE t AS OF NULL")


async def test_upsert(headwater_server: HeadwaterServer, connection: Connection) -> None:
    statement = "t ENVELOPE UPSERT (KEY (k))"
    async with Subscription(headwater_server, statement) as subscription:
        assert without_time(await subscription.take(2)) == [
            ("upsert", "1", "one"),
            ("upsert", "2", "two"),
        ]
        await connection.execute("UPDATE t SET v = 'TWO' WHERE k = 2")
        await connection.execute("DELETE FROM t WHERE k = 1")
        await connection.execute("INSERT INTO t VALUES (3, 'a'), (3, 'b')")
        assert without_time(await subscription.take(3)) == [
            ("upsert", "2", "TWO"),
            ("delete", "1", None),
            ("key_violation", "3", None),
        ]


async def test_debezium(headwater_server: HeadwaterServer, connection: Connection) -> None:
    statement = "(SELECT v, k FROM t) ENVELOPE DEBEZIUM (KEY (k)) WITH (PROGRESS)"
    async with Subscription(headwater_server, statement) as subscription:
        start, *snapshot = await subscription.take(3)
        assert start[1:] == ("t", None, None, None, None)
        assert without_time(snapshot) == [
            ("f", "insert", "1", None, "one"),
            ("f", "insert", "2", None, "two"),
        ]
        await connection.execute("UPDATE t SET v = 'TWO' WHERE k = 2")
        await connection.execute("DELETE FROM t WHERE k = 1")
        rows = [await subscription.next()]
        while sum(row[1] == "f" for row in rows) < 2:
            rows.append(await subscription.next())
    assert [row[1:] for row in rows if row[1] == "f"] == [
        ("f", "update", "2", "two", "TWO"),
        ("f", "delete", "1", "one", None),
    ]


async def test_order_within_a_timestamp(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    await connection.execute("INSERT INTO t VALUES (10, NULL), (0, NULL)")
    statement = "t WITHIN TIMESTAMP ORDER BY v DESC NULLS LAST, k"
    async with Subscription(headwater_server, statement) as subscription:
        assert [row[2] for row in await subscription.take(4)] == ["2", "1", "0", "10"]
        await connection.execute("UPDATE t SET v = 'x'")
        changes = [row[1:] for row in await subscription.take(8)]
    assert changes[:4] == [("1", str(k), "x") for k in (0, 1, 2, 10)]
    assert [row[1] for row in changes[4:]] == ["2", "1", "0", "10"]


async def test_a_constant_ends_by_itself(headwater_server: HeadwaterServer) -> None:
    async with Subscription(headwater_server, "(VALUES (1), (2))") as subscription:
        assert without_time(await subscription.rest()) == [("1", "1"), ("1", "2")]


async def test_streaming_without_copy(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    async with await psycopg.AsyncConnection.connect(
        headwater_server.dsn, autocommit=True
    ) as streaming:
        seen: list[tuple[object, ...]] = []
        cursor = streaming.cursor()
        query = sql.SQL("SUBSCRIBE (SELECT * FROM t WHERE k > %s) WITH (PROGRESS = false)")
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(psycopg.errors.QueryCanceled):
                async for row in cursor.stream(query, [1], binary=True):
                    seen.append(row)
                    if len(seen) == 1:
                        await connection.execute("INSERT INTO t VALUES (7, 'seven')")
                    elif len(seen) == 2:
                        await streaming.cancel_safe()
        assert cursor.description is None or cursor.description[0].name == "mz_timestamp"
        assert [row[1:] for row in seen] == [(1, 2, "two"), (1, 7, "seven")]
        assert all(isinstance(row[0], Decimal) for row in seen)
        assert (await (await streaming.execute("SELECT 1")).fetchone()) == (1,)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", b"%d\t1\t1\tone\n%d\t1\t2\ttwo\n"),
        ("(FORMAT csv)", b"%d,1,1,one\n%d,1,2,two\n"),
        ("(FORMAT csv, HEADER)", b"mz_timestamp,mz_diff,k,v\n%d,1,1,one\n%d,1,2,two\n"),
    ],
)
async def test_copy_formats(connection: Connection, options: str, expected: bytes) -> None:
    start = await now(connection)
    query = f"COPY (SUBSCRIBE t AS OF {start} UP TO {start + 1}) TO STDOUT {options}"
    async with connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
        data = b"".join([bytes(block) async for block in copy])
    assert data == expected.replace(b"%d", str(start).encode())


async def test_binary_copy(connection: Connection) -> None:
    start = await now(connection)
    statement = f"SUBSCRIBE t WITH (PROGRESS) UP TO {start + 2_000_000}"
    query = f"COPY ({statement}) TO STDOUT (FORMAT binary)"
    async with connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
        copy.set_types(["numeric", "bool", "int8", "int4", "text"])
        rows = [row async for row in copy.rows()]
    assert [row[1:] for row in rows if not row[1]] == [(False, 1, 1, "one"), (False, 1, 2, "two")]
    assert rows[-1] == (Decimal(start + 2_000_000), True, None, None, None)


async def test_an_error_in_data_ends_it(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    async with Subscription(headwater_server, "(SELECT 6 / k FROM t)") as subscription:
        assert without_time(await subscription.take(2)) == [("1", "3"), ("1", "6")]
        await connection.execute("INSERT INTO t VALUES (3, 'three')")
        assert without_time(await subscription.take(1)) == [("1", "2")]
        await connection.execute("INSERT INTO t VALUES (0, 'zero')")
        with pytest.raises(psycopg.errors.DivisionByZero):
            await subscription.next()


async def test_dropping_what_is_read_ends_it(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    async with Subscription(headwater_server, "t") as subscription:
        await subscription.take(2)
        await connection.execute("DROP TABLE t")
        with pytest.raises(
            psycopg.errors.UndefinedTable, match=r'underlying relation "materialize.public.t" was'
        ):
            await subscription.next()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SUBSCRIBE nothing", 'relation "nothing" does not exist'),
        ("SUBSCRIBE t WITH (BOUNDED)", 'syntax error at or near "BOUNDED"'),
        ("SUBSCRIBE t WITH (PROGRESS, PROGRESS)", "PROGRESS specified more than once"),
        ("SUBSCRIBE t WITH (SNAPSHOT = maybe)", 'parameter "SNAPSHOT" requires a Boolean value'),
        ("SUBSCRIBE t ENVELOPE UPSERT (KEY (x))", "invalid keys in SUBSCRIBE ENVELOPE UPSERT"),
        ("SUBSCRIBE t ENVELOPE DEBEZIUM", "syntax error at end of input"),
        ("SUBSCRIBE t WITHIN TIMESTAMP ORDER BY k + 1", "invalid ORDER BY in SUBSCRIBE WITHIN"),
        ("SUBSCRIBE t AS OF k", 'column "k" does not exist'),
        ("SUBSCRIBE t AS OF true", "can't use boolean as a mz_timestamp for AS OF"),
        ("SUBSCRIBE (SELECT now() FROM t)", "now"),
        ("SUBSCRIBE (DELETE FROM t)", 'syntax error at or near "DELETE"'),
        ("COPY (SUBSCRIBE t) FROM STDIN", 'syntax error at or near "FROM"'),
    ],
)
async def test_what_is_refused(connection: Connection, statement: str, message: str) -> None:
    with pytest.raises(psycopg.Error) as raised:
        await connection.execute(statement.encode())
    assert message in str(raised.value)


async def test_indexes_cannot_be_subscribed_to(connection: Connection) -> None:
    await connection.execute("CREATE INDEX t_idx ON t (k)")
    with pytest.raises(psycopg.errors.WrongObjectType, match="because it is an index"):
        await connection.execute("SUBSCRIBE t_idx")


def run_over_http(server: HeadwaterServer, query: str) -> list[dict[str, dict[str, object]]]:
    request = Request(
        f"http://127.0.0.1:{server.http_port}/api/sql",
        json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request) as response:
        results: list[dict[str, dict[str, object]]] = json.load(response)["results"]
    return results


async def test_there_is_no_streaming_over_http(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    (result,) = run_over_http(headwater_server, "SUBSCRIBE t; COPY (SUBSCRIBE t) TO STDOUT")
    assert result["error"]["message"] == "SUBSCRIBE is not supported over HTTP"


async def test_a_vanished_subscriber_leaves_nothing(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    async with Subscription(headwater_server, "t") as cancelled:
        await cancelled.take(2)
        vanishing = await Subscription(headwater_server, "t").__aenter__()
        await vanishing.take(2)
        assert active_subscriptions(headwater_server) == 2
        await vanishing.vanish()
        async with asyncio.timeout(DEADLINE_S):
            while active_subscriptions(headwater_server) != 1:
                await connection.execute("INSERT INTO t VALUES (3, 'three')")
    async with asyncio.timeout(DEADLINE_S):
        while active_subscriptions(headwater_server):
            await connection.execute("SELECT 1")


def active_subscriptions(server: HeadwaterServer) -> float:
    """What the metric says."""
    with urlopen(f"http://127.0.0.1:{server.http_port}/metrics") as response:
        lines = response.read().decode().splitlines()
    values = [line for line in lines if line.startswith("mz_active_subscribes{")]
    return sum(float(line.rpartition(" ")[2]) for line in values)


async def test_statement_timeout_is_not_for_streams(
    headwater_server: HeadwaterServer, connection: Connection
) -> None:
    await connection.execute("SET statement_timeout = '300ms'")
    start = await now(connection)
    cursor = await connection.execute(
        f"SUBSCRIBE t AS OF {start} UP TO {start + 1_000_000}".encode()
    )
    assert len(await cursor.fetchall()) == 2
