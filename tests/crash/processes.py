"""The processes of a running server, found through /proc, so that tests can kill them."""

import os
from collections.abc import Iterator
from pathlib import Path


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """(pid, command line) of every process below `pid`."""
    children: dict[int, list[int]] = {}
    commands: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended while we looked
        parent = int(status.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(entry.name))
        commands[int(entry.name)] = command
    waiting = list(children.get(pid, ()))
    while waiting:
        found = waiting.pop()
        yield found, commands[found]
        waiting += children.get(found, ())


def clusterd_pids(server_pid: int) -> list[int]:
    """The replicas of a server."""
    return [pid for pid, command in descendants(server_pid) if "compute.clusterd" in command]


def postmaster_pid(data_dir: Path) -> int | None:
    """The embedded PostgreSQL's postmaster; None while it is away."""
    for path in data_dir.rglob("postmaster.pid"):
        pid = int(path.read_text().splitlines()[0])
        if Path(f"/proc/{pid}").exists():
            return pid
    return None


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        os.kill(pid, 0)
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
