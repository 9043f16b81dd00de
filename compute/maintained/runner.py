"""Runs one dataflow: fills it with its inputs as of a time, then takes their changes time by time.

Every time that has changes is stepped on its own, since the contents must be right at each. What is
computed at once is bounded: large changes go in pieces of one time, in slices between which peeks
and other dataflows have their turn. A time at which nothing happens to the inputs costs nothing:
the frontier is computed when somebody asks.

A failure ends the dataflow and nothing else. It is reported, and environmentd asks for it anew.
"""

import asyncio
import contextlib
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from time import thread_time
from typing import Final

import msgspec
import structlog

from compute.dataflow.graph import Dataflow, Import
from compute.dataflow.updates import ErrorUpdates, Updates
from compute.dataflow_messages import ArrangementSize, DataflowDescription, DataflowFrontier
from compute.maintained.export import Export
from compute.maintained.feed import FeedLostError
from compute.maintained.index_export import IndexArrangement
from compute.maintained.index_feed import IndexFeed
from compute.maintained.inputs import Inputs
from compute.maintained.progress import Progress
from compute.maintained.rhythm import Changes, Rhythm, row_count
from compute.maintained.subscribe import needs_contents
from compute.scheduler import Scheduler
from core.errors import SqlError
from core.ids import MAX_TIMESTAMP, GlobalId, Timestamp
from persist.snapshot import SinceError

NO_GENERATION: Final = -1
NOTHING: Final = Dataflow()  # before the dataflow is built, and after its end

_log: Final = structlog.get_logger(__name__)

Connect = Callable[[Callable[[], None]], tuple[Dataflow, Inputs]]


class Phase(Enum):
    """What a dataflow is about."""

    HYDRATING = auto()
    RUNNING = auto()
    FAILED = auto()
    ENDED = auto()


