"""What a catalog change implies for the controllers, and the task that carries it out.

`implications` is a pure function of two catalogs and the items that may differ; unchanged parts are
recognised by identity, so its cost does not grow with the catalog. The task acts on one published
catalog after the other, so that what was there for a moment only is there for those who read it; at
boot it starts from the empty catalog. Nothing a client waits for happens here, except that whoever
reads a new index waits for its dataflow.

The time at which a new materialized view or index starts is that of the commit that created it; it
is held (`controllers.read_holds`) in the very turn in which the commit is published. At boot a view
resumes from what is durable of it, an index starts at the newest time; both are held before
anything may compact what they read.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from catalog.objects import ItemRecord
from catalog.state import Catalog
from compute.dataflow_messages import DataflowDescription
from controllers.read_holds import ReadHold
from controllers.replica import ClusterSpec, ReplicaSpec
from controllers.storage_collections import StorageCollections
from coordinator.committer import CatalogChange
from coordinator.dataflows import definition, describe, is_maintained, written_collections
from coordinator.metrics import IMPLICATIONS_SECONDS
from core.errors import INTERNAL_ERROR, DeterminateError, IndeterminateError, SqlError
from core.ids import MIN_TIMESTAMP, GlobalId, ShardId, Timestamp
from core.retry import Backoff
from sql.catalog_view import ItemKind
from sql.variables import system_value

STORAGE_DEADLINE_S: Final = 60.0
RETRY_PLANNING_S: Final = 30.0

_log: Final = structlog.get_logger("headwater.implications")


@dataclass(frozen=True, slots=True)
class DroppedDataflow:
    """A dataflow that is no longer wanted, and the shards that it wrote if they go too."""

    cluster_id: str
    id: GlobalId
    shards: tuple[ShardId, ...]


@dataclass(frozen=True, slots=True)
class Implications:
    """Clusters, shards and dataflows by id; `to_maintain` in an order in which inputs come before
    their users. `limits` (the memory of one query and of a replica's decoded collections, in bytes)
    is None when they stay as they are."""

    clusters_to_run: tuple[ClusterSpec, ...] = ()
    clusters_to_drop: tuple[str, ...] = ()
    shards_to_finalize: tuple[ShardId, ...] = ()
    limits: tuple[int, int] | None = None
    to_maintain: tuple[GlobalId, ...] = ()
    to_drop: tuple[DroppedDataflow, ...] = ()


class ClusterController(Protocol):
    """What is needed of the compute controller."""

    def expect_cluster(self, spec: ClusterSpec) -> None: ...

    def ensure_cluster(self, spec: ClusterSpec) -> None: ...

    def drop_cluster(self, cluster: str) -> None: ...

    def create_dataflow(
        self,
        cluster: str,
        description: DataflowDescription,
        hold: ReadHold | None,
        durable_upper: Timestamp,
    ) -> None: ...

    def drop_dataflow(self, cluster: str, id: GlobalId, at: Timestamp) -> None: ...

    def refuse_dataflow(self, cluster: str, id: GlobalId, error: SqlError) -> None: ...

    def end_subscriptions(self, dropped: Mapping[GlobalId, str]) -> None: ...

    def forget_shards(self, shards: Iterable[ShardId]) -> None: ...

    def update_configuration(
        self, query_memory_bytes: int, collection_cache_bytes: int
    ) -> None: ...


class ShardController(Protocol):
    """What is needed of `controllers.written_shards`."""

    async def open(self, sinces: Mapping[ShardId, Timestamp]) -> None: ...

    def upper(self, shard: ShardId) -> Timestamp: ...

    def forget(self, shard: ShardId) -> None: ...


Finalize = Callable[[Iterable[ShardId], Timestamp], None]


def implications(old: Catalog, new: Catalog, items: Iterable[GlobalId]) -> Implications:
    """What to do so that the controllers, which fit `old`, fit `new`; of all items, only `items`
    may differ."""
    to_drop: list[str] = []
    if old.clusters is not new.clusters:
        to_drop = [id for id in old.clusters if id not in new.clusters]
    to_finalize: list[ShardId] = []
    if old.unfinalized is not new.unfinalized:
        to_finalize = [shard for shard in new.unfinalized if shard not in old.unfinalized]
    limits = None
    if old.system_parameters is not new.system_parameters and replica_limits(old) != replica_limits(
        new
    ):
        limits = replica_limits(new)
    maintained, dropped = _dataflows(old, new, items)
    to_run = _clusters_to_run(old, new)
    return Implications(to_run, tuple(to_drop), tuple(to_finalize), limits, maintained, dropped)


def _clusters_to_run(old: Catalog, new: Catalog) -> tuple[ClusterSpec, ...]:
    if old.clusters is new.clusters and old.replicas is new.replicas:
        return ()
    before = _clusters(old)
    return tuple(spec for id, spec in _clusters(new).items() if before.get(id) != spec)


def _dataflows(
    old: Catalog, new: Catalog, items: Iterable[GlobalId]
) -> tuple[tuple[GlobalId, ...], tuple[DroppedDataflow, ...]]:
    maintain: set[GlobalId] = set()
    dropped: list[DroppedDataflow] = []
    for id in items:
        before, after = _record(old, id), _record(new, id)
        if before is not None and is_maintained(before):
            moved = after is None or after.cluster_id != before.cluster_id
            if moved and before.cluster_id is not None:
                written = written_collections(old, id) if after is None else ()
                shards = tuple(collection.shard for collection in written)
                dropped.append(DroppedDataflow(before.cluster_id, id, shards))
        if after is None:
            continue
        if is_maintained(after):
            if before is None or definition(before) != definition(after):
                maintain.add(id)
        elif before is not None and before.create_sql != after.create_sql:
            maintain |= _maintained_users(new, id)
    return tuple(sorted(maintain, key=_creation_order)), tuple(dropped)


def _maintained_users(catalog: Catalog, id: GlobalId) -> set[GlobalId]:
    """What is maintained by way of a view."""
    found: set[GlobalId] = set()
    stack = [id]
    while stack:
        for user in catalog.dependents.get(stack.pop(), ()):
            record = catalog.items[user].record
            if is_maintained(record):
                found.add(user)
            elif record.kind is ItemKind.VIEW:
                stack.append(user)
    return found


def _begun(
    catalog: Catalog, record: ItemRecord, resumed: Mapping[GlobalId, Timestamp]
) -> Timestamp:
    """When what writes nothing begins at boot: now, or where those of its cluster resume that may
    read it."""
    if record.index_on is None:
        return catalog.ts
    readers = _maintained_users(catalog, record.index_on)
    times = [
        resumed[id]
        for id in readers
        if id in resumed and catalog.items[id].record.cluster_id == record.cluster_id
    ]
    return min(times, default=catalog.ts)


def _creation_order(id: GlobalId) -> int:
    """Ids are given out in order, and what an item reads is older than the item."""
    return int(id[1:])


def _record(catalog: Catalog, id: GlobalId) -> ItemRecord | None:
    entry = catalog.items.get(id)
    return None if entry is None else entry.record


class ImplicationsTask:
    """`start` once, then `run` is the task; `changed` is the committer's listener."""

    def __init__(
        self,
        clusters: ClusterController,
        shards: ShardController,
        collections: StorageCollections,
        finalize: Finalize,
    ) -> None:
        self._clusters = clusters
        self._shards = shards
        self._collections = collections
        self._finalize = finalize
        self._applied = Catalog()
        self._changes: deque[tuple[Catalog, Iterable[GlobalId]]] = deque()
        self._holds: dict[GlobalId, ReadHold] = {}  # of what is not handed to the controller yet
        self._to_maintain: dict[GlobalId, None] = {}
        self._wake = asyncio.Event()
        self._wake.set()

    def changed(self, change: CatalogChange) -> None:
        """A newer catalog was published: hold its time for what it created, and let requests to its
        clusters wait for them."""
        for spec in _clusters_to_run(change.old, change.new):
            self._clusters.expect_cluster(spec)
        for id in change.items:
            record = _record(change.new, id)
            if record is not None and is_maintained(record) and id not in change.old.items:
                self._hold(id, change.new.ts)
        self._changes.append((change.new, change.items))
        self._wake.set()

    async def start(self, catalog: Catalog) -> None:
        """Take the holds that resuming needs, and start the clusters. What is to be maintained is
        planned once the task runs."""
        maintained = [
            entry.record for entry in catalog.items.values() if is_maintained(entry.record)
        ]
        await self._open_shards(catalog, (record.id for record in maintained))
        resumed = {}
        for record in maintained:
            durable = self._durable_upper(catalog, record.id)
            if durable:
                resumed[record.id] = Timestamp(durable - 1)
        for record in maintained:
            begun = resumed.get(record.id)
            self._hold(record.id, _begun(catalog, record, resumed) if begun is None else begun)
        self._settle(catalog, catalog.items)

    async def run(self) -> None:
        """Act on every catalog that was published, until cancelled. Raises FencedError,
        DeterminateError, IndeterminateError."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            started = time.perf_counter()
            await self.catch_up()
            IMPLICATIONS_SECONDS.observe(time.perf_counter() - started)

    async def catch_up(self) -> None:
        """Carry out what was published implies."""
        await self._maintain(self._applied)
        while self._changes:
            new, items = self._changes.popleft()
            dropped_clusters = self._settle(new, items)
            await self._maintain(new)
            for id in dropped_clusters:
                self._clusters.drop_cluster(id)

    def _settle(self, new: Catalog, items: Iterable[GlobalId]) -> tuple[str, ...]:
        """Everything but making dataflows and dropping clusters, which are returned. Finalization
        only remembers: it takes its time."""
        old, self._applied = self._applied, new
        todo = implications(old, new, items)
        self._finalize(todo.shards_to_finalize, new.ts)
        if todo.limits is not None:
            self._clusters.update_configuration(*todo.limits)
        for dropped in todo.to_drop:
            self._clusters.drop_dataflow(dropped.cluster_id, dropped.id, new.ts)
            for shard in dropped.shards:
                self._shards.forget(shard)
            self._clusters.forget_shards(dropped.shards)
        gone = {id: _full_name(old, id) for id in items if id in old.items and id not in new.items}
        if gone:
            self._clusters.end_subscriptions(gone)
        for id in items:
            self._set_retention(old, new, id)
            if id not in new.items:
                self._forget(id)
        self._to_maintain.update(dict.fromkeys(todo.to_maintain))
        for spec in todo.clusters_to_run:
            self._clusters.ensure_cluster(spec)
        return todo.clusters_to_drop

    def _set_retention(self, old: Catalog, new: Catalog, id: GlobalId) -> None:
        """How much of its past a stored collection keeps."""
        before, after = old.collections.get(id), new.collections.get(id)
        if after is None:
            if before is not None:
                self._collections.forget(before.shard)
            return
        retain_us = new.items[id].record.retain_history_us or 0
        since = after.as_of if before is None else self._collections.since_of(after.shard)
        self._collections.retain(after.shard, retain_us, since)

    async def _maintain(self, catalog: Catalog) -> None:
        """Plan what is to be maintained, and hand it to the clusters."""
        await self._open_shards(catalog, self._to_maintain)
        failed: list[GlobalId] = []
        while self._to_maintain:
            id = next(iter(self._to_maintain))
            del self._to_maintain[id]
            record = _record(catalog, id)
            if record is None or record.cluster_id is None:
                continue
            hold = self._holds.get(id)
            as_of = catalog.ts if hold is None else hold.ts
            try:
                description = await describe(record, catalog, as_of)
            except Exception as error:  # a definition that cannot be planned costs only its users
                is_bug = not isinstance(error, SqlError)
                _log.error("cannot plan", id=id, error=repr(error), exc_info=is_bug)
                self._clusters.refuse_dataflow(record.cluster_id, id, _refusal(record, error))
                self._release(id)  # nothing is to wait for what may never be
                failed.append(id)
                continue
            durable = self._durable_upper(catalog, id)
            hold = self._holds.pop(id, None)
            self._clusters.create_dataflow(record.cluster_id, description, hold, durable)
        if failed:
            self._to_maintain.update(dict.fromkeys(failed))
            asyncio.get_running_loop().call_later(RETRY_PLANNING_S, self._wake.set)

    async def _open_shards(self, catalog: Catalog, ids: Iterable[GlobalId]) -> None:
        """Create the shards that do not exist yet, and learn the uppers of those that do."""
        sinces = {
            written.shard: written.as_of
            for id in ids
            for written in written_collections(catalog, id)
        }
        backoff = Backoff(STORAGE_DEADLINE_S)
        while sinces:
            try:
                await self._shards.open(sinces)
            except* (DeterminateError, IndeterminateError) as errors:
                if backoff.is_exhausted:
                    raise
                _log.warning("could not open shards", error=str(errors))
                await backoff.wait()
            else:
                return

    def _durable_upper(self, catalog: Catalog, id: GlobalId) -> Timestamp:
        """That of the shards that the dataflow writes, which move together."""
        written = written_collections(catalog, id)
        return self._shards.upper(written[0].shard) if written else MIN_TIMESTAMP

    def _hold(self, id: GlobalId, ts: Timestamp) -> None:
        ts = max(ts, self._collections.holds.since_floor)
        self._holds[id] = self._collections.holds.acquire(ts)

    def _forget(self, id: GlobalId) -> None:
        """An item is gone."""
        self._to_maintain.pop(id, None)
        self._release(id)

    def _release(self, id: GlobalId) -> None:
        hold = self._holds.pop(id, None)
        if hold is not None:
            hold.release()


def _full_name(catalog: Catalog, id: GlobalId) -> str:
    name = catalog.items[id].item.name
    return ".".join(part for part in (name.database, name.schema, name.item) if part is not None)


def _refusal(record: ItemRecord, error: Exception) -> SqlError:
    detail = error.message if isinstance(error, SqlError) else repr(error)
    kind = str(record.kind).replace("-", " ")
    return SqlError(INTERNAL_ERROR, f'cannot maintain {kind} "{record.name}"', detail=detail)


def replica_limits(catalog: Catalog) -> tuple[int, int]:
    """The memory, in bytes, of one query and of a replica's decoded collections."""
    overrides = catalog.system_parameters
    query = system_value("compute_memory_limit", overrides)
    return int(query), int(system_value("compute_collection_cache_size", overrides))


def _clusters(catalog: Catalog) -> dict[str, ClusterSpec]:
    replicas: dict[str, list[ReplicaSpec]] = {cluster_id: [] for cluster_id in catalog.clusters}
    for replica in catalog.replicas.values():
        replicas[replica.cluster_id].append(ReplicaSpec(replica.id, replica.name))
    return {
        cluster.id: ClusterSpec(
            cluster.id, cluster.name, tuple(sorted(replicas[cluster.id], key=lambda r: r.id))
        )
        for cluster in catalog.clusters.values()
    }
