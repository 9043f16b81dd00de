"""ORDER BY with LIMIT, per group; and the check that a scalar subquery has one row.

Ties are broken by the whole row, so that every replica keeps the same rows. While rows come, a
group keeps at most a few times `offset + limit` of them and drops the worst.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from compute.execution import NO_ROWS, Chunks, Execution, Operator, repeated, row_chunks
from compute.operators.keys import KeyFunction
from compute.sorting import Tie
from core.errors import CARDINALITY_VIOLATION, SqlError
from core.rows import Datum, Row

SLACK_ROWS: Final = 512


@dataclass(slots=True)
class _Group:
    """The rows that may still be among the first of a group, with their sort keys."""

    pairs: list[tuple[Any, Row]] = field(default_factory=list)
    worst: Any = None

    def shrink(self, keep: int) -> None:
        self.pairs.sort(key=_pair_key)
        del self.pairs[keep:]
        self.worst = self.pairs[-1][0] if keep else None


def _pair_key(pair: tuple[Any, Row]) -> Any:
    return pair[0]


@dataclass(frozen=True, slots=True)
class TopKOperator:
    """Rows `offset` to `offset + limit` of each group, in order."""

    input: Operator
    group_key: KeyFunction
    order_key: Callable[[Row], Any]
    tie_key: Callable[[Row], Any]
    limit: int | None
    offset: int

    def run(self, execution: Execution) -> Chunks:
        groups: dict[Datum, _Group] = {}
        keep = None if self.limit is None else self.offset + self.limit
        order_key, tie_key, group_key = self.order_key, self.tie_key, self.group_key
        for chunk in self.input.run(execution):
            touched: dict[int, _Group] = {}
            kept: list[Row] = []
            for row in repeated(chunk):
                name = group_key(row)
                group = groups.get(name)
                if group is None:
                    group = groups[name] = _Group()
                order = order_key(row)
                if group.worst is not None and order > group.worst[0]:
                    continue
                group.pairs.append(((order, Tie(row, tie_key)), row))
                kept.append(row)
                touched[id(group)] = group
            execution.budget.charge_rows(kept, 250)
            if keep is not None:
                for group in touched.values():
                    surplus = len(group.pairs) - keep
                    if surplus > SLACK_ROWS + keep:
                        group.shrink(keep)
                        execution.budget.release(300 * surplus)
            yield NO_ROWS
        out: list[Row] = []
        for group in groups.values():
            group.pairs.sort(key=_pair_key)
            out += [row for _, row in group.pairs[self.offset : keep]]
            if len(out) >= SLACK_ROWS:
                yield from row_chunks(out)
                out = []
        yield from row_chunks(out)


@dataclass(frozen=True, slots=True)
class CardinalityCheckOperator:
    """The input; an error as soon as two rows agree on the key."""

    input: Operator
    group_key: KeyFunction

    def run(self, execution: Execution) -> Chunks:
        seen: set[Datum] = set()
        for chunk in self.input.run(execution):
            rows, diffs = chunk
            before = len(seen)
            seen.update(map(self.group_key, rows))
            if len(seen) - before < len(rows) or (diffs is not None and max(diffs, default=1) > 1):
                raise SqlError(
                    CARDINALITY_VIOLATION,
                    "more than one row returned by a subquery used as an expression",
                )
            execution.budget.charge(100 * len(rows))
            yield chunk
