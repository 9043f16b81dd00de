"""One cluster as the compute controller sees it: its replicas, and the requests they work on.

Each replica has a task that keeps it connected. A request is sent at once when a replica serves;
else it waits, at most REPLICA_TIMEOUT_S. When a replica dies, each of its requests is started anew
on whichever replica is there next, unless part of its answer was handed on already; a request that
was on `compute_requests.MAX_ATTEMPTS` replicas when they died is given up, because it may be what
kills them. A replica that says nothing for SILENCE_TIMEOUT_S is stuck in something that cannot be
interrupted: its process is ended and started anew.

A request that reads indexes goes to replicas that maintain them (`controllers.dataflows`); it waits
while there is none, as it does for a replica. One replica of a cluster at a time is allowed to
write the shards of materialized views; when it is lost, another is.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Set
from typing import Final

import msgspec
import structlog

from compute.dataflow_messages import (
    AdvanceShards,
    AllowWrites,
    CollectionKind,
    DataflowDescription,
    DataflowFrontiers,
    DataflowSizes,
    SubscribeBatch,
)
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
from controllers.dataflows import ClusterDataflows
from controllers.orchestrator import Orchestrator, ReplicaEvent
from controllers.read_holds import ReadHold
from controllers.refusals import no_replica, not_maintained
from controllers.replica import ClusterSpec, Replica, process_name
from controllers.replica_connection import ReplicaConnection
from controllers.shard_news import ShardNews
from controllers.storage_collections import StorageCollections
from controllers.subscriptions import ClusterSubscriptions
from core.clock import system_clock
from core.errors import SqlError
from core.ids import GlobalId, ShardId, Timestamp

REPLICA_TIMEOUT_S: Final = 30.0
SILENCE_TIMEOUT_S: Final = 10.0
FIRST_BACKOFF_S: Final = 0.01
MAX_BACKOFF_S: Final = 0.5

_log: Final = structlog.get_logger(__name__)


Relay = Callable[[Replica, ShardId, Timestamp, bool], None]


class Cluster:
    """A pool of replicas, what they maintain, and the requests sent to it. `relay` is told which
    replica moved the upper of a shard."""

    def __init__(
        self,
        spec: ClusterSpec,
        orchestrator: Orchestrator,
        config: InstanceConfig,
        collections: StorageCollections,
        relay: Relay,
        leaving: dict[str, asyncio.Task[None]],
    ) -> None:
        self.id = spec.id
        self.name = spec.name
        self.replicas: dict[str, Replica] = {}  # by the name of the process
        self.dataflows = ClusterDataflows(collections, self.send_to, self._advanced)
        self.subscriptions = ClusterSubscriptions(self.send_to)
        self.is_ready = asyncio.Event()
        self.is_to_serve = bool(spec.replicas)  # it has replicas, or is about to
        self.config = config
        self._orchestrator = orchestrator
        self._requests: dict[int, Request] = {}
        self._waiting: dict[int, Request] = {}
        self._queue_size = COMMAND_QUEUE_SIZE.labels(spec.id)
        self._relay = relay
        self._leaving = leaving
        self._writer: Replica | None = None
        self.news = ShardNews(self.replicas, self.send_to)

    def start(self, request: Request) -> None:
        """Send `request`, now or as soon as there is a replica."""
        self._requests[request.id] = request
        self._send(request)

    def forget(self, request: Request) -> None:
        self._requests.pop(request.id, None)
        if self._waiting.pop(request.id, None) is not None:
            self._queue_size.set(len(self._waiting))

    def put_off(self, request: Request) -> None:
        self._wait_for_replica(request)

    def send_to(self, replica: str, command: Command) -> None:
        found = self.replicas.get(replica)
        if found is not None and found.connection is not None:
            found.connection.send(command)

    def broadcast(self, frame: bytes) -> None:
        """Send to every connected replica, initialized or not."""
        for replica in self.replicas.values():
            if replica.connection is not None:
                replica.connection.send_frame(frame)

    def expect(self, spec: ClusterSpec) -> None:
        """Let requests wait for these replicas, which are about to be ensured."""
        self.name = spec.name
        self.is_to_serve = bool(spec.replicas)

    def ensure(self, spec: ClusterSpec) -> list[Replica]:
        """Have exactly these replicas; those that are no longer wanted are returned."""
        wanted = {process_name(spec.id, replica.id): replica for replica in spec.replicas}
        gone = [replica for process, replica in self.replicas.items() if process not in wanted]
        for replica in gone:
            del self.replicas[replica.process]
        self.dataflows.set_has_replicas(bool(wanted))
        for process, replica_spec in wanted.items():
            found = self.replicas.get(process)
            if found is not None:
                found.spec = replica_spec
            else:
                self._run(Replica(process, replica_spec))
        return gone

    def _run(self, replica: Replica) -> None:
        self.replicas[replica.process] = replica
        name = f"replica {replica.process}"
        replica.task = asyncio.create_task(self._keep(replica), name=name)

    def drop(self, replicas: Iterable[Replica]) -> None:
        """Disconnect these replicas and stop their processes, which takes them a while: `leaving`
        has their tasks."""
        for replica in replicas:
            task = asyncio.create_task(self._end(replica), name=f"end {replica.process}")
            self._leaving[replica.process] = task

    async def _end(self, replica: Replica) -> None:
        if replica.task is not None:
            replica.task.cancel()
            await asyncio.wait([replica.task])
        self._lost(replica)
        try:
            await self._orchestrator.drop(replica.process)
        finally:
            del self._leaving[replica.process]
        for gauge in (REPLICA_CONNECTED, REPLICA_CONNECTIONS):
            with contextlib.suppress(KeyError):
                gauge.remove(replica.process)

    def create_dataflow(
        self, description: DataflowDescription, hold: ReadHold | None, durable_upper: Timestamp
    ) -> None:
        """Maintain what is described; see `ClusterDataflows.create`."""
        for source in description.sources:
            if source.kind is CollectionKind.SHARD:
                self.news.follow(source.shard)
        self.dataflows.create(description, hold, durable_upper)
        self._send_waiting()

    def drop_dataflow(self, id: GlobalId, at: Timestamp) -> None:
        """`id` was dropped at `at`; see `ClusterDataflows.drop`."""
        self.dataflows.drop(id, at)
        self._send_waiting()

    def allow_compaction(self, since: Timestamp, frame: bytes) -> None:
        """No read is at a time before `since`; `frame` tells the replicas."""
        self.dataflows.end_dropped(since)
        self.broadcast(frame)

    def advance_shards(self, shards: Set[ShardId], past: Timestamp) -> bool:
        """Have those of `shards` that this cluster writes moved past a time soon; whether there are
        any that are not."""
        behind = self.dataflows.behind(shards, past)
        if behind and self._writer is not None:
            self.send_to(self._writer.process, AdvanceShards(behind, past))
        return bool(behind)

    def refuse_dataflow(self, id: GlobalId, error: SqlError) -> None:
        """`id` cannot be maintained; what waits for it fails."""
        self.dataflows.refuse(id, error)
        self._send_waiting()

    def _advanced(
        self, process: str, shard: ShardId, upper: Timestamp, is_fragmented: bool
    ) -> None:
        replica = self.replicas.get(process)
        if replica is not None:
            self._relay(replica, shard, upper, is_fragmented)

    def fail_all(self, error: SqlError) -> None:
        """End every request and subscription with `error`."""
        self.subscriptions.fail_all(error)
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
        if request.needed:
            refusal = self.dataflows.refusal(request.needed)
            if refusal is not None:
                request.fail(refusal)
                return
            processes = (replica.process for replica in serving)
            able = self.dataflows.able(processes, request.needed, request.as_of)
            serving = [self.replicas[process] for process in able]
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
            request.replicas.append(replica.process)
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

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._queue_size.set(0)
        for request in waiting.values():
            self._send(request)

    def _give_up(self, request: Request) -> None:
        if any(replica.serves for replica in self.replicas.values()):
            failure = self.dataflows.failure(request.needed)
            request.fail(not_maintained(request.needed, failure))
        else:
            request.fail(no_replica(self.name, self.replicas.values()))

    def note_event(self, event: ReplicaEvent) -> None:
        """Remember that the process of a replica ended."""
        replica = self.replicas.get(event.replica)
        if replica is not None and event.exit_status is not None:
            replica.last_end = event
            replica.end_count += 1

    async def _keep(self, replica: Replica) -> None:
        """Keep `replica` running and connected."""
        if replica.process in self._leaving:  # an earlier one of that name
            await asyncio.wait([self._leaving[replica.process]])
        loop = asyncio.get_running_loop()
        backoff_s = FIRST_BACKOFF_S
        while True:
            address = await self._orchestrator.ensure(replica.process)
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
                await self._orchestrator.drop(replica.process)
            if loop.time() - started > MAX_BACKOFF_S:
                backoff_s = FIRST_BACKOFF_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)

    async def _connect(self, replica: Replica, address: str) -> ReplicaConnection:
        loop = asyncio.get_running_loop()

        def make() -> ReplicaConnection:
            def receive(response: Response) -> None:
                self._receive(replica, response)

            return ReplicaConnection(replica.process, self.config, receive)

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
            self._connected(replica, connection)
            reason = await connection.lost
        elif connection.lost.done():
            reason = connection.lost.result()
        else:
            reason = "it did not initialize in time"
            replica.is_stuck = True
        _log.warning("replica_disconnected", replica=replica.process, reason=reason)

    def _connected(self, replica: Replica, connection: ReplicaConnection) -> None:
        """A replica serves: tell it what to maintain, then what waits for it."""
        replica.serves = True
        replica.changed_at = Timestamp(system_clock())
        replica.end_count = 0
        REPLICA_CONNECTED.labels(replica.process).set(1)
        REPLICA_CONNECTIONS.labels(replica.process).inc()
        self.is_ready.set()
        self.dataflows.connect(replica.process)
        if self._writer is None:
            self._writer = replica
        connection.send(AllowWrites(self._writer is replica))
        self.subscriptions.connect(replica.process)
        self._send_waiting()

    def _hand_over(self) -> None:
        """Let another replica write the shards."""
        self._writer = next((found for found in self.replicas.values() if found.serves), None)
        if self._writer is not None and self._writer.connection is not None:
            self._writer.connection.send(AllowWrites(True))

    def _lost(self, replica: Replica) -> None:
        """Start the requests of a replica that is gone anew, or fail them."""
        if replica.serves:
            replica.changed_at = Timestamp(system_clock())
        replica.connection = None
        replica.serves = False
        replica.status = None
        replica.sizes = ()
        REPLICA_CONNECTED.labels(replica.process).set(0)
        self.dataflows.disconnect(replica.process)
        self.subscriptions.disconnect(replica.process)
        if self._writer is replica:
            self._hand_over()
        if not any(other.serves for other in self.replicas.values()):
            self.is_ready.clear()
        for request in tuple(self._requests.values()):
            if replica.process in request.replicas and request.lose(replica.process):
                self._send(request)

    def _receive(self, replica: Replica, response: Response) -> None:
        match response:
            case PeekRows(id=id) | RequestError(id=id) | Staged(id=id) | CopyCredit(id=id):
                request = self._requests.get(id)
                if request is not None:
                    request.receive(replica.process, response)
            case Status(metrics=metrics):
                if not metrics and replica.status is not None:
                    response = msgspec.structs.replace(response, metrics=replica.status.metrics)
                replica.status = response
            case Frontiers(upper=upper):
                replica.upper = upper
            case DataflowFrontiers(frontiers=frontiers):
                if self.dataflows.receive(replica.process, frontiers) and self._waiting:
                    self._send_waiting()
                self.subscriptions.receive_frontiers(frontiers)
            case SubscribeBatch():
                self.subscriptions.receive(response)
            case DataflowSizes(operators=operators):
                replica.sizes = operators
            case _:
                pass
