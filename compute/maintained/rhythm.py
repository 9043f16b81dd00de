"""How much of a dataflow's changes is stepped at once, so that a step fits a slice."""

from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Final

from compute.dataflow.updates import Updates
from compute.scheduler import FIRST_SLICE_S, SLICE_S, Scheduler
from core.ids import GlobalId

STEP_S: Final = 0.002
FIRST_STEP_ROWS: Final = 64
MAX_STEP_ROWS: Final = 8192
MIN_STEP_ROWS: Final = 1  # each may find very many others
MAX_GROWTH: Final = 2

Changes = Mapping[GlobalId, Updates]


class Rhythm:
    """One for each dataflow: steps of about STEP_S, in slices shared with whatever else runs."""

    __slots__ = ("_deadline", "_scheduler", "step_rows")

    def __init__(self, scheduler: Scheduler) -> None:
        self.step_rows = FIRST_STEP_ROWS
        self._scheduler = scheduler
        self._deadline = 0.0

    def begin(self) -> None:
        """There is something to do again, after waiting."""
        self._deadline = perf_counter() + FIRST_SLICE_S

    def restart(self) -> None:
        """What comes next may be of another kind: try small steps first."""
        self.step_rows = min(self.step_rows, FIRST_STEP_ROWS)

    def is_large(self, changes: Changes) -> bool:
        """Whether the changes take more than one step."""
        return row_count(changes) > self.step_rows

    def pieces(self, changes: Changes) -> Iterator[Changes]:
        """The changes in pieces for one step each."""
        if not self.is_large(changes):
            yield changes
            return
        for id, updates in changes.items():
            start = 0
            while start < len(updates):
                piece = updates[start : start + self.step_rows]
                start += len(piece)
                yield {id: piece}

    def learn(self, count: int, seconds: float) -> None:
        """A step with that many changes took so long, of the processor's time: one that was
        interrupted tells nothing."""
        if seconds > STEP_S or 2 * count >= self.step_rows:
            fitting = int(count * STEP_S / seconds) if seconds else MAX_STEP_ROWS
            most = min(MAX_GROWTH * self.step_rows, MAX_STEP_ROWS)
            self.step_rows = max(MIN_STEP_ROWS, min(fitting, most))

    async def rest(self) -> None:
        """Between two steps: let others have their turn if the slice is over."""
        if perf_counter() > self._deadline:
            await self._scheduler.turn()
            self._deadline = perf_counter() + SLICE_S


def row_count(changes: Changes) -> int:
    """How many updates there are in all."""
    return sum(map(len, changes.values()))
