"""A subscriber that resumes from its last progress misses and repeats nothing, whichever process is
killed when: of a table, and of a materialized view over it."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest

from tests.crash.acknowledged_writes import TABLE, WriteLog, connect, write_for_ever
from tests.crash.kills import VICTIMS, kill
from tests.running_server import HeadwaterServer
from tests.subscribing import Follower

WRITERS: Final = 4
MOST_ACKNOWLEDGEMENTS: Final = 100
VIEW: Final = "remainders"
RETAINED: Final = "RETAIN HISTORY FOR '1 hour'"  # who resumes reads as far back as it was away
FINISH_S: Final = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HeadwaterServer]:
    server = HeadwaterServer(tmp_path / "data")
    server.start()
    yield server
    server.close()


async def follow(follower: Follower, is_over: asyncio.Event) -> None:
    """Follow through every loss until it is over."""
    while not is_over.is_set():
        with contextlib.suppress(psycopg.OperationalError, OSError):
            await follower.follow(10_000, is_over.is_set)


async def read_time(server: HeadwaterServer) -> int:
    connection = await connect(lambda: server.dsn)
    try:
        return int(await connection.fetchval(f"SELECT max(mz_now()::text) FROM {TABLE}"))
    finally:
        await connection.close()


async def contents(server: HeadwaterServer, relation: str) -> Counter[tuple[str, ...]]:
    connection = await connect(lambda: server.dsn)
    try:
        return Counter(
            tuple(str(value) for value in record)
            for record in await connection.fetch(f"SELECT * FROM {relation}")
        )
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(1, id="sample"),
        pytest.param(8, id="long", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
async def test_resumed_subscriptions_survive_kills(server: HeadwaterServer, rounds: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    victims = [*VICTIMS] * rounds
    rng.shuffle(victims)
    log = WriteLog()
    connection = await connect(lambda: server.dsn)
    await connection.execute(f"CREATE TABLE {TABLE} (n int NOT NULL) WITH ({RETAINED})")
    await connection.execute(
        f"CREATE MATERIALIZED VIEW {VIEW} WITH ({RETAINED}) AS "
        f"SELECT n % 7 AS r, count(*) AS c FROM {TABLE} GROUP BY n % 7"
    )
    await connection.execute(f"INSERT INTO {TABLE} VALUES (0)")
    await connection.close()
    start = await read_time(server)
    followers = {name: Follower(server, name, start) for name in (TABLE, VIEW)}
    is_over = asyncio.Event()
    following = [asyncio.create_task(follow(each, is_over)) for each in followers.values()]
    writers = [
        asyncio.create_task(
            write_for_ever(lambda: server.dsn, log, random.Random(f"{seed}/{number}"))
        )
        for number in range(WRITERS)
    ]
    try:
        for victim in victims:
            await log.progress.wait_for_more(rng.randint(1, MOST_ACKNOWLEDGEMENTS))
            await asyncio.to_thread(kill, server, victim)
        await log.progress.wait_for_more(WRITERS)
    finally:
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        is_over.set()
    await asyncio.gather(*following)
    async with asyncio.timeout(FINISH_S):
        end = await read_time(server)
        for name, follower in followers.items():
            await follower.finish(end)
            total: Counter[tuple[str, ...]] = Counter()
            for _, diff, *row in follower.seen:
                total[tuple(map(str, row))] += int(str(diff))
            assert min(total.values()) >= 0
            assert +total == await contents(server, name)
    rows, changes = followers[TABLE].seen, followers[VIEW].seen
    assert all(diff == "1" for _, diff, _ in rows)
    print(f"{len(victims)} kills; {len(rows)} rows, {len(changes)} changes of the view")
