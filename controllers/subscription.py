"""One subscription: what its replicas send, clipped, until somebody takes it.

`Subscription` is what the session iterates over; `Run` is its dataflow on one replica. Everything
but the session's wait is synchronous.
"""

import asyncio
import dataclasses
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol

import msgspec

from compute.dataflow_messages import (
    SUBSCRIBE_WINDOW_BYTES,
    CollectionKind,
    DataflowDescription,
    SubscribeBatch,
    SubscribeError,
)
from controllers.compute_client import PeekChunk, SubscribeProgress, SubscribeRequest
from controllers.delivered import Delivered, Place
from core.clock import system_clock
from core.errors import SqlError
from core.ids import MIN_TIMESTAMP, GlobalId, Timestamp, next_timestamp

JOINED_BYTES: Final = 64 * 1024

_ids: Final = itertools.count(1)


class Owner(Protocol):
    """What a subscription needs of its cluster."""

    def consumed(self, run: "Run", size_bytes: int) -> None:
        """So much of what `run` sent is out of the way."""
        ...

    def forget(self, subscription: "Subscription") -> None:
        """The subscription is over."""
        ...


class Run:
    """One dataflow of a subscription, on one replica. `debt_bytes` of what may be under way are
    taken up by what other runs sent that was not consumed."""

    __slots__ = (
        "as_of",
        "consumed_bytes",
        "debt_bytes",
        "has_begun",
        "id",
        "place",
        "replica",
        "subscription",
    )

    def __init__(self, subscription: "Subscription", replica: str) -> None:
        self.id = GlobalId(f"t{next(_ids)}")
        self.subscription = subscription
        self.replica = replica
        self.as_of = MIN_TIMESTAMP
        self.place = Place()
        self.has_begun = False  # the dataflow has its contents
        self.consumed_bytes = 0
        self.debt_bytes = min(subscription.unconsumed_bytes, SUBSCRIBE_WINDOW_BYTES)


class Subscription:
    """One subscription. Is the `SubscribeStream`."""

    def __init__(self, request: SubscribeRequest, cluster: Owner) -> None:
        self.id = next(_ids)
        self.created_at = Timestamp(system_clock())
        self.request = request
        self.attempts = 0  # since the stream last got on
        self.error: SqlError | None = None
        self.is_over = False
        self.runs: dict[Run, None] = {}
        self.unconsumed_bytes = 0
        first = request.as_of if request.export.with_snapshot else next_timestamp(request.as_of)
        self._delivered = Delivered(first)
        self._cluster = cluster
        self._events: deque[tuple[PeekChunk, Run] | SubscribeProgress] = deque()
        self._waiter: asyncio.Future[None] | None = None
        if first >= request.until:
            self._finish()

    def description(self, id: GlobalId) -> DataflowDescription:
        """The dataflow that sends what was not delivered yet."""
        request, export = self.request, self.request.export
        as_of = request.as_of
        if self._delivered.upper > as_of:
            as_of = Timestamp(self._delivered.upper - 1)
            export = msgspec.structs.replace(export, with_snapshot=False)
        return DataflowDescription(
            id,
            request.relation,
            request.sources,
            as_of,
            export,
            until=request.until,
            context=request.context,
        )

    def do_without(self, dropped: Mapping[GlobalId, str]) -> str | None:
        """Read no dropped index from here on, where there is another way; what is missing
        otherwise."""
        sources = []
        for source in self.request.sources:
            if source.id in dropped:
                return f'relation "{dropped[source.id]}"'
            if source.index is not None and source.index in dropped:
                if source.kind is CollectionKind.INDEX:
                    return f'index "{dropped[source.index]}"'
                source = msgspec.structs.replace(source, index=None)
            sources.append(source)
        self.request = dataclasses.replace(self.request, sources=tuple(sources))
        return None

    def receive(self, run: Run, batch: SubscribeBatch) -> None:
        """Take in what a replica sent."""
        run.has_begun = True
        for rows in batch.rows:
            first = run.place.pass_by(rows.ts, rows.row_count)
            known = self._delivered.take(rows.ts, first, rows.row_count)
            chunk = PeekChunk(rows.data, rows.row_count)
            if known:
                clipped, chunk = chunk.split(known)
                self._cluster.consumed(run, len(clipped.data))
            if chunk.row_count:
                self._events.append((chunk, run))
                self.unconsumed_bytes += len(chunk.data)
                self.attempts = 0
        if self._delivered.advance(batch.upper):
            self.attempts = 0
            self._note_progress(batch.upper)
        if batch.error is not None:
            self.fail(_as_sql_error(batch.error))
        elif self._delivered.upper >= self.request.until:
            self._finish()
        elif self._waiter is not None:
            self._wake()

    def fail(self, error: SqlError) -> None:
        """End with an error, after what was received."""
        if not self.is_over:
            self.error = error
            self._finish()

    def __aiter__(self) -> AsyncIterator[PeekChunk | SubscribeProgress]:
        return self

    async def __anext__(self) -> PeekChunk | SubscribeProgress:
        while not self._events:
            if self.error is not None:
                raise self.error
            if self.is_over:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        parts: list[bytes] = []
        size_bytes = row_count = 0
        while self._events and size_bytes < JOINED_BYTES:
            event = self._events[0]
            if isinstance(event, SubscribeProgress) and parts:
                break
            self._events.popleft()
            if isinstance(event, SubscribeProgress):
                return event
            chunk, run = event
            self._consumed(run, len(chunk.data))
            parts.append(chunk.data)
            size_bytes += len(chunk.data)
            row_count += chunk.row_count
        return PeekChunk(b"".join(parts), row_count)

    async def aclose(self) -> None:
        self._events.clear()
        if not self.is_over:
            self._finish()

    def limit_hold(self, oldest: Timestamp) -> None:
        """Hold nothing before `oldest`, unless a replica still needs it to begin."""
        if self.runs and all(run.has_begun for run in self.runs):
            self.request.hold.move(oldest)

    def _consumed(self, run: Run, size_bytes: int) -> None:
        self.unconsumed_bytes -= size_bytes
        self._cluster.consumed(run, size_bytes)
        for other in self.runs:
            if other.debt_bytes:
                paid = min(other.debt_bytes, size_bytes)
                other.debt_bytes -= paid
                self._cluster.consumed(other, paid)

    def _note_progress(self, upper: Timestamp) -> None:
        if self._events and isinstance(self._events[-1], SubscribeProgress):
            self._events.pop()
        self._events.append(SubscribeProgress(upper))
        self.request.hold.move(Timestamp(upper - 1))

    def _finish(self) -> None:
        self.is_over = True
        self.request.hold.release()
        self._cluster.forget(self)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _as_sql_error(error: SubscribeError) -> SqlError:
    return SqlError(error.sqlstate, error.message, detail=error.detail, hint=error.hint)
