"""The coordinator: one queue, one task, small synchronous handlers.

Every handler is a plain function: it cannot await, does no I/O and a bounded amount of work (the
bounds stand in ARCHITECTURE.md's audit table), and answers through the future that came with the
command. Whatever takes longer is handed to its owner: commits to the committer, reads to the
compute client. A handler that raises is a bug and ends the process.

Deliberately absent: staged processing, controller events, ticks, and anything about rows.
"""

import asyncio
import hmac
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, TypeVar, assert_never

from catalog.operations import CreateTable, CreateView, DropTemporaryItems
from catalog.state import Catalog
from controllers.clients import ControllerClients
from coordinator.commands import (
    CancelRequest,
    CatalogSnapshot,
    CatalogTransact,
    CheckConsistency,
    Command,
    CoordinatorState,
    Dump,
    GetControllerClients,
    GetOracle,
    SessionHandles,
    SessionSummary,
    Startup,
    StartupRequest,
    Terminate,
)
from coordinator.committer import Committer
from coordinator.metrics import (
    BATCH_SIZE,
    MESSAGE_SECONDS,
    QUEUE_BUSY_SECONDS,
    QUEUE_WAIT_SECONDS,
)
from coordinator.published import PublishedCatalog
from coordinator.requests import CatalogRequest
from coordinator.watchdog import Watchdog
from core import errors
from core.errors import SqlError
from oracle.oracle import DEFAULT_TIMELINE, TimestampOracle
from sql.variables import system_value

MAX_BATCH: Final = 64
MAX_QUEUED: Final = 65_536
MAX_CONNECTION_ID: Final = 2**31 - 1
SECRET_BITS: Final = 31

Answer = TypeVar("Answer")

COMMAND_KINDS: Final[dict[type[Command], str]] = {
    Startup: "command-startup",
    Terminate: "command-terminate",
    CancelRequest: "command-cancel_request",
    CatalogSnapshot: "command-catalog_snapshot",
    GetOracle: "command-get_oracle",
    GetControllerClients: "command-get_controller_clients",
    CatalogTransact: "command-catalog_transact",
    Dump: "command-dump",
    CheckConsistency: "command-check_consistency",
}


@dataclass(slots=True)
class _Session:
    request: StartupRequest
    secret_key: int
    has_temporary_items: bool = False


