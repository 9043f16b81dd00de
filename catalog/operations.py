"""Catalog operations: what a DDL statement asks of the catalog, as values.

`catalog.transact.apply_operations(catalog, operations, …)` carries them out, as a pure function,
against the newest catalog; conflicts raise `SqlError` in PostgreSQL's words. Operations name
objects by id where an id exists, so that a concurrent rename does not redirect them.
"""

from dataclasses import dataclass

from core.ids import GlobalId, ShardId, Timestamp
from core.sql_types import RelationDesc
from persist.batches import Batch
from sql.catalog_view import QualifiedName, SchemaName


class CatalogChangedError(Exception):
    """A definition that the statement was planned on has changed; plan again, then retry."""


@dataclass(frozen=True, slots=True)
class SetComment:
    """COMMENT ON; `comment` None removes it. `column` counts from 1, None is the object itself."""

    object_type: str
    object_id: str
    column: int | None
    comment: str | None


@dataclass(frozen=True, slots=True)
class CreateDatabase:
    """A new database with a schema `public`. 42P04."""

    name: str
    owner: str
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateSchema:
    """42P06; 3D000 when the database is gone."""

    database: str
    name: str
    owner: str
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateRole:
    """42710."""

    name: str
    is_superuser: bool = False
    inherits: bool = True
    can_create_role: bool = False
    can_create_database: bool = False
    can_login: bool = False


@dataclass(frozen=True, slots=True)
class CreateTable:
    """42P07; 3F000 when the schema is gone.

    `shard` is a new one from `ShardPool.take`; `contents` become the first rows (CREATE TABLE AS).
    With `temporary_connection` the name's schema is ignored.
    """

    name: QualifiedName
    desc: RelationDesc
    defaults: tuple[str | None, ...]
    create_sql: str
    owner: str
    shard: ShardId
    if_not_exists: bool = False
    temporary_connection: int | None = None
    contents: Batch | None = None
    depends_on: frozenset[GlobalId] = frozenset()
    retain_history_us: int | None = None


@dataclass(frozen=True, slots=True)
class CreateView:
    """42P07; 42P01 when something that it names is gone.

    `or_replace` keeps the view's id and dependents; 42P16 when columns do not match, as in
    PostgreSQL; 42809 when the name is a table's.
    """

    name: QualifiedName
    desc: RelationDesc
    create_sql: str
    depends_on: frozenset[GlobalId]
    owner: str
    or_replace: bool = False
    if_not_exists: bool = False
    temporary_connection: int | None = None


@dataclass(frozen=True, slots=True)
class CreateMaterializedView:
    """42P07; 42P01 when something that it names is gone; 42704 for an unknown cluster.

    `shard` is a new one, which the sink writes: it is none of the txns shard's. `or_replace` drops
    what has the name first (2BP01 when something depends on it, 42809 when it is something else).
    """

    name: QualifiedName
    desc: RelationDesc
    create_sql: str
    depends_on: frozenset[GlobalId]
    owner: str
    cluster: str
    shard: ShardId
    or_replace: bool = False
    if_not_exists: bool = False
    retain_history_us: int | None = None


@dataclass(frozen=True, slots=True)
class CreateSubsource:
    """What comes with a source, in its schema; `shard` is a new one."""

    name: str
    output: str
    desc: RelationDesc
    create_sql: str
    shard: ShardId


@dataclass(frozen=True, slots=True)
class CreateSource:
    """42P07; 42704 for an unknown cluster; `cluster` None is a webhook, whose shard is one of the
    txns shard's. `shard` is a new one, None if the source holds nothing itself; `output` is what it
    holds of what is generated."""

    name: QualifiedName
    desc: RelationDesc
    create_sql: str
    owner: str
    cluster: str | None
    output: str | None
    shard: ShardId | None
    subsources: tuple[CreateSubsource, ...] = ()
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateIndex:
    """42P07, unless `is_name_made`: then the first number that makes the name a new one is
    appended. `key` are positions of columns of `on` from 1, or SQL texts of expressions; `desc`
    are the key's columns. The index has the schema of what it is on."""

    name: str
    on: GlobalId
    key: tuple[int | str, ...]
    desc: RelationDesc
    create_sql: str
    owner: str
    cluster: str
    is_name_made: bool = False
    if_not_exists: bool = False
    retain_history_us: int | None = None


@dataclass(frozen=True, slots=True)
class SetRetainHistory:
    """How long the past of a materialized view or an index can be read; `text` is the interval as
    the definition shows it. Both None: the default."""

    id: GlobalId
    retain_history_us: int | None
    text: str | None


