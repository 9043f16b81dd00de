"""Statements about clusters and their replicas."""

from collections.abc import Iterable
from typing import Final

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_PARAMETER_VALUE,
    SYNTAX_ERROR,
    UNDEFINED_OBJECT,
    SqlError,
)
from sql import syntax as ast
from sql.maintained_options import boolean_of, check_names, count_of, text_of
from sql.maintained_syntax import (
    AlterOptions,
    CreateCluster,
    CreateReplica,
    Option,
    ReplicaDefinition,
)
from sql.new_items import plain
from sql.object_names import skipped
from sql.parse import ParsedStatement
from sql.plan import (
    AlterClusterPlan,
    ClusterOptions,
    CreateClusterPlan,
    CreateReplicaPlan,
    DropReplicaPlan,
    ObjectKind,
    PlannedStatement,
)
from sql.replica_sizes import DEFAULT_SIZE
from sql.statement_context import StatementContext

_SIZE: Final = "size"
_FACTOR: Final = "replication factor"
_MANAGED: Final = "managed"
# What Materialize's tools set besides; it makes no difference to what a cluster answers.
_WITHOUT_EFFECT: Final = frozenset(
    {"introspection interval", "introspection debugging", "disk", "availability zones"}
    | {"workload class"}
)
_CLUSTER_OPTIONS: Final = frozenset({_SIZE, _FACTOR, _MANAGED}) | _WITHOUT_EFFECT
_REPLICA_OPTIONS: Final = frozenset({_SIZE}) | _WITHOUT_EFFECT


def plan_create_cluster(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """CREATE CLUSTER: managed, unless it lists its replicas or says otherwise."""
    assert isinstance(statement, CreateCluster)
    options = _options(statement.options)
    is_managed = options.is_managed
    if is_managed is None:
        is_managed = statement.replicas is None
    if is_managed and statement.replicas is not None:
        raise SqlError(INVALID_PARAMETER_VALUE, "REPLICAS not supported for managed clusters")
    if not is_managed and (options.size is not None or options.replication_factor is not None):
        word = "SIZE" if options.size is not None else "REPLICATION FACTOR"
        raise SqlError(INVALID_PARAMETER_VALUE, f"{word} not supported for unmanaged clusters")
    replicas = tuple((r.name, _replica_size(r)) for r in statement.replicas or ())
    given = ClusterOptions(is_managed, options.size, options.replication_factor)
    return plain(CreateClusterPlan(statement.name, given, replicas, statement.if_not_exists))


def plan_create_replica(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """CREATE CLUSTER REPLICA cluster.name SIZE '…'."""
    assert isinstance(statement, CreateReplica)
    check_cluster(statement.cluster, context)
    replica = statement.replica
    size = _replica_size(replica)
    return plain(CreateReplicaPlan(statement.cluster, replica.name, size, statement.if_not_exists))


def plan_cluster_options(statement: AlterOptions, context: StatementContext) -> PlannedStatement:
    """ALTER CLUSTER … SET or RESET."""
    name = _single(statement.name)
    if name not in context.catalog.clusters() and statement.if_exists:
        return plain(skipped(ObjectKind.CLUSTER, statement.name))
    check_cluster(name, context)
    if not statement.is_reset:
        return plain(AlterClusterPlan(name, _options(statement.options)))
    check_names(statement.options, _CLUSTER_OPTIONS)
    reset = {option.name for option in statement.options}
    defaults = ClusterOptions(
        is_managed=True if _MANAGED in reset else None,
        size=DEFAULT_SIZE if _SIZE in reset else None,
        replication_factor=1 if _FACTOR in reset else None,
    )
    return plain(AlterClusterPlan(name, defaults))


def plan_drop_replicas(statement: ast.Drop, context: StatementContext) -> PlannedStatement:
    """DROP CLUSTER REPLICA cluster.name, …"""
    found: list[tuple[str, str]] = []
    missing: list[str] = []
    for parts, pos in statement.names:
        cluster, name = replica_name(parts, pos)
        if cluster in context.catalog.clusters() and name in context.catalog.replicas(cluster):
            found.append((cluster, name))
        elif statement.if_exists:
            missing.append(f'cluster replica "{cluster}.{name}"')
        else:
            check_cluster(cluster, context)
            raise SqlError(UNDEFINED_OBJECT, f'cluster replica "{cluster}.{name}" does not exist')
    return plain(DropReplicaPlan(tuple(found), tuple(missing)))


def replica_name(parts: ast.Name, pos: int) -> tuple[str, str]:
    """The cluster and the name of a replica. Raises SqlError 42601."""
    if len(parts) != 2:
        raise SqlError(
            SYNTAX_ERROR,
            "the name of a cluster replica is that of its cluster, a dot, and its own",
            position=pos + 1,
        )
    return parts[0], parts[1]


def check_cluster(name: str, context: StatementContext) -> None:
    """42704 unless there is such a cluster."""
    if name not in context.catalog.clusters():
        raise SqlError(UNDEFINED_OBJECT, f'cluster "{name}" does not exist')


def _single(name: ast.Name) -> str:
    if len(name) != 1:
        raise SqlError(SYNTAX_ERROR, f"improper cluster name: {'.'.join(name)}")
    return name[0]


def _options(options: Iterable[Option]) -> ClusterOptions:
    given = tuple(options)
    for option in given:
        if option.name == "schedule" and text_of(option).lower() != "manual":
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                "only SCHEDULE = MANUAL is supported",
                position=option.pos + 1,
            )
    check_names(given, _CLUSTER_OPTIONS | {"schedule"})
    by_name = {option.name: option for option in given}
    size, factor, managed = by_name.get(_SIZE), by_name.get(_FACTOR), by_name.get(_MANAGED)
    return ClusterOptions(
        None if managed is None else boolean_of(managed),
        None if size is None else text_of(size),
        None if factor is None else count_of(factor),
    )


def _replica_size(replica: ReplicaDefinition) -> str:
    check_names(replica.options, _REPLICA_OPTIONS)
    for option in replica.options:
        if option.name == _SIZE:
            return text_of(option)
    raise SqlError(SYNTAX_ERROR, "SIZE option must be specified")
