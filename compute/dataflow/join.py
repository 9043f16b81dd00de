"""Inner joins of any number of inputs, without intermediate collections.

The change of A ⋈ B ⋈ C is dA ⋈ B ⋈ C + A' ⋈ dB ⋈ C + A' ⋈ B' ⋈ dC, where X' is X with its change
(McSherry et al., "delta joins"). Each term is a path: the changed input's updates are looked up in
the others' arrangements one after the other. Nothing is stored but those arrangements, one for each
input and key, which are shared with whoever else arranges the same rows by the same key.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compute.dataflow.arrangement import Arrangement
from compute.dataflow.updates import Errors, Updates
from compute.operators.keys import KeyFunction
from core.rows import Row


@dataclass(frozen=True, slots=True)
class Lookup:
    """One step of a path: append the rows of `arrangement` whose key is `key` of the row so far."""

    arrangement: Arrangement
    key: KeyFunction
    sees_staged: bool  # the other input comes before the changed one

    def run(self, updates: Updates) -> Updates:
        get, key_of = self.arrangement.get, self.key
        staged = self.arrangement.staged if self.sees_staged else None
        out: Updates = []
        for row, diff in updates:
            key = key_of(row)
            if key is None:
                continue
            for other, weight in get(key):
                out.append((row + other, diff * weight))
            if staged and (changes := staged.get(key)):
                for other, weight in changes:
                    out.append((row + other, diff * weight))
        return out


@dataclass(frozen=True, slots=True)
class Path:
    """What a change of one input does; `project` puts the columns in the join's order."""

    lookups: tuple[Lookup, ...]
    project: Callable[[Row], Row] | None

    def run(self, updates: Updates) -> Updates:
        for lookup in self.lookups:
            updates = lookup.run(updates)
        project = self.project
        if project is None:
            return updates
        return [(project(row), diff) for row, diff in updates]


@dataclass(frozen=True, slots=True)
class JoinNode:
    """One path for each input."""

    paths: tuple[Path, ...]

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        out: Updates = []
        for path, updates in zip(self.paths, inputs, strict=True):
            if updates:
                out += path.run(updates)
        return out
