"""Servers and faults for recorded histories.

Up to two servers share one metadata database: when a second one starts it takes the environment
over, and the first must end by itself. Clients always connect to the newest.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.consistency.store_proxy import Loss, StoreProxy
from tests.consistency.workload import Faults
from tests.processes import replicas
from tests.running_server import HeadwaterServer

PROGRAM: Final = ("headwater",)


class Environment:
    """One environment, whichever process serves it at the moment."""

    def __init__(
        self, directory: Path, proxy: StoreProxy, rng: random.Random, program: Sequence[str]
    ) -> None:
        self._directory = directory
        self._proxy = proxy
        self._random = rng
        self._program = program
        self._servers: list[HeadwaterServer] = []

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        directory: Path,
        metadata_url: str,
        rng: random.Random,
        *,
        store_delay_s: float = 0.0,
        program: Sequence[str] = PROGRAM,
    ) -> "AsyncIterator[Environment]":
        """Start the first server; in the end, stop the last."""
        async with StoreProxy.open(metadata_url, store_delay_s) as proxy:
            environment = cls(directory, proxy, rng, program)
            try:
                await environment._start()
                yield environment
            finally:
                for server in environment._servers:
                    if server.is_running:
                        await asyncio.to_thread(server.stop)

    @property
    def server(self) -> HeadwaterServer:
        """The newest server that was ready."""
        return next(s for s in reversed(self._servers) if s.sql_port)

    def dsn(self) -> str:
        return self.server.dsn

    def faults(self, names: Sequence[str], pause_s: float) -> Faults:
        """The named faults in random order, `pause_s` apart on average, until told to stop."""
        actions = [getattr(self, f"_{name}") for name in names]

        async def run(stop: asyncio.Event) -> None:
            while actions and not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._random.uniform(0.5, 1.5) * pause_s):
                        await stop.wait()
                        return
                await self._random.choice(actions)()

        return run

    async def _start(self) -> None:
        server = HeadwaterServer(
            self._directory / f"server-{len(self._servers)}",
            ("--metadata-url", self._proxy.url),
            program=self._program,
        )
        self._servers.append(server)
        await asyncio.to_thread(server.start)

    async def _kill_replica(self) -> None:
        running = replicas(self.server.pid)
        if running:
            self._random.choice(running).kill()

    async def _kill_server(self) -> None:
        await asyncio.to_thread(self.server.kill)
        await self._start()

    async def _take_over(self) -> None:
        earlier = self.server
        await self._start()
        await self._expect_fenced(earlier)

    async def _take_over_while_paused(self) -> None:
        """The earlier process finds its successor there when it wakes up."""
        earlier = self.server
        earlier.pause()
        try:
            await self._start()
        finally:
            earlier.resume()
        await self._expect_fenced(earlier)

    @staticmethod
    async def _expect_fenced(earlier: HeadwaterServer) -> None:
        status = await asyncio.to_thread(earlier.wait)
        assert status != 0, "a fenced server must say by its status that it was fenced"
        assert "took over" in earlier.stderr

    async def _lose_requests(self) -> None:
        self._proxy.lose(Loss.REQUEST)

    async def _lose_answers(self) -> None:
        self._proxy.lose(Loss.ANSWER)
