"""Views survive kills as tables do: at every time they hold what their queries give at that time,
in their own cluster and in others."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from tests.crash.acknowledged_writes import TABLE, WriteLog, connect, write_for_ever
from tests.crash.kills import VICTIMS, kill
from tests.crash.progress import RECOVERY_TIMEOUT_S
from tests.running_server import HeadwaterServer

WRITERS: Final = 4
MOST_ACKNOWLEDGEMENTS: Final = 300
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
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HeadwaterServer]:
    server = HeadwaterServer(tmp_path / "data")
    server.start()
    yield server
    if server.is_running:
        server.stop()


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
    writers = [
        asyncio.create_task(write_for_ever(dsn, log, random.Random(f"{seed}/{number}")))
        for number in range(WRITERS)
    ]
    try:
        for victim in victims:
            await log.progress.wait_for_more(rng.randint(1, MOST_ACKNOWLEDGEMENTS))
            await asyncio.to_thread(kill, server, victim)
            await check_views(dsn)
        await log.progress.wait_for_more(WRITERS)
    finally:
        for writer in writers:
            writer.cancel()
        outcomes = await asyncio.gather(*writers, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
    rows = await check_views(dsn)
    assert log.disagreements(tuple(log.acknowledged), rows) == []
    print(f"{len(victims)} kills, {len(rows)} rows")


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
    for view in QUERIES:
        assert await connection.fetch(f"CHECK VIEW {view}") == [], view
    return rows
