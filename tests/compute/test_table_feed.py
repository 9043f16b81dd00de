"""Dataflows over tables whose commits a replica misses, or has not heard of for long."""

from collections.abc import AsyncIterator

import pytest

import expr.library  # noqa: F401
from compute.collections import Collections
from compute.dataflow_messages import CollectionSource, DataflowDescription, IndexExport
from compute.maintained import table_feed
from compute.maintained.registry import DataflowRegistry
from compute.scheduler import Scheduler
from core.ids import GlobalId, Timestamp
from core.rows import codec_for
from core.sql_types import INT4
from expr.relation import Get
from expr.scalar import ColumnRef
from persist.batches import inline_batch
from persist.txn_reader import TxnsReader
from persist.txns_state import TxnWrite
from tests.persist.txns_environment import TABLE, TXNS, MemoryEnvironment, Process, applying

TYPES = (INT4,)
ENCODE = codec_for(TYPES).encode
ID, INDEX = GlobalId("u1"), GlobalId("u2")


def write(number: int) -> TxnWrite:
    return TxnWrite(TABLE, inline_batch([(ENCODE((number,)), 1)]))


class Replica:
    """What a replica's process has, in this one."""

    def __init__(self, process: Process, reader: TxnsReader) -> None:
        self.reader = reader
        scheduler = Scheduler()
        blob = process.location.blob
        self.collections = Collections(reader, blob, scheduler, 1_000_000)
        self.registry = DataflowRegistry(process.location, reader, self.collections, scheduler, 1)

    def create_index(self, as_of: Timestamp) -> None:
        source = CollectionSource(ID, TABLE)
        export = IndexExport(ID, (ColumnRef(0, INT4),))
        self.registry.create(DataflowDescription(INDEX, Get(ID, TYPES), (source,), as_of, export))

    async def numbers(self, ts: Timestamp) -> list[object]:
        index = await self.registry.index_reads.read(INDEX, ts)
        rows = [row[0] for chunk in index.scan(None) for row in chunk]
        index.release()
        return sorted(rows, key=repr)

    async def close(self) -> None:
        await self.registry.close()
        await self.collections.close()
        await self.reader.close()


@pytest.fixture
async def process() -> Process:
    return await MemoryEnvironment().take_over()


@pytest.fixture
async def replica(process: Process) -> AsyncIterator[Replica]:
    opened = Replica(process, await TxnsReader.open(process.location, TXNS))
    yield opened
    await opened.close()


async def test_a_dataflow_goes_on_after_commits_that_were_missed(
    process: Process, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persist.txn_wal.ENTRIES_PER_BASE", 5)
    writer = process.writer
    resets: list[None] = []
    replica.reader.add_listener(lambda record: None, lambda: resets.append(None))
    start = await writer.commit([write(0)], register=[TABLE])
    replica.create_index(start)
    assert await replica.numbers(start) == [0]
    times = [start]
    async with applying(writer):
        for number in range(1, 31):
            times.append(await writer.commit([write(number)]))
            await writer.wait_applied(times[-1])
    while (await process.location.consensus.scan(TXNS, 0, 1))[0].seqno == 1:
        await writer.commit([])
    await replica.reader.catch_up()
    assert resets == [None]
    times.append(await writer.commit([write(31)]))
    for number, ts in enumerate(times):
        assert await replica.numbers(ts) == sorted(range(number + 1), key=repr)


async def test_a_dataflow_that_falls_behind_reads_what_it_missed(
    process: Process, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_feed, "MAX_WAITING_BYTES", 40)
    writer = process.writer
    start = await writer.commit([write(0)], register=[TABLE])
    replica.create_index(start)
    assert await replica.numbers(start) == [0]
    times = [start]
    for number in range(1, 31):
        times.append(await writer.commit([write(number)]))
    await replica.reader.catch_up()  # all at once
    for number, ts in enumerate(times):
        assert await replica.numbers(ts) == sorted(range(number + 1), key=repr)
