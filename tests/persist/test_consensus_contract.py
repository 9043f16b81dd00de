"""What every Consensus does, on memory and on PostgreSQL at each isolation level."""

import asyncio
from typing import Any

import pytest

from core.errors import DeterminateError, FencedError
from core.ids import ShardId
from persist.consensus import CompareAndSet, Consensus, VersionedData

SHARD = ShardId("s-one")
OTHER = ShardId("s-two")


def change(expected: int | None, seqno: int, data: bytes, shard: ShardId = SHARD) -> CompareAndSet:
    return CompareAndSet(shard, expected, seqno, data)


async def test_an_absent_shard_has_no_head(consensus: Consensus) -> None:
    assert await consensus.head(SHARD) is None
    assert await consensus.scan(SHARD) == []
    assert not await consensus.compare_and_set(change(1, 2, b"x"))
    assert await consensus.list_shards() == []


async def test_entries_follow_each_other(consensus: Consensus) -> None:
    assert await consensus.compare_and_set(change(None, 1, b"a"))
    assert await consensus.compare_and_set(change(1, 2, b""))
    assert await consensus.compare_and_set(change(2, 7, b"\x00\xff"))
    assert await consensus.head(SHARD) == VersionedData(7, b"\x00\xff")
    assert [entry.seqno for entry in await consensus.scan(SHARD)] == [1, 2, 7]
    assert [entry.data for entry in await consensus.scan(SHARD, 2)] == [b"", b"\x00\xff"]
    assert [entry.seqno for entry in await consensus.scan(SHARD, 0, 2)] == [1, 2]


async def test_a_stale_expectation_changes_nothing(consensus: Consensus) -> None:
    assert await consensus.compare_and_set(change(None, 1, b"a"))
    assert not await consensus.compare_and_set(change(None, 1, b"b"))
    assert not await consensus.compare_and_set(change(None, 5, b"b"))
    assert await consensus.compare_and_set(change(1, 2, b"c"))
    assert not await consensus.compare_and_set(change(1, 2, b"d"))
    assert [entry.data for entry in await consensus.scan(SHARD)] == [b"a", b"c"]


async def test_one_of_many_racers_wins(consensus: Consensus) -> None:
    async def race(expected: int | None, seqno: int) -> list[bytes]:
        values = [f"{seqno}-{racer}".encode() for racer in range(8)]
        outcomes = await asyncio.gather(
            *(consensus.compare_and_set(change(expected, seqno, value)) for value in values)
        )
        return [value for value, is_set in zip(values, outcomes, strict=True) if is_set]

    winners = [await race(None, 1)]
    for seqno in range(2, 12):
        winners.append(await race(seqno - 1, seqno))
    assert all(len(winner) == 1 for winner in winners)
    assert [entry.data for entry in await consensus.scan(SHARD)] == [w[0] for w in winners]


async def test_a_stale_writer_loses_to_truncation(consensus: Consensus) -> None:
    assert await consensus.compare_and_set(change(None, 1, b"a"))
    for seqno in range(2, 22):
        outcomes = await asyncio.gather(
            consensus.compare_and_set(change(seqno - 1, seqno, b"new")),
            consensus.truncate(SHARD, seqno - 1),
            consensus.compare_and_set(change(seqno - 2, seqno - 1, b"stale")),
        )
        assert outcomes[0] is True
        assert outcomes[2] is False
    assert await consensus.head(SHARD) == VersionedData(21, b"new")


async def test_truncation_stops_at_the_head(consensus: Consensus) -> None:
    await consensus.compare_and_set(change(None, 1, b"a"))
    await consensus.compare_and_set(change(1, 2, b"b"))
    await consensus.compare_and_set(change(2, 3, b"c"))
    assert await consensus.truncate(SHARD, 3) == 2
    assert await consensus.truncate(SHARD, 3) == 0
    with pytest.raises(DeterminateError):
        await consensus.truncate(SHARD, 4)
    with pytest.raises(DeterminateError):
        await consensus.truncate(OTHER, 1)
    assert await consensus.scan(SHARD) == [VersionedData(3, b"c")]
    assert await consensus.head(SHARD) == VersionedData(3, b"c")


