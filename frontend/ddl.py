"""DDL: plans become catalog operations, carried out in one durable commit.

In a block, operations are staged, with a preview of the catalog for the statements after them, and
committed with the block. Elsewhere a DDL statement is a transaction of its own: it cannot follow
another statement's staged writes, and is planned again when the catalog changed under it.
"""

from collections.abc import Sequence
from typing import Final

from catalog.objects import Cluster, ClusterReplica, Database, Role, Schema
from catalog.operations import (
    CatalogChangedError,
    CreateDatabase,
    CreateRole,
    CreateSchema,
    CreateTable,
    CreateView,
    DropClusters,
    DropDatabases,
    DropItems,
    DropRoles,
    DropSchemas,
    Operation,
    OperationResult,
    RenameCluster,
    RenameColumn,
    RenameDatabase,
    RenameItem,
    RenameRole,
    RenameSchema,
    ResetSystemParameters,
    SetComment,
    SetSystemParameter,
    TransactionContext,
)
from catalog.transact import apply_operations
from controllers.compute_client import StageMode, StageRequest, TargetTable
from coordinator.commands import CatalogOutcome
from coordinator.requests import SerializationConflictError
from core import errors
from core.errors import SqlError
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp
from frontend.binding import bind_query
from frontend.ddl_notices import announce, announce_missing
from frontend.maintained_ddl import maintained_operations
from frontend.planning import CachedPlan
from frontend.read_time import choose_time
from frontend.responses import Notice
from frontend.select import cluster_of
from frontend.session import Session, conflict
from frontend.statements import Portal
from frontend.transaction import TransactionStatus
from persist.batches import Batch
from sql.plan import (
    AlterClusterPlan,
    AlterSystemPlan,
    CommentPlan,
    CreateClusterPlan,
    CreateDatabasePlan,
    CreateIndexPlan,
    CreateMaterializedViewPlan,
    CreateReplicaPlan,
    CreateRolePlan,
    CreateSchemaPlan,
    CreateSourcePlan,
    CreateTablePlan,
    CreateViewPlan,
    DropPlan,
    DropReplicaPlan,
    ObjectKind,
    Query,
    RenameColumnPlan,
    RenamePlan,
    RetainHistoryPlan,
)
from sql.variables import check_alter_system

MAX_ATTEMPTS: Final = 100

DdlPlan = (
    CreateMaterializedViewPlan
    | CreateSourcePlan
    | CreateIndexPlan
    | RetainHistoryPlan
    | CreateClusterPlan
    | AlterClusterPlan
    | CreateReplicaPlan
    | DropReplicaPlan
    | CreateDatabasePlan
    | CreateSchemaPlan
    | CreateRolePlan
    | CreateTablePlan
    | CreateViewPlan
    | DropPlan
    | RenamePlan
    | RenameColumnPlan
    | CommentPlan
    | AlterSystemPlan
)


async def run_ddl(session: Session, portal: Portal) -> str:
    """Carry out a DDL statement, committed when this returns; the command tag. Raises SqlError."""
    cached = portal.cached
    assert cached is not None
    session.transaction.check_writable(cached.parsed.tag)
    match cached.plan:
        case CreateTablePlan(warnings=warnings):
            for text in warnings:
                session.warn(errors.WARNING, text)
        case CreateViewPlan(notices=notices) | CreateMaterializedViewPlan(notices=notices):
            for text in notices:
                session.notify(Notice("NOTICE", errors.SUCCESSFUL_COMPLETION, text))
    if session.transaction.status is TransactionStatus.EXPLICIT:
        return await _stage(session, cached)
    session.transaction.check_outside_block(cached.parsed.sql)
    for _ in range(MAX_ATTEMPTS):
        try:
            return await _attempt(session, cached)
        except (CatalogChangedError, SerializationConflictError):
            session.forget_attempt()
            session.start_transaction(TransactionStatus.IMPLICIT)
            cached = await session.plan(cached.parsed)
    raise conflict()


async def _attempt(session: Session, cached: CachedPlan) -> str:
    operations, tag = await _prepare(session, cached)
    if not operations:
        return tag
    outcome = await transact(session, operations, cached.catalog.revision)
    for result in outcome.results:
        announce(session, cached.plan, result)
    return _final_tag(cached, tag, outcome.results)


