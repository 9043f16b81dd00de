"""Operators that choose among whole rows: top-k per group, threshold, and the check that a scalar
subquery has one row."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sortedcontainers import SortedDict

from compute.dataflow.updates import (
    NO_UPDATES,
    Errors,
    Identity,
    Update,
    Updates,
    add_count,
    add_row,
    consolidate,
)
from compute.operators.keys import KeyFunction
from core.errors import CARDINALITY_VIOLATION, SqlError
from core.rows import Datum, Row


@dataclass(slots=True)
class _Ordered:
    """A group's rows in order, and the part of them last emitted. `last` is where that part ends if
    it has as many rows as it may: what comes later is of no interest."""

    rows: "SortedDict[Any, Update]" = field(default_factory=SortedDict)
    chosen: dict[Datum, Update] = field(default_factory=dict)
    last: Any = None


@dataclass(slots=True)
class TopKNode:
    """Rows `offset` to `offset + limit` of each group by `order_key`, which no two different rows
    share. A step costs the rows chosen from, not the rows of the group."""

    group_key: KeyFunction
    order_key: Callable[[Row], Any]
    identity: Identity
    limit: int | None
    offset: int
    is_deferring: bool = False
    touched: dict[Datum, _Ordered] = field(default_factory=dict)
    rows_looked_up: int = 0
    _groups: dict[Datum, _Ordered] = field(default_factory=dict)

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        touched = self.touched
        for row, diff in consolidate(inputs[0], self.identity):
            key = self.group_key(row)
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = _Ordered()
            place = self.order_key(row)
            add_row(group.rows, place, row, diff)
            if group.last is None or not group.last < place:
                touched[key] = group
        return NO_UPDATES if self.is_deferring else self.refresh(errors, len(touched))

    def refresh(self, errors: Errors, limit: int) -> Updates:
        touched = self.touched
        out: Updates = []
        for _ in range(min(limit, len(touched))):
            key, group = touched.popitem()
            out += self._refresh(group)
            if not group.rows:
                del self._groups[key]
        return out

    def _refresh(self, group: _Ordered) -> Iterator[Update]:
        chosen = {self.identity(row): (row, count) for row, count in self._choose(group)}
        old, group.chosen = group.chosen, chosen
        for name, (row, count) in old.items():
            diff = chosen.get(name, (row, 0))[1] - count
            if diff:
                yield row, diff
        for name, (row, count) in chosen.items():
            if name not in old:
                yield row, count

    def _choose(self, group: _Ordered) -> Iterator[Update]:
        skip, take = self.offset, self.limit
        group.last = None
        for place, (row, count) in group.rows.items():
            self.rows_looked_up += 1
            present = max(count, 0)
            skipped = min(present, skip)
            skip -= skipped
            present -= skipped
            if take is not None:
                present = min(present, take)
                take -= present
            if present:
                yield row, present
            if take == 0:
                group.last = place
                return


@dataclass(slots=True)
class ThresholdNode:
    """The input's rows of positive multiplicity."""

    identity: Identity
    _totals: dict[Datum, int] = field(default_factory=dict)

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        out: Updates = []
        totals = self._totals
        for row, diff in inputs[0]:
            was, now = add_count(totals, self.identity(row), diff)
            change = max(now, 0) - max(was, 0)
            if change:
                out.append((row, change))
        return out


@dataclass(slots=True)
class CardinalityCheckNode:
    """The input as it is; an error for each group with more than one row."""

    group_key: KeyFunction
    _totals: dict[Datum, int] = field(default_factory=dict)

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        totals = self._totals
        for row, diff in inputs[0]:
            was, now = add_count(totals, self.group_key(row), diff)
            if (was > 1) is not (now > 1):
                errors.add(_too_many_rows(), 1 if now > 1 else -1)
        return inputs[0]


def _too_many_rows() -> SqlError:
    return SqlError(
        CARDINALITY_VIOLATION, "more than one row returned by a subquery used as an expression"
    )
