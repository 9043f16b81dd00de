"""One cluster as the compute controller sees it: its replicas, and the requests they work on.

Each replica has a task that keeps it connected. A request is sent at once when a replica serves;
else it waits, at most REPLICA_TIMEOUT_S. When a replica dies, each of its requests is started anew
on whichever replica is there next, unless part of its answer was handed on already; a request that
was on `compute_requests.MAX_ATTEMPTS` replicas when they died is given up, because it may be what
kills them. A replica that says nothing for SILENCE_TIMEOUT_S is stuck in something that cannot be
interrupted: its process is ended and started anew.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

import msgspec
import structlog

from compute.protocol import (
    Command,
    CopyCredit,
    Frontiers,
    InstanceConfig,
    PeekRows,
    RequestError,
    Response,
    Staged,
    Status,
    encode_frame,
)
from controllers.compute_metrics import (
    COMMAND_QUEUE_SIZE,
    REPLICA_CONNECTED,
    REPLICA_CONNECTIONS,
)
from controllers.compute_requests import CopyInFlight, Request
from controllers.orchestrator import Orchestrator, ReplicaEvent
from controllers.replica_connection import ReplicaConnection
from core.errors import CANNOT_CONNECT_NOW, SqlError
from core.ids import Timestamp

REPLICA_TIMEOUT_S: Final = 30.0
SILENCE_TIMEOUT_S: Final = 10.0
FIRST_BACKOFF_S: Final = 0.01
MAX_BACKOFF_S: Final = 0.5

_log: Final = structlog.get_logger(__name__)


class Replica:
    """One replica as its cluster sees it. `connection` is None while it is not connected."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connection: ReplicaConnection | None = None
        self.serves = False
        self.is_stuck = False  # its process must be ended
        self.status: Status | None = None
        self.last_end: ReplicaEvent | None = None
        self.end_count = 0  # of its process, since it last served
        self.upper = Timestamp(0)
        self.task: asyncio.Task[None] | None = None


