"""The build side of a hash join: rows by key, filled in bounded steps.

While keys turn out unique, a plain dict of rows is kept and both sides run at the speed of
comprehensions. The first duplicate turns it into lists. Rows whose key has a null are dropped by
`build` unless `null_rows` collects them.
"""

from collections.abc import Iterator
from typing import Final

from compute.execution import CHUNK_ROWS, NO_ROWS, Chunk, Chunks, Execution, Operator
from compute.operators.keys import KeyFunction
from core.rows import Datum, Row

ENTRY_OVERHEAD_BYTES: Final = 120


class HashTable:
    """Rows with multiplicities by key."""

    __slots__ = ("_kept", "_key", "lists", "null_rows", "row_count", "unique", "weights")

    def __init__(self, key: KeyFunction, *, keeps_nulls: bool = False) -> None:
        self._key = key
        self._kept: list[list[Row]] = []
        self.unique: dict[Datum, Row] | None = {}
        self.lists: dict[Datum, list[Row]] = {}
        self.weights: dict[Datum, list[int]] | None = None  # parallel to lists; None: all 1
        self.null_rows: list[tuple[Row, int]] | None = [] if keeps_nulls else None
        self.row_count = 0

    def build(self, operator: Operator, execution: Execution) -> Chunks:
        """Fill the table; yields NO_ROWS between steps."""
        execution.budget.keep(self._kept)
        execution.budget.keep(self.lists)
        if self.unique is not None:
            execution.budget.keep(self.unique)
        for chunk in operator.run(execution):
            if chunk.rows:
                self.row_count += len(chunk.rows)
                execution.budget.charge_rows(chunk.rows, ENTRY_OVERHEAD_BYTES)
                yield from self._add(chunk)
            yield NO_ROWS
        self._kept.clear()

    def _add(self, chunk: Chunk) -> Chunks:
        rows, diffs = chunk
        keys = list(map(self._key, rows))
        if None in keys:
            rows, diffs, keys = self._without_nulls(rows, diffs, keys)
        if self.unique is not None:
            if diffs is None:
                expected = len(self.unique) + len(rows)
                self.unique.update(zip(keys, rows, strict=True))
                self._kept.append(rows)
                if len(self.unique) == expected:
                    return
                self._kept.pop()
            self.unique = None
            for kept in self._kept:
                self._add_to_lists(kept, list(map(self._key, kept)), None)
                yield NO_ROWS
            self._kept.clear()
        self._add_to_lists(rows, keys, diffs)

    def _without_nulls(
        self, rows: list[Row], diffs: list[int] | None, keys: list[Datum]
    ) -> tuple[list[Row], list[int] | None, list[Datum]]:
        if self.null_rows is not None:
            weights = diffs if diffs is not None else [1] * len(rows)
            self.null_rows += [
                (row, diff)
                for row, diff, key in zip(rows, weights, keys, strict=True)
                if key is None
            ]
        if diffs is not None:
            diffs = [diff for diff, key in zip(diffs, keys, strict=True) if key is not None]
        kept = [row for row, key in zip(rows, keys, strict=True) if key is not None]
        return kept, diffs, [key for key in keys if key is not None]

    def _add_to_lists(self, rows: list[Row], keys: list[Datum], diffs: list[int] | None) -> None:
        lists = self.lists
        if diffs is not None and self.weights is None:
            self.weights = {key: [1] * len(found) for key, found in lists.items()}
        if self.weights is None:
            for key, row in zip(keys, rows, strict=True):
                if key in lists:
                    lists[key].append(row)
                else:
                    lists[key] = [row]
            return
        weights = self.weights
        for key, row, diff in zip(keys, rows, diffs or [1] * len(rows), strict=True):
            lists.setdefault(key, []).append(row)
            weights.setdefault(key, []).append(diff)

    def get(self, key: Datum) -> list[Row] | None:
        """The rows of a key."""
        if self.unique is not None:
            row = self.unique.get(key)
            return None if row is None else [row]
        return self.lists.get(key)

    def __contains__(self, key: Datum) -> bool:
        return key in (self.lists if self.unique is None else self.unique)

    def probe(self, chunk: Chunk, key: KeyFunction) -> Iterator[Chunk]:
        """Inner join: every row of `chunk` concatenated with each of its partners."""
        rows, diffs = chunk
        if self.unique is not None:
            get = self.unique.get
            if diffs is None:
                yield Chunk([row + hit for row in rows if (hit := get(key(row))) is not None], None)
                return
            found = [
                (row + hit, diff)
                for row, diff in zip(rows, diffs, strict=True)
                if (hit := get(key(row))) is not None
            ]
            yield Chunk([row for row, _ in found], [diff for _, diff in found])
            return
        if diffs is None and self.weights is None:
            yield from self._probe_lists(rows, key)
        else:
            yield from self._probe_weighted(rows, diffs or [1] * len(rows), key)

    def _probe_lists(self, rows: list[Row], key: KeyFunction) -> Iterator[Chunk]:
        get = self.lists.get
        out: list[Row] = []
        for row in rows:
            hits = get(key(row))
            if hits is None:
                continue
            if len(hits) == 1:
                out.append(row + hits[0])
            else:
                for start in range(0, len(hits), CHUNK_ROWS):
                    out += [row + hit for hit in hits[start : start + CHUNK_ROWS]]
                    if len(out) >= CHUNK_ROWS:
                        yield Chunk(out, None)
                        out = []
            if len(out) >= CHUNK_ROWS:
                yield Chunk(out, None)
                out = []
        yield Chunk(out, None)

    def _probe_weighted(
        self, rows: list[Row], diffs: list[int], key: KeyFunction
    ) -> Iterator[Chunk]:
        out: list[Row] = []
        weights: list[int] = []
        for row, diff in zip(rows, diffs, strict=True):
            value = key(row)
            hits = self.lists.get(value)
            if hits is None:
                continue
            counts = self.weights[value] if self.weights is not None else [1] * len(hits)
            for start in range(0, len(hits), CHUNK_ROWS):
                stop = start + CHUNK_ROWS
                out += [row + hit for hit in hits[start:stop]]
                weights += [diff * count for count in counts[start:stop]]
                if len(out) >= CHUNK_ROWS:
                    yield Chunk(out, weights)
                    out, weights = [], []
        yield Chunk(out, weights)
