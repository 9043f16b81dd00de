"""The dataflows of a replica, by id."""

from collections.abc import Callable, Iterable

from compute.dataflow_messages import CollectionSource, DataflowDescription
from compute.maintained.feed import Feed
from compute.protocol import Response
from core.ids import GlobalId, Timestamp
from core.sql_types import SqlType


class DataflowRegistry:
    """One for a replica's instance. Dataflows go on while environmentd is away."""

    def attach(self, send: Callable[[Response], None]) -> None:
        """Tell this environmentd from now on; all frontiers first."""
        raise NotImplementedError

    def detach(self) -> None:
        """Nobody is connected."""
        raise NotImplementedError

    def create(self, description: DataflowDescription) -> None:
        """Maintain what is described, unless it is maintained already and has not failed."""
        raise NotImplementedError

    def drop(self, id: GlobalId) -> None:
        """Stop maintaining `id`."""
        raise NotImplementedError

    def retain(self, ids: Iterable[GlobalId]) -> None:
        """Drop every dataflow not in `ids`."""
        raise NotImplementedError

    def allow_compaction(self, since: Timestamp) -> None:
        """Nobody reads before `since` any more."""
        raise NotImplementedError

    def report(self, id: GlobalId) -> None:
        """Send the frontier of `id` soon, since it has moved by more than time."""
        raise NotImplementedError

    def feed(self, source: CollectionSource, types: tuple[SqlType, ...]) -> Feed:
        """The shared feed of a collection. Raises SqlError."""
        raise NotImplementedError
