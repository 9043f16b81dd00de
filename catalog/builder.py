"""Builds one catalog state from another, and the row diffs that make the change durable.

The builder keeps the indexes of `Catalog` in step with its objects and remembers, for each object
touched, what was stored before; so the diffs of a transaction come out consolidated, whatever
detours its operations took. It checks nothing: operations do (`catalog.transact`).
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from immutables import Map

from catalog.durable import RowDiff, to_row
from catalog.objects import (
    AuditEvent,
    CatalogObject,
    Cluster,
    ClusterReplica,
    Comment,
    ConfigEntry,
    Database,
    FenceToken,
    IdAllocator,
    ItemRecord,
    ObjectKey,
    PreAllocatedShard,
    Role,
    Schema,
    StoredCollection,
    SystemParameter,
    UnfinalizedShard,
    object_key,
)
from catalog.state import Catalog, ItemEntry, SchemaKey
from sql.catalog_view import CatalogItem, QualifiedName


class CatalogBuilder:
    """A mutable catalog in the making; `finish` gives the immutable one."""

    def __init__(self, base: Catalog) -> None:
        self.base = base
        self.catalog = base
        self.revision = base.revision + 1
        self._before: dict[ObjectKey, CatalogObject | None] = {}
        self._after: dict[ObjectKey, CatalogObject | None] = {}
        self._definitions_changed = False

    def put(self, value: CatalogObject) -> None:
        """Store `value`, in place of what has its identity."""
        key = object_key(value)
        before = self.catalog.objects.get(key)
        if before == value:
            return
        if before is not None:
            self._unindex(before)
        self._index(value)
        self._note(key, before, value)

    def remove(self, value: CatalogObject) -> None:
        """Remove `value`, which must be stored as it is."""
        self._unindex(value)
        if isinstance(value, ItemRecord):
            self._definitions_changed = True
        self._note(object_key(value), value, None)

    def load_all(self, values: Iterable[CatalogObject]) -> None:
        """Take in objects that are durable already (boot), in any order."""
        for value in sorted(values, key=_load_order):
            if isinstance(value, AuditEvent):
                continue
            if object_key(value) in self.catalog.objects:
                raise ValueError(f"two rows for {object_key(value)}")
            self._index(value)

    def allocate(self, name: str, first: int = 1) -> int:
        """A number of allocator `name` that was never given out before."""
        entry = self.catalog.objects.get((IdAllocator, name))
        number = entry.next if isinstance(entry, IdAllocator) else first
        self.put(IdAllocator(name, number + 1))
        return number

    def set_builtin(self, builtin: CatalogItem) -> None:
        """Attach what is not stored of a built-in relation: its rows, or where they come from."""
        entry = self.catalog.items[builtin.id]
        item = _with_builtin(entry.item, builtin)
        items = self.catalog.items.set(builtin.id, replace(entry, item=item))
        self.catalog = replace(self.catalog, items=items)

    def definition_changed(self) -> None:
        """An item means something else than before (renamed, replaced)."""
        self._definitions_changed = True

    def diffs(self) -> tuple[RowDiff, ...]:
        """What changed, as rows; nothing for what came out as it was."""
        diffs: list[RowDiff] = []
        for key, before in self._before.items():
            after = self._after[key]
            old_row = None if before is None else to_row(before)
            new_row = None if after is None else to_row(after)
            if old_row == new_row:
                continue
            if old_row is not None:
                diffs.append((old_row, -1))
            if new_row is not None:
                diffs.append((new_row, 1))
        return tuple(diffs)

    def changed(self) -> tuple[tuple[CatalogObject | None, CatalogObject | None], ...]:
        """(before, after) of every object touched."""
        return tuple((before, self._after[key]) for key, before in self._before.items())

    def finish(self) -> Catalog:
        """The catalog built, under the next revision."""
        definitions_revision = (
            self.revision if self._definitions_changed else self.base.definitions_revision
        )
        return replace(
            self.catalog, revision=self.revision, definitions_revision=definitions_revision
        )

    def _note(
        self, key: ObjectKey, before: CatalogObject | None, after: CatalogObject | None
    ) -> None:
        self._before.setdefault(key, before)
        self._after[key] = after

    def _index(self, value: CatalogObject) -> None:
        catalog = self.catalog
        objects = catalog.objects.set(object_key(value), value)
        match value:
            case ItemRecord():
                self._index_item(value)
                self.catalog = replace(self.catalog, objects=objects)
            case StoredCollection():
                collections = catalog.collections.set(value.id, value)
                self.catalog = replace(catalog, objects=objects, collections=collections)
            case Database():
                self.catalog = replace(
                    catalog,
                    objects=objects,
                    databases=catalog.databases.set(value.id, value),
                    database_ids=catalog.database_ids.set(value.name, value.id),
                )
            case Schema():
                schema_key = (value.database_id, value.name)
                self.catalog = replace(
                    catalog,
                    objects=objects,
                    schemas=catalog.schemas.set(value.id, value),
                    schema_ids=catalog.schema_ids.set(schema_key, value.id),
                )
            case Role():
                self.catalog = replace(
                    catalog,
                    objects=objects,
                    roles=catalog.roles.set(value.id, value),
                    role_ids=catalog.role_ids.set(value.name, value.id),
                )
            case Cluster():
                clusters = catalog.clusters.set(value.id, value)
                self.catalog = replace(catalog, objects=objects, clusters=clusters)
            case ClusterReplica():
                replicas = catalog.replicas.set(value.id, value)
                self.catalog = replace(catalog, objects=objects, replicas=replicas)
            case SystemParameter():
                parameters = catalog.system_parameters.set(value.name, value.value)
                self.catalog = replace(catalog, objects=objects, system_parameters=parameters)
            case PreAllocatedShard():
                pre_allocated = catalog.pre_allocated.set(value.shard, None)
                self.catalog = replace(catalog, objects=objects, pre_allocated=pre_allocated)
            case UnfinalizedShard():
                unfinalized = catalog.unfinalized.set(value.shard, None)
                self.catalog = replace(catalog, objects=objects, unfinalized=unfinalized)
            case Comment() | IdAllocator() | ConfigEntry() | FenceToken():
                self.catalog = replace(catalog, objects=objects)
            case AuditEvent():
                pass
            case _:
                assert_never(value)

    def _unindex(self, value: CatalogObject) -> None:
        catalog = self.catalog
        objects = catalog.objects.delete(object_key(value))
        match value:
            case ItemRecord():
                self._unindex_item(value)
                self.catalog = replace(self.catalog, objects=objects)
            case StoredCollection():
                collections = catalog.collections.delete(value.id)
                self.catalog = replace(catalog, objects=objects, collections=collections)
            case Database():
                self.catalog = replace(
                    catalog,
                    objects=objects,
                    databases=catalog.databases.delete(value.id),
                    database_ids=catalog.database_ids.delete(value.name),
                )
            case Schema():
                self.catalog = replace(
                    catalog,
                    objects=objects,
                    schemas=catalog.schemas.delete(value.id),
                    schema_ids=catalog.schema_ids.delete((value.database_id, value.name)),
                )
            case Role():
                self.catalog = replace(
                    catalog,
                    objects=objects,
                    roles=catalog.roles.delete(value.id),
                    role_ids=catalog.role_ids.delete(value.name),
                )
            case Cluster():
                clusters = catalog.clusters.delete(value.id)
                self.catalog = replace(catalog, objects=objects, clusters=clusters)
            case ClusterReplica():
                replicas = catalog.replicas.delete(value.id)
                self.catalog = replace(catalog, objects=objects, replicas=replicas)
            case SystemParameter():
                parameters = catalog.system_parameters.delete(value.name)
                self.catalog = replace(catalog, objects=objects, system_parameters=parameters)
            case PreAllocatedShard():
                pre_allocated = catalog.pre_allocated.delete(value.shard)
                self.catalog = replace(catalog, objects=objects, pre_allocated=pre_allocated)
            case UnfinalizedShard():
                unfinalized = catalog.unfinalized.delete(value.shard)
                self.catalog = replace(catalog, objects=objects, unfinalized=unfinalized)
            case Comment() | IdAllocator() | ConfigEntry() | FenceToken():
                self.catalog = replace(catalog, objects=objects)
            case AuditEvent():
                raise ValueError("the audit log is only appended to")
            case _:
                assert_never(value)

    def _index_item(self, record: ItemRecord) -> None:
        catalog = self.catalog
        key = _schema_key(record)
        names = catalog.contents.get(key, Map())
        dependents = catalog.dependents
        for used in record.depends_on:
            dependents = dependents.set(used, dependents.get(used, frozenset()) | {record.id})
        entry = ItemEntry(record, self._view(record), self.revision)
        self.catalog = replace(
            catalog,
            items=catalog.items.set(record.id, entry),
            contents=catalog.contents.set(key, names.set(record.name, record.id)),
            dependents=dependents,
        )

    def _unindex_item(self, record: ItemRecord) -> None:
        catalog = self.catalog
        key = _schema_key(record)
        names = catalog.contents[key].delete(record.name)
        dependents = catalog.dependents
        for used in record.depends_on:
            left = dependents[used] - {record.id}
            dependents = dependents.set(used, left) if left else dependents.delete(used)
        self.catalog = replace(
            catalog,
            items=catalog.items.delete(record.id),
            contents=catalog.contents.set(key, names) if names else catalog.contents.delete(key),
            dependents=dependents,
        )

    def _view(self, record: ItemRecord) -> CatalogItem:
        """What planners see of a record."""
        schema = self.catalog.schema_name(self.catalog.schemas[record.schema_id])
        return CatalogItem(
            id=record.id,
            oid=record.oid,
            name=QualifiedName(schema.database, schema.schema, record.name),
            kind=record.kind,
            desc=record.desc,
            create_sql=record.create_sql,
            owner=self.catalog.roles[record.owner].name,
            defaults=record.defaults,
            is_temporary=record.temporary_connection is not None,
            cluster=self._cluster_name(record),
            index_on=record.index_on,
            index_key=record.index_key,
        )

    def _cluster_name(self, record: ItemRecord) -> str | None:
        return None if record.cluster_id is None else self.catalog.clusters[record.cluster_id].name

    def refresh(self, record: ItemRecord) -> None:
        """Recompute what planners see of an item when its schema, database, owner or cluster got
        another name."""
        entry = self.catalog.items[record.id]
        item = _with_builtin(self._view(record), entry.item)
        items = self.catalog.items.set(record.id, ItemEntry(record, item, self.revision))
        self.catalog = replace(self.catalog, items=items)


def _with_builtin(item: CatalogItem, builtin: CatalogItem) -> CatalogItem:
    return replace(item, constant=builtin.constant, is_introspection=builtin.is_introspection)


def _schema_key(record: ItemRecord) -> SchemaKey:
    return record.schema_id, record.temporary_connection


def _load_order(value: CatalogObject) -> int:
    """What others name comes first."""
    match value:
        case Role():
            return 0
        case Database():
            return 1
        case Schema() | Cluster():
            return 2
        case _:
            return 3
