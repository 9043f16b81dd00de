"""The txn-wal on a real PostgreSQL and in memory: commits, readers, apply, tidying."""

from collections.abc import AsyncIterator

import pytest

from core.errors import DeterminateError, FencedError, IndeterminateError
from core.ids import ShardId, Timestamp
from persist.batches import BatchBuilder, part_prefix
from persist.handles import finalize_shard
from persist.location import PersistLocation, claim_environment, open_location
from persist.machine import Machine
from persist.snapshot import SinceError
from persist.txn_reader import TxnsReader
from persist.txns_state import CommitRecord, TxnsPush, TxnWrite
from tests.persist.txns_environment import (
    OTHER,
    TABLE,
    TXNS,
    MemoryEnvironment,
    Process,
    applying,
    contents,
    postgres_process,
    write,
)


@pytest.fixture(params=["memory", "postgres"])
async def process(request: pytest.FixtureRequest) -> AsyncIterator[Process]:
    if request.param == "memory":
        yield await MemoryEnvironment().take_over()
        return
    url = request.getfixturevalue("fresh_database_url")
    claim = await claim_environment(url)
    location = await open_location(url, "postgres:", fence=claim.fence)
    async with postgres_process(location) as opened:
        yield opened
    await location.close()


@pytest.fixture
async def reader(process: Process) -> AsyncIterator[TxnsReader]:
    opened = await TxnsReader.open(process.location, TXNS)
    yield opened
    await opened.close()


async def test_a_commit_is_read_before_it_is_applied(process: Process, reader: TxnsReader) -> None:
    writer = process.writer
    first = await writer.commit([write(TABLE, 1, 2)], register=[TABLE])
    second = await writer.commit([write(TABLE, 1, diff=-1), write(TABLE, 3)])
    assert (await process.oracle.read_ts()).read_ts == second
    await reader.catch_up()
    assert reader.upper == writer.upper == second + 1
    assert await contents(reader, TABLE, first) == {"1": 1, "2": 1}
    assert await contents(reader, TABLE, second) == {"2": 1, "3": 1}
    assert await contents(reader, TABLE, first - 1) == {}
    with pytest.raises(DeterminateError):
        await contents(reader, TABLE, second + 1)


async def test_reads_are_the_same_before_and_after_apply(
    process: Process, reader: TxnsReader
) -> None:
    writer = process.writer
    times = [await writer.commit([write(TABLE, "a")], register=[TABLE, OTHER])]
    for number in range(20):
        times.append(await writer.commit([write(TABLE, number), write(OTHER, -number)]))
    await reader.catch_up()
    before = [await contents(reader, TABLE, ts) for ts in times]
    async with applying(writer):
        await writer.wait_applied(times[-1])
        assert [await contents(reader, TABLE, ts) for ts in times] == before
        await writer.wait_applied(await writer.commit([]))
        await writer.commit([])
        await writer.wait_tidied(times[-1])
    await reader.catch_up()
    assert [await contents(reader, TABLE, ts) for ts in times] == before
    fresh = await TxnsReader.open(process.location, TXNS)
    assert [await contents(fresh, TABLE, ts) for ts in times] == before
    assert await contents(fresh, OTHER, times[-1]) == {str(-n): 1 for n in range(20)}


async def test_unregistered_shards_are_refused(process: Process) -> None:
    writer = process.writer
    with pytest.raises(DeterminateError, match="not registered"):
        await writer.commit([write(TABLE, 1)])
    await writer.commit([], register=[TABLE])
    await writer.commit([write(TABLE, 1)])
    await writer.commit([write(TABLE, 2)], forget=[TABLE])
    with pytest.raises(DeterminateError, match="not registered"):
        await writer.commit([write(TABLE, 3)])


async def test_times_increase_and_respect_the_lower_bound(process: Process) -> None:
    writer = process.writer
    times = [await writer.commit([]) for _ in range(5)]
    assert times == sorted(set(times))
    later = Timestamp(times[-1] + 3_000_000)
    assert await writer.commit([], not_before=later) == later
    assert await writer.commit([]) == later + 1
    taken = (await process.oracle.write_ts()).timestamp
    assert await writer.commit([]) > taken
    assert (await process.oracle.read_ts()).catalog_ts == 0
    changed = await writer.commit([], is_catalog_change=True)
    assert (await process.oracle.read_ts()).catalog_ts == changed


