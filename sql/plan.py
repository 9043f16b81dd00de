"""Statement plans: what planning a statement yields and a session carries out.

Plans are immutable values. Queries inside them are optimized relations in which parameters and
session calls still stand as such (`expr.scalar.Parameter`, calls of kind SESSION); the session
replaces them by literals right before it runs the plan, so that a plan can be kept by text.
"""

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from core.ids import GlobalId
from core.rows import Datum
from core.sql_types import TEXT, RelationDesc, SqlType
from expr.relation import ColumnOrder, Finishing, Relation
from expr.scalar import Scalar
from sql.catalog_view import QualifiedName, SchemaName


@dataclass(frozen=True, slots=True)
class Query:
    """A planned query: rows of `desc` after `finishing`.

    `depends_on` are the collections it reads (tables, materialized views, the raw catalog, views
    that an index has; other views are inlined). `is_catalog_only`: it reads nothing but system
    relations. `limit` and `offset` that are parameters stand in `limit_expression` and
    `offset_expression`. `names` gives for each column of oids that are shown as names (regclass and
    its kin) where `relation` has the name.
    `indexes` are pairs (collection, index): collections of `depends_on` that are read from an index
    of the session's cluster (a lookup names its own). `as_of` (a constant scalar) is the time that
    AS OF asks for, with `as_of_at_least` the earliest one that will do.
    """

    relation: Relation
    finishing: Finishing
    desc: RelationDesc
    depends_on: frozenset[GlobalId]
    is_catalog_only: bool
    limit_expression: Scalar | None = None
    offset_expression: Scalar | None = None
    names: tuple[tuple[int, int], ...] = ()
    indexes: tuple[tuple[GlobalId, GlobalId], ...] = ()
    as_of: Scalar | None = None
    as_of_at_least: bool = False

    def sent(
        self, finishing: Finishing, binary: Container[int] = ()
    ) -> tuple[Finishing, tuple[SqlType, ...]]:
        """The finishing of rows with the names that their oids mean, and the types of such rows;
        columns in `binary` stay oids."""
        types = list(self.desc.types)
        if not self.names:
            return finishing, tuple(types)
        columns = list(range(len(types)))
        for column, name in self.names:
            if column not in binary:
                columns[column], types[column] = name, TEXT
        return msgspec.structs.replace(finishing, project=tuple(columns)), tuple(types)


@dataclass(frozen=True, slots=True)
class SelectPlan:
    """SELECT, VALUES, TABLE, and the SHOW statements that are queries."""

    query: Query


@dataclass(frozen=True, slots=True)
class InsertPlan:
    """INSERT. `query` yields whole rows of the table (defaults filled in, cast to column types).

    `returning` maps an inserted row (as columns) to the RETURNING list; `returning_desc` names it.
    `not_null` are the positions of NOT NULL columns with their names, checked for every row.
    """

    table: GlobalId
    table_name: str
    query: Query
    not_null: tuple[tuple[int, str], ...]
    returning: tuple[Scalar, ...] | None
    returning_desc: RelationDesc | None


@dataclass(frozen=True, slots=True)
class MutatePlan:
    """UPDATE and DELETE, as one query over the table's rows.

    For DELETE `query` yields the rows to remove. For UPDATE it yields old row ++ new row. Rows
    come with their multiplicities, so duplicates are all affected. `returning` is over the new
    row (UPDATE) or the old row (DELETE).
    """

    table: GlobalId
    table_name: str
    is_update: bool
    query: Query
    column_count: int
    not_null: tuple[tuple[int, str], ...]
    returning: tuple[Scalar, ...] | None
    returning_desc: RelationDesc | None


class SubscribeEnvelope(StrEnum):
    """The form of a subscription's changes."""

    DIFFS = "diffs"
    UPSERT = "upsert"
    DEBEZIUM = "debezium"


