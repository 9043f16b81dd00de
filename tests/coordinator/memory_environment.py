"""An environment in memory: the real persist, txn-wal, catalog and committer on stores that can
fail, several processes after each other. A crash drops a process's tasks where they stand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from catalog.boot import BootParameters, open_catalog
from catalog.operations import CreateTable, Operation
from catalog.state import Catalog
from coordinator.committer import (
    CatalogOutcome,
    CatalogRequest,
    Committer,
    TableWrite,
    WriteRequest,
)
from coordinator.published import PublishedCatalog
from core.clock import system_clock
from core.ids import GlobalId, ShardId, Timestamp, new_shard_id
from core.rows import codec_for
from core.sql_types import INT4
from oracle.commit_point import ThreeStepCommitPoint
from oracle.memory import MemoryOracle, MemoryTimeline
from persist.batches import Batch, inline_batch
from persist.consensus import Fence
from persist.faults import FaultInjector, FaultRates, FaultyCommitPoint, FaultyConsensus
from persist.location import PersistLocation
from persist.memory import MemoryBlob, MemoryConsensus, MemoryFences, MemoryLogs
from persist.txn_reader import TxnsReader
from persist.txn_wal import TxnsWriter

CODEC = codec_for((INT4,))
NO_FAULTS = FaultRates()


@dataclass(slots=True)
class MemoryEnvironment:
    """The stores, which outlive every process."""

    logs: MemoryLogs = field(default_factory=MemoryLogs)
    fences: MemoryFences = field(default_factory=MemoryFences)
    blob: MemoryBlob = field(default_factory=MemoryBlob)
    timeline: MemoryTimeline = field(default_factory=MemoryTimeline)
    txns_shard: ShardId = field(default_factory=new_shard_id)
    catalog_shard: ShardId = field(default_factory=new_shard_id)

    @asynccontextmanager
    async def process(
        self, rates: FaultRates = NO_FAULTS, seed: int = 0
    ) -> AsyncIterator["MemoryProcess"]:
        """A process that takes the environment over; leaving ends it without a goodbye."""
        fence = self.fences.take("test")
        faults = FaultInjector(rates, seed)
        process = await self._open(fence, faults)
        task = asyncio.create_task(process.committer.run(), name=f"committer {fence.epoch}")
        process.committer_task = task
        try:
            yield process
        finally:
            task.cancel()
            await asyncio.wait([task])
            await faults.drain()

    async def _open(self, fence: Fence, faults: FaultInjector) -> "MemoryProcess":
        inner = MemoryConsensus(self.logs, self.fences, fence)
        oracle = MemoryOracle(self.timeline, self.fences, fence, system_clock)
        location = PersistLocation("", FaultyConsensus(inner, faults), self.blob, fence, None)
        commit_point = FaultyCommitPoint(ThreeStepCommitPoint(inner, oracle), faults)
        writer = await TxnsWriter.open(location, self.txns_shard, commit_point)
        reader = await TxnsReader.open(location, self.txns_shard)
        chunks = [
            chunk
            async for chunk in reader.snapshot(self.catalog_shard, Timestamp(reader.upper - 1))
        ]
        await reader.close()
        parameters = BootParameters(self.catalog_shard, fence.epoch, Timestamp(system_clock()))
        catalog = await open_catalog(chunks, writer, self.blob, parameters)
        published = PublishedCatalog(catalog)
        committer = Committer(writer, published, self.catalog_shard, system_clock)
        return MemoryProcess(location, self.txns_shard, writer, published, committer)


@dataclass(slots=True)
class MemoryProcess:
    """What a process has open."""

    location: PersistLocation
    txns_shard: ShardId
    writer: TxnsWriter
    published: PublishedCatalog
    committer: Committer
    committer_task: "asyncio.Task[None] | None" = None

    @property
    def catalog(self) -> Catalog:
        return self.published.catalog

    async def transact(
        self,
        *operations: Operation,
        planned_revision: int | None = None,
        table_writes: tuple[TableWrite, ...] = (),
        previewed_on: Catalog | None = None,
    ) -> CatalogOutcome:
        """A catalog transaction, planned on the newest catalog unless told otherwise."""
        answer: asyncio.Future[CatalogOutcome] = asyncio.get_running_loop().create_future()
        revision = self.catalog.revision if planned_revision is None else planned_revision
        self.committer.transact(
            CatalogRequest(
                *(operations, revision, table_writes, "materialize", answer),
                previewed_on=previewed_on,
            )
        )
        return await answer

    async def create(self, operation: CreateTable) -> GlobalId:
        """Create a table; its id."""
        outcome = await self.transact(operation)
        return GlobalId(str(outcome.results[0].id))

    async def write(
        self,
        *writes: TableWrite,
        read_set: frozenset[GlobalId] | None = None,
        read_ts: Timestamp | None = None,
        planned_revision: int | None = None,
    ) -> Timestamp:
        """A table write planned on the newest catalog."""
        revision = self.catalog.revision if planned_revision is None else planned_revision
        return await self.committer.write(WriteRequest(writes, revision, read_set, read_ts))

    async def rows(self, shard: ShardId) -> list[int]:
        """The single int column of a table's shard, now."""
        reader = await TxnsReader.open(self.location, self.txns_shard)
        counts: dict[bytes, int] = {}
        async for chunk in reader.snapshot(shard, Timestamp(reader.upper - 1)):
            one = isinstance(chunk.diffs, int)
            for index, row in enumerate(chunk.rows):
                diff = chunk.diffs if one else chunk.diffs[index]  # type: ignore[index]
                counts[row] = counts.get(row, 0) + diff  # type: ignore[operator]
        await reader.close()
        return sorted(CODEC.decode(row)[0] for row, count in counts.items() for _ in range(count))


def numbers(*values: int, diff: int = 1) -> Batch:
    """A batch of single-column rows."""
    return inline_batch([(CODEC.encode((value,)), diff) for value in values])
