"""DDL of materialized views, indexes, clusters and replicas: plans to catalog operations."""

from typing import assert_never

from catalog.operations import (
    AlterCluster,
    CreateCluster,
    CreateIndex,
    CreateMaterializedView,
    CreateReplica,
    CreateSource,
    CreateSubsource,
    DropReplicas,
    Operation,
    SetRetainHistory,
)
from controllers.shard_pool import ShardPool
from sql.plan import (
    AlterClusterPlan,
    CreateClusterPlan,
    CreateIndexPlan,
    CreateMaterializedViewPlan,
    CreateReplicaPlan,
    CreateSourcePlan,
    DropReplicaPlan,
    RetainHistoryPlan,
)

MaintainedDdlPlan = (
    CreateMaterializedViewPlan
    | CreateSourcePlan
    | CreateIndexPlan
    | RetainHistoryPlan
    | CreateClusterPlan
    | AlterClusterPlan
    | CreateReplicaPlan
    | DropReplicaPlan
)


def maintained_operations(
    plan: MaintainedDdlPlan, owner: str, shards: ShardPool
) -> tuple[Operation, ...]:
    """What `plan` asks of the catalog; `owner` will own what it creates."""
    match plan:
        case CreateMaterializedViewPlan():
            return (
                CreateMaterializedView(
                    name=plan.name,
                    desc=plan.desc,
                    create_sql=plan.create_sql,
                    depends_on=plan.depends_on,
                    owner=owner,
                    cluster=plan.cluster,
                    shard=shards.take(),
                    or_replace=plan.or_replace,
                    if_not_exists=plan.if_not_exists,
                    retain_history_us=plan.retain_history_us,
                ),
            )
        case CreateSourcePlan():
            return (_create_source(plan, owner, shards),)
        case CreateIndexPlan():
            return (
                CreateIndex(
                    name=plan.name.item,
                    on=plan.on,
                    key=plan.key,
                    desc=plan.desc,
                    create_sql=plan.create_sql,
                    owner=owner,
                    cluster=plan.cluster,
                    is_name_made=plan.is_name_made,
                    if_not_exists=plan.if_not_exists,
                    retain_history_us=plan.retain_history_us,
                ),
            )
        case RetainHistoryPlan():
            return (SetRetainHistory(plan.id, plan.retain_history_us, plan.text),)
        case CreateClusterPlan():
            return (
                CreateCluster(
                    name=plan.name,
                    owner=owner,
                    is_managed=plan.options.is_managed is not False,
                    size=plan.options.size,
                    replication_factor=plan.options.replication_factor,
                    replicas=plan.replicas,
                    if_not_exists=plan.if_not_exists,
                ),
            )
        case AlterClusterPlan():
            options = plan.options
            return (
                AlterCluster(
                    plan.name, options.is_managed, options.size, options.replication_factor
                ),
            )
        case CreateReplicaPlan():
            return (CreateReplica(plan.cluster, plan.name, plan.size, owner, plan.if_not_exists),)
        case DropReplicaPlan():
            return (DropReplicas(plan.replicas),) if plan.replicas else ()
        case _:
            assert_never(plan)


def _create_source(plan: CreateSourcePlan, owner: str, shards: ShardPool) -> CreateSource:
    holds_rows = plan.output is not None or plan.cluster is None
    return CreateSource(
        name=plan.name,
        desc=plan.desc,
        create_sql=plan.create_sql,
        owner=owner,
        cluster=plan.cluster,
        output=plan.output,
        shard=shards.take() if holds_rows else None,
        subsources=tuple(
            CreateSubsource(each.item, each.output, each.desc, each.create_sql, shards.take())
            for each in plan.subsources
        ),
        if_not_exists=plan.if_not_exists,
    )
