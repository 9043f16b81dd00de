"""Tables are created, filled and dropped while the server is killed: what was acknowledged holds,
and in the end no shard is left that nobody names."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from tests.crash.acknowledged_writes import LOST, connect
from tests.crash.progress import Progress
from tests.running_server import HeadwaterServer

CLIENTS: Final = 4
MOST_STATEMENTS: Final = 40
ROWS: Final = 2_000  # more than stands inline in a commit
DEADLINE_S: Final = 120.0
POLL_S: Final = 0.25
STORED_SHARDS: Final = """
SELECT shard FROM consensus_head UNION SELECT split_part(key, '/', 1) FROM blob"""
WELL_KNOWN_SHARDS: Final = "SELECT unnest(ARRAY[txns_shard, catalog_shard]) FROM fence"
NAMED_SHARDS: Final = """
SELECT value ->> 'shard' FROM mz_internal.mz_catalog_raw WHERE kind = 'storage_collection'
UNION ALL SELECT key ->> 'shard' FROM mz_internal.mz_catalog_raw WHERE kind = 'pre_allocated_shard'
"""


@dataclass
class Client:
    """One client's tables: what it knows of each, and what a lost connection left unknown."""

    server: HeadwaterServer
    number: int
    progress: Progress
    row_counts: dict[str, set[int]] = field(default_factory=dict)  # what each may hold
    unknown: set[str] = field(default_factory=set)  # may exist or not
    made: int = 0

    async def run(self, rng: random.Random) -> None:
        while True:
            connection = await connect(lambda: self.server.dsn)
            try:
                while True:
                    await self._statement(connection, rng)
                    self.progress.advance()
            except LOST:
                continue
            finally:
                connection.terminate()

    async def _statement(
        self, connection: "asyncpg.Connection[asyncpg.Record]", rng: random.Random
    ) -> None:
        name = f"t{self.number}_{self.made}"
        if not self.row_counts or rng.random() < 0.3:
            self.made += 1
            self.unknown.add(name)
            await connection.execute(f"CREATE TABLE {name} (n int NOT NULL)")
            self.unknown.discard(name)
            self.row_counts[name] = {0}
            return
        name = rng.choice(sorted(self.row_counts))
        counts = self.row_counts[name]
        if rng.random() < 0.4:
            del self.row_counts[name]
            self.unknown.add(name)
            await connection.execute(f"DROP TABLE {name}")
            self.unknown.discard(name)
        else:
            after = {count + ROWS for count in counts}
            self.row_counts[name] = counts | after
            await connection.execute(f"INSERT INTO {name} SELECT generate_series(1, {ROWS})")
            self.row_counts[name] = after

    async def check(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        for name, counts in self.row_counts.items():
            assert await connection.fetchval(f"SELECT count(*) FROM {name}") in counts, name
        rows = await connection.fetch(
            f"SELECT name FROM mz_catalog.mz_tables WHERE name LIKE 't{self.number}\\_%'"
        )
        found = {row["name"] for row in rows}
        assert self.row_counts.keys() <= found
        assert found <= self.row_counts.keys() | self.unknown


@pytest.fixture
def server(tmp_path: Path, fresh_database_url: str) -> Iterator[HeadwaterServer]:
    server = HeadwaterServer(tmp_path / "data", ("--metadata-url", fresh_database_url))
    server.start()
    yield server
    if server.is_running:
        server.stop()


async def wait_until_nothing_leaks(server: HeadwaterServer, store_url: str) -> None:
    """Until every stored shard is one that the catalog names."""
    store = await asyncpg.connect(store_url)
    catalog = await asyncpg.connect(server.internal_dsn)
    deadline = time.monotonic() + DEADLINE_S
    try:
        while True:
            stored = {row[0] for row in await store.fetch(STORED_SHARDS)}
            known = {row[0] for row in await store.fetch(WELL_KNOWN_SHARDS)}
            known |= {row[0] for row in await catalog.fetch(NAMED_SHARDS)}
            if stored <= known:
                return
            assert time.monotonic() < deadline, f"leaked: {stored - known}"
            await asyncio.sleep(POLL_S)
    finally:
        await store.close()
        await catalog.close()


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(2, id="sample"),
        pytest.param(20, id="long", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
async def test_ddl_survives_kills_and_no_shard_leaks(
    server: HeadwaterServer, fresh_database_url: str, kills: int
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    progress = Progress()
    clients = [Client(server, number, progress) for number in range(CLIENTS)]
    tasks = [
        asyncio.create_task(client.run(random.Random(f"{seed}/{client.number}")))
        for client in clients
    ]
    try:
        for _ in range(kills):
            await progress.wait_for_more(rng.randint(1, MOST_STATEMENTS))
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await progress.wait_for_more(CLIENTS)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
    for client in clients:
        connection = await connect(lambda: server.dsn)
        await client.check(connection)
        await connection.close()
    await wait_until_nothing_leaks(server, fresh_database_url)
    print(kills, "kills;", progress.count, "statements")