@dataclass(frozen=True, slots=True)
class SubscribePlan:
    """SUBSCRIBE: the changes of `query`'s rows (which has no finishing) from its `as_of` on, up to
    but without `up_to` (a constant scalar).

    `desc` are the columns of the stream. `key` are the columns of the query that name a row
    (UPSERT, DEBEZIUM), `order_by` orders the changes of one timestamp, over the difference and the
    query's columns.
    """

    query: Query
    desc: RelationDesc
    envelope: SubscribeEnvelope
    key: tuple[int, ...]
    order_by: tuple[ColumnOrder, ...]
    with_snapshot: bool
    with_progress: bool
    up_to: Scalar | None


class CopyFormat(StrEnum):
    """The formats of COPY."""

    TEXT = "text"
    CSV = "csv"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """The options of COPY; `force_null` and the like hold column positions."""

    format: CopyFormat = CopyFormat.TEXT
    delimiter: str = "\t"
    null: str = "\\N"
    header: bool = False
    quote: str = '"'
    escape: str = '"'
    force_quote: tuple[int, ...] | None = None
    force_not_null: tuple[int, ...] = ()
    force_null: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CopyFromPlan:
    """COPY table (columns) FROM STDIN.

    The input has one field for each of `columns` (positions in the table); `fill` are the
    scalars (no column references) for the others, by position, None where a field stands.
    """

    table: GlobalId
    table_name: str
    desc: RelationDesc
    columns: tuple[int, ...]
    fill: tuple[Scalar | None, ...]
    not_null: tuple[tuple[int, str], ...]
    options: CopyOptions


@dataclass(frozen=True, slots=True)
class CopyToPlan:
    """COPY table or (query) TO STDOUT."""

    query: Query
    options: CopyOptions


@dataclass(frozen=True, slots=True)
class CopySubscribePlan:
    """COPY (SUBSCRIBE …) TO STDOUT."""

    subscribe: SubscribePlan
    options: CopyOptions


@dataclass(frozen=True, slots=True)
class ExplainPlan:
    """EXPLAIN: the text is ready, one row a line."""

    lines: tuple[str, ...]
    column_name: str


@dataclass(frozen=True, slots=True)
class AnalyzePlan:
    """EXPLAIN ANALYZE: `query` is run, and shown with what each of its operators did."""

    query: Query
    is_json: bool


@dataclass(frozen=True, slots=True)
class ExplainTimestampPlan:
    """EXPLAIN TIMESTAMP: the time that `query` would be read at."""

    query: Query
    is_json: bool


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """CHECK VIEW: `query` gives the rows in which `maintained`, a materialized view or an index,
    differs, evaluated in `cluster`. It reads what is durable of a materialized view by the name of
    `durable`."""

    query: Query
    maintained: GlobalId
    cluster: str
    durable: GlobalId | None


class TransactionVerb(StrEnum):
    """Transaction control."""

    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    RELEASE = "release"
    ROLLBACK_TO = "rollback_to"
    SET_TRANSACTION = "set_transaction"
    SET_SESSION_CHARACTERISTICS = "set_session_characteristics"


@dataclass(frozen=True, slots=True)
class TransactionPlan:
    """BEGIN, COMMIT and their kin; `tag` is the command tag (`START TRANSACTION` is not BEGIN)."""

    verb: TransactionVerb
    tag: str
    isolation_level: str | None = None
    read_only: bool | None = None
    savepoint: str | None = None
    chain: bool = False


@dataclass(frozen=True, slots=True)
class SetPlan:
    """SET, RESET (`value` None), DISCARD ALL's RESET ALL (`name` None)."""

    name: str | None
    value: str | None
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class ShowVariablePlan:
    """SHOW name; `name` None is SHOW ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class AlterSystemPlan:
    """ALTER SYSTEM SET/RESET; `name` None is RESET ALL, `value` None is RESET name."""

    name: str | None
    value: str | None


@dataclass(frozen=True, slots=True)
class PreparePlan:
    """PREPARE name AS statement; the statement's text is planned again when executed."""

    name: str
    statement_sql: str
    parameter_types: tuple[SqlType | None, ...]


