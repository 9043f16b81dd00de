"""What a catalog change implies for the controllers.

`implications` is a pure function of two catalogs and the items that may differ; unchanged parts are
recognised by identity, so its cost does not grow with the catalog. At boot the first catalog is the
empty one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from catalog.objects import ItemRecord
from catalog.state import Catalog
from controllers.replica import ClusterSpec, ReplicaSpec
from coordinator.dataflows import definition, is_maintained, written_collections
from core.ids import GlobalId, ShardId
from sql.catalog_view import ItemKind
from sql.variables import system_value


@dataclass(frozen=True, slots=True)
class DroppedDataflow:
    """A dataflow that is no longer wanted, and the shards that it wrote if they go too."""

    cluster_id: str
    id: GlobalId
    shards: tuple[ShardId, ...]


@dataclass(frozen=True, slots=True)
class Implications:
    """Clusters, shards and dataflows by id; `to_maintain` in an order in which inputs come before
    their users. `limits` (the memory of one query and of a replica's decoded collections, in bytes)
    is None when they stay as they are."""

    clusters_to_run: tuple[ClusterSpec, ...] = ()
    clusters_to_drop: tuple[str, ...] = ()
    shards_to_finalize: tuple[ShardId, ...] = ()
    limits: tuple[int, int] | None = None
    to_maintain: tuple[GlobalId, ...] = ()
    to_drop: tuple[DroppedDataflow, ...] = ()


def implications(old: Catalog, new: Catalog, items: Iterable[GlobalId]) -> Implications:
    """What to do so that the controllers, which fit `old`, fit `new`; of all items, only `items`
    may differ."""
    to_drop: list[str] = []
    if old.clusters is not new.clusters:
        to_drop = [id for id in old.clusters if id not in new.clusters]
    to_finalize: list[ShardId] = []
    if old.unfinalized is not new.unfinalized:
        to_finalize = [shard for shard in new.unfinalized if shard not in old.unfinalized]
    limits = None
    if old.system_parameters is not new.system_parameters and replica_limits(old) != replica_limits(
        new
    ):
        limits = replica_limits(new)
    maintained, dropped = _dataflows(old, new, items)
    to_run = clusters_to_run(old, new)
    return Implications(to_run, tuple(to_drop), tuple(to_finalize), limits, maintained, dropped)


def clusters_to_run(old: Catalog, new: Catalog) -> tuple[ClusterSpec, ...]:
    """Clusters that are new, or have other replicas or another name."""
    if old.clusters is new.clusters and old.replicas is new.replicas:
        return ()
    before = _clusters(old)
    return tuple(spec for id, spec in _clusters(new).items() if before.get(id) != spec)


def _dataflows(
    old: Catalog, new: Catalog, items: Iterable[GlobalId]
) -> tuple[tuple[GlobalId, ...], tuple[DroppedDataflow, ...]]:
    maintain: set[GlobalId] = set()
    dropped: list[DroppedDataflow] = []
    for id in items:
        before, after = record_of(old, id), record_of(new, id)
        if before is not None and is_maintained(before):
            moved = after is None or after.cluster_id != before.cluster_id
            if moved and before.cluster_id is not None:
                written = written_collections(old, id) if after is None else ()
                shards = tuple(collection.shard for collection in written)
                dropped.append(DroppedDataflow(before.cluster_id, id, shards))
        if after is None:
            continue
        if is_maintained(after):
            if before is None or definition(before) != definition(after):
                maintain.add(id)
        elif before is not None and before.create_sql != after.create_sql:
            maintain |= maintained_users(new, id)
    return tuple(sorted(maintain, key=_creation_order)), tuple(dropped)


def maintained_users(catalog: Catalog, id: GlobalId) -> set[GlobalId]:
    """What is maintained by way of a view."""
    found: set[GlobalId] = set()
    stack = [id]
    while stack:
        for user in catalog.dependents.get(stack.pop(), ()):
            record = catalog.items[user].record
            if is_maintained(record):
                found.add(user)
            elif record.kind is ItemKind.VIEW:
                stack.append(user)
    return found


def _creation_order(id: GlobalId) -> int:
    """Ids are given out in order, and what an item reads is older than the item."""
    return int(id[1:])


def record_of(catalog: Catalog, id: GlobalId) -> ItemRecord | None:
    """The record of an item, if there is one."""
    entry = catalog.items.get(id)
    return None if entry is None else entry.record


def replica_limits(catalog: Catalog) -> tuple[int, int]:
    """The memory, in bytes, of one query and of a replica's decoded collections."""
    overrides = catalog.system_parameters
    query = system_value("compute_memory_limit", overrides)
    return int(query), int(system_value("compute_collection_cache_size", overrides))


def _clusters(catalog: Catalog) -> dict[str, ClusterSpec]:
    replicas: dict[str, list[ReplicaSpec]] = {cluster_id: [] for cluster_id in catalog.clusters}
    for replica in catalog.replicas.values():
        replicas[replica.cluster_id].append(ReplicaSpec(replica.id, replica.name))
    return {
        cluster.id: ClusterSpec(
            cluster.id, cluster.name, tuple(sorted(replicas[cluster.id], key=lambda r: r.id))
        )
        for cluster in catalog.clusters.values()
    }
