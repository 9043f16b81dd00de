"""The compute controller: the clusters, and what is asked of them.

`ComputeClusters` implements `ComputeClient`. Clusters are known by their ids. Rows go from a
replica's socket straight to the waiting session; what becomes of a request when its replica dies is
told in `controllers.cluster`, how maintained collections are kept in `controllers.dataflows`.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec
from prometheus_client import REGISTRY

from compute.dataflow_messages import (
    AllowCompaction,
    CollectionKind,
    CollectionSource,
    DataflowDescription,
)
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
    SubscribeRequest,
    SubscribeStream,
)
from controllers.compute_metrics import SINCE_LAG_SECONDS, ReplicaCollector, forget_cluster
from controllers.compute_requests import (
    CopyInFlight,
    PeekRequestInFlight,
    StageInFlight,
    replica_lost,
)
from controllers.encoded_works import EncodedWorks
from controllers.orchestrator import Orchestrator, ReplicaEvent
from controllers.read_holds import ReadHold
from controllers.replica import ClusterSpec, Replica
from controllers.storage_collections import StorageCollections
from core.errors import CANNOT_CONNECT_NOW, UNDEFINED_OBJECT, SqlError
from core.ids import MIN_TIMESTAMP, GlobalId, ShardId, Timestamp
from core.sql_types import SqlType
from expr.scalar import Literal
from persist.txns_state import TxnsPush

SILENCE_CHECK_S: Final = 5.0
COMPACTION_INTERVAL_S: Final = 1.0


ShardListener = Callable[[ShardId, Timestamp, bool], object]


class ComputeClusters:
    """All clusters. Implements `ComputeClient`."""

    def __init__(
        self, orchestrator: Orchestrator, config: InstanceConfig, collections: StorageCollections
    ) -> None:
        self._orchestrator = orchestrator
        self._config = config
        self._collections = collections
        self._since = MIN_TIMESTAMP  # as last told to the replicas
        self._shard_listeners: list[ShardListener] = []
        self._clusters: dict[str, Cluster] = {}
        self._ids = itertools.count(1)
        self._works = EncodedWorks()
        self._collector = ReplicaCollector(self._statuses)
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: dict[str, asyncio.Task[None]] = {}  # replicas that are being stopped
        self._is_closed = False
        orchestrator.add_listener(self._note_event)
        REGISTRY.register(self._collector)

    def __iter__(self) -> Iterator[Cluster]:
        return iter(self._clusters.values())

    def add_shard_listener(self, listener: ShardListener) -> None:
        """Tell `listener` of each upper that a replica moved, and whether the shard is to be
        compacted."""
        self._shard_listeners.append(listener)

    def expect_cluster(self, spec: ClusterSpec) -> None:
        """A cluster with these replicas is in the catalog, and is about to be ensured: requests
        wait for it from now on."""
        found = self._clusters.get(spec.id)
        if found is None:
            self._clusters[spec.id] = Cluster(
                spec,
                self._orchestrator,
                self._config,
                self._collections,
                self._relay,
                self._leaving,
            )
        else:
            found.expect(spec)

    def ensure_cluster(self, spec: ClusterSpec) -> None:
        """Run a cluster with exactly these replicas; returns before they serve, and before others
        are gone."""
        if self._is_closed:
            raise RuntimeError("the compute controller is closed")
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._watch_silence(), name="replica watch"),
                asyncio.create_task(self._allow_compaction(), name="compaction of dataflows"),
            ]
        self.expect_cluster(spec)
        found = self._clusters[spec.id]
        found.drop(found.ensure(spec))

    def drop_cluster(self, cluster: str) -> None:
        """Stop the cluster's replicas; its requests fail with 57P01."""
        found = self._clusters.pop(cluster, None)
        if found is not None:
            found.fail_all(replica_lost())
            found.dataflows.close()
            found.drop(found.ensure(ClusterSpec(found.id, found.name, ())))
            forget_cluster(cluster)

    def create_dataflow(
        self,
        cluster: str,
        description: DataflowDescription,
        hold: ReadHold | None,
        durable_upper: Timestamp = MIN_TIMESTAMP,
    ) -> None:
        """Maintain what is described from its `as_of` on, which `hold` holds (it is the
        controller's from here on). Nothing happens if there is no such cluster any more."""
        found = self._clusters.get(cluster)
        if found is not None:
            found.create_dataflow(description, hold, durable_upper)
        elif hold is not None:
            hold.release()

    def drop_dataflow(self, cluster: str, id: GlobalId, at: Timestamp) -> None:
        """`id` was dropped by the commit at `at`: maintain it until no read can be from before. No
        error if nothing maintains it."""
        found = self._clusters.get(cluster)
        if found is not None:
            found.drop_dataflow(id, at)

    def refuse_dataflow(self, cluster: str, id: GlobalId, error: SqlError) -> None:
        """`id` cannot be described: whoever needs it gets `error`."""
        found = self._clusters.get(cluster)
        if found is not None:
            found.refuse_dataflow(id, error)

    def end_subscriptions(self, dropped: Mapping[GlobalId, str]) -> None:
        """These items, by name, are no more: end the subscriptions that read them."""
        for cluster in self._clusters.values():
            cluster.subscriptions.retire(dropped)

    def forget_shards(self, shards: Iterable[ShardId]) -> None:
        """These shards are no more."""
        for shard in shards:
            for cluster in self._clusters.values():
                cluster.news.unfollow(shard)

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
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for id in tuple(self._clusters):
            self.drop_cluster(id)
        if self._leaving:
            await asyncio.wait(self._leaving.values())
        await self._orchestrator.close()

    async def peek(self, request: PeekRequest) -> PeekStream:
        cluster = self._cluster(request.cluster)
        types = _types(request.parameters)
        rest = (request.finishing, request.sources, request.output, types, request.is_analyzed)
        work = self._works.encoded(
            request.relation, rest, lambda: PeekWork(request.relation, *rest)
        )
        for shard in _followed(request.sources):
            cluster.news.follow(shard)
        peek = PeekRequestInFlight(
            next(self._ids),
            cluster,
            work,
            request.as_of,
            _needed(request.sources),
            _values(request.parameters),
        )
        cluster.start(peek)
        self._hurry(cluster, request.sources, request.as_of)
        return peek

    async def subscribe(self, request: SubscribeRequest) -> SubscribeStream:
        cluster = self._cluster(request.cluster)
        for shard in _followed(request.sources):
            cluster.news.follow(shard)
        return cluster.subscriptions.start(request)

    async def stage(self, request: StageRequest) -> Staged:
        cluster = self._cluster(request.cluster)
        rest = (
            request.finishing,
            request.sources,
            request.mode,
            request.table,
            request.returning,
            request.returning_output,
            request.context,
            _types(request.parameters),
        )
        work = self._works.encoded(
            request.relation, rest, lambda: StageWork(request.relation, *rest)
        )
        for shard in _followed(request.sources):
            cluster.news.follow(shard)
        stage = StageInFlight(
            next(self._ids),
            cluster,
            work,
            request.as_of,
            _needed(request.sources),
            _values(request.parameters),
        )
        cluster.start(stage)
        self._hurry(cluster, request.sources, request.as_of)
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

    def since_of(self, cluster: str, indexes: Iterable[GlobalId]) -> Timestamp:
        found = self._clusters.get(cluster)
        if found is None:
            return self._collections.newest()
        return max(map(found.dataflows.since_of, indexes), default=MIN_TIMESTAMP)

    def push(self, push: TxnsPush) -> None:
        frame = encode_frame(Push(push.seqno, push.data))
        for cluster in self._clusters.values():
            cluster.broadcast(frame)

    def _cluster(self, id: str) -> Cluster:
        cluster = self._clusters.get(id)
        if cluster is None:
            raise SqlError(UNDEFINED_OBJECT, f'unknown cluster "{id}"')
        if not cluster.is_to_serve:
            raise SqlError(
                CANNOT_CONNECT_NOW,
                f'cluster "{cluster.name}" has no replicas available to service request',
                hint="Use CREATE CLUSTER REPLICA to add one.",
            )
        return cluster

    def _hurry(
        self, cluster: Cluster, sources: Iterable[CollectionSource], as_of: Timestamp
    ) -> None:
        """A read of these sources begins: what other clusters write and this one follows is to be
        as far as the read's time."""
        if any(s.kind is not CollectionKind.TABLE or s.index is not None for s in sources):
            self._await_others(cluster, as_of)

    def _await_others(self, cluster: Cluster, past: Timestamp) -> None:
        shards = cluster.news.awaited(past)
        if not shards:
            return
        for other in self._clusters.values():
            if other is not cluster and other.advance_shards(shards, past):
                self._await_others(other, past)  # it may wait for others in turn

    def _relay(self, by: Replica, shard: ShardId, upper: Timestamp, is_fragmented: bool) -> None:
        """A replica moved the upper of a shard: tell the others that read it."""
        for listener in self._shard_listeners:
            listener(shard, upper, is_fragmented)
        for cluster in self._clusters.values():
            cluster.news.advanced(shard, upper, by)

    async def _allow_compaction(self) -> None:
        """Tell replicas how far back nobody reads any more, whenever that has moved."""
        while True:
            await asyncio.sleep(COMPACTION_INTERVAL_S)
            for cluster in self._clusters.values():
                cluster.subscriptions.limit_holds(self._collections.newest())
            since = self._collections.since()
            SINCE_LAG_SECONDS.set((self._collections.newest() - since) / 1e6)
            if since > self._since:
                self._since = since
                frame = encode_frame(AllowCompaction(since))
                for cluster in self._clusters.values():
                    cluster.allow_compaction(since, frame)

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
            replica.process: replica.status
            for cluster in self._clusters.values()
            for replica in cluster.replicas.values()
            if replica.status is not None
        }


def _types(parameters: tuple[Literal, ...]) -> tuple[SqlType, ...]:
    return tuple(literal.type for literal in parameters)


def _values(parameters: tuple[Literal, ...]) -> tuple[bytes, ...]:
    return tuple(literal.data for literal in parameters)


def _needed(sources: tuple[CollectionSource, ...]) -> tuple[GlobalId, ...]:
    return tuple(source.index for source in sources if source.index is not None)


def _followed(sources: tuple[CollectionSource, ...]) -> tuple[ShardId, ...]:
    return tuple(
        source.shard
        for source in sources
        if source.kind is CollectionKind.SHARD and source.index is None
    )
