"""Connections to the metadata database, and what its errors mean.

A small bounded pool on asyncpg: connections are opened when needed, reused last-in first-out, and
given up at the first doubt. It runs single statements only, each its own transaction and one round
trip (asyncpg's own pool adds a second one on release).

Errors: PostgreSQL answers severity ERROR when it aborted the statement: *determinate*. A FATAL, a
lost connection or a timeout may come after the commit record: *indeterminate*. 40001 and 40P01 are
determinate and tried again here; 40003 is indeterminate by definition (PostgreSQL appendix A).
"""

import asyncio
from typing import Final

import asyncpg

from core.errors import DeterminateError, IndeterminateError, StorageError
from core.retry import Backoff

CONNECT_TIMEOUT_S: Final = 10.0
COMMAND_TIMEOUT_S: Final = 30.0
READ_DEADLINE_S: Final = 60.0
WRITE_DEADLINE_S: Final = 10.0
STATEMENT_CACHE_SIZE: Final = 200

_CONFLICTS: Final = frozenset({"40001", "40P01"})
_COMPLETION_UNKNOWN: Final = "40003"
_READ_ONLY: Final = "25006"
# Never answered. The internal error is what asyncpg raises on a connection whose end it has not
# noticed yet.
_LOST: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


Record = asyncpg.Record


class PostgresPool:
    """At most `size` connections to `dsn`. `isolation` overrides the server's default level."""

    def __init__(self, dsn: str, size: int, *, isolation: str | None = None) -> None:
        self._dsn = dsn
        self._settings = {"application_name": "headwater"}
        if isolation is not None:
            self._settings["default_transaction_isolation"] = isolation
        self._idle: list[asyncpg.Connection] = []
        self._all: set[asyncpg.Connection] = set()
        self._permits = asyncio.Semaphore(size)
        self._is_closed = False

    async def read(self, query: str, *arguments: object) -> list[Record]:
        """Run a query without effects, again after a lost connection. Raises DeterminateError."""
        backoff = Backoff(READ_DEADLINE_S)
        while True:
            try:
                return await self._run(query, arguments)
            except StorageError as error:
                if backoff.is_exhausted or self._is_closed or not _is_worth_repeating(error):
                    raise DeterminateError(str(error)) from error
            await backoff.wait()

    async def write(self, query: str, *arguments: object) -> list[Record]:
        """Run a statement with effects, again only where it certainly did nothing: after a
        conflict, and while no connection can be had. Raises DeterminateError or
        IndeterminateError."""
        backoff = Backoff(WRITE_DEADLINE_S)
        while True:
            try:
                return await self._run(query, arguments)
            except (ConflictError, UnreachableError) as error:
                if backoff.is_exhausted or self._is_closed:
                    raise DeterminateError(str(error)) from error
            await backoff.wait()

    async def vacuum(self, table: str) -> None:
        """Ask the store to reuse the space of deleted rows now; a store without VACUUM does that by
        itself, so its error is ignored."""
        try:
            await self._run(f"VACUUM (SKIP_LOCKED) {table}", ())
        except StorageError:
            return

    async def close(self) -> None:
        """Drop every connection at once."""
        self._is_closed = True
        for connection in self._all:
            connection.terminate()
        self._all.clear()
        self._idle.clear()

    async def _run(self, query: str, arguments: tuple[object, ...]) -> list[Record]:
        async with self._permits:
            connection = await self._connect()
            try:
                rows: list[Record] = await connection.fetch(query, *arguments)
            except asyncpg.PostgresError as error:
                failure = _classify(error)
                if isinstance(failure, IndeterminateError) or error.sqlstate == _READ_ONLY:
                    self._discard(connection)
                else:
                    self._idle.append(connection)
                raise failure from error
            except _LOST as error:
                self._discard(connection)
                raise IndeterminateError(f"no answer from the database: {error}") from error
            except BaseException:
                self._discard(connection)
                raise
            self._idle.append(connection)
            return rows

    async def _connect(self) -> asyncpg.Connection:
        self._require_open()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._all.discard(connection)
        try:
            connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                statement_cache_size=STATEMENT_CACHE_SIZE,
                max_cached_statement_lifetime=0,
                server_settings=self._settings,
            )
        except (asyncpg.PostgresError, *_LOST) as error:
            raise UnreachableError(f"cannot connect to the database: {error}") from error
        self._all.add(connection)
        try:
            self._require_open()
        except UnreachableError:
            self._discard(connection)
            raise
        return connection

    def _require_open(self) -> None:
        if self._is_closed:
            raise UnreachableError("the connection pool is closed")

    def _discard(self, connection: asyncpg.Connection) -> None:
        self._all.discard(connection)
        connection.terminate()


class UnreachableError(DeterminateError):
    """No connection could be had: nothing was sent."""


class ConflictError(DeterminateError):
    """A serialization failure or deadlock: aborted, and worth trying again."""


class AbortedError(DeterminateError):
    """The statement was aborted with an error; `message` is the server's."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate
        self.message = message


def _classify(error: asyncpg.PostgresError) -> StorageError:
    sqlstate = error.sqlstate or ""
    message = str(error)
    if sqlstate in _CONFLICTS:
        return ConflictError(message)
    severity = getattr(error, "severity_en", None) or getattr(error, "severity", None)
    is_aborted = severity in (None, "ERROR") and not sqlstate.startswith(("08", "57P"))
    if is_aborted and sqlstate != _COMPLETION_UNKNOWN:
        return AbortedError(sqlstate, message)
    return IndeterminateError(f"{sqlstate}: {message}")


def _is_worth_repeating(error: StorageError) -> bool:
    if isinstance(error, AbortedError):
        return error.sqlstate == _READ_ONLY or error.sqlstate.startswith("53")
    return isinstance(error, IndeterminateError | UnreachableError | ConflictError)
