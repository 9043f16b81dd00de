"""Dataflows over tables whose commits a replica misses, or has not heard of for long."""

import asyncio
from collections.abc import AsyncIterator

import pytest

import expr.library  # noqa: F401
from compute.maintained import table_feed
from persist.location import claim_environment, open_location
from persist.txn_reader import TxnsReader
from tests.compute.replica import Replica, table, write
from tests.persist.txns_environment import TABLE, TXNS, Process, applying, postgres_process


@pytest.fixture
async def process(fresh_database_url: str) -> AsyncIterator[Process]:
    claim = await claim_environment(fresh_database_url)
    location = await open_location(fresh_database_url, "postgres:", fence=claim.fence)
    async with postgres_process(location) as opened:
        yield opened
    await location.close()


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
    start = await writer.commit([write(TABLE, 0)], register=[TABLE])
    index = replica.create_index("u1", table("u1"), start, u1=TABLE)
    assert await replica.rows(index, start) == [(0,)]
    times = [start]
    async with applying(writer):
        for number in range(1, 31):
            times.append(await writer.commit([write(TABLE, number)]))
            await writer.wait_applied(times[-1])
    while (await process.location.consensus.scan(TXNS, 0, 1))[0].seqno == 1:
        await writer.commit([])
    await replica.reader.catch_up()
    assert resets == [None]

    async def go_on() -> None:
        for _ in range(1000):  # something moves all the time
            replica.registry.progress.moved()
            await asyncio.sleep(0)
        for number in range(31, 40):
            times.append(await writer.commit([write(TABLE, number)]))
            await replica.reader.catch_up()
            await asyncio.gather(*(check(number) for number in range(len(times))))

    async def check(number: int) -> None:
        assert await replica.rows(index, times[number]) == [(n,) for n in range(number + 1)]

    await asyncio.gather(go_on(), *(check(number) for number in range(31)))


async def test_a_dataflow_that_falls_behind_reads_what_it_missed(
    process: Process, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_feed, "MAX_WAITING_BYTES", 40)
    writer = process.writer
    start = await writer.commit([write(TABLE, 0)], register=[TABLE])
    index = replica.create_index("u1", table("u1"), start, u1=TABLE)
    assert await replica.rows(index, start) == [(0,)]
    times = [start]
    for number in range(1, 31):
        times.append(await writer.commit([write(TABLE, number)]))
    await replica.reader.catch_up()  # all at once
    for number, ts in enumerate(times):
        assert await replica.rows(index, ts) == [(n,) for n in range(number + 1)]
