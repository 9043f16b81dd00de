"""Lookups: rows joined with what an index has for their key, without reading the rest of it."""

from collections.abc import Callable
from dataclasses import dataclass

from compute.execution import CHUNK_ROWS, NO_ROWS, Chunk, Chunks, Execution, Operator
from core.ids import GlobalId
from core.rows import Row


@dataclass(frozen=True, slots=True)
class LookupOperator:
    """Every row of `input` joined with each row that `index` has for the row's `key`."""

    input: Operator
    index: GlobalId
    key: Callable[[Row], Row]

    def run(self, execution: Execution) -> Chunks:
        lookup = execution.index(self.index).lookup
        for rows, diffs in self.input.run(execution):
            out: list[Row] = []
            weights: list[int] = []
            for position, row in enumerate(rows):
                count = 1 if diffs is None else diffs[position]
                for found, multiplicity in lookup(self.key(row)):
                    out.append(row + found)
                    weights.append(count * multiplicity)
                    if len(out) >= CHUNK_ROWS:
                        yield _chunk(out, weights)
                        out, weights = [], []
            yield _chunk(out, weights) if out else NO_ROWS


def _chunk(rows: list[Row], weights: list[int]) -> Chunk:
    return Chunk(rows, None if weights.count(1) == len(weights) else weights)
