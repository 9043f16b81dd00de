"""The listening side of the SQL ports.

`serve` binds one port; each accepted socket becomes a `frontend.connection.Connection` with one
task of its own. The internal port logs every user in as `mz_system`, a superuser; it must listen
on loopback only, which is for the caller to see to.
"""

from collections.abc import Callable
from dataclasses import dataclass

from coordinator.client import CoordinatorClient


@dataclass(frozen=True, slots=True)
class FrontendDependencies:
    """What sessions need of the rest of the server; shared by every port.

    `clock` gives the wall clock in microseconds since the Unix epoch.
    """

    coordinator: CoordinatorClient
    environment_id: str
    version: str  # Headwater's own, as in `0.1.0`
    clock: Callable[[], int]


class FrontendServer:
    """A bound port. `close` stops accepting, ends every connection with 57P01 and waits for it."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    async def close(self) -> None:
        """Stop listening and end every connection; done when the last one is gone."""
        raise NotImplementedError


async def serve(
    host: str, port: int, dependencies: FrontendDependencies, *, internal: bool
) -> FrontendServer:
    """Listen on `host`:`port` (0: any free port). Raises OSError when the address is taken."""
    raise NotImplementedError
