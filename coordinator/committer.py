"""The committer: the one task through which every durable commit passes.

It drains what is waiting, validates each request against the newest catalog and every commit since
it was prepared, folds the survivors into one durable commit at one timestamp, publishes the new
catalog, and answers. While one commit is on its way the next batch gathers. It holds the event
loop for at most `VALIDATION_SLICE_S` at a time, and moves time forward when nothing else does.

Deliberately absent: retries and queries. A loser gets its error and its session tries again; a
storage failure whose outcome is unknown never gets here unsettled (`persist.txn_wal`).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog

from catalog import boot
from catalog.operations import CatalogChangedError as CatalogChangedError
from catalog.operations import OperationResult, TransactionContext
from catalog.state import Catalog
from coordinator.commit_batch import CommitBatch, LastWrites
from coordinator.metrics import (
    CATALOG_COMMIT_SECONDS,
    CATALOG_PHASE_SECONDS,
    CATALOG_TRANSACT_SECONDS,
    COMMIT_SECONDS,
    GROUP_COMMIT_SIZE,
    VALIDATION_FAILURES,
)
from coordinator.published import PublishedCatalog
from coordinator.requests import CatalogOutcome as CatalogOutcome
from coordinator.requests import CatalogRequest as CatalogRequest
from coordinator.requests import SerializationConflictError as SerializationConflictError
from coordinator.requests import TableWrite as TableWrite
from coordinator.requests import WriteRequest as WriteRequest
from core import errors
from core.clock import Clock
from core.errors import DeterminateError, FencedError, IndeterminateError, SqlError
from core.ids import GlobalId, ShardId, Timestamp
from persist.batches import Batch

VALIDATION_SLICE_S: Final = 0.002
TICK_S: Final = 1.0
MAX_WAITING: Final = 65_536
IO_ERROR: Final = "58030"

_log = structlog.get_logger("headwater.committer")


class CommitLog(boot.CommitLog, Protocol):
    """What the committer needs of `persist.txn_wal.TxnsWriter`."""

    def discard(self, batches: Iterable[Batch]) -> None: ...


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """A published change, for whoever acts on it off the critical path; `items` are the items that
    it created, dropped or altered."""

    old: Catalog
    new: Catalog
    items: frozenset[GlobalId]


ChangeListener = Callable[[CatalogChange], None]


@dataclass(slots=True)
class _Waiting:
    """A request in the queue; exactly one of `write` and `catalog` is set."""

    write: WriteRequest | None
    write_answer: "asyncio.Future[Timestamp] | None"
    catalog: CatalogRequest | None
    arrived: float
    results: tuple[OperationResult, ...] = ()

    @property
    def table_writes(self) -> tuple[TableWrite, ...]:
        if self.write is not None:
            return self.write.writes
        return () if self.catalog is None else self.catalog.table_writes

    def fail(self, error: Exception) -> None:
        answer = self.write_answer if self.catalog is None else self.catalog.answer
        if answer is not None and not answer.done():
            answer.set_exception(error)
            answer.exception()  # the waiter may be gone: then nobody retrieves it


class Committer:
    """Built and run by `headwater.boot`; `run` is its task."""

    def __init__(
        self,
        log: CommitLog,
        published: PublishedCatalog,
        catalog_shard: ShardId,
        clock: Clock,
    ) -> None:
        self._log = log
        self._published = published
        self._catalog_shard = catalog_shard
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._last_writes = LastWrites(Timestamp(log.upper - 1))
        self._listeners: list[ChangeListener] = []
        self._last_commit = time.monotonic()
        self._has_ended = False
        # Everything up to this time is committed and published here: what serializable reads use.
        self.complete_ts = Timestamp(log.upper - 1)

    def add_listener(self, listener: ChangeListener) -> None:
        """Call `listener` synchronously with each published catalog change; it must not block."""
        self._listeners.append(listener)

    async def write(self, request: WriteRequest) -> Timestamp:
        """Commit `request`; returns its commit time.

        Raises SqlError (42P01 when a table is gone), SerializationConflictError,
        CatalogChangedError. The request's batches are the committer's from here on, which discards
        those of a refused request. Cancelling the caller does not stop the commit, whose outcome is
        then told to nobody: a session must not be cancelled while it waits here.
        """
        answer: asyncio.Future[Timestamp] = asyncio.get_running_loop().create_future()
        self._submit(_Waiting(request, answer, None, time.perf_counter()))
        return await asyncio.shield(answer)

    def transact(self, request: CatalogRequest) -> None:
        """Queue a catalog transaction; its `answer` gets the outcome. Never blocks."""
        waiting = _Waiting(None, None, request, time.perf_counter())
        try:
            self._submit(waiting)
        except SqlError as error:
            waiting.fail(error)

    def discard(self, writes: Iterable[TableWrite]) -> None:
        """Give up staged writes that were never handed to `write` or `transact`."""
        self._log.discard(write.batch for write in writes)

    async def run(self) -> None:
        """Commit until cancelled. Raises FencedError or IndeterminateError: then this process must
        end, and everybody waiting has been told that it does."""
        try:
            while True:
                await self._wait_for_work()
                batch, members = await self._gather()
                await self._commit(batch, members)
        except (FencedError, IndeterminateError) as error:
            _log.critical("the committer ends", error=str(error))
            raise
        finally:
            self._end()

    def _submit(self, waiting: _Waiting) -> None:
        if self._has_ended:
            raise _shutdown_error()
        if len(self._queue) >= MAX_WAITING:
            self.discard(waiting.table_writes)
            raise SqlError(errors.CONFIGURATION_LIMIT_EXCEEDED, "too many commits are waiting")
        self._queue.append(waiting)
        self._wake.set()

    async def _wait_for_work(self) -> None:
        """Until something is waiting or the tick is due."""
        if self._queue:
            return
        self._wake.clear()
        timer = asyncio.get_running_loop().call_later(TICK_S, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _gather(self) -> tuple[CommitBatch, list[_Waiting]]:
        """Validate what is waiting, in order, and what arrives meanwhile."""
        batch = CommitBatch(self._published.catalog, self._last_writes)
        members: list[_Waiting] = []
        slice_ends = time.perf_counter() + VALIDATION_SLICE_S
        while self._queue and not batch.is_full:
            waiting = self._queue.popleft()
            if self._validate(batch, waiting):
                members.append(waiting)
            if time.perf_counter() > slice_ends:
                await asyncio.sleep(0)
                slice_ends = time.perf_counter() + VALIDATION_SLICE_S
        return batch, members

    def _validate(self, batch: CommitBatch, waiting: _Waiting) -> bool:
        try:
            if waiting.write is not None:
                batch.add_write(waiting.write)
            else:
                assert waiting.catalog is not None
                started = time.perf_counter()
                waiting.results = batch.add_catalog(
                    waiting.catalog,
                    TransactionContext(
                        user=waiting.catalog.user,
                        now=Timestamp(self._clock()),
                        as_of=self._log.upper,
                    ),
                )
                CATALOG_PHASE_SECONDS.labels("validate").observe(time.perf_counter() - started)
        except SqlError as error:
            VALIDATION_FAILURES.labels("error").inc()
            self._refuse(waiting, error)
        except SerializationConflictError as error:
            VALIDATION_FAILURES.labels("conflict").inc()
            self._refuse(waiting, error)
        except CatalogChangedError as error:
            VALIDATION_FAILURES.labels("catalog_changed").inc()
            self._refuse(waiting, error)
        except Exception as error:
            # Validation is pure: a bug in it costs this request, not the environment.
            _log.exception("validation failed", request=repr(waiting)[:1000])
            self._refuse(waiting, SqlError(errors.INTERNAL_ERROR, f"internal error: {error!r}"))
        else:
            return True
        return False

    def _refuse(self, waiting: _Waiting, error: Exception) -> None:
        """Answer a request of which nothing was committed, nor ever will be."""
        waiting.fail(error)
        self.discard(waiting.table_writes)

    async def _commit(self, batch: CommitBatch, members: list[_Waiting]) -> None:
        if not members and time.monotonic() < self._last_commit + TICK_S:
            return
        is_catalog_change = batch.is_catalog_change
        started = time.perf_counter()
        try:
            ts = await self._log.commit(
                batch.writes(self._catalog_shard),
                register=batch.register(),
                forget=batch.forget(),
                is_catalog_change=is_catalog_change,
            )
        except DeterminateError as error:
            _log.error("commit failed", error=str(error), requests=len(members))
            for waiting in members:
                self._refuse(waiting, SqlError(IO_ERROR, f"could not commit: {error}"))
            return
        except (FencedError, IndeterminateError) as error:
            for waiting in members:
                waiting.fail(_outcome_error(error))
            raise
        except BaseException:
            for waiting in members:
                waiting.fail(_outcome_error(RuntimeError("the committer was stopped")))
            raise
        self._last_commit = time.monotonic()
        seconds = time.perf_counter() - started
        self._publish(batch, ts)
        if members:
            GROUP_COMMIT_SIZE.observe(len(members))
            (CATALOG_COMMIT_SECONDS if is_catalog_change else COMMIT_SECONDS).observe(seconds)
        self._answer(members, ts)

    def _publish(self, batch: CommitBatch, ts: Timestamp) -> None:
        """Make the commit known here: before any waiter, and in one turn of the event loop."""
        self._last_writes.note(batch.written, ts)
        self.complete_ts = ts
        if not batch.is_catalog_change:
            return
        old = self._published.catalog
        new = replace(batch.catalog, ts=ts)
        self._published.publish(new)
        self._last_writes.forget(batch.changed_collections.difference(new.collections))
        change = CatalogChange(old, new, frozenset(batch.changed_items))
        for listener in self._listeners:
            listener(change)

    def _answer(self, members: list[_Waiting], ts: Timestamp) -> None:
        catalog = self._published.catalog
        now = time.perf_counter()
        for waiting in members:
            if waiting.write_answer is not None:
                if not waiting.write_answer.done():
                    waiting.write_answer.set_result(ts)
                continue
            request = waiting.catalog
            assert request is not None
            method = type(request.operations[0]).__name__ if request.operations else "none"
            CATALOG_TRANSACT_SECONDS.labels(method).observe(now - waiting.arrived)
            if not request.answer.done():
                outcome = CatalogOutcome(catalog.revision, ts, catalog, waiting.results)
                request.answer.set_result(outcome)

    def _end(self) -> None:
        """Refuse everything from now on and fail what is waiting, which was never begun."""
        self._has_ended = True
        while self._queue:
            self._queue.popleft().fail(_shutdown_error())


def _shutdown_error() -> SqlError:
    return SqlError(
        errors.ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
        severity="FATAL",
    )


def _outcome_error(error: Exception) -> SqlError:
    if isinstance(error, FencedError):
        return _shutdown_error()
    return SqlError(
        errors.STATEMENT_COMPLETION_UNKNOWN,
        "the server lost its storage while committing; the outcome is unknown",
        detail=str(error),
        severity="FATAL",
    )
