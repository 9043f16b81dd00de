"""A load generator, run in a replica: its ticks' changes and the number of ticks made are appended
to the shards of its outputs and of its progress, all in one statement.

Hence exactly once: whatever dies, the progress says how many ticks are in the outputs, and the next
tick is the one after. A statement that finds any of the shards moved does nothing; then the shards
are looked at again. Times are the clock's, but never before what the timeline has reached. When
time has passed without a tick the uppers move alone, so that readers need not wait for the next.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Final

import structlog

from compute.dataflow.updates import ErrorUpdates, Updates
from compute.dataflow_messages import SourceExport
from compute.generators.generator import make_generator
from compute.generators.updates import GeneratedUpdate
from compute.maintained.export import Upper
from compute.maintained.sink_writer import SinkWriter
from compute.metrics import SOURCE_TICKS
from compute.scheduler import SLICE_S, Scheduler
from core.clock import Clock, system_clock
from core.errors import DeterminateError, FencedError, StorageError
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp
from core.load_generators import OUTPUTS, PROGRESS, PROGRESS_DESC
from core.rows import RowCodec, codec_for
from core.sql_types import RelationDesc
from persist.batches import Batch, BatchBuilder, part_prefix
from persist.compaction import awaits_since
from persist.location import PersistLocation
from persist.machine import Machine, RefusedError, apply_together
from persist.shard_state import CompareAndAppend, ShardBatch, ShardState
from persist.snapshot import read_state

ROUND_S: Final = 0.1
RETRY_S: Final = 0.5
LOOKS: Final = 10  # until all shards are seen at one upper, while another replica moves them
MAX_TICKS: Final = 1_000  # in one append, when ticks were missed
WRITER_NAME: Final = "source"

_log: Final = structlog.get_logger(__name__)


class LoadGeneratorSource:
    """An `Export` of a dataflow that has no rows of its own."""

    def __init__(
        self,
        export: SourceExport,
        sinks: SinkWriter,
        location: PersistLocation,
        scheduler: Scheduler,
        epoch: int,
        report: Callable[[], None],
        clock: Clock = system_clock,
    ) -> None:
        self._clock = clock
        self._sinks = sinks
        self._location = location
        self._scheduler = scheduler
        self._epoch = epoch
        self._report = report
        self._tick_s = export.generator.tick_us / 1e6
        self._generator = make_generator(export.generator)
        descs = {**OUTPUTS[export.generator.kind], PROGRESS: PROGRESS_DESC}
        self._machines = {name: Machine(shard, location.consensus) for name, shard in export.shards}
        self._codecs = {name: _codec(descs[name]) for name in self._machines}
        self._upper = MIN_TIMESTAMP
        self._ticks: int | None = None  # made so far; None: not even the first contents
        self._next_tick_s = 0.0
        self._dataflow: Upper | None = None
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, as_of: Timestamp, dataflow: Upper) -> None:
        self._dataflow = dataflow
        self._task = asyncio.create_task(self._run(), name="run source")

    def changes(self, ts: Timestamp, updates: Updates, errors: ErrorUpdates) -> None:
        """The dataflow's relation is empty."""

    def frontier(self, upper: Timestamp) -> None:
        if self._failure is not None:
            raise self._failure

    async def room(self) -> None:
        """Nothing waits here."""

    @property
    def durable_upper(self) -> Timestamp:
        return self._upper

    @property
    def is_fragmented(self) -> bool:
        return any(awaits_since(machine.state) for machine in self._machines.values())

    @property
    def row_count(self) -> int:
        return 0

    @property
    def size_bytes(self) -> int:
        return 0

    def allow_compaction(self, since: Timestamp) -> None:
        """Nothing here is read at a time."""

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._sinks.allowed.wait()
            try:
                await self._resume()
                await self._go_on()
            except RefusedError:
                return  # the source was dropped
            except FencedError as error:
                _log.warning("source_stopped", error=str(error))
                return
            except StorageError as error:
                _log.warning("source_delayed", error=str(error))
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # a bug: the dataflow is made anew
                self._failure = error
                raise

    async def _resume(self) -> None:
        """Find out how far the shards are."""
        progress = await self._fetch()
        upper = progress.upper
        if upper != self._upper or self._ticks is None:
            self._ticks = await self._progress(progress) if upper else None
            self._next_tick_s = time.monotonic() + self._tick_s
            self._advanced(upper)

    async def _fetch(self) -> ShardState:
        """The state of the progress, all other shards being as far."""
        machines = self._machines.values()
        for _ in range(LOOKS):
            states = await asyncio.gather(*(machine.fetch_moved() for machine in machines))
            if any(state.is_tombstone for state in states):
                raise RefusedError("the source was dropped")
            if any(state.seqno == 0 for state in states):
                raise DeterminateError("the shards do not exist yet")
            if len({state.upper for state in states}) == 1:
                return self._machines[PROGRESS].state
        raise DeterminateError("another replica keeps moving the shards")

    async def _progress(self, state: ShardState) -> int:
        counts: dict[bytes, int] = {}
        chunks = read_state(self._location.blob, state, Timestamp(state.upper - 1))
        async for chunk in chunks:
            diffs = chunk.diffs
            if isinstance(diffs, int):
                diffs = [diffs] * len(chunk.rows)
            for row, diff in zip(chunk.rows, diffs, strict=True):
                counts[row] = counts.get(row, 0) + diff
        (row,) = [row for row, count in counts.items() if count]
        return int(self._codecs[PROGRESS].decode(row)[0])

    async def _go_on(self) -> None:
        """Tick until the shards turn out to have moved, or writing is not allowed any more."""
        assert self._dataflow is not None
        while self._sinks.allowed.is_set():
            if self._ticks is None:
                first = self._generator.start(self._clock())
                is_appended = await self._append(first, None, 0)
            elif due := self._due_ticks():
                ticks = range(self._ticks, self._ticks + due)
                is_appended = await self._append(self._made(ticks), self._ticks, ticks.stop)
            elif self._dataflow.upper > self._upper:
                is_appended = await self._append((), self._ticks, self._ticks)
            else:
                await self._pause()
                continue
            if not is_appended:
                return
            await asyncio.sleep(min(ROUND_S, max(0.0, self._until_tick_s())))

    def _made(self, ticks: Iterable[int]) -> Iterator[GeneratedUpdate]:
        for number in ticks:
            yield from self._generator.tick(number, self._clock())

    def _until_tick_s(self) -> float:
        return self._next_tick_s - time.monotonic() if self._tick_s else ROUND_S

    def _due_ticks(self) -> int:
        late_s = -self._until_tick_s()
        if not self._tick_s or late_s < 0:
            return 0
        count = min(MAX_TICKS, 1 + int(late_s / self._tick_s))
        self._next_tick_s = max(self._next_tick_s + count * self._tick_s, time.monotonic())
        return count

    async def _pause(self) -> None:
        """Until the next tick, or until the timeline has passed what is durable here."""
        dataflow, progress = self._dataflow, self._sinks.shards.progress
        assert dataflow is not None
        passed = asyncio.Event()
        token = progress.when_past(lambda: dataflow.upper, self._upper, passed.set)
        try:
            async with asyncio.timeout(self._until_tick_s() if self._tick_s else None):
                await passed.wait()
        except TimeoutError:
            return
        finally:
            progress.forget(token)

    async def _append(
        self, updates: Iterable[GeneratedUpdate], made: int | None, making: int
    ) -> bool:
        """Append the updates, and `making` in place of `made` as the progress; whether the shards
        were where they are known to be. What was uploaded for a failure whose outcome is unknown
        stays: the next boot sweeps it."""
        assert self._dataflow is not None
        batches = await self._batches(updates, made, making)
        ts = Timestamp(max(self._clock(), self._dataflow.upper, self._upper))
        upper = Timestamp(ts + 1)
        commands = [
            (machine, self._command(batches.get(name), ts, upper))
            for name, machine in self._machines.items()
        ]
        if not await apply_together(self._location.consensus, commands):
            keys = [key for batch in batches.values() for key in batch.keys]
            if keys:
                await self._location.blob.delete(keys)
            return False
        SOURCE_TICKS.inc(making - (made or 0))
        self._ticks = making
        self._advanced(upper)
        self._report()
        return True

    def _command(self, batch: Batch | None, ts: Timestamp, upper: Timestamp) -> CompareAndAppend:
        added: tuple[ShardBatch, ...] = ()
        if batch is not None and batch.parts:
            added = (ShardBatch(0, self._upper, upper, MIN_TIMESTAMP, batch, ts),)
        return CompareAndAppend(WRITER_NAME, uuid.uuid4().hex, self._upper, upper, added)

    async def _batches(
        self, updates: Iterable[GeneratedUpdate], made: int | None, making: int
    ) -> dict[str, Batch]:
        builders = {name: self._builder(m.shard) for name, m in self._machines.items()}
        try:
            deadline = perf_counter() + SLICE_S
            for update in updates:
                builder = builders.get(update.output)
                if builder is None:
                    continue  # FOR TABLES leaves this one out
                builder.add(self._codecs[update.output].encode(update.row), update.diff)
                if builder.is_full:
                    await builder.flush_full()
                if perf_counter() > deadline:
                    await self._scheduler.turn()
                    deadline = perf_counter() + SLICE_S
            encode = self._codecs[PROGRESS].encode
            if made != making:
                if made is not None:
                    builders[PROGRESS].add(encode((made,)), -1)
                builders[PROGRESS].add(encode((making,)), 1)
            return {name: await builder.finish() for name, builder in builders.items()}
        except BaseException:
            await asyncio.shield(_abort(builders.values()))
            raise

    def _builder(self, shard: ShardId) -> BatchBuilder:
        return BatchBuilder(self._location.blob, part_prefix(shard, self._epoch))

    def _advanced(self, upper: Timestamp) -> None:
        self._upper = upper
        for machine in self._machines.values():
            self._sinks.shards.advanced(machine.shard, upper)


def _codec(desc: RelationDesc) -> RowCodec:
    return codec_for(tuple(t.base for t in desc.types))


async def _abort(builders: Iterable[BatchBuilder]) -> None:
    for builder in builders:
        with contextlib.suppress(StorageError, OSError):
            await builder.abort()
