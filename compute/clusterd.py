"""The replica process: `python -m compute.clusterd --listen unix:PATH --replica NAME`.

It serves one environmentd on one socket and ends with it: on Linux the kernel kills it when its
parent dies, and it ends anyway when its standard input is closed. What to read comes over the
socket, so no secret stands on a command line.
"""

import argparse
import asyncio
import ctypes
import gc
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Final

import structlog
import uvloop

import expr.library  # noqa: F401  (fills the function registry)
from compute.server import ReplicaServer

PR_SET_PDEATHSIG: Final = 1
GC_INTERVAL_S: Final = 1.0
MAX_YOUNG_OBJECTS: Final = 100_000
MAX_POSTPONED: Final = 60
ORPHANED: Final = 3


def main() -> None:
    """Run until told to stop."""
    parser = argparse.ArgumentParser(prog="clusterd")
    parser.add_argument("--listen", required=True, help="unix:PATH or HOST:PORT")
    parser.add_argument("--replica", required=True)
    parser.add_argument("--parent-pid", type=int, help="end when this process does")
    arguments = parser.parse_args()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(replica=arguments.replica)
    if arguments.parent_pid is not None:
        die_with_parent(arguments.parent_pid)
    bound_memory()
    uvloop.run(serve(arguments.listen, arguments.replica, arguments.parent_pid is not None))


async def serve(listen: str, replica: str, watches_stdin: bool) -> None:
    """Listen at `listen` until SIGTERM, SIGINT or the end of standard input."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if watches_stdin:
        os.set_blocking(sys.stdin.fileno(), False)
        loop.add_reader(sys.stdin.fileno(), _at_end_of_input, stopped)
    server = ReplicaServer(replica)
    listener: asyncio.AbstractServer
    if listen.startswith("unix:"):
        path = Path(listen.removeprefix("unix:"))
        path.unlink(missing_ok=True)
        listener = await loop.create_unix_server(server.connection, str(path))
    else:
        host, _, port = listen.rpartition(":")
        listener = await loop.create_server(server.connection, host, int(port))
    # What was loaded so far lives as long as the process: collections need not look at it again.
    gc.collect()
    gc.freeze()
    gc.disable()
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(server.report(), name="report"),
            tasks.create_task(collect_garbage(), name="collect garbage"),
        ]
        await stopped.wait()
        for task in background:
            task.cancel()
    listener.close()
    await server.close()


async def collect_garbage() -> None:
    """Collect cycles between queries: within one that keeps millions of objects, which are no
    garbage, looking through them all would hold up everybody: that waits, and after a while they
    are passed over for good (their last reference still frees them). Little here makes cycles."""
    postponed = 0
    while True:
        await asyncio.sleep(GC_INTERVAL_S)
        if gc.get_count()[0] <= MAX_YOUNG_OBJECTS:
            gc.collect(0)
            postponed = 0
        elif postponed < MAX_POSTPONED:
            postponed += 1
        else:
            gc.freeze()
            postponed = 0


def bound_memory() -> None:
    """Keep to half of the machine's memory: a query's budget counts what its operators keep, not
    what one value takes while it is made. Past the bound the statement fails, with 53200, before
    the kernel ends a process of its own choice."""
    machine_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_DATA, (machine_bytes // 2, machine_bytes // 2))


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies; end now if it already has."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit(ORPHANED)


def _at_end_of_input(stopped: asyncio.Event) -> None:
    try:
        data = os.read(sys.stdin.fileno(), 4096)
    except BlockingIOError:
        return
    if not data:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stopped.set()


if __name__ == "__main__":
    main()
