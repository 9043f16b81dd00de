"""The durable form of the catalog: rows `(kind text, key jsonb, value jsonb)` in one shard.

The shard is the collection `mz_internal.mz_catalog_raw` (id `s1`), a data shard of the txns shard
like any table; system relations are plans over it. Each row stands once (diff +1); a change is a
retraction and an insertion in one commit. Built-in objects have rows too, kept up to date at boot.

Both JSON columns are PostgreSQL's canonical jsonb text. All ids are strings: `u…` for a user's
objects, `s…` for the system's, `t…` for temporary items; ids of different kinds are unrelated.
Absent references are JSON null. `owner` is a role id. Fields by kind:

| kind | key | value |
|---|---|---|
| `config` | `name` | `value` (text); names: `environment_id`, `catalog_version` |
| `fence` | (empty object) | `epoch` (int): the epoch that wrote last |
| `id_allocator` | `name` | `next` (int); names: `database`, `schema`, `item`, `role`, `cluster`, \
`replica`, `oid`, `audit_event` |
| `database` | `id` | `name`, `oid`, `owner` |
| `schema` | `id` | `name`, `oid`, `owner`, `database_id` (null: a system schema) |
| `role` | `id` | `name`, `oid`, `superuser`, `inherit`, `create_role`, `create_db`, \
`login` (bools) |
| `cluster` | `id` | `name`, `owner`, `managed` (bool), `size` (text), `replication_factor` (int); \
the last two are null for unmanaged clusters |
| `cluster_replica` | `id` | `name`, `cluster_id`, `owner`, `size` (text) |
| `item` | `id` | `oid`, `schema_id`, `name`, `type` (an `ItemKind`: `table`, `view`, …), `owner`, \
`create_sql`, `columns` (array of `name`, `type_oid`, `type_modifier`, `nullable`, `default` (SQL \
text or null)), `depends_on` (array of item ids), `temporary_connection` (int or null), \
`created_at` (microseconds since the Unix epoch; 0 for built-in items); only where they apply: \
`cluster_id` (the cluster that maintains it), `index_on` (an item id), `index_key` (array of \
column positions from 1, or SQL texts of expressions), `retain_history_us` (int), \
`source_output` (what a source holds of what is generated, text) |
| `storage_collection` | `id` (an item's) | `shard`, `as_of` (timestamp) |
| `system_parameter` | `name` | `value` (text) |
| `comment` | `object_type`, `object_id`, `column` (position from 1, or null) | `comment` |
| `pre_allocated_shard` | `shard` | (empty object) |
| `unfinalized_shard` | `shard` | (empty object) |
| `audit_event` | `id` (int) | `event_type` (`create`, `drop`, `alter`), `object_type`, `details` \
(object), `user` (text or null), `occurred_at` (microseconds since the Unix epoch) |

System schemas: `mz_catalog`, `mz_internal`, `pg_catalog`, `information_schema`, `mz_temp` (every
temporary item's `schema_id` is that of `mz_temp`; whose it is tells `temporary_connection`).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, assert_never

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
    PreAllocatedShard,
    Role,
    Schema,
    StoredCollection,
    SystemParameter,
    UnfinalizedShard,
)
from core.ids import GlobalId, ShardId, Timestamp
from core.rows import RowCodec
from core.sql_types import JSONB, TEXT, Column, RelationDesc, SqlType
from sql.catalog_view import ItemKind
from sql.replica_sizes import DEFAULT_SIZE

RAW_CATALOG_ID: Final = GlobalId("s1")
RAW_CATALOG_DESC: Final = RelationDesc(
    (Column("kind", TEXT, False), Column("key", JSONB, False), Column("value", JSONB, False))
)
RAW_CATALOG_CODEC: Final = RowCodec(RAW_CATALOG_DESC.types)

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DurableRow:
    """One row; `key` and `value` are canonical jsonb text, so equal rows are equal values."""

    kind: str
    key: str
    value: str

    def encode(self) -> bytes:
        """The canonical encoding of the row."""
        return RAW_CATALOG_CODEC.encode((self.kind, self.key, self.value))


RowDiff = tuple[DurableRow, int]


class CorruptCatalogError(Exception):
    """The catalog shard holds something that this version did not write."""


def decode_row(data: bytes) -> DurableRow:
    """The row of a canonical encoding."""
    return DurableRow(*RAW_CATALOG_CODEC.decode(data))


def to_row(value: CatalogObject) -> DurableRow:
    """The row that stores `value`."""
    kind, key, fields = _to_json(value)
    return DurableRow(kind, canonical_json(key), canonical_json(fields))


def from_row(row: DurableRow) -> CatalogObject:
    """The object that `row` stores. Raises CorruptCatalogError."""
    decoder = _DECODERS.get(row.kind)
    if decoder is None:
        raise CorruptCatalogError(f"catalog row of unknown kind {row.kind!r}")
    try:
        return decoder(json.loads(row.key), json.loads(row.value))
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptCatalogError(f"malformed catalog row {row}: {error!r}") from error


def canonical_json(value: object) -> str:
    """PostgreSQL's jsonb text of `value`: keys by length, then bytes; no duplicate keys."""
    return json.dumps(_sorted_keys(value), ensure_ascii=False, separators=(", ", ": "))