@dataclass(frozen=True, slots=True)
class CreateCluster:
    """42710. `size` and `replication_factor` are a managed cluster's (None: the defaults),
    `replicas` (name, size) an unmanaged one's. 22023 for an unknown size."""

    name: str
    owner: str
    is_managed: bool = True
    size: str | None = None
    replication_factor: int | None = None
    replicas: tuple[tuple[str, str], ...] = ()
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class AlterCluster:
    """What is None stays. A managed cluster's replicas are made to fit; a cluster that becomes
    managed keeps those that do. 42704."""

    name: str
    is_managed: bool | None = None
    size: str | None = None
    replication_factor: int | None = None


@dataclass(frozen=True, slots=True)
class RenameCluster:
    """42710, 42704. Definitions that name the cluster are rewritten."""

    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class CreateReplica:
    """A replica of an unmanaged cluster: 55000 for a managed one; 42710, 42704."""

    cluster: str
    name: str
    size: str
    owner: str
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropReplicas:
    """(cluster, name) each, of unmanaged clusters: 55000 for managed ones; 42704."""

    replicas: tuple[tuple[str, str], ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropClusters:
    """2BP01 when something is maintained there and not `cascade`; 42704 when gone."""

    names: tuple[str, ...]
    cascade: bool = False
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropItems:
    """Drop items, and with `cascade` their dependents, else 2BP01.

    An id that is gone is an error (42P01) unless `if_exists`.
    """

    ids: tuple[GlobalId, ...]
    cascade: bool = False
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropSchemas:
    """2BP01 when not empty and not `cascade`; 3F000 when gone."""

    schemas: tuple[SchemaName, ...]
    cascade: bool = False
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropDatabases:
    """Drops everything inside; `restrict` refuses a database with user objects (2BP01)."""

    names: tuple[str, ...]
    restrict: bool = False
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropRoles:
    """42704 when gone; 2BP01 when it owns something."""

    names: tuple[str, ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropTemporaryItems:
    """Everything temporary of one connection (at its end, DISCARD TEMP)."""

    connection: int


@dataclass(frozen=True, slots=True)
class RenameItem:
    """Renames an item and rewrites the `create_sql` of its dependents. 42P07."""

    id: GlobalId
    new_name: str


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """42701 when the name is taken; 2BP01 when another item's definition names the table, for
    that definition may name the column."""

    id: GlobalId
    column: str
    new_name: str


@dataclass(frozen=True, slots=True)
class RenameSchema:
    """Renames a schema; every definition that names something in it is rewritten. 42P06."""

    schema: SchemaName
    new_name: str


@dataclass(frozen=True, slots=True)
class RenameDatabase:
    """Renames a database; every definition that names something in it is rewritten. 42P04."""

    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class RenameRole:
    """42710, 42704."""

    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class SetSystemParameter:
    """ALTER SYSTEM SET (value already validated), or RESET with `value` None."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class ResetSystemParameters:
    """ALTER SYSTEM RESET ALL."""


@dataclass(frozen=True, slots=True)
class ForgetFinalizedShards:
    """The finalizer destroyed these shards: drop their `unfinalized_shard` rows."""

    shards: tuple[ShardId, ...]


Operation = (
    CreateDatabase
    | CreateSchema
    | CreateRole
    | CreateTable
    | CreateView
    | CreateMaterializedView
    | CreateSource
    | CreateIndex
    | SetRetainHistory
    | CreateCluster
    | AlterCluster
    | RenameCluster
    | CreateReplica
    | DropReplicas
    | DropClusters
    | DropItems
    | DropSchemas
    | DropDatabases
    | DropRoles
    | DropTemporaryItems
    | RenameItem
    | RenameColumn
    | RenameSchema
    | RenameDatabase
    | RenameRole
    | SetSystemParameter
    | ResetSystemParameters
    | SetComment
    | ForgetFinalizedShards
)


@dataclass(frozen=True, slots=True)
class OperationResult:
    """What became of one operation: the object's id, and whether it was there already
    (IF NOT EXISTS) or not there (IF EXISTS) so that nothing was done. `cascaded` describes what
    CASCADE dropped along, as PostgreSQL's notice lists it (`view v`, `table s.t`)."""

    id: str | None = None
    was_skipped: bool = False
    cascaded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TransactionContext:
    """Who makes the change and when (the clock's time, for the audit log and `created_at`).

    New collections can be read from `as_of` on: a time not after the commit's.
    """

    user: str | None
    now: Timestamp
    as_of: Timestamp
