"""GROUP BY and DISTINCT.

Input rows are collected by group for a while (BUFFERED_ROWS), then each group's rows are handed to
its accumulators together, so that per-row work is done by comprehensions. An accumulator keeps
argument columns for the aggregate's `bulk`, which is fastest; when they become many it folds them
into the aggregate's running state.

The value shown for a group key whose equal datums may differ (1.0 and 1.00) is the one with the
least canonical encoding, so that it does not depend on the order of the input.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final, Protocol

from compute.execution import (
    CHUNK_ROWS,
    NO_ROWS,
    Chunk,
    Chunks,
    Execution,
    MemoryBudget,
    Operator,
)
from compute.operators.keys import KeyFunction, as_tuple
from core.rows import Datum, Row
from expr.aggregates import AggregateFunction

BUFFERED_ROWS: Final = 65_536
MAX_BULK_ROWS: Final = 4096  # of one group
FLUSH_STEP_ROWS: Final = 1024
ARGUMENT_BYTES: Final = 40
GROUP_OVERHEAD_BYTES: Final = 250

Predicate = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """One aggregate of a Reduce, compiled. `arguments` gives the argument datums as a row.

    `distinct_key` (DISTINCT) says which argument rows are equal; `sort_key` orders the rows of an
    ordered aggregate, given (ORDER BY values ++ arguments), which `sort_values` computes and
    `sort_identity` tells apart.
    """

    function: AggregateFunction
    arguments: Callable[[Row], Row]
    width: int
    is_count_star: bool = False
    filter: Predicate | None = None
    distinct_key: KeyFunction | None = None
    sort_values: Callable[[Row], Row] | None = None
    sort_key: Callable[[Row], Any] | None = None
    sort_identity: KeyFunction | None = None


class Accumulator(Protocol):
    """What one aggregate has taken in of one group."""

    def add(self, rows: list[Row], diffs: list[int] | None, budget: MemoryBudget) -> None: ...

    def finish(self) -> Datum: ...


@dataclass(frozen=True, slots=True)
class ReduceOperator:
    """One row per group: key values, then aggregates. Input multiplicities are positive."""

    input: Operator
    key: KeyFunction
    key_values: Callable[[Row], Row]
    canonical_key: Callable[[Row], bytes] | None  # None: equal key values are the same datums
    calls: tuple[AggregateCall, ...]

    def run(self, execution: Execution) -> Chunks:
        groups: dict[Datum, _Group] = {}
        buffer: defaultdict[Datum, list[Row]] = defaultdict(list)
        buffered = 0
        for rows, diffs in self.input.run(execution):
            if diffs is not None:
                self._add_weighted(rows, diffs, groups, execution.budget)
                yield NO_ROWS
                continue
            for key, row in zip(map(self.key, rows), rows, strict=True):
                buffer[key].append(row)
            buffered += len(rows)
            yield NO_ROWS
            if buffered >= BUFFERED_ROWS:
                yield from self._flush(buffer, groups, execution.budget)
                buffered = 0
        yield from self._flush(buffer, groups, execution.budget)
        yield from self._finish(groups)

    def _flush(
        self,
        buffer: defaultdict[Datum, list[Row]],
        groups: dict[Datum, "_Group"],
        budget: MemoryBudget,
    ) -> Chunks:
        work = 0
        for key, rows in buffer.items():
            group = self._group(key, rows, groups, budget)
            for start in range(0, len(rows), FLUSH_STEP_ROWS):
                part = (
                    rows if len(rows) <= FLUSH_STEP_ROWS else rows[start : start + FLUSH_STEP_ROWS]
                )
                for accumulator in group.accumulators:
                    accumulator.add(part, None, budget)
                work += len(part) + 8
                if work >= FLUSH_STEP_ROWS:
                    work = 0
                    yield NO_ROWS
        buffer.clear()

    def _add_weighted(
        self,
        rows: list[Row],
        diffs: list[int],
        groups: dict[Datum, "_Group"],
        budget: MemoryBudget,
    ) -> None:
        for row, diff in zip(rows, diffs, strict=True):
            group = self._group(self.key(row), [row], groups, budget)
            for accumulator in group.accumulators:
                accumulator.add([row], [diff], budget)

    def _group(
        self,
        key: Datum,
        rows: list[Row],
        groups: dict[Datum, "_Group"],
        budget: MemoryBudget,
    ) -> "_Group":
        group = groups.get(key)
        canonical = self.canonical_key
        if group is None:
            budget.charge(GROUP_OVERHEAD_BYTES * (1 + len(self.calls)))
            accumulators = [_accumulator(call) for call in self.calls]
            first = rows[0]
            if canonical is not None:
                first = min(rows, key=lambda row: canonical(self.key_values(row)))
            group = groups[key] = _Group(self.key_values(first), accumulators)
        elif canonical is not None:
            candidates = [self.key_values(row) for row in rows]
            candidates.append(group.values)
            group.values = min(candidates, key=canonical)
        return group

    def _finish(self, groups: dict[Datum, "_Group"]) -> Chunks:
        out: list[Row] = []
        for group in groups.values():
            tail = tuple([accumulator.finish() for accumulator in group.accumulators])
            out.append(group.values + tail)
            if len(out) >= CHUNK_ROWS // 4:
                yield Chunk(out, None)
                out = []
        yield Chunk(out, None)


@dataclass(slots=True)
class _Group:
    values: Row
    accumulators: list[Accumulator]


@dataclass(frozen=True, slots=True)
class DistinctOperator:
    """Distinct key rows, streamed as they first come: for keys whose equal datums are the same."""

    input: Operator
    key: KeyFunction
    width: int

    def run(self, execution: Execution) -> Chunks:
        seen: set[Datum] = set()
        for rows, _ in self.input.run(execution):
            new = [key for key in dict.fromkeys(map(self.key, rows)) if key not in seen]
            seen.update(new)
            out = as_tuple(new, self.width)
            execution.budget.charge_rows(out, 100)
            yield Chunk(out, None)


def _accumulator(call: AggregateCall) -> Accumulator:
    if call.is_count_star and call.filter is None and call.distinct_key is None:
        return _RowCount()
    if call.distinct_key is not None or call.function.is_ordered:
        return _Collected(call)
    return _Bulk(call)


class _RowCount:
    """count(*)."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def add(self, rows: list[Row], diffs: list[int] | None, budget: MemoryBudget) -> None:
        self.count += len(rows) if diffs is None else sum(diffs)

    def finish(self) -> Datum:
        return self.count


