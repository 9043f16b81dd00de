"""A whole txn-wal environment for tests, in memory or on a real PostgreSQL, with or without
faults."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from core.clock import Clock, system_clock
from core.ids import ShardId, Timestamp
from oracle.commit_point import PostgresCommitPoint, ThreeStepCommitPoint
from oracle.memory import MemoryOracle, MemoryTimeline
from oracle.oracle import TimestampOracle
from oracle.postgres import open_postgres_oracle
from persist.batches import UpdateChunk, inline_batch
from persist.commit_point import CommitPoint
from persist.faults import FaultInjector, FaultyCommitPoint, FaultyConsensus
from persist.location import PersistLocation
from persist.memory import MemoryBlob, MemoryConsensus, MemoryFences, MemoryLogs
from persist.postgres_pool import PostgresPool
from persist.txn_reader import TxnsReader
from persist.txn_wal import TxnsWriter
from persist.txns_state import TxnWrite

TXNS = ShardId("s-txns")
TABLE = ShardId("s-table")
OTHER = ShardId("s-other")


def rows(*values: object, diff: int = 1) -> list[tuple[bytes, int]]:
    return [(str(value).encode(), diff) for value in values]


def write(shard: ShardId, *values: object, diff: int = 1) -> TxnWrite:
    return TxnWrite(shard, inline_batch(rows(*values, diff=diff)))


def add(contents: Counter[str], chunk: UpdateChunk) -> None:
    """Add a chunk to a multiset of rows."""
    for index, row in enumerate(chunk.rows):
        diff = chunk.diffs if isinstance(chunk.diffs, int) else chunk.diffs[index]
        contents[row.decode()] += diff
        if not contents[row.decode()]:
            del contents[row.decode()]


async def contents(reader: TxnsReader, shard: ShardId, as_of: int) -> dict[str, int]:
    """The multiset of rows of `shard` at `as_of`."""
    found: Counter[str] = Counter()
    async with contextlib.aclosing(reader.snapshot(shard, Timestamp(as_of))) as chunks:
        async for chunk in chunks:
            assert chunk.times is None
            add(found, chunk)
    return dict(found)


@dataclass
class Process:
    """One environmentd: its location under an epoch, the oracle, the writer."""

    location: PersistLocation
    oracle: TimestampOracle
    commit_point: CommitPoint
    writer: TxnsWriter


class MemoryEnvironment:
    """Stores in memory that successive processes open; every access may fail."""

    def __init__(
        self,
        faults: FaultInjector | None = None,
        clock: Clock = system_clock,
        writer: type[TxnsWriter] = TxnsWriter,
    ) -> None:
        self._fences = MemoryFences()
        self._logs = MemoryLogs()
        self._timeline = MemoryTimeline()
        self.blob = MemoryBlob()
        self._faults = faults
        self._clock = clock
        self._writer = writer

    async def take_over(self) -> Process:
        """A new process with the next epoch."""
        fence = self._fences.take("test")
        inner = MemoryConsensus(self._logs, self._fences, fence)
        oracle = MemoryOracle(self._timeline, self._fences, fence, self._clock)
        commit_point: CommitPoint = ThreeStepCommitPoint(inner, oracle)
        consensus = inner if self._faults is None else FaultyConsensus(inner, self._faults)
        if self._faults is not None:
            commit_point = FaultyCommitPoint(commit_point, self._faults)
        location = PersistLocation("", consensus, self.blob, fence, None)
        writer = await self._writer.open(
            location, TXNS, commit_point, clock=self._clock, garbage_grace_us=0
        )
        return Process(location, oracle, commit_point, writer)


@contextlib.asynccontextmanager
async def postgres_process(
    location: PersistLocation, *, garbage_grace_us: int = 0
) -> AsyncIterator[Process]:
    """One process on a real PostgreSQL."""
    assert location.fence is not None
    pool = PostgresPool(location.metadata_url, 2)
    try:
        oracle = await open_postgres_oracle(pool, location.fence)
        commit_point = PostgresCommitPoint(pool, location.fence)
        writer = await TxnsWriter.open(
            location, TXNS, commit_point, garbage_grace_us=garbage_grace_us
        )
        yield Process(location, oracle, commit_point, writer)
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def applying(writer: TxnsWriter) -> AsyncIterator[asyncio.Task[None]]:
    """Run the writer's background work meanwhile."""
    task = asyncio.create_task(writer.run_apply(), name="run_apply")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # a fenced process ends with one
