"""Ends a PostgreSQL that outlived the Headwater process that had started it.

The parent-death signal normally prevents that; it is missing outside Linux, and a stopped
postmaster ignores it. The caller holds the directory's lock, so whatever runs there is an orphan.
"""

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Final

import structlog

POLL_S: Final = 0.02
PROC: Final = Path("/proc")  # absent outside Linux
_PATIENCE: Final = ((signal.SIGINT, 5.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0))

_log = structlog.get_logger("headwater.orphaned_postgres")


async def stop(data: Path) -> None:
    """End the postmaster that runs on the data directory `data`, if there is one."""
    pid = _postmaster_pid(data)
    if pid is None or not _serves(pid, data):
        return
    _log.warning("stopping an orphaned PostgreSQL", pid=pid)
    loop = asyncio.get_running_loop()
    for signal_number, patience_s in _PATIENCE:
        try:
            os.kill(pid, signal_number)
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return
        deadline = loop.time() + patience_s
        while loop.time() < deadline:
            if not _serves(pid, data):
                return
            await asyncio.sleep(POLL_S)


def _postmaster_pid(data: Path) -> int | None:
    try:
        first_line = (data / "postmaster.pid").read_text().partition("\n")[0].strip()
    except OSError:
        return None
    return int(first_line) if first_line.isdigit() else None


def _serves(pid: int, data: Path) -> bool:
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
