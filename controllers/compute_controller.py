"""The compute controller: clusters, their replicas, and the requests they work on.

`ComputeClusters` implements `ComputeClient`. Each cluster has one task that keeps its replicas
connected. A request is sent at once when a replica serves; else it waits, at most
REPLICA_TIMEOUT_S. When a replica dies, each of its requests is started anew on whichever replica is
there next, unless part of its answer was handed on already; a request that was on MAX_ATTEMPTS
replicas when they died is given up, because it may be what kills them.

Rows go from the replica's socket straight to the waiting session.
"""

import asyncio
import contextlib
import itertools
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec
import structlog
from prometheus_client import REGISTRY

from compute.protocol import (
    Command,
    CopyCredit,
    CopyWork,
    Frontiers,
    InstanceConfig,
    PeekRows,
    PeekWork,
    Push,
    RequestError,
    Response,
    Staged,
    StageWork,
    Status,
    UpdateConfiguration,
    encode_frame,
    encode_work,
)
from controllers.compute_client import (
    CopyFromRequest,
    CopyStaging,
    PeekRequest,
    PeekStream,
    StageRequest,
)
from controllers.compute_metrics import (
    COMMAND_QUEUE_SIZE,
    REPLICA_CONNECTED,
    REPLICA_CONNECTIONS,
    ReplicaCollector,
)
from controllers.compute_requests import (
    CopyInFlight,
    PeekRequestInFlight,
    Request,
    StageInFlight,
    replica_lost,
)
from controllers.orchestrator import Orchestrator
from controllers.replica_connection import ReplicaConnection
from core.errors import CANNOT_CONNECT_NOW, UNDEFINED_OBJECT, SqlError
from core.ids import Timestamp
from persist.txns_state import TxnsPush

REPLICA_TIMEOUT_S: Final = 30.0
SILENCE_TIMEOUT_S: Final = 30.0
SILENCE_CHECK_S: Final = 5.0
FIRST_BACKOFF_S: Final = 0.01
MAX_BACKOFF_S: Final = 0.5
MAX_ENCODED_WORKS: Final = 1024
MAX_REMEMBERED_WORK_BYTES: Final = 16 * 1024

_log: Final = structlog.get_logger(__name__)


