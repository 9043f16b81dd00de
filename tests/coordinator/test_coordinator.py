"""The coordinator: a closed set of commands, plain handlers, and the audit table that says so."""

import asyncio
import inspect
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from catalog.operations import SetSystemParameter
from controllers.clients import ControllerClients
from controllers.read_holds import ReadHolds
from controllers.shard_pool import ShardPool
from controllers.storage_collections import StorageCollections
from coordinator.client import CoordinatorClient
from coordinator.commands import Command, SessionHandles, Startup, StartupRequest, Terminate
from coordinator.coordinator import COMMAND_KINDS, MAX_QUEUED, Coordinator
from coordinator.watchdog import Watchdog
from core.clock import system_clock
from core.errors import SqlError
from oracle.memory import MemoryOracle
from persist.consensus import Fence
from tests.catalog.catalogs import table
from tests.coordinator.memory_environment import MemoryEnvironment, MemoryProcess

ARCHITECTURE = Path(__file__).resolve().parents[2] / "ARCHITECTURE.md"
COMMANDS: tuple[type[Command], ...] = get_args(Command)


def handler_name(command: type[Command]) -> str:
    return "_" + re.sub(r"(?<!^)(?=[A-Z])", "_", command.__name__).lower()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_every_command_has_a_plain_handler(command: type[Command]) -> None:
    handler = getattr(Coordinator, handler_name(command))
    assert inspect.isfunction(handler)
    assert not inspect.iscoroutinefunction(handler)
    assert not inspect.isgeneratorfunction(handler)
    assert not inspect.isasyncgenfunction(handler)
    assert "await" not in inspect.getsource(handler)


def test_dispatch_is_plain_too() -> None:
    for name in ("handle", "_handle_batch", "submit"):
        assert not inspect.iscoroutinefunction(getattr(Coordinator, name))


def test_the_set_of_commands_is_closed() -> None:
    assert set(COMMAND_KINDS) == set(COMMANDS)
    assert len(COMMANDS) <= 10
    for command in COMMANDS:
        assert f"case {command.__name__}()" in inspect.getsource(Coordinator.handle)


def test_the_audit_table_lists_every_command() -> None:
    text = ARCHITECTURE.read_text()
    section = text.partition("### Audit of the commands")[2].partition("\n## ")[0]
    audited = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", section, re.MULTILINE)
    assert sorted(audited) == sorted(command.__name__ for command in COMMANDS)


@asynccontextmanager
async def running() -> AsyncIterator[tuple[CoordinatorClient, Coordinator, MemoryProcess]]:
    """A coordinator on an environment in memory."""
    environment = MemoryEnvironment()
    async with environment.process() as process:
        fence = process.location.fence or Fence("test", 1)
        oracle = MemoryOracle(environment.timeline, environment.fences, fence, system_clock)
        collections = StorageCollections(ReadHolds(), lambda: process.writer.upper, lambda: 0)
        no_replicas: Any = None
        clients = ControllerClients(no_replicas, collections, ShardPool(), no_replicas)
        watchdog = Watchdog()
        coordinator = Coordinator(process.published, process.committer, oracle, clients, watchdog)
        task = asyncio.create_task(coordinator.run(), name="coordinator")
        try:
            yield (
                CoordinatorClient(coordinator, process.committer, process.published),
                coordinator,
                process,
            )
        finally:
            task.cancel()
            await asyncio.wait([task])
            watchdog.close()


class Canceller:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def request(user: str = "materialize", cancel: Canceller | None = None) -> StartupRequest:
    return StartupRequest(user, "materialize", "test", cancel or Canceller())


async def test_sessions_come_and_go() -> None:
    async with running() as (client, _, _process):
        first = await client.startup(request())
        second = await client.startup(request())
        assert first.connection_id != second.connection_id
        assert not first.is_superuser
        assert (await client.startup(StartupRequest("x", "d", "a", Canceller(), True))).is_superuser
        state = await client.dump()
        assert len(state.sessions) == 3
        await client.terminate(first.connection_id)
        await client.terminate(first.connection_id)
        assert len((await client.dump()).sessions) == 2
        assert await client.check_consistency() == ()


