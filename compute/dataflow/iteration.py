"""The operators of one iteration of a recursion: a dataflow inside another one.

An edge from outside enters in two ways: whole (a new iteration is fed all there is, then the
changes), or its changes only, for operators that look the rest up in an arrangement outside.
"""

from collections.abc import Iterator

from compute.dataflow.arrangement import Arrangement
from compute.dataflow.graph import Dataflow, Edge
from compute.dataflow.updates import Errors, Updates
from compute.operators.keys import identity_key

Entry = tuple[int, bool]  # the number of an edge outside, and whether it is taken in whole


class Iteration(Dataflow):
    """Stepped by the node of the recursion, at the time of the dataflow outside. What it does to
    its errors is in their journal."""

    def __init__(self, outside: Dataflow) -> None:
        super().__init__(outside.clock, Errors(journal=[]))
        self.outside = outside
        self.entries: dict[Entry, int] = {}

    def local(self, edge: Edge) -> Edge:
        return edge if edge.dataflow is self else self._entered(self.outside.local(edge), True)

    def changes_of(self, edge: Edge) -> Edge:
        if edge.dataflow is self:
            return edge
        return self._entered(self.outside.changes_of(edge), False)

    def _entered(self, edge: Edge, is_whole: bool) -> Edge:
        entry = (edge.number, is_whole)
        number = self.entries.get(entry)
        if number is None:
            if is_whole:
                contents_of(edge)
            number = self.entries[entry] = self.entry(edge.types).number
        return Edge(self, number, edge.types)


def contents_of(edge: Edge) -> Arrangement:
    """All rows of an edge, arranged in its dataflow."""
    identity = identity_key(edge.types)
    return edge.dataflow.arrange(edge, "whole rows", identity, identity, skips_null=False)


def all_rows(contents: Arrangement) -> Updates:
    """The rows of an arrangement with what the step at hand has staged in it."""
    return [*contents.scan(), *_staged(contents)]


def _staged(contents: Arrangement) -> Iterator[tuple[tuple[object, ...], int]]:
    for updates in contents.staged.values():
        yield from updates
