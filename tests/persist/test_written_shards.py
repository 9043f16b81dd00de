"""Shards that other processes write directly: kept small, and gone for good once finalized."""

import pytest

from core.ids import MIN_TIMESTAMP, ShardId, Timestamp
from persist.batches import UpdateChunk, inline_chunk_batch
from persist.handles import finalize_shard, open_shard
from persist.location import PersistLocation
from persist.machine import Machine, RefusedError, apply_together
from persist.shard_state import BecomeTombstone, CompareAndAppend, ShardBatch
from persist.snapshot import check_since, read_state
from tests.persist.txns_environment import MemoryEnvironment

SHARD = ShardId("s-view")


def append(machine: Machine, row: bytes, old: bytes | None) -> CompareAndAppend:
    """Replace `old` by `row` at the shard's upper."""
    lower = machine.state.upper
    rows = [row] if old is None else [row, old]
    chunk = UpdateChunk(rows, [1, -1][: len(rows)], lower)
    batch = ShardBatch(
        0, lower, Timestamp(lower + 1), MIN_TIMESTAMP, inline_chunk_batch(chunk), None
    )
    return CompareAndAppend("sink", f"{lower}", lower, Timestamp(lower + 1), (batch,))


async def test_ten_thousand_changes_leave_a_small_shard() -> None:
    process = await MemoryEnvironment().take_over()
    writer, location = process.writer, process.location
    await open_shard(location, SHARD, 1, MIN_TIMESTAMP)
    writer.set_since_provider(lambda shard: Timestamp(2**62))
    machine = Machine(SHARD, location.consensus)
    await machine.fetch()
    old: bytes | None = None
    most_batches = 0
    for number in range(10_000):
        row = b"row %d" % number + b"x" * 40
        await machine.apply(append(machine, row, old))
        old = row
        if number % 100 == 99:
            writer.notice_written(SHARD)
            await writer.maintain(SHARD)
            await machine.fetch()
            most_batches = max(most_batches, len(machine.state.batches))
    state = machine.state
    assert state.since == state.upper - 1
    assert most_batches <= 16
    assert len(await location.consensus.scan(SHARD)) <= 64
    assert len(await location.blob.list(f"{SHARD}/")) <= 4
    check_since(state, Timestamp(state.upper - 1))
    rows = [
        (row, chunk.diffs)
        async for chunk in read_state(location.blob, state, Timestamp(state.upper - 1))
        for row in chunk.rows
    ]
    assert rows == [(old, 1)]


async def test_since_of_a_written_shard_stays_below_its_upper() -> None:
    process = await MemoryEnvironment().take_over()
    location = process.location
    await open_shard(location, SHARD, 1, MIN_TIMESTAMP)
    process.writer.set_since_provider(lambda shard: Timestamp(2**62))
    machine = Machine(SHARD, location.consensus)
    await machine.fetch()
    for number in range(20):
        await machine.apply(append(machine, b"%d" % number, None))
    await process.writer.maintain(SHARD)
    assert (await machine.fetch()).since == 19


async def test_nothing_brings_a_finalized_shard_back(location: PersistLocation) -> None:
    assert (await open_shard(location, SHARD, 1, Timestamp(5))).since == 5
    lagging, other = Machine(SHARD, location.consensus), Machine(SHARD, location.consensus)
    await lagging.fetch()
    await other.fetch()
    await lagging.apply(append(lagging, b"a", None))
    await finalize_shard(location, SHARD)
    for machine in (lagging, other):
        with pytest.raises(RefusedError):
            await machine.apply(append(machine, b"b", None))
    assert not await apply_together(location.consensus, [(lagging, append(lagging, b"b", None))])
    assert await location.consensus.list_shards() == []
    assert await location.blob.list("") == []


async def test_opening_creates_once_and_never_a_tombstone(location: PersistLocation) -> None:
    assert (await open_shard(location, SHARD, 1, Timestamp(3))).since == 3
    assert (await open_shard(location, SHARD, 1, Timestamp(7))).since == 3
    machine = Machine(SHARD, location.consensus)
    await machine.fetch()
    await machine.apply(BecomeTombstone())
    with pytest.raises(RefusedError):
        await open_shard(location, SHARD, 1, Timestamp(9))
