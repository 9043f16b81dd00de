"""Subscribers for tests: the rows of a SUBSCRIBE as they come, through COPY."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Final, Self

import psycopg

from tests.running_server import HeadwaterServer

DEADLINE_S: Final = 60.0

Row = tuple[str | None, ...]
Connection = psycopg.AsyncConnection[tuple[object, ...]]


class LeftError(Exception):
    """The subscriber has seen enough."""


class Subscription:
    """`SUBSCRIBE statement` in a cluster, on a connection of its own; left, it is cancelled."""

    def __init__(
        self, server: HeadwaterServer, statement: str, cluster: str = "quickstart"
    ) -> None:
        self._dsn = f"{server.dsn}?options=-ccluster%3D{cluster}"
        self._query = f"COPY (SUBSCRIBE {statement}) TO STDOUT"
        self._connection: Connection | None = None
        self._rows: AsyncIterator[Row] | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """When it returns, the subscription has its time."""
        connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
        self._connection = connection
        await self._stack.enter_async_context(connection)
        cursor = await self._stack.enter_async_context(connection.cursor())
        copy = await self._stack.enter_async_context(cursor.copy(self._query.encode()))
        self._rows = aiter(copy.rows())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        left = LeftError()
        with contextlib.suppress(LeftError):  # it makes psycopg cancel the COPY
            await self._stack.__aexit__(LeftError, left, None)

    async def vanish(self) -> None:
        """Close the socket without a word."""
        assert self._connection is not None
        self._connection.pgconn.finish()
        await self.__aexit__(None, None, None)

    async def next(self) -> Row:
        """The next row."""
        assert self._rows is not None
        async with asyncio.timeout(DEADLINE_S):
            return await anext(self._rows)

    async def take(self, count: int) -> list[Row]:
        """The next rows."""
        return [await self.next() for _ in range(count)]

    async def rest(self) -> list[Row]:
        """All rows up to the end of the subscription."""
        assert self._rows is not None
        async with asyncio.timeout(DEADLINE_S):
            return [row async for row in self._rows]


class Follower:
    """A client as the documentation has it: it keeps what it has seen up to the last progress, and
    resumes from there."""

    def __init__(self, server: HeadwaterServer, relation: str, as_of: int) -> None:
        self._server = server
        self._relation = relation
        self._as_of = as_of
        self._upper = as_of  # everything before is in `seen`
        self._pending: list[Row] = []
        self.seen: list[Row] = []

    async def follow(self, count: int, is_over: Callable[[], bool]) -> None:
        """Take in so many rows on a new connection, or fewer if it is over."""
        async with Subscription(self._server, self._statement("")) as subscription:
            for _ in range(count):
                self._take(await subscription.next())
                if is_over():
                    return

    async def finish(self, end: int) -> None:
        """Take in all up to `end`."""
        async with Subscription(self._server, self._statement(f"UP TO {end + 1}")) as subscription:
            for row in await subscription.rest():
                self._take(row)

    def _statement(self, until: str) -> str:
        self._pending.clear()
        if self._upper > self._as_of:
            as_of, snapshot = self._upper - 1, "false"
        else:
            as_of, snapshot = self._as_of, "true"
        options = f"WITH (PROGRESS, SNAPSHOT = {snapshot})"
        return f"{self._relation} {options} AS OF {as_of} {until}"

    def _take(self, row: Row) -> None:
        if row[1] == "f":
            self._pending.append((row[0], *row[2:]))
        else:
            self._upper = int(str(row[0]))
            self.seen += self._pending
            self._pending.clear()


def without_time(rows: list[Row]) -> list[Row]:
    """The rows without mz_timestamp."""
    return [row[1:] for row in rows]