class MaintainedDataflow:
    """One dataflow of a replica. `connect` builds it and its inputs, which call what they are given
    when there is something new; `on_event` is called when it is hydrated and when it fails."""

    def __init__(
        self,
        description: DataflowDescription,
        export: Export,
        connect: Connect,
        scheduler: Scheduler,
        progress: Progress,
        on_event: Callable[[GlobalId], None],
    ) -> None:
        self.description = description
        self.export = export
        self.phase = Phase.HYDRATING
        self.error: Exception | None = None
        self._connect = connect
        self._rhythm = Rhythm(scheduler)
        self._scheduler = scheduler
        self._progress = progress
        self._on_event = on_event
        self._dataflow = NOTHING
        self._inputs: Inputs | None = None
        self._journal: ErrorUpdates = []
        self._wake = asyncio.Event()
        self._stepping: Timestamp | None = None  # the upper while something is under way
        self._upper = description.as_of
        self._generation = NO_GENERATION
        self._task: asyncio.Task[None] | None = None
        self._start()

    @property
    def id(self) -> GlobalId:
        return self.description.id

    @property
    def is_live(self) -> bool:
        """Whether it has neither failed nor ended."""
        return self.phase in (Phase.HYDRATING, Phase.RUNNING)

    @property
    def upper(self) -> Timestamp:
        """The contents at times before are complete; `as_of` while hydrating."""
        if self.phase is Phase.RUNNING and self._generation != self._progress.generation:
            self._generation = self._progress.generation
            self._upper = self._computed_upper()
        return self._upper

    @property
    def frontier(self) -> DataflowFrontier:
        """What environmentd is told."""
        error = self.error
        return DataflowFrontier(
            self.id,
            self.upper,
            self.export.durable_upper,
            self.phase in (Phase.RUNNING, Phase.ENDED),
            None if error is None else f"{type(error).__name__}: {error}",
            self.export.is_fragmented,
            isinstance(error, SinceError),
        )

    @property
    def imported(self) -> list[IndexArrangement]:
        """The indexes that it looks up."""
        return [] if self._inputs is None else [feed.index for _, feed in self._inputs.imports]

    def maintains(self, description: DataflowDescription) -> bool:
        """Whether this is what `description` asks for, whenever it began; how much history an index
        retains is changed in place."""
        known = msgspec.structs.replace(
            self.description,
            as_of=description.as_of,
            retain_history_us=description.retain_history_us,
        )
        if known != description:
            return False
        if isinstance(self.export, IndexArrangement):
            self.export.retain_us = description.retain_history_us
        return True

    def tick(self) -> None:
        """Some time has passed: let the export know how far time is."""
        if self.phase is Phase.RUNNING:
            try:
                self.export.frontier(self.upper)
            except Exception as error:  # as if it had come of a step
                self._fail(error)

    def sizes(self) -> list[ArrangementSize]:
        """What each operator keeps and has cost, the export last."""
        found = [
            ArrangementSize(
                self.id,
                number,
                operator.name,
                operator.rows_kept,
                operator.size_bytes,
                operator.elapsed_ns // 1000,
                operator.rows_out,
            )
            for number, operator in enumerate(self._dataflow.operators)
        ]
        export = self.export
        name = type(export).__name__
        found.append(
            ArrangementSize(self.id, len(found), name, export.row_count, export.size_bytes, 0, 0)
        )
        return found

    def close(self) -> None:
        """Stop, and let go of everything."""
        if self.is_live:
            self.phase = Phase.ENDED
        self._release()
        self._progress.moved()

    # Its task

    def _start(self) -> None:
        task = self._task = asyncio.create_task(self._run(), name=f"maintain {self.id}")
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Break the circle of the task, where it stopped and this: nobody looks for garbage among
        what has lived for long."""
        self._task = None

    async def _run(self) -> None:
        try:
            self._dataflow, self._inputs = self._connect(self._wake.set)
            self._dataflow.errors.journal = self._journal
            await self._hydrate(self._inputs)
            await self._maintain(self._inputs)
        except Exception as error:  # whatever goes wrong must not reach the other dataflows
            self._fail(error)

    async def _hydrate(self, inputs: Inputs) -> None:
        as_of = self.description.as_of
        self.export.start(as_of, self)
        await inputs.open(as_of)
        self._rhythm.begin()
        self._dataflow.defer()
        self._emit(as_of, self._dataflow.start(as_of))
        feeds = inputs.feeds if needs_contents(self.description) else {}
        for id, feed in feeds.items():
            async with contextlib.aclosing(feed.snapshot(as_of)) as parts:
                async for part in parts:
                    await self._advance(as_of, {id: part.updates}, part.errors)
        for imported, index in inputs.imports:
            await self._hydrate_import(imported, index)
        await self._settle(as_of)
        self.phase = Phase.RUNNING
        self._completed()
        self._on_event(self.id)

    async def _hydrate_import(self, imported: Import, index: IndexFeed) -> None:
        as_of, dataflow = self.description.as_of, self._dataflow
        self._rhythm.restart()

        def feed(piece: Changes) -> Updates:
            return dataflow.feed_import(imported, piece[index.index.on])

        async with contextlib.aclosing(index.snapshot(as_of)) as parts:
            async for part in parts:
                self._count_errors(part.errors)
                if imported.feeds_snapshot:
                    await self._step(as_of, {index.index.on: part.updates}, feed)

    async def _maintain(self, inputs: Inputs) -> None:
        until = self.description.until
        while self.upper < until:
            try:
                next_ts = self._next_ts(inputs)
            except FeedLostError:
                await self._reopen(inputs)
                continue
            if next_ts < min(inputs.upper, until):
                await self._take(inputs, next_ts)
            else:
                await self._wait(inputs, min(next_ts, Timestamp(until - 1)))
        self.export.frontier(self.upper)
        self.phase = Phase.ENDED
        self._release()
        self._on_event(self.id)

    async def _reopen(self, inputs: Inputs) -> None:
        """Go on from where this is, with new cursors; meanwhile it does not move."""
        self._stepping = self._upper
        await inputs.open(max(Timestamp(self._upper - 1), self.description.as_of))
        self._stepping = None
        self._progress.moved()

    async def _take(self, inputs: Inputs, ts: Timestamp) -> None:
        self._stepping = ts
        parts = 0
        async for changes, errors in inputs.take(ts):
            parts += 1
            if parts > 1 or self._rhythm.is_large(changes):
                self._dataflow.defer()
            await self._advance(ts, changes, errors)
        await self._settle(ts)
        self._stepping = None
        self._completed()

    async def _wait(self, inputs: Inputs, ts: Timestamp) -> None:
        """Until there are changes, or, if something is known to be due at `ts`, the inputs have
        passed that."""
        self._wake.clear()
        token = None
        if ts < MAX_TIMESTAMP - 1:
            token = self._progress.when_past(lambda: inputs.upper, ts, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if token is not None:
                self._progress.forget(token)
        self._rhythm.begin()

    async def _advance(self, ts: Timestamp, changes: Changes, errors: ErrorUpdates) -> None:
        self._count_errors(errors)
        await self._step(ts, changes, partial(self._dataflow.step, ts))

    async def _step(
        self, ts: Timestamp, changes: Changes, step: Callable[[Changes], Updates]
    ) -> None:
        """Take the changes in, in as many pieces as it takes."""
        for piece in self._rhythm.pieces(changes):
            started = thread_time()
            self._emit(ts, step(piece))
            self._rhythm.learn(row_count(piece), thread_time() - started)
            await self._rest()

    async def _settle(self, ts: Timestamp) -> None:
        """Do what was left to the end of a large change."""
        while True:
            rows = self._rhythm.step_rows
            started = thread_time()
            updates = self._dataflow.settle(rows)
            if updates is None:
                return
            self._emit(ts, updates)
            self._rhythm.learn(rows, thread_time() - started)
            await self._rest()

    async def _rest(self) -> None:
        await self.export.room()
        await self._rhythm.rest()

    # What it does in one turn

    def _count_errors(self, errors: ErrorUpdates) -> None:
        for error, diff in errors:
            self._dataflow.errors.add(error, diff)

    def _emit(self, ts: Timestamp, updates: Updates) -> None:
        journal = self._journal
        if updates or journal:
            errors = journal.copy()
            journal.clear()
            self.export.changes(ts, updates, errors)

    def _completed(self) -> None:
        """A time is over."""
        self._progress.moved()
        self.export.frontier(self.upper)

    def _next_ts(self, inputs: Inputs) -> Timestamp:
        """When there is something to do next. Raises FeedLostError."""
        event = self._dataflow.next_event_time()
        return inputs.next_ts if event is None else min(event, inputs.next_ts)

    def _computed_upper(self) -> Timestamp:
        if self._stepping is not None:
            return self._stepping
        inputs = self._inputs
        assert inputs is not None
        try:
            return min(self._next_ts(inputs), inputs.upper, self.description.until)
        except FeedLostError:
            return self._upper

    def _fail(self, error: Exception) -> None:
        if not self.is_live:
            return
        if isinstance(error, SqlError):
            _log.warning("dataflow_failed", id=self.id, error=str(error))
        else:
            _log.error("dataflow_failed", id=self.id, exc_info=error)
        self.error = error.with_traceback(None)
        self.phase = Phase.FAILED
        self._release()
        self._progress.moved()
        self._on_event(self.id)

    def _release(self) -> None:
        if self._task is not None and asyncio.current_task() is not self._task:
            self._task.cancel()
        self.export.close()
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._dataflow is not NOTHING:
            self._scheduler.work_off(self._dataflow.dismantle())
            self._dataflow = NOTHING