def _sorted_keys(value: object) -> object:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: _sorted_keys(value[key]) for key in keys}
    if isinstance(value, list):
        return [_sorted_keys(element) for element in value]
    return value


def _to_json(value: CatalogObject) -> tuple[str, JsonObject, JsonObject]:
    match value:
        case ItemRecord():
            return "item", {"id": value.id}, _item_fields(value)
        case StoredCollection(id=id, shard=shard, as_of=as_of):
            return "storage_collection", {"id": id}, {"shard": shard, "as_of": as_of}
        case Database(id=id, name=name, oid=oid, owner=owner):
            return "database", {"id": id}, {"name": name, "oid": oid, "owner": owner}
        case Schema(id=id, name=name, oid=oid, owner=owner, database_id=database_id):
            fields = {"name": name, "oid": oid, "owner": owner, "database_id": database_id}
            return "schema", {"id": id}, fields
        case Role():
            return "role", {"id": value.id}, _role_fields(value)
        case Cluster():
            return "cluster", {"id": value.id}, _cluster_fields(value)
        case ClusterReplica(id=id, name=name, cluster_id=cluster_id, owner=owner, size=size):
            fields = {"name": name, "cluster_id": cluster_id, "owner": owner, "size": size}
            return "cluster_replica", {"id": id}, fields
        case Comment(object_type=object_type, object_id=object_id, column=column, text=text):
            key = {"object_type": object_type, "object_id": object_id, "column": column}
            return "comment", key, {"comment": text}
        case SystemParameter(name=name, value=text):
            return "system_parameter", {"name": name}, {"value": text}
        case IdAllocator(name=name, next=next_number):
            return "id_allocator", {"name": name}, {"next": next_number}
        case ConfigEntry(name=name, value=text):
            return "config", {"name": name}, {"value": text}
        case FenceToken(epoch=epoch):
            return "fence", {}, {"epoch": epoch}
        case PreAllocatedShard(shard=shard):
            return "pre_allocated_shard", {"shard": shard}, {}
        case UnfinalizedShard(shard=shard):
            return "unfinalized_shard", {"shard": shard}, {}
        case AuditEvent():
            return "audit_event", {"id": value.id}, _audit_fields(value)
        case _:
            assert_never(value)


def _cluster_fields(cluster: Cluster) -> JsonObject:
    return {
        "name": cluster.name,
        "owner": cluster.owner,
        "managed": cluster.is_managed,
        "size": cluster.size,
        "replication_factor": cluster.replication_factor,
    }


def _item_fields(item: ItemRecord) -> JsonObject:
    defaults = item.defaults or (None,) * len(item.desc.columns)
    maintained = {
        "cluster_id": item.cluster_id,
        "index_on": item.index_on,
        "index_key": list(item.index_key) or None,
        "retain_history_us": item.retain_history_us,
        "source_output": item.source_output,
    }
    return {
        "oid": item.oid,
        "schema_id": item.schema_id,
        "name": item.name,
        "type": str(item.kind),
        "owner": item.owner,
        "create_sql": item.create_sql,
        "columns": [
            {
                "name": column.name,
                "type_oid": column.type.oid,
                "type_modifier": column.type.modifier,
                "nullable": column.nullable,
                "default": default,
            }
            for column, default in zip(item.desc.columns, defaults, strict=True)
        ],
        "depends_on": sorted(item.depends_on),
        "temporary_connection": item.temporary_connection,
        "created_at": item.created_at,
        **{name: field for name, field in maintained.items() if field is not None},
    }


