"""A dataflow: operators in topological order, stepped through one time after the other.

`step` hands every node whose inputs changed these changes. A node reads arrangements as they were
before the step, together with what was staged in it, and changes only its own state. When all nodes
have run, the staged changes become the present. A large change may be stepped in several parts of
one time: an operator's rule holds for any sequence of changes, so the parts add up to the same.
Between `defer` and `settle` nodes that compute whole groups anew only note which of them the parts
touch. `settle` also does what is too much for a step (a deep recursion).

Some relations change by time alone (`mz_now()`): `next_event_time` tells when the dataflow must be
stepped next though no input changes; at no time may it be stepped over.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from compute.dataflow.arrangement import DISMANTLED_AT_ONCE, Arrangement
from compute.dataflow.imported import Importable, ImportedArrangement
from compute.dataflow.updates import NO_UPDATES, Errors, Identity, Updates
from compute.operators.keys import KeyFunction
from core.ids import GlobalId, Timestamp
from core.sql_types import SqlType

ENTRY_BYTES: Final = 250  # about what a row or group occupies in an operator's own state


class Node(Protocol):
    """One operator with its state."""

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        """The change of the output, given each input's change. Errors in data go to `errors`, never
        up; whatever is raised is a bug that makes the dataflow unusable."""
        ...


class TimedNode(Node, Protocol):
    """A node whose output changes by time alone as well."""

    def next_event_time(self) -> Timestamp | None:
        """The first time at which there is something to do; None: never."""
        ...


@runtime_checkable
class GroupedNode(Node, Protocol):
    """A node that computes anew whatever groups of rows a step touches. While `is_deferring` a step
    only notes them, in `touched`."""

    is_deferring: bool
    touched: dict[Any, Any]

    def refresh(self, errors: Errors, limit: int) -> Updates:
        """The change of at most `limit` touched groups, which are touched no longer."""
        ...


@runtime_checkable
class NestingNode(Node, Protocol):
    """A node that has dataflows inside."""

    @property
    def dataflows(self) -> Sequence["Dataflow"]: ...


@dataclass(slots=True)
class Clock:
    """The time of the step at hand."""

    now: Timestamp = Timestamp(0)


@dataclass(frozen=True, slots=True)
class Edge:
    """A node's output, as others see it."""

    dataflow: "Dataflow"
    number: int
    types: tuple[SqlType, ...]


class Import(NamedTuple):
    """An arrangement of another dataflow that is looked up here. Its changes come in by `edge`; its
    contents at the start do too if `feeds_snapshot`."""

    edge: int
    importable: Importable
    reader: ImportedArrangement
    feeds_snapshot: bool


@dataclass(slots=True)
class Operator:
    """A node in its place, with what it has done so far: rows in and out, nanoseconds."""

    node: Node
    inputs: tuple[int, ...]
    consumers: list[int] = field(default_factory=list)
    rows_in: int = 0
    rows_out: int = 0
    elapsed_ns: int = 0

    @property
    def name(self) -> str:
        return type(self.node).__name__.strip("_").removesuffix("Node")

    @property
    def rows_kept(self) -> int:
        """The rows, or groups of them, that the node keeps."""
        return sum(map(len, _dicts(self.node))) + getattr(self.node, "row_count", 0)

    @property
    def size_bytes(self) -> int:
        """What they occupy, estimated."""
        kept = sum(map(len, _dicts(self.node))) * ENTRY_BYTES
        return kept + getattr(self.node, "size_bytes", 0)

    @property
    def rows_touched(self) -> int:
        """The rows that the operator has looked at or made; nodes that look rows up count them."""
        return self.rows_in + self.rows_out + getattr(self.node, "rows_looked_up", 0)


