"""The listening side of the SQL ports.

`serve` binds one port; each accepted socket becomes a `frontend.connection.Connection` with one
task of its own. The internal port logs every user in as `mz_system`, a superuser; it must listen
on loopback only, which is for the caller to see to.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

from core import errors
from core.errors import SqlError
from frontend.auth import Authenticator, TrustAuthenticator
from frontend.connection import Connection
from frontend.http_sql import JsonResult, execute_json
from frontend.metrics import CONNECTIONS_REFUSED
from frontend.responses import error_response
from frontend.services import FrontendDependencies as FrontendDependencies
from frontend.services import FrontendServices
from frontend.transport import WireTransport
from frontend.webhook import SourceName, append_webhook

BACKLOG: Final = 1024
MAX_UNAUTHENTICATED: Final = 1000
CLOSE_TIMEOUT_S: Final = 3.0


class FrontendServer:
    """A bound port. `close` stops accepting, ends every connection with 57P01 and waits for it."""

    def __init__(
        self, services: FrontendServices, authenticator: Authenticator, *, internal: bool
    ) -> None:
        self.port = 0
        self._services = services
        self._authenticator = authenticator
        self._is_internal = internal
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._is_closing = False
        self._starting = 0  # connections whose session has not begun

    async def listen(self, host: str, port: int) -> None:
        """Bind. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: WireTransport(self._accept), host, port, backlog=BACKLOG
        )
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end every connection; done when the last one is gone."""
        self._is_closing = True
        if self._server is not None:
            self._server.close()
        farewell = "terminating connection due to administrator command"
        for connection in list(self._connections):
            connection.shut_down(SqlError(errors.ADMIN_SHUTDOWN, farewell))
        tasks = list(self._connections.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_S)
            for task in late:
                task.cancel()
            for task in late:
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def execute_json(
        self, statements: Sequence[tuple[str, Sequence[str | None]]], user: str | None
    ) -> Sequence[JsonResult]:
        """Run texts with their parameters in one session of `user`; a result per statement."""
        return await execute_json(self._services, statements, user)

    async def append_webhook(
        self, name: SourceName, body: bytes, headers: Mapping[str, str]
    ) -> None:
        """Commit one request to a webhook source. Raises SqlError."""
        await append_webhook(self._services, name, body, headers)

    def _accept(self, wire: WireTransport) -> None:
        if self._is_closing or self._starting >= MAX_UNAUTHENTICATED:
            CONNECTIONS_REFUSED.labels("closing" if self._is_closing else "startups").inc()
            refusal = SqlError(
                errors.TOO_MANY_CONNECTIONS, "sorry, too many clients already", severity="FATAL"
            )
            wire.send(error_response(refusal))
            wire.close()
            return
        connection = Connection(
            wire,
            self._services,
            self._authenticator,
            self._count_started,
            is_internal=self._is_internal,
        )
        self._starting += 1
        task = asyncio.get_running_loop().create_task(connection.run(), name="connection")
        self._connections[connection] = task
        task.add_done_callback(lambda _: self._connections.pop(connection, None))

    def _count_started(self) -> None:
        self._starting -= 1


async def serve(
    host: str, port: int, dependencies: FrontendDependencies, *, internal: bool
) -> FrontendServer:
    """Listen on `host`:`port` (0: any free port). Raises OSError when the address is taken."""
    server = FrontendServer(FrontendServices(dependencies), TrustAuthenticator(), internal=internal)
    await server.listen(host, port)
    return server
