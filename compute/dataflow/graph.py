"""A dataflow: nodes in topological order, stepped through one time after the other.

`step` hands every node the changes of its inputs. A node reads arrangements as they were before the
step, together with what was staged in it, and changes only its own state. When all nodes have run,
`commit` makes the staged changes the present. A large change may be stepped in several parts of one
time: an operator's rule holds for any sequence of changes, so the parts add up to the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from compute.dataflow.arrangement import Arrangement
from compute.dataflow.updates import Errors, Identity, Updates
from compute.operators.keys import KeyFunction
from core.ids import GlobalId, Timestamp
from core.sql_types import SqlType

NO_UPDATES: Final[Updates] = []


class Node(Protocol):
    """One operator with its state."""

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        """The change of the output, given each input's change. Errors in data go to `errors`, never
        up; whatever is raised is a bug that makes the dataflow unusable."""
        ...


@dataclass(frozen=True, slots=True)
class Edge:
    """A node's output, as others see it."""

    number: int
    types: tuple[SqlType, ...]


@dataclass(slots=True)
class Dataflow:
    """Built by `compute.dataflow.build`; `output` is the maintained relation's edge."""

    errors: Errors = field(default_factory=Errors)
    output: Edge = Edge(0, ())
    _nodes: list[tuple[Node, tuple[int, ...]]] = field(default_factory=list)
    _sources: dict[GlobalId, int] = field(default_factory=dict)
    _arrangements: dict[tuple[int, object], Arrangement] = field(default_factory=dict)

    def add(self, node: Node, inputs: Sequence[Edge], types: tuple[SqlType, ...]) -> Edge:
        """Append a node that reads `inputs`."""
        self._nodes.append((node, tuple(edge.number for edge in inputs)))
        return Edge(len(self._nodes) - 1, types)

    def source(self, id: GlobalId, types: tuple[SqlType, ...]) -> Edge:
        """The edge that a collection's changes come in by."""
        number = self._sources.get(id)
        if number is not None:
            return Edge(number, types)
        edge = self.add(_Source(), (), types)
        self._sources[id] = edge.number
        return edge

    def arrange(
        self,
        edge: Edge,
        name: object,
        key: KeyFunction,
        identity: Identity,
        *,
        skips_null: bool,
    ) -> Arrangement:
        """The arrangement of `edge` by the key that `name` stands for, made once."""
        found = self._arrangements.get((edge.number, name))
        if found is None:
            found = Arrangement(key, identity, skips_null=skips_null)
            self._arrangements[edge.number, name] = found
            self.add(_Arrange(found), (edge,), edge.types)
        return found

    @property
    def source_ids(self) -> frozenset[GlobalId]:
        return frozenset(self._sources)

    @property
    def arrangements(self) -> tuple[Arrangement, ...]:
        return tuple(self._arrangements.values())

    def step(self, ts: Timestamp, changes: Mapping[GlobalId, Updates]) -> Updates:
        """Take in the sources' changes at `ts`; returns the output's, unconsolidated."""
        return self._run(ts, changes, runs_all=False)

    def start(self, ts: Timestamp) -> Updates:
        """The first step, before any change: what the relation is over empty collections."""
        return self._run(ts, {}, runs_all=True)

    def _run(
        self, ts: Timestamp, changes: Mapping[GlobalId, Updates], *, runs_all: bool
    ) -> Updates:
        """Step the nodes whose inputs changed, or all, and commit."""
        outputs: list[Updates] = [NO_UPDATES] * len(self._nodes)
        for id, updates in changes.items():
            outputs[self._sources[id]] = updates
        errors = self.errors
        for number, (node, inputs) in enumerate(self._nodes):
            taken = [outputs[source] for source in inputs]
            if runs_all or any(taken):
                outputs[number] = node.step(taken, errors)
        for arrangement in self._arrangements.values():
            arrangement.commit(ts)
        return outputs[self.output.number]


class _Source:
    """Stands where a collection's changes enter."""

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        return NO_UPDATES


class _Arrange:
    """Stages its input's changes in an arrangement."""

    def __init__(self, arrangement: Arrangement) -> None:
        self._arrangement = arrangement

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        self._arrangement.stage(inputs[0])
        return NO_UPDATES
