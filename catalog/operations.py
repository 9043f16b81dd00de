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
