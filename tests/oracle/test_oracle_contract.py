"""What every timestamp oracle does, alone and behind the batching one."""

import asyncio

import pytest

from core.clock import MAX_LEAD_US
from core.errors import FencedError
from core.ids import Timestamp
from oracle.batching import BatchingOracle
from oracle.oracle import TimestampOracle
from tests.oracle.conftest import START, ManualClock, OracleStore


@pytest.fixture(params=["direct", "batching"])
async def oracle(request: pytest.FixtureRequest, store: OracleStore, clock: ManualClock):
    inner = await store.oracle(await store.take(), clock)
    if request.param == "direct":
        yield inner
        return
    batching = BatchingOracle(inner)
    yield batching
    await batching.close()


async def test_write_times_increase_and_follow_the_clock(
    oracle: TimestampOracle, clock: ManualClock
) -> None:
    times = [(await oracle.write_ts()).timestamp for _ in range(3)]
    assert times[0] >= START
    assert times == sorted(set(times))
    clock.now += 1_000_000
    assert (await oracle.write_ts()).timestamp == clock.now
    clock.now -= 2_000_000
    assert await oracle.peek_write_ts() > clock.now


async def test_reads_see_what_was_applied_and_nothing_later(oracle: TimestampOracle) -> None:
    first = (await oracle.write_ts()).timestamp
    assert (await oracle.read_ts()).read_ts < first
    await oracle.apply_write(first)
    assert (await oracle.read_ts()).read_ts == first
    second = (await oracle.write_ts()).timestamp
    assert (await oracle.read_ts()).read_ts < second
    await oracle.apply_write(Timestamp(first - 1))
    assert (await oracle.read_ts()).read_ts == first


async def test_applying_a_later_time_moves_write_times_past_it(oracle: TimestampOracle) -> None:
    later = Timestamp((await oracle.write_ts()).timestamp + 5_000)
    await oracle.apply_write(later)
    assert await oracle.peek_write_ts() == later
    assert (await oracle.write_ts()).timestamp > later


async def test_catalog_time_moves_with_catalog_changes_only(oracle: TimestampOracle) -> None:
    first = (await oracle.write_ts()).timestamp
    await oracle.apply_write(first, is_catalog_change=True)
    second = (await oracle.write_ts()).timestamp
    await oracle.apply_write(second)
    answer = await oracle.read_ts()
    assert (answer.read_ts, answer.catalog_ts) == (second, first)


async def test_concurrent_write_times_are_distinct(oracle: TimestampOracle) -> None:
    answers = await asyncio.gather(*(oracle.write_ts() for _ in range(40)))
    assert len({answer.timestamp for answer in answers}) == 40


async def test_concurrent_reads_and_writes_stay_linearizable(oracle: TimestampOracle) -> None:
    acknowledged = Timestamp(0)

    async def write() -> None:
        nonlocal acknowledged
        for _ in range(15):
            timestamp = (await oracle.write_ts()).timestamp
            await oracle.apply_write(timestamp)
            acknowledged = max(acknowledged, timestamp)

    async def read() -> None:
        for _ in range(30):
            lower_bound = acknowledged
            assert (await oracle.read_ts()).read_ts >= lower_bound

    await asyncio.gather(*(write() for _ in range(3)), *(read() for _ in range(5)))


async def test_a_takeover_shows_and_fences(store: OracleStore, clock: ManualClock) -> None:
    first = await store.take()
    old = await store.oracle(first, clock)
    timestamp = (await old.write_ts()).timestamp
    await old.apply_write(timestamp)
    second = await store.take()
    assert (await old.read_ts()).epoch == second.epoch == first.epoch + 1
    with pytest.raises(FencedError):
        await old.write_ts()
    with pytest.raises(FencedError):
        await old.apply_write(Timestamp(timestamp + 1))
    new = await store.oracle(second, clock)
    assert (await new.read_ts()).read_ts == timestamp
    assert (await new.write_ts()).timestamp > timestamp


async def test_time_waits_for_a_clock_that_was_set_back(
    store: OracleStore, clock: ManualClock
) -> None:
    oracle = await store.oracle(await store.take(), clock)
    await oracle.apply_write(Timestamp(START + MAX_LEAD_US + 1_000))
    waiting = asyncio.create_task(oracle.write_ts())
    await oracle.read_ts()
    assert not waiting.done()
    clock.now += 10_000
    assert (await waiting).timestamp > START + MAX_LEAD_US


async def test_waiting_reads_share_round_trips(store: OracleStore, clock: ManualClock) -> None:
    inner = CountingOracle(await store.oracle(await store.take(), clock))
    batching = BatchingOracle(inner)
    answers = await asyncio.gather(*(batching.read_ts() for _ in range(100)))
    assert len(set(answers)) == 1
    assert inner.read_count == 1
    await batching.read_ts()
    assert inner.read_count == 2
    await batching.close()


class CountingOracle:
    """Counts the reads that reach the inner oracle."""

    def __init__(self, inner: TimestampOracle) -> None:
        self._inner = inner
        self.read_count = 0
        self.write_ts = inner.write_ts
        self.peek_write_ts = inner.peek_write_ts
        self.apply_write = inner.apply_write

    async def read_ts(self):
        self.read_count += 1
        return await self._inner.read_ts()
