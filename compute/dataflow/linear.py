"""Operators without state: filter, map, project, union, negate, table functions, constants."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from compute.dataflow.chain import RowFunction
from compute.dataflow.updates import Errors, Updates
from core.errors import SqlError
from core.rows import Row


@dataclass(slots=True)
class ConstantNode:
    """Literal rows, emitted by the first step."""

    rows: Updates

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        rows, self.rows = self.rows, []
        return rows


@dataclass(frozen=True, slots=True)
class RowsNode:
    """Filters and maps of the input's rows, fused."""

    rows: RowFunction

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        return self.rows.run(inputs[0], errors)


@dataclass(frozen=True, slots=True)
class ShapeNode:
    """Filter by `predicate`, then `function` of what is left; None: everything, or as it is.
    Neither fails: they only take rows apart and put them together."""

    predicate: Callable[[Row], bool] | None
    function: Callable[[Row], Row] | None

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        (changes,) = inputs
        predicate, function = self.predicate, self.function
        if predicate is not None:
            changes = [update for update in changes if predicate(update[0])]
        if function is None:
            return changes
        return [(function(row), diff) for row, diff in changes]


@dataclass(frozen=True, slots=True)
class UnionNode:
    """The changes of every input."""

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        return [update for changes in inputs for update in changes]


@dataclass(frozen=True, slots=True)
class NegateNode:
    """The input's changes, negated."""

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        return [(row, -diff) for row, diff in inputs[0]]


@dataclass(frozen=True, slots=True)
class FlatMapNode:
    """Every row joined with the rows of a table function of it."""

    function: Callable[..., Iterable[Row]]
    arguments: Callable[[Row], Row]
    is_strict: bool
    ordinality: bool

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        out: Updates = []
        for row, diff in inputs[0]:
            try:
                out += [(row + tail, diff) for tail in self._rows_of(row)]
            except SqlError as error:
                errors.add(error, diff)
        return out

    def _rows_of(self, row: Row) -> Iterable[Row]:
        values = self.arguments(row)
        if self.is_strict and None in values:
            return ()
        produced = self.function(*values)
        if self.ordinality:
            return ((*tail, number) for tail, number in zip(produced, count(1)))
        return produced
