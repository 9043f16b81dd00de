"""What one aggregate of a GROUP BY takes in of one group.

An accumulator keeps argument columns for the aggregate's `bulk`, which is fastest; when they become
many it folds them into the aggregate's running state. Aggregates that need every row to the end
(DISTINCT and ordered ones) keep them; a group that keeps many is sorted and folded in steps.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, Protocol

from compute.execution import CHUNK_ROWS, MemoryBudget
from compute.operators.keys import KeyFunction
from compute.sorting import SlicedSorter
from core.rows import Datum, Row
from expr.aggregates import AggregateFunction

MAX_BULK_ROWS: Final = 4096  # of one group
KEPT_ROW_BYTES: Final = 24
KEPT_KEY_BYTES: Final = 240

Predicate = Callable[[Row], bool]
_Entry = tuple[Row, int]


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """One aggregate of a Reduce, compiled. `arguments` gives the argument datums as a row;
    `argument_bytes` is what a kept one weighs, None where that differs from value to value.

    `distinct_key` (DISTINCT) says which argument rows are equal; `sort_key` orders the rows of an
    ordered aggregate, given (ORDER BY values ++ arguments), which `sort_values` computes and
    `sort_identity` tells apart.
    """

    function: AggregateFunction
    arguments: Callable[[Row], Row]
    width: int
    argument_bytes: int | None = None
    is_count_star: bool = False
    filter: Predicate | None = None
    distinct_key: KeyFunction | None = None
    sort_values: Callable[[Row], Row] | None = None
    sort_key: Callable[[Row], Any] | None = None
    sort_identity: KeyFunction | None = None


class Accumulator(Protocol):
    """One aggregate of one group."""

    def add(self, rows: list[Row], diffs: list[int] | None, budget: MemoryBudget) -> None:
        """Take in rows of the group. Raises SqlError, 53200 among others."""

    def prepare(self, budget: MemoryBudget) -> Iterator[None]:
        """Do what `finish` could not do in one step."""

    def finish(self) -> Datum:
        """The aggregate's value; once."""


def accumulator(call: AggregateCall) -> Accumulator:
    """A new one for a new group."""
    if call.is_count_star and call.filter is None and call.distinct_key is None:
        return _RowCount()
    if call.distinct_key is not None or call.function.is_ordered:
        return _Collected(call)
    return _Bulk(call)


