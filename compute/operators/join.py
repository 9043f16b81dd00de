"""Inner joins of any number of inputs.

The order is chosen when the join runs, by what its inputs are estimated to hold then: greedily,
the two parts whose join is smallest first (Fegaras, "A New Heuristic for Optimizing Large Queries",
1998), parts linked by an equivalence before cross products. Each step keeps its smaller part as a
hash table and streams the larger one. A cross product keeps the smaller part as a list.

Key scalars that are not plain columns were appended to their input's rows at rendering, so that a
step's keys are positions; the result's columns are put back in order at the end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from compute.execution import CHUNK_ROWS, NO_ROWS, Chunk, Chunks, Execution, IndexReader, Operator
from compute.operators.hash_table import HashTable
from compute.operators.keys import KeyFunction, join_key
from compute.operators.linear import projection
from compute.operators.narrowing import SMALLER_BY, NarrowedJoin, Narrowing
from core.rows import Row
from core.sql_types import SqlType
from expr.collection_columns import CollectionColumns


class Estimate(NamedTuple):
    """A guess of how many rows an input gives, and of how many it was filtered from."""

    rows: float
    base: float


Estimator = Callable[[Execution], Estimate]
KeyPair = tuple[tuple[int, SqlType], tuple[int, SqlType]]  # columns of both sides, with their types


@dataclass(frozen=True, slots=True)
class JoinInput:
    """One input: `width` columns of the result, then appended key columns; `keys` has, for each
    equivalence it takes part in, the position and type of its scalar. `collection` says what its
    columns are if it is one collection, row by row."""

    operator: Operator
    estimator: Estimator
    width: int
    total_width: int
    keys: tuple[tuple[int, tuple[int, SqlType]], ...]
    collection: CollectionColumns | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    """A joined subset: its inputs in the order of their columns in its rows. `key` are columns by
    which an index has it, with so many different values."""

    operator: Operator
    estimate: Estimate
    members: tuple[int, ...]
    key: frozenset[int] = frozenset()
    key_count: int = 0


@dataclass(frozen=True, slots=True)
class JoinOperator:
    """The inner join of `inputs` on their equivalences."""

    inputs: tuple[JoinInput, ...]

    def run(self, execution: Execution) -> Chunks:
        parts = [
            _Part(source.operator, source.estimator(execution), (index,), *_key(source, execution))
            for index, source in enumerate(self.inputs)
        ]
        while len(parts) > 1:
            left, right = min(combinations(parts, 2), key=self._cost)
            parts.remove(left)
            parts.remove(right)
            parts.append(self._joined(left, right))
        whole = parts[0]
        outputs = self._result_columns(whole.members)
        total = sum(self.inputs[member].total_width for member in whole.members)
        if outputs == tuple(range(total)):
            yield from whole.operator.run(execution)
            return
        project = projection(outputs)
        for rows, diffs in whole.operator.run(execution):
            yield Chunk(list(map(project, rows)), diffs)

    def _cost(self, pair: tuple[_Part, _Part]) -> tuple[bool, float, float]:
        left, right = pair
        keys = self._shared_keys(left.members, right.members)
        size = _joined_estimate(left, right, keys).rows
        return (not keys, size, left.estimate.rows + right.estimate.rows)

    def _shared_keys(self, left: tuple[int, ...], right: tuple[int, ...]) -> list[KeyPair]:
        """For each equivalence with scalars on both sides, one column of each side."""
        left_keys, right_keys = self._key_columns(left), self._key_columns(right)
        return [(left_keys[e], right_keys[e]) for e in left_keys if e in right_keys]

    def _key_columns(self, members: tuple[int, ...]) -> dict[int, tuple[int, SqlType]]:
        columns: dict[int, tuple[int, SqlType]] = {}
        offset = 0
        for member in members:
            source = self.inputs[member]
            for equivalence, (position, sql_type) in source.keys:
                columns.setdefault(equivalence, (offset + position, sql_type))
            offset += source.total_width
        return columns

    def _joined(self, left: _Part, right: _Part) -> _Part:
        if left.estimate.rows < right.estimate.rows:
            left, right = right, left
        keys = self._shared_keys(left.members, right.members)
        estimate = _joined_estimate(left, right, keys)
        members = left.members + right.members
        if not keys:
            return _Part(CrossOperator(left.operator, right.operator), estimate, members)
        stream_key = _cached_join_key(tuple(pair[0] for pair in keys))
        kept_key = _cached_join_key(tuple(pair[1] for pair in keys))

        def join(kept: Operator, streamed: Operator) -> Operator:
            return HashJoinOperator(streamed, kept, stream_key, kept_key)

        narrowing = self._narrowing(left, right, keys)
        if narrowing is None:
            return _Part(join(right.operator, left.operator), estimate, members)
        operator = NarrowedJoin(right.operator, left.operator, narrowing, join)
        return _Part(operator, estimate, members)

    def _narrowing(
        self,
        left: _Part,
        right: _Part,
        keys: list[KeyPair],
    ) -> Narrowing | None:
        """How to look `left` up, if it is one collection, and `right` is likely to be small."""
        first = self.inputs[left.members[0]]
        if len(left.members) > 1 or first.collection is None:
            return None
        if right.estimate.rows * SMALLER_BY > left.estimate.base:
            return None
        columns = first.collection.columns
        return Narrowing(
            first.collection.id,
            tuple(columns[a] if a < first.width else None for (a, _), _ in keys),
            projection(tuple(position for _, (position, _) in keys)),
            tuple(sql_type for _, (_, sql_type) in keys),
        )

    def _result_columns(self, members: tuple[int, ...]) -> tuple[int, ...]:
        starts: dict[int, int] = {}
        offset = 0
        for member in members:
            starts[member] = offset
            offset += self.inputs[member].total_width
        return tuple(
            starts[index] + column
            for index, source in enumerate(self.inputs)
            for column in range(source.width)
        )


@dataclass(frozen=True, slots=True)
class HashJoinOperator:
    """Rows of `streamed` concatenated with rows of `kept` whose keys are equal and not null."""

    streamed: Operator
    kept: Operator
    streamed_key: KeyFunction
    kept_key: KeyFunction

    def run(self, execution: Execution) -> Chunks:
        table = HashTable(self.kept_key)
        yield from table.build(self.kept, execution)
        if not table.row_count:
            return
        for chunk in self.streamed.run(execution):
            if chunk.rows:
                yield from table.probe(chunk, self.streamed_key)
            else:
                yield NO_ROWS


@dataclass(frozen=True, slots=True)
class CrossOperator:
    """Every row of `streamed` concatenated with every row of `kept`."""

    streamed: Operator
    kept: Operator

    def run(self, execution: Execution) -> Chunks:
        kept: list[Row] = execution.budget.keep([])
        kept_weights: list[int] = []
        for chunk in self.kept.run(execution):
            execution.budget.charge_rows(chunk.rows)
            kept += chunk.rows
            kept_weights += chunk.diffs or [1] * len(chunk.rows)
            yield NO_ROWS
        if not kept:
            return
        weights = None if kept_weights.count(1) == len(kept) else kept_weights
        step = max(1, CHUNK_ROWS // len(kept))
        for rows, diffs in self.streamed.run(execution):
            if not rows:
                yield NO_ROWS
            for start in range(0, len(rows), step):
                some = rows[start : start + step]
                some_diffs = None if diffs is None else diffs[start : start + step]
                for first in range(0, len(kept), CHUNK_ROWS):
                    stop = first + CHUNK_ROWS
                    others = kept[first:stop]
                    yield _product(
                        Chunk(some, some_diffs),
                        Chunk(others, None if weights is None else weights[first:stop]),
                    )


def _product(left: Chunk, right: Chunk) -> Chunk:
    others = right.rows
    out = [row + other for row in left.rows for other in others]
    if left.diffs is None and right.diffs is None:
        return Chunk(out, None)
    left_diffs = left.diffs or [1] * len(left.rows)
    right_diffs = right.diffs or [1] * len(others)
    return Chunk(out, [a * b for a in left_diffs for b in right_diffs])


def _key(source: JoinInput, execution: Execution) -> tuple[frozenset[int], int]:
    """The columns of an input by which an index has its collection, and the number of keys."""
    if source.collection is None:
        return frozenset(), 0
    reader = execution.tables[source.collection.id]
    if not isinstance(reader, IndexReader) or not reader.key_columns:
        return frozenset(), 0
    columns = source.collection.columns
    if not set(columns).issuperset(reader.key_columns):
        return frozenset(), 0
    return frozenset(map(columns.index, reader.key_columns)), reader.key_count


def _joined_estimate(left: _Part, right: _Part, keys: Sequence[KeyPair]) -> Estimate:
    """As if the keys had as many values as the smaller part's whole has rows, or more, if an index
    says so."""
    bases = left.estimate.base, right.estimate.base
    rows = left.estimate.rows * right.estimate.rows
    if not keys:
        return Estimate(rows, max(rows, *bases))
    counts = [1.0, min(bases)]
    for side, part in enumerate((left, right)):
        if part.key and part.key.issubset({pair[side][0] for pair in keys}):
            counts.append(float(part.key_count))
    return Estimate(rows / max(counts), max(bases))


@lru_cache(maxsize=4096)
def _cached_join_key(columns: tuple[tuple[int, SqlType], ...]) -> KeyFunction:
    return join_key(columns)
