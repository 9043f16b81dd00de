"""What environmentd is told of dataflows: frontiers, coalesced."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from compute.dataflow_messages import DataflowFrontier, DataflowFrontiers
from compute.protocol import Response
from core.ids import GlobalId

REPORT_INTERVAL_S: Final = 0.25

Send = Callable[[Response], None]


class Reports:
    """Sends the frontiers that have changed: soon, for those that moved by more than time, or with
    the next `tick`. `frontiers` gives those of all dataflows, or of some."""

    def __init__(
        self, frontiers: Callable[[Iterable[GlobalId] | None], list[DataflowFrontier]]
    ) -> None:
        self._frontiers = frontiers
        self._send: Send | None = None
        self._told: dict[GlobalId, DataflowFrontier] = {}
        self._due: set[GlobalId] = set()

    def attach(self, send: Send) -> None:
        """Tell this environmentd from now on: everything first."""
        self._send = send
        self._told.clear()
        self.tick()

    def detach(self) -> None:
        """Nobody is there to be told."""
        self._send = None

    def soon(self, id: GlobalId) -> None:
        """Tell of this dataflow in the loop's next turn."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._tell_due)
        self._due.add(id)

    def forget(self, id: GlobalId) -> None:
        """The dataflow is no more."""
        self._told.pop(id, None)

    def tick(self) -> None:
        """Tell of all that have changed."""
        self._tell(self._frontiers(None))

    def _tell_due(self) -> None:
        due = self._due.copy()
        self._due.clear()
        self._tell(self._frontiers(due))

    def _tell(self, frontiers: Iterable[DataflowFrontier]) -> None:
        if self._send is None:
            return
        changed = [f for f in frontiers if self._told.get(f.id) != f]
        if changed:
            self._told.update((frontier.id, frontier) for frontier in changed)
            self._send(DataflowFrontiers(tuple(changed)))
