"""Nothing acknowledged is lost, and nothing appears half, whatever process is killed and whenever.

Eight writers insert pairs of rows; each statement's number is used once, so a lost, a doubled and a
half statement can all be told. A killer waits for a random number of acknowledgements and ends one
of environmentd, the replicas or PostgreSQL with SIGKILL. The seed is printed with every failure.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import psycopg
import pytest

from tests.running_server import HeadwaterServer

WRITERS: Final = 8
MOST_ACKNOWLEDGEMENTS: Final = 300
STATEMENT_TIMEOUT_S: Final = 60.0
RECOVERY_TIMEOUT_S: Final = 60.0
HALVES: Final = ("left", "right")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HeadwaterServer]:
    server = HeadwaterServer(tmp_path / "data")
    server.start()
    yield server
    if server.is_running:
        server.stop()


class History:
    """What the writers tried and what they were told."""

    def __init__(self) -> None:
        self.attempted = 0
        self.acknowledged: set[int] = set()
        self._waiters: list[tuple[int, asyncio.Event]] = []

    def next_number(self) -> int:
        self.attempted += 1
        return self.attempted

    def acknowledge(self, number: int) -> None:
        self.acknowledged.add(number)
        for count, event in self._waiters:
            if len(self.acknowledged) >= count:
                event.set()

    async def wait_for_more(self, count: int) -> None:
        """Return after `count` more acknowledgements."""
        event = asyncio.Event()
        waiter = (len(self.acknowledged) + count, event)
        self._waiters.append(waiter)
        async with asyncio.timeout(RECOVERY_TIMEOUT_S):
            await event.wait()
        self._waiters.remove(waiter)


async def connect(server: HeadwaterServer) -> "psycopg.AsyncConnection[tuple[object, ...]]":
    """A connection, as soon as there can be one."""
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        while True:
            try:
                return await psycopg.AsyncConnection.connect(
                    server.dsn, autocommit=True, connect_timeout=10
                )
            except psycopg.OperationalError:
                await asyncio.sleep(0.02)  # the server is down: nothing to wait on


async def write(server: HeadwaterServer, history: History) -> None:
    """Insert pairs for ever; after an error, whose outcome is unknown, connect anew."""
    while True:
        connection = await connect(server)
        try:
            while True:
                number = history.next_number()
                async with asyncio.timeout(STATEMENT_TIMEOUT_S):
                    await connection.execute(
                        f"INSERT INTO pairs VALUES ({number}, '{HALVES[0]}'), "
                        f"({number}, '{HALVES[1]}')".encode()
                    )
                history.acknowledge(number)
        except psycopg.Error:
            pass
        finally:
            await connection.close()


def kill(server: HeadwaterServer, victim: str) -> None:
    """End one kind of process; environmentd alone has to be started again."""
    if victim == "environmentd":
        server.kill()
        server.start()
        return
    for process in psutil.Process(server.pid).children(recursive=True):
        if victim == "clusterd" and "compute.clusterd" in process.cmdline():
            process.kill()
        if victim == "postgres" and process.ppid() == server.pid and process.name() == "postgres":
            process.kill()


async def read_pairs(server: HeadwaterServer) -> Counter[tuple[int, str]]:
    """Every row and how often it is there; repeated until a read succeeds."""
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        while True:
            connection = await connect(server)
            try:
                cursor = await connection.execute("SELECT number, half FROM pairs")
                return Counter([(int(str(row[0])), str(row[1])) for row in await cursor.fetchall()])
            except psycopg.Error:
                continue
            finally:
                await connection.close()


def check(history: History, acknowledged: set[int], found: Counter[tuple[int, str]]) -> None:
    """`acknowledged` is what had been acknowledged before the read began."""
    repeated = [row for row, count in found.items() if count != 1]
    assert not repeated, f"rows there more than once: {repeated[:10]}"
    numbers = [{number for number, half in found if half == wanted} for wanted in HALVES]
    assert numbers[0] == numbers[1], f"half statements: {sorted(numbers[0] ^ numbers[1])[:10]}"
    lost = acknowledged - numbers[0]
    assert not lost, f"acknowledged, but lost: {sorted(lost)[:10]} of {len(acknowledged)}"
    assert all(number <= history.attempted for number in numbers[0])


@pytest.mark.parametrize(
    "kills", [6, pytest.param(30, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
async def test_kills_at_random_moments(server: HeadwaterServer, kills: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    generator = random.Random(seed)
    connection = await connect(server)
    await connection.execute("CREATE TABLE pairs (number integer NOT NULL, half text NOT NULL)")
    await connection.close()
    history = History()
    victims = ["environmentd", "clusterd", "postgres"] * (kills // 3)
    generator.shuffle(victims)
    writers = [
        asyncio.create_task(write(server, history), name=f"writer {number}")
        for number in range(WRITERS)
    ]
    try:
        for victim in victims:
            await history.wait_for_more(generator.randint(1, MOST_ACKNOWLEDGEMENTS))
            await asyncio.to_thread(kill, server, victim)
            acknowledged = set(history.acknowledged)
            check(history, acknowledged, await read_pairs(server))
        await history.wait_for_more(WRITERS)
    finally:
        for writer in writers:
            writer.cancel()
        outcomes = await asyncio.gather(*writers, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes
    check(history, history.acknowledged, await read_pairs(server))
