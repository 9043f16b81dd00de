"""Indexes that a dataflow looks up in place instead of arranging the same rows again."""

from collections.abc import Callable, Iterable

from compute.dataflow.imported import Importable
from compute.maintained.index_export import IndexArrangement
from core.ids import Timestamp
from expr.relation import Get, Relation

Indexes = Callable[[], Iterable[IndexArrangement]]


class IndexImports:
    """The `Imports` of one dataflow: the indexes of the replica that go back to its `as_of`. An
    index has the rows of the collection it is on, and those of the relation it maintains."""

    def __init__(self, as_of: Timestamp, indexes: Indexes) -> None:
        self._as_of = as_of
        self._indexes = indexes
        self._found: dict[int, IndexArrangement] = {}

    def find(self, relation: Relation, columns: frozenset[int]) -> Importable | None:
        for index in self._indexes():
            places = index.key_columns
            if places is None or index.since > self._as_of:
                continue
            if len(places) != len(columns) or columns != {column for column, _ in places}:
                continue
            if index.relation == relation or Get(index.on, index.types) == relation:
                self._found[id(index.arrangement)] = index
                return Importable(index.arrangement, places)
        return None

    def index_of(self, importable: Importable) -> IndexArrangement:
        """The index whose arrangement was found."""
        return self._found[id(importable.arrangement)]
