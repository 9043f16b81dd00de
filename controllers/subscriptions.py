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
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from compute.dataflow_messages import (
    SUBSCRIBE_WINDOW_BYTES,
    CreateDataflow,
    DataflowFrontier,
    DropDataflow,
    SubscribeBatch,
    SubscribeCredit,
)
from compute.protocol import Command
from controllers.compute_client import SubscribeRequest
from controllers.compute_requests import replica_lost
from controllers.subscription import Run, Subscription
from core.errors import (
    CONFIGURATION_LIMIT_EXCEEDED,
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    UNDEFINED_TABLE,
    SqlError,
)
from core.ids import GlobalId, Timestamp

CREDIT_STEP_BYTES: Final = SUBSCRIBE_WINDOW_BYTES // 4
MAX_ATTEMPTS: Final = 5  # without getting any further
FIRST_RETRY_S: Final = 0.05
HOLD_LAG_US: Final = 300_000_000

Send = Callable[[str, Command], None]


class ClusterSubscriptions:
    """See the module docstring. Synchronous; `send` reaches a connected replica."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._subscriptions: dict[Subscription, None] = {}
        self._runs: dict[GlobalId, Run] = {}
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

    def consumed(self, run: Run, size_bytes: int) -> None:
        """So much of what `run` sent is out of the way."""
        run.consumed_bytes += size_bytes
        if run.consumed_bytes >= CREDIT_STEP_BYTES and run.id in self._runs:
            self._send(run.replica, SubscribeCredit(run.id, run.consumed_bytes))
            run.consumed_bytes = 0

    def _run(self, subscription: Subscription, replica: str) -> None:
        run = Run(subscription, replica)
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

    def _end(self, run: Run) -> None:
        self._forget_run(run)
        self._send(run.replica, DropDataflow(run.id))

    def _forget_run(self, run: Run) -> None:
        del self._runs[run.id]
        del run.subscription.runs[run]

    def _restart(self, run: Run, reason: str) -> None:
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