def _role_fields(role: Role) -> JsonObject:
    return {
        "name": role.name,
        "oid": role.oid,
        "superuser": role.is_superuser,
        "inherit": role.inherits,
        "create_role": role.can_create_role,
        "create_db": role.can_create_database,
        "login": role.can_login,
    }


def _audit_fields(event: AuditEvent) -> JsonObject:
    return {
        "event_type": event.event_type,
        "object_type": event.object_type,
        "details": dict(event.details),
        "user": event.user,
        "occurred_at": event.occurred_at,
    }


def _item(key: JsonObject, value: JsonObject) -> ItemRecord:
    columns = value["columns"]
    kind = ItemKind(value["type"])
    defaults = tuple(column["default"] for column in columns)
    return ItemRecord(
        id=GlobalId(key["id"]),
        oid=value["oid"],
        schema_id=value["schema_id"],
        name=value["name"],
        kind=kind,
        owner=value["owner"],
        create_sql=value["create_sql"],
        desc=RelationDesc(
            tuple(
                Column(c["name"], SqlType(c["type_oid"], c["type_modifier"]), c["nullable"])
                for c in columns
            )
        ),
        defaults=defaults if any(default is not None for default in defaults) else (),
        depends_on=frozenset(GlobalId(used) for used in value["depends_on"]),
        temporary_connection=value["temporary_connection"],
        created_at=Timestamp(value["created_at"]),
        cluster_id=value.get("cluster_id"),
        index_on=value.get("index_on"),
        index_key=tuple(value.get("index_key", ())),
        retain_history_us=value.get("retain_history_us"),
        source_output=value.get("source_output"),
    )


def _cluster(key: JsonObject, value: JsonObject) -> Cluster:
    if "managed" not in value:  # of a version that had no options for clusters
        return Cluster(key["id"], value["name"], value["owner"])
    return Cluster(
        id=key["id"],
        name=value["name"],
        owner=value["owner"],
        is_managed=value["managed"],
        size=value["size"],
        replication_factor=value["replication_factor"],
    )


def _replica(key: JsonObject, value: JsonObject) -> ClusterReplica:
    size = value.get("size", DEFAULT_SIZE)
    return ClusterReplica(key["id"], value["name"], value["cluster_id"], value["owner"], size)


def _role(key: JsonObject, value: JsonObject) -> Role:
    return Role(
        id=key["id"],
        name=value["name"],
        oid=value["oid"],
        is_superuser=value["superuser"],
        inherits=value["inherit"],
        can_create_role=value["create_role"],
        can_create_database=value["create_db"],
        can_login=value["login"],
    )


def _audit_event(key: JsonObject, value: JsonObject) -> AuditEvent:
    return AuditEvent(
        id=key["id"],
        event_type=value["event_type"],
        object_type=value["object_type"],
        details=tuple(value["details"].items()),
        user=value["user"],
        occurred_at=Timestamp(value["occurred_at"]),
    )


_DECODERS: Final[dict[str, Callable[[JsonObject, JsonObject], CatalogObject]]] = {
    "item": _item,
    "storage_collection": lambda key, value: StoredCollection(
        GlobalId(key["id"]), ShardId(value["shard"]), Timestamp(value["as_of"])
    ),
    "database": lambda key, value: Database(key["id"], value["name"], value["oid"], value["owner"]),
    "schema": lambda key, value: Schema(
        key["id"], value["name"], value["oid"], value["owner"], value["database_id"]
    ),
    "role": _role,
    "cluster": _cluster,
    "cluster_replica": _replica,
    "comment": lambda key, value: Comment(
        key["object_type"], key["object_id"], key["column"], value["comment"]
    ),
    "system_parameter": lambda key, value: SystemParameter(key["name"], value["value"]),
    "id_allocator": lambda key, value: IdAllocator(key["name"], value["next"]),
    "config": lambda key, value: ConfigEntry(key["name"], value["value"]),
    "fence": lambda _, value: FenceToken(value["epoch"]),
    "pre_allocated_shard": lambda key, _: PreAllocatedShard(ShardId(key["shard"])),
    "unfinalized_shard": lambda key, _: UnfinalizedShard(ShardId(key["shard"])),
    "audit_event": _audit_event,
}
