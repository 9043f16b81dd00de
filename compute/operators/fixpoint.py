"""Mutual recursion: tables computed from each other, again and again, until none of them changes.

Every iteration computes every table anew from what the tables are at that moment. An iteration's
operators keep what they keep in a budget of its own, which is emptied when the iteration is over.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from compute.execution import NO_ROWS, Chunk, Chunks, Execution, MemoryBudget, Operator
from compute.operators.consolidate import ENTRY_BYTES
from core.errors import PROGRAM_LIMIT_EXCEEDED, SqlError
from core.rows import Datum, Row


def limit_reached(limit: int) -> SqlError:
    """The error of a recursion that has not come to rest within its limit."""
    return SqlError(
        PROGRAM_LIMIT_EXCEEDED,
        f"Recursive query exceeded the recursion limit {limit}. (Use RETURN AT RECURSION LIMIT to "
        "not error, but return the current state as the final result when reaching the limit.)",
    )


@dataclass(frozen=True, slots=True)
class Binding:
    """A table: `value` gives its rows, each once with its multiplicity; `identity` names them."""

    id: int
    value: Operator
    identity: Callable[[Row], Datum]


class _Contents:
    """What a table has been computed to be."""

    def __init__(self, execution: Execution) -> None:
        self._budget = execution.budget
        self._owner = MemoryBudget(self._budget.limit_bytes)  # empties the containers in steps
        self.chunks: list[Chunk] = self._owner.keep(self._budget.keep([]))
        self.counts: dict[Datum, int] = self._owner.keep(self._budget.keep({}))
        self._charged = 0

    def add(self, chunk: Chunk, identity: Callable[[Row], Datum]) -> None:
        self._charged += self._budget.charge_rows(chunk.rows, ENTRY_BYTES)
        self.chunks.append(chunk)
        names = map(identity, chunk.rows)
        self.counts.update(zip(names, chunk.diffs or [1] * len(chunk.rows), strict=True))

    def dismantle(self) -> Iterator[None]:
        """Give the memory back."""
        self._budget.release(self._charged)
        return self._owner.dismantle()


@dataclass(frozen=True, slots=True)
class FixpointOperator:
    """`body`, with the rows of `bindings` at rest as locals."""

    bindings: tuple[Binding, ...]
    body: Operator
    limit: int | None
    returns_at_limit: bool

    def run(self, execution: Execution) -> Chunks:
        contents = {binding: _Contents(execution) for binding in self.bindings}
        for binding in self.bindings:
            execution.locals[binding.id] = []
        for iteration in count(1):
            inner = _nested(execution)
            is_changed = False
            for binding in self.bindings:
                before, after = contents[binding], _Contents(execution)
                unchanged = 0
                for chunk in binding.value.run(inner):
                    if chunk.rows:
                        after.add(chunk, binding.identity)
                        unchanged += _agreeing(chunk, binding.identity, before.counts)
                    yield NO_ROWS
                is_changed |= not unchanged == len(before.counts) == len(after.counts)
                contents[binding] = after
                execution.locals[binding.id] = after.chunks
                for _ in before.dismantle():
                    yield NO_ROWS
            for _ in inner.budget.dismantle():
                yield NO_ROWS
            if not is_changed or (iteration == self.limit and self.returns_at_limit):
                break
            if iteration == self.limit:
                raise limit_reached(iteration)
        yield from self.body.run(execution)


def _nested(execution: Execution) -> Execution:
    """One for an iteration, with what memory is left."""
    budget = execution.budget
    left = MemoryBudget(budget.limit_bytes - budget.used_bytes)
    nested = Execution(execution.as_of, execution.tables, left)
    nested.locals = execution.locals
    return nested


def _agreeing(chunk: Chunk, identity: Callable[[Row], Datum], counts: dict[Datum, int]) -> int:
    """How many of the chunk's rows have the multiplicity that `counts` says."""
    diffs = chunk.diffs or [1] * len(chunk.rows)
    return sum(
        counts.get(identity(row)) == diff for row, diff in zip(chunk.rows, diffs, strict=True)
    )
