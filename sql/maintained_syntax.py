"""Syntax of what clusters maintain: materialized views, indexes, and clusters themselves."""

from sql.syntax import Expression, Name, Query, Statement, SyntaxNode


class Option(SyntaxNode, frozen=True, gc=False):
    """One of WITH (…) or SET (…): `name` in lower case; `value` as written, strings without their
    quotes, None when there is none."""

    name: str
    value: str | None
    pos: int


class CreateMaterializedView(Statement, frozen=True, gc=False):
    """`query_sql` is the text of `query`, which starts at `query_pos`."""

    name: Name
    columns: tuple[str, ...]
    cluster: str | None
    options: tuple[Option, ...]
    query: Query
    query_sql: str
    query_pos: int
    or_replace: bool
    if_not_exists: bool
    with_data: bool
    pos: int


class IndexKey(SyntaxNode, frozen=True, gc=False):
    """One expression of an index's key, with its text; `is_enclosed`: in parentheses there."""

    expression: Expression
    sql: str
    pos: int
    is_enclosed: bool


class CreateIndex(Statement, frozen=True, gc=False):
    """`keys` None: the default key. `refused` names a clause that is not supported."""

    name: Name | None
    cluster: str | None
    relation: Name
    relation_pos: int
    keys: tuple[IndexKey, ...] | None
    options: tuple[Option, ...]
    if_not_exists: bool
    method: str | None
    refused: str | None
    pos: int


class ReplicaDefinition(SyntaxNode, frozen=True, gc=False):
    """`name (SIZE '…')` in REPLICAS (…), or `cluster.name SIZE '…'`."""

    name: str
    options: tuple[Option, ...]


class CreateCluster(Statement, frozen=True, gc=False):
    """`replicas` None: no REPLICAS clause, so the cluster is managed."""

    name: str
    options: tuple[Option, ...]
    replicas: tuple[ReplicaDefinition, ...] | None
    if_not_exists: bool
    pos: int


class CreateReplica(Statement, frozen=True, gc=False):
    """CREATE CLUSTER REPLICA cluster.name options."""

    cluster: str
    replica: ReplicaDefinition
    if_not_exists: bool
    pos: int


class AlterOptions(Statement, frozen=True, gc=False):
    """ALTER kind name SET (options), or RESET (options), which have no values then."""

    kind: str
    name: Name
    if_exists: bool
    options: tuple[Option, ...]
    is_reset: bool
    pos: int


class RefreshMaterializedView(Statement, frozen=True, gc=False):
    """REFRESH MATERIALIZED VIEW name."""

    name: Name
    pos: int
