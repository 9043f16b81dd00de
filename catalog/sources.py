"""Where the collections of a catalog are read."""

from collections.abc import Iterable

import msgspec

from catalog.state import Catalog
from compute.dataflow_messages import CollectionKind, CollectionSource
from core.ids import GlobalId, ShardId
from expr.relation import Lookup, Relation, children
from sql.plan import Query

NO_SHARD = ShardId("")


def collection_source(
    catalog: Catalog, id: GlobalId, index: GlobalId | None = None
) -> CollectionSource:
    """Where to read `id`: from `index`, if one is given, else from its shard. Raises KeyError when
    it is gone, or has neither."""
    if catalog.items[id].record.is_written_directly:
        kind = CollectionKind.SHARD
    elif index is not None and id not in catalog.collections:
        return CollectionSource(id, NO_SHARD, CollectionKind.INDEX, index)
    else:
        kind = CollectionKind.TABLE
    return CollectionSource(id, catalog.shard_of(id), kind, index)


def lookup_source(catalog: Catalog, lookup: Lookup) -> CollectionSource:
    """Where the rows that a lookup finds are: the source that has its index's name."""
    source = collection_source(catalog, lookup.id, lookup.index)
    return msgspec.structs.replace(source, id=lookup.index)


def durable_source(catalog: Catalog, id: GlobalId, name: GlobalId) -> CollectionSource:
    """What is durable of a collection that is written directly, as a source of that name."""
    return msgspec.structs.replace(collection_source(catalog, id), id=name, is_durable=True)


def query_sources(catalog: Catalog, query: Query) -> tuple[CollectionSource, ...]:
    """Where to read all that a query reads."""
    sources = list(collection_sources(catalog, query.depends_on, query.indexes))
    lookups: dict[GlobalId, Lookup] = {}
    stack: list[Relation] = [query.relation]
    while stack:
        node = stack.pop()
        if isinstance(node, Lookup):
            lookups[node.index] = node
        stack.extend(children(node))
    sources += [lookup_source(catalog, lookup) for lookup in lookups.values()]
    return tuple(sources)


def stored_below(catalog: Catalog, ids: Iterable[GlobalId]) -> frozenset[GlobalId]:
    """The stored collections among `ids` and, through views of both kinds, below them."""
    seen: set[GlobalId] = set()
    stack = list(ids)
    while stack:
        id = stack.pop()
        if id not in seen:
            seen.add(id)
            stack.extend(catalog.items[id].record.depends_on)
    return frozenset(id for id in seen if id in catalog.collections)


def collection_sources(
    catalog: Catalog,
    ids: Iterable[GlobalId],
    indexes: Iterable[tuple[GlobalId, GlobalId]] = (),
) -> tuple[CollectionSource, ...]:
    """Where to read each of `ids`, of which some are read from indexes: (collection, index). What
    has neither an index nor a shard is not read: a view of which nothing is asked, or an
    introspection relation, whose rows are put into the query itself."""
    index_of = dict(indexes)
    return tuple(
        collection_source(catalog, id, index_of.get(id))
        for id in sorted(ids)
        if id in index_of or id in catalog.collections
    )
