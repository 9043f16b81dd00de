"""Compaction against a naive sum: reads at and after the since stay the same."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ids import MIN_TIMESTAMP, ShardId, Timestamp
from persist.batches import (
    Batch,
    BatchBuilder,
    BatchPart,
    MissingPartError,
    UpdateChunk,
    inline_chunk_batch,
    part_prefix,
    read_batch,
)
from persist.compaction import FAN_IN, awaits_since, plan_merge, run_merge
from persist.memory import MemoryBlob
from persist.shard_state import (
    Accepted,
    CompareAndAppend,
    DowngradeCritical,
    ShardBatch,
    ShardState,
    apply_diff,
    transition,
)
from persist.snapshot import read_state

PREFIX = part_prefix(ShardId("s-table"), 1)
Updates = list[tuple[bytes, int]]


async def appended(
    blob: MemoryBlob, state: ShardState, updates: Updates, *, part_bytes: int | None = None
) -> ShardState:
    """Append updates at times upper, upper + 1, … in one batch, inline or in parts."""
    lower = state.upper
    upper = Timestamp(lower + len(updates))
    builder = BatchBuilder(
        blob,
        PREFIX,
        inline_limit_bytes=0 if part_bytes else 1 << 20,
        part_limit_bytes=part_bytes or 1 << 20,
    )
    for offset, (row, diff) in enumerate(updates):
        builder.add(row, diff, Timestamp(lower + offset))
        await builder.flush_full()
    batch = await builder.finish()
    added = ShardBatch(0, lower, upper, MIN_TIMESTAMP, batch)
    return accepted(state, CompareAndAppend("w", str(upper), lower, upper, (added,)))


def accepted(state: ShardState, command: object) -> ShardState:
    outcome = transition(state, command)  # type: ignore[arg-type]
    assert isinstance(outcome, Accepted), outcome
    return state if outcome.diff is None else apply_diff(state, state.seqno + 1, outcome.diff)


async def compacted(blob: MemoryBlob, state: ShardState, since: Timestamp) -> ShardState:
    """Merge until there is nothing left to do."""
    for _ in range(100):
        plan = plan_merge(state, since)
        if plan is None:
            return state
        merge = await run_merge(blob, plan, PREFIX)
        state = accepted(state, DowngradeCritical("c", 1, plan.since))
        state = accepted(state, merge)
    raise AssertionError("compaction does not come to an end")


async def contents(blob: MemoryBlob, state: ShardState, as_of: int) -> Counter[bytes]:
    total: Counter[bytes] = Counter()
    async for chunk in read_state(blob, state, Timestamp(as_of)):
        diffs = [chunk.diffs] * len(chunk.rows) if isinstance(chunk.diffs, int) else chunk.diffs
        for row, diff in zip(chunk.rows, diffs, strict=True):
            total[row] += diff
    return Counter({row: count for row, count in total.items() if count})


updates = st.lists(
    st.tuples(st.sampled_from([b"", b"a", b"b", b"c" * 30, b"d"]), st.sampled_from([1, 1, -1, 3])),
    min_size=1,
    max_size=12,
)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(updates, st.sampled_from([None, 1, 60])), min_size=1, max_size=24),
    st.floats(0, 1),
)
def test_reads_from_the_since_on_stay_the_same(
    batches: list[tuple[Updates, int | None]], since_fraction: float
) -> None:
    async def check() -> None:
        blob, state = MemoryBlob(), ShardState()
        for batch, part_bytes in batches:
            state = await appended(blob, state, batch, part_bytes=part_bytes)
        since = Timestamp(int((state.upper - 1) * since_fraction))
        times = range(since, state.upper)
        before = [await contents(blob, state, at) for at in times]
        merged = await compacted(blob, state, since)
        assert merged.upper == state.upper
        assert [await contents(blob, merged, at) for at in times] == before
        assert len(merged.batches) < FAN_IN * 4

    asyncio.run(check())


async def test_a_mass_delete_frees_everything() -> None:
    blob, state = MemoryBlob(), ShardState()
    rows = [f"row {number}".encode() for number in range(5_000)]
    for _ in range(2):
        state = await appended(blob, state, [(row, 1) for row in rows], part_bytes=4_000)
    state = await appended(blob, state, [(row, -2) for row in rows], part_bytes=4_000)
    assert awaits_since(state)
    assert plan_merge(state, MIN_TIMESTAMP) is None or state.since == 0
    state = await compacted(blob, state, Timestamp(state.upper - 1))
    assert state.batches == ()
    assert len(state.garbage) == len(await blob.list("", limit=10_000))
    assert not awaits_since(state)


async def test_full_parts_without_retractions_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("persist.compaction.PART_LIMIT_BYTES", 1_000)
    blob, state = MemoryBlob(), ShardState()
    for _ in range(20):
        state = await appended(blob, state, [(b"x" * 50, 1)] * 40, part_bytes=1_000)
    assert plan_merge(state, Timestamp(state.upper - 1)) is None


async def test_too_many_inline_bytes_become_one_blob() -> None:
    blob, state = MemoryBlob(), ShardState()
    for _ in range(5):
        state = await appended(blob, state, [(b"x" * 500, 1)] * 30)
    assert all(batch.batch.inline_bytes for batch in state.batches)
    state = await compacted(blob, state, MIN_TIMESTAMP)
    assert sum(batch.batch.inline_bytes for batch in state.batches) == 0
    assert len(state.batches) == 1


async def test_a_failed_merge_leaves_no_blob() -> None:
    blob, state = MemoryBlob(), ShardState()
    for _ in range(FAN_IN):
        state = await appended(blob, state, [(b"x" * 500, 1)] * 40, part_bytes=5_000)
    plan = plan_merge(state, MIN_TIMESTAMP)
    assert plan is not None
    last = plan.sources[-1]
    missing = last.batch.batch.parts[last.part_indexes[-1]].key
    assert missing is not None
    await blob.delete([missing])
    keys = await blob.list("")
    with pytest.raises(MissingPartError):
        await run_merge(blob, plan, PREFIX)
    assert await blob.list("") == keys


async def test_builders_spill_and_abort() -> None:
    blob = MemoryBlob()
    builder = BatchBuilder(blob, PREFIX, part_limit_bytes=100)
    for number in range(50):
        builder.add(f"row {number}".encode(), 1 if number % 2 else -1)
        await builder.flush_full()
    batch = await builder.finish()
    assert set(batch.keys) == set(await blob.list(""))
    assert sum(part.retraction_count for part in batch.parts) == 25
    rows = [row async for chunk in read_batch(blob, batch) for row in chunk.rows]
    assert rows == [f"row {number}".encode() for number in range(50)]
    await builder.abort()
    assert await blob.list("") == []


def test_small_chunks_stand_inline() -> None:
    batch = inline_chunk_batch(UpdateChunk([b"a", b"b"], -1))
    (part,) = batch.parts
    assert isinstance(part, BatchPart)
    assert (part.key, part.update_count, part.retraction_count) == (None, 2, 2)
    assert inline_chunk_batch(UpdateChunk([])) == Batch((), 0)
