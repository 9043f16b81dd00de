"""The requests a replica works on: peeks, staged queries, COPY input.

A peek whose collections are in memory starts, and mostly ends, in the loop turn it arrives in. What
does not end there goes on in slices by the scheduler. Nothing of a request outlives `cancel`.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Final, Protocol

import structlog

from compute.collections import Collections
from compute.copy_in import copy_parser
from compute.copy_lines import CopyParser
from compute.dataflow_messages import CollectionKind, CollectionSource
from compute.execution import Execution, MemoryBudget
from compute.maintained.index_export import IndexAt
from compute.maintained.registry import DataflowRegistry
from compute.maintained.shard_tables import ShardTables
from compute.metrics import PEEK_SECONDS, RESULT_BYTES
from compute.prepared import Prepared, PreparedPeek
from compute.protocol import (
    CopyCredit,
    CopyWork,
    Peek,
    PeekRows,
    RequestError,
    Response,
    Stage,
    Staged,
)
from compute.result import NO_PIECE, Piece, encoded
from compute.scheduler import FIRST_SLICE_S, SLICE_S, Scheduler
from compute.stage import PreparedStage, StageResult, copy_codec, stage_copied, stage_rows
from compute.table import Table
from core.errors import (
    ADMIN_SHUTDOWN,
    CONNECTION_FAILURE,
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    PROGRAM_LIMIT_EXCEEDED,
    FencedError,
    SqlError,
    StorageError,
)
from core.ids import GlobalId, Timestamp
from core.rows import Row
from core.sql_types import SqlType
from persist.batches import BatchBuilder, part_prefix
from persist.location import PersistLocation
from persist.snapshot import SinceError
from persist.txn_reader import TxnsReader

MAX_QUEUED_COPY_BYTES: Final = 16 * 1024 * 1024

Send = Callable[[Response], None]

_log: Final = structlog.get_logger(__name__)


class Instance:
    """What all requests of a replica share."""

    def __init__(
        self,
        location: PersistLocation,
        reader: TxnsReader,
        collections: Collections,
        dataflows: DataflowRegistry,
        scheduler: Scheduler,
        epoch: int,
        query_memory_bytes: int,
    ) -> None:
        self.location = location
        self.reader = reader
        self.collections = collections
        self.dataflows = dataflows
        self.scheduler = scheduler
        self.epoch = epoch
        self.query_memory_bytes = query_memory_bytes

    def tables(self, kind: CollectionKind) -> Collections | ShardTables:
        """Where collections of that kind are in memory."""
        is_table = kind is CollectionKind.TABLE
        return self.collections if is_table else self.dataflows.shard_tables

    def execution(self, reads: "Reads", parameters: Row = ()) -> Execution:
        """A new execution over `reads`, within the memory that a query may use."""
        budget = MemoryBudget(self.query_memory_bytes)
        return Execution(reads.as_of, reads.tables, budget, parameters)

    def free(self, execution: Execution) -> None:
        """Let go of what an execution kept, once its operators have ended."""
        if execution.budget.is_large:
            self.scheduler.work_off(execution.budget.dismantle())


class Request(Protocol):
    """Something in progress that can be cancelled."""

    def cancel(self) -> None:
        """Stop it and let go of everything; nothing more is sent."""
        ...


class TableAt:
    """A table at the time of a query, as operators see it."""

    __slots__ = ("as_of", "table")

    def __init__(self, table: Table, as_of: Timestamp) -> None:
        self.table = table
        self.as_of = as_of

    @property
    def row_count(self) -> int:
        return self.table.row_count

    def scan(self, columns: tuple[int, ...] | None) -> Iterator[list[Row]]:
        return self.table.scan(self.as_of, columns)

    def release(self) -> None:
        self.table.release(self.as_of)


class Reads:
    """The collections of one query, held at its time until `release`."""

    __slots__ = ("as_of", "tables")

    def __init__(self, as_of: Timestamp) -> None:
        self.as_of = as_of
        self.tables: dict[GlobalId, TableAt | IndexAt] = {}

    def take_ready(self, instance: Instance, prepared: Prepared) -> bool:
        """Take hold of every collection, if none needs to be waited for."""
        if not prepared.sources:
            return True
        as_of = self.as_of
        if instance.reader.upper <= as_of:
            return False
        for source, types in prepared.sources:
            reader = self._ready(instance, source, types)
            if reader is None:
                self.release()
                return False
            self.tables[source.id] = reader
        return True

    async def take(self, instance: Instance, prepared: Prepared) -> None:
        """Take hold of every collection, waiting for what must be loaded or computed."""
        for source, types in prepared.sources:
            reader: TableAt | IndexAt
            if source.index is not None:
                reader = await instance.dataflows.index_reads.read(source.index, self.as_of)
            else:
                table = await _read(instance, source, types, self.as_of)
                reader = TableAt(table, self.as_of)
            self.tables[source.id] = reader

    def release(self) -> None:
        for reader in self.tables.values():
            reader.release()
        self.tables.clear()

    def _ready(
        self, instance: Instance, source: CollectionSource, types: tuple[SqlType, ...]
    ) -> TableAt | IndexAt | None:
        if source.index is not None:
            return instance.dataflows.index_reads.ready(source.index, self.as_of)
        if source.is_durable:
            return None
        table = instance.tables(source.kind).ready(source.shard, types, self.as_of)
        if table is None:
            return None
        table.hold(self.as_of)
        return TableAt(table, self.as_of)


async def _read(
    instance: Instance, source: CollectionSource, types: tuple[SqlType, ...], as_of: Timestamp
) -> Table:
    if source.is_durable:
        return await instance.dataflows.shard_tables.read_durable(source.shard, types, as_of)
    return await instance.tables(source.kind).read(source.shard, types, as_of)


class PeekRun:
    """One peek. `on_end` is called once when it is over, unless it was cancelled."""

    def __init__(
        self,
        command: Peek,
        prepared: PreparedPeek,
        instance: Instance,
        send: Send,
        on_end: Callable[[int], None],
    ) -> None:
        self._id = command.id
        self._prepared = prepared
        self._parameters = prepared.parameters(command.parameters)
        self._credit = command.credit
        self._instance = instance
        self._send = send
        self._on_end = on_end
        self._reads = Reads(command.as_of)
        self._execution: Execution | None = None
        self._pieces: Iterator[Piece] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_queued = False
        self._is_over = False
        self._started = perf_counter()

    def start(self) -> None:
        """Begin; on return it may be over already."""
        try:
            is_ready = self._reads.take_ready(self._instance, self._prepared)
        except Exception as error:  # every failure is the request's answer
            self._fail(error)
            return
        if is_ready:
            self._open()
            self._slice(FIRST_SLICE_S)
        else:
            self._task = asyncio.create_task(self._wait(), name=f"peek {self._id}")

    def add_credit(self, size_bytes: int) -> None:
        self._credit += size_bytes
        if self._pieces is not None and not self._is_over and self._credit > 0:
            self._enqueue()

    def cancel(self) -> None:
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
        self._close()

    async def _wait(self) -> None:
        try:
            await self._reads.take(self._instance, self._prepared)
        except Exception as error:  # every failure is the request's answer
            self._fail(error)
            return
        except asyncio.CancelledError:
            self._reads.release()
            raise
        finally:
            self._task = None
        if self._is_over:
            self._reads.release()
            return
        self._open()
        self._enqueue()

    def _open(self) -> None:
        prepared = self._prepared
        execution = self._instance.execution(self._reads, self._parameters)
        self._execution = execution
        self._pieces = encoded(prepared.query.run(execution), prepared.encoder)

    def _close(self) -> None:
        self._pieces = None
        self._reads.release()
        if self._execution is not None:
            self._instance.free(self._execution)
            self._execution = None

    def _enqueue(self) -> None:
        if not self._is_queued:
            self._is_queued = True
            self._instance.scheduler.enqueue(self._turn)

    def _turn(self) -> None:
        self._is_queued = False
        if not self._is_over:
            self._slice(SLICE_S)

    def _slice(self, duration_s: float) -> None:
        """Send what can be computed now; queue for more unless credit ran out."""
        deadline = perf_counter() + duration_s
        pieces, execution = self._pieces, self._execution
        assert pieces is not None and execution is not None
        execution.enter()
        try:
            while self._credit > 0:
                piece = next(pieces)
                if piece is not NO_PIECE:
                    self._emit(piece)
                    if piece.is_last:
                        return
                if perf_counter() > deadline:
                    self._enqueue()
                    return
        except Exception as error:  # every failure is the request's answer
            self._fail(error)

    def _emit(self, piece: Piece) -> None:
        self._credit -= len(piece.data)
        self._send(PeekRows(self._id, piece.data, piece.row_count, piece.is_last))
        RESULT_BYTES.inc(len(piece.data))
        if piece.is_last:
            self._end()

    def _fail(self, error: Exception) -> None:
        if not self._is_over:
            self._send(request_error(self._id, error))
            self._end()

    def _end(self) -> None:
        self._is_over = True
        self._close()
        PEEK_SECONDS.observe(perf_counter() - self._started)
        self._on_end(self._id)


class StageRun:
    """One staged query, in a task of its own."""

    def __init__(
        self,
        command: Stage,
        prepared: PreparedStage,
        sources: Prepared,
        instance: Instance,
        send: Send,
        on_end: Callable[[int], None],
    ) -> None:
        self._id = command.id
        self._prepared = prepared
        self._sources = sources
        self._parameters = sources.parameters(command.parameters)
        self._instance = instance
        self._send = send
        self._on_end = on_end
        self._reads = Reads(command.as_of)
        self._task = asyncio.create_task(self._run(), name=f"stage {command.id}")

    def cancel(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        instance = self._instance
        shard = self._prepared.work.table.shard
        builder = BatchBuilder(instance.location.blob, part_prefix(shard, instance.epoch))
        result = StageResult()
        execution = instance.execution(self._reads, self._parameters)
        try:
            await self._reads.take(instance, self._sources)
            deadline = perf_counter() + FIRST_SLICE_S
            steps = stage_rows(self._prepared, execution, builder, result)
            for _ in execution.steps(steps):
                if builder.is_full:
                    await builder.flush_full()
                if perf_counter() > deadline:
                    await instance.scheduler.turn()
                    deadline = perf_counter() + SLICE_S
            batch = await builder.finish()
            answer: Response = Staged(
                self._id, batch, result.affected, tuple(result.returning), result.returning_count
            )
        except Exception as error:  # every failure is the request's answer
            await _abort(builder)
            answer = request_error(self._id, error)
        except asyncio.CancelledError:
            await asyncio.shield(_abort(builder))
            raise
        finally:
            self._reads.release()
            instance.free(execution)
        self._send(answer)
        self._on_end(self._id)


class CopyRun:
    """One COPY FROM. Input is parsed in the order it came, in a task of its own."""

    def __init__(
        self,
        id: int,
        work: CopyWork,
        instance: Instance,
        send: Send,
        on_end: Callable[[int], None],
    ) -> None:
        self._id = id
        self._work = work
        self._instance = instance
        self._send = send
        self._on_end = on_end
        self._parser: CopyParser = copy_parser(work)
        self._codec = copy_codec(work)
        prefix = part_prefix(work.table.shard, instance.epoch)
        self._builder = BatchBuilder(instance.location.blob, prefix)
        self._result = StageResult()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._is_complete = False
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"copy {id}")

    def add_input(self, data: bytes) -> None:
        """More input. Raises SqlError when the peer does not respect its credit."""
        self._queued_bytes += len(data)
        if self._queued_bytes > MAX_QUEUED_COPY_BYTES:
            raise SqlError(PROGRAM_LIMIT_EXCEEDED, "COPY input came faster than it was asked for")
        self._queue.append(data)
        self._wake.set()

    def end_input(self) -> None:
        self._is_complete = True
        self._wake.set()

    def cancel(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        try:
            answer: Response = await self._consume()
        except Exception as error:  # every failure is the request's answer
            await _abort(self._builder)
            answer = request_error(self._id, error)
        except asyncio.CancelledError:
            await asyncio.shield(_abort(self._builder))
            raise
        self._send(answer)
        self._on_end(self._id)

    async def _consume(self) -> Staged:
        while True:
            while self._queue:
                data = self._queue.popleft()
                await self._take(self._parser.feed(data))
                self._queued_bytes -= len(data)
                self._send(CopyCredit(self._id, len(data)))
            if self._is_complete:
                break
            self._wake.clear()
            await self._wake.wait()
        await self._take(self._parser.finish())
        batch = await self._builder.finish()
        return Staged(self._id, batch, self._result.affected)

    async def _take(self, parts: Iterator[list[Row]]) -> None:
        deadline = perf_counter() + SLICE_S
        for rows in parts:
            stage_copied(rows, self._codec, self._builder, self._result)
            if self._builder.is_full:
                await self._builder.flush_full()
            if perf_counter() > deadline:
                await self._instance.scheduler.turn()
                deadline = perf_counter() + SLICE_S


def request_error(id: int, error: BaseException) -> RequestError:
    """The answer to a request that failed."""
    match error:
        case SqlError():
            return RequestError(
                id,
                error.sqlstate,
                error.message,
                error.detail,
                error.hint,
                error.position,
                error.context,
            )
        case FencedError():
            return RequestError(id, ADMIN_SHUTDOWN, "a newer process has taken over")
        case RecursionError():
            return RequestError(id, "54001", "stack depth limit exceeded")
        case MemoryError():
            return RequestError(id, "53200", "out of memory")
        case SinceError(as_of=as_of, since=since):
            message = f"Timestamp ({as_of}) is not valid for all inputs: [{since}]"
            return RequestError(id, INVALID_PARAMETER_VALUE, message)
        case StorageError() | TimeoutError() | OSError():
            return RequestError(id, CONNECTION_FAILURE, f"cannot read the durable store: {error}")
        case _:
            _log.error("request_failed", exc_info=error)
            return RequestError(id, INTERNAL_ERROR, f"internal error: {error!r}")


async def _abort(builder: BatchBuilder) -> None:
    with contextlib.suppress(StorageError, OSError):
        await builder.abort()
