"""Relations that are one collection, changed row by row."""

from typing import NamedTuple

from core.ids import GlobalId
from expr.relation import Filter, Get, Map, Project, Relation


class CollectionColumns(NamedTuple):
    """A relation that reads collection `id` row by row; each of its columns as the collection's,
    None for one that is computed."""

    id: GlobalId
    columns: tuple[int | None, ...]


def collection_columns(relation: Relation) -> CollectionColumns | None:
    """The collection that the relation reads, if it reads one, and row by row; else None."""
    match relation:
        case Get(id=id, types=types):
            return CollectionColumns(id, tuple(range(len(types))))
        case Filter(input=source):
            return collection_columns(source)
        case Project(input=source, outputs=outputs):
            found = collection_columns(source)
            if found is None:
                return None
            return found._replace(columns=tuple(found.columns[index] for index in outputs))
        case Map(input=source, scalars=scalars):
            found = collection_columns(source)
            if found is None:
                return None
            return found._replace(columns=(*found.columns, *(None for _ in scalars)))
        case _:
            return None
