"""Indexes that a dataflow looks up in place instead of arranging the same rows again."""

from collections.abc import Callable, Iterable

from compute.dataflow.imported import Importable
from compute.dataflow_messages import CollectionSource, DataflowDescription
from compute.maintained.index_export import IndexArrangement
from core.ids import GlobalId
from expr.relation import Get, Relation

IndexesOn = Callable[[GlobalId], Iterable[IndexArrangement]]


class IndexImports:
    """The `Imports` of one dataflow: what it reads through an index, by any index of the collection
    in the replica that goes back to the dataflow's as_of."""

    def __init__(self, description: DataflowDescription, indexes_on: IndexesOn) -> None:
        self._as_of = description.as_of
        self._sources: dict[GlobalId, CollectionSource] = {s.id: s for s in description.sources}
        self._indexes_on = indexes_on
        self._found: dict[int, IndexArrangement] = {}

    def find(self, relation: Relation, columns: frozenset[int]) -> Importable | None:
        if not isinstance(relation, Get) or self._sources[relation.id].index is None:
            return None
        for index in self._indexes_on(relation.id):
            places = index.key_columns
            if places is None or index.is_closed or index.since > self._as_of:
                continue
            if len(places) == len(columns) and columns == {column for column, _ in places}:
                self._found[id(index.arrangement)] = index
                return Importable(index.arrangement, places)
        return None

    def index_of(self, importable: Importable) -> IndexArrangement:
        """The index whose arrangement was found."""
        return self._found[id(importable.arrangement)]
