"""The dataflows of a replica, by id.

They go on while environmentd is away: when it is back it says again what it wants, and only the
difference is made or dropped. A dropped index that other dataflows read goes on until they end.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator

import structlog

from compute.collections import Collections
from compute.dataflow.build import build
from compute.dataflow.graph import Dataflow
from compute.dataflow_messages import (
    ArrangementSize,
    CollectionSource,
    DataflowDescription,
    DataflowFrontier,
    SubscribeBatch,
)
from compute.maintained.feed import Feed
from compute.maintained.feeds import Feeds
from compute.maintained.imports import IndexImports
from compute.maintained.index_export import IndexArrangement
from compute.maintained.index_feed import IndexFeed
from compute.maintained.index_reads import IndexReads
from compute.maintained.inputs import Inputs
from compute.maintained.make_export import Surroundings, make_export
from compute.maintained.progress import Progress
from compute.maintained.reports import REPORT_INTERVAL_S, Reports
from compute.maintained.runner import MaintainedDataflow, Phase
from compute.maintained.shard_feed import ShardFeeds
from compute.maintained.shard_tables import ShardTables
from compute.maintained.sink_writer import SinkWriter
from compute.maintained.subscriptions import Subscriptions
from compute.maintained.table_feed import TableFeeds
from compute.metrics import ARRANGEMENT_BYTES, ARRANGEMENT_RECORDS, DATAFLOWS
from compute.protocol import Response
from compute.scheduler import Scheduler
from core.errors import CANNOT_CONNECT_NOW, SqlError
from core.ids import GlobalId, ShardId, Timestamp
from core.sql_types import SqlType
from expr.relation import Get, Relation, children
from persist.location import PersistLocation
from persist.txn_reader import TxnsReader

_log = structlog.get_logger(__name__)


class DataflowRegistry:
    """One for a replica's instance. One event loop; not thread-safe."""

    def __init__(
        self,
        location: PersistLocation,
        reader: TxnsReader,
        collections: Collections,
        scheduler: Scheduler,
        epoch: int,
    ) -> None:
        self.progress = Progress()
        self.subscriptions = Subscriptions(self._send_batch)
        self._scheduler = scheduler
        self._tables = TableFeeds(location, reader, collections, self.progress)
        shards = ShardFeeds(location, self.progress)
        self._feeds = Feeds(self._tables, shards, self.progress, self.index)
        self.shard_tables = ShardTables(shards, scheduler, lambda: collections.spare_bytes)
        self._sinks = SinkWriter(location.consensus, shards)
        self.index_reads = IndexReads(self.index, reader, self.progress)
        self._surroundings = Surroundings(
            location,
            scheduler,
            self.progress,
            epoch,
            self.subscriptions,
            self._sinks,
            self.report,
        )
        self._dataflows: dict[GlobalId, MaintainedDataflow] = {}
        self._refused: dict[GlobalId, Exception] = {}
        self._leaving: list[MaintainedDataflow] = []
        self._send: Callable[[Response], None] | None = None
        self._reports = Reports(self._frontiers)
        self._tasks = [
            asyncio.create_task(self._tick(), name="report frontiers"),
            asyncio.create_task(self._sinks.run(), name="write sinks"),
        ]

    # What environmentd says

    def attach(self, send: Callable[[Response], None]) -> None:
        """Tell this environmentd from now on; all frontiers first."""
        self.detach()
        self._send = send
        self._reports.attach(send)

    def detach(self) -> None:
        """Nobody is connected."""
        self._send = None
        self._reports.detach()
        self.subscriptions.drop_all()

    def create(self, description: DataflowDescription) -> None:
        """Maintain what is described, unless it is maintained already and has not failed."""
        id = description.id
        known = self._dataflows.get(id)
        if known is not None and known.phase is not Phase.FAILED:
            if known.maintains(description):
                self._reports.forget(id)  # whoever asks anew is to be told anew
                self.report(id)
                return
        self.drop(id)
        try:
            export = make_export(description, self._surroundings)
        except Exception as error:  # reported as the dataflow's failure
            _log.warning("dataflow_refused", id=id, error=repr(error))
            self._refused[id] = error
            self.report(id)
            return
        self._dataflows[id] = MaintainedDataflow(
            description,
            export,
            lambda wake: self._connect(description, wake),
            self._scheduler,
            self.progress,
            self._on_event,
        )

    def drop(self, id: GlobalId) -> None:
        """Stop maintaining `id`."""
        self._refused.pop(id, None)
        self._reports.forget(id)
        self.subscriptions.drop(id)
        dataflow = self._dataflows.pop(id, None)
        if dataflow is not None:
            self._leaving.append(dataflow)
            self._close_unused()

    def retain(self, ids: Iterable[GlobalId]) -> None:
        """Drop every dataflow not in `ids`."""
        kept = frozenset(ids)
        for id in [*self._dataflows, *self._refused]:
            if id not in kept:
                self.drop(id)

    def allow_compaction(self, since: Timestamp) -> None:
        """Nobody reads before `since` any more, but for the dataflows here."""
        needed: dict[IndexArrangement, Timestamp] = {}
        for dataflow in self._live():
            for index in dataflow.imported:
                read_at = Timestamp(dataflow.upper - 1)
                needed[index] = min(needed.get(index, read_at), read_at)
        for dataflow in self._live():
            export = dataflow.export
            if isinstance(export, IndexArrangement):
                allowed = export.bounded(since)
                export.allow_compaction(min(allowed, needed.get(export, allowed)))

    def allow_writes(self, is_allowed: bool) -> None:
        """Whether the sinks here write."""
        self._sinks.allow_writes(is_allowed)

    def shards_advanced(self, shards: Iterable[tuple[ShardId, Timestamp]]) -> None:
        """Others moved the uppers of these shards."""
        for shard, upper in shards:
            self._feeds.shards.advanced(shard, upper)

    def advance_shards(self, shards: Iterable[ShardId], past: Timestamp) -> None:
        """Somebody elsewhere waits for the uppers of these shards."""
        self._sinks.advance(frozenset(shards), past)

    def report(self, id: GlobalId) -> None:
        """Send the frontier of `id` soon, since it has moved by more than time."""
        self._reports.soon(id)

    # What those who read ask

    def index(self, id: GlobalId) -> IndexArrangement:
        """An index that is maintained here. Raises SqlError if there is none or it has failed:
        57P03 if another replica may have it, or this one later."""
        dataflow = self._dataflows.get(id)
        error = self._refused.get(id) if dataflow is None else dataflow.error
        if isinstance(error, SqlError):
            raise error.with_traceback(None)
        if error is not None:
            raise SqlError(CANNOT_CONNECT_NOW, f"index {id} cannot be maintained: {error!r}")
        if dataflow is None or not isinstance(dataflow.export, IndexArrangement):
            raise SqlError(CANNOT_CONNECT_NOW, f"index {id} is not maintained by this replica")
        return dataflow.export

    def feed(self, source: CollectionSource, types: tuple[SqlType, ...]) -> Feed:
        """The shared feed of a collection. Raises SqlError."""
        return self._feeds.feed(source, types)

    def measure(self) -> tuple[ArrangementSize, ...]:
        """Every operator of every dataflow; the totals are shown as metrics."""
        sizes = tuple(size for dataflow in self._live() for size in dataflow.sizes())
        ARRANGEMENT_BYTES.set(sum(size.size_bytes for size in sizes))
        ARRANGEMENT_RECORDS.set(sum(size.rows for size in sizes))
        DATAFLOWS.set(len(self._dataflows))
        return sizes

    async def close(self) -> None:
        """Stop everything."""
        for task in self._tasks:
            task.cancel()
        for dataflow in [*self._dataflows.values(), *self._leaving]:
            dataflow.close()
        self._dataflows.clear()
        self._leaving.clear()
        self.shard_tables.close()

    # Within

    def _connect(
        self, description: DataflowDescription, wake: Callable[[], None]
    ) -> tuple[Dataflow, Inputs]:
        imports = IndexImports(description.as_of, lambda: self._indexes(description.id))
        dataflow = build(description.relation, description.context, imports)
        sources = {source.id: source for source in description.sources}
        feeds = {
            id: self.feed(sources[id], types)
            for id, types in _collections(description.relation).items()
            if id in dataflow.source_ids
        }
        indexes = [
            (imported, IndexFeed(imports.index_of(imported.importable), self.progress))
            for imported in dataflow.imports
        ]
        return dataflow, Inputs(feeds, indexes, self._clock, self.progress, wake)

    def _indexes(self, importer: GlobalId) -> Iterator[IndexArrangement]:
        """The indexes that dataflow `importer` may look up."""
        for id, dataflow in self._dataflows.items():
            if id != importer and dataflow.is_live:
                if isinstance(dataflow.export, IndexArrangement):
                    yield dataflow.export

    def _clock(self) -> Timestamp:
        return self._tables.upper

    def _live(self) -> Iterator[MaintainedDataflow]:
        for dataflow in (*self._dataflows.values(), *self._leaving):
            if dataflow.is_live:
                yield dataflow

    def _frontiers(self, ids: Iterable[GlobalId] | None) -> list[DataflowFrontier]:
        wanted = [*self._dataflows, *self._refused] if ids is None else ids
        found = []
        for id in wanted:
            dataflow = self._dataflows.get(id)
            if dataflow is not None:
                found.append(dataflow.frontier)
            elif id in self._refused:
                error = f"{self._refused[id]}"
                found.append(DataflowFrontier(id, Timestamp(0), error=error))
        return found

    def _on_event(self, id: GlobalId) -> None:
        self.report(id)
        self._close_unused()

    def _close_unused(self) -> None:
        """End the dropped dataflows that no other one reads any more."""
        was = -1
        while len(self._leaving) != was:
            was = len(self._leaving)
            for dataflow in tuple(self._leaving):
                export = dataflow.export
                if not (isinstance(export, IndexArrangement) and export.users and dataflow.is_live):
                    self._leaving.remove(dataflow)
                    dataflow.close()

    def _send_batch(self, batch: SubscribeBatch) -> None:
        if self._send is not None:
            self._send(batch)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            for dataflow in (*self._dataflows.values(), *self._leaving):
                dataflow.tick()
            self._reports.tick()


def _collections(relation: Relation) -> dict[GlobalId, tuple[SqlType, ...]]:
    """Every collection that `relation` reads, with its types."""
    found: dict[GlobalId, tuple[SqlType, ...]] = {}
    stack: list[Relation] = [relation]
    while stack:
        node = stack.pop()
        if isinstance(node, Get):
            found[node.id] = node.types
        stack.extend(children(node))
    return found
