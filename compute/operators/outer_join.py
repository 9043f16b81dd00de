"""Joins that are not inner: left, full, semi, anti, and NOT IN's null-aware anti join.

The right side is kept as a hash table, the left side is streamed. Without keys every left row is
compared with every right row, in bounded steps. The right side must have no negative
multiplicities (the renderer consolidates it where it could); the left side may.

NOT IN: a left row stays only if its comparison with every right row is false. A comparison of
several columns is false as soon as two of them differ, else null if any is null. So a left row
without nulls must look at its equals and at the right rows that have a null somewhere; a left row
with a null must look at every right row.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from compute.execution import CHUNK_ROWS, NO_ROWS, Chunk, Chunks, Execution, Operator
from compute.operators.hash_table import HashTable
from compute.operators.keys import KeyFunction
from core.rows import Datum, Row
from expr.relation import JoinKind

Predicate = Callable[[Row], bool]
MAX_COMPARISONS_A_STEP = 4 * CHUNK_ROWS


@dataclass(frozen=True, slots=True)
class OuterJoinOperator:
    """LEFT or FULL join; `residual` is over the concatenated row."""

    kind: JoinKind
    left: Operator
    right: Operator
    left_key: KeyFunction
    right_key: KeyFunction
    residual: Predicate | None
    left_width: int
    right_width: int

    def run(self, execution: Execution) -> Chunks:
        is_full = self.kind is JoinKind.FULL
        table = HashTable(self.right_key, keeps_nulls=is_full)
        yield from table.build(self.right, execution)
        matched: set[int] = set()  # ids of right rows, which the table keeps alive
        for chunk in self.left.run(execution):
            if not chunk.rows:
                yield NO_ROWS
            elif table.unique is not None and self.residual is None and not is_full:
                yield self._fast_left(chunk, table.unique)
            else:
                yield from self._match(chunk, table, matched if is_full else None)
        if is_full:
            execution.budget.charge(64 * len(matched))
            yield from self._unmatched_right(table, matched)

    def _fast_left(self, chunk: Chunk, unique: dict[Datum, Row]) -> Chunk:
        nulls = (None,) * self.right_width
        get, key = unique.get, self.left_key
        return Chunk([row + get(key(row), nulls) for row in chunk.rows], chunk.diffs)

    def _match(self, chunk: Chunk, table: HashTable, matched: set[int] | None) -> Iterator[Chunk]:
        nulls = (None,) * self.right_width
        residual = self.residual
        out: list[Row] = []
        weights: list[int] = []
        compared = 0
        for row, diff in zip(chunk.rows, chunk.diffs or [1] * len(chunk.rows), strict=True):
            key = self.left_key(row)
            hits = table.get(key) or ()
            counts = None if table.weights is None else table.weights.get(key)
            is_matched = False
            for position, hit in enumerate(hits):
                compared += 1
                if compared >= MAX_COMPARISONS_A_STEP or len(out) >= CHUNK_ROWS:
                    yield Chunk(out, weights)
                    out, weights, compared = [], [], 0
                joined = row + hit
                if residual is not None and not residual(joined):
                    continue
                is_matched = True
                if matched is not None:
                    matched.add(id(hit))
                out.append(joined)
                weights.append(diff if counts is None else diff * counts[position])
            if not is_matched:
                out.append(row + nulls)
                weights.append(diff)
        yield Chunk(out, None if weights.count(1) == len(weights) else weights)

    def _unmatched_right(self, table: HashTable, matched: set[int]) -> Iterator[Chunk]:
        nulls = (None,) * self.left_width
        out: list[Row] = []
        weights: list[int] = []
        for row, weight in _all_rows(table):
            if id(row) not in matched:
                out.append(nulls + row)
                weights.append(weight)
                if len(out) >= CHUNK_ROWS:
                    yield Chunk(out, weights)
                    out, weights = [], []
        yield Chunk(out, weights)


@dataclass(frozen=True, slots=True)
class SemiJoinOperator:
    """Left rows with a partner (`keeps_matched`), or those without one."""

    keeps_matched: bool
    left: Operator
    right: Operator
    left_key: KeyFunction
    right_key: KeyFunction
    residual: Predicate | None

    def run(self, execution: Execution) -> Chunks:
        if self.residual is None:
            yield from self._run_keys_only(execution)
            return
        table = HashTable(self.right_key)
        yield from table.build(self.right, execution)
        residual, key, keeps_matched = self.residual, self.left_key, self.keeps_matched
        for rows, diffs in self.left.run(execution):
            out: list[Row] = []
            weights: list[int] = []
            compared = 0
            for row, diff in zip(rows, diffs or [1] * len(rows), strict=True):
                is_matched = False
                for hit in table.get(key(row)) or ():
                    compared += 1
                    if compared >= MAX_COMPARISONS_A_STEP:
                        compared = 0
                        yield NO_ROWS
                    if residual(row + hit):
                        is_matched = True
                        break
                if is_matched is keeps_matched:
                    out.append(row)
                    weights.append(diff)
            yield Chunk(out, None if diffs is None else weights)

    def _run_keys_only(self, execution: Execution) -> Chunks:
        keys: set[Datum] = execution.budget.keep(set())
        for rows, _ in self.right.run(execution):
            before = len(keys)
            keys.update(map(self.right_key, rows))
            execution.budget.charge(120 * (len(keys) - before))
            yield NO_ROWS
        keys.discard(None)
        key, keeps_matched = self.left_key, self.keeps_matched
        if not keys and keeps_matched:
            return
        for rows, diffs in self.left.run(execution):
            if diffs is None:
                yield Chunk([row for row in rows if (key(row) in keys) is keeps_matched], None)
                continue
            pairs = [
                pair
                for pair in zip(rows, diffs, strict=True)
                if (key(pair[0]) in keys) is keeps_matched
            ]
            yield Chunk([row for row, _ in pairs], [diff for _, diff in pairs])


@dataclass(frozen=True, slots=True)
class NullAwareAntiJoinOperator:
    """NOT IN. The key functions give tuples with nulls in them, as `group_key` does of `width`
    columns (a bare datum for one)."""

    left: Operator
    right: Operator
    left_values: KeyFunction
    right_values: KeyFunction
    width: int
    residual: Predicate | None

    def run(self, execution: Execution) -> Chunks:
        complete: dict[Datum, list[Row]] = execution.budget.keep({})
        with_nulls: list[tuple[Row, Row]] = []  # (values, row)
        for rows, _ in self.right.run(execution):
            execution.budget.charge_rows(rows, 150)
            for row in rows:
                values = self._tuple(self.right_values(row))
                if None in values:
                    with_nulls.append((values, row))
                else:
                    complete.setdefault(values, []).append(row)
            yield NO_ROWS
        if self.residual is None and self.width == 1 and with_nulls:
            yield from self._nothing_stays(execution)
            return
        for rows, diffs in self.left.run(execution):
            out: list[Row] = []
            weights: list[int] = []
            compared = 0
            for row, diff in zip(rows, diffs or [1] * len(rows), strict=True):
                values = self._tuple(self.left_values(row))
                is_gone = False
                for candidate in self._candidates(values, complete, with_nulls):
                    compared += 1
                    if compared >= MAX_COMPARISONS_A_STEP:
                        compared = 0
                        yield NO_ROWS
                    if self._is_not_false(row, values, *candidate):
                        is_gone = True
                        break
                if not is_gone:
                    out.append(row)
                    weights.append(diff)
            yield Chunk(out, None if diffs is None else weights)

    def _nothing_stays(self, execution: Execution) -> Chunks:
        """A lone null on the right: no comparison is false. The left side still runs, because its
        errors must not depend on what the right side holds."""
        for _ in self.left.run(execution):
            yield NO_ROWS

    def _tuple(self, values: Datum) -> Row:
        return (values,) if self.width == 1 else values

    def _candidates(
        self,
        values: Row,
        complete: dict[Datum, list[Row]],
        with_nulls: list[tuple[Row, Row]],
    ) -> Iterable[tuple[Row, Row]]:
        if None not in values:
            equals = complete.get(values, ())
            return chain(((values, row) for row in equals), with_nulls)
        every = ((other, row) for other, rows in complete.items() for row in rows)
        return chain(with_nulls, every)

    def _is_not_false(self, row: Row, values: Row, other_values: Row, other: Row) -> bool:
        for a, b in zip(values, other_values, strict=True):
            if a is not None and b is not None and a != b:
                return False
        return self.residual is None or self.residual(row + other)


def _all_rows(table: HashTable) -> Iterator[tuple[Row, int]]:
    if table.unique is not None:
        yield from ((row, 1) for row in table.unique.values())
    for key, rows in table.lists.items():
        counts = [1] * len(rows) if table.weights is None else table.weights[key]
        yield from zip(rows, counts, strict=True)
    yield from table.null_rows or ()
