"""Subscriptions against a table's own history: under concurrent writers, resumed over and over, or
with replicas killed in the middle, no change is missed and none comes twice."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

import psycopg
import pytest

from tests.processes import replicas, wait_until_gone
from tests.running_server import HeadwaterServer
from tests.subscribing import DEADLINE_S, Connection, Follower, Row, Subscription

WRITERS: Final = 4
WRITES: Final = 40  # by each writer
KEYS: Final = 20


@pytest.fixture
async def connection(headwater_server: HeadwaterServer) -> AsyncIterator[Connection]:
    """A connection beside a table t with some rows."""
    connection = await psycopg.AsyncConnection.connect(headwater_server.dsn, autocommit=True)
    async with connection:
        await connection.execute("CREATE TABLE t (k int, v int)")
        await connection.execute(f"INSERT INTO t SELECT k, 0 FROM generate_series(1, {KEYS}) AS k")
        yield connection
        await connection.execute("DROP TABLE t")


async def write(server: HeadwaterServer, writer: int) -> None:
    """Insert, update and delete rows at random; what loses against another is tried again."""
    chance = random.Random(writer)
    async with await psycopg.AsyncConnection.connect(server.dsn, autocommit=True) as connection:
        for number in range(WRITES):
            key = chance.randrange(KEYS)
            statement = chance.choice(
                [
                    f"INSERT INTO t VALUES ({key}, {number}), ({key}, {writer})",
                    f"UPDATE t SET v = v + 1 WHERE k = {key}",
                    f"DELETE FROM t WHERE k = {key} AND v > {number // 2}",
                ]
            )
            await connection.execute(statement.encode())


async def contents(connection: Connection) -> Counter[Row]:
    cursor = await connection.execute("SELECT k::text, v::text FROM t")
    return Counter([(str(k), str(v)) for k, v in await cursor.fetchall()])


async def history(server: HeadwaterServer, as_of: int, end: int) -> list[Row]:
    """Every change up to `end`, from a subscription that nothing disturbs."""
    statement = f"t AS OF {as_of} UP TO {end + 1}"
    async with Subscription(server, statement) as subscription:
        return await subscription.rest()


async def read_time(connection: Connection) -> int:
    cursor = await connection.execute("SELECT mz_now()::text, count(*) FROM t")
    row = await cursor.fetchone()
    assert row is not None
    return int(str(row[0]))


async def check(
    server: HeadwaterServer, connection: Connection, seen: list[Row], as_of: int, end: int
) -> None:
    """`seen` is the table's history, and adds up to its contents."""
    assert seen == await history(server, as_of, end)
    total: Counter[Row] = Counter()
    for _, diff, *row in seen:
        total[tuple(row)] += int(str(diff))
    assert +total == await contents(connection)
    assert min(total.values()) >= 0


@pytest.fixture
async def held(headwater_server: HeadwaterServer, connection: Connection) -> AsyncIterator[int]:
    """A time that stays readable until the test is over."""
    async with await psycopg.AsyncConnection.connect(headwater_server.dsn) as holding:
        yield await read_time(holding)


async def test_resumed_over_and_over(
    headwater_server: HeadwaterServer, connection: Connection, held: int
) -> None:
    writers = [asyncio.create_task(write(headwater_server, n)) for n in range(WRITERS)]
    follower = Follower(headwater_server, "t", held)
    chance = random.Random(1)

    def is_over() -> bool:
        return all(writer.done() for writer in writers)

    async with asyncio.timeout(DEADLINE_S):
        while not is_over():
            await follower.follow(chance.randint(1, 60), is_over)
        await asyncio.gather(*writers)
        end = await read_time(connection)
        await follower.finish(end)
    await check(headwater_server, connection, follower.seen, held, end)


async def test_replicas_killed_in_the_middle(
    headwater_server: HeadwaterServer, connection: Connection, held: int
) -> None:
    writers = [asyncio.create_task(write(headwater_server, n)) for n in range(WRITERS)]
    seen: list[Row] = []
    async with Subscription(headwater_server, f"t AS OF {held}") as subscription:
        for _ in range(2):
            seen += await subscription.take(80)
            for replica in replicas(headwater_server.pid):
                replica.kill()
                await asyncio.to_thread(wait_until_gone, replica.pid)
        await asyncio.gather(*writers)
        end = await read_time(connection)
        expected = len(await history(headwater_server, held, end))
        seen += await subscription.take(expected - len(seen))
    await check(headwater_server, connection, seen, held, end)


async def kill_one(server: HeadwaterServer, connection: Connection, cluster: str) -> None:
    """Kill a replica of the cluster once all of them serve."""
    counted = await connection.execute(
        "SELECT c.id, count(*) FROM mz_clusters AS c JOIN mz_cluster_replicas AS r "
        "ON r.cluster_id = c.id WHERE c.name = %s GROUP BY c.id",
        [cluster],
    )
    row = await counted.fetchone()
    assert row is not None
    online: tuple[object, ...] | None = None
    while online != (row[1],):
        statuses = await connection.execute(
            "SELECT count(*) FROM mz_internal.mz_cluster_replica_statuses AS s "
            "JOIN mz_cluster_replicas AS r ON r.id = s.replica_id "
            "WHERE s.status = 'online' AND r.cluster_id = %s",
            [row[0]],
        )
        online = await statuses.fetchone()
    processes = [
        replica
        for replica in replicas(server.pid)
        if any(argument.startswith(f"{row[0]}-") for argument in replica.cmdline())
    ]
    random.Random(processes[0].pid).choice(processes).kill()


async def test_one_of_two_replicas_is_killed(
    headwater_server: HeadwaterServer, connection: Connection, held: int
) -> None:
    await connection.execute("CREATE CLUSTER pair (SIZE '25cc', REPLICATION FACTOR 2)")
    seen: list[Row] = []
    async with (
        asyncio.timeout(DEADLINE_S),
        Subscription(headwater_server, f"t AS OF {held}", "pair") as subscription,
    ):
        seen += await subscription.take(KEYS)
        writers = [asyncio.create_task(write(headwater_server, n)) for n in range(WRITERS)]
        for _ in range(3):
            seen += await subscription.take(40)
            await kill_one(headwater_server, connection, "pair")
        await asyncio.gather(*writers)
        end = await read_time(connection)
        expected = len(await history(headwater_server, held, end))
        seen += await subscription.take(expected - len(seen))
    await check(headwater_server, connection, seen, held, end)
    await connection.execute("DROP CLUSTER pair")
