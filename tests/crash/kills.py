"""Ways to end the processes of a server."""

import contextlib
from typing import Final

import psutil

from tests.processes import descendants, postmaster, replicas
from tests.running_server import HeadwaterServer

VICTIMS: Final = ("environmentd", "clusterd", "postmaster", "everything")


def kill(server: HeadwaterServer, victim: str) -> None:
    """End one kind of process; environmentd alone has to be started again."""
    match victim:
        case "clusterd":
            for replica in replicas(server.pid):
                end(replica)
        case "postmaster":
            postmaster(server.pid).kill()
        case "environmentd":
            server.kill()
            server.start()
        case "everything":
            for process in descendants(server.pid):
                end(process)
            server.kill()
            server.start()


def end(process: psutil.Process) -> None:
    """Kill a process that may have ended by itself since it was found."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
