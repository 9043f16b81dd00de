"""Sorting in bounded steps.

One `list.sort` of a million rows would hold the replica for a second. So rows are sorted in runs as
they come; the output is cut into ranges by splitters taken from the runs, and each range is the
concatenation of the runs' slices, sorted again (Timsort merges the runs it finds). Every step works
on about one range, and a consumer that stops early never sorts the rest. The result equals a stable
sort of the whole input. Source: sample sort (Frazer and McKellar, 1970).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

from compute.execution import MemoryBudget
from core.rows import Row

RUN_ROWS: Final = 2048
RANGE_ROWS: Final = 2048
MAX_SAMPLES: Final = 8192
KEY_OVERHEAD_BYTES: Final = 160

Item = TypeVar("Item", bound=tuple[Any, ...])
_first: Final[Callable[[Any], Any]] = itemgetter(0)


class Tie:
    """A row as the last part of a sort key: compared only when everything before is equal."""

    __slots__ = ("key", "row")

    def __init__(self, row: Row, key: Callable[[Row], Any]) -> None:
        self.row = row
        self.key = key

    def __lt__(self, other: "Tie") -> bool:
        return bool(self.key(self.row) < self.key(other.row))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tie) and self.row is other.row


class SlicedSorter(Generic[Item]):
    """Collects items, then gives them in order. `add` and each step of `sorted` are bounded."""

    def __init__(self, key: Callable[[Item], Any], budget: MemoryBudget) -> None:
        self._key = key
        self._budget = budget
        self._pending: list[tuple[Any, Item]] = []
        self._runs: list[list[tuple[Any, Item]]] = budget.keep([])

    def add(self, items: list[Item]) -> None:
        """Take in a chunk of items. Raises SqlError 53200."""
        key = self._key
        self._budget.charge_rows(items, KEY_OVERHEAD_BYTES)
        self._pending += [(key(item), item) for item in items]
        if len(self._pending) >= RUN_ROWS:
            self._close_run()

    def sorted(self) -> Iterator[list[Item]]:
        """The items in order, in lists of at most about RANGE_ROWS."""
        if self._pending:
            self._close_run()
        runs = self._runs
        if len(runs) == 1:
            yield [item for _, item in runs[0]]
            return
        positions = [0] * len(runs)
        for splitter in self._splitters():
            part: list[tuple[Any, Item]] = []
            equals: list[tuple[Any, Item]] = []
            for index, run in enumerate(runs):
                start = positions[index]
                stop = bisect_left(run, splitter, lo=start, key=_first)
                part += run[start:stop]
                positions[index] = bisect_right(run, splitter, lo=stop, key=_first)
                equals += run[stop : positions[index]]
            yield []
            part.sort(key=_first)
            yield [item for _, item in part]
            # A key that many rows share needs no sorting, only cutting.
            for start in range(0, len(equals), RANGE_ROWS):
                yield [item for _, item in equals[start : start + RANGE_ROWS]]
        rest = [pair for run, start in zip(runs, positions, strict=True) for pair in run[start:]]
        rest.sort(key=_first)
        yield [item for _, item in rest]

    def _close_run(self) -> None:
        self._pending.sort(key=_first)
        self._runs.append(self._pending)
        self._pending = []

    def _splitters(self) -> list[Any]:
        """Distinct keys, in order, that cut all runs together into ranges of about RANGE_ROWS."""
        total = sum(map(len, self._runs))
        range_count = total // RANGE_ROWS
        if range_count < 2:
            return []
        step = max(RANGE_ROWS // 16, total // MAX_SAMPLES)
        sample = sorted(
            run[index][0] for run in self._runs for index in range(step // 2, len(run), step)
        )
        per_range = max(1, len(sample) // range_count)
        chosen = sample[per_range::per_range]
        return [key for index, key in enumerate(chosen) if index == 0 or key != chosen[index - 1]]
