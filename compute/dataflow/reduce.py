"""GROUP BY and DISTINCT, kept up to date.

A group keeps the state of each aggregate and the row it last emitted, so a step costs what changed,
whatever the group's size. Aggregates take retractions (`expr.aggregates`). Those of DISTINCT
arguments and those that depend on an order keep their arguments as a multiset; the ordered ones are
computed anew for each group a step touches.

A group whose aggregate fails (a sum out of range) emits an error in place of its row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from compute.dataflow.updates import (
    NO_UPDATES,
    Errors,
    Identity,
    Update,
    Updates,
    add_count,
    add_row,
)
from compute.operators.accumulators import AggregateCall
from compute.operators.keys import KeyFunction
from core.errors import SqlError
from core.rows import Datum, Row


class Accumulator(Protocol):
    """What one aggregate knows of one group."""

    def add(self, arguments: Row, diff: int) -> None: ...

    def finish(self) -> Datum:
        """The aggregate's value. Raises SqlError."""


@dataclass(slots=True)
class _Group:
    key_rows: "KeyRows"
    accumulators: list[Accumulator]
    output: Row | None = None
    error: SqlError | None = None


@dataclass(slots=True)
class ReduceNode:
    """One row per group that has any: key values, then aggregates.

    `canonical_key` tells apart key values that SQL finds equal; None where there are none such.
    """

    key: KeyFunction
    key_values: Callable[[Row], Row]
    canonical_key: Identity | None
    calls: tuple[AggregateCall, ...]
    identity: Identity
    is_deferring: bool = False
    touched: dict[Datum, _Group] = field(default_factory=dict)
    _groups: dict[Datum, _Group] = field(default_factory=dict)

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        touched = self.touched
        for row, diff in inputs[0]:
            try:
                values = self.key_values(row)
                key = self.key(row)
                arguments = [_arguments(call, row) for call in self.calls]
            except SqlError as error:
                errors.add(error, diff)
                continue
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = self._new_group()
            touched[key] = group
            group.key_rows.add(values, diff)
            for accumulator, taken in zip(group.accumulators, arguments):
                if taken is not None:
                    accumulator.add(taken, diff)
        return NO_UPDATES if self.is_deferring else self.refresh(errors, len(touched))

    def refresh(self, errors: Errors, limit: int) -> Updates:
        touched = self.touched
        out: Updates = []
        for _ in range(min(limit, len(touched))):
            key, group = touched.popitem()
            out += self._refresh(group, errors)
            if group.key_rows.is_empty:
                del self._groups[key]
        return out

    def _new_group(self) -> _Group:
        key_rows: KeyRows
        if self.canonical_key is None:
            key_rows = PlainKeyRows()
        else:
            key_rows = VariedKeyRows(self.canonical_key)
        return _Group(key_rows, [_accumulator(call) for call in self.calls])

    def _refresh(self, group: _Group, errors: Errors) -> list[Update]:
        """What replaces the group's last output."""
        old, old_error = group.output, group.error
        group.output, group.error = None, None
        if not group.key_rows.is_empty:
            try:
                tail = tuple([accumulator.finish() for accumulator in group.accumulators])
                group.output = group.key_rows.values + tail
            except SqlError as error:
                group.error = error
                errors.add(error, 1)
        if old_error is not None:
            errors.add(old_error, -1)
        new = group.output
        if old is not None and new is not None and self.identity(old) == self.identity(new):
            return []
        out: list[Update] = [] if old is None else [(old, -1)]
        if new is not None:
            out.append((new, 1))
        return out


class KeyRows(Protocol):
    """The rows of a group as far as its key is concerned."""

    @property
    def is_empty(self) -> bool: ...

    @property
    def values(self) -> Row:
        """The key values to show."""

    def add(self, values: Row, diff: int) -> None: ...


class PlainKeyRows:
    """Key values that are the same datums in every row."""

    __slots__ = ("count", "values")

    def __init__(self) -> None:
        self.count = 0
        self.values: Row = ()

    @property
    def is_empty(self) -> bool:
        return self.count == 0

    def add(self, values: Row, diff: int) -> None:
        self.values = values
        self.count += diff


class VariedKeyRows:
    """Equal key values that may look different: shown is the one that sorts first as canonical
    encoding, so that it depends on the rows alone and not on their order."""

    __slots__ = ("_canonical", "_variants")

    def __init__(self, canonical: Identity) -> None:
        self._canonical = canonical
        self._variants: dict[Datum, Update] = {}

    @property
    def is_empty(self) -> bool:
        return not self._variants

    @property
    def values(self) -> Row:
        variants = self._variants
        present = [name for name, (_, count) in variants.items() if count > 0]
        return variants[min(present or variants)][0]

    def add(self, values: Row, diff: int) -> None:
        add_row(self._variants, self._canonical(values), values, diff)


class RunningTotal:
    """An aggregate that takes retractions itself."""

    __slots__ = ("_function", "_state")

    def __init__(self, call: AggregateCall) -> None:
        self._function = call.function
        self._state: Any = call.function.start()

    def add(self, arguments: Row, diff: int) -> None:
        self._state = self._function.add(self._state, arguments, diff)

    def finish(self) -> Datum:
        return self._function.finish(self._state)


class DistinctTotal:
    """An aggregate over the distinct values of exact types: it sees each come and go once."""

    __slots__ = ("_counts", "_function", "_key", "_state")

    def __init__(self, call: AggregateCall) -> None:
        assert call.distinct_key is not None
        self._function = call.function
        self._key = call.distinct_key
        self._counts: dict[Datum, int] = {}
        self._state: Any = call.function.start()

    def add(self, arguments: Row, diff: int) -> None:
        was, now = add_count(self._counts, self._key(arguments), diff)
        if (was > 0) is not (now > 0):
            self._state = self._function.add(self._state, arguments, 1 if now > 0 else -1)

    def finish(self) -> Datum:
        return self._function.finish(self._state)


class Collected:
    """An aggregate that is computed from all its arguments: ordered ones, and DISTINCT where equal
    values may look different."""

    __slots__ = ("_call", "_rows")

    def __init__(self, call: AggregateCall) -> None:
        self._call = call
        self._rows: dict[Datum, Update] = {}

    def add(self, arguments: Row, diff: int) -> None:
        assert self._call.sort_identity is not None
        add_row(self._rows, self._call.sort_identity(arguments), arguments, diff)

    def finish(self) -> Datum:
        call = self._call
        assert call.sort_key is not None
        sort_key = call.sort_key
        entries = sorted(self._rows.values(), key=lambda entry: sort_key(entry[0]))
        state = call.function.start()
        seen: set[Datum] = set()
        for row, count in entries:
            arguments = row[len(row) - call.width :]
            if call.distinct_key is not None:
                key = call.distinct_key(arguments)
                if count <= 0 or key in seen:
                    continue
                seen.add(key)
                count = 1
            state = call.function.add(state, arguments, count)
        return call.function.finish(state)


def _accumulator(call: AggregateCall) -> Accumulator:
    if call.sort_key is not None:
        return Collected(call)
    if call.distinct_key is not None:
        return DistinctTotal(call)
    return RunningTotal(call)


def _arguments(call: AggregateCall, row: Row) -> Row | None:
    """What the call's accumulator takes of a row; None if its filter leaves the row out."""
    if call.filter is not None and not call.filter(row):
        return None
    return call.arguments(row) if call.sort_values is None else call.sort_values(row)
