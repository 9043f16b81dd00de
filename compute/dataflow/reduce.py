"""GROUP BY and DISTINCT, kept up to date.

A group keeps the state of each aggregate and the row it last emitted, so a step costs what changed,
whatever the group's size. Aggregates take retractions (`expr.aggregates`). Those of DISTINCT
arguments and those that depend on an order keep their arguments as a multiset; the ordered ones are
computed anew for each group a step touches.

A group whose aggregate fails (a sum out of range) emits an error in place of its row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from compute.dataflow.reduce_source import Groups, ReduceLoops
from compute.dataflow.updates import NO_UPDATES, Errors, Updates


@dataclass(slots=True)
class ReduceNode:
    """One row per group that has any: key values, then aggregates."""

    loops: ReduceLoops
    is_deferring: bool = False
    touched: Groups = field(default_factory=dict)
    _groups: Groups = field(default_factory=dict)

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        touched = self.touched
        self.loops.take(inputs[0], self._groups, touched, errors)
        return NO_UPDATES if self.is_deferring else self.refresh(errors, len(touched))

    def refresh(self, errors: Errors, limit: int) -> Updates:
        touched = self.touched
        if limit < len(touched):
            some = [touched.popitem() for _ in range(limit)]
            return self.loops.refresh(some, self._groups, errors)
        out = self.loops.refresh(touched.items(), self._groups, errors)
        touched.clear()
        return out
