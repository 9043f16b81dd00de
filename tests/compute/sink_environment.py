"""A materialized view's history and replicas that write it to a shard in memory."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from compute.dataflow.updates import ErrorUpdates, Updates
from compute.maintained.data_errors import decode_error, is_error
from compute.maintained.progress import Progress
from compute.maintained.shard_feed import ShardFeeds
from compute.maintained.sink import Sink
from compute.maintained.sink_writer import SinkWriter
from compute.scheduler import Scheduler
from core.errors import SqlError
from core.ids import MAX_TIMESTAMP, ShardId, Timestamp
from core.rows import RowCodec
from core.sql_types import INT4, TEXT
from persist.batches import part_prefix
from persist.compaction import plan_merge, run_merge
from persist.faults import FaultInjector, FaultyConsensus
from persist.handles import CONTROLLER_READER, open_shard
from persist.location import PersistLocation
from persist.machine import Machine
from persist.memory import MemoryBlob, MemoryConsensus, MemoryFences, MemoryLogs
from persist.shard_state import DowngradeCritical, ShardState
from persist.snapshot import read_state

VIEW = ShardId("s-view")
CODEC = RowCodec((INT4, TEXT))
Contents = dict[object, int]


def error(number: int) -> SqlError:
    return SqlError("22012", f"division by zero {number}")


class History:
    """What the view contains at every time below `upper`; it begins, empty, at time 10."""

    def __init__(self) -> None:
        self.upper = Timestamp(11)
        self._changes: list[tuple[Timestamp, Updates, ErrorUpdates]] = []

    def add(self, updates: Updates, errors: ErrorUpdates, *, gap: int = 1) -> None:
        """A change at the next time, `gap` after the last one."""
        ts = Timestamp(self.upper + gap - 1)
        self._changes.append((ts, updates, errors))
        self.upper = Timestamp(ts + 1)

    def after(
        self, after: int, through: int = MAX_TIMESTAMP
    ) -> list[tuple[Timestamp, Updates, ErrorUpdates]]:
        return [change for change in self._changes if after < change[0] <= through]

    def contents(self, as_of: int) -> Contents:
        total: Counter[object] = Counter()
        for _, updates, errors in self.after(-1, as_of):
            for row, diff in updates:
                total[row] += diff
            for found, diff in errors:
                total[found.message] += diff
        return {row: count for row, count in total.items() if count}


class Database:
    """The stores, for any number of replicas of one environment."""

    def __init__(self) -> None:
        self._fences, self._logs = MemoryFences(), MemoryLogs()
        self._fence = self._fences.take("test")
        self.blob = MemoryBlob()
        self.consensus = MemoryConsensus(self._logs, self._fences, self._fence)

    def location(self, faults: FaultInjector | None = None) -> PersistLocation:
        consensus = self.consensus if faults is None else FaultyConsensus(self.consensus, faults)
        return PersistLocation("", consensus, self.blob, self._fence, None)

    def take_over(self) -> None:
        """A newer environmentd: those before are fenced."""
        self._fence = self._fences.take("test")
        self.consensus = MemoryConsensus(self._logs, self._fences, self._fence)

    async def create(self, shard: ShardId = VIEW) -> None:
        await open_shard(self.location(), shard, self._fence.epoch, Timestamp(0))

    async def compact(self, since: Timestamp) -> None:
        """Merge everything, as environmentd does, with times advanced to `since`."""
        machine = Machine(VIEW, self.consensus)
        plan = plan_merge(await machine.fetch(), since)
        if plan is not None:
            merge = await run_merge(self.blob, plan, part_prefix(VIEW, self._fence.epoch))
            downgrade = DowngradeCritical(CONTROLLER_READER, self._fence.epoch, since)
            await machine.apply(msgspec.structs.replace(merge, downgrade=downgrade))

    async def state(self, shard: ShardId = VIEW) -> ShardState:
        return await Machine(shard, self.consensus).fetch()

    async def contents(self, state: ShardState, as_of: int) -> Contents:
        total: Counter[object] = Counter()
        async for chunk in read_state(self.blob, state, Timestamp(as_of)):
            diffs = [chunk.diffs] * len(chunk.rows) if isinstance(chunk.diffs, int) else chunk.diffs
            for row, diff in zip(chunk.rows, diffs, strict=True):
                total[decode_error(row).message if is_error(row) else CODEC.decode(row)] += diff
        return {row: count for row, count in total.items() if count}


def row(number: int) -> tuple[int, str]:
    return (number, f"row {number}")


class Random:
    """Makes changes of a view that are always possible."""

    def __init__(self, history: History, seed: int) -> None:
        self.history = history
        self._random = random.Random(seed)
        self._present: list[tuple[int, str]] = []
        self._errors: list[int] = []

    def change(self) -> None:
        draw = self._random
        updates: Updates = []
        for _ in range(draw.randint(0, 4)):
            if self._present and draw.random() < 0.5:
                updates.append((self._present.pop(draw.randrange(len(self._present))), -1))
            else:
                self._present.append(row(draw.randrange(6)))
                updates.append((self._present[-1], 1))
        if draw.random() < 0.3:  # what cancels within one time
            updates += [(row(99), 2), (row(99), -2)]
        errors = []
        if self._errors and draw.random() < 0.5:
            errors.append((error(self._errors.pop()), -1))
        elif draw.random() < 0.2:
            self._errors.append(draw.randrange(2))
            errors.append((error(self._errors[-1]), 1))
        self.history.add(updates, errors, gap=draw.choice([1, 1, 7]))


@dataclass
class Replica:
    """One process: its view of the history so far, and a sink. Made within a running loop."""

    database: Database
    history: History
    as_of: Timestamp
    faults: FaultInjector | None = None
    shard: ShardId = VIEW
    shared: ShardFeeds | None = None
    upper: Timestamp = Timestamp(0)
    reports: list[None] = field(default_factory=list)

    def __post_init__(self) -> None:
        location = self.database.location(self.faults)
        assert location.fence is not None
        self.feeds = self.shared or ShardFeeds(location, Progress())
        self.progress = self.feeds.progress
        self.writer = SinkWriter(location.consensus, self.feeds)
        self.written = self.feeds.shard(self.shard)
        self.sink = Sink(
            self.written,
            CODEC,
            self.writer,
            Scheduler(),
            location.blob,
            location.fence.epoch,
            lambda: self.reports.append(None),
        )
        self.writer.add(self.sink)
        self.upper = self.as_of
        self.sink.start(self.as_of, self)
        self.task = asyncio.create_task(self.writer.run(), name="sink writer")

    def hydrate(self) -> None:
        """Give the contents at the as_of, unconsolidated."""
        for _, updates, errors in self.history.after(-1, self.as_of):
            self.sink.changes(self.as_of, updates, errors)
        self.reach(Timestamp(self.as_of + 1))

    def follow(self, count: int | None = None) -> None:
        """Take the next `count` changes (None: all)."""
        if self.upper <= self.as_of:
            self.hydrate()
        changes = self.history.after(self.upper - 1)
        for ts, updates, errors in changes[:count]:
            self.sink.changes(ts, updates, errors)
            self.reach(Timestamp(ts + 1))
        if count is None or count > len(changes):
            self.reach(self.history.upper)

    async def kill(self) -> None:
        """End the process wherever it is."""
        self.task.cancel()
        await asyncio.wait([self.task])
        self.sink.close()

    def reach(self, upper: Timestamp) -> None:
        """What comes before `upper` is known now."""
        self.upper = upper
        self.progress.moved()
        self.sink.frontier(upper)


async def until_durable(replica: Replica, upper: Timestamp) -> None:
    """Wait until the replica knows the shard's upper to be `upper`."""
    reached = asyncio.Event()

    def advanced() -> None:
        if replica.written.upper >= upper:
            reached.set()

    replica.written.add_listener(advanced)
    advanced()
    async with asyncio.timeout(30):
        await reached.wait()
    replica.written.remove_listener(advanced)


async def check(database: Database, history: History, shard: ShardId = VIEW) -> None:
    """The shard holds the history: the same contents at every time from its since on."""
    state = await database.state(shard)
    first = max(state.since, 10)
    times = {ts for ts, _, _ in history.after(first)} | {first, state.upper - 1}
    for ts in sorted(times):
        if ts < state.upper:
            assert await database.contents(state, ts) == history.contents(ts), ts
