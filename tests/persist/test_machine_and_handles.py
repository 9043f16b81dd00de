"""The machine's cached state and the handles, on every consensus."""

import asyncio
import contextlib

import pytest

from core.ids import MIN_TIMESTAMP, ShardId, Timestamp
from persist.batches import BatchBuilder, MissingPartError, inline_batch, part_prefix
from persist.consensus import CompareAndSet, Consensus, settle_compare_and_set
from persist.faults import FaultInjector, FaultRates, FaultyConsensus
from persist.handles import (
    CONTROLLER_READER,
    finalize_shard,
    listen,
    open_critical_since,
    open_leased_reader,
    open_writer,
    snapshot,
)
from persist.location import PersistLocation
from persist.machine import ENTRIES_PER_ROLLUP, Machine, RefusedError, UpperMismatchError
from persist.shard_state import CompareAndAppend, Merge, RegisterCritical, ShardBatch
from persist.snapshot import SinceError

SHARD = ShardId("s-shard")


def ts(value: int) -> Timestamp:
    return Timestamp(value)


def advance(machine: Machine, by: int = 1) -> CompareAndAppend:
    upper = machine.state.upper
    return CompareAndAppend("w", f"{id(machine)}-{upper}", upper, ts(upper + by))


async def test_machines_follow_each_other(consensus: Consensus) -> None:
    first, second = Machine(SHARD, consensus), Machine(SHARD, consensus)
    assert await first.apply(advance(first)) == 1
    assert (await second.fetch()).upper == 1
    await second.apply(advance(second))
    with pytest.raises(UpperMismatchError) as raised:
        await first.apply(advance(first))
    assert raised.value.upper == 2
    assert first.state == second.state


async def test_contending_machines_lose_no_command(consensus: Consensus) -> None:
    async def register(name: str) -> None:
        machine = Machine(SHARD, consensus)
        for number in range(5):
            await machine.apply(RegisterCritical(f"{name}-{number}", 1))

    await asyncio.gather(*(register(name) for name in "abcd"))
    assert len((await Machine(SHARD, consensus).fetch()).critical) == 20


async def test_rollups_bound_the_log(consensus: Consensus) -> None:
    machine, lagging = Machine(SHARD, consensus), Machine(SHARD, consensus)
    await machine.apply(advance(machine))
    await lagging.fetch()
    for _ in range(5 * ENTRIES_PER_ROLLUP):
        await machine.apply(advance(machine))
    assert len(await consensus.scan(SHARD)) <= ENTRIES_PER_ROLLUP + 1
    assert await lagging.fetch() == machine.state
    assert await Machine(SHARD, consensus).fetch() == machine.state


@pytest.mark.parametrize("seed", range(5))
async def test_commands_on_a_failing_store_happen_once(
    memory_location: PersistLocation, seed: int
) -> None:
    rates = FaultRates(lost_request=0.1, lost_answer=0.2, late_landing=0.1, delay_turns=3)
    faults = FaultInjector(rates, seed)
    machine = Machine(SHARD, FaultyConsensus(memory_location.consensus, faults))
    for number in range(40):
        batch = ShardBatch(
            0, ts(number), ts(number + 1), MIN_TIMESTAMP, inline_batch([(b"%d" % number, 1)])
        )
        append = CompareAndAppend("w", str(number), ts(number), ts(number + 1), (batch,))
        assert await machine.apply(append) == number + 1
    await faults.drain()
    state = await Machine(SHARD, memory_location.consensus).fetch()
    assert [batch.lower for batch in state.batches] == list(range(40))
    assert faults.injected_count > 5


async def test_settling_many_finds_its_own_success(memory_location: PersistLocation) -> None:
    shards = [ShardId("s-a"), ShardId("s-b")]
    for seed in range(20):
        rates = FaultRates(lost_request=0.15, lost_answer=0.2, late_landing=0.1)
        faults = FaultInjector(rates, seed)
        consensus = FaultyConsensus(memory_location.consensus, faults)
        changes = [
            CompareAndSet(shard, seed or None, seed + 1, f"nonce {seed}".encode())
            for shard in shards
        ]
        assert await settle_compare_and_set(consensus, changes)
        await faults.drain()
        head = await memory_location.consensus.head(shards[1])
        assert head is not None
        assert head.seqno == seed + 1


