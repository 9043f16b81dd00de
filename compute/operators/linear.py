"""Operators that work row by row: filter, map, project, union, negate, table functions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count, islice
from operator import itemgetter

from compute.execution import CHUNK_ROWS, NO_ROWS, Chunk, Chunks, Execution, Operator
from core.rows import Row


@dataclass(frozen=True, slots=True)
class ConstantOperator:
    """Literal rows."""

    rows: tuple[Row, ...]
    diffs: tuple[int, ...]

    def run(self, execution: Execution) -> Chunks:
        for start in range(0, len(self.rows), CHUNK_ROWS):
            stop = start + CHUNK_ROWS
            diffs = list(self.diffs[start:stop])
            yield Chunk(list(self.rows[start:stop]), None if set(diffs) == {1} else diffs)


@dataclass(frozen=True, slots=True)
class FilterOperator:
    """Rows for which `predicate` is true."""

    input: Operator
    predicate: Callable[[Row], bool]

    def run(self, execution: Execution) -> Chunks:
        predicate = self.predicate
        for rows, diffs in self.input.run(execution):
            if diffs is None:
                yield Chunk([row for row in rows if predicate(row)], None)
                continue
            pairs = [pair for pair in zip(rows, diffs, strict=True) if predicate(pair[0])]
            yield Chunk([row for row, _ in pairs], [diff for _, diff in pairs])


@dataclass(frozen=True, slots=True)
class MapOperator:
    """`function` of every row."""

    input: Operator
    function: Callable[[Row], Row]

    def run(self, execution: Execution) -> Chunks:
        function = self.function
        for rows, diffs in self.input.run(execution):
            yield Chunk(list(map(function, rows)), diffs)


@dataclass(frozen=True, slots=True)
class RowsOperator:
    """Filter and map at once: `bulk` for rows that occur once each, else row by row."""

    input: Operator
    bulk: Callable[[list[Row]], list[Row]]
    predicate: Callable[[Row], bool] | None
    function: Callable[[Row], Row] | None

    def run(self, execution: Execution) -> Chunks:
        bulk = self.bulk
        for rows, diffs in self.input.run(execution):
            if diffs is None:
                yield Chunk(bulk(rows) if rows else [], None)
                continue
            if self.predicate is not None:
                predicate = self.predicate
                pairs = [pair for pair in zip(rows, diffs, strict=True) if predicate(pair[0])]
                rows, diffs = [row for row, _ in pairs], [diff for _, diff in pairs]
            yield Chunk(rows if self.function is None else list(map(self.function, rows)), diffs)


@dataclass(frozen=True, slots=True)
class UnionOperator:
    """The rows of every input."""

    inputs: tuple[Operator, ...]

    def run(self, execution: Execution) -> Chunks:
        for part in self.inputs:
            yield from part.run(execution)


@dataclass(frozen=True, slots=True)
class NegateOperator:
    """The input's rows with negated multiplicities."""

    input: Operator

    def run(self, execution: Execution) -> Chunks:
        for rows, diffs in self.input.run(execution):
            yield Chunk(rows, [-1] * len(rows) if diffs is None else [-diff for diff in diffs])


@dataclass(frozen=True, slots=True)
class FlatMapOperator:
    """Every row joined with the rows of a table function of it; `arguments` None where a strict
    function has a null argument, which yields nothing."""

    input: Operator
    function: Callable[..., Iterable[Row]]
    arguments: Callable[[Row], Row]
    is_strict: bool
    ordinality: bool

    def run(self, execution: Execution) -> Chunks:
        for rows, diffs in self.input.run(execution):
            out: list[Row] = []
            weights: list[int] | None = None if diffs is None else []
            for position, row in enumerate(rows):
                values = self.arguments(row)
                if self.is_strict and None in values:
                    continue
                produced = iter(self.function(*values))
                numbers = count(1)
                while part := list(islice(produced, CHUNK_ROWS)):
                    if self.ordinality:
                        out.extend((*row, *tail, next(numbers)) for tail in part)
                    else:
                        out.extend([row + tail for tail in part])
                    if weights is not None and diffs is not None:
                        weights.extend([diffs[position]] * len(part))
                    if len(out) >= CHUNK_ROWS:
                        yield Chunk(out, weights)
                        out, weights = [], None if diffs is None else []
            yield Chunk(out, weights) if out else NO_ROWS


def projection(outputs: tuple[int, ...]) -> Callable[[Row], Row]:
    """The function that takes the columns at `outputs` out of a row."""
    match outputs:
        case ():
            return lambda row: ()
        case (only,):
            return lambda row: (row[only],)
        case _:
            getter: Callable[[Row], Row] = itemgetter(*outputs)
            return getter
