"""Where replicas run: the interface, and subprocesses of this one.

An orchestrator keeps a `clusterd` running for every replica it was told of. It knows nothing of
what a replica does: the compute controller connects to the address and speaks the protocol. An
address may change when a replica is started again.

Process orchestrator: one subprocess a replica, listening on a unix socket in a directory of mode
0700 under the data directory. A replica must never outlive environmentd, even after `kill -9`: on
Linux the kernel kills it with its parent (PR_SET_PDEATHSIG, set by the child itself), and anywhere
it ends when its standard input, a pipe that only environmentd holds, is closed.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

_log: Final = structlog.get_logger(__name__)

FIRST_BACKOFF_S: Final = 0.05
MAX_BACKOFF_S: Final = 5.0
STEADY_AFTER_S: Final = 10.0
STOP_TIMEOUT_S: Final = 3.0
MAX_SOCKET_PATH_BYTES: Final = 90  # sun_path has 104 to 108, the rest is for the name


@dataclass(frozen=True, slots=True)
class ReplicaEvent:
    """A replica's process started (`pid`, `address`) or ended (`exit_status`)."""

    replica: str
    address: str
    pid: int
    exit_status: int | None = None


Listener = Callable[[ReplicaEvent], None]


class Orchestrator(Protocol):
    """Keeps replicas running. Calls come from the event loop's thread."""

    async def ensure(self, replica: str) -> str:
        """Run `replica` (from now on, whatever happens) and tell its address."""

    async def drop(self, replica: str) -> None:
        """Stop `replica` for good. No error if there is none."""

    def add_listener(self, listener: Listener) -> None:
        """Tell `listener` of every start and end from now on."""

    def pids(self) -> dict[str, int]:
        """The process id of each replica that runs now."""

    async def close(self) -> None:
        """Stop all replicas."""


class ProcessOrchestrator:
    """Replicas as subprocesses of this one."""

    def __init__(self, data_dir: Path, *, extra_arguments: tuple[str, ...] = ()) -> None:
        self._directory = _socket_directory(data_dir)
        self._extra_arguments = extra_arguments
        self._replicas: dict[str, _ReplicaProcess] = {}
        self._listeners: list[Listener] = []
        self._closed = False

    async def ensure(self, replica: str) -> str:
        if self._closed:
            raise RuntimeError("the orchestrator is closed")
        process = self._replicas.get(replica)
        if process is None:
            path = self._directory / f"{replica}.sock"
            if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES + 12:
                raise ValueError(f"the socket path {path} is too long")
            process = _ReplicaProcess(replica, path, self._extra_arguments, self._announce)
            self._replicas[replica] = process
            process.start()
        return process.address

    async def drop(self, replica: str) -> None:
        process = self._replicas.pop(replica, None)
        if process is not None:
            await process.stop()

    def add_listener(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def pids(self) -> dict[str, int]:
        return {name: p.pid for name, p in self._replicas.items() if p.pid is not None}

    async def close(self) -> None:
        self._closed = True
        processes = list(self._replicas.values())
        self._replicas.clear()
        await asyncio.gather(*(process.stop() for process in processes))

    def _announce(self, event: ReplicaEvent) -> None:
        for listener in self._listeners:
            listener(event)


class _ReplicaProcess:
    """One replica: a supervising task that starts its process again whenever it ends."""

    def __init__(
        self, replica: str, path: Path, extra_arguments: tuple[str, ...], announce: Listener
    ) -> None:
        self.replica = replica
        self.address = f"unix:{path}"
        self.pid: int | None = None
        self._path = path
        self._extra_arguments = extra_arguments
        self._announce = announce
        self._task: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._supervise(), name=f"replica {self.replica}")

    async def stop(self) -> None:
        task = self._task
        if task is None:
            return
        self._task = None
        task.cancel()
        await asyncio.wait([task])

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        backoff_s = FIRST_BACKOFF_S
        try:
            while True:
                started = loop.time()
                self._path.unlink(missing_ok=True)
                process = self._spawn()
                status = await self._wait(process)
                self.pid = None
                self._process = None
                _close_pipe(process)
                _log.warning("replica_ended", replica=self.replica, pid=process.pid, status=status)
                self._announce(ReplicaEvent(self.replica, self.address, process.pid, status))
                if loop.time() - started > STEADY_AFTER_S:
                    backoff_s = FIRST_BACKOFF_S
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)
        finally:
            await self._terminate()

    def _spawn(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "compute.clusterd",
                "--listen",
                self.address,
                "--replica",
                self.replica,
                "--parent-pid",
                str(os.getpid()),
                *self._extra_arguments,
            ],
            stdin=subprocess.PIPE,
            cwd=Path(__file__).resolve().parent.parent,
            start_new_session=True,
        )
        self._process = process
        self.pid = process.pid
        self._announce(ReplicaEvent(self.replica, self.address, process.pid))
        return process

    async def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end of `process`: by its pidfd, or in a thread where there is none."""
        loop = asyncio.get_running_loop()
        if not hasattr(os, "pidfd_open"):
            return await loop.run_in_executor(None, process.wait)
        ended: asyncio.Future[None] = loop.create_future()
        descriptor = os.pidfd_open(process.pid)
        try:
            loop.add_reader(descriptor, _resolve, ended)
            try:
                await ended
            finally:
                loop.remove_reader(descriptor)
        finally:
            os.close(descriptor)
        return process.wait()

    async def _terminate(self) -> None:
        process, self._process, self.pid = self._process, None, None
        if process is None:
            return
        _close_pipe(process)
        process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._wait(process)
        except TimeoutError:
            process.kill()
            await self._wait(process)
        self._path.unlink(missing_ok=True)


def _close_pipe(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _socket_directory(data_dir: Path) -> Path:
    """A directory of mode 0700 for sockets: in the data directory, or, where that path is too long
    for a socket address, a temporary one that lasts as long as this process's name for it."""
    directory = data_dir.resolve() / "replicas"
    if len(os.fsencode(directory)) > MAX_SOCKET_PATH_BYTES - 20:
        return Path(tempfile.mkdtemp(prefix="headwater-"))
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    return directory
