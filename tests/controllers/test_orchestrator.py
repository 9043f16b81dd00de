"""The process orchestrator with real replica processes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from controllers.orchestrator import ProcessOrchestrator, ReplicaEvent

DEADLINE_S = 60.0


class Watched:
    """An orchestrator and what it told of."""

    def __init__(self, directory: Path) -> None:
        self.orchestrator = ProcessOrchestrator(directory)
        self._events: asyncio.Queue[ReplicaEvent] = asyncio.Queue()
        self.orchestrator.add_listener(self._events.put_nowait)

    async def event(self) -> ReplicaEvent:
        async with asyncio.timeout(DEADLINE_S):
            return await self._events.get()


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    found = Watched(tmp_path)
    try:
        yield found
    finally:
        await found.orchestrator.close()
        assert found.orchestrator.pids() == {}


async def test_ensuring_a_replica_twice_starts_it_once(watched: Watched) -> None:
    address = await watched.orchestrator.ensure("u1-r1")
    started = await watched.event()
    assert started == ReplicaEvent("u1-r1", address, started.pid)
    assert await watched.orchestrator.ensure("u1-r1") == address
    assert watched.orchestrator.pids() == {"u1-r1": started.pid}
    os.kill(started.pid, 0)  # it is there


async def test_a_killed_replica_is_started_again(watched: Watched) -> None:
    await watched.orchestrator.ensure("u1-r1")
    first = await watched.event()
    os.kill(first.pid, signal.SIGKILL)
    ended, second = await watched.event(), await watched.event()
    assert (ended.pid, ended.exit_status) == (first.pid, -signal.SIGKILL)
    assert (second.replica, second.exit_status) == ("u1-r1", None)
    assert second.pid != first.pid
    assert watched.orchestrator.pids() == {"u1-r1": second.pid}


async def test_a_dropped_replica_is_gone(watched: Watched) -> None:
    await watched.orchestrator.ensure("u1-r1")
    await watched.orchestrator.ensure("u1-r2")
    pids = {event.replica: event.pid for event in (await watched.event(), await watched.event())}
    await watched.orchestrator.drop("u1-r1")
    await watched.orchestrator.drop("u1-r1")
    assert watched.orchestrator.pids() == {"u1-r2": pids["u1-r2"]}
    assert not psutil.pid_exists(pids["u1-r1"])
    assert psutil.pid_exists(pids["u1-r2"])


async def test_nothing_starts_after_the_end(tmp_path: Path) -> None:
    orchestrator = ProcessOrchestrator(tmp_path)
    await orchestrator.close()
    with pytest.raises(RuntimeError):
        await orchestrator.ensure("u1-r1")