class _Bulk:
    """Any aggregate of a plain multiset."""

    __slots__ = ("_call", "_columns", "_has_state", "_state")

    def __init__(self, call: AggregateCall) -> None:
        self._call = call
        self._columns: list[list[Datum]] = [[] for _ in range(max(1, call.width))]
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
        budget.charge(ARGUMENT_BYTES * len(arguments))
        if len(columns[0]) >= MAX_BULK_ROWS:
            self._folded(budget)

    def _folded(self, budget: MemoryBudget) -> Any:
        """The running state, with everything kept in columns folded into it."""
        function = self._call.function
        if not self._has_state:
            self._has_state = True
            self._state = function.start()
        if self._columns[0]:
            budget.release(ARGUMENT_BYTES * len(self._columns[0]))
            self._state = function.extend(self._state, self._columns)
            for column in self._columns:
                column.clear()
        return self._state

    def finish(self) -> Datum:
        function = self._call.function
        if not self._has_state:
            return function.bulk(self._columns)
        if self._columns[0]:
            self._state = function.extend(self._state, self._columns)
        return function.finish(self._state)


class _Collected:
    """DISTINCT and ordered aggregates: every argument row, with its multiplicity, until the end."""

    __slots__ = ("_call", "_first", "_weights")

    def __init__(self, call: AggregateCall) -> None:
        self._call = call
        self._first: dict[Datum, Row] = {}
        self._weights: dict[Datum, int] = {}

    def add(self, rows: list[Row], diffs: list[int] | None, budget: MemoryBudget) -> None:
        call = self._call
        rows, diffs = _filtered(call.filter, rows, diffs)
        values = call.sort_values or call.arguments
        before = len(self._first)
        for row, diff in zip(map(values, rows), diffs or repeat(1), strict=False):
            key: Datum
            if call.distinct_key is not None:
                key = call.distinct_key(row[len(row) - call.width :])
                known = self._first.get(key)
                if known is None or (call.sort_key and call.sort_key(row) < call.sort_key(known)):
                    self._first[key] = row
                self._weights[key] = 1
                continue
            key = len(self._weights)
            self._first[key] = row
            self._weights[key] = diff
        budget.charge((150 + 40 * call.width) * (len(self._first) - before))

    def finish(self) -> Datum:
        call = self._call
        entries = list(self._first.items())
        if call.sort_key is not None:
            sort_key = call.sort_key
            entries.sort(key=lambda entry: sort_key(entry[1]))
        step = call.function.add
        state = call.function.start()
        for key, row in entries:
            values = row[len(row) - call.width :]
            state = step(state, values, self._weights[key])
        return call.function.finish(state)


def _filtered(
    predicate: Predicate | None, rows: list[Row], diffs: list[int] | None
) -> tuple[list[Row], list[int] | None]:
    if predicate is None:
        return rows, diffs
    if diffs is None:
        return [row for row in rows if predicate(row)], None
    pairs = [pair for pair in zip(rows, diffs, strict=True) if predicate(pair[0])]
    return [row for row, _ in pairs], [diff for _, diff in pairs]
