"""Load generators: what they make, and that it is in their shards exactly once."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compute.maintained.source as source_module
from compute.dataflow_messages import SourceExport
from compute.generators.generator import make_generator
from compute.maintained.progress import Progress
from compute.maintained.shard_feed import ShardFeeds
from compute.maintained.sink_writer import SinkWriter
from compute.maintained.source import LoadGeneratorSource
from compute.scheduler import Scheduler
from core.ids import ShardId, Timestamp
from core.load_generators import (
    OUTPUTS,
    PROGRESS,
    PROGRESS_DESC,
    LoadGenerator,
    LoadGeneratorKind,
)
from core.rows import Row, codec_for
from persist.faults import FaultInjector, FaultRates
from persist.machine import Machine
from persist.snapshot import read_state
from tests.compute.sink_environment import Database

RATES = FaultRates(
    lost_request=0.05, lost_answer=0.08, late_landing=0.08, conflict=0.05, delay_turns=3
)
AUCTION = LoadGenerator(LoadGeneratorKind.AUCTION, tick_us=1_000)
NAMES = (*OUTPUTS[AUCTION.kind], PROGRESS)


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "RETRY_S", 0)
    monkeypatch.setattr(source_module, "ROUND_S", 0)


class Process:
    """A replica with one source; the timeline is as far as its clock."""

    def __init__(self, database: Database, clock: Callable[[], int], faults: FaultInjector | None):
        location = database.location(faults)
        self._clock = clock
        self.feeds = ShardFeeds(location, Progress())
        self.sinks = SinkWriter(location.consensus, self.feeds)
        self.sinks.allow_writes(True)
        export = SourceExport(AUCTION, tuple((name, shard_of(name)) for name in NAMES))
        self.source = LoadGeneratorSource(
            export, self.sinks, location, Scheduler(), 1, self.feeds.progress.moved, clock
        )
        self.source.start(Timestamp(0), self)

    @property
    def upper(self) -> Timestamp:
        return Timestamp(self._clock())

    async def reach(self, upper: int) -> None:
        """Wait until that is durable."""
        async with asyncio.timeout(60):
            await self.feeds.progress.wait_past(
                lambda: self.source.durable_upper, Timestamp(upper - 1)
            )

    def kill(self) -> None:
        self.source.close()


def shard_of(name: str) -> ShardId:
    return ShardId(f"s-{name}")


async def contents(database: Database, name: str) -> Counter[Row]:
    """The rows of an output now, as a multiset."""
    desc = PROGRESS_DESC if name == PROGRESS else OUTPUTS[AUCTION.kind][name]
    decode = codec_for(desc.types).decode
    state = await Machine(shard_of(name), database.consensus).fetch()
    total: Counter[Row] = Counter()
    async for chunk in read_state(database.blob, state, Timestamp(state.upper - 1)):
        diffs = [chunk.diffs] * len(chunk.rows) if isinstance(chunk.diffs, int) else chunk.diffs
        for row, diff in zip(chunk.rows, diffs, strict=True):
            total[decode(row)] += diff
    return Counter({row: count for row, count in total.items() if count})


async def check(database: Database) -> int:
    """Every output holds what the ticks made of it, once; returns their number."""
    ((ticks,),) = await contents(database, PROGRESS)
    generator = make_generator(AUCTION)
    updates = list(generator.start(0))
    updates += itertools.chain.from_iterable(generator.tick(n, 0) for n in range(ticks))
    for name in OUTPUTS[AUCTION.kind]:
        found = await contents(database, name)
        without_times = sorted(row[:3] for row in found.elements())
        assert without_times == sorted(u.row[:3] for u in updates if u.output == name)
    return int(ticks)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["turns", "kill", "pause"]), st.integers(0, 1)), max_size=30
    ),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_ticks_are_written_once(
    schedule: list[tuple[str, int]], seed: int, is_failing: bool
) -> None:
    asyncio.run(simulate(schedule, seed, FaultInjector(RATES, seed) if is_failing else None))


async def simulate(
    schedule: list[tuple[str, int]], seed: int, faults: FaultInjector | None
) -> None:
    database, turns = Database(), random.Random(seed)
    for name in NAMES:
        await database.create(shard_of(name))
    now = itertools.count(1_000_000, 500)
    processes = [Process(database, lambda: next(now), faults) for _ in range(2)]
    for step, which in schedule:
        match step:
            case "turns":
                for _ in range(turns.randint(1, 200)):
                    await asyncio.sleep(0)
            case "kill":
                processes[which].kill()
                processes[which] = Process(database, lambda: next(now), faults)
            case "pause":
                sinks = processes[which].sinks
                sinks.allow_writes(not sinks.allowed.is_set())
    processes[1].kill()
    processes[0].sinks.allow_writes(True)
    upper = (await Machine(shard_of(PROGRESS), database.consensus).fetch()).upper
    await processes[0].reach(max(upper, 1) + 1)
    processes[0].kill()
    if faults is not None:
        await faults.drain()
    await check(database)


async def test_the_clock_moves_the_uppers_and_ticks_the_contents() -> None:
    database = Database()
    for name in NAMES:
        await database.create(shard_of(name))
    now = itertools.count(1_000_000, 500)
    process = Process(database, lambda: next(now), None)
    await process.reach(1_100_000)
    process.kill()
    assert await check(database) > 0
    states = [await Machine(shard_of(name), database.consensus).fetch() for name in NAMES]
    assert len({state.upper for state in states}) == 1


def test_a_counter_keeps_its_last_rows() -> None:
    generator = make_generator(LoadGenerator(LoadGeneratorKind.COUNTER, max_cardinality=3))
    rows: Counter[Row] = Counter()
    for number in range(10):
        for update in generator.tick(number, 0):
            rows[update.row] += update.diff
    assert [row for row, count in rows.items() if count] == [(8,), (9,), (10,)]


def test_tpch_rows_fit_their_columns_and_each_other() -> None:
    kind = LoadGeneratorKind.TPCH
    generator = make_generator(LoadGenerator(kind, scale_factor=0.001))
    tables: dict[str, Counter[Row]] = {name: Counter() for name in OUTPUTS[kind]}
    updates = list(generator.start(0))
    for number in range(3_500):  # more than all orders twice
        updates += generator.tick(number, 0)
    for update in updates:
        tables[update.output][update.row] += update.diff
    for name, desc in OUTPUTS[kind].items():
        codec = codec_for(tuple(t.base for t in desc.types))
        for row, count in tables[name].items():
            assert count in (0, 1)
            assert codec.decode(codec.encode(row)) == row
    orders = {row[0]: row for row, count in tables["orders"].items() if count}
    assert len(orders) == 1_500
    stocked = {row[:2] for row in tables["partsupp"]}
    assert len(stocked) == 4 * 200
    lines = [row for row, count in tables["lineitem"].items() if count]
    assert {line[0] for line in lines} == set(orders)
    assert {(line[1], line[2]) for line in lines} <= stocked
    assert sum(count for row, count in tables["lineitem"].items()) == len(lines)
