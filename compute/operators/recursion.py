"""Recursion: a query that is run on its own results until it finds nothing new.

Rows go out as they are found; what is kept is the rows found last and, for UNION, the keys of all.
How long it runs is bounded by the budget, the statement's timeout and its cancellation only: each
step of it is as short as those of the queries inside.
"""

from dataclasses import dataclass

from compute.execution import Chunk, Chunks, Execution, Operator, repeated
from compute.operators.keys import KeyFunction
from core.rows import Row


@dataclass(frozen=True, slots=True)
class RecursionOperator:
    """`base`, then `step` on the rows found last; with `key` only rows of new keys are found.

    No input has negative multiplicities; with `key`, neither gives a key twice.
    """

    id: int
    base: Operator
    step: Operator
    key: KeyFunction | None

    def run(self, execution: Execution) -> Chunks:
        known: set[object] = execution.budget.keep(set())
        source = self.base
        while True:
            last: list[Chunk] = execution.budget.keep([])
            for chunk in source.run(execution):
                found = Chunk(self._new(repeated(chunk), known), None)
                if found.rows:
                    execution.budget.charge_rows(found.rows)
                    last.append(found)
                yield found
            if not last:
                return
            execution.locals[self.id] = last
            source = self.step

    def _new(self, rows: list[Row], known: set[object]) -> list[Row]:
        """The rows that count as found; their keys become known."""
        if self.key is None:
            return rows
        keys = list(map(self.key, rows))
        fresh = [row for row, key in zip(rows, keys, strict=True) if key not in known]
        known.update(keys)
        return fresh
