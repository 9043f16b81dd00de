"""Ends PostgreSQL processes that outlived the Headwater process, or the postmaster, above them.

The parent-death signal normally prevents orphans; it is missing outside Linux, and a stopped
postmaster ignores it. A backend of a killed postmaster goes on until its statement ends, and until
then no new postmaster may start. The caller holds the directory's lock and runs no postmaster, so
whatever works on the data directory is left over.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

POLL_S: Final = 0.02
PROC: Final = Path("/proc")  # absent outside Linux
_PATIENCE: Final = ((signal.SIGINT, 5.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0))

_log = structlog.get_logger("headwater.orphaned_postgres")


async def stop(data: Path) -> None:
    """End the postmaster that runs on the data directory `data`, if there is one, then whatever
    else does."""
    postmaster = _postmaster_pid(data)
    if postmaster is not None and _works_on(postmaster, data):
        _log.warning("stopping an orphaned PostgreSQL", pid=postmaster)
        await _end([postmaster], data, _PATIENCE)
    await stop_backends(data)


async def stop_backends(data: Path) -> None:
    """End the backends of a postmaster that is dead (where /proc tells who they are)."""
    if PROC.is_dir():
        pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
        await _end([pid for pid in pids if _works_on(pid, data)], data, _PATIENCE[1:])


async def _end(
    pids: Sequence[int], data: Path, patience: Sequence[tuple[signal.Signals, float]]
) -> None:
    loop = asyncio.get_running_loop()
    for signal_number, patience_s in patience:
        for pid in pids:
            try:
                os.kill(pid, signal_number)
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue
        deadline = loop.time() + patience_s
        while loop.time() < deadline:
            pids = [pid for pid in pids if _works_on(pid, data)]
            if not pids:
                return
            await asyncio.sleep(POLL_S)


def _postmaster_pid(data: Path) -> int | None:
    try:
        first_line = (data / "postmaster.pid").read_text().partition("\n")[0].strip()
    except OSError:
        return None
    return int(first_line) if first_line.isdigit() else None


def _works_on(pid: int, data: Path) -> bool:
    """Whether `pid` is a PostgreSQL on `data`, not another process that got the number."""
    if PROC.is_dir():
        try:
            working_directory = (PROC / str(pid) / "cwd").readlink()
            name = (PROC / str(pid) / "comm").read_text().strip()
        except OSError:
            return False
        return name == "postgres" and working_directory == data.resolve()
    listing = subprocess.run(
        ["ps", "-p", str(pid), "-o", "command="],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return "postgres" in listing.stdout and str(data) in listing.stdout
