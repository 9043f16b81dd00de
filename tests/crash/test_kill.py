"""Nothing acknowledged is lost, and nothing appears by half, whichever process is killed when.

Eight writers insert while a killer waits for a random number of acknowledgements and then ends one
kind of process, or all at once, with SIGKILL. The seed is printed with every failure.
"""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.crash.acknowledged_writes import (
    TABLE,
    WriteLog,
    connect,
    read_rows,
    write_for_ever,
)
from tests.crash.kills import VICTIMS, kill
from tests.running_server import HeadwaterServer

WRITERS: Final = 8
MOST_ACKNOWLEDGEMENTS: Final = 300


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
async def test_acknowledged_rows_survive_kills(server: HeadwaterServer, rounds: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    victims = [*VICTIMS] * rounds
    rng.shuffle(victims)
    log = WriteLog()

    def dsn() -> str:
        return server.dsn

    async def check() -> None:
        promised = tuple(log.acknowledged)
        assert log.disagreements(promised, await read_rows(dsn)) == []

    connection = await connect(dsn)
    await connection.execute(f"CREATE TABLE {TABLE} (n int NOT NULL)")
    await connection.close()
    writers = [
        asyncio.create_task(write_for_ever(dsn, log, random.Random(f"{seed}/{number}")))
        for number in range(WRITERS)
    ]
    try:
        for victim in victims:
            await log.progress.wait_for_more(rng.randint(1, MOST_ACKNOWLEDGEMENTS))
            await asyncio.to_thread(kill, server, victim)
            await check()
        await log.progress.wait_for_more(WRITERS)
    finally:
        for writer in writers:
            writer.cancel()
        outcomes = await asyncio.gather(*writers, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
    await check()
    await asyncio.to_thread(server.restart)
    await check()
    print(f"{len(victims)} kills; {len(log.acknowledged)} of {len(log.attempted)} acknowledged")
