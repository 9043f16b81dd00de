"""The task that carries out what catalog changes imply (`coordinator.implications`).

It acts on every published catalog that has something else to maintain, so that what was there for a
moment only is there for those who read it; others it takes together. Nothing a client waits for
happens here, except that whoever reads a new index waits for its dataflow.

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
from controllers.replica import ClusterSpec
from controllers.storage_collections import StorageCollections
from coordinator.committer import CatalogChange
from coordinator.dataflows import describe, is_maintained, written_collections
from coordinator.implications import (
    clusters_to_run,
    implications,
    maintained_users,
    record_of,
)
from coordinator.metrics import IMPLICATIONS_SECONDS
from core.errors import INTERNAL_ERROR, DeterminateError, IndeterminateError, SqlError
from core.ids import MIN_TIMESTAMP, GlobalId, ShardId, Timestamp
from core.retry import Backoff

STORAGE_DEADLINE_S: Final = 60.0
RETRY_PLANNING_S: Final = 30.0

_log: Final = structlog.get_logger("headwater.implications")


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


@dataclass(slots=True)
class _Published:
    """A catalog to act on, and the items that may differ; `dropped` has the full names of those
    that are gone. Where nothing that is maintained differs (`is_plain`), it can be acted on
    together with the next one."""

    catalog: Catalog
    items: set[GlobalId]
    dropped: dict[GlobalId, str]
    is_plain: bool


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
        self._waiting: deque[_Published] = deque()
        self._holds: dict[GlobalId, ReadHold] = {}  # of what is not handed to the controller yet
        self._to_maintain: dict[GlobalId, None] = {}
        self._wake = asyncio.Event()
        self._wake.set()

    def changed(self, change: CatalogChange) -> None:
        """A newer catalog was published: hold its time for what it created, and let requests to its
        clusters wait for them."""
        for spec in clusters_to_run(change.old, change.new):
            self._clusters.expect_cluster(spec)
        new = _Published(change.new, set(change.items), {}, is_plain=True)
        for id in change.items:
            before, after = record_of(change.old, id), record_of(change.new, id)
            record = before or after
            new.is_plain = new.is_plain and (record is None or not is_maintained(record))
            if after is None and before is not None:
                new.dropped[id] = _full_name(change.old, id)
            elif before is None and after is not None and is_maintained(after):
                self._hold(id, change.new.ts)
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.is_plain and new.is_plain:
            last.catalog = new.catalog
            last.items |= new.items
            last.dropped |= new.dropped
        else:
            self._waiting.append(new)
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
        while self._waiting:
            published = self._waiting.popleft()
            if published.dropped:
                self._clusters.end_subscriptions(published.dropped)
            dropped_clusters = self._settle(published.catalog, published.items)
            await self._maintain(published.catalog)
            for id in dropped_clusters:
                self._clusters.drop_cluster(id)
            await asyncio.sleep(0)  # most of the time there was nothing to wait for

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
            record = record_of(catalog, id)
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


def _begun(
    catalog: Catalog, record: ItemRecord, resumed: Mapping[GlobalId, Timestamp]
) -> Timestamp:
    """When what writes nothing begins at boot: now, or where those of its cluster resume that may
    read it."""
    if record.index_on is None:
        return catalog.ts
    readers = maintained_users(catalog, record.index_on)
    times = [
        resumed[id]
        for id in readers
        if id in resumed and catalog.items[id].record.cluster_id == record.cluster_id
    ]
    return min(times, default=catalog.ts)


def _full_name(catalog: Catalog, id: GlobalId) -> str:
    name = catalog.items[id].item.name
    return ".".join(part for part in (name.database, name.schema, name.item) if part is not None)


def _refusal(record: ItemRecord, error: Exception) -> SqlError:
    detail = error.message if isinstance(error, SqlError) else repr(error)
    kind = str(record.kind).replace("-", " ")
    return SqlError(INTERNAL_ERROR, f'cannot maintain {kind} "{record.name}"', detail=detail)
