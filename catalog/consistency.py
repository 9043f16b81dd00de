"""Checks that a catalog's indexes and references agree with each other."""

from collections.abc import Iterator
from typing import Final

from catalog.builder import CatalogBuilder
from catalog.state import Catalog
from sql.catalog_view import ItemKind

_STORED_KINDS: Final = frozenset({ItemKind.TABLE, ItemKind.MATERIALIZED_VIEW})


def find_inconsistencies(catalog: Catalog, connections: frozenset[int]) -> tuple[str, ...]:
    """What is wrong with `catalog`, in words; `connections` are the open sessions."""
    return (
        *_rebuilt_differences(catalog),
        *_dangling_references(catalog),
        *_shard_conflicts(catalog),
        *_orphaned_temporary_items(catalog, connections),
    )


def _rebuilt_differences(catalog: Catalog) -> Iterator[str]:
    """The indexes must be what the objects alone give."""
    builder = CatalogBuilder(Catalog())
    builder.load_all(catalog.objects.values())
    rebuilt = builder.catalog
    for name in ("databases", "schemas", "roles", "collections", "clusters", "replicas"):
        if getattr(rebuilt, name) != getattr(catalog, name):
            yield f"{name} differ from the stored objects"
    for name in ("contents", "dependents", "unfinalized", "pre_allocated", "system_parameters"):
        if getattr(rebuilt, name) != getattr(catalog, name):
            yield f"the index {name} differs from the stored objects"
    if set(rebuilt.items) != set(catalog.items):
        yield "items differ from the stored objects"


def _dangling_references(catalog: Catalog) -> Iterator[str]:
    for item_id, entry in catalog.items.items():
        record = entry.record
        if record.schema_id not in catalog.schemas:
            yield f"item {item_id} is in no schema"
        if record.owner not in catalog.roles:
            yield f"item {item_id} has no owner"
        for used in record.depends_on:
            if used not in catalog.items:
                yield f"item {item_id} depends on {used}, which does not exist"
        is_stored = record.kind in _STORED_KINDS or record.source_output is not None
        is_stored = is_stored and not record.is_system
        if is_stored and item_id not in catalog.collections:
            yield f"{record.kind} {item_id} has no shard"
        if record.cluster_id is not None and record.cluster_id not in catalog.clusters:
            yield f"item {item_id} is maintained by no cluster"
    for item_id in catalog.collections:
        if item_id not in catalog.items:
            yield f"the stored collection {item_id} belongs to no item"


def _shard_conflicts(catalog: Catalog) -> Iterator[str]:
    seen = set()
    for collection in catalog.collections.values():
        if collection.shard in seen:
            yield f"shard {collection.shard} belongs to two collections"
        seen.add(collection.shard)
        if collection.shard in catalog.unfinalized:
            yield f"the live shard {collection.shard} is to be finalized"
        if collection.shard in catalog.pre_allocated:
            yield f"the live shard {collection.shard} is in the pool"


def _orphaned_temporary_items(catalog: Catalog, connections: frozenset[int]) -> Iterator[str]:
    for _, connection in catalog.contents:
        if connection is not None and connection not in connections:
            yield f"temporary items of the closed connection {connection}"
