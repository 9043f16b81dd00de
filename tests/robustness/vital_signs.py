"""What a server must still be after an attack: alive, answering and of its size."""

from pathlib import Path

from tests.crash.processes import clusterd_pids
from tests.robustness.raw_client import RawClient, query
from tests.running_server import HeadwaterServer


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no VmRSS")


def assert_answering(server: HeadwaterServer) -> None:
    """A new connection gets a right answer from the server and from a replica."""
    with RawClient(server.sql_port) as client:
        client.log_in()
        client.send(query("SELECT count(*) FROM mz_databases WHERE name = 'materialize'"))
        assert [m.columns for m in client.until_ready() if m.tag == "D"] == [[b"1"]]


def process_ids(server: HeadwaterServer) -> frozenset[int]:
    """The server and its replicas: the same before and after when nothing crashed."""
    return frozenset({server.pid, *clusterd_pids(server.pid)})
