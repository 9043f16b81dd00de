"""The sink of a materialized view: takes a dataflow's output and says what to append to its shard.

`SinkWriter` appends, for all sinks of a replica together; here is what belongs to one of them. The
shard's upper decides everything: a change is in the shard exactly when its time is below the upper,
and only a compare-and-append on the upper that is known here moves it. Whenever the upper turns out
to be another one than expected, the updates since are read back and subtracted from what is
desired; the difference (none, unless something was wrong) goes out with the next append.

A replica that may not write keeps its output until another's appends have passed it, so that it
can go on at once when the other is gone.

Memory is bounded by backpressure: `room` holds the dataflow up while too much waits at times that
could be appended; the changes of one time are as many as they are.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from time import perf_counter
from typing import Final, NamedTuple, Protocol

import structlog

from compute.dataflow.updates import ErrorUpdates, Updates
from compute.maintained.export import Upper
from compute.maintained.outstanding import Change, Outstanding
from compute.maintained.written_shard import WrittenShard
from compute.metrics import SINK_CORRECTIONS, SINK_UPDATES
from compute.scheduler import SLICE_S, Scheduler
from core.errors import DeterminateError, StorageError
from core.ids import MIN_TIMESTAMP, Timestamp, next_timestamp
from core.rows import RowCodec
from persist.batches import Batch, BatchBuilder, part_prefix
from persist.blob import Blob
from persist.compaction import awaits_since
from persist.machine import RefusedError
from persist.shard_state import CompareAndAppend, ShardBatch, ShardState

MAX_WAITING: Final = 200_000  # updates, past the snapshot's
APPEND_LIMIT: Final = 100_000  # updates, about, in one append
SMALL_APPEND: Final = 500  # updates that are encoded at once
RETRY_S: Final = 0.5
ROW_BYTES: Final = 150  # about what an update kept here occupies
WRITER_NAME: Final = "sink"

Work = Callable[[], Awaitable[None]]

_log: Final = structlog.get_logger(__name__)


class SinkOwner(Protocol):
    """What a sink tells the replica's writer."""

    def changed(self, sink: "Sink") -> None:
        """There is something new to append."""
        ...

    def remove(self, sink: "Sink") -> None:
        """The sink is closed."""
        ...


class Consumer(Protocol):
    """Follows a sink's output before it is durable."""

    def produced(self, ts: Timestamp, updates: Updates, errors: ErrorUpdates) -> None: ...

    def produced_before(self, upper: Timestamp) -> None: ...

    def ended(self) -> None:
        """The output cannot be taken for the shard's contents any more."""
        ...


class Append(NamedTuple):
    """An append that is ready to be sent; sent again it is the same."""

    command: CompareAndAppend
    batch: Batch


class Phase(Enum):
    """What a sink does about its shard."""

    UNKNOWN = auto()  # the shard's state must be fetched before anything is appended
    OPENING = auto()  # it is being fetched, or updates are being read back
    SETTLED = auto()  # everything before the known upper is accounted for
    GONE = auto()  # the shard was dropped


