"""The objects of a catalog, as immutable values.

Objects name each other by id; names stand once, so that a rename changes one object (and the
normalised texts that quote the name).
"""

from dataclasses import dataclass
from typing import assert_never

from core.ids import MIN_TIMESTAMP, GlobalId, ShardId, Timestamp
from core.sql_types import RelationDesc
from sql.catalog_view import ItemKind
from sql.replica_sizes import DEFAULT_SIZE


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
class Cluster:
    """A managed cluster has a size and a number of replicas, which are made to fit; the replicas of
    an unmanaged one (`size` and `replication_factor` None) are created and dropped one by one."""

    id: str
    name: str
    owner: str
    is_managed: bool = True
    size: str | None = DEFAULT_SIZE
    replication_factor: int | None = 1

    @property
    def is_system(self) -> bool:
        return self.id.startswith("s")


@dataclass(frozen=True, slots=True)
class ClusterReplica:
    id: str
    name: str
    cluster_id: str
    owner: str
    size: str = DEFAULT_SIZE


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """An item as it is stored; `defaults` are SQL texts by column, () for what has none.

    `cluster_id` is the cluster that maintains it, `index_on` what an index is on and `index_key`
    its key there: positions of columns from 1, or SQL texts of expressions. `retain_history_us`
    None is the default of the system. `source_output` is the output of a load generator that a
    source holds: its own, or that of the source it depends on.
    """

    id: GlobalId
    oid: int
    schema_id: str
    name: str
    kind: ItemKind
    owner: str
    create_sql: str
    desc: RelationDesc
    defaults: tuple[str | None, ...] = ()
    depends_on: frozenset[GlobalId] = frozenset()
    temporary_connection: int | None = None
    created_at: Timestamp = MIN_TIMESTAMP
    cluster_id: str | None = None
    index_on: GlobalId | None = None
    index_key: tuple[int | str, ...] = ()
    retain_history_us: int | None = None
    source_output: str | None = None

    @property
    def is_written_directly(self) -> bool:
        """Whether replicas write its shard, and not commits."""
        return self.kind is ItemKind.MATERIALIZED_VIEW or self.source_output is not None

    @property
    def is_subsource(self) -> bool:
        """Whether it belongs to a source, with which it comes and goes."""
        return self.source_output is not None and self.cluster_id is None

    @property
    def is_system(self) -> bool:
        return self.id.startswith("s")


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """Where an item's rows are: its shard, and the time from which they can be read."""

    id: GlobalId
    shard: ShardId
    as_of: Timestamp


@dataclass(frozen=True, slots=True)
class Comment:
    """`column` counts from 1; None: the comment is on the object itself."""

    object_type: str
    object_id: str
    column: int | None
    text: str


@dataclass(frozen=True, slots=True)
class SystemParameter:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class IdAllocator:
    """`next` is the first number that was never given out."""

    name: str
    next: int


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FenceToken:
    epoch: int


@dataclass(frozen=True, slots=True)
class PreAllocatedShard:
    shard: ShardId


@dataclass(frozen=True, slots=True)
class UnfinalizedShard:
    shard: ShardId


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Durable only: the catalog in memory does not keep the audit log."""

    id: int
    event_type: str
    object_type: str
    details: tuple[tuple[str, str], ...]
    user: str | None
    occurred_at: Timestamp


CatalogObject = (
    Database
    | Schema
    | Role
    | Cluster
    | ClusterReplica
    | ItemRecord
    | StoredCollection
    | Comment
    | SystemParameter
    | IdAllocator
    | ConfigEntry
    | FenceToken
    | PreAllocatedShard
    | UnfinalizedShard
    | AuditEvent
)

ObjectKey = tuple[type[CatalogObject], object]


def object_key(value: CatalogObject) -> ObjectKey:
    """The identity of an object: two objects with one key are two states of one thing."""
    match value:
        case (
            Database()
            | Schema()
            | Role()
            | Cluster()
            | ClusterReplica()
            | ItemRecord()
            | StoredCollection()
            | AuditEvent()
        ):
            return type(value), value.id
        case SystemParameter() | IdAllocator() | ConfigEntry():
            return type(value), value.name
        case PreAllocatedShard() | UnfinalizedShard():
            return type(value), value.shard
        case Comment():
            return Comment, (value.object_type, value.object_id, value.column)
        case FenceToken():
            return FenceToken, None
        case _:
            assert_never(value)