async def _stage(session: Session, cached: CachedPlan) -> str:
    """DDL in a block: see the module docstring."""
    plan = cached.plan
    if isinstance(plan, CreateDatabasePlan | AlterSystemPlan) or (
        isinstance(plan, DropPlan) and plan.kind is ObjectKind.DATABASE
    ):
        session.transaction.check_outside_block(cached.parsed.sql)
    operations, tag = await _prepare(session, cached)
    if not operations:
        return tag
    before = session.visible_catalog
    now = Timestamp(session.services.clock())
    context = TransactionContext(session.user, now, session.transaction.as_of or now)
    try:
        applied = apply_operations(before, operations, before.revision, context)
    except CatalogChangedError:
        raise conflict() from None
    preview = applied.catalog.as_preview(before)
    session.transaction.add_operations(operations, before, preview)
    session.transaction.has_run = True
    for result in applied.results:
        announce(session, plan, result)
    return _final_tag(cached, tag, applied.results)


def _final_tag(cached: CachedPlan, tag: str, results: Sequence[OperationResult]) -> str:
    """CREATE TABLE IF NOT EXISTS … AS says how many rows it stored, unless it stored none."""
    if isinstance(cached.plan, CreateTablePlan) and cached.plan.as_query is not None:
        if any(result.was_skipped for result in results):
            return "CREATE TABLE AS"
    return tag


async def _prepare(session: Session, cached: CachedPlan) -> tuple[tuple[Operation, ...], str]:
    """The operations of a plan and the command tag."""
    plan = cached.plan
    if isinstance(plan, CreateTablePlan):
        operation, tag = await _create_table(session, cached, plan)
        return (operation,), tag
    assert isinstance(plan, DdlPlan)
    operations = _operations(session, plan)
    announce_missing(session, plan)
    return operations, cached.parsed.tag


async def transact(
    session: Session, operations: tuple[Operation, ...], planned_revision: int
) -> CatalogOutcome:
    """Commit catalog operations; the session sees the catalog they made."""
    transaction = session.transaction
    with session.interrupter.shielded():
        outcome = await session.coordinator.catalog_transact(
            operations,
            planned_revision,
            user=session.user,
            read_set=frozenset(transaction.reads) if transaction.reads else None,
            read_ts=transaction.as_of if transaction.reads else None,
        )
    session.transaction.clear()
    session.start_transaction(TransactionStatus.IMPLICIT)
    session.adopt(outcome)
    return outcome


def _operations(session: Session, plan: DdlPlan) -> tuple[Operation, ...]:
    owner = session.user
    match plan:
        case CreateDatabasePlan():
            return (CreateDatabase(plan.name, owner, plan.if_not_exists),)
        case CreateSchemaPlan():
            return (CreateSchema(plan.database, plan.name, owner, plan.if_not_exists),)
        case CreateRolePlan():
            return (_create_role(session, plan),)
        case CreateViewPlan():
            return (
                CreateView(
                    name=plan.name,
                    desc=plan.desc,
                    create_sql=plan.create_sql,
                    depends_on=plan.depends_on,
                    owner=owner,
                    or_replace=plan.or_replace,
                    if_not_exists=plan.if_not_exists,
                    temporary_connection=session.connection_id if plan.is_temporary else None,
                ),
            )
        case (
            CreateMaterializedViewPlan()
            | CreateSourcePlan()
            | CreateIndexPlan()
            | RetainHistoryPlan()
            | CreateClusterPlan()
            | AlterClusterPlan()
            | CreateReplicaPlan()
            | DropReplicaPlan()
        ):
            return maintained_operations(plan, owner, session.clients.shards)
        case DropPlan():
            return _drop(plan)
        case RenamePlan():
            return (_rename(session, plan),)
        case RenameColumnPlan():
            return (RenameColumn(plan.id, plan.column, plan.new_name),)
        case CommentPlan():
            return (_comment(session, plan),)
        case AlterSystemPlan():
            return (_alter_system(session, plan),)
        case CreateTablePlan():
            raise AssertionError(plan)


def _create_role(session: Session, plan: CreateRolePlan) -> CreateRole:
    options = dict(plan.options)
    is_superuser = bool(options.get("superuser", False))
    if is_superuser and not session.is_superuser:
        raise SqlError(errors.INSUFFICIENT_PRIVILEGE, "must be superuser to create superusers")
    return CreateRole(
        plan.name,
        is_superuser=is_superuser,
        inherits=bool(options.get("inherit", True)),
        can_create_role=bool(options.get("createrole", False)),
        can_create_database=bool(options.get("createdb", False)),
        can_login=bool(options.get("login", True)),
    )