@dataclass(frozen=True, slots=True)
class ExecutePlan:
    """EXECUTE name (arguments); each argument is a constant scalar of unknown or known type."""

    name: str
    arguments: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class DeallocatePlan:
    """DEALLOCATE name, None for ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class DeclarePlan:
    """DECLARE name CURSOR FOR query, or for `subscribe`, whose query it then is."""

    name: str
    statement_sql: str
    query: Query
    with_hold: bool
    subscribe: SubscribePlan | None = None


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """FETCH count FROM name, forward only; `count` None is ALL. `is_move` for MOVE. `timeout_s`:
    how long to wait for rows of a subscription; None: until there are any."""

    name: str
    count: int | None
    is_move: bool = False
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class CloseCursorPlan:
    """CLOSE name, None for ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class DiscardPlan:
    """DISCARD ALL | TEMP | PLANS | SEQUENCES."""

    target: str


@dataclass(frozen=True, slots=True)
class CreateDatabasePlan:
    name: str
    if_not_exists: bool


@dataclass(frozen=True, slots=True)
class CreateSchemaPlan:
    database: str
    name: str
    if_not_exists: bool


@dataclass(frozen=True, slots=True)
class CreateRolePlan:
    """CREATE ROLE/USER; `options` in lower case, e.g. {"superuser": True, "login": True}."""

    name: str
    options: tuple[tuple[str, Datum], ...]


@dataclass(frozen=True, slots=True)
class CreateTablePlan:
    """CREATE TABLE [AS]. `as_query` yields the first rows (and shaped `desc`)."""

    name: QualifiedName
    desc: RelationDesc
    defaults: tuple[str | None, ...]
    create_sql: str
    is_temporary: bool
    if_not_exists: bool
    as_query: Query | None = None
    with_data: bool = True
    warnings: tuple[str, ...] = ()
    retain_history_us: int | None = None


@dataclass(frozen=True, slots=True)
class CreateViewPlan:
    name: QualifiedName
    desc: RelationDesc
    create_sql: str
    depends_on: frozenset[GlobalId]  # the items its text names, views included
    is_temporary: bool
    or_replace: bool
    if_not_exists: bool
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CreateMaterializedViewPlan:
    """CREATE MATERIALIZED VIEW; `cluster` is a name. `retain_history_us`: None is the default."""

    name: QualifiedName
    desc: RelationDesc
    create_sql: str
    depends_on: frozenset[GlobalId]
    cluster: str
    or_replace: bool
    if_not_exists: bool
    retain_history_us: int | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subsource:
    """What CREATE SOURCE creates along: `item` in the source's schema, the rows of `output`."""

    item: str
    output: str
    desc: RelationDesc
    create_sql: str


@dataclass(frozen=True, slots=True)
class CreateSourcePlan:
    """CREATE SOURCE. `cluster` None: a webhook, which nothing maintains. `output` is what the
    source itself holds of what is generated, if it does."""

    name: QualifiedName
    desc: RelationDesc
    create_sql: str
    cluster: str | None
    output: str | None
    subsources: tuple[Subsource, ...]
    if_not_exists: bool


@dataclass(frozen=True, slots=True)
class CreateIndexPlan:
    """CREATE INDEX; `name` has the schema of the relation `on`. An index that was given no name has
    a made one, to which the catalog appends a number if it is taken (`is_name_made`). `key` are
    positions of columns from 1, or texts of expressions; `desc` are the key's columns."""

    name: QualifiedName
    on: GlobalId
    key: tuple[int | str, ...]
    desc: RelationDesc
    create_sql: str
    cluster: str
    is_name_made: bool
    if_not_exists: bool
    retain_history_us: int | None = None


