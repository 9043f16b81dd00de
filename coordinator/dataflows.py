"""From a catalog item that a cluster maintains to the description that replicas work by.

Planning runs in a worker thread. What comes out is never durable: the same definition is planned
again at the next start, perhaps better.
"""

import asyncio
from dataclasses import dataclass

from catalog.objects import ItemRecord, StoredCollection
from catalog.sources import collection_sources
from catalog.state import Catalog
from compute.dataflow_messages import (
    DataflowDescription,
    IndexExport,
    SinkExport,
    SourceExport,
)
from core.ids import GlobalId, ShardId, Timestamp
from expr.relation import Constant
from expr.scalar import EvaluationContext
from sql.catalog_view import ItemKind
from sql.maintained import plan_maintained
from sql.session_view import PlanningSession
from sql.source_planner import stored_load_generator


def is_maintained(record: ItemRecord) -> bool:
    """Whether a cluster keeps a dataflow for the item."""
    return record.cluster_id is not None


def written_collections(catalog: Catalog, id: GlobalId) -> tuple[StoredCollection, ...]:
    """What the dataflow of a maintained item writes: its own rows, and those of its subsources."""
    ids = [id]
    if id in catalog.items and catalog.items[id].record.kind is ItemKind.SOURCE:
        users = catalog.dependents.get(id, ())
        ids += sorted(user for user in users if catalog.items[user].record.is_subsource)
    return tuple(catalog.collections[each] for each in ids if each in catalog.collections)


@dataclass(frozen=True, slots=True)
class Definition:
    """What a dataflow is made of; two items' states with equal definitions have one dataflow."""

    cluster_id: str
    create_sql: str
    retain_history_us: int | None


def definition(record: ItemRecord) -> Definition:
    """The definition of a maintained item."""
    assert record.cluster_id is not None
    return Definition(record.cluster_id, record.create_sql, record.retain_history_us)


async def describe(record: ItemRecord, catalog: Catalog, as_of: Timestamp) -> DataflowDescription:
    """Plan what a replica must maintain for an item of `catalog`, from `as_of` on. Raises SqlError,
    and KeyError for what is not in that catalog."""
    return await asyncio.to_thread(_describe, record, catalog, as_of)


def _describe(record: ItemRecord, catalog: Catalog, as_of: Timestamp) -> DataflowDescription:
    item = catalog.items[record.id].item
    assert item.cluster is not None
    if record.kind is ItemKind.SOURCE:
        return _describe_source(record, catalog, as_of)
    session = PlanningSession(user=item.owner, cluster=item.cluster)
    plan = plan_maintained(item, catalog.for_connection(None), session)
    export: IndexExport | SinkExport
    if record.kind is ItemKind.INDEX:
        assert record.index_on is not None
        export = IndexExport(record.index_on, plan.key)
    else:
        export = SinkExport(catalog.shard_of(record.id), plan.desc)
    return DataflowDescription(
        id=record.id,
        relation=plan.relation,
        sources=collection_sources(catalog, plan.depends_on, plan.indexes),
        as_of=as_of,
        export=export,
        retain_history_us=record.retain_history_us or 0,
        context=session.context,
    )


def _describe_source(record: ItemRecord, catalog: Catalog, as_of: Timestamp) -> DataflowDescription:
    shards: list[tuple[str, ShardId]] = []
    for collection in written_collections(catalog, record.id):
        output = catalog.items[collection.id].record.source_output
        assert output is not None
        shards.append((output, collection.shard))
    generator = stored_load_generator(record.create_sql, EvaluationContext())
    export = SourceExport(generator, tuple(shards))
    return DataflowDescription(record.id, Constant((), ()), (), as_of, export)
