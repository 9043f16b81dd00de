"""Indexes forget their past while others look them up at times of their own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import expr.library  # noqa: F401
from compute.maintained import index_export
from core.ids import Timestamp
from core.sql_types import INT4
from expr.relation import Join
from expr.scalar import ColumnRef
from persist.snapshot import SinceError
from persist.txn_reader import TxnsReader
from tests.compute.replica import Replica, table, write
from tests.persist.txns_environment import OTHER, TABLE, TXNS, MemoryEnvironment

BOTH = Join((table("u1"), table("u2")), ((ColumnRef(0, INT4), ColumnRef(1, INT4)),))

PAIRS = Join((table("u1"), table("u2")), ())

# Whether rows come or go, where, and whether anybody waits for what follows from it.
Change = tuple[bool, int, bool, bool]
CHANGES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 3), st.booleans(), st.booleans()), min_size=1
)


@settings(max_examples=40, deadline=None)
@given(changes=CHANGES)
async def test_what_is_forgotten_is_needed_by_nobody(changes: list[Change]) -> None:
    process = await MemoryEnvironment().take_over()
    writer = process.writer
    replica = Replica(process, await TxnsReader.open(process.location, TXNS))
    registry = replica.registry
    start = await writer.commit([], register=[TABLE, OTHER])
    first = replica.create_index("u1", table("u1"), start, u1=TABLE)
    both = replica.create_index("u3", BOTH, start, u1=TABLE, u2=OTHER)
    assert await replica.rows(both, start) == []
    contents: dict[str, list[int]] = {TABLE: [], OTHER: []}
    for comes, number, is_first, is_read in changes:
        shard = TABLE if is_first else OTHER
        numbers = contents[shard]
        if comes or number not in numbers:
            numbers.append(number)
            ts = await writer.commit([write(shard, number)])
        else:
            numbers.remove(number)
            ts = await writer.commit([write(shard, number, diff=-1)])
        await replica.reader.catch_up()
        registry.allow_compaction(ts)  # before the dataflows have taken the commit
        if is_read:
            expected = sorted((n, n) for n in contents[TABLE] for m in contents[OTHER] if n == m)
            assert await replica.rows(both, ts) == expected
            registry.allow_compaction(ts)
            assert len(await replica.rows(first, ts)) == len(contents[TABLE])
            assert registry.index(first).since <= ts
    last = Timestamp(writer.upper - 1)
    await replica.rows(both, last)
    registry.drop(first)
    ts = await writer.commit([write(TABLE, 0), write(OTHER, 0)])
    found = await replica.rows(both, ts)
    assert found.count((0, 0)) == (contents[TABLE].count(0) + 1) * (contents[OTHER].count(0) + 1)
    await replica.close()


async def test_an_index_retains_as_much_of_its_past_as_was_asked_for() -> None:
    process = await MemoryEnvironment().take_over()
    writer = process.writer
    replica = Replica(process, await TxnsReader.open(process.location, TXNS))
    start = await writer.commit([], register=[TABLE])
    index = replica.create_index("u1", table("u1"), start, retain_us=1_000_000, u1=TABLE)
    old = await writer.commit([write(TABLE, 1)])
    new = await writer.commit([write(TABLE, 2)], not_before=Timestamp(old + 900_000))
    assert await replica.rows(index, new) == [(1,), (2,)]
    replica.registry.allow_compaction(new)
    assert await replica.rows(index, old) == [(1,)]
    last = await writer.commit([], not_before=Timestamp(old + 1_200_000))
    assert await replica.rows(index, last) == [(1,), (2,)]
    replica.registry.allow_compaction(last)
    await replica.rows(index, last)
    with pytest.raises(SinceError):
        await replica.rows(index, old)
    assert await replica.rows(index, new) == [(1,), (2,)]
    replica.create_index("u1", table("u1"), last, u1=TABLE)  # the same one retains nothing now
    replica.registry.allow_compaction(last)
    await replica.rows(index, last)
    with pytest.raises(SinceError):
        await replica.rows(index, Timestamp(new - 1))
    await replica.close()


async def test_a_lookup_that_pauses_finds_what_was_there() -> None:
    process = await MemoryEnvironment().take_over()
    writer = process.writer
    replica = Replica(process, await TxnsReader.open(process.location, TXNS))
    start = await writer.commit([write(OTHER, 1), write(TABLE, 1, 1, 2)], register=[TABLE, OTHER])
    index = replica.create_index("u3", PAIRS, start, u1=TABLE, u2=OTHER)
    reader = await replica.registry.index_reads.read(index, start)
    found = iter(reader.lookup((1,)))
    first = next(found)
    for number in range(3, 10):
        ts = await writer.commit([write(OTHER, number)])
    assert len(await replica.rows(index, ts)) == 24
    assert sorted([first, *found]) == [((1, 1), 2)]
    reader.release()
    await replica.close()


async def test_a_read_that_costs_too_much_history_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_export, "MAX_HISTORY_BYTES", 1000)
    monkeypatch.setattr(index_export, "LEAST_HISTORY_US", 1)
    process = await MemoryEnvironment().take_over()
    writer = process.writer
    replica = Replica(process, await TxnsReader.open(process.location, TXNS))
    start = await writer.commit([write(TABLE, *range(3000))], register=[TABLE])
    index = replica.create_index("u1", table("u1"), start, u1=TABLE)
    reader = await replica.registry.index_reads.read(index, start)
    rows = reader.scan(None)
    assert len(next(rows)) == 1024
    ts = await writer.commit([write(TABLE, 1, 2)])
    await replica.rows(index, ts)
    replica.registry.allow_compaction(start)
    assert len(next(rows)) == 1024  # not enough yet
    ts = await writer.commit([write(TABLE, 3, 4, 5)])
    assert len(await replica.rows(index, ts)) == 3005
    replica.registry.allow_compaction(start)
    with pytest.raises(SinceError):
        next(rows)
    with pytest.raises(SinceError):
        await replica.rows(index, start)
    reader.release()
    assert len(await replica.rows(index, ts)) == 3005
    await replica.close()