class Sink:
    """An `Export`. `report` is called when what somebody waits for has become
    durable."""

    def __init__(
        self,
        shard: WrittenShard,
        codec: RowCodec,
        owner: SinkOwner,
        scheduler: Scheduler,
        blob: Blob,
        epoch: int,
        report: Callable[[], None],
    ) -> None:
        self.shard = shard
        self.phase = Phase.UNKNOWN
        self.may_write = False
        self.is_awaited = False  # somebody elsewhere waits for the upper to move
        self.outstanding = Outstanding(codec.encode, MIN_TIMESTAMP)
        self.append: Append | None = None
        self.consumers: list[Consumer] = []
        self._codec = codec
        self._owner = owner
        self._scheduler = scheduler
        self._blob = blob
        self._epoch = epoch
        self._report = report
        self._dataflow: Upper | None = None
        self._frontier = MIN_TIMESTAMP
        self._failure: Exception | None = None
        self._is_closed = False
        self._has_settled = False
        self._has_written = False  # since it may: no time before the known upper was then trusted
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        shard.add_listener(self._shard_advanced)

    # What the dataflow's runner calls.

    def start(self, as_of: Timestamp, dataflow: Upper) -> None:
        self._dataflow = dataflow
        self.outstanding = Outstanding(self._codec.encode, as_of)
        self._shard_advanced()

    def changes(self, ts: Timestamp, updates: Updates, errors: ErrorUpdates) -> None:
        self._check()
        self.outstanding.add(Change(ts, updates, errors))
        if ts > self.outstanding.as_of:
            for consumer in self.consumers:
                consumer.produced(ts, updates, errors)

    def frontier(self, upper: Timestamp) -> None:
        self._check()
        was_hydrated = self.is_hydrated
        self._frontier = upper
        for consumer in tuple(self.consumers):
            consumer.produced_before(upper)
        self._check_consumers()
        if not was_hydrated:
            self.shard.touch()
        if not self.outstanding.is_empty or not was_hydrated:
            self._owner.changed(self)

    async def room(self) -> None:
        self._check()
        while self.outstanding.past_count > MAX_WAITING:
            self._room.clear()
            self._owner.changed(self)
            await self._room.wait()
            self._check()

    @property
    def durable_upper(self) -> Timestamp:
        return self.shard.upper

    @property
    def is_fragmented(self) -> bool:
        return self.may_write and awaits_since(self.shard.machine.state)

    @property
    def row_count(self) -> int:
        return self.outstanding.count

    @property
    def size_bytes(self) -> int:
        return self.outstanding.count * ROW_BYTES

    def allow_compaction(self, since: Timestamp) -> None:
        """Nothing here is read at a time."""

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self.shard.remove_listener(self._shard_advanced)
        self._owner.remove(self)
        self.may_write = False
        self.gone()
        if self._task is not None:
            self._task.cancel()

    # What the writer calls.

    @property
    def as_of(self) -> Timestamp:
        return self.outstanding.as_of

    @property
    def is_hydrated(self) -> bool:
        return self._frontier > self.outstanding.as_of

    @property
    def is_live(self) -> bool:
        """Whether the shard's contents are the output, or will be: the changes that wait, and those
        that come, are all there is from the shard's upper on."""
        outstanding = self.outstanding
        return (
            self.is_hydrated
            and self.phase is not Phase.GONE
            and (self._has_settled or not outstanding.is_compared)
            and not outstanding.corrections
            and self.upper >= outstanding.upper
        )

    @property
    def upper(self) -> Timestamp:
        """The output before it is complete, here and now."""
        if self._dataflow is None or not self.is_hydrated:
            return self._frontier
        return max(self._frontier, self._dataflow.upper)

    @property
    def wants_opening(self) -> bool:
        """Whether `open` is what is to be done next."""
        return self._may_begin and self.phase is Phase.UNKNOWN

    @property
    def is_due(self) -> bool:
        """Whether the shard's upper can be moved."""
        return (
            self._may_begin
            and self.phase is Phase.SETTLED
            and (self.append is not None or self.upper > self.outstanding.upper)
        )

    @property
    def _may_begin(self) -> bool:
        return self.may_write and self.is_hydrated and self._task is None

    async def prepare(self) -> None:
        """Make `append` what is to be sent next, unless it exists already: little is encoded at
        once; for much a task is started, after which the owner is told."""
        if self.append is not None:
            return
        through = self.outstanding.last_time(self.upper, APPEND_LIMIT)
        if self.outstanding.count <= SMALL_APPEND:
            await self._encode(through)
        else:
            self._start(lambda: self._encode(through), "encode")

    def appended(self) -> None:
        """`append` is in the shard."""
        assert self.append is not None
        upper, count = self.append.command.upper, self.append.batch.update_count
        self.append = None
        SINK_UPDATES.inc(count)
        corrected = len(self.outstanding.corrections)
        if corrected and self.outstanding.upper > MIN_TIMESTAMP:
            SINK_CORRECTIONS.inc(corrected)
            _log.warning("view_corrected", shard=self.shard.id, updates=corrected)
        self.outstanding.appended(upper)
        self.shard.advanced(upper)
        self._room.set()
        if count or self.is_awaited:
            self.is_awaited = False
            self._report()

    def refetch(self) -> None:
        """The shard may have moved: look before anything else is sent."""
        if self.phase is not Phase.GONE:
            self.phase = Phase.UNKNOWN

    def allow_writes(self, is_allowed: bool) -> None:
        """Whether this replica writes. Before it does it looks where the shard is."""
        if is_allowed != self.may_write:
            self._has_written = False
            self.refetch()
        self.may_write = is_allowed

    def gone(self) -> None:
        """The shard was dropped; this dataflow soon is."""
        self.phase = Phase.GONE
        self.outstanding.forget()
        self._end_consumers()
        self._room.set()

    def open(self) -> None:
        """Find out where the shard is, in a task, after which the owner is told."""
        self.phase = Phase.OPENING
        self._start(self._open, "open")

    async def _open(self) -> None:
        """Account for everything that the shard holds."""
        state = await self.shard.fetch()
        if state.seqno == 0:
            raise DeterminateError("the shard does not exist yet")
        append, self.append = self.append, None
        if append is not None and append.command.lower == state.upper:
            self.append = append  # sent again, it is the same
        elif append is not None:
            await self._discard(append.batch, state)
        outstanding = self.outstanding
        if state.upper > outstanding.upper:
            is_first = outstanding.is_compared and not self._has_settled
            if is_first or self._has_written:
                await self._compare(state)
            else:
                outstanding.trust(state.upper)
        if self.phase is Phase.OPENING:
            self.phase = Phase.SETTLED
            self._has_written = self._has_settled = True
            self._check_consumers()
            self.shard.touch()

    async def _compare(self, state: ShardState) -> None:
        """Subtract what others appended since the upper known here."""
        outstanding, upper = self.outstanding, self.outstanding.upper
        outstanding.compare(state.upper)
        after = Timestamp(upper - 1) if upper else None
        chunks = self.shard.read(state, after, Timestamp(state.upper - 1))
        try:
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    await self._scheduler.run(outstanding.subtract(chunk))
        except StorageError as error:  # what was subtracted cannot be told from what was not
            self._fail(error)

    async def _encode(self, through: Timestamp) -> None:
        """Make everything up to `through` an append."""
        builder = BatchBuilder(self._blob, part_prefix(self.shard.id, self._epoch))
        try:
            deadline = perf_counter() + SLICE_S
            for _ in self.outstanding.encoded(through, builder.add):
                if builder.is_full:
                    await builder.flush_full()
                if perf_counter() > deadline:
                    await self._scheduler.turn()
                    deadline = perf_counter() + SLICE_S
            batch = await builder.finish()
        except BaseException:
            await asyncio.shield(_abort(builder))
            raise
        lower, upper = self.outstanding.upper, next_timestamp(through)
        batches = (ShardBatch(0, lower, upper, MIN_TIMESTAMP, batch),) if batch.parts else ()
        token = uuid.uuid4().hex
        command = CompareAndAppend(WRITER_NAME, token, lower, upper, batches)
        self.append = Append(command, batch)

    async def _discard(self, batch: Batch, state: ShardState) -> None:
        """Delete the parts of an append that can never be accepted any more, since the upper has
        moved. If it was itself what moved it, the shard keeps them."""
        unused = [key for key in batch.keys if key not in state.keys]
        if unused:
            await self._blob.delete(unused)

    def _start(self, work: Work, verb: str) -> None:
        self._task = asyncio.create_task(self._run(work), name=f"{verb} {self.shard.id}")

    async def _run(self, work: Work) -> None:
        try:
            await work()
        except RefusedError:
            self.gone()
        except StorageError as error:
            _log.warning("sink_delayed", shard=self.shard.id, error=str(error))
            self.refetch()
            await asyncio.sleep(RETRY_S)
        except Exception as error:  # a bug: the dataflow is to be made anew
            _log.exception("sink_failed", shard=self.shard.id)
            self._fail(error)
        finally:
            self._task = None
        self._owner.changed(self)

    def _shard_advanced(self) -> None:
        """Somebody said that the shard's upper has moved."""
        if not self.may_write:
            self._has_written = False
            self.outstanding.trust(self.shard.upper)
            self._room.set()

    def _check_consumers(self) -> None:
        """What is to be corrected is in no change that consumers were told of."""
        if self.outstanding.corrections and self._frontier >= self.outstanding.upper:
            self._end_consumers()

    def _end_consumers(self) -> None:
        for consumer in tuple(self.consumers):
            consumer.ended()

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self.gone()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure


async def _abort(builder: BatchBuilder) -> None:
    with contextlib.suppress(StorageError, OSError):
        await builder.abort()
