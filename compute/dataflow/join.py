"""Inner joins of any number of inputs, without intermediate collections.

The change of A ⋈ B ⋈ C is dA ⋈ B ⋈ C + A' ⋈ dB ⋈ C + A' ⋈ B' ⋈ dC, where X' is X with its change
(McSherry et al., "delta joins"). Each term is a path: the changed input's updates are looked up in
the others' arrangements one after the other. Nothing is stored but those arrangements, one for each
input and key, which are shared with whoever else arranges the same rows by the same key.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from compute.dataflow.chain import RowFunction
from compute.dataflow.imported import ArrangementReader
from compute.dataflow.updates import Errors, Updates
from compute.operators.keys import KeyFunction


@dataclass(frozen=True, slots=True)
class Lookup:
    """One step of a path: append the rows of `arrangement` whose key is `key` of the row so far.
    `stage`: what is made of these before."""

    arrangement: ArrangementReader
    key: KeyFunction
    sees_staged: bool  # the other input comes before the changed one
    stage: RowFunction | None = None

    def run(self, updates: Updates, errors: Errors) -> Updates:
        """The updates joined with what they find."""
        if self.stage is not None:
            return self._through(self.stage, updates, errors)
        key_of = self.key
        out = self.arrangement.joined(updates, key_of)
        staged = self.arrangement.staged if self.sees_staged else None
        if staged:
            for row, diff in updates:
                key = key_of(row)
                if key is not None and (changes := staged.get(key)):
                    out += [(row + other, diff * weight) for other, weight in changes]
        return out

    def _through(self, stage: RowFunction, updates: Updates, errors: Errors) -> Updates:
        get, key_of = self.arrangement.get, self.key
        staged = self.arrangement.staged if self.sees_staged else {}
        out: Updates = []
        for row, diff in updates:
            key = key_of(row)
            if key is None:
                continue
            found = stage.run([*get(key), *staged.get(key, ())], errors)
            out += [(row + other, diff * weight) for other, weight in found]
        return out


@dataclass(frozen=True, slots=True)
class Path:
    """What a change of one input does; `finish` makes the join's rows of the path's."""

    lookups: tuple[Lookup, ...]
    finish: RowFunction | None

    def run(self, updates: Updates, errors: Errors) -> tuple[Updates, int]:
        """The change of the join, and how many rows the lookups found."""
        found = 0
        for lookup in self.lookups:
            updates = lookup.run(updates, errors)
            found += len(updates)
        if self.finish is not None:
            updates = self.finish.run(updates, errors)
        return updates, found


@dataclass(slots=True)
class JoinNode:
    """One path for each input."""

    paths: tuple[Path, ...]
    rows_looked_up: int = 0

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        out: Updates = []
        for path, updates in zip(self.paths, inputs, strict=True):
            if updates:
                joined, found = path.run(updates, errors)
                out = out + joined if out else joined
                self.rows_looked_up += found
        return out
