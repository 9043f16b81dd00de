"""The catalog in memory: an immutable value on persistent maps.

A snapshot is a reference. `Catalog` is the whole environment; `Catalog.for_connection` gives what
one connection sees (its temporary items included) and implements `sql.catalog_view.CatalogView`.
The value changes only through `catalog.transact.apply_operations`.
"""

from dataclasses import dataclass, field
from typing import Final

from immutables import Map

from catalog.durable import RAW_CATALOG_ID
from core.ids import GlobalId, ShardId, Timestamp
from sql.catalog_view import CatalogItem, QualifiedName, SchemaName

TEMPORARY_SCHEMA: Final = "mz_temp"


@dataclass(frozen=True, slots=True)
class Database:
    id: str
    name: str
    oid: int
    owner: str


@dataclass(frozen=True, slots=True)
class Schema:
    """`database_id` is None for system schemas."""

    id: str
    name: str
    oid: int
    owner: str
    database_id: str | None


@dataclass(frozen=True, slots=True)
class Role:
    id: str
    name: str
    oid: int
    is_superuser: bool
    inherits: bool
    can_create_role: bool
    can_create_database: bool
    can_login: bool


@dataclass(frozen=True, slots=True)
class ClusterReplica:
    id: str
    name: str
    cluster_id: str
    owner: str


@dataclass(frozen=True, slots=True)
class Cluster:
    id: str
    name: str
    owner: str


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """Where an item's rows are: its shard, and the time from which they can be read."""

    shard: ShardId
    as_of: Timestamp


@dataclass(frozen=True, slots=True)
class ItemEntry:
    """An item with what only the catalog needs: its schema's id and its definition's links."""

    item: CatalogItem
    schema_id: str
    owner_id: str
    depends_on: frozenset[GlobalId]
    temporary_connection: int | None
    created_at: Timestamp
    definition_revision: int  # of the last change to its definition or name
