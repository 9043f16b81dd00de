"""Servers and faults for recorded histories.

Up to two servers share one metadata database: when a second one starts it takes the environment
over, and the first must end by itself. Clients always connect to the newest.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import asyncpg

from tests.processes import replicas
from tests.running_server import HeadwaterServer

TAKEOVER_DEADLINE_S: Final = 30.0


class Environment:
    """One environment, whichever process serves it at the moment."""

    def __init__(self, directory: Path, metadata_url: str, rng: random.Random) -> None:
        self._directory = directory
        self._metadata_url = metadata_url
        self._random = rng
        self._starts = 0
        self.server = self._start()

    def dsn(self) -> str:
        return self.server.dsn

    def close(self) -> None:
        if self.server.is_running:
            self.server.stop()

    def faults(self, names: tuple[str, ...], pause_s: float) -> Callable[[], Awaitable[None]]:
        """An endless run of the named faults, `pause_s` apart on average."""
        actions = [getattr(self, f"_{name}") for name in names]

        async def run() -> None:
            while actions:
                await asyncio.sleep(self._random.uniform(0.5, 1.5) * pause_s)
                # A fault once begun is finished: a half-started server would be lost.
                await asyncio.shield(asyncio.ensure_future(self._random.choice(actions)()))

        return run

    def _start(self) -> HeadwaterServer:
        self._starts += 1
        server = HeadwaterServer(
            self._directory / f"server-{self._starts}", ("--metadata-url", self._metadata_url)
        )
        server.start()
        return server

    async def _kill_replica(self) -> None:
        running = replicas(self.server.pid)
        if running:
            self._random.choice(running).kill()

    async def _kill_server(self) -> None:
        await asyncio.to_thread(self.server.kill)
        self.server = await asyncio.to_thread(self._start)

    async def _take_over(self) -> None:
        earlier = self.server
        self.server = await asyncio.to_thread(self._start)
        status = await asyncio.to_thread(earlier.wait)
        assert status != 0, "a fenced server must say by its status that it was fenced"

    async def _cut_store_connections(self) -> None:
        """Break the server's connections to the store, answers on their way included."""
        connection = await asyncpg.connect(self._metadata_url)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        finally:
            await connection.close()
