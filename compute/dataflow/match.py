"""Which left rows have a partner: the part of semi, anti, left and full joins that is not linear.

Each node emits the left rows that have a partner (semi) or have none (anti, and the rows that outer
joins pad with nulls). Its change follows from the rule: with p the presence of a partner before and
p' after the step, d(L·p) = dL·p' + L·(p' - p), where L·(p' - p) touches only left rows whose
presence flips.

Without a residual condition presence belongs to a key: the total multiplicity of the right rows of
that key. With one it belongs to a left row: the multiplicity of the right rows it matches.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from compute.dataflow.arrangement import Arrangement
from compute.dataflow.updates import Errors, Identity, Update, Updates, add_count
from compute.operators.keys import KeyFunction
from core.errors import SqlError
from core.rows import Datum, Row

Predicate = Callable[[Row], bool]


@dataclass(slots=True)
class MatchByKeyNode:
    """Left rows whose key occurs on the right, or, unless `keeps_matched`, does not.

    Inputs: left, right. A key of None never occurs.
    """

    left: Arrangement
    right_key: KeyFunction
    keeps_matched: bool
    rows_looked_up: int = 0
    _totals: dict[Datum, int] = field(default_factory=dict)

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        left_changes, right_changes = inputs
        totals, keeps = self._totals, self.keeps_matched
        before = _count(right_changes, self.right_key, totals)
        before.pop(None, None)
        totals.pop(None, None)
        out: Updates = []
        for key, was_there in before.items():
            is_there = key in totals
            if is_there is not was_there:
                sign = 1 if is_there is keeps else -1
                flipped = [(row, sign * weight) for row, weight in self.left.get(key)]
                self.rows_looked_up += len(flipped)
                out += flipped
        key_of = self.left.key
        out += [update for update in left_changes if (key_of(update[0]) in totals) is keeps]
        return out


@dataclass(slots=True)
class _Counted:
    """A left row: its multiplicity, and that of the right rows it matches."""

    row: Row
    weight: int
    matches: int


@dataclass(slots=True)
class MatchByRowNode:
    """Left rows for which `condition` holds with some right row of their key, or, unless
    `keeps_matched`, with none. Inputs: left, right.

    `condition` takes the concatenated row; `joined` of a left and a right row makes it. Errors of
    the condition count once for each pair of rows.
    """

    left: Arrangement
    right: Arrangement
    condition: Predicate
    joined: Callable[[Row, Row], Row]
    identity: Identity
    keeps_matched: bool
    rows_looked_up: int = 0
    _counted: dict[Datum, _Counted] = field(default_factory=dict)

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        left_changes, _ = inputs
        before: dict[Datum, _Counted] = {}
        for key, changes in self.right.staged.items():
            for row, weight in self.left.get(key):
                self._note(row, before).matches += self._matches(row, weight, changes, errors)
        left_key = self.left.key
        for row, diff in left_changes:
            counted = self._note(row, before)
            counted.weight += diff
            key = left_key(row)
            if key is None:
                continue
            partners = chain(self.right.get(key), self.right.staged.get(key, ()))
            matches = self._matches(row, diff, partners, errors)
            if counted.weight == diff:  # a row that was not there, so nothing counted it yet
                counted.matches = matches
        return self._emitted(before)

    def _note(self, row: Row, before: dict[Datum, _Counted]) -> _Counted:
        """The row's counts, with their state before the step remembered."""
        name = self.identity(row)
        counted = self._counted.get(name)
        if counted is None:
            counted = self._counted[name] = _Counted(row, 0, 0)
        if name not in before:
            before[name] = _Counted(row, counted.weight, counted.matches)
        return counted

    def _matches(self, row: Row, weight: int, partners: Iterable[Update], errors: Errors) -> int:
        total = 0
        for other, diff in partners:
            self.rows_looked_up += 1
            try:
                if self.condition(self.joined(row, other)):
                    total += diff
            except SqlError as error:
                errors.add(error, weight * diff)
        return total

    def _emitted(self, before: dict[Datum, _Counted]) -> Updates:
        out: Updates = []
        keeps = self.keeps_matched
        for name, was in before.items():
            now = self._counted[name]
            if not now.weight:
                del self._counted[name]
            diff = (now.weight if (now.matches > 0) is keeps else 0) - (
                was.weight if (was.matches > 0) is keeps else 0
            )
            if diff:
                out.append((now.row, diff))
        return out


@dataclass(slots=True)
class NotInNode:
    """NOT IN over one column, without further conditions: `left.key` and `right_key` are the
    compared values, None for null. Inputs: left, right.

    Nothing on the right: every left row stays. A null on the right: none does. Else the left rows
    stay whose value is not null and does not occur.
    """

    left: Arrangement
    right_key: KeyFunction
    rows_looked_up: int = 0
    _totals: dict[Datum, int] = field(default_factory=dict)

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        left_changes, right_changes = inputs
        totals, key_of = self._totals, self.left.key
        was_empty, had_null = not totals, None in totals
        before = _count(right_changes, self.right_key, totals)
        is_empty, has_null = not totals, None in totals
        candidates: Iterable[Update]
        if (was_empty, had_null) != (is_empty, has_null):
            candidates = self.left.scan()
        else:
            candidates = chain.from_iterable(map(self.left.get, before))
        out: Updates = []
        for row, weight in candidates:
            self.rows_looked_up += 1
            key = key_of(row)
            stayed = was_empty or not (had_null or key is None or before.get(key, key in totals))
            stays = is_empty or not (has_null or key is None or key in totals)
            if stays is not stayed:
                out.append((row, weight if stays else -weight))
        for row, diff in left_changes:
            key = key_of(row)
            if is_empty or not (has_null or key is None or key in totals):
                out.append((row, diff))
        return out


def _count(changes: Updates, key_of: KeyFunction, totals: dict[Datum, int]) -> dict[Datum, bool]:
    """Add the changes to the totals of their keys; returns which touched keys were there before."""
    before: dict[Datum, bool] = {}
    for row, diff in changes:
        key = key_of(row)
        was, _ = add_count(totals, key, diff)
        before.setdefault(key, was != 0)
    return before