async def test_pushes_feed_a_reader_and_gaps_are_fetched(
    process: Process, reader: TxnsReader
) -> None:
    writer = process.writer
    pushes: list[TxnsPush] = []
    records: list[CommitRecord] = []
    writer.add_listener(lambda push, record: pushes.append(push))
    reader.add_listener(records.append)
    for number in range(6):
        await writer.commit([write(TABLE, number)], register=[TABLE] if number == 0 else [])
    reader.apply_push(pushes[0])
    reader.apply_push(pushes[1])
    reader.apply_push(pushes[0])
    assert [record.ts for record in records] == [r.ts for r in records[:2]]
    assert len(records) == 2
    reader.apply_push(pushes[4])  # 2 and 3 are missing
    await reader.wait_past(Timestamp(writer.upper - 1))
    reader.apply_push(pushes[5])
    assert [record.writes[0] for record in records] == [write(TABLE, n) for n in range(6)]
    assert reader.upper == writer.upper


async def test_waiting_needs_no_push(process: Process, reader: TxnsReader) -> None:
    ts = await process.writer.commit([])
    await reader.wait_past(ts)
    assert reader.upper == ts + 1


async def test_a_reader_that_lags_behind_truncation_is_reset(
    process: Process, reader: TxnsReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persist.txn_wal.ENTRIES_PER_BASE", 5)
    resets: list[str] = []
    records: list[CommitRecord] = []
    reader.add_listener(records.append, lambda: resets.append("reset"))
    writer = process.writer
    async with applying(writer):
        ts = await writer.commit([write(TABLE, "x")], register=[TABLE])
        await writer.wait_applied(ts)
        for _ in range(30):
            last = await writer.commit([write(TABLE, "y")])
            await writer.wait_applied(last)
    while (await process.location.consensus.scan(TXNS, 0, 1))[0].seqno == 1:
        await writer.commit([])
    await reader.catch_up()
    assert resets == ["reset"]
    assert await contents(reader, TABLE, last) == {"x": 1, "y": 30}


async def test_large_batches_travel_by_reference(process: Process, reader: TxnsReader) -> None:
    fence = process.location.fence
    assert fence is not None
    builder = BatchBuilder(
        process.location.blob, part_prefix(TABLE, fence.epoch), part_limit_bytes=2_000
    )
    for number in range(1_000):
        builder.add(f"row {number}".encode(), 1)
        await builder.flush_full()
    batch = await builder.finish()
    assert len(batch.parts) > 3
    assert batch.update_count == 1_000
    ts = await process.writer.commit([TxnWrite(TABLE, batch)], register=[TABLE])
    await reader.catch_up()
    expected = {f"row {number}": 1 for number in range(1_000)}
    assert await contents(reader, TABLE, ts) == expected
    async with applying(process.writer):
        await process.writer.wait_applied(ts)
        later = await process.writer.commit([write(TABLE, "more")])
        await process.writer.wait_applied(later)
    await reader.catch_up()
    assert await contents(reader, TABLE, later) == expected | {"more": 1}
    assert await contents(reader, TABLE, ts) == expected


async def test_compaction_moves_the_since_and_keeps_later_reads(
    process: Process, reader: TxnsReader
) -> None:
    writer = process.writer
    times = [await writer.commit([write(TABLE, "k")], register=[TABLE])]
    lag = 20
    writer.set_since_provider(lambda shard: times[max(0, len(times) - lag)])
    async with applying(writer):
        for number in range(120):
            times.append(await writer.commit([write(TABLE, number)]))
            await writer.wait_applied(times[-1])
            times.append(await writer.commit([write(TABLE, number, diff=-1)]))
            await writer.wait_applied(times[-1])
        await writer.maintain(TABLE)
        await reader.catch_up()
        machine = Machine(TABLE, process.location.consensus)
        since = (await machine.fetch()).since
        assert times[100] < since <= times[-lag]
        with pytest.raises(SinceError):
            await contents(reader, TABLE, since - 1)
        for index in range(times.index(since), len(times)):
            live = {"k": 1} if index % 2 == 0 else {"k": 1, str((index - 1) // 2): 1}
            assert await contents(reader, TABLE, times[index]) == live
        lag = 1
        for _ in range(8):
            times.append(await writer.commit([write(TABLE, "z")]))
            await writer.wait_applied(times[-1])
        await writer.maintain(TABLE)
        state = await machine.fetch()
        assert sum(batch.batch.update_count for batch in state.batches) < 80
        assert state.since > since
        await reader.catch_up()
        assert await contents(reader, TABLE, times[-1]) == {"k": 1, "z": 8}


async def test_a_forgotten_shard_is_finalized_and_stays_gone(process: Process) -> None:
    writer = process.writer
    async with applying(writer):
        await writer.commit([write(TABLE, 1)], register=[TABLE, OTHER])
        dropped = await writer.commit([write(OTHER, 1)], forget=[TABLE])
        await writer.wait_applied(dropped)
        await writer.commit([])
        await writer.wait_tidied(dropped)
    await finalize_shard(process.location, TABLE)
    await finalize_shard(process.location, TABLE)
    assert TABLE not in await process.location.consensus.list_shards()
    assert await process.location.blob.list(f"{TABLE}/") == []


async def test_a_successor_sees_every_commit_and_fences_the_first(
    fresh_database_url: str,
) -> None:
    url = fresh_database_url
    first_claim = await claim_environment(url)
    first = await open_location(url, "postgres:", fence=first_claim.fence)
    async with postgres_process(first) as old:
        ts = await old.writer.commit([write(TABLE, 1)], register=[TABLE])
        second_claim = await claim_environment(url)
        assert second_claim.txns_shard == first_claim.txns_shard
        assert second_claim.fence.epoch == first_claim.fence.epoch + 1
        second = await open_location(url, "", fence=second_claim.fence)
        async with postgres_process(second) as new:
            with pytest.raises(FencedError):
                await old.writer.commit([write(TABLE, "late")])
            with pytest.raises(IndeterminateError, match="taken over"):
                await old.writer.commit([write(TABLE, "later still")])
            with pytest.raises(ExceptionGroup) as raised:
                await old.writer.run_apply()
            assert raised.group_contains(FencedError)
            reader = await TxnsReader.open(second, TXNS)
            assert new.writer.is_registered(TABLE)
            async with applying(new.writer):
                await new.writer.wait_applied(await new.writer.commit([write(TABLE, 2)]))
            await reader.catch_up()
            assert await contents(reader, TABLE, ts) == {"1": 1}
            assert await contents(reader, TABLE, reader.upper - 1) == {"1": 1, "2": 1}
        await second.close()
    await first.close()


async def test_orphans_of_a_fenced_process_are_swept(location: PersistLocation) -> None:
    blob = location.blob
    assert location.fence is not None
    kept = f"{part_prefix(TABLE, location.fence.epoch)}staged-now"
    orphans = [f"{part_prefix(shard, 0)}lost" for shard in (TABLE, ShardId("s-never-created"))]
    for key in (kept, *orphans):
        await blob.set(key, b"part")
    builder = BatchBuilder(blob, part_prefix(TABLE, 0), inline_limit_bytes=0)
    builder.add(b"committed", 1)
    committed = await builder.finish()
    async with postgres_process(location) as process:
        ts = await process.writer.commit([TxnWrite(TABLE, committed)], register=[TABLE])
        async with applying(process.writer):
            await process.writer.wait_applied(ts)
            while await blob.list(part_prefix(TABLE, 0)) != list(committed.keys):
                await process.writer.commit([])
    assert sorted(await blob.list("")) == sorted([kept, *committed.keys])


async def test_one_round_trip_a_commit(location: PersistLocation) -> None:
    async with postgres_process(location) as process:
        await process.writer.commit([], register=[TABLE])
        before = _external_operations()
        for number in range(10):
            await process.writer.commit([write(TABLE, number)])
        assert _external_operations() - before == 10


def _external_operations() -> float:
    from persist.metrics import EXTERNAL_OP_LATENCY

    return sum(
        sample.value
        for metric in EXTERNAL_OP_LATENCY.collect()
        for sample in metric.samples
        if sample.name.endswith("_count")
    )
