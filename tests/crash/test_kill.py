"""Nothing acknowledged is lost, and nothing appears by half, whichever process is killed when."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.crash.acknowledged_writes import LOST, WriteLog, connect, disagreements, write_until
from tests.crash.processes import clusterd_pids, postmaster_pid
from tests.running_server import HeadwaterServer

WRITERS: Final = 8
READ_ATTEMPTS: Final = 50
SEED: Final = 20_261


async def _crash_repeatedly(server: HeadwaterServer, kills: int, rng: random.Random) -> WriteLog:
    log, stop = WriteLog(), asyncio.Event()

    def dsn() -> str:
        return server.dsn

    connection = await connect(dsn)
    await connection.execute("CREATE TABLE numbered (n int NOT NULL)")
    await connection.close()
    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(write_until(stop, dsn, log, random.Random(f"{SEED}/{number}")))
        for _ in range(kills):
            await asyncio.sleep(rng.uniform(0.05, 0.6))
            await _kill_one(server, rng.choice(("environmentd", "clusterd", "postmaster")), rng)
            await _check(dsn, log)
        stop.set()
    await _check(dsn, log, is_complete=True)
    return log


async def _kill_one(server: HeadwaterServer, victim: str, rng: random.Random) -> None:
    if victim == "clusterd":
        pids = clusterd_pids(server.pid)
        if pids:
            os.kill(rng.choice(pids), signal.SIGKILL)
    elif victim == "postmaster":
        pid = postmaster_pid(server.data_dir)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    if victim == "environmentd" or not server.is_running:
        if server.is_running:
            await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)


async def _check(dsn: Callable[[], str], log: WriteLog, *, is_complete: bool = False) -> None:
    """Every row acknowledged before the read starts is there once; groups are whole.

    While writers run, rows may show that no writer has heard about yet, so only the last check
    may look for rows that nobody wrote and for halves.
    """
    promised = WriteLog(acknowledged=list(log.acknowledged), unknown=list(log.unknown))
    rows = await _rows(dsn)
    problems = disagreements(promised, rows)
    if not is_complete:
        problems = [p for p in problems if not p.startswith("nobody wrote")]
    assert problems == []


async def _rows(dsn: Callable[[], str]) -> Counter[int]:
    for _ in range(READ_ATTEMPTS):
        connection = await connect(dsn)
        try:
            records = await connection.fetch("SELECT n FROM numbered")
            return Counter(record["n"] for record in records)
        except LOST:
            await asyncio.sleep(0.2)
        finally:
            connection.terminate()
    raise AssertionError("the table could not be read after a crash")


@pytest.mark.parametrize(
    "kills", [5, pytest.param(30, marks=pytest.mark.long)], ids=["sample", "long"]
)
async def test_acknowledged_rows_survive_kills(tmp_path: Path, kills: int) -> None:
    server = HeadwaterServer(tmp_path / "data")
    server.start()
    try:
        log = await _crash_repeatedly(server, kills, random.Random(SEED))
        assert log.acknowledged, "the writers never got anything done"
    finally:
        if server.is_running:
            server.stop()
