"""The subscriptions of one cluster.

Each replica of the cluster runs the subscription's dataflow and sends the same stream; what one has
delivered already is clipped from what the others send. A replica that comes, or comes back, starts
where the stream has got to: as of the time before, without what was there then. So that this is
possible, a hold follows the stream. A dataflow that fails is made anew the same way, and a
subscription that gets nowhere in MAX_ATTEMPTS of them is given up.

Rows go from a replica's socket to the waiting session. What was received and not consumed is at
most a window for each replica; what a replica may send follows what was consumed. A subscriber who
reads nothing for HOLD_LAG_US keeps the past from being forgotten no longer: its subscription goes
on, but would end with its replica.
"""

import asyncio
import dataclasses
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from compute.dataflow_messages import (
    SUBSCRIBE_WINDOW_BYTES,
    CollectionKind,
    CreateDataflow,
    DataflowDescription,
    DataflowFrontier,
    DropDataflow,
    SubscribeBatch,
    SubscribeCredit,
    SubscribeError,
)
from compute.protocol import Command
from controllers.compute_client import PeekChunk, SubscribeProgress, SubscribeRequest
from controllers.compute_requests import replica_lost
from controllers.delivered import Delivered, Place
from core.clock import system_clock
from core.errors import (
    CONFIGURATION_LIMIT_EXCEEDED,
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    UNDEFINED_TABLE,
    SqlError,
)
from core.ids import MIN_TIMESTAMP, GlobalId, Timestamp, next_timestamp

CREDIT_STEP_BYTES: Final = SUBSCRIBE_WINDOW_BYTES // 4
JOINED_BYTES: Final = 64 * 1024
MAX_ATTEMPTS: Final = 5  # without getting any further
FIRST_RETRY_S: Final = 0.05
HOLD_LAG_US: Final = 300_000_000

_ids: Final = itertools.count(1)
Send = Callable[[str, Command], None]


class _Run:
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

    def __init__(self, request: SubscribeRequest, cluster: "ClusterSubscriptions") -> None:
        self.id = next(_ids)
        self.created_at = Timestamp(system_clock())
        self.request = request
        self.attempts = 0  # since the stream last got on
        self.error: SqlError | None = None
        self.is_over = False
        self.runs: dict[_Run, None] = {}
        self.unconsumed_bytes = 0
        first = request.as_of if request.export.with_snapshot else next_timestamp(request.as_of)
        self._delivered = Delivered(first)
        self._cluster = cluster
        self._events: deque[tuple[PeekChunk, _Run] | SubscribeProgress] = deque()
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

    def receive(self, run: _Run, batch: SubscribeBatch) -> None:
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

    def _consumed(self, run: _Run, size_bytes: int) -> None:
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


