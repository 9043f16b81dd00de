"""The handle by which sessions talk to the coordinator and its committer.

Each command method is one message through the coordinator's queue. `current_revision`,
`published_catalog_ts`, `wait_catalog` and `write` send none.
"""

import asyncio
from collections.abc import Iterable
from typing import TypeVar

from catalog.consistency import find_inconsistencies
from catalog.operations import Operation
from catalog.state import Catalog
from controllers.clients import ControllerClients
from coordinator.commands import (
    CancelRequest,
    CatalogOutcome,
    CatalogSnapshot,
    CatalogTransact,
    CheckConsistency,
    Command,
    CoordinatorState,
    Dump,
    GetControllerClients,
    GetOracle,
    SessionHandles,
    Startup,
    StartupRequest,
    Terminate,
)
from coordinator.committer import Committer, TableWrite, WriteRequest
from coordinator.coordinator import Coordinator
from coordinator.published import PublishedCatalog
from coordinator.requests import CatalogRequest
from core.ids import GlobalId, Timestamp
from oracle.oracle import DEFAULT_TIMELINE, TimestampOracle

Answer = TypeVar("Answer")


class CoordinatorClient:
    """Shared by all sessions of the process."""

    def __init__(
        self, coordinator: Coordinator, committer: Committer, published: PublishedCatalog
    ) -> None:
        self._coordinator = coordinator
        self._committer = committer
        self._published = published

    async def startup(self, request: StartupRequest) -> SessionHandles:
        """Open a session. SqlError 28000 for an unknown role, 53300 for too many sessions.

        When the caller is cancelled meanwhile, no session is left behind.
        """
        answer: asyncio.Future[SessionHandles] = _future()
        try:
            return await self._ask(Startup(request, answer), answer)
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                unneeded: asyncio.Future[None] = _future()
                self._coordinator.submit(Terminate(answer.result().connection_id, unneeded))
            raise

    async def terminate(self, connection_id: int) -> None:
        """Close a session; its temporary items go in the background."""
        answer: asyncio.Future[None] = _future()
        await self._ask(Terminate(connection_id, answer), answer)

    async def cancel(self, connection_id: int, secret_key: int) -> None:
        """Ask for the cancellation of a session's statement; says nothing about its success."""
        answer: asyncio.Future[None] = _future()
        await self._ask(CancelRequest(connection_id, secret_key, answer), answer)

    async def catalog_snapshot(self) -> Catalog:
        """The newest catalog."""
        answer: asyncio.Future[Catalog] = _future()
        return await self._ask(CatalogSnapshot(answer), answer)

    async def get_oracle(self, timeline: str = DEFAULT_TIMELINE) -> TimestampOracle:
        """The timestamp oracle; kept by the session."""
        answer: asyncio.Future[TimestampOracle] = _future()
        return await self._ask(GetOracle(timeline, answer), answer)

    async def get_controller_clients(self) -> ControllerClients:
        """The controller clients; kept by the session."""
        answer: asyncio.Future[ControllerClients] = _future()
        return await self._ask(GetControllerClients(answer), answer)

    async def catalog_transact(
        self,
        operations: tuple[Operation, ...],
        planned_revision: int,
        table_writes: tuple[TableWrite, ...] = (),
        *,
        user: str | None = None,
        read_set: frozenset[GlobalId] | None = None,
        read_ts: Timestamp | None = None,
        previewed_on: Catalog | None = None,
    ) -> CatalogOutcome:
        """Change the catalog, and write tables, in one commit; all or nothing.

        Raises SqlError; CatalogChangedError: plan again; SerializationConflictError: something
        in `read_set` was written after `read_ts`. As with `write`, the caller must not be
        cancelled while it waits.
        """
        answer: asyncio.Future[CatalogOutcome] = _future()
        request = CatalogRequest(
            operations,
            planned_revision,
            table_writes,
            user,
            answer,
            read_set,
            read_ts,
            previewed_on,
        )
        self._coordinator.submit(CatalogTransact(request))
        return await asyncio.shield(answer)

    async def dump(self) -> CoordinatorState:
        """The coordinator's own state, for diagnosis."""
        answer: asyncio.Future[CoordinatorState] = _future()
        return await self._ask(Dump(answer), answer)

    async def check_consistency(self) -> tuple[str, ...]:
        """Inconsistencies inside the catalog and with the sessions; none in a healthy process."""
        answer: asyncio.Future[CoordinatorState] = _future()
        state = await self._ask(CheckConsistency(answer), answer)
        connections = frozenset(session.connection_id for session in state.sessions)
        return await asyncio.to_thread(find_inconsistencies, state.catalog, connections)

    def current_revision(self) -> int:
        """The revision of the newest catalog: an attribute read."""
        return self._published.catalog.revision

    def published_catalog_ts(self) -> Timestamp:
        """The commit time of the newest catalog known here: an attribute read. When a read's
        `ReadTimestamp.catalog_ts` is later, a newer catalog is being published: await
        `wait_catalog(catalog_ts)`, take a new snapshot and plan again if the revision moved."""
        return self._published.catalog.ts

    def complete_ts(self) -> Timestamp:
        """The newest time whose commits are all known and published here: an attribute read. A
        serializable read may choose it without asking the oracle."""
        return self._committer.complete_ts

    async def wait_catalog(self, ts: Timestamp) -> None:
        """Wait until the catalog as of `ts` is published."""
        await self._published.wait(ts)

    async def write(self, request: WriteRequest) -> Timestamp:
        """Commit table writes, straight to the committer (see `Committer.write`)."""
        return await self._committer.write(request)

    def discard(self, writes: Iterable[TableWrite]) -> None:
        """Give up staged writes that were never handed to `write` or `catalog_transact`."""
        self._committer.discard(writes)

    async def _ask(self, command: Command, answer: asyncio.Future[Answer]) -> Answer:
        self._coordinator.submit(command)
        return await answer


def _future() -> asyncio.Future[Answer]:
    return asyncio.get_running_loop().create_future()
