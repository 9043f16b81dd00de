"""What a server must still be after an attack: alive, answering and of its size."""

import psutil

from tests.processes import replicas
from tests.robustness.raw_client import RawClient, query
from tests.running_server import HeadwaterServer


def assert_answering(server: HeadwaterServer) -> None:
    """A new connection gets a right answer from the server and from a replica."""
    with RawClient(server.sql_port) as client:
        client.log_in()
        client.send(query("SELECT count(*) FROM mz_databases WHERE name = 'materialize'"))
        assert [m.columns for m in client.until_ready() if m.tag == "D"] == [[b"1"]]


def resident_bytes(server: HeadwaterServer) -> dict[int, int]:
    """The resident memory of the server and of its replicas, by process id: the same ids before
    and after when nothing crashed."""
    processes = [psutil.Process(server.pid), *replicas(server.pid)]
    return {process.pid: process.memory_info().rss for process in processes}