class Dataflow:
    """Built by `compute.dataflow.build`; `output` is the maintained relation's edge."""

    def __init__(self, clock: Clock | None = None, errors: Errors | None = None) -> None:
        self.clock = Clock() if clock is None else clock
        self.errors = Errors() if errors is None else errors
        self.operators: list[Operator] = []
        self.output = Edge(self, 0, ())
        self._sources: dict[GlobalId, int] = {}
        self._arrangements: dict[tuple[int, object], Arrangement] = {}
        self._derived: dict[tuple[int, object], Edge] = {}
        self._imports: list[Import] = []
        self._timed: list[tuple[int, TimedNode]] = []
        self._grouped: list[tuple[int, GroupedNode]] = []
        self._is_deferring = False
        self._pending = bytearray()  # which operators have something to do, by number
        self._staged: list[Arrangement] = []

    # Construction

    def add(self, node: Node, inputs: Sequence[Edge], types: tuple[SqlType, ...]) -> Edge:
        """Append a node that reads `inputs`."""
        numbers = tuple([self.local(edge).number for edge in inputs])
        number = len(self.operators)
        for source in dict.fromkeys(numbers):
            self.operators[source].consumers.append(number)
        self.operators.append(Operator(node, numbers))
        self._pending.append(0)
        if isinstance(node, GroupedNode):
            self._grouped.append((number, node))
        return Edge(self, number, types)

    def add_timed(
        self, node: TimedNode, inputs: Sequence[Edge], types: tuple[SqlType, ...]
    ) -> Edge:
        """The same, for one whose output changes by time as well."""
        edge = self.add(node, inputs, types)
        self._timed.append((edge.number, node))
        return edge

    def entry(self, types: tuple[SqlType, ...]) -> Edge:
        """An edge that changes come in by, given to `advance`."""
        return self.add(_Entry(), (), types)

    def local(self, edge: Edge) -> Edge:
        """`edge` where nodes of this dataflow can read it: whole, and what changes in it."""
        assert edge.dataflow is self
        return edge

    def changes_of(self, edge: Edge) -> Edge:
        """The same for a node that looks up an arrangement of what was in `edge` before."""
        return self.local(edge)

    def derive(
        self, edge: Edge, name: object, make: Callable[[], Node], types: tuple[SqlType, ...]
    ) -> Edge:
        """The output of a node that reads `edge` alone and that `name` describes, made once."""
        found = self._derived.get((edge.number, name))
        if found is None:
            found = self._derived[edge.number, name] = self.add(make(), (edge,), types)
        return found

    def source(self, id: GlobalId, types: tuple[SqlType, ...]) -> Edge:
        """The edge that a collection's changes come in by."""
        number = self._sources.get(id)
        if number is None:
            number = self._sources[id] = self.entry(types).number
        return Edge(self, number, types)

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
        edge = self.local(edge)
        found = self._arrangements.get((edge.number, name))
        if found is None:
            found = Arrangement(key, identity, skips_null=skips_null)
            self._arrangements[edge.number, name] = found
            self.add(_Arrange(found, self._staged), (edge,), edge.types)
        return found

    def import_arrangement(
        self, importable: Importable, types: tuple[SqlType, ...], *, feeds_snapshot: bool
    ) -> tuple[Edge, ImportedArrangement]:
        """Look up another dataflow's arrangement, of rows of `types`: the edge that its changes
        come in by, and what to look up."""
        edge = self.entry(types)
        reader = ImportedArrangement(importable.arrangement)
        self._imports.append(Import(edge.number, importable, reader, feeds_snapshot))
        return edge, reader

    # What it is

    @property
    def source_ids(self) -> frozenset[GlobalId]:
        return frozenset(self._sources)

    @property
    def arrangements(self) -> tuple[Arrangement, ...]:
        return tuple(self._arrangements.values())

    @property
    def imports(self) -> tuple[Import, ...]:
        return tuple(self._imports)

    def next_event_time(self) -> Timestamp | None:
        """The first time at which the output may change by itself; None: never."""
        times = [time for _, node in self._timed if (time := node.next_event_time()) is not None]
        return min(times, default=None)

    # Steps

    def start(self, ts: Timestamp) -> Updates:
        """The first step, before any change: what the relation is over empty collections."""
        self.wake()
        for imported in self._imports:
            imported.reader.start_at(ts)
        self.clock.now = ts
        return self._advanced([])

    def step(self, ts: Timestamp, changes: Mapping[GlobalId, Updates]) -> Updates:
        """Take in the sources' changes at `ts`; returns the output's, unconsolidated. The changes
        of imported arrangements come in with the first part of their time."""
        sources = self._sources
        entering = [(sources[id], updates) for id, updates in changes.items()]
        for edge, _, reader, _ in self._imports:
            if ts == self.clock.now:
                reader.start_at(ts)
            else:
                reader.move_to(ts)
                entering.append((edge, [u for updates in reader.staged.values() for u in updates]))
        self.clock.now = ts
        return self._advanced(entering)

    def feed_import(self, imported: Import, updates: Updates) -> Updates:
        """Some of the contents of an import that `feeds_snapshot`: after `start`, at its time."""
        return self._advanced([(imported.edge, updates)])

    def defer(self) -> None:
        """The steps up to `settle` are parts of one large change: what they do to groups of rows is
        left to the end, and done once."""
        self._set_deferring(True)

    def settle(self, limit: int) -> Updates | None:
        """Do what was deferred, or was too much for a step, for `limit` groups of one node; returns
        the output's change, None if nothing is left and deferring has ended."""
        for number, node in self._grouped:
            if node.touched:
                operator = self.operators[number]
                before = perf_counter_ns()
                updates = node.refresh(self.errors, limit)
                operator.elapsed_ns += perf_counter_ns() - before
                operator.rows_out += len(updates)
                return self._advanced([(number, updates)])
        if self._is_deferring:
            self._set_deferring(False)
        return None

    def _set_deferring(self, is_deferring: bool) -> None:
        self._is_deferring = is_deferring
        for _, node in self._grouped:
            node.is_deferring = is_deferring

    def has_work(self) -> bool:
        """Whether a step would do anything though no changes come in."""
        self._wake_timed()
        return 1 in self._pending

    def wake(self) -> None:
        """Have every operator run in the next step: its first one."""
        self._pending = bytearray(b"\1" * len(self.operators))

    def _advanced(self, entering: Iterable[tuple[int, Updates]]) -> Updates:
        return self.advance(entering).get(self.output.number, NO_UPDATES)

    def advance(self, entering: Iterable[tuple[int, Updates]]) -> dict[int, Updates]:
        """One step at the clock's time, with changes at the edges of these numbers; returns the
        changes of every edge that has any."""
        operators, pending, errors = self.operators, self._pending, self.errors
        outputs: dict[int, Updates] = {}
        for number, updates in entering:
            if updates:
                outputs[number] = updates
                for consumer in operators[number].consumers:
                    pending[consumer] = 1
        self._wake_timed()
        before = perf_counter_ns()
        number = pending.find(1)
        while number >= 0:
            pending[number] = 0
            operator = operators[number]
            taken = [outputs.get(source, NO_UPDATES) for source in operator.inputs]
            produced = operator.node.step(taken, errors)
            for updates in taken:
                operator.rows_in += len(updates)
            if produced:
                outputs[number] = produced
                operator.rows_out += len(produced)
                for consumer in operator.consumers:
                    pending[consumer] = 1
            after = perf_counter_ns()
            operator.elapsed_ns += after - before
            before = after
            number = pending.find(1, number + 1)
        for arrangement in self._staged:
            arrangement.commit(self.clock.now)
        self._staged.clear()
        return outputs

    def dismantle(self) -> Iterator[None]:
        """Give back what all operators keep, in bounded steps: freeing gigabytes of small objects
        takes seconds. Nobody steps or reads any more."""
        for arrangement in self._arrangements.values():
            yield from arrangement.dismantle()
        for operator in self.operators:
            if isinstance(operator.node, NestingNode):
                for inner in operator.node.dataflows:
                    yield from inner.dismantle()
            for kept in _dicts(operator.node):
                while kept:
                    for _ in range(min(len(kept), DISMANTLED_AT_ONCE)):
                        kept.popitem()
                    yield
        # Edges know their dataflow: without these circles the rest is freed at once.
        self.operators.clear()
        self._arrangements.clear()
        self._derived.clear()
        self._imports.clear()
        del self.output

    def _wake_timed(self) -> None:
        now = self.clock.now
        for number, node in self._timed:
            time = node.next_event_time()
            if time is not None and time <= now:
                self._pending[number] = 1


class _Entry:
    """Stands where changes enter."""

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        return NO_UPDATES


class _Arrange:
    """Stages its input's changes in an arrangement."""

    def __init__(self, arrangement: Arrangement, staged: list[Arrangement]) -> None:
        self._arrangement = arrangement
        self._staged = staged

    @property
    def row_count(self) -> int:
        return self._arrangement.row_count

    @property
    def size_bytes(self) -> int:
        return self._arrangement.size_bytes

    def step(self, inputs: Sequence[Updates], errors: Errors) -> Updates:
        if inputs[0]:
            self._arrangement.stage(inputs[0])
            self._staged.append(self._arrangement)
        return NO_UPDATES


def _dicts(node: Node) -> list[dict[Any, Any]]:
    """The dictionaries that a node keeps its state in."""
    names = getattr(node, "__dataclass_fields__", ())
    return [kept for name in names if isinstance(kept := getattr(node, name), dict)]
