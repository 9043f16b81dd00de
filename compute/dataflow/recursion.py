"""Mutual recursion, maintained: one instance of the bindings' values for each iteration.

Iteration i holds the state of its own operators. It takes in the changes of what lies outside and
those of iteration i-1's result, and gives those of its own, so the work is that of the change in
each iteration it reaches. What an iteration's result differs from the one before by is known: the
bindings are at rest when the last iteration differs in nothing. Else iterations are added, filled
with all there is; at the end those that differ in nothing are dropped again, but for a few.

What does not depend on the recursion is computed outside, once, and arranged there for the joins of
all iterations; its other uses keep a state for each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from compute.dataflow.graph import Edge
from compute.dataflow.iteration import Entry, Iteration, all_rows, contents_of
from compute.dataflow.updates import (
    NO_UPDATES,
    Errors,
    Identity,
    Update,
    Updates,
    add_row,
    consolidate,
)
from compute.operators.fixpoint import limit_reached
from core.errors import PROGRAM_LIMIT_EXCEEDED, SqlError
from core.ids import Timestamp
from core.rows import Datum

MAX_ITERATIONS: Final = 1000  # of a recursion without a limit of its own; each has a state
ITERATIONS_AT_ONCE: Final = 64  # that a step adds; what more there must be is left to the end
MAX_ROWS: Final = 20_000_000  # of the bindings, over all iterations
SPARE_ITERATIONS: Final = 3  # that differ in nothing, kept for changes that need them again


@dataclass(slots=True)
class Instance:
    """An iteration. `previous`: the edges at which the bindings' rows of the iteration before
    enter; `values`: those of its own rows; `differences`: the latter less the former."""

    dataflow: Iteration
    previous: tuple[int, ...]
    values: tuple[int, ...]
    differences: list[dict[Datum, Update]] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        return any(self.differences)


@dataclass(slots=True)
class FixpointNode:
    """The bindings at rest. Inputs: the edges outside that `entries` name, in that order.

    Rows of different bindings differ in type: the output only tells that there are `changes`,
    which `BindingNode`s pass on. It is `touched` while iterations are missing: a step adds
    `at_once` of them at most, and none while it is deferring.
    """

    make: Callable[[], Instance]
    outside: tuple[Edge, ...]
    entries: tuple[Entry, ...]
    identities: tuple[Identity, ...]
    limit: int | None
    returns_at_limit: bool
    at_once: int
    instances: list[Instance]
    is_deferring: bool = False
    touched: dict[int, int] = field(default_factory=dict)
    changes: list[Updates] = field(default_factory=list)
    _results: list[dict[Datum, Update]] = field(default_factory=list)
    _reported: SqlError | None = None

    def next_event_time(self) -> Timestamp | None:
        events = (instance.dataflow.next_event_time() for instance in self.instances)
        return min((event for event in events if event is not None), default=None)

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        if not self._results:
            self._results = [{} for _ in self.identities]
        carried: list[Updates] = [NO_UPDATES] * len(self.identities)
        for instance in self.instances:
            carried = self._advance(instance, inputs, carried, errors)
        self.changes = carried
        self._fold(carried)
        return self._grown(0 if self.is_deferring else self.at_once, inputs, errors)

    def refresh(self, errors: Errors, limit: int) -> Updates:
        """Add one of the missing iterations, whatever `limit` says."""
        self.changes = [NO_UPDATES] * len(self.identities)
        return self._grown(1, [NO_UPDATES] * len(self.entries), errors)

    @property
    def dataflows(self) -> list[Iteration]:
        return [instance.dataflow for instance in self.instances]

    @property
    def rows_looked_up(self) -> int:
        """The rows that operators of the iterations have touched."""
        return sum(o.rows_touched for inner in self.dataflows for o in inner.operators)

    @property
    def row_count(self) -> int:
        """The rows that the iterations keep."""
        return sum(o.rows_kept for inner in self.dataflows for o in inner.operators)

    @property
    def size_bytes(self) -> int:
        return sum(o.size_bytes for inner in self.dataflows for o in inner.operators)

    def _advance(
        self,
        instance: Instance,
        inputs: Sequence[Updates],
        carried: list[Updates],
        errors: Errors,
    ) -> list[Updates]:
        """Step an iteration; returns what changes in its result."""
        dataflow = instance.dataflow
        entering = [
            (dataflow.entries[entry], updates)
            for entry, updates in zip(self.entries, inputs, strict=True)
            if updates
        ]
        entering += [
            (edge, updates)
            for edge, updates in zip(instance.previous, carried, strict=True)
            if updates
        ]
        if not entering and not dataflow.has_work():
            return carried
        outputs = dataflow.advance(entering)
        results = [
            consolidate(outputs.get(edge, NO_UPDATES), identity)
            for edge, identity in zip(instance.values, self.identities, strict=True)
        ]
        for difference, identity, before, after in zip(
            instance.differences, self.identities, carried, results, strict=True
        ):
            for row, diff in after:
                add_row(difference, identity(row), row, diff)
            for row, diff in before:
                add_row(difference, identity(row), row, -diff)
        journal = dataflow.errors.journal
        if journal:
            for error, diff in journal:
                errors.add(error, diff)
            journal.clear()
        return results

    def _grown(self, most: int, inputs: Sequence[Updates], errors: Errors) -> Updates:
        """All changes, with those of at most so many iterations more."""
        for _ in range(most):
            if not self._is_missing_some():
                break
            self._add_instance(inputs, errors)
        self.touched.clear()
        if self._is_missing_some():
            self.touched[0] = len(self.instances)
        else:
            self._drop_spare(errors)
            self._report(errors)
        return [update for changes in self.changes for update in changes]

    def _is_missing_some(self) -> bool:
        return self.instances[-1].differs and self._obstacle() is None

    def _fold(self, changes: Sequence[Updates]) -> None:
        for result, identity, updates in zip(self._results, self.identities, changes, strict=True):
            for row, diff in updates:
                add_row(result, identity(row), row, diff)

    def _add_instance(self, inputs: Sequence[Updates], errors: Errors) -> None:
        """One more iteration, filled with what lies outside and the last one's result."""
        instance = self.make()
        instance.differences = [{} for _ in self.identities]
        self.instances.append(instance)
        filling = [
            all_rows(contents_of(edge)) if is_whole else changes
            for edge, (_, is_whole), changes in zip(self.outside, self.entries, inputs, strict=True)
        ]
        results = [list(result.values()) for result in self._results]
        self._advance(instance, filling, results, errors)
        found = [list(difference.values()) for difference in instance.differences]
        self.changes = [old + new for old, new in zip(self.changes, found, strict=True)]
        self._fold(found)

    def _drop_spare(self, errors: Errors) -> None:
        """Drop what the last change does not need: at least one iteration without a difference
        stays, which shows that the bindings are at rest."""
        instances = self.instances
        while not any(i.differs for i in instances[-SPARE_ITERATIONS - 2 :]):
            if len(instances) < SPARE_ITERATIONS + 2:
                return
            dataflow = instances.pop().dataflow
            for error, count in dataflow.errors.items():
                errors.add(error, -count)
            for _ in dataflow.dismantle():
                pass

    def _obstacle(self) -> SqlError | None:
        """Why there cannot be more iterations."""
        limit = MAX_ITERATIONS if self.limit is None else self.limit
        if len(self.instances) >= limit:
            return limit_reached(limit)
        if sum(map(len, self._results)) * len(self.instances) > MAX_ROWS:
            return SqlError(
                PROGRAM_LIMIT_EXCEEDED, f"Recursive query exceeded the limit of {MAX_ROWS} rows."
            )
        return None

    def _report(self, errors: Errors) -> None:
        """Make not being at rest an error in the data, which heals when the data do."""
        error = self._obstacle() if self.instances[-1].differs else None
        if self.returns_at_limit and len(self.instances) == self.limit:
            error = None
        if self._reported is not None:
            errors.add(self._reported, -1)
        if error is not None:
            errors.add(error, 1)
        self._reported = error


@dataclass(frozen=True, slots=True)
class BindingNode:
    """The rows of one binding at rest. Input: the fixpoint."""

    fixpoint: FixpointNode
    number: int

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        return self.fixpoint.changes[self.number]
