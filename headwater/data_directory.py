"""The data directory of a server: one server at most runs on it, and its address is known."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headwater.directory_lock import DirectoryLock, LockedError, read_note
from headwater.settings import BoundAddresses, ListenAddress

LOCK_ATTEMPTS: Final = 6
LOCK_RETRY_S: Final = 0.1


class DataDirectoryError(Exception):
    """The directory cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """What a running server has written about itself; addresses are unknown while it boots."""

    pid: str
    sql: ListenAddress | None
    http: ListenAddress | None


class DataDirectory:
    """The directory, held by this process."""

    def __init__(self, path: Path) -> None:
        """Make the directory if it is missing and take it. Raises DataDirectoryError."""
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _lock_patiently(self.path / "lock")
        except LockedError as error:
            raise DataDirectoryError(_already_running(self.path, _parse(error.note))) from error
        except OSError as error:
            raise DataDirectoryError(
                f"cannot use {self.path} as data directory: {error.strerror}; choose another "
                "with --data-dir"
            ) from error

    def announce(self, addresses: BoundAddresses) -> None:
        """Let later starts on this directory, and `headwater sql`, know where we listen."""
        self._lock.write_note({"sql": str(addresses.sql), "http": str(addresses.http)})

    def release(self) -> None:
        """Let another server have the directory."""
        self._lock.release()


def _lock_patiently(path: Path) -> DirectoryLock:
    """Take the lock, waiting a moment for a holder that was killed and is not quite gone."""
    for _ in range(LOCK_ATTEMPTS - 1):
        try:
            return DirectoryLock(path)
        except LockedError:
            time.sleep(LOCK_RETRY_S)
    return DirectoryLock(path)


def find_running_server(path: Path) -> RunningServer | None:
    """What the server on the data directory `path` last wrote about itself; None if it stopped.

    After a crash the answer may be stale: only a connection shows.
    """
    note = read_note(path / "lock")
    return _parse(note) if note else None


def _parse(note: Mapping[str, str]) -> RunningServer:
    sql, http = note.get("sql"), note.get("http")
    return RunningServer(
        note.get("pid", "unknown"),
        ListenAddress.parse(sql) if sql else None,
        ListenAddress.parse(http) if http else None,
    )


def _already_running(path: Path, server: RunningServer) -> str:
    where = (
        f"serving SQL at {server.sql} and HTTP at http://{server.http}"
        if server.sql is not None
        else "still starting"
    )
    return (
        f"a Headwater server already runs on {path} (pid {server.pid}, {where}). "
        "Use that one, stop it, or choose another --data-dir"
    )