async def collect(chunks: object) -> list[bytes]:
    rows: list[bytes] = []
    async for chunk in chunks:  # type: ignore[attr-defined]
        rows += chunk.rows
    return sorted(rows)


async def test_a_writer_creates_fills_and_is_read(location: PersistLocation) -> None:
    writer = await open_writer(location, SHARD, b"schema")
    await writer.compare_and_append([(inline_batch([(b"a", 1)]), ts(3))], ts(0), ts(5))
    await writer.compare_and_append([(inline_batch([(b"b", 1)]), ts(7))], ts(5), ts(10))
    await writer.compare_and_append([], ts(10), ts(20))
    assert writer.upper == await writer.fetch_upper() == 20
    assert await collect(snapshot(location, SHARD, ts(2))) == []
    assert await collect(snapshot(location, SHARD, ts(6))) == [b"a"]
    assert await collect(snapshot(location, SHARD, ts(7))) == [b"a", b"b"]
    with pytest.raises(UpperMismatchError):
        await writer.compare_and_append([], ts(10), ts(30))
    state = await Machine(SHARD, location.consensus).fetch()
    assert state.schema == b"schema"
    await writer.expire()


async def test_a_new_shard_is_created_by_its_critical_since(location: PersistLocation) -> None:
    since = await open_critical_since(location, SHARD, opaque=3, is_new=True)
    assert len(await location.consensus.scan(SHARD)) == 1
    assert await since.downgrade(ts(9)) == 9
    successor = await open_critical_since(location, SHARD, opaque=4)
    assert successor.since == 9
    with pytest.raises(RefusedError):
        await since.downgrade(ts(12))
    state = await Machine(SHARD, location.consensus).fetch()
    assert state.critical[CONTROLLER_READER].since == 9
    with pytest.raises(SinceError):
        await collect(snapshot(location, SHARD, ts(8)))


async def test_a_lease_keeps_blobs_that_were_merged_away(location: PersistLocation) -> None:
    writer = await open_writer(location, SHARD)
    builder = BatchBuilder(location.blob, part_prefix(SHARD, 1), inline_limit_bytes=0)
    builder.add(b"a", 1)
    await writer.compare_and_append([(await builder.finish(), ts(0))], ts(0), ts(5))
    leased = await open_leased_reader(location, SHARD)
    machine = Machine(SHARD, location.consensus)
    state = await machine.fetch()
    await machine.apply(Merge((state.batches[0].id,), ()))
    assert machine.state.collectible == ()
    assert await collect(leased.snapshot(ts(4))) == [b"a"]
    await leased.renew()
    await leased.expire()
    (item,) = (await machine.fetch()).collectible
    await location.blob.delete([item.key])
    with pytest.raises(MissingPartError):
        await collect(leased.snapshot(ts(4)))


async def test_listening_tells_each_change_once(location: PersistLocation) -> None:
    writer = await open_writer(location, SHARD)
    await writer.compare_and_append([(inline_batch([(b"old", 1)]), ts(0))], ts(0), ts(5))
    wake = asyncio.Event()
    async with contextlib.aclosing(listen(location, SHARD, ts(4), wake=wake)) as changes:  # type: ignore[type-var]
        await writer.compare_and_append([(inline_batch([(b"new", 1)]), ts(6))], ts(5), ts(10))
        chunks, upper = await anext(changes)
        assert upper == 10
        assert [(chunk.rows, chunk.times) for chunk in chunks] == [([b"new"], 6)]
        await writer.compare_and_append([], ts(10), ts(15))
        wake.set()
        assert await anext(changes) == ([], 15)


async def test_finalizing_leaves_nothing(location: PersistLocation) -> None:
    writer = await open_writer(location, SHARD)
    builder = BatchBuilder(location.blob, part_prefix(SHARD, 1), inline_limit_bytes=0)
    builder.add(b"a", 1)
    await writer.compare_and_append([(await builder.finish(), ts(0))], ts(0), ts(5))
    await location.blob.set(f"{part_prefix(SHARD, 1)}never-committed", b"x")
    await finalize_shard(location, SHARD)
    await finalize_shard(location, SHARD)
    assert await location.consensus.list_shards() == []
    assert await location.blob.list("") == []
