"""Columns of a relation in which no two rows agree, where its operators say so."""

from collections.abc import Iterable

from expr.relation import (
    Constant,
    Filter,
    Let,
    Map,
    Project,
    Reduce,
    Relation,
    TopK,
    Window,
)


def unique_key(relation: Relation) -> tuple[int, ...] | None:
    """The positions of a key, None if none is known; () for a relation of at most one row."""
    match relation:
        case Constant(rows=rows) if len(rows) <= 1 and all(count <= 1 for _, count in rows):
            return ()
        case Filter(input=inner) | Map(input=inner) | Window(input=inner):
            return unique_key(inner)
        case Let(body=body):
            return unique_key(body)
        case Project(input=inner, outputs=outputs):
            return _projected(unique_key(inner), outputs)
        case Reduce(group_key=group_key):
            return tuple(range(len(group_key)))
        case TopK(group_key=group_key, limit=1):
            return group_key
        case TopK(input=inner):
            return unique_key(inner)
        case _:
            return None


def _projected(key: tuple[int, ...] | None, outputs: Iterable[int]) -> tuple[int, ...] | None:
    if key is None:
        return None
    places: dict[int, int] = {}
    for place, column in enumerate(outputs):
        places.setdefault(column, place)
    if any(column not in places for column in key):
        return None
    return tuple(places[column] for column in key)
