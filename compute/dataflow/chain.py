"""Chains of Filter, Map and Project, run as one loop over rows.

A chain is cut where fusing would compute a scalar twice, and where time comes in (`mz_now()`).
Predicates of a fused chain are tested before its scalars are computed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from compute.dataflow.updates import Errors, Updates
from core.errors import SqlError
from core.rows import Row
from core.sql_types import SqlType
from expr.compile import compile_predicate, compile_row, compile_updates
from expr.relation import Filter, Map, Project, Relation
from expr.scalar import (
    ColumnRef,
    EvaluationContext,
    Literal,
    Parameter,
    Scalar,
    children,
    with_children,
)
from expr.temporal import TemporalCondition, split_conditions

Step = Project | Map | Filter


class RowStage(NamedTuple):
    """Keep the rows of which all predicates are true, then make rows of `outputs`; None: leave
    them as they are."""

    predicates: tuple[Scalar, ...] = ()
    outputs: tuple[Scalar, ...] | None = None


Stage = RowStage | tuple[TemporalCondition, ...]


def linear_steps(relation: Relation) -> tuple[list[Step], Relation]:
    """The chain on top of `relation`, lowest step first, and what it stands on."""
    steps: list[Step] = []
    while isinstance(relation, Project | Map | Filter):
        steps.append(relation)
        relation = relation.input
    return steps[::-1], relation


def stages(steps: Iterable[Step], types: tuple[SqlType, ...]) -> list[Stage]:
    """The chain `steps` over rows with columns of `types`, in as few stages as can be."""
    fusion = _Fusion(types)
    for step in steps:
        match step:
            case Project(outputs=outputs):
                fusion.project(outputs)
            case Map(scalars=scalars):
                for scalar in scalars:
                    fusion.append(scalar)
            case Filter(predicates=predicates):
                fusion.filter(*split_conditions(predicates))
    return fusion.finished()


class _Fusion:
    """Fuses steps; the columns that they speak of are `_outputs`, over those of the last stage."""

    def __init__(self, types: tuple[SqlType, ...]) -> None:
        self._stages: list[Stage] = []
        self._begin(types)

    def _begin(self, types: Iterable[SqlType]) -> None:
        self._identity: list[Scalar] = [ColumnRef(i, t) for i, t in enumerate(types)]
        self._outputs = list(self._identity)
        self._predicates: list[Scalar] = []

    def _cut(self) -> None:
        outputs = None if self._outputs == self._identity else tuple(self._outputs)
        if outputs is not None or self._predicates:
            self._stages.append(RowStage(tuple(self._predicates), outputs))
        self._begin([scalar.type for scalar in self._outputs])

    def project(self, outputs: tuple[int, ...]) -> None:
        self._outputs = [self._outputs[index] for index in outputs]

    def append(self, scalar: Scalar) -> None:
        placed = self._placed(scalar)
        self._outputs.append(placed)

    def filter(
        self, predicates: tuple[Scalar, ...], conditions: tuple[TemporalCondition, ...]
    ) -> None:
        for predicate in predicates:
            placed = self._placed(predicate)
            self._predicates.append(placed)
        if conditions:
            self._cut()
            self._stages.append(conditions)

    def finished(self) -> list[Stage]:
        self._cut()
        return self._stages

    def _placed(self, scalar: Scalar) -> Scalar:
        """`scalar` over the last stage's columns; a stage ends if it names a computed one."""
        if any(not _is_plain(self._outputs[ref.index]) for ref in _columns(scalar)):
            self._cut()
        return _replaced(scalar, self._outputs)


def _is_plain(scalar: Scalar) -> bool:
    return isinstance(scalar, ColumnRef | Literal | Parameter)


def _columns(scalar: Scalar) -> list[ColumnRef]:
    if isinstance(scalar, ColumnRef):
        return [scalar]
    return [ref for part in children(scalar) for ref in _columns(part)]


def _replaced(scalar: Scalar, columns: list[Scalar]) -> Scalar:
    if isinstance(scalar, ColumnRef):
        return columns[scalar.index]
    parts = children(scalar)
    if not parts:
        return scalar
    return with_children(scalar, tuple(_replaced(part, columns) for part in parts))


@dataclass(frozen=True, slots=True)
class RowFunction:
    """A compiled `RowStage`. `run_all` fails as a whole; then rows are taken one by one."""

    run_all: Callable[[Updates], Updates]
    predicate: Callable[[Row], bool] | None
    function: Callable[[Row], Row] | None

    def run(self, changes: Updates, errors: Errors) -> Updates:
        """The stage's output for these changes; rows that fail go to `errors`."""
        try:
            return self.run_all(changes)
        except SqlError:
            return self._one_by_one(changes, errors)

    def _one_by_one(self, changes: Updates, errors: Errors) -> Updates:
        out: Updates = []
        for row, diff in changes:
            try:
                if self.predicate is None or self.predicate(row):
                    out.append((row if self.function is None else self.function(row), diff))
            except SqlError as error:
                errors.add(error, diff)
        return out


def row_function(stage: RowStage, context: EvaluationContext) -> RowFunction:
    """Compile a stage."""
    predicates, outputs = stage
    return RowFunction(
        compile_updates(predicates, outputs, context),
        compile_predicate(predicates, context) if predicates else None,
        None if outputs is None else compile_row(outputs, context),
    )
