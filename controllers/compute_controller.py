"""The compute controller: the clusters, and what is asked of them.

`ComputeClusters` implements `ComputeClient`. Rows go from a replica's socket straight to the
waiting session; what becomes of a request when its replica dies is told in `controllers.cluster`.
"""

import asyncio
import itertools
from collections import OrderedDict
from typing import Final

import msgspec
from prometheus_client import REGISTRY

from compute.protocol import (
    CopyWork,
    InstanceConfig,
    PeekWork,
    Push,
    Staged,
    StageWork,
    Status,
    UpdateConfiguration,
    encode_frame,
    encode_work,
)
from controllers.cluster import Cluster
from controllers.compute_client import (
    CopyFromRequest,
    CopyStaging,
    PeekRequest,
    PeekStream,
    StageRequest,
)
from controllers.compute_metrics import (
    ReplicaCollector,
)
from controllers.compute_requests import (
    CopyInFlight,
    PeekRequestInFlight,
    StageInFlight,
    replica_lost,
)
from controllers.orchestrator import Orchestrator, ReplicaEvent
from core.errors import CANNOT_CONNECT_NOW, UNDEFINED_OBJECT, SqlError
from persist.txns_state import TxnsPush

SILENCE_CHECK_S: Final = 5.0
MAX_ENCODED_WORKS: Final = 1024
MAX_REMEMBERED_WORK_BYTES: Final = 16 * 1024


class ComputeClusters:
    """All clusters. Implements `ComputeClient`."""

    def __init__(self, orchestrator: Orchestrator, config: InstanceConfig) -> None:
        self._orchestrator = orchestrator
        self._config = config
        self._clusters: dict[str, Cluster] = {}
        self._ids = itertools.count(1)
        self._encoded: OrderedDict[int, tuple[PeekRequest, bytes]] = OrderedDict()
        self._collector = ReplicaCollector(self._statuses)
        self._watch: asyncio.Task[None] | None = None
        self._is_closed = False
        orchestrator.add_listener(self._note_event)
        REGISTRY.register(self._collector)

    async def ensure_cluster(self, cluster: str, replicas: tuple[str, ...]) -> None:
        """Run `cluster` with exactly these replicas; returns before they serve."""
        if self._is_closed:
            raise RuntimeError("the compute controller is closed")
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_silence(), name="replica watch")
        found = self._clusters.get(cluster)
        if found is None:
            found = self._clusters[cluster] = Cluster(cluster, self._orchestrator, self._config)
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
            request.sources,
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

    def _cluster(self, name: str) -> Cluster:
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
                request.sources,
                request.output,
            )
        )
        if len(work) <= MAX_REMEMBERED_WORK_BYTES:
            self._encoded[key] = (request, work)
            self._encoded.move_to_end(key)
            if len(self._encoded) > MAX_ENCODED_WORKS:
                self._encoded.popitem(last=False)
        return work

    def _note_event(self, event: ReplicaEvent) -> None:
        for cluster in self._clusters.values():
            cluster.note_event(event)

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