class Coordinator:
    """Built and run by `headwater.boot`; `run` is its task."""

    def __init__(
        self,
        published: PublishedCatalog,
        committer: Committer,
        oracle: TimestampOracle,
        clients: ControllerClients,
        watchdog: Watchdog,
    ) -> None:
        self._published = published
        self._committer = committer
        self._oracle = oracle
        self._clients = clients
        self._watchdog = watchdog
        self._queue: deque[tuple[Command, float]] = deque()
        self._wake = asyncio.Event()
        self._sessions: dict[int, _Session] = {}
        self._last_connection_id = 0
        self._has_ended = False

    def submit(self, command: Command) -> None:
        """Queue a command. Raises SqlError when the queue is full or the coordinator has ended."""
        if self._has_ended:
            raise SqlError(errors.ADMIN_SHUTDOWN, "the server is shutting down", severity="FATAL")
        if len(self._queue) >= MAX_QUEUED:
            raise SqlError(errors.CONFIGURATION_LIMIT_EXCEEDED, "too many commands are waiting")
        self._queue.append((command, time.perf_counter()))
        self._wake.set()

    async def run(self) -> None:
        """Handle commands in order until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._handle_batch()
                if self._queue:
                    await asyncio.sleep(0)
                else:
                    self._wake.clear()
        finally:
            self._end()

    def handle(self, command: Command) -> None:
        """Carry out one command and answer it."""
        match command:
            case Startup():
                self._startup(command)
            case Terminate():
                self._terminate(command)
            case CancelRequest():
                self._cancel_request(command)
            case CatalogSnapshot():
                self._catalog_snapshot(command)
            case GetOracle():
                self._get_oracle(command)
            case GetControllerClients():
                self._get_controller_clients(command)
            case CatalogTransact():
                self._catalog_transact(command)
            case Dump():
                self._dump(command)
            case CheckConsistency():
                self._check_consistency(command)
            case _:
                assert_never(command)

    def _handle_batch(self) -> None:
        batch_started = started = time.perf_counter()
        count = min(len(self._queue), MAX_BATCH)
        for _ in range(count):
            command, queued_at = self._queue.popleft()
            kind = COMMAND_KINDS[type(command)]
            QUEUE_WAIT_SECONDS.labels(kind).observe(started - queued_at)
            with self._watchdog.watch(kind):
                self.handle(command)
            now = time.perf_counter()
            MESSAGE_SECONDS.labels(kind).observe(now - started)
            started = now
        BATCH_SIZE.observe(count)
        QUEUE_BUSY_SECONDS.observe(time.perf_counter() - batch_started)

    def _startup(self, command: Startup) -> None:
        request = command.request
        catalog = self._published.catalog
        try:
            is_superuser = self._admit(request, catalog)
        except SqlError as error:
            _fail(command.answer, error)
            return
        connection_id = self._next_connection_id()
        secret_key = secrets.randbits(SECRET_BITS)
        self._sessions[connection_id] = _Session(request, secret_key)
        handles = SessionHandles(connection_id, secret_key, catalog, is_superuser)
        if not _answer(command.answer, handles):
            del self._sessions[connection_id]  # the connection ended before it began

    def _admit(self, request: StartupRequest, catalog: Catalog) -> bool:
        """Whether the session is a superuser's. Raises SqlError 28000, 53300."""
        if request.is_internal:
            return True
        role = catalog.role_named(request.user)
        if role is None:
            raise SqlError(
                errors.INVALID_AUTHORIZATION,
                f'role "{request.user}" does not exist',
                severity="FATAL",
            )
        if not role.can_login:
            raise SqlError(
                errors.INVALID_AUTHORIZATION,
                f'role "{request.user}" is not permitted to log in',
                severity="FATAL",
            )
        self._admit_one_more(role.is_superuser, catalog)
        return role.is_superuser

    def _admit_one_more(self, is_superuser: bool, catalog: Catalog) -> None:
        parameters = catalog.system_parameters
        free = int(system_value("max_connections", parameters)) - len(self._sessions)
        reserved = int(system_value("superuser_reserved_connections", parameters))
        if free <= 0:
            message = "sorry, too many clients already"
        elif free <= reserved and not is_superuser:
            message = (
                "remaining connection slots are reserved for roles with the SUPERUSER attribute"
            )
        else:
            return
        raise SqlError(errors.TOO_MANY_CONNECTIONS, message, severity="FATAL")

    def _next_connection_id(self) -> int:
        """An id that no open session has; there are far fewer sessions than ids."""
        while True:
            self._last_connection_id = self._last_connection_id % MAX_CONNECTION_ID + 1
            if self._last_connection_id not in self._sessions:
                return self._last_connection_id

    def _terminate(self, command: Terminate) -> None:
        session = self._sessions.pop(command.connection_id, None)
        if session is not None and session.has_temporary_items:
            self._committer.transact(
                CatalogRequest(
                    operations=(DropTemporaryItems(command.connection_id),),
                    planned_revision=self._published.catalog.revision,
                    table_writes=(),
                    user=None,
                    answer=asyncio.get_running_loop().create_future(),
                )
            )
        _answer(command.answer, None)

    def _cancel_request(self, command: CancelRequest) -> None:
        session = self._sessions.get(command.connection_id)
        expected = -1 if session is None else session.secret_key
        is_right = hmac.compare_digest(_key_bytes(expected), _key_bytes(command.secret_key))
        if session is not None and is_right:
            session.request.cancel()
        _answer(command.answer, None)

    def _catalog_snapshot(self, command: CatalogSnapshot) -> None:
        _answer(command.answer, self._published.catalog)

    def _get_oracle(self, command: GetOracle) -> None:
        if command.timeline == DEFAULT_TIMELINE:
            _answer(command.answer, self._oracle)
        else:
            error = SqlError(
                errors.UNDEFINED_OBJECT, f'timeline "{command.timeline}" does not exist'
            )
            _fail(command.answer, error)

    def _get_controller_clients(self, command: GetControllerClients) -> None:
        _answer(command.answer, self._clients)

    def _catalog_transact(self, command: CatalogTransact) -> None:
        for operation in command.request.operations:
            if isinstance(operation, CreateTable | CreateView):
                session = self._sessions.get(operation.temporary_connection or 0)
                if session is not None:
                    session.has_temporary_items = True
        self._committer.transact(command.request)

    def _dump(self, command: Dump) -> None:
        _answer(command.answer, self._state())

    def _check_consistency(self, command: CheckConsistency) -> None:
        _answer(command.answer, self._state())

    def _state(self) -> CoordinatorState:
        sessions = tuple(
            SessionSummary(
                connection_id,
                session.request.user,
                session.request.database,
                session.request.application_name,
                session.request.client_address,
                session.request.is_internal,
            )
            for connection_id, session in self._sessions.items()
        )
        return CoordinatorState(self._published.catalog, len(self._queue), sessions)

    def _end(self) -> None:
        self._has_ended = True
        while self._queue:
            command, _ = self._queue.popleft()
            error = SqlError(errors.ADMIN_SHUTDOWN, "the server is shutting down")
            if isinstance(command, CatalogTransact):
                _fail(command.request.answer, error)
            elif not command.answer.done():
                command.answer.set_exception(error)


def _answer(answer: asyncio.Future[Answer], value: Answer) -> bool:
    """Answer a command; False when nobody waits any more."""
    if answer.done():
        return False
    answer.set_result(value)
    return True


def _fail(answer: asyncio.Future[Answer], error: SqlError) -> None:
    if not answer.done():
        answer.set_exception(error)


def _key_bytes(secret_key: int) -> bytes:
    return secret_key.to_bytes(8, "big", signed=True)
