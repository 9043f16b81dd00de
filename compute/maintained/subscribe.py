"""The replica's end of a subscription: changes out, as fast as the subscriber takes them.

The changes at one time are a *moment*: collected and consolidated while the dataflow is at that
time, encoded when it is their turn. At most SUBSCRIBE_WINDOW_BYTES are under way; what is complete
and waits behind the moment that is being sent is bounded by the description, as is the size of one
moment. A subscriber who stays further behind is told so and gets no more: memory does not grow
with its slowness. Errors in data end a subscription too, after all that came before them.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from time import perf_counter
from typing import Final

from compute.dataflow.updates import Errors, ErrorUpdates, Updates
from compute.dataflow_messages import (
    SUBSCRIBE_WINDOW_BYTES,
    CollectionKind,
    DataflowDescription,
    SubscribeBatch,
    SubscribeError,
    SubscribeExport,
    SubscribeRows,
)
from compute.execution import LARGE_BYTES
from compute.maintained.export import Upper
from compute.maintained.row_changes import RowChanges
from compute.maintained.subscribe_rows import ChangeEncoder, EncodedRows
from compute.maintained.subscriptions import Subscriptions
from compute.protocol import MAX_FRAME_BYTES
from compute.scheduler import SLICE_S, Scheduler
from core.errors import CONFIGURATION_LIMIT_EXCEEDED, PROGRAM_LIMIT_EXCEEDED, SqlError
from core.ids import MIN_TIMESTAMP, Timestamp, next_timestamp
from core.rows import codec_for
from expr.relation import Get, Project, column_types

MAX_PIECE_BYTES: Final = MAX_FRAME_BYTES - 2 * SUBSCRIBE_WINDOW_BYTES
PROGRESS_INTERVAL_S: Final = 0.5  # of batches that tell of nothing but time


def needs_contents(description: DataflowDescription) -> bool:
    """Whether a dataflow must be filled before its changes mean anything. Who subscribes to a table
    without a snapshot needs the table's changes alone: nothing is computed, so nothing is kept and
    nothing can fail."""
    export, relation = description.export, description.relation
    if not isinstance(export, SubscribeExport) or export.with_snapshot:
        return True
    while isinstance(relation, Project):
        relation = relation.input
    is_table = all(source.kind is CollectionKind.TABLE for source in description.sources)
    return not (isinstance(relation, Get) and is_table)


class _Moment:
    """The changes at one time, or the error that ends the subscription there."""

    __slots__ = ("changes", "error", "pieces", "ts")

    def __init__(
        self, ts: Timestamp, changes: RowChanges | None = None, error: SqlError | None = None
    ) -> None:
        self.ts = ts
        self.changes = changes
        self.error = error
        self.pieces: Iterator[EncodedRows | None] | None = None

    @property
    def size_bytes(self) -> int:
        return 0 if self.changes is None else self.changes.size_bytes


class SubscribeSink:
    """An export; see the module docstring."""

    durable_upper = MIN_TIMESTAMP

    def __init__(
        self,
        description: DataflowDescription,
        subscriptions: Subscriptions,
        scheduler: Scheduler,
    ) -> None:
        export = description.export
        assert isinstance(export, SubscribeExport)
        types = column_types(description.relation)
        self._id = description.id
        self._until = description.until
        self._export = export
        self._encoder = ChangeEncoder(export, types)
        self._encode_row = codec_for(tuple(t.base for t in types)).encode
        self._subscriptions = subscriptions
        self._scheduler = scheduler
        self._errors = Errors()
        self._first = description.as_of  # the earliest time whose changes are sent
        self._open: _Moment | None = None
        self._queue: deque[_Moment] = deque()  # complete; the first one is being sent
        self._waiting_bytes = 0  # of those behind the first
        self._upper = MIN_TIMESTAMP  # as given to us
        self._sent_upper = MIN_TIMESTAMP
        self._sent_at = 0.0
        self._credit = SUBSCRIBE_WINDOW_BYTES
        self._is_queued = False
        self._is_ending = False  # an error was met: take no more in
        self._is_over = False
        subscriptions.add(self._id, self)

    @property
    def is_fragmented(self) -> bool:
        return False

    @property
    def row_count(self) -> int:
        return sum(len(moment.changes or ()) for moment in self._moments())

    @property
    def size_bytes(self) -> int:
        return sum(moment.size_bytes for moment in self._moments())

    def start(self, as_of: Timestamp, dataflow: Upper) -> None:
        self._first = as_of if self._export.with_snapshot else next_timestamp(as_of)

    def changes(self, ts: Timestamp, updates: Updates, errors: ErrorUpdates) -> None:
        if self._is_ending or ts >= self._until:
            return
        moment = self._open
        if moment is None or moment.ts != ts:
            self._close_moment()
            moment = self._open = _Moment(ts, RowChanges(self._encode_row))
        for error, diff in errors:
            self._errors.add(error, diff)
        changes = moment.changes
        if ts < self._first or changes is None:
            return
        changes.add(updates)
        if changes.size_bytes > self._export.max_moment_bytes:
            changes.measure()
            if changes.size_bytes > self._export.max_moment_bytes:
                self._fail(self._too_large())

    def frontier(self, upper: Timestamp) -> None:
        if self._is_ending:
            return
        if self._open is not None and self._open.ts < upper:
            self._close_moment()
        self._upper = max(self._upper, min(upper, self._until))
        if self._queue or (self._upper > self._sent_upper and self._is_progress_due()):
            self._enqueue()

    async def room(self) -> None:
        """Changes are taken in as they come: a slow subscriber is not waited for."""

    def allow_compaction(self, since: Timestamp) -> None:
        """What was sent is not kept."""

    def close(self) -> None:
        """The dataflow ends; if all is known that was asked for, the rest of it is still sent."""
        if self._upper < self._until and not self._is_ending:
            self.drop()

    def drop(self) -> None:
        """Nobody listens any more. Idempotent."""
        self._is_over = True
        self._subscriptions.remove(self._id)
        self._take_no_more()

    def add_credit(self, size_bytes: int) -> None:
        """`size_bytes` more may be under way."""
        self._credit += size_bytes
        if self._queue:
            self._enqueue()

    # Taking in -----------------------------------------------------------------------------------

    def _moments(self) -> Iterator[_Moment]:
        yield from self._queue
        if self._open is not None:
            yield self._open

    def _close_moment(self) -> None:
        """The changes at the open moment's time are complete."""
        moment, self._open = self._open, None
        if moment is None:
            return
        error = self._errors.first()
        if error is not None:
            moment = _Moment(moment.ts, error=error)
            self._is_ending = True
        elif not moment.changes:
            return
        if self._queue:
            self._waiting_bytes += moment.size_bytes
            if self._waiting_bytes > self._export.max_waiting_bytes:
                self._fail(self._too_slow())
                return
        self._queue.append(moment)
        if self._is_ending:
            self._enqueue()

    def _too_slow(self) -> SqlError:
        limit = self._export.max_waiting_bytes
        return SqlError(
            CONFIGURATION_LIMIT_EXCEEDED,
            "the subscription is too far behind: its changes are not read as fast as they come",
            detail=f"More than {limit} bytes of changes wait to be read.",
            hint="Read faster, or raise max_subscribe_backlog. To go on where this subscription"
            " ended, subscribe again AS OF the time of the last progress message minus 1,"
            " WITH (SNAPSHOT = false).",
        )

    def _too_large(self) -> SqlError:
        return SqlError(
            CONFIGURATION_LIMIT_EXCEEDED,
            "the changes at one time are too large to be subscribed to",
            detail=f"They take more than {self._export.max_moment_bytes} bytes.",
            hint="Subscribe to fewer rows or columns, or raise compute_memory_limit.",
        )

    def _fail(self, error: SqlError) -> None:
        """End now, without what waits."""
        self._take_no_more()
        self._queue.append(_Moment(self._sent_upper, error=error))
        self._enqueue()

    def _take_no_more(self) -> None:
        self._is_ending = True
        for moment in self._moments():
            self._free(moment)
        self._open = None
        self._queue.clear()

    def _free(self, moment: _Moment) -> None:
        """Let go of a moment, in steps if it is large."""
        moment.pieces = None
        if moment.changes is not None and moment.size_bytes > LARGE_BYTES:
            self._scheduler.work_off(moment.changes.budget.dismantle())

    # Sending -------------------------------------------------------------------------------------

    def _is_progress_due(self) -> bool:
        if self._upper >= self._until or self._sent_upper == MIN_TIMESTAMP:
            return True
        now = asyncio.get_running_loop().time()
        return now - self._sent_at >= PROGRESS_INTERVAL_S

    def _enqueue(self) -> None:
        if not self._is_queued and not self._is_over:
            self._is_queued = True
            self._scheduler.enqueue(self._turn)

    def _turn(self) -> None:
        """Send what can be encoded in one slice."""
        self._is_queued = False
        if self._is_over:
            return
        rows: list[SubscribeRows] = []
        try:
            self._take(rows, perf_counter() + SLICE_S)
            error = None
        except SqlError as met:
            error = SubscribeError(met.sqlstate, met.message, met.detail, met.hint)
        upper = self._queue[0].ts if self._queue else self._upper
        if rows or error is not None or upper > self._sent_upper:
            self._sent_upper = upper
            self._sent_at = asyncio.get_running_loop().time()
            self._subscriptions.send(SubscribeBatch(self._id, upper, tuple(rows), error))
        if error is not None or (not self._queue and upper >= self._until):
            self.drop()
        elif self._queue and self._credit > 0:
            self._enqueue()

    def _take(self, rows: list[SubscribeRows], deadline: float) -> None:
        """Encode into `rows` while there is credit and time. Raises the SqlError that is met."""
        while self._queue:
            moment = self._queue[0]
            if moment.error is not None:
                raise moment.error
            if self._credit <= 0:
                return
            for piece in self._pieces(moment):
                if piece is not None:
                    if len(piece.data) > MAX_PIECE_BYTES:
                        raise SqlError(PROGRAM_LIMIT_EXCEEDED, "a row is too large to be sent")
                    rows.append(SubscribeRows(moment.ts, piece.data, piece.row_count))
                    self._credit -= len(piece.data)
                if self._credit <= 0 or perf_counter() > deadline:
                    return
            self._free(self._queue.popleft())
            if self._queue:
                self._waiting_bytes -= self._queue[0].size_bytes

    def _pieces(self, moment: _Moment) -> Iterator[EncodedRows | None]:
        """What is left to be sent of a moment."""
        if moment.pieces is None:
            assert moment.changes is not None
            moment.changes.budget.limit_bytes = 2 * self._export.max_moment_bytes
            moment.pieces = self._encoder.encode(moment.ts, moment.changes)
        return moment.pieces
