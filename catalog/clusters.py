"""Clusters and their replicas.

The replicas of a managed cluster are named r1, r2, … and are as many as its replication factor
says, all of its size. Those of an unmanaged one are whatever was created.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from catalog.drops import (
    dependency_error,
    dependents_of,
    drop_with_dependents,
    remove_comments,
)
from catalog.maintained import unknown_cluster, user_cluster
from catalog.objects import Cluster, ClusterReplica, ItemRecord
from catalog.operations import (
    AlterCluster,
    CreateCluster,
    CreateReplica,
    DropClusters,
    DropReplicas,
    OperationResult,
    RenameCluster,
)
from catalog.transaction import RESERVED_PREFIXES, Transaction
from core import errors
from core.errors import SqlError
from sql.maintained_text import with_cluster
from sql.replica_sizes import DEFAULT_SIZE, REPLICA_SIZES
from sql.variables import system_value

RESERVED_NAME: Final = "42939"
_REPLICA_LIMIT: Final = "max_replicas_per_cluster"


def create_cluster(transaction: Transaction, operation: CreateCluster) -> OperationResult:
    existing = transaction.catalog.cluster_named(operation.name)
    if existing is not None:
        if operation.if_not_exists:
            return OperationResult(existing.id, was_skipped=True)
        raise _cluster_exists(operation.name)
    _check_name(operation.name)
    size, factor = None, None
    if operation.is_managed:
        size = operation.size or DEFAULT_SIZE
        factor = 1 if operation.replication_factor is None else operation.replication_factor
    cluster = Cluster(
        id=f"u{transaction.builder.allocate('cluster')}",
        name=operation.name,
        owner=transaction.role(operation.owner).id,
        is_managed=operation.is_managed,
        size=size,
        replication_factor=factor,
    )
    clusters = [c for c in transaction.catalog.clusters.values() if not c.is_system]
    _check_limit(transaction, "max_clusters", len(clusters) + 1)
    _check(transaction, cluster)
    transaction.builder.put(cluster)
    transaction.audit("create", "cluster", id=cluster.id, name=cluster.name)
    for name, replica_size in operation.replicas:
        _add_replica(transaction, cluster, name, replica_size)
    _fit_replicas(transaction, cluster)
    return OperationResult(cluster.id)


def alter_cluster(transaction: Transaction, operation: AlterCluster) -> OperationResult:
    before = user_cluster(transaction, operation.name)
    is_managed = before.is_managed if operation.is_managed is None else operation.is_managed
    if not is_managed:
        if operation.size is not None or operation.replication_factor is not None:
            raise SqlError(
                errors.OBJECT_NOT_IN_PREREQUISITE_STATE,
                f'the replicas of unmanaged cluster "{before.name}" have no common size or number',
            )
        after = replace(before, is_managed=False, size=None, replication_factor=None)
    else:
        replicas = _replicas(transaction, before)
        sizes = {replica.size for replica in replicas}
        size = operation.size or before.size or (sizes.pop() if len(sizes) == 1 else None)
        factor = operation.replication_factor
        if factor is None:
            factor = before.replication_factor if before.is_managed else len(replicas)
        after = replace(
            before, is_managed=True, size=size or DEFAULT_SIZE, replication_factor=factor
        )
    _check(transaction, after)
    transaction.builder.put(after)
    transaction.audit(
        "alter",
        "cluster",
        id=after.id,
        name=after.name,
        managed=str(after.is_managed).lower(),
        size=after.size or "",
        replication_factor=str(after.replication_factor or 0),
    )
    _fit_replicas(transaction, after)
    return OperationResult(after.id)


def rename_cluster(transaction: Transaction, operation: RenameCluster) -> OperationResult:
    cluster = user_cluster(transaction, operation.name)
    if transaction.catalog.cluster_named(operation.new_name) is not None:
        raise _cluster_exists(operation.new_name)
    _check_name(operation.new_name)
    transaction.builder.put(replace(cluster, name=operation.new_name))
    for record in _maintained_by(transaction, cluster):
        text = with_cluster(record.create_sql, operation.new_name)
        transaction.builder.put(replace(record, create_sql=text))
    transaction.builder.definition_changed()
    transaction.audit("alter", "cluster", id=cluster.id, old=cluster.name, new=operation.new_name)
    return OperationResult(cluster.id)


def create_replica(transaction: Transaction, operation: CreateReplica) -> OperationResult:
    cluster = _unmanaged(transaction, operation.cluster)
    for replica in _replicas(transaction, cluster):
        if replica.name == operation.name:
            if operation.if_not_exists:
                return OperationResult(replica.id, was_skipped=True)
            raise _replica_exists(cluster, operation.name)
    return OperationResult(_add_replica(transaction, cluster, operation.name, operation.size).id)


def drop_replicas(transaction: Transaction, operation: DropReplicas) -> OperationResult:
    dropped: str | None = None
    for cluster_name, name in dict.fromkeys(operation.replicas):
        if operation.if_exists and transaction.catalog.cluster_named(cluster_name) is None:
            continue
        cluster = _unmanaged(transaction, cluster_name)
        found = [r for r in _replicas(transaction, cluster) if r.name == name]
        if not found and not operation.if_exists:
            raise SqlError(
                errors.UNDEFINED_OBJECT,
                f'cluster replica "{cluster_name}.{name}" does not exist',
            )
        for replica in found:
            _remove_replica(transaction, cluster, replica)
            dropped = replica.id
    return OperationResult(dropped, was_skipped=dropped is None)


def drop_clusters(transaction: Transaction, operation: DropClusters) -> OperationResult:
    cascaded: list[str] = []
    dropped: str | None = None
    for name in dict.fromkeys(operation.names):
        if transaction.catalog.cluster_named(name) is None:
            if operation.if_exists:
                continue
            raise unknown_cluster(name)
        cluster = user_cluster(transaction, name)
        cascaded.extend(_drop_cluster(transaction, cluster, operation.cascade))
        dropped = cluster.id
    return OperationResult(dropped, was_skipped=dropped is None, cascaded=tuple(cascaded))


def _drop_cluster(transaction: Transaction, cluster: Cluster, cascade: bool) -> list[str]:
    records = _maintained_by(transaction, cluster)
    dependents = dependents_of(transaction, records)
    if records and not cascade:
        raise dependency_error(
            f"cannot drop cluster {cluster.name} because other objects depend on it",
            [
                *(f"{transaction.describe(r)} depends on cluster {cluster.name}" for r in records),
                *(
                    f"{transaction.describe(r)} depends on {transaction.describe(used)}"
                    for r, used in dependents
                ),
            ],
        )
    described = [
        *map(transaction.describe, records),
        *(transaction.describe(record) for record, _ in dependents),
    ]
    drop_with_dependents(transaction, records)
    for replica in _replicas(transaction, cluster):
        _remove_replica(transaction, cluster, replica)
    remove_comments(transaction, "cluster", cluster.id)
    transaction.builder.remove(cluster)
    transaction.audit("drop", "cluster", id=cluster.id, name=cluster.name)
    return described


def _maintained_by(transaction: Transaction, cluster: Cluster) -> list[ItemRecord]:
    """The items of a cluster, the oldest first."""
    records = (entry.record for entry in transaction.catalog.items.values())
    found = (record for record in records if record.cluster_id == cluster.id)
    return sorted(found, key=lambda record: record.oid)


def _replicas(transaction: Transaction, cluster: Cluster) -> list[ClusterReplica]:
    replicas: Iterable[ClusterReplica] = transaction.catalog.replicas.values()
    return [replica for replica in replicas if replica.cluster_id == cluster.id]


def _fit_replicas(transaction: Transaction, cluster: Cluster) -> None:
    """Give a managed cluster the replicas that it should have; the others go."""
    if not cluster.is_managed:
        return
    assert cluster.size is not None
    wanted = {f"r{number + 1}" for number in range(cluster.replication_factor or 0)}
    for replica in _replicas(transaction, cluster):
        if replica.name in wanted and replica.size == cluster.size:
            wanted.remove(replica.name)
        else:
            _remove_replica(transaction, cluster, replica)
    for name in sorted(wanted, key=lambda name: int(name[1:])):
        _add_replica(transaction, cluster, name, cluster.size)


def _add_replica(
    transaction: Transaction, cluster: Cluster, name: str, size: str
) -> ClusterReplica:
    replicas = _replicas(transaction, cluster)
    if any(replica.name == name for replica in replicas):
        raise _replica_exists(cluster, name)
    _check_limit(transaction, _REPLICA_LIMIT, len(replicas) + 1)
    _check_size(size)
    replica = ClusterReplica(
        id=f"u{transaction.builder.allocate('replica')}",
        name=name,
        cluster_id=cluster.id,
        owner=cluster.owner,
        size=size,
    )
    transaction.builder.put(replica)
    _audit_replica(transaction, "create", cluster, replica)
    return replica


def _remove_replica(transaction: Transaction, cluster: Cluster, replica: ClusterReplica) -> None:
    remove_comments(transaction, "cluster-replica", replica.id)
    transaction.builder.remove(replica)
    _audit_replica(transaction, "drop", cluster, replica)


def _audit_replica(
    transaction: Transaction, event_type: str, cluster: Cluster, replica: ClusterReplica
) -> None:
    transaction.audit(
        event_type,
        "cluster-replica",
        cluster_id=cluster.id,
        cluster_name=cluster.name,
        replica_id=replica.id,
        replica_name=replica.name,
        logical_size=replica.size,
    )


def _unmanaged(transaction: Transaction, name: str) -> Cluster:
    cluster = user_cluster(transaction, name)
    if cluster.is_managed:
        raise SqlError(
            errors.OBJECT_NOT_IN_PREREQUISITE_STATE,
            f'cannot modify managed cluster "{name}"',
            detail="The replicas of a managed cluster follow its replication factor.",
            hint=f"Use ALTER CLUSTER {name} SET (REPLICATION FACTOR n), or make the cluster "
            "unmanaged with ALTER CLUSTER ... SET (MANAGED = false).",
        )
    return cluster


def _check(transaction: Transaction, cluster: Cluster) -> None:
    if cluster.size is not None:
        _check_size(cluster.size)
    _check_limit(transaction, _REPLICA_LIMIT, cluster.replication_factor or 0)


def _check_limit(transaction: Transaction, parameter: str, wanted: int) -> None:
    limit = int(system_value(parameter, transaction.catalog.system_parameters))
    if wanted > limit:
        raise SqlError(
            errors.CONFIGURATION_LIMIT_EXCEEDED,
            f"this would exceed {parameter} (wanted: {wanted}, limit: {limit})",
            hint=f"A superuser can raise it with ALTER SYSTEM SET {parameter}.",
        )


def _check_size(size: str) -> None:
    if size not in REPLICA_SIZES:
        raise SqlError(
            errors.INVALID_PARAMETER_VALUE,
            f'unknown cluster replica size "{size}"',
            hint=f"Valid sizes are: {', '.join(REPLICA_SIZES)}.",
        )


def _check_name(name: str) -> None:
    if name.startswith(RESERVED_PREFIXES):
        raise SqlError(
            RESERVED_NAME,
            f'cluster name "{name}" is reserved',
            detail=f'The prefix "{name[:3]}" is reserved for system clusters.',
        )


def _cluster_exists(name: str) -> SqlError:
    return SqlError(errors.DUPLICATE_OBJECT, f'cluster "{name}" already exists')


def _replica_exists(cluster: Cluster, name: str) -> SqlError:
    return SqlError(
        errors.DUPLICATE_OBJECT, f'cluster replica "{cluster.name}.{name}" already exists'
    )
