"""Consolidation: identical rows become one row with the sum of their multiplicities.

Rows are identical when their canonical encodings are. Emits rows in the order they first came.
"""

from dataclasses import dataclass

from compute.execution import NO_ROWS, Chunks, Execution, Operator, weighted_chunks
from compute.operators.keys import KeyFunction
from core.errors import INTERNAL_ERROR, SqlError
from core.rows import Datum, Row

ENTRY_BYTES = 140


@dataclass(frozen=True, slots=True)
class ConsolidateOperator:
    """The input with one entry per distinct row; rows that add up to nothing vanish.

    `drops_negative` is the Threshold: only rows of positive multiplicity stay. Else a negative sum
    is an error: no relation that reaches a user or a non-linear operator may have one.
    """

    input: Operator
    identity: KeyFunction
    drops_negative: bool

    def run(self, execution: Execution) -> Chunks:
        weights: dict[Datum, int] = execution.budget.keep({})
        first: dict[Datum, Row] = execution.budget.keep({})
        identity = self.identity
        for rows, diffs in self.input.run(execution):
            before = len(weights)
            for row, diff in zip(rows, diffs or [1] * len(rows), strict=True):
                key = identity(row)
                if key in weights:
                    weights[key] += diff
                else:
                    weights[key] = diff
                    first[key] = row
            if len(weights) > before:
                execution.budget.charge_rows(rows[: len(weights) - before], ENTRY_BYTES)
            yield NO_ROWS
        if not self.drops_negative and any(weight < 0 for weight in weights.values()):
            raise SqlError(INTERNAL_ERROR, "a row has a negative multiplicity")
        kept = [key for key, weight in weights.items() if weight > 0]
        yield from weighted_chunks([first[key] for key in kept], [weights[key] for key in kept])
