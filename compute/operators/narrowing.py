"""Joins that look up one side in an index instead of reading all of it.

When the rows of one side (the *driving* one) are few, only those rows of the other are of interest
that have their keys. If the other side is read from an index whose key is part of the join's, these
are looked up, and the join goes on as if the collection had no other rows. That the driving side is
small is seen when it is evaluated: past a bound the collection is read as a whole after all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from compute.execution import CHUNK_ROWS, NO_ROWS, Chunk, Chunks, Execution, IndexReader, Operator
from compute.operators.keys import join_key
from compute.operators.linear import projection
from core.ids import GlobalId
from core.rows import Datum, Row
from core.sql_types import SqlType

SMALLER_BY: Final = 8  # a lookup costs about as much as reading so many rows
LOOKUPS_A_STEP: Final = 256


@dataclass(frozen=True, slots=True)
class Narrowing:
    """How a side that reads collection `id`, row by row, can be looked up: `columns` are those of
    the collection that are keys of the join (None: a key that is no column), `values` gives the
    other side's of a driving row, of types `types`."""

    id: GlobalId
    columns: tuple[int | None, ...]
    values: Callable[[Row], Row]
    types: tuple[SqlType, ...]

    def places(self, execution: Execution) -> tuple[int, ...] | None:
        """Which keys of the join the index's key consists of; None if it has others, or if there
        is no index."""
        reader = execution.tables[self.id]
        if not isinstance(reader, IndexReader) or not reader.key_columns:
            return None
        if not set(self.columns).issuperset(reader.key_columns):
            return None
        return tuple(map(self.columns.index, reader.key_columns))


@dataclass(frozen=True, slots=True)
class NarrowedJoin:
    """`join` of both sides, the second one looked up if that is worth it."""

    driving: Operator
    looked_up: Operator
    narrowing: Narrowing
    join: Callable[[Operator, Operator], Operator]

    def run(self, execution: Execution) -> Chunks:
        places = self.narrowing.places(execution)
        if places is None:
            yield from self.join(self.driving, self.looked_up).run(execution)
            return
        reader = execution.index(self.narrowing.id)
        limit = reader.row_count // SMALLER_BY
        taken: list[Chunk] = execution.budget.keep([])
        chunks = self.driving.run(execution)
        count = 0
        for chunk in chunks:
            if chunk.rows:
                execution.budget.charge_rows(chunk.rows)
                taken.append(chunk)
                count += len(chunk.rows)
                if count > limit:
                    break
            yield NO_ROWS
        looked_up = self.looked_up
        if count <= limit:
            found: list[Row] = execution.budget.keep([])
            yield from self._look_up(taken, places, reader, execution, found)
            looked_up = _Overlaid(looked_up, self.narrowing.id, _Found(reader, found))
        yield from self.join(_Replayed(taken, chunks), looked_up).run(execution)

    def _look_up(
        self,
        taken: list[Chunk],
        places: tuple[int, ...],
        reader: IndexReader,
        execution: Execution,
        found: list[Row],
    ) -> Chunks:
        """Add the rows with the keys of those taken to `found`, each as often as it occurs."""
        types = self.narrowing.types
        name = join_key([(place, types[place]) for place in places])
        part = projection(places)
        seen: set[Datum] = set()
        for chunk in taken:
            for start in range(0, len(chunk.rows), LOOKUPS_A_STEP):
                charged = len(found)
                for values in map(
                    self.narrowing.values, chunk.rows[start : start + LOOKUPS_A_STEP]
                ):
                    key = name(values)
                    if key is None or key in seen:
                        continue
                    seen.add(key)
                    for row, copies in reader.lookup(part(values)):
                        found += [row] * copies
                execution.budget.charge_rows(found[charged:])
                yield NO_ROWS


@dataclass(frozen=True, slots=True)
class _Replayed:
    """Chunks taken before, then those that follow them; for one run."""

    taken: list[Chunk]
    rest: Chunks

    def run(self, execution: Execution) -> Chunks:
        yield from self.taken
        yield from self.rest


@dataclass(frozen=True, slots=True)
class _Overlaid:
    """`operator` where the collection `id` is what `reader` says."""

    operator: Operator
    id: GlobalId
    reader: "_Found"

    def run(self, execution: Execution) -> Chunks:
        yield from self.operator.run(execution.with_reader(self.id, self.reader))


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows that were looked up, as a collection."""

    index: IndexReader
    rows: list[Row]

    @property
    def row_count(self) -> int:
        return len(self.rows)

    def scan(self, columns: tuple[int, ...] | None) -> Iterator[list[Row]]:
        for start in range(0, len(self.rows), CHUNK_ROWS):
            part = self.rows[start : start + CHUNK_ROWS]
            yield part if columns is None else list(map(projection(columns), part))
