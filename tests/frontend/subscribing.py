"""A subscriber for tests: the rows of a SUBSCRIBE as they come, through COPY."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
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


def without_time(rows: list[Row]) -> list[Row]:
    """The rows without mz_timestamp."""
    return [row[1:] for row in rows]
