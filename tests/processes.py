"""The processes of a running server, and waiting for processes that are not our children."""

import contextlib
import os
import select
from collections.abc import Callable
from typing import Final

import psutil

DEADLINE_S: Final = 30.0


def wait_until_gone(pid: int) -> None:
    """Return when the process has ended. Fails after a generous deadline."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        readable, _, _ = select.select([descriptor], [], [], DEADLINE_S)
        assert readable, f"process {pid} still runs"
    finally:
        os.close(descriptor)


def descendants(server_pid: int) -> list[psutil.Process]:
    """Every process that a server started, and theirs."""
    found: list[psutil.Process] = psutil.Process(server_pid).children(recursive=True)
    return found


def replicas(server_pid: int) -> list[psutil.Process]:
    """The running `clusterd` of a server."""
    return _children(server_pid, lambda process: "compute.clusterd" in process.cmdline())


def postmaster(server_pid: int) -> psutil.Process:
    """The embedded PostgreSQL of a server, which must be running."""
    return _children(server_pid, lambda process: process.name() == "postgres")[0]


def _children(server_pid: int, is_wanted: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(server_pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended while we looked
            if is_wanted(process):
                found.append(process)
    return found
