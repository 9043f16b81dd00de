"""Views survive kills as tables do: at every time they hold what their queries give at that time,
in their own cluster and in others, and a subscription resumed where it stopped misses and repeats
nothing."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import asyncpg
import psycopg
import pytest

from tests.crash.acknowledged_writes import TABLE, WriteLog, connect, write_for_ever
from tests.crash.progress import RECOVERY_TIMEOUT_S
from tests.crash.test_kill import MOST_ACKNOWLEDGEMENTS, VICTIMS, kill
from tests.running_server import HeadwaterServer

WRITERS: Final = 4
GONE: Final = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)
QUERIES: Final = {
    "kept": f"SELECT n % 10 AS digit, count(*) AS c, min(n) AS least, max(n) AS most FROM {TABLE}"
    " GROUP BY n % 10",
    "totals": "SELECT sum(c)::bigint AS c, max(most) AS most FROM kept",
    "seen": f"SELECT a.n FROM {TABLE} a LEFT JOIN {TABLE} b ON b.n = a.n + 1 WHERE b.n IS NULL",
}
DEFINITIONS: Final = (
    f"CREATE TABLE {TABLE} (n int NOT NULL)",
    "CREATE CLUSTER elsewhere (SIZE '25cc', REPLICATION FACTOR 2)",
    f"CREATE MATERIALIZED VIEW kept AS {QUERIES['kept']}",
    f"CREATE MATERIALIZED VIEW totals IN CLUSTER elsewhere AS {QUERIES['totals']}",
    f"CREATE VIEW seen AS {QUERIES['seen']}",
    "CREATE DEFAULT INDEX ON seen",
    # Whoever resumes a subscription reads as far back as it was away.
    (
        "CREATE MATERIALIZED VIEW followed WITH (RETAIN HISTORY FOR '10 minutes') AS"
        f" SELECT n FROM {TABLE}"
    ),
)
CHECKED: Final = ("kept", "totals", "seen")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HeadwaterServer]:
    server = HeadwaterServer(tmp_path / "data")
    server.start()
    yield server
    if server.is_running:
        server.stop()


class Follower:
    """A copy of the table, kept by a subscription that begins anew where the last one broke."""

    def __init__(self, dsn: Callable[[], str]) -> None:
        self._dsn = dsn
        self.rows: Counter[int] = Counter()
        self.complete = 0  # every change before it is in `rows`
        self.resumptions = 0
        self._advanced = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled, through every loss."""
        while True:
            with contextlib.suppress(OSError, psycopg.Error):
                await self._follow()
            self.resumptions += 1
            await asyncio.sleep(0.05)  # it is down: there is nothing to wait on

    async def wait_past(self, ts: int) -> None:
        """Until every change through `ts` is known. Raises TimeoutError."""
        async with asyncio.timeout(RECOVERY_TIMEOUT_S):
            while self.complete <= ts:
                self._advanced.clear()
                await self._advanced.wait()

    async def _follow(self) -> None:
        options = "PROGRESS"
        as_of = ""
        if self.complete:
            options += ", SNAPSHOT = false"
            as_of = f"AS OF {self.complete - 1}"
        query = f"COPY (SUBSCRIBE followed WITH ({options}) {as_of}) TO STDOUT"
        connection = await psycopg.AsyncConnection.connect(self._dsn(), autocommit=True)
        async with connection, connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
            pending: list[tuple[int, int, int]] = []
            async for ts, progressed, diff, number in _changes(copy):
                if not progressed:
                    pending.append((ts, diff, number))
                    continue
                # What came before is complete now, not earlier: a broken connection may have given
                # a part of a timestamp's changes.
                for at, change, n in pending:
                    assert self.complete <= at < ts, "a change came twice, or too late"
                    self.rows[n] += change
                pending.clear()
                self.complete = ts
                self._advanced.set()


async def _changes(copy: psycopg.AsyncCopy) -> AsyncIterator[tuple[int, bool, int, int]]:
    async for line in copy:
        ts, progressed, diff, number = bytes(line).decode().rstrip("\n").split("\t")
        if progressed == "t":
            yield int(ts), True, 0, 0
        else:
            yield int(ts), False, int(diff), int(number)


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(1, id="sample"),
        pytest.param(8, id="long", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
async def test_views_survive_kills(server: HeadwaterServer, rounds: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    victims = [*VICTIMS] * rounds
    rng.shuffle(victims)
    log = WriteLog()

    def dsn() -> str:
        return server.dsn

    connection = await connect(dsn)
    for statement in DEFINITIONS:
        await connection.execute(statement)
    await connection.close()
    follower = Follower(dsn)
    tasks = [
        asyncio.create_task(write_for_ever(dsn, log, random.Random(f"{seed}/{number}")))
        for number in range(WRITERS)
    ]
    tasks.append(asyncio.create_task(follower.run()))
    try:
        for victim in victims:
            await log.progress.wait_for_more(rng.randint(1, MOST_ACKNOWLEDGEMENTS))
            await asyncio.to_thread(kill, server, victim)
            await check_views(dsn)
        await log.progress.wait_for_more(WRITERS)
    finally:
        for task in tasks[:-1]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks[:-1], return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
    rows = await check_views(dsn)
    assert log.disagreements(tuple(log.acknowledged), rows) == []
    assert not tasks[-1].done(), tasks[-1]
    connection = await connect(dsn)
    now = int(
        await connection.fetchval(f"SELECT mz_now()::text FROM (SELECT count(*) FROM {TABLE}) t")
    )
    await connection.close()
    await follower.wait_past(now)
    tasks[-1].cancel()
    await asyncio.gather(tasks[-1], return_exceptions=True)
    assert +follower.rows == rows
    assert set(follower.rows.values()) <= {0, 1}
    print(f"{len(victims)} kills, {follower.resumptions} resumptions, {len(rows)} rows")


async def check_views(dsn: Callable[[], str]) -> Counter[int]:
    """In one transaction, so at one time, each view is what its query gives; the table's rows."""
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        while True:
            connection = await connect(dsn)
            try:
                return await _check_views(connection)
            except GONE:
                continue
            finally:
                connection.terminate()


async def _check_views(connection: "asyncpg.Connection[asyncpg.Record]") -> Counter[int]:
    async with connection.transaction(readonly=True):
        rows = Counter(r["n"] for r in await connection.fetch(f"SELECT n FROM {TABLE}"))
        for cluster in ("quickstart", "elsewhere"):
            await connection.execute(f"SET LOCAL cluster = {cluster}")
            for view, query in QUERIES.items():
                found = Counter(await connection.fetch(f"SELECT * FROM {view}"))
                expected = Counter(await connection.fetch(query))
                assert found == expected, f"{view} in {cluster}"
    for view in CHECKED:
        assert await connection.fetch(f"CHECK VIEW {view}") == [], view
    return rows
