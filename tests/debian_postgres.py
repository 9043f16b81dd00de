"""A PostgreSQL that is not ours: the one of a Debian package, on a unix socket in a directory of
its own."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

from headwater.service_account import service_account
from tests.programs import require_program

USER: Final = "headwater"
DEADLINE_S: Final = 30.0


@contextmanager
def debian_postgres() -> Iterator[str]:
    """The URL of its database `postgres`; the test is skipped where it is not installed."""
    postgres = require_program("postgres", "postgresql")
    account = service_account()
    user = None if account is None else account.uid
    group = None if account is None else account.gid
    directory = Path(tempfile.mkdtemp(prefix="headwater-debian-"))
    try:
        if account is not None:
            os.chown(directory, account.uid, account.gid)
        data = directory / "data"
        initdb = (postgres.parent / "initdb", "-D", data, "-U", USER, "--auth=trust", "--no-sync")
        subprocess.run(
            initdb, check=True, capture_output=True, cwd=directory, user=user, group=group
        )
        settings = ("-k", directory, "-c", "listen_addresses=", "-c", "fsync=off")
        with (directory / "log").open("wb") as log:
            server = subprocess.Popen(
                (postgres, "-D", data, *settings),
                cwd=directory,
                stdout=log,
                stderr=log,
                user=user,
                group=group,
            )
        try:
            query = urllib.parse.urlencode({"host": str(directory), "port": 5432})
            url = f"postgresql://{USER}@/postgres?{query}"
            _wait_until_ready(server, url, directory / "log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(DEADLINE_S)
    finally:
        shutil.rmtree(directory)


def _wait_until_ready(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    while True:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"PostgreSQL ended with {server.wait(0.05)}: {log.read_text()}")
