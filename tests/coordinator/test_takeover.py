"""Two processes on one metadata database: the second takes over, the first says so and ends.

Eight clients of the first keep writing, and one keeps reading, while it is taken over.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.acknowledged_writes import (
    LOST,
    TABLE,
    WriteLog,
    connect,
    read_rows,
    write_until_lost,
)
from tests.running_server import HeadwaterServer, ServerFailedError

WRITERS = 8
WRITES_BEFORE = 50
DEADLINE_S = 30.0
POLL_S = 0.05


@pytest.fixture(
    params=[
        "fresh_database_url",
        pytest.param("fresh_debian_database_url", marks=pytest.mark.debian),
    ],
    ids=["embedded", "debian"],
)
def metadata_url(request: pytest.FixtureRequest) -> str:
    """A database of every kind of PostgreSQL that serves as a metadata database."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def start(metadata_url: str, tmp_path: Path) -> Iterator[Callable[[str], HeadwaterServer]]:
    """Starts a server of its own name on the shared database."""
    servers: list[HeadwaterServer] = []

    def start(name: str) -> HeadwaterServer:
        server = HeadwaterServer(tmp_path / name, ("--metadata-url", metadata_url))
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.close()


async def read_for_ever(server: HeadwaterServer) -> None:
    """Read everything again and again. Raises one of LOST when the server goes away."""
    connection = await connect(lambda: server.dsn)
    try:
        while True:
            await connection.fetch(f"SELECT a.n FROM {TABLE} a, {TABLE} b")
    finally:
        connection.terminate()


async def test_nothing_of_the_first_process_lands_after_the_takeover(
    start: Callable[[str], HeadwaterServer],
) -> None:
    first = await asyncio.to_thread(start, "first")
    log = WriteLog()
    connection = await connect(lambda: first.dsn)
    await connection.execute(f"CREATE TABLE {TABLE} (n int NOT NULL)")
    await connection.close()
    clients = [
        asyncio.create_task(write_until_lost(lambda: first.dsn, log, random.Random(number)))
        for number in range(WRITERS)
    ]
    clients.append(asyncio.create_task(read_for_ever(first)))
    await log.progress.wait_for_more(WRITES_BEFORE)
    second = await asyncio.to_thread(start, "second")
    at_once = await read_rows(lambda: second.dsn)
    assert await asyncio.to_thread(first.wait) != 0
    assert "another Headwater process took over this environment" in first.stderr
    outcomes = await asyncio.gather(*clients, return_exceptions=True)
    assert all(isinstance(outcome, LOST) for outcome in outcomes), outcomes
    assert await read_rows(lambda: second.dsn) == at_once
    assert log.disagreements(log.acknowledged, at_once) == []


@pytest.mark.parametrize("metadata_url", ["fresh_database_url"], indirect=True)
async def test_an_idle_first_process_notices(start: Callable[[str], HeadwaterServer]) -> None:
    first = await asyncio.to_thread(start, "first")
    connection = await connect(lambda: first.dsn)
    await asyncio.to_thread(start, "second")
    assert await asyncio.to_thread(first.wait) != 0
    with pytest.raises(LOST):
        await connection.execute("SELECT 1")
    connection.terminate()


@pytest.mark.long
async def test_of_many_that_start_at_once_one_is_left(
    start: Callable[[str], HeadwaterServer],
) -> None:
    names = ("first", "second", "third")
    outcomes = await asyncio.gather(
        *(asyncio.to_thread(start, name) for name in names), return_exceptions=True
    )
    ready = [outcome for outcome in outcomes if isinstance(outcome, HeadwaterServer)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    for failure in failed:
        assert isinstance(failure, ServerFailedError)
        assert "another Headwater process took over this environment" in str(failure)
    deadline = time.monotonic() + DEADLINE_S
    while len(left := [server for server in ready if server.is_running]) != 1:
        assert time.monotonic() < deadline, f"{len(left)} servers are left"
        await asyncio.sleep(POLL_S)  # each of the others notices at its next tick
    connection = await connect(lambda: left[0].dsn)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