class ClusterSubscriptions:
    """See the module docstring. Synchronous; `send` reaches a connected replica."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._subscriptions: dict[Subscription, None] = {}
        self._runs: dict[GlobalId, _Run] = {}
        self._connected: dict[str, None] = {}

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._subscriptions)

    def __len__(self) -> int:
        return len(self._subscriptions)

    def start(self, request: SubscribeRequest) -> Subscription:
        """Begin on every replica there is, and on those to come."""
        subscription = Subscription(request, self)
        if subscription.is_over:
            return subscription
        self._subscriptions[subscription] = None
        for replica in self._connected:
            self._run(subscription, replica)
        return subscription

    def connect(self, replica: str) -> None:
        """A replica serves, and has been told of what it maintains."""
        self._connected[replica] = None
        for subscription in tuple(self._subscriptions):
            self._run(subscription, replica)

    def disconnect(self, replica: str) -> None:
        """A replica is gone. No error if it was not connected."""
        self._connected.pop(replica, None)
        lost = [run for run in self._runs.values() if run.replica == replica]
        for run in lost:
            self._forget_run(run)
            run.subscription.attempts += 1
            if run.subscription.attempts >= MAX_ATTEMPTS:
                run.subscription.fail(replica_lost())

    def receive(self, batch: SubscribeBatch) -> None:
        """Hand on what a replica sent."""
        run = self._runs.get(batch.id)
        if run is not None:
            run.subscription.receive(run, batch)

    def receive_frontiers(self, frontiers: Iterable[DataflowFrontier]) -> None:
        """Make dataflows anew that cannot go on."""
        for frontier in frontiers:
            run = self._runs.get(frontier.id) if frontier.error is not None else None
            if run is None:
                continue
            others = (other for other in run.subscription.runs if other is not run)
            if frontier.is_too_late and not any(other.has_begun for other in others):
                run.subscription.fail(_unreadable(run.as_of, frontier.error))
            else:
                self._restart(run, str(frontier.error))

    def retire(self, dropped: Mapping[GlobalId, str]) -> None:
        """These items (by name) are no more: end what cannot do without them."""
        for subscription in tuple(self._subscriptions):
            missing = subscription.do_without(dropped)
            if missing is not None:
                subscription.fail(
                    SqlError(
                        UNDEFINED_TABLE,
                        f"subscribe has been terminated because underlying {missing} was dropped",
                    )
                )

    def limit_holds(self, newest: Timestamp) -> None:
        """Let no subscriber keep the past any longer, at the time `newest`, than HOLD_LAG_US."""
        for subscription in self._subscriptions:
            subscription.limit_hold(Timestamp(newest - HOLD_LAG_US))

    def fail_all(self, error: SqlError) -> None:
        """End every subscription with `error`."""
        for subscription in tuple(self._subscriptions):
            subscription.fail(error)

    def forget(self, subscription: Subscription) -> None:
        """The subscription is over: end its dataflows."""
        self._subscriptions.pop(subscription, None)
        for run in tuple(subscription.runs):
            self._end(run)

    def consumed(self, run: _Run, size_bytes: int) -> None:
        """So much of what `run` sent is out of the way."""
        run.consumed_bytes += size_bytes
        if run.consumed_bytes >= CREDIT_STEP_BYTES and run.id in self._runs:
            self._send(run.replica, SubscribeCredit(run.id, run.consumed_bytes))
            run.consumed_bytes = 0

    def _run(self, subscription: Subscription, replica: str) -> None:
        run = _Run(subscription, replica)
        description = subscription.description(run.id)
        if description.as_of < subscription.request.hold.ts:
            subscription.fail(_too_late(description.as_of))
            return
        run.as_of = description.as_of
        self._runs[run.id] = run
        subscription.runs[run] = None
        self._send(replica, CreateDataflow(description))
        if run.debt_bytes:
            self._send(replica, SubscribeCredit(run.id, -run.debt_bytes))

    def _end(self, run: _Run) -> None:
        self._forget_run(run)
        self._send(run.replica, DropDataflow(run.id))

    def _forget_run(self, run: _Run) -> None:
        del self._runs[run.id]
        del run.subscription.runs[run]

    def _restart(self, run: _Run, reason: str) -> None:
        """Make the dataflow of `run` anew, from where the stream has got to."""
        self._end(run)
        subscription = run.subscription
        subscription.attempts += 1
        if subscription.attempts >= MAX_ATTEMPTS:
            subscription.fail(
                SqlError(
                    INTERNAL_ERROR,
                    "the subscription cannot go on",
                    detail=reason,
                    hint="Subscribe again.",
                )
            )
            return

        def again() -> None:
            if subscription in self._subscriptions and run.replica in self._connected:
                self._run(subscription, run.replica)

        delay_s = FIRST_RETRY_S * 2**subscription.attempts
        asyncio.get_running_loop().call_later(delay_s, again)


def _unreadable(as_of: Timestamp, reason: str | None) -> SqlError:
    return SqlError(
        INVALID_PARAMETER_VALUE,
        f"Timestamp ({as_of}) is not valid for all inputs",
        detail=reason,
    )


def _too_late(as_of: Timestamp) -> SqlError:
    return SqlError(
        CONFIGURATION_LIMIT_EXCEEDED,
        "the subscription is too far behind to go on after its replica stopped",
        detail=f"What was there at {as_of} is not kept any more.",
        hint="Read faster. Subscribe again, with a new snapshot.",
    )


def _as_sql_error(error: SubscribeError) -> SqlError:
    return SqlError(error.sqlstate, error.message, detail=error.detail, hint=error.hint)