class _RowCount:
    """count(*)."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def add(self, rows: list[Row], diffs: list[int] | None, budget: MemoryBudget) -> None:
        self._count += len(rows) if diffs is None else sum(diffs)

    def prepare(self, budget: MemoryBudget) -> Iterator[None]:
        return iter(())

    def finish(self) -> Datum:
        return self._count


class _Bulk:
    """Any aggregate of a plain multiset."""

    __slots__ = ("_call", "_charged", "_columns", "_has_state", "_state")

    def __init__(self, call: AggregateCall) -> None:
        self._call = call
        self._columns: list[list[Datum]] = [[] for _ in range(max(1, call.width))]
        self._charged = 0
        self._state: Any = None
        self._has_state = False

    def add(self, rows: list[Row], diffs: list[int] | None, budget: MemoryBudget) -> None:
        call = self._call
        rows, diffs = _filtered(call.filter, rows, diffs)
        if not rows:
            return
        arguments = list(map(call.arguments, rows))
        if diffs is not None:
            state = self._folded(budget)
            for values, diff in zip(arguments, diffs, strict=True):
                state = call.function.add(state, values, diff)
            self._state = state
            return
        columns = self._columns
        if call.width == 1:
            columns[0] += [value for (value,) in arguments]
        elif call.width == 0:
            columns[0] += repeat(None, len(arguments))
        else:
            for column, added in zip(columns, zip(*arguments, strict=True), strict=True):
                column += added
        if call.argument_bytes is None:
            self._charged += budget.charge_rows(arguments)
        else:
            self._charged += budget.charge(call.argument_bytes * len(arguments))
        if len(columns[0]) >= MAX_BULK_ROWS:
            self._folded(budget)

    def prepare(self, budget: MemoryBudget) -> Iterator[None]:
        return iter(())

    def finish(self) -> Datum:
        function = self._call.function
        if not self._has_state:
            return function.bulk(self._columns)
        if self._columns[0]:
            self._state = function.extend(self._state, self._columns)
        return function.finish(self._state)

    def _folded(self, budget: MemoryBudget) -> Any:
        """The running state, with everything kept in columns folded into it."""
        function = self._call.function
        if not self._has_state:
            self._has_state = True
            self._state = function.start()
        if self._columns[0]:
            budget.release(self._charged)
            self._charged = 0
            self._state = function.extend(self._state, self._columns)
            for column in self._columns:
                column.clear()
        return self._state


class _Collected:
    """DISTINCT and ordered aggregates: every argument row, with its multiplicity, until the end."""

    __slots__ = ("_by_key", "_call", "_entries", "_is_prepared", "_state")

    def __init__(self, call: AggregateCall) -> None:
        self._call = call
        self._entries: list[_Entry] = []
        self._by_key: dict[Datum, _Entry] = {}  # DISTINCT
        self._state: Any = None
        self._is_prepared = False

    def add(self, rows: list[Row], diffs: list[int] | None, budget: MemoryBudget) -> None:
        call = self._call
        rows, diffs = _filtered(call.filter, rows, diffs)
        if not rows:
            return
        values = list(map(call.sort_values or call.arguments, rows))
        if call.distinct_key is not None:
            before = len(self._by_key)
            if not before:
                budget.keep(self._by_key)
            self._add_distinct(values, call.distinct_key)
            budget.charge_rows(values[: len(self._by_key) - before], KEPT_KEY_BYTES)
            return
        if not self._entries:
            budget.keep(self._entries)
        self._entries += zip(values, repeat(1) if diffs is None else diffs, strict=False)
        budget.charge_rows(values, KEPT_ROW_BYTES + 56)

    def _add_distinct(self, values: list[Row], distinct_key: KeyFunction) -> None:
        by_key, sort_key, width = self._by_key, self._call.sort_key, self._call.width
        for row in values:
            key = distinct_key(row[len(row) - width :])
            known = by_key.get(key)
            if known is None or (sort_key is not None and sort_key(row) < sort_key(known[0])):
                by_key[key] = (row, 1)

    def prepare(self, budget: MemoryBudget) -> Iterator[None]:
        if len(self._entries) + len(self._by_key) <= CHUNK_ROWS:
            return
        function, sort_key = self._call.function, self._call.sort_key
        state = function.start()
        for part in self._large(sort_key, budget):
            state = self._extended(state, part)
            yield
        self._state = state
        self._is_prepared = True

    def finish(self) -> Datum:
        function = self._call.function
        if self._is_prepared:
            return function.finish(self._state)
        entries = list(self._by_key.values()) or self._entries
        sort_key = self._call.sort_key
        if sort_key is not None:
            entries = sorted(entries, key=lambda entry: sort_key(entry[0]))
        return function.finish(self._extended(function.start(), entries))

    def _extended(self, state: Any, entries: list[_Entry]) -> Any:
        width, step = self._call.width, self._call.function.add
        for row, diff in entries:
            state = step(state, row[len(row) - width :], diff)
        return state

    def _large(
        self, sort_key: Callable[[Row], Any] | None, budget: MemoryBudget
    ) -> Iterator[list[_Entry]]:
        """What is kept, in the order of `sort_key`, in parts; taken out as it goes."""
        if sort_key is None:
            yield from self._taken()
            return
        sorter = SlicedSorter[_Entry](lambda entry: sort_key(entry[0]), budget)
        for part in self._taken():
            sorter.add(part)
            yield []
        yield from sorter.sorted()

    def _taken(self) -> Iterator[list[_Entry]]:
        while self._entries:
            part = self._entries[-CHUNK_ROWS:]
            del self._entries[-CHUNK_ROWS:]
            yield part
        while self._by_key:
            count = min(CHUNK_ROWS, len(self._by_key))
            yield [self._by_key.popitem()[1] for _ in range(count)]


def _filtered(
    predicate: Predicate | None, rows: list[Row], diffs: list[int] | None
) -> tuple[list[Row], list[int] | None]:
    if predicate is None:
        return rows, diffs
    if diffs is None:
        return [row for row in rows if predicate(row)], None
    pairs = [pair for pair in zip(rows, diffs, strict=True) if predicate(pair[0])]
    return [row for row, _ in pairs], [diff for _, diff in pairs]
