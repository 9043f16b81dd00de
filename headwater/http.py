"""HTTP: /metrics, /healthz, /readyz and SQL as JSON at POST /api/sql.

Requests are answered only when their Host header names this server, and never to pages of another
origin, so that a web page cannot talk to a database on the visitor's machine.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

JsonResult = Mapping[str, object]
# Runs statement texts, each with its text parameters (None is NULL), in one implicit session for
# `user` and returns one JSON-ready result per statement. User errors are results, not exceptions.
ExecuteJson = Callable[
    [Sequence[tuple[str, Sequence[str | None]]], str | None], Awaitable[Sequence[JsonResult]]
]


@dataclass(frozen=True, slots=True)
class HttpDependencies:
    """What HTTP needs of the rest of the server.

    `is_ready` says whether SQL is served; `execute_json` runs statements (see ExecuteJson);
    `allowed_hosts` are names that a Host header may carry besides loopback and the bound host.
    """

    is_ready: Callable[[], bool]
    execute_json: ExecuteJson
    allowed_hosts: tuple[str, ...] = ()


class HttpServer:
    """A running HTTP server."""

    @property
    def port(self) -> int:
        """The bound TCP port."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop listening, end open requests and close their connections."""
        raise NotImplementedError


async def serve(host: str, port: int, dependencies: HttpDependencies) -> HttpServer:
    """Listen on `host:port` (port 0: any). Raises OSError when the port is taken."""
    raise NotImplementedError
