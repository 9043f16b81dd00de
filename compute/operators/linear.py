"""Operators that work row by row: filter, map, project, union, negate, table functions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count, islice
from operator import itemgetter

from compute.execution import CHUNK_ROWS, NO_ROWS, Chunk, Chunks, Execution, Operator
from compute.pace import Pace
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
        pace = Pace()
        for chunk in self.input.run(execution):
            if not chunk.rows:
                yield chunk
            for part in pace.parts(chunk):
                kept = _filtered(part, self.predicate)
                pace.done()
                yield kept


@dataclass(frozen=True, slots=True)
class MapOperator:
    """`function` of every row."""

    input: Operator
    function: Callable[[Row], Row]

    def run(self, execution: Execution) -> Chunks:
        pace = Pace()
        for chunk in self.input.run(execution):
            if not chunk.rows:
                yield chunk
            for rows, diffs in pace.parts(chunk):
                mapped = list(map(self.function, rows))
                pace.done()
                yield Chunk(mapped, diffs)


@dataclass(frozen=True, slots=True)
class RowsOperator:
    """Filter and map at once: `bulk` for rows that occur once each, else row by row."""

    input: Operator
    bulk: Callable[[list[Row]], list[Row]]
    predicate: Callable[[Row], bool] | None
    function: Callable[[Row], Row] | None

    def run(self, execution: Execution) -> Chunks:
        pace = Pace()
        for chunk in self.input.run(execution):
            if not chunk.rows:
                yield chunk
            for part in pace.parts(chunk):
                computed = self._computed(part)
                pace.done()
                yield computed

    def _computed(self, chunk: Chunk) -> Chunk:
        if chunk.diffs is None:
            return Chunk(self.bulk(chunk.rows), None)
        if self.predicate is not None:
            chunk = _filtered(chunk, self.predicate)
        if self.function is None:
            return chunk
        return Chunk(list(map(self.function, chunk.rows)), chunk.diffs)


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


def _filtered(chunk: Chunk, predicate: Callable[[Row], bool]) -> Chunk:
    rows, diffs = chunk
    if diffs is None:
        return Chunk([row for row in rows if predicate(row)], None)
    pairs = [pair for pair in zip(rows, diffs, strict=True) if predicate(pair[0])]
    return Chunk([row for row, _ in pairs], [diff for _, diff in pairs])


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