async def test_unknown_roles_and_too_many_sessions_are_refused() -> None:
    async with running() as (client, _, _process):
        with pytest.raises(SqlError) as caught:
            await client.startup(request("nobody"))
        assert (caught.value.sqlstate, caught.value.message) == (
            "28000",
            'role "nobody" does not exist',
        )
        await client.catalog_transact((SetSystemParameter("max_connections", "4"),), 1)
        await client.startup(request())
        with pytest.raises(SqlError, match="reserved for roles with the SUPERUSER") as caught:
            await client.startup(request())
        assert caught.value.sqlstate == "53300"
        await client.catalog_transact((SetSystemParameter("max_connections", "1"),), 2)
        with pytest.raises(SqlError, match="sorry, too many clients already"):
            await client.startup(request())


async def test_cancelling_takes_the_right_secret() -> None:
    async with running() as (client, _, _process):
        canceller = Canceller()
        handles = await client.startup(request(cancel=canceller))
        await client.cancel(handles.connection_id, handles.secret_key ^ 1)
        await client.cancel(handles.connection_id + 1, handles.secret_key)
        await client.cancel(handles.connection_id, -1)
        assert canceller.count == 0
        await client.cancel(handles.connection_id, handles.secret_key)
        assert canceller.count == 1


async def test_a_session_cancelled_at_its_start_leaves_nothing() -> None:
    async with running() as (client, coordinator, _process):
        answer: asyncio.Future[SessionHandles] = asyncio.get_running_loop().create_future()
        coordinator.submit(Startup(request(), answer))
        answer.cancel()
        assert (await client.dump()).sessions == ()
        for turns in range(6):
            starting = asyncio.ensure_future(client.startup(request()))
            for _ in range(turns):
                await asyncio.sleep(0)
            starting.cancel()
            await asyncio.wait([starting])
            if not starting.cancelled():
                await client.terminate(starting.result().connection_id)
        assert (await client.dump()).sessions == ()


async def test_temporary_items_go_with_their_session() -> None:
    async with running() as (client, _, process):
        handles = await client.startup(request())
        operation = table("t", temporary_connection=handles.connection_id)
        await client.catalog_transact((operation,), client.current_revision())
        assert process.catalog.is_temporary_connection(handles.connection_id)
        revision = client.current_revision()
        await client.terminate(handles.connection_id)
        await client.catalog_transact((table("after"),), revision)
        assert not process.catalog.is_temporary_connection(handles.connection_id)
        assert await client.check_consistency() == ()


async def test_revisions_and_waiting_for_a_catalog() -> None:
    async with running() as (client, _, _process):
        before = await client.catalog_snapshot()
        assert client.current_revision() == before.revision
        outcome = await client.catalog_transact((table("t"),), before.revision)
        assert client.current_revision() == outcome.revision == before.revision + 1
        assert client.published_catalog_ts() == outcome.ts
        await client.wait_catalog(outcome.ts)
        assert (await client.catalog_snapshot()) is outcome.catalog
        oracle = await client.get_oracle()
        assert (await oracle.read_ts()).catalog_ts == outcome.ts
        with pytest.raises(SqlError):
            await client.get_oracle("another timeline")


async def test_a_full_queue_refuses() -> None:
    async with running() as (_, coordinator, _process):
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for _ in range(MAX_QUEUED):
            coordinator.submit(Terminate(1, answer))
        with pytest.raises(SqlError) as caught:
            coordinator.submit(Terminate(1, answer))
        assert caught.value.sqlstate == "53400"


async def test_commands_after_the_end_are_refused() -> None:
    async with running() as (client, _, _process):
        await client.catalog_snapshot()
    with pytest.raises(SqlError) as caught:
        await client.catalog_snapshot()
    assert caught.value.sqlstate == "57P01"