class _Replica:
    """One replica as its cluster sees it. `connection` is None while it is not connected."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connection: ReplicaConnection | None = None
        self.serves = False
        self.status: Status | None = None
        self.upper = Timestamp(0)
        self.task: asyncio.Task[None] | None = None


class _Cluster:
    """A named pool of replicas and the requests sent to it."""

    def __init__(self, name: str, orchestrator: Orchestrator, config: InstanceConfig) -> None:
        self.name = name
        self.replicas: dict[str, _Replica] = {}
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

    def ensure(self, names: Iterable[str]) -> list[_Replica]:
        """Have exactly these replicas; those that are no longer wanted are returned."""
        wanted = set(names)
        gone = [replica for name, replica in self.replicas.items() if name not in wanted]
        for replica in gone:
            del self.replicas[replica.name]
        for name in wanted:
            if name not in self.replicas:
                replica = _Replica(name)
                self.replicas[name] = replica
                replica.task = asyncio.create_task(self._keep(replica), name=f"replica {name}")
        return gone

    async def drop(self, replicas: Iterable[_Replica]) -> None:
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
        """Cut off replicas that have said nothing for too long."""
        for replica in self.replicas.values():
            connection = replica.connection
            if connection is not None and now - connection.last_heard > SILENCE_TIMEOUT_S:
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
                REPLICA_TIMEOUT_S, request.fail, no_replica(self.name)
            )

    async def _keep(self, replica: _Replica) -> None:
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
            if loop.time() - started > MAX_BACKOFF_S:
                backoff_s = FIRST_BACKOFF_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)

    async def _connect(self, replica: _Replica, address: str) -> ReplicaConnection:
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

    async def _serve(self, replica: _Replica, connection: ReplicaConnection) -> None:
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
        _log.warning("replica_disconnected", replica=replica.name, reason=reason)

    def _lost(self, replica: _Replica) -> None:
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

    def _receive(self, replica: _Replica, response: Response) -> None:
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


class ComputeClusters:
    """All clusters. Implements `ComputeClient`."""

    def __init__(self, orchestrator: Orchestrator, config: InstanceConfig) -> None:
        self._orchestrator = orchestrator
        self._config = config
        self._clusters: dict[str, _Cluster] = {}
        self._ids = itertools.count(1)
        self._encoded: OrderedDict[int, tuple[PeekRequest, bytes]] = OrderedDict()
        self._collector = ReplicaCollector(self._statuses)
        self._watch: asyncio.Task[None] | None = None
        self._is_closed = False
        REGISTRY.register(self._collector)

    async def ensure_cluster(self, cluster: str, replicas: tuple[str, ...]) -> None:
        """Run `cluster` with exactly these replicas; returns before they serve."""
        if self._is_closed:
            raise RuntimeError("the compute controller is closed")
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_silence(), name="replica watch")
        found = self._clusters.get(cluster)
        if found is None:
            found = self._clusters[cluster] = _Cluster(cluster, self._orchestrator, self._config)
        await found.drop(found.ensure(f"{cluster}-{replica}" for replica in replicas))

    async def drop_cluster(self, cluster: str) -> None:
        """Stop the cluster's replicas; its requests fail with 57P01."""
        found = self._clusters.pop(cluster, None)
        if found is not None:
            found.fail_all(replica_lost())
            await found.drop(found.ensure(()))

    async def wait_ready(self, timeout_s: float) -> None:
        """Until every cluster has a replica that serves. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            for cluster in tuple(self._clusters.values()):
                if cluster.replicas:
                    await cluster.is_ready.wait()

    def replica_pids(self) -> dict[str, int]:
        """Process id of every running replica by "cluster-replica"."""
        return self._orchestrator.pids()

    def update_configuration(self, query_memory_bytes: int, collection_cache_bytes: int) -> None:
        """New limits for every replica, now and when it starts again."""
        self._config = msgspec.structs.replace(
            self._config,
            query_memory_bytes=query_memory_bytes,
            collection_cache_bytes=collection_cache_bytes,
        )
        frame = encode_frame(UpdateConfiguration(query_memory_bytes, collection_cache_bytes))
        for cluster in self._clusters.values():
            cluster.config = self._config
            cluster.broadcast(frame)

    async def close(self) -> None:
        """Fail what is in flight with 57P01 and stop every replica."""
        if self._is_closed:
            return
        self._is_closed = True
        REGISTRY.unregister(self._collector)
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await asyncio.gather(*(self.drop_cluster(name) for name in tuple(self._clusters)))
        await self._orchestrator.close()

    async def peek(self, request: PeekRequest) -> PeekStream:
        cluster = self._cluster(request.cluster)
        peek = PeekRequestInFlight(next(self._ids), cluster, self._work(request), request.as_of)
        cluster.start(peek)
        return peek

    async def stage(self, request: StageRequest) -> Staged:
        cluster = self._cluster(request.cluster)
        work = StageWork(
            request.relation,
            request.finishing,
            tuple(request.sources.items()),
            request.mode,
            request.table,
            request.returning,
            request.returning_output,
            request.context,
        )
        stage = StageInFlight(next(self._ids), cluster, encode_work(work), request.as_of)
        cluster.start(stage)
        return await stage.result()

    async def copy_from(self, request: CopyFromRequest) -> CopyStaging:
        cluster = self._cluster(request.cluster)
        work = CopyWork(
            request.table,
            request.columns,
            request.fill,
            request.format,
            request.options,
            request.context,
        )
        copy = CopyInFlight(next(self._ids), cluster, encode_work(work))
        cluster.start(copy)
        return copy

    def push(self, push: TxnsPush) -> None:
        frame = encode_frame(Push(push.seqno, push.data))
        for cluster in self._clusters.values():
            cluster.broadcast(frame)

    def _cluster(self, name: str) -> _Cluster:
        cluster = self._clusters.get(name)
        if cluster is None:
            raise SqlError(UNDEFINED_OBJECT, f'unknown cluster "{name}"')
        if not cluster.replicas:
            raise SqlError(
                CANNOT_CONNECT_NOW,
                f'cluster "{name}" has no replicas available to service request',
                hint="Use CREATE CLUSTER REPLICA to add one.",
            )
        return cluster

    def _work(self, request: PeekRequest) -> bytes:
        """The request's encoded work. A session's cached plan comes again and again as the same
        object, so the last encodings are kept by the relation's identity."""
        key = id(request.relation)
        known = self._encoded.get(key)
        if known is not None:
            earlier, work = known
            if (
                earlier.relation is request.relation
                and earlier.output == request.output
                and earlier.finishing == request.finishing
                and earlier.sources == request.sources
            ):
                return work
        work = encode_work(
            PeekWork(
                request.relation,
                request.finishing,
                tuple(request.sources.items()),
                request.output,
            )
        )
        if len(work) <= MAX_REMEMBERED_WORK_BYTES:
            self._encoded[key] = (request, work)
            self._encoded.move_to_end(key)
            if len(self._encoded) > MAX_ENCODED_WORKS:
                self._encoded.popitem(last=False)
        return work

    async def _watch_silence(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SILENCE_CHECK_S)
            for cluster in self._clusters.values():
                cluster.check_silence(loop.time())

    def _statuses(self) -> dict[str, Status]:
        return {
            replica.name: replica.status
            for cluster in self._clusters.values()
            for replica in cluster.replicas.values()
            if replica.status is not None
        }


def no_replica(cluster: str) -> SqlError:
    """What a request answers that no replica took in time."""
    return SqlError(
        CANNOT_CONNECT_NOW,
        f'no replica of cluster "{cluster}" is available',
        hint="Retry the statement in a moment.",
    )