class Cluster:
    """A named pool of replicas and the requests sent to it."""

    def __init__(self, name: str, orchestrator: Orchestrator, config: InstanceConfig) -> None:
        self.name = name
        self.replicas: dict[str, Replica] = {}
        self.is_ready = asyncio.Event()
        self.config = config
        self._orchestrator = orchestrator
        self._requests: dict[int, Request] = {}
        self._waiting: dict[int, Request] = {}
        self._queue_size = COMMAND_QUEUE_SIZE.labels(name)

    def start(self, request: Request) -> None:
        """Send `request`, now or as soon as there is a replica."""
        self._requests[request.id] = request
        self._send(request)

    def forget(self, request: Request) -> None:
        self._requests.pop(request.id, None)
        if self._waiting.pop(request.id, None) is not None:
            self._queue_size.set(len(self._waiting))

    def send_to(self, replica: str, command: Command) -> None:
        found = self.replicas.get(replica)
        if found is not None and found.connection is not None:
            found.connection.send(command)

    def broadcast(self, frame: bytes) -> None:
        """Send to every connected replica, initialized or not."""
        for replica in self.replicas.values():
            if replica.connection is not None:
                replica.connection.send_frame(frame)

    def ensure(self, names: Iterable[str]) -> list[Replica]:
        """Have exactly these replicas; those that are no longer wanted are returned."""
        wanted = set(names)
        gone = [replica for name, replica in self.replicas.items() if name not in wanted]
        for replica in gone:
            del self.replicas[replica.name]
        for name in wanted:
            if name not in self.replicas:
                replica = Replica(name)
                self.replicas[name] = replica
                replica.task = asyncio.create_task(self._keep(replica), name=f"replica {name}")
        return gone

    async def drop(self, replicas: Iterable[Replica]) -> None:
        """Disconnect these replicas and stop their processes."""
        for replica in replicas:
            if replica.task is not None:
                replica.task.cancel()
                await asyncio.wait([replica.task])
            self._lost(replica)
            await self._orchestrator.drop(replica.name)
            for gauge in (REPLICA_CONNECTED, REPLICA_CONNECTIONS):
                with contextlib.suppress(KeyError):
                    gauge.remove(replica.name)

    def fail_all(self, error: SqlError) -> None:
        """End every request with `error`."""
        for request in tuple(self._requests.values()):
            request.cancel_with(error)

    def check_silence(self, now: float) -> None:
        """Give up replicas that have said nothing for too long."""
        for replica in self.replicas.values():
            connection = replica.connection
            if connection is not None and now - connection.last_heard > SILENCE_TIMEOUT_S:
                replica.is_stuck = True
                connection.abort("it has been silent for too long")

    def _send(self, request: Request) -> None:
        serving = [replica for replica in self.replicas.values() if replica.serves]
        if not serving:
            self._wait_for_replica(request)
            return
        if len(serving) > 1 and not request.goes_to_all:
            del serving[1:]
        request.attempts += 1
        command = request.command()
        try:
            frame = encode_frame(command)
        except SqlError as error:
            request.fail(error)
            return
        for replica in serving:
            assert replica.connection is not None
            request.replicas.append(replica.name)
            replica.connection.send_frame(frame)
        if isinstance(request, CopyInFlight):
            request.sent()

    def _wait_for_replica(self, request: Request) -> None:
        self._waiting[request.id] = request
        self._queue_size.set(len(self._waiting))
        if request.timer is None:
            request.timer = asyncio.get_running_loop().call_later(
                REPLICA_TIMEOUT_S, self._give_up, request
            )

    def _give_up(self, request: Request) -> None:
        request.fail(no_replica(self.name, self.replicas.values()))

    def note_event(self, event: ReplicaEvent) -> None:
        """Remember that the process of a replica ended."""
        replica = self.replicas.get(event.replica)
        if replica is not None and event.exit_status is not None:
            replica.last_end = event
            replica.end_count += 1

    async def _keep(self, replica: Replica) -> None:
        """Keep `replica` running and connected."""
        loop = asyncio.get_running_loop()
        backoff_s = FIRST_BACKOFF_S
        while True:
            address = await self._orchestrator.ensure(replica.name)
            try:
                connection = await self._connect(replica, address)
            except OSError:
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)
                continue
            started = loop.time()
            try:
                await self._serve(replica, connection)
            finally:
                connection.abort("the controller has ended")
                self._lost(replica)
            if replica.is_stuck:
                replica.is_stuck = False
                await self._orchestrator.drop(replica.name)
            if loop.time() - started > MAX_BACKOFF_S:
                backoff_s = FIRST_BACKOFF_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)

    async def _connect(self, replica: Replica, address: str) -> ReplicaConnection:
        loop = asyncio.get_running_loop()

        def make() -> ReplicaConnection:
            def receive(response: Response) -> None:
                self._receive(replica, response)

            return ReplicaConnection(replica.name, self.config, receive)

        if address.startswith("unix:"):
            _, connection = await loop.create_unix_connection(make, address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            _, connection = await loop.create_connection(make, host, int(port))
        return connection

    async def _serve(self, replica: Replica, connection: ReplicaConnection) -> None:
        replica.connection = connection
        started: list[asyncio.Future[int] | asyncio.Future[str]] = [
            connection.initialized,
            connection.lost,
        ]
        await asyncio.wait(
            started,
            return_when=asyncio.FIRST_COMPLETED,
            timeout=REPLICA_TIMEOUT_S,
        )
        if connection.initialized.done() and not connection.initialized.cancelled():
            replica.serves = True
            replica.end_count = 0
            REPLICA_CONNECTED.labels(replica.name).set(1)
            REPLICA_CONNECTIONS.labels(replica.name).inc()
            self.is_ready.set()
            waiting, self._waiting = self._waiting, {}
            self._queue_size.set(0)
            for request in waiting.values():
                self._send(request)
            reason = await connection.lost
        elif connection.lost.done():
            reason = connection.lost.result()
        else:
            reason = "it did not initialize in time"
            replica.is_stuck = True
        _log.warning("replica_disconnected", replica=replica.name, reason=reason)

    def _lost(self, replica: Replica) -> None:
        """Start the requests of a replica that is gone anew, or fail them."""
        replica.connection = None
        replica.serves = False
        replica.status = None
        REPLICA_CONNECTED.labels(replica.name).set(0)
        if not any(other.serves for other in self.replicas.values()):
            self.is_ready.clear()
        for request in tuple(self._requests.values()):
            if replica.name in request.replicas and request.lose(replica.name):
                self._send(request)

    def _receive(self, replica: Replica, response: Response) -> None:
        match response:
            case PeekRows(id=id) | RequestError(id=id) | Staged(id=id) | CopyCredit(id=id):
                request = self._requests.get(id)
                if request is not None:
                    request.receive(replica.name, response)
            case Status(metrics=metrics):
                if not metrics and replica.status is not None:
                    response = msgspec.structs.replace(response, metrics=replica.status.metrics)
                replica.status = response
            case Frontiers(upper=upper):
                replica.upper = upper
            case _:
                pass


def no_replica(cluster: str, replicas: Iterable[Replica]) -> SqlError:
    """What a request answers that no replica took in time."""
    ends = [
        f"Replica {replica.name} keeps stopping: {replica.end_count} times since it last served, "
        f"at last with exit status {replica.last_end.exit_status}."
        for replica in replicas
        if replica.end_count and replica.last_end is not None
    ]
    return SqlError(
        CANNOT_CONNECT_NOW,
        f'no replica of cluster "{cluster}" is available',
        detail=" ".join(ends) or None,
        hint="The server's log tells why a replica stopped."
        if ends
        else "Retry the statement in a moment.",
    )
