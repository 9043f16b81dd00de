"""Window functions: the input's rows with one value each, computed over their partitions.

Rows are sorted by partition, the window's ORDER BY and, to break ties the same way everywhere, the
whole row; partitions then pass one after the other. An aggregate moves along with the frame: rows
enter its state at one end and leave it at the other, so a running total costs one step a row.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from compute.execution import CHUNK_ROWS, NO_ROWS, Chunk, Chunks, Execution, Operator, repeated
from compute.operators.keys import KeyFunction
from compute.sorting import SlicedSorter, Tie
from core.rows import Datum, Row
from expr.aggregates import AggregateFunction
from expr.relation import WindowFrame
from expr.windows import Frames, Partition, WindowImplementation

STEP_ROWS: Final = 1024


@dataclass(frozen=True, slots=True)
class WindowCall:
    """One window function, compiled; `filter` is for aggregates only."""

    function: WindowImplementation | AggregateFunction
    arguments: Callable[[Row], Row]
    frame: WindowFrame
    filter: Callable[[Row], bool] | None = None


@dataclass(frozen=True, slots=True)
class Windowing:
    """How rows are partitioned and ordered, and what is computed over them."""

    partition_key: KeyFunction
    order_key: Callable[[Row], Any]
    tie_key: Callable[[Row], Any]
    calls: tuple[WindowCall, ...]

    def sort_key(self, row: Row) -> Any:
        """Orders the rows of a partition; only identical rows are equal."""
        return self.order_key(row), Tie(row, self.tie_key)

    def compute(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """A whole partition, sorted, with the values of `calls` appended: after bounded steps, each
        of which gives nothing, in lists. Raises SqlError while iterated."""
        peers = _peers(list(map(self.order_key, rows)))
        columns: list[list[Datum]] = []
        for call in self.calls:
            arguments = list(map(call.arguments, rows))
            frames = Frames(call.frame, peers)
            if callable(call.function):
                columns.append(call.function(Partition(arguments, peers, frames)))
                yield []
                continue
            included = None if call.filter is None else list(map(call.filter, rows))
            column: list[Datum] = []
            for values in _over_frames(call.function, arguments, included, frames):
                column += values
                yield []
            columns.append(column)
        out = [row + more for row, more in zip(rows, zip(*columns, strict=True), strict=True)]
        for start in range(0, len(out), CHUNK_ROWS):
            yield out[start : start + CHUNK_ROWS]


@dataclass(frozen=True, slots=True)
class WindowOperator:
    """The input's rows with the windows' values appended. Input multiplicities are positive."""

    input: Operator
    windowing: Windowing

    def run(self, execution: Execution) -> Chunks:
        numbers: dict[Datum, int] = {}
        sort_key = self.windowing.sort_key
        sorter = SlicedSorter[tuple[int, Row]](
            lambda item: (item[0], sort_key(item[1])), execution.budget
        )
        for chunk in self.input.run(execution):
            rows = repeated(chunk)
            keys = map(self.windowing.partition_key, rows)
            sorter.add(
                [
                    (numbers.setdefault(k, len(numbers)), row)
                    for k, row in zip(keys, rows, strict=True)
                ]
            )
            yield NO_ROWS
        current = -1
        partition: list[Row] = []
        for items in sorter.sorted():
            for number, row in items:
                if number != current and partition:
                    yield from self._partition(partition)
                    partition = []
                current = number
                partition.append(row)
            yield NO_ROWS
        if partition:
            yield from self._partition(partition)

    def _partition(self, rows: list[Row]) -> Chunks:
        for out in self.windowing.compute(rows):
            yield Chunk(out, None)


def _peers(keys: list[Any]) -> list[int]:
    """The number of each row's group of equal keys."""
    peers: list[int] = []
    number = 0
    for position, key in enumerate(keys):
        if position and key != keys[position - 1]:
            number += 1
        peers.append(number)
    return peers


def _over_frames(
    function: AggregateFunction,
    arguments: Sequence[Row],
    included: Sequence[bool] | None,
    frames: Sequence[range],
) -> Iterator[list[Datum]]:
    """The aggregate's value for each frame, in lists after about STEP_ROWS of work each."""
    state = function.start()
    low = high = 0
    out: list[Datum] = []
    work = 0
    value: Datum = None
    is_known = False
    for frame in frames:
        if is_known and frame.start == low and frame.stop == high:
            out.append(value)
            continue
        if frame.start > low and function.is_ordered:
            # What an ordered aggregate has taken in cannot leave it again.
            state = function.start()
            low = high = frame.start
        for position in range(high, frame.stop):
            if included is None or included[position]:
                state = function.add(state, arguments[position], 1)
        for position in range(low, frame.start):
            if included is None or included[position]:
                state = function.add(state, arguments[position], -1)
        work += frame.stop - high + frame.start - low + 1
        low, high = frame.start, frame.stop
        value = function.finish(state)
        is_known = True
        out.append(value)
        if work >= STEP_ROWS:
            yield out
            out = []
            work = 0
    yield out
