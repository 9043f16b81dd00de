"""The catalog in memory: an immutable value on persistent maps.

A snapshot is a reference. `Catalog` is the whole environment; `Catalog.for_connection` gives what
one connection sees (its temporary items included) and implements `sql.catalog_view.CatalogView`.
The value is always what its durable rows say: it changes only through `catalog.builder`, at boot
from the rows and later together with them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from immutables import Map

from catalog.builtin.function_rows import listed_functions
from catalog.objects import (
    CatalogObject,
    Cluster,
    ClusterReplica,
    ConfigEntry,
    Database,
    IdAllocator,
    ItemRecord,
    ObjectKey,
    Role,
    Schema,
    StoredCollection,
)
from core.ids import MIN_TIMESTAMP, GlobalId, ShardId, Timestamp
from sql.catalog_view import CatalogItem, SchemaName

TEMPORARY_SCHEMA: Final = "mz_temp"
TEMPORARY_ALIASES: Final = frozenset({TEMPORARY_SCHEMA, "pg_temp"})
IMPLICIT_SCHEMAS: Final = ("pg_catalog", "mz_catalog")

_NAMING_ALLOCATORS: Final = ("database", "schema", "item", "role", "oid")

SchemaKey = tuple[str, int | None]  # schema id, connection (of mz_temp, else None)


@dataclass(frozen=True, slots=True)
class ItemEntry:
    """An item: its record, what planners see of it, and the revision that last defined it."""

    record: ItemRecord
    item: CatalogItem
    definition_revision: int


@dataclass(frozen=True, slots=True)
class Catalog:
    """One state of the catalog, reached by the commit at `ts`.

    `definitions_revision` is the last revision that dropped, renamed or replaced an item: what was
    planned since still means the same. A transaction's preview of its own DDL has in `committed`
    the catalog that it began with, which is what replicas know of.
    """

    revision: int = 0
    ts: Timestamp = MIN_TIMESTAMP
    definitions_revision: int = 0
    databases: Map[str, Database] = field(default_factory=Map)
    database_ids: Map[str, str] = field(default_factory=Map)
    schemas: Map[str, Schema] = field(default_factory=Map)
    schema_ids: Map[tuple[str | None, str], str] = field(default_factory=Map)
    items: Map[GlobalId, ItemEntry] = field(default_factory=Map)
    contents: Map[SchemaKey, Map[str, GlobalId]] = field(default_factory=Map)
    dependents: Map[GlobalId, frozenset[GlobalId]] = field(default_factory=Map)
    collections: Map[GlobalId, StoredCollection] = field(default_factory=Map)
    roles: Map[str, Role] = field(default_factory=Map)
    role_ids: Map[str, str] = field(default_factory=Map)
    clusters: Map[str, Cluster] = field(default_factory=Map)
    replicas: Map[str, ClusterReplica] = field(default_factory=Map)
    system_parameters: Map[str, str] = field(default_factory=Map)
    pre_allocated: Map[ShardId, None] = field(default_factory=Map)
    unfinalized: Map[ShardId, None] = field(default_factory=Map)
    # All objects; the maps above are indexes of them.
    objects: Map[ObjectKey, CatalogObject] = field(default_factory=Map)
    committed: "Catalog | None" = None

    def as_preview(self, before: "Catalog") -> "Catalog":
        """This catalog as what a transaction that saw `before` sees from now on."""
        return replace(self, committed=before.committed or before)

    def for_connection(self, connection: int | None) -> "ConnectionCatalog":
        """What that connection sees; None: no temporary items at all."""
        return ConnectionCatalog(self, connection)

    def role_named(self, name: str) -> Role | None:
        role_id = self.role_ids.get(name)
        return None if role_id is None else self.roles[role_id]

    def database_named(self, name: str) -> Database | None:
        database_id = self.database_ids.get(name)
        return None if database_id is None else self.databases[database_id]

    def schema_named(self, database: str | None, name: str) -> Schema | None:
        """The schema of exactly that database (None: a system schema)."""
        database_id = None if database is None else self.database_ids.get(database)
        if database is not None and database_id is None:
            return None
        schema_id = self.schema_ids.get((database_id, name))
        return None if schema_id is None else self.schemas[schema_id]

    def config_value(self, name: str) -> str | None:
        """A durable value of the environment, such as `environment_id`."""
        entry = self.objects.get((ConfigEntry, name))
        return entry.value if isinstance(entry, ConfigEntry) else None

    def cluster_named(self, name: str) -> Cluster | None:
        return next((cluster for cluster in self.clusters.values() if cluster.name == name), None)

    def serving_cluster(self, name: str) -> Cluster | None:
        """The cluster of that name, if it can serve: it has replicas, and was committed."""
        cluster = self.cluster_named(name)
        if cluster is None or (self.committed and cluster.id not in self.committed.clusters):
            return None
        has_replicas = any(r.cluster_id == cluster.id for r in self.replicas.values())
        return cluster if has_replicas else None

    def replica_named(self, cluster: str, name: str) -> ClusterReplica | None:
        """The replica of that name in the cluster of that name."""
        found = self.cluster_named(cluster)
        replicas = (r for r in self.replicas.values() if found and r.cluster_id == found.id)
        return next((replica for replica in replicas if replica.name == name), None)

    def allocates_like(self, other: "Catalog") -> bool:
        """Whether new objects would get the same ids here as in `other`."""
        keys = [(IdAllocator, name) for name in _NAMING_ALLOCATORS]
        return all(self.objects.get(key) == other.objects.get(key) for key in keys)

    def shard_of(self, id: GlobalId) -> ShardId:
        """The shard of a stored collection. Raises KeyError."""
        return self.collections[id].shard

    def temporary_items(self, connection: int) -> tuple[GlobalId, ...]:
        """The temporary items of a connection."""
        schema_id = self.schema_ids.get((None, TEMPORARY_SCHEMA), "")
        return tuple(self.contents.get((schema_id, connection), Map()).values())

    def is_temporary_connection(self, connection: int) -> bool:
        """Whether the connection has temporary items: one lookup."""
        return (self.schema_ids.get((None, TEMPORARY_SCHEMA), ""), connection) in self.contents

    def schema_name(self, schema: Schema) -> SchemaName:
        """What planners see of a schema."""
        database = None if schema.database_id is None else self.databases[schema.database_id].name
        return SchemaName(database, schema.name, schema.oid, self.roles[schema.owner].name)


@dataclass(frozen=True, slots=True)
class ConnectionCatalog:
    """`sql.catalog_view.CatalogView` for one connection."""

    catalog: Catalog
    connection: int | None

    @property
    def revision(self) -> int:
        return self.catalog.revision

    def resolve_item(
        self, database: str, search_path: tuple[str, ...], parts: tuple[str, ...]
    ) -> CatalogItem | None:
        schema: Schema | None
        match parts:
            case (name,):
                for candidate in self._path(database, search_path):
                    found = self._lookup(candidate, name)
                    if found is not None:
                        return found
                return None
            case (schema_name, name):
                schema = self._schema(database, schema_name)
            case (database_name, schema_name, name):
                if database_name not in self.catalog.database_ids:
                    return None
                schema = self._schema(database_name, schema_name)
            case _:
                return None
        return None if schema is None else self._lookup(schema, name)

    def item(self, id: GlobalId) -> CatalogItem:
        return self.catalog.items[id].item

    def schema(self, database: str, parts: tuple[str, ...]) -> SchemaName | None:
        match parts:
            case (name,):
                schema = self._schema(database, name)
            case (database_name, name):
                if database_name not in self.catalog.database_ids:
                    return None
                schema = self._schema(database_name, name)
            case _:
                return None
        return None if schema is None else self.catalog.schema_name(schema)

    def schemas(self, database: str) -> tuple[SchemaName, ...]:
        database_id = self.catalog.database_ids.get(database)
        return tuple(
            self.catalog.schema_name(schema)
            for schema in self.catalog.schemas.values()
            if schema.database_id is None or schema.database_id == database_id
        )

    def databases(self) -> tuple[tuple[str, int], ...]:
        return tuple((d.name, d.oid) for d in self.catalog.databases.values())

    def database_oid(self, name: str) -> int | None:
        database = self.catalog.database_named(name)
        return None if database is None else database.oid

    def roles(self) -> tuple[tuple[str, int], ...]:
        return tuple((role.name, role.oid) for role in self.catalog.roles.values())

    def function_oids(self, name: str) -> tuple[int, ...]:
        return tuple(f.oid for f in listed_functions() if f.name == name)

    def clusters(self) -> tuple[str, ...]:
        return tuple(cluster.name for cluster in self.catalog.clusters.values())

    def replicas(self, cluster: str) -> tuple[str, ...]:
        found = self.catalog.cluster_named(cluster)
        if found is None:
            return ()
        replicas = self.catalog.replicas.values()
        return tuple(replica.name for replica in replicas if replica.cluster_id == found.id)

    def indexes(self, on: GlobalId, cluster: str) -> tuple[CatalogItem, ...]:
        catalog = self.catalog
        ids: Iterable[GlobalId] = catalog.dependents.get(on, frozenset())
        if catalog.committed is not None:
            ids = (id for id in ids if id in catalog.committed.items)
        items = (catalog.items[id].item for id in ids)
        found = (item for item in items if item.index_on == on and item.cluster == cluster)
        return tuple(sorted(found, key=lambda item: item.oid))

    def dependents(self, id: GlobalId) -> tuple[GlobalId, ...]:
        return tuple(self.catalog.dependents.get(id, frozenset()))

    def _path(self, database: str, search_path: tuple[str, ...]) -> Iterator[Schema]:
        """The schemas that an unqualified name is looked up in, in order."""
        catalog = self.catalog
        if TEMPORARY_ALIASES.isdisjoint(search_path):
            yield from self._system_schemas((TEMPORARY_SCHEMA,))
        yield from self._system_schemas(
            tuple(name for name in IMPLICIT_SCHEMAS if name not in search_path)
        )
        database_id = catalog.database_ids.get(database)
        for name in search_path:
            if name in TEMPORARY_ALIASES:
                yield from self._system_schemas((TEMPORARY_SCHEMA,))
                continue
            schema_id = catalog.schema_ids.get((database_id, name)) or catalog.schema_ids.get(
                (None, name)
            )
            if schema_id is not None:
                yield catalog.schemas[schema_id]

    def _system_schemas(self, names: tuple[str, ...]) -> Iterator[Schema]:
        for name in names:
            schema_id = self.catalog.schema_ids.get((None, name))
            if schema_id is not None:
                yield self.catalog.schemas[schema_id]

    def _schema(self, database: str, name: str) -> Schema | None:
        """A system schema, or one of `database`."""
        if name in TEMPORARY_ALIASES:
            name = TEMPORARY_SCHEMA
        catalog = self.catalog
        schema_id = catalog.schema_ids.get((None, name))
        if schema_id is None:
            database_id = catalog.database_ids.get(database)
            if database_id is None:
                return None
            schema_id = catalog.schema_ids.get((database_id, name))
        return None if schema_id is None else catalog.schemas[schema_id]

    def _key(self, schema: Schema) -> SchemaKey:
        is_temporary = schema.name == TEMPORARY_SCHEMA and schema.database_id is None
        return schema.id, self.connection if is_temporary else None

    def _lookup(self, schema: Schema, name: str) -> CatalogItem | None:
        contents = self.catalog.contents.get(self._key(schema))
        if contents is None:
            return None
        item_id = contents.get(name)
        return None if item_id is None else self.catalog.items[item_id].item
