"""The subscriptions that a replica serves, by id: where their credit goes, and who ends them."""

from collections.abc import Callable
from typing import Protocol

from compute.dataflow_messages import SubscribeBatch
from core.ids import GlobalId


class Subscription(Protocol):
    """One of them."""

    def add_credit(self, size_bytes: int) -> None:
        """`size_bytes` more may be under way."""
        ...

    def drop(self) -> None:
        """Nobody listens any more. Idempotent."""
        ...


class Subscriptions:
    """One for a replica; `send` is to the environmentd that is connected."""

    def __init__(self, send: Callable[[SubscribeBatch], None]) -> None:
        self.send = send
        self._subscriptions: dict[GlobalId, Subscription] = {}

    def add(self, id: GlobalId, subscription: Subscription) -> None:
        """A subscription begins."""
        self._subscriptions[id] = subscription

    def remove(self, id: GlobalId) -> None:
        """A subscription has ended. No error if it had."""
        self._subscriptions.pop(id, None)

    def add_credit(self, id: GlobalId, size_bytes: int) -> None:
        """Hand on credit; it may come too late."""
        found = self._subscriptions.get(id)
        if found is not None:
            found.add_credit(size_bytes)

    def drop(self, id: GlobalId) -> None:
        """End a subscription, if there is one of that id."""
        found = self._subscriptions.get(id)
        if found is not None:
            found.drop()

    def drop_all(self) -> None:
        """The environmentd that they were for is gone."""
        for subscription in tuple(self._subscriptions.values()):
            subscription.drop()