async def test_many_shards_are_set_together_or_not_at_all(consensus: Consensus) -> None:
    both = [change(None, 1, b"a"), change(None, 1, b"b", OTHER)]
    assert await consensus.compare_and_set_many(both)
    assert not await consensus.compare_and_set_many(both)
    stale = [change(1, 2, b"c"), change(0, 2, b"d", OTHER)]
    assert not await consensus.compare_and_set_many(stale)
    assert await consensus.head(SHARD) == VersionedData(1, b"a")
    fresh = [change(1, 2, b"c"), change(1, 3, b"d", OTHER)]
    assert await consensus.compare_and_set_many(fresh)
    assert await consensus.head(OTHER) == VersionedData(3, b"d")
    third = ShardId("s-three")
    partly_new = [change(None, 1, b"x", third), change(None, 1, b"x", OTHER)]
    assert not await consensus.compare_and_set_many(partly_new)
    assert await consensus.head(third) is None
    assert await consensus.compare_and_set_many([])


async def test_mixtures_and_repetitions_are_refused(consensus: Consensus) -> None:
    await consensus.compare_and_set(change(None, 1, b"a"))
    with pytest.raises(ValueError, match="mixed"):
        await consensus.compare_and_set_many([change(1, 2, b""), change(None, 1, b"", OTHER)])
    with pytest.raises(ValueError, match="distinct"):
        await consensus.compare_and_set_many([change(1, 2, b""), change(1, 2, b"")])


async def test_racing_groups_never_interleave(consensus: Consensus) -> None:
    shards = [ShardId(f"s-{number}") for number in range(6)]
    assert await consensus.compare_and_set_many([change(None, 1, b"", s) for s in shards])

    async def writer(name: bytes, order: list[ShardId]) -> int:
        wins = 0
        for _ in range(10):
            heads = [await consensus.head(shard) for shard in order]
            changes = [
                change(head.seqno, head.seqno + 1, name, shard)
                for head, shard in zip(heads, order, strict=True)
                if head is not None
            ]
            wins += await consensus.compare_and_set_many(changes)
        return wins

    wins = sum(await asyncio.gather(writer(b"a", shards), writer(b"b", shards[::-1])))
    logs = [[entry.data for entry in await consensus.scan(shard)] for shard in shards]
    assert all(log == logs[0] for log in logs)
    assert len(logs[0]) == wins + 1


async def test_a_removed_shard_is_gone(consensus: Consensus) -> None:
    await consensus.compare_and_set(change(None, 1, b"a"))
    await consensus.compare_and_set(change(None, 1, b"b", OTHER))
    await consensus.remove(SHARD)
    await consensus.remove(SHARD)
    assert await consensus.head(SHARD) is None
    assert await consensus.list_shards() == [OTHER]


async def test_shards_are_listed_in_pages(consensus: Consensus) -> None:
    shards = sorted(ShardId(f"s-{number:02}") for number in range(12))
    await consensus.compare_and_set_many([change(None, 1, b"", shard) for shard in shards])
    first = await consensus.list_shards(limit=5)
    assert first == shards[:5]
    assert await consensus.list_shards(after=first[-1]) == shards[5:]


async def test_a_fenced_writer_changes_nothing(store: Any) -> None:
    old = store.open(await store.take())
    assert await old.compare_and_set(change(None, 1, b"old"))
    new = store.open(await store.take())
    for attempt in (
        old.compare_and_set(change(1, 2, b"late")),
        old.compare_and_set(change(None, 1, b"late", OTHER)),
        old.compare_and_set_many([change(1, 2, b"l"), change(5, 6, b"l", OTHER)]),
        old.compare_and_set_many([change(None, 1, b"l", OTHER)]),
        old.truncate(SHARD, 1),
        old.remove(SHARD),
        store.open(None).compare_and_set(change(1, 2, b"none")),
    ):
        with pytest.raises(FencedError):
            await attempt
    assert await old.head(SHARD) == VersionedData(1, b"old")
    assert await new.compare_and_set(change(1, 2, b"new"))
    assert await new.list_shards() == [SHARD]


async def test_no_write_lands_after_a_takeover(store: Any) -> None:
    """A writer in full flight while the epoch is taken: every acknowledged write precedes what the
    new leader sees, and nothing is added behind it."""
    old = store.open(await store.take())
    await old.compare_and_set(change(None, 1, b""))
    acknowledged = 1
    started = asyncio.Event()

    async def write() -> None:
        nonlocal acknowledged
        while True:
            assert await old.compare_and_set(change(acknowledged, acknowledged + 1, b""))
            acknowledged += 1
            if acknowledged == 20:
                started.set()

    writer = asyncio.create_task(write())
    await started.wait()
    new = store.open(await store.take())
    seen = await new.head(SHARD)
    with pytest.raises(FencedError):
        await writer
    assert seen is not None
    assert seen.seqno == acknowledged
    assert await new.head(SHARD) == seen
