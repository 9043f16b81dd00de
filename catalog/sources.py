"""Where the collections of a catalog are read."""

from collections.abc import Iterable

import msgspec

from catalog.state import Catalog
from compute.dataflow_messages import CollectionKind, CollectionSource
from core.ids import GlobalId, ShardId
from expr.relation import Lookup
from sql.catalog_view import ItemKind

NO_SHARD = ShardId("")

_WRITTEN_DIRECTLY = frozenset({ItemKind.MATERIALIZED_VIEW, ItemKind.SOURCE})


def collection_source(
    catalog: Catalog, id: GlobalId, index: GlobalId | None = None
) -> CollectionSource:
    """Where to read `id`: from `index`, if one is given, else from its shard. Raises KeyError when
    it is gone, or has neither."""
    if catalog.items[id].record.kind in _WRITTEN_DIRECTLY:
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


def collection_sources(
    catalog: Catalog,
    ids: Iterable[GlobalId],
    indexes: Iterable[tuple[GlobalId, GlobalId]] = (),
) -> tuple[CollectionSource, ...]:
    """Where to read each of `ids`, of which some are read from indexes: (collection, index)."""
    index_of = dict(indexes)
    return tuple(collection_source(catalog, id, index_of.get(id)) for id in sorted(ids))