def _drop(plan: DropPlan) -> tuple[Operation, ...]:
    match plan.kind:
        case ObjectKind.DATABASE:
            return (DropDatabases(plan.names, restrict=False),) if plan.names else ()
        case ObjectKind.SCHEMA:
            return (DropSchemas(plan.schemas, plan.cascade),) if plan.schemas else ()
        case ObjectKind.ROLE:
            return (DropRoles(plan.names),) if plan.names else ()
        case ObjectKind.CLUSTER:
            return (DropClusters(plan.names, plan.cascade),) if plan.names else ()
        case _:
            return (DropItems(plan.ids, plan.cascade),) if plan.ids else ()


def _rename(session: Session, plan: RenamePlan) -> Operation:
    if plan.id is not None:
        return RenameItem(plan.id, plan.new_name)
    if plan.schema is not None:
        return RenameSchema(plan.schema, plan.new_name)
    assert plan.name is not None
    match plan.kind:
        case ObjectKind.DATABASE:
            return RenameDatabase(plan.name, plan.new_name)
        case ObjectKind.ROLE:
            if plan.name == session.user:
                raise SqlError(errors.FEATURE_NOT_SUPPORTED, "session user cannot be renamed")
            return RenameRole(plan.name, plan.new_name)
        case ObjectKind.CLUSTER:
            return RenameCluster(plan.name, plan.new_name)
        case _:
            raise SqlError(errors.FEATURE_NOT_SUPPORTED, f"a {plan.kind.value} cannot be renamed")


def _comment(session: Session, plan: CommentPlan) -> Operation:
    catalog = session.visible_catalog
    found: Database | Schema | Role | Cluster | ClusterReplica | None
    if plan.id is not None:
        record = catalog.items[plan.id].record
        return SetComment(str(record.kind), record.id, plan.column, plan.text)
    if plan.schema is not None:
        found = catalog.schema_named(plan.schema.database, plan.schema.schema)
    elif plan.kind is ObjectKind.ROLE:
        found = catalog.role_named(plan.name or "")
    elif plan.kind is ObjectKind.CLUSTER:
        found = catalog.cluster_named(plan.name or "")
    elif plan.kind is ObjectKind.CLUSTER_REPLICA:
        found = catalog.replica_named(plan.cluster or "", plan.name or "")
    else:
        found = catalog.database_named(plan.name or "")
    if found is None:
        raise CatalogChangedError(f"{plan.kind.value} is gone")
    return SetComment(plan.kind.value.replace(" ", "-"), found.id, None, plan.text)


def _alter_system(session: Session, plan: AlterSystemPlan) -> Operation:
    if not session.is_superuser:
        raise SqlError(
            errors.INSUFFICIENT_PRIVILEGE,
            f'permission denied to set parameter "{plan.name or "ALL"}"',
            hint="Connect to the internal SQL port as mz_system.",
        )
    if plan.name is None:
        return ResetSystemParameters()
    return SetSystemParameter(*check_alter_system(plan.name, plan.value))


# Tables ------------------------------------------------------------------------------------------


async def _create_table(
    session: Session, cached: CachedPlan, plan: CreateTablePlan
) -> tuple[CreateTable, str]:
    shard = session.clients.shards.take()
    contents: Batch | None = None
    tag = cached.parsed.tag
    if plan.as_query is not None and plan.with_data:
        contents, count = await _stage_contents(session, cached, plan, plan.as_query, shard)
        tag = f"SELECT {count}"
    operation = CreateTable(
        name=plan.name,
        desc=plan.desc,
        defaults=plan.defaults,
        create_sql=plan.create_sql,
        owner=session.user,
        shard=shard,
        if_not_exists=plan.if_not_exists,
        temporary_connection=session.connection_id if plan.is_temporary else None,
        contents=contents,
        retain_history_us=plan.retain_history_us,
    )
    return operation, tag


async def _stage_contents(
    session: Session, cached: CachedPlan, plan: CreateTablePlan, query: Query, shard: ShardId
) -> tuple[Batch | None, int]:
    as_of = MIN_TIMESTAMP
    if query.depends_on or cached.needs_time:
        cached, as_of = await choose_time(session, cached)
        assert isinstance(cached.plan, CreateTablePlan)
        assert cached.plan.as_query is not None
        query = cached.plan.as_query
        session.transaction.reads.update(cached.reads)
    relation, finishing, _ = bind_query(session, cached, query, (), as_of)
    staged = await session.clients.compute.stage(
        StageRequest(
            cluster=cluster_of(session, cached),
            relation=relation,
            as_of=as_of,
            mode=StageMode.INSERT,
            table=TargetTable(plan.name.item, shard, plan.desc),
            finishing=finishing,
            sources=cached.sources,
            context=cached.scope.session.context,
        )
    )
    return (staged.batch if staged.batch.update_count else None), staged.affected