@dataclass(frozen=True, slots=True)
class RetainHistoryPlan:
    """ALTER TABLE | MATERIALIZED VIEW | INDEX … SET/RESET (RETAIN HISTORY …); `text` is the
    interval."""

    id: GlobalId
    retain_history_us: int | None
    text: str | None


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What CREATE and ALTER CLUSTER set; None: as it is, or the default."""

    is_managed: bool | None = None
    size: str | None = None
    replication_factor: int | None = None


@dataclass(frozen=True, slots=True)
class CreateClusterPlan:
    """CREATE CLUSTER; `replicas` (name, size) are those of an unmanaged one."""

    name: str
    options: ClusterOptions
    replicas: tuple[tuple[str, str], ...]
    if_not_exists: bool


@dataclass(frozen=True, slots=True)
class AlterClusterPlan:
    """ALTER CLUSTER … SET/RESET."""

    name: str
    options: ClusterOptions


@dataclass(frozen=True, slots=True)
class CreateReplicaPlan:
    """CREATE CLUSTER REPLICA cluster.name."""

    cluster: str
    name: str
    size: str
    if_not_exists: bool


@dataclass(frozen=True, slots=True)
class DropReplicaPlan:
    """DROP CLUSTER REPLICA."""

    replicas: tuple[tuple[str, str], ...]  # (cluster, name)
    missing: tuple[str, ...]


class ObjectKind(StrEnum):
    """What DROP and ALTER … RENAME can name."""

    DATABASE = "database"
    SCHEMA = "schema"
    TABLE = "table"
    VIEW = "view"
    MATERIALIZED_VIEW = "materialized view"
    INDEX = "index"
    SOURCE = "source"
    ROLE = "role"
    CLUSTER = "cluster"
    CLUSTER_REPLICA = "cluster replica"


@dataclass(frozen=True, slots=True)
class DropPlan:
    """DROP. `ids` are items; `schemas`, `databases` and `roles` are named. What IF EXISTS did not
    find is in `missing`, as `table "t"` (each gets a notice). CASCADE is carried out by the
    catalog."""

    kind: ObjectKind
    ids: tuple[GlobalId, ...]
    schemas: tuple[SchemaName, ...]
    names: tuple[str, ...]  # databases, roles, clusters
    missing: tuple[str, ...]
    cascade: bool


@dataclass(frozen=True, slots=True)
class RenamePlan:
    """ALTER … RENAME TO. One of `id`, `schema`, `name` says what is renamed, `kind` what it is."""

    kind: ObjectKind
    id: GlobalId | None
    schema: SchemaName | None
    name: str | None
    new_name: str


@dataclass(frozen=True, slots=True)
class RenameColumnPlan:
    """ALTER TABLE … RENAME COLUMN."""

    id: GlobalId
    column: str
    new_name: str


@dataclass(frozen=True, slots=True)
class CommentPlan:
    """COMMENT ON; `text` None removes. One of `id`, `schema`, `name` says on what, `column` (from
    1) that it is on a column of the relation `id`."""

    kind: ObjectKind
    id: GlobalId | None
    schema: SchemaName | None
    name: str | None
    column: int | None
    text: str | None
    cluster: str | None = None  # of the replica `name`


@dataclass(frozen=True, slots=True)
class NoOpPlan:
    """A statement accepted for compatibility (VACUUM, ANALYZE, LOCK, GRANT, …): the tag answers.

    `warning` and `notice` are sent with it when they are not None.
    """

    tag: str
    warning: str | None = None
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class EmptyPlan:
    """An empty statement."""


Plan = (
    SelectPlan
    | InsertPlan
    | MutatePlan
    | CopyFromPlan
    | CopyToPlan
    | SubscribePlan
    | CopySubscribePlan
    | ExplainPlan
    | AnalyzePlan
    | ExplainTimestampPlan
    | CheckPlan
    | TransactionPlan
    | SetPlan
    | ShowVariablePlan
    | AlterSystemPlan
    | PreparePlan
    | ExecutePlan
    | DeallocatePlan
    | DeclarePlan
    | FetchPlan
    | CloseCursorPlan
    | DiscardPlan
    | CreateDatabasePlan
    | CreateSchemaPlan
    | CreateRolePlan
    | CreateTablePlan
    | CreateViewPlan
    | CreateMaterializedViewPlan
    | CreateSourcePlan
    | CreateIndexPlan
    | RetainHistoryPlan
    | CreateClusterPlan
    | AlterClusterPlan
    | CreateReplicaPlan
    | DropReplicaPlan
    | DropPlan
    | RenamePlan
    | RenameColumnPlan
    | CommentPlan
    | NoOpPlan
    | EmptyPlan
)


@dataclass(frozen=True, slots=True)
class PlannedStatement:
    """A plan, the types of the parameters `$1…`, and what a row description needs."""

    plan: Plan
    parameter_types: tuple[SqlType, ...]
    result_desc: RelationDesc | None  # None: the statement returns no rows
