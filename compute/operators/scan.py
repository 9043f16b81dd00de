"""Reading collections and bound values."""

from dataclasses import dataclass

from compute.execution import Chunk, Chunks, Execution, Operator
from core.ids import GlobalId


@dataclass(frozen=True, slots=True)
class ScanOperator:
    """The rows of a collection at the execution's time; only `columns` of them if given."""

    id: GlobalId
    columns: tuple[int, ...] | None

    def run(self, execution: Execution) -> Chunks:
        for rows in execution.tables[self.id].scan(self.columns):
            yield Chunk(rows, None)


@dataclass(frozen=True, slots=True)
class LetOperator:
    """Evaluates `value` once, keeps it, and runs `body`."""

    id: int
    value: Operator
    body: Operator

    def run(self, execution: Execution) -> Chunks:
        kept: list[Chunk] = execution.budget.keep([])
        for chunk in self.value.run(execution):
            if chunk.rows:
                execution.budget.charge_rows(chunk.rows)
                kept.append(chunk)
            yield Chunk([], None)
        execution.locals[self.id] = kept
        yield from self.body.run(execution)


@dataclass(frozen=True, slots=True)
class LocalGetOperator:
    """What the enclosing `LetOperator` keeps."""

    id: int

    def run(self, execution: Execution) -> Chunks:
        yield from execution.locals[self.id]
