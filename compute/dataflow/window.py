"""Window functions, kept up to date: each partition that a step touches is computed anew.

A change inside a partition may change the value of every row of it, so the cost is the partition's.
A partition that fails (a sum out of range) emits an error in place of its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from compute.dataflow.updates import (
    NO_UPDATES,
    Errors,
    Identity,
    Update,
    Updates,
    add_row,
    consolidate,
)
from compute.operators.window import Windowing
from core.errors import SqlError
from core.rows import Datum, Row


@dataclass(slots=True)
class _Partition:
    rows: dict[Datum, Update] = field(default_factory=dict)
    output: Updates = field(default_factory=list)
    error: SqlError | None = None


@dataclass(slots=True)
class WindowNode:
    """The input's rows with the windows' values appended; `input_identity` and `output_identity`
    tell rows apart without and with these."""

    windowing: Windowing
    input_identity: Identity
    output_identity: Identity
    is_deferring: bool = False
    touched: dict[Datum, _Partition] = field(default_factory=dict)
    rows_looked_up: int = 0
    _partitions: dict[Datum, _Partition] = field(default_factory=dict)

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        touched = self.touched
        for row, diff in consolidate(inputs[0], self.input_identity):
            try:
                key = self.windowing.partition_key(row)
            except SqlError as error:
                errors.add(error, diff)
                continue
            partition = self._partitions.get(key)
            if partition is None:
                partition = self._partitions[key] = _Partition()
            touched[key] = partition
            add_row(partition.rows, self.input_identity(row), row, diff)
        return NO_UPDATES if self.is_deferring else self.refresh(errors, len(touched))

    def refresh(self, errors: Errors, limit: int) -> Updates:
        touched = self.touched
        out: Updates = []
        for _ in range(min(limit, len(touched))):
            key, partition = touched.popitem()
            out += self._refresh(partition, errors)
            if not partition.rows:
                del self._partitions[key]
        return out

    def _refresh(self, partition: _Partition, errors: Errors) -> Updates:
        change = [(row, -diff) for row, diff in partition.output]
        if partition.error is not None:
            errors.add(partition.error, -1)
        partition.output, partition.error = [], None
        try:
            partition.output = self._computed(partition)
        except SqlError as error:
            partition.error = error
            errors.add(error, 1)
        return consolidate(change + partition.output, self.output_identity)

    def _computed(self, partition: _Partition) -> Updates:
        rows: list[Row] = []
        for row, count in partition.rows.values():
            rows += [row] * count
        self.rows_looked_up += len(rows)
        rows.sort(key=self.windowing.sort_key)
        return [(row, 1) for out in self.windowing.compute(rows) for row in out] if rows else []
