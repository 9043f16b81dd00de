"""What the operators of one run do: rows, time and memory, for EXPLAIN ANALYZE.

Operators are wrapped where they are rendered, so that runs that nobody measures pay nothing. A
measured query runs to its end and gives, in place of its rows, one row for each node of its
relation that became an operator of its own (`COLUMNS`), and one for the query as a whole. Figures
include those of a node's inputs, as far as they were asked for in its turn.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Final, TypeVar

from compute.execution import Chunk, Chunks, Execution, Operator
from compute.render import render
from compute.rendered import Rendered
from compute.result import FinishedQuery, Rows, finished_query
from core.rows import Row
from core.sql_types import INT8
from expr.relation import Finishing, Relation, children
from expr.scalar import EvaluationContext

WHOLE_QUERY: Final = -1
# The node's number (see `numbered`), rows, microseconds, and bytes kept at most.
COLUMNS: Final = (INT8, INT8, INT8, INT8)

Item = TypeVar("Item")


@dataclass(slots=True)
class Figures:
    """What one operator, or the query, has done so far."""

    rows: int = 0
    elapsed_s: float = 0.0
    kept_bytes: int = 0
    most_bytes: int = 0

    def steps(
        self, iterator: Iterator[Item], execution: Execution, rows_of: Callable[[Item], int]
    ) -> Iterator[Item]:
        """The items, each step's time and memory counted."""
        budget = execution.budget
        while True:
            started, used_bytes = perf_counter(), budget.used_bytes
            item = next(iterator, None)
            self.elapsed_s += perf_counter() - started
            self.kept_bytes += budget.used_bytes - used_bytes
            self.most_bytes = max(self.most_bytes, self.kept_bytes)
            if item is None:
                return
            self.rows += rows_of(item)
            yield item

    def row(self, number: int) -> Row:
        """As one of `COLUMNS`."""
        return (number, self.rows, int(self.elapsed_s * 1e6), self.most_bytes)


@dataclass(frozen=True, slots=True)
class MeasuredOperator:
    """`operator`, whose doings are added to `figures`."""

    operator: Operator
    figures: Figures

    def run(self, execution: Execution) -> Chunks:
        return self.figures.steps(self.operator.run(execution), execution, _chunk_rows)


def _chunk_rows(chunk: Chunk) -> int:
    return len(chunk.rows) if chunk.diffs is None else sum(chunk.diffs)


@dataclass(frozen=True, slots=True)
class MeasuredQuery:
    """A query that gives what its operators did. It is for one run: the figures are in it."""

    query: FinishedQuery
    figures: dict[int, Figures]
    whole: Figures = field(default_factory=Figures)

    def run(self, execution: Execution) -> Iterator[Rows]:
        """`COLUMNS` rows at the end; empty lists between steps."""
        for _ in self.whole.steps(self.query.run(execution), execution, len):
            yield []
        yield [
            self.whole.row(WHOLE_QUERY),
            *(self.figures[number].row(number) for number in sorted(self.figures)),
        ]


def measured_query(
    relation: Relation, finishing: Finishing, context: EvaluationContext
) -> MeasuredQuery:
    """Compile a query to be measured. Raises SqlError."""
    numbers = numbered(relation)
    figures: dict[int, Figures] = {}

    def observe(node: Relation, rendered: Rendered) -> Rendered:
        number = numbers.get(id(node))
        if number is None:
            return rendered
        found = figures.setdefault(number, Figures())
        return replace(rendered, operator=MeasuredOperator(rendered.operator, found))

    return MeasuredQuery(finished_query(render(relation, context, observe), finishing), figures)


def numbered(relation: Relation) -> dict[int, int]:
    """The number of each node by its identity: its place when every node comes before its inputs.
    The nodes must be different objects, as they are once decoded."""
    numbers: dict[int, int] = {}
    stack = [relation]
    while stack:
        node = stack.pop()
        numbers[id(node)] = len(numbers)
        stack.extend(reversed(children(node)))
    return numbers
