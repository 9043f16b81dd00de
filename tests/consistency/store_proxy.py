"""A relay in front of the metadata database that makes it slow and loses messages.

A lost answer is the hard case: the store has carried the statement out, and nobody was told.
"""

import asyncio
import contextlib
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto
from typing import Final

CHUNK_BYTES: Final = 64 * 1024


class Loss(Enum):
    """What is lost of the next exchange, together with its connection."""

    NOTHING = auto()
    REQUEST = auto()
    ANSWER = auto()


class _Link:
    """One connection of a client of the store."""

    def __init__(self) -> None:
        self.loses = Loss.NOTHING


class StoreProxy:
    """`url` leads to the store at `open`'s `metadata_url`; answers take `delay_s` longer."""

    def __init__(self, metadata_url: str, delay_s: float) -> None:
        self.url = ""
        self._delay_s = delay_s
        self._target = urllib.parse.urlsplit(metadata_url)
        self._links: dict[_Link, asyncio.Task[None]] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, metadata_url: str, delay_s: float) -> "AsyncIterator[StoreProxy]":
        """Relay to a PostgreSQL that listens on a unix socket."""
        proxy = cls(metadata_url, delay_s)
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        target = proxy._target
        proxy.url = f"postgresql://{target.username}@127.0.0.1:{port}{target.path}?sslmode=disable"
        try:
            yield proxy
        finally:
            server.close()
            for task in proxy._links.values():
                task.cancel()

    def lose(self, loss: Loss) -> None:
        """Lose the next request or answer of every open connection."""
        for link in self._links:
            link.loses = loss

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link, task = _Link(), asyncio.current_task()
        assert task is not None
        self._links[link] = task
        query = urllib.parse.parse_qs(self._target.query)
        path = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
        writers = [writer]
        try:
            answers, requests = await asyncio.open_unix_connection(path)
            writers.append(requests)
            pumps = [
                asyncio.create_task(_pump(reader, requests, link, Loss.REQUEST, 0)),
                asyncio.create_task(_pump(answers, writer, link, Loss.ANSWER, self._delay_s)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.wait(pumps)
        except OSError:
            pass  # the store is away: so is the connection
        finally:
            del self._links[link]
            for stream in writers:
                stream.close()


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    link: _Link,
    carries: Loss,
    delay_s: float,
) -> None:
    """Relay one direction until it ends or loses what it carries."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            if link.loses is carries:
                return
            if delay_s:
                await asyncio.sleep(delay_s)
            writer.write(data)
            await writer.drain()
