"""Looking up the arrangement of another dataflow, at one's own time.

Two dataflows move through time on their own. One that looks up the other's arrangement reads it as
of its own step: the rows just before the time at hand, and the changes at that time as what is
staged. The other has committed that time already (the runner waits for it), and keeps the history
in between, because the importing dataflow's frontier holds it.

While the importing dataflow hydrates, an imported arrangement is whole from the start: its contents
at `as_of` are what `get` shows, and nothing is staged. Its changes then come in by an edge of their
own, which carries none of the snapshot, unless all inputs of an operator are imported: then one of
them is fed as if it had been empty.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from typing import Final, NamedTuple, Protocol

from compute.dataflow.arrangement import Arrangement
from compute.dataflow.updates import Update, Updates
from compute.operators.keys import KeyFunction
from core.ids import Timestamp
from core.rows import Datum
from core.sql_types import SqlType
from expr.relation import Relation


class ArrangementReader(Protocol):
    """What operators look up: an `Arrangement` of the same dataflow, or an imported one."""

    @property
    def key(self) -> KeyFunction: ...

    @property
    def staged(self) -> Mapping[Datum, Updates]:
        """The changes of the step at hand, by key."""
        ...

    def probe(self, key: Datum) -> bool:
        """Whether any row had that key before the step."""
        ...

    def get(self, key: Datum) -> Iterable[Update]:
        """The rows of a key before the step."""
        ...

    def joined(self, updates: Updates, key_of: KeyFunction) -> Updates:
        """Each update with each row that its key had before the step; a key of None has none."""
        ...

    def scan(self) -> Iterator[Update]:
        """Every row before the step."""
        ...


class ImportedArrangement:
    """An `ArrangementReader` of another dataflow's arrangement."""

    def __init__(self, arrangement: Arrangement) -> None:
        self.arrangement = arrangement
        self.key = arrangement.key
        self.staged: Mapping[Datum, Updates] = {}
        self._before = Timestamp(0)

    def start_at(self, as_of: Timestamp) -> None:
        """Show the contents at `as_of`, with nothing staged: hydration."""
        self._before, self.staged = as_of, {}

    def move_to(self, ts: Timestamp) -> None:
        """The step at `ts` begins."""
        self._before = Timestamp(ts - 1)
        self.staged = self.arrangement.changes_at(ts)

    def probe(self, key: Datum) -> bool:
        return any(True for _ in self.arrangement.get_at(key, self._before))

    def get(self, key: Datum) -> Iterable[Update]:
        return self.arrangement.get_at(key, self._before)

    def joined(self, updates: Updates, key_of: KeyFunction) -> Updates:
        return [
            (row + other, diff * weight)
            for row, diff in updates
            if (key := key_of(row)) is not None
            for other, weight in self.get(key)
        ]

    def scan(self) -> Iterator[Update]:
        for rows, weights in self.arrangement.scan_at(self._before):
            yield from zip(rows, repeat(1) if weights is None else weights)


class Importable(NamedTuple):
    """An arrangement that another dataflow maintains. Its key is the group key (nulls
    kept) of the columns `places`, in that order; keys without a null are those of `join_key`."""

    arrangement: Arrangement
    places: tuple[tuple[int, SqlType], ...]


class Imports(Protocol):
    """What a dataflow being built may import."""

    def find(self, relation: Relation, columns: frozenset[int]) -> Importable | None:
        """An arrangement of `relation` by exactly these columns, if there is one. Take it with
        `Dataflow.import_arrangement`."""
        ...


class NoImports:
    """Nothing to import."""

    def find(self, relation: Relation, columns: frozenset[int]) -> Importable | None:
        return None


NO_IMPORTS: Final = NoImports()
