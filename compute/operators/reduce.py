"""GROUP BY and DISTINCT.

Input rows are collected by group for a while (BUFFERED_ROWS), then each group's rows are handed to
its accumulators together, so that per-row work is done by comprehensions.

The value shown for a group key whose equal datums may differ (1.0 and 1.00) is the one with the
least canonical encoding, so that it does not depend on the order of the input.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from compute.execution import (
    CHUNK_ROWS,
    NO_ROWS,
    Chunk,
    Chunks,
    Execution,
    MemoryBudget,
    Operator,
)
from compute.operators.accumulators import Accumulator, AggregateCall, accumulator
from compute.operators.keys import KeyFunction, as_tuple
from core.rows import Datum, Row

BUFFERED_ROWS: Final = 65_536
FLUSH_STEP_ROWS: Final = 1024
GROUP_OVERHEAD_BYTES: Final = 300
DISTINCT_OVERHEAD_BYTES: Final = 130


@dataclass(frozen=True, slots=True)
class ReduceOperator:
    """One row per group: key values, then aggregates. Input multiplicities are positive."""

    input: Operator
    key: KeyFunction
    key_values: Callable[[Row], Row]
    canonical_key: Callable[[Row], bytes] | None  # None: equal key values are the same datums
    calls: tuple[AggregateCall, ...]

    def run(self, execution: Execution) -> Chunks:
        budget = execution.budget
        groups: dict[Datum, _Group] = budget.keep({})
        buffer: defaultdict[Datum, list[Row]] = defaultdict(list)
        buffered = charged = 0
        for rows, diffs in self.input.run(execution):
            if diffs is not None:
                self._add_weighted(rows, diffs, groups, budget)
                yield NO_ROWS
                continue
            charged += budget.charge_rows(rows)
            for key, row in zip(map(self.key, rows), rows, strict=True):
                buffer[key].append(row)
            buffered += len(rows)
            yield NO_ROWS
            if buffered >= BUFFERED_ROWS:
                yield from self._flush(buffer, groups, budget)
                budget.release(charged)
                buffered = charged = 0
        yield from self._flush(buffer, groups, budget)
        budget.release(charged)
        yield from self._finish(groups, budget)

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
                for kept in group.accumulators:
                    kept.add(part, None, budget)
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
            for kept in group.accumulators:
                kept.add([row], [diff], budget)

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
            accumulators = [accumulator(call) for call in self.calls]
            first = rows[0]
            if canonical is not None:
                first = min(rows, key=lambda row: canonical(self.key_values(row)))
            group = groups[key] = _Group(self.key_values(first), accumulators)
        elif canonical is not None:
            candidates = [self.key_values(row) for row in rows]
            candidates.append(group.values)
            group.values = min(candidates, key=canonical)
        return group

    def _finish(self, groups: dict[Datum, "_Group"], budget: MemoryBudget) -> Chunks:
        out: list[Row] = []
        for group in groups.values():
            for kept in group.accumulators:
                for _ in kept.prepare(budget):
                    yield NO_ROWS
            tail = tuple([kept.finish() for kept in group.accumulators])
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
        seen: set[Datum] = execution.budget.keep(set())
        for rows, _ in self.input.run(execution):
            new = [key for key in dict.fromkeys(map(self.key, rows)) if key not in seen]
            seen.update(new)
            out = as_tuple(new, self.width)
            execution.budget.charge_rows(out, DISTINCT_OVERHEAD_BYTES)
            yield Chunk(out, None)
