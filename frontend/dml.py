"""Writing: INSERT, UPDATE, DELETE and their RETURNING.

Few constant rows are encoded here, into an inline batch; everything else is computed and staged by
a replica, and only its batch is committed. What reads, reads at the transaction's time and commits
on the condition that nothing it read has changed. A statement that is a transaction of its own
commits at once and, when it lost against a concurrent write, is read and staged again; one inside
a transaction waits for COMMIT, which tells the client to retry.
"""

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from controllers.compute_client import (
    OutputFormat,
    PeekChunk,
    StageMode,
    StageRequest,
    TargetTable,
)
from coordinator.committer import (
    CatalogChangedError,
    SerializationConflictError,
    TableWrite,
)
from core import errors
from core.errors import SqlError
from core.ids import MIN_TIMESTAMP, GlobalId
from core.rows import Row, codec_for
from core.sql_types import RelationDesc
from expr.compile import compile_row
from expr.relation import Finishing
from expr.scalar import Scalar
from expr.scalar import substitute as substitute_scalar
from frontend.binding import bind_parameters, bind_query
from frontend.constants import encoded_constant_rows
from frontend.datums import row_encoder, text_of_row
from frontend.metrics import WRITE_CONFLICTS
from frontend.planning import CachedPlan
from frontend.read_time import check_same_desc, choose_time
from frontend.select import cluster_of
from frontend.session import Session, conflict
from frontend.statements import Portal, ReadyRows, RowSource
from frontend.transaction import TransactionStatus
from persist.batches import Batch, inline_batch
from sql.plan import InsertPlan, MutatePlan

MAX_INLINE_BYTES: Final = 64 * 1024
MAX_ATTEMPTS: Final = 100
FREE_ATTEMPTS: Final = 3  # after that many losses a statement queues with the other losers
FIRST_BACKOFF_S: Final = 0.001
MAX_BACKOFF_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Written:
    """A statement's effect, staged in the transaction or committed."""

    tag: str
    returning: RowSource | None


async def write(session: Session, portal: Portal, *, commits: bool) -> Written:
    """Run an INSERT, UPDATE or DELETE; with `commits` it is a transaction of its own.

    Raises SqlError.
    """
    async with AsyncExitStack() as turn:
        for attempt in range(MAX_ATTEMPTS):
            written = await _stage(session, portal)
            if not commits:
                return written
            try:
                await session.commit_writes()
            except (SerializationConflictError, CatalogChangedError):
                WRITE_CONFLICTS.inc()
                session.forget_attempt()
                if attempt == FREE_ATTEMPTS:
                    await turn.enter_async_context(session.services.losers)
                elif attempt < FREE_ATTEMPTS:
                    await asyncio.sleep(backoff(attempt))
                await _plan_again(session, portal)
            else:
                return written
    raise conflict()


def backoff(attempt: int) -> float:
    """How long to wait before the next attempt, in seconds, with jitter."""
    longest: float = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2**attempt)
    return random.uniform(0, longest)


async def _plan_again(session: Session, portal: Portal) -> None:
    cached = portal.cached
    assert cached is not None
    session.start_transaction(TransactionStatus.IMPLICIT)
    if not session.is_current(cached):
        portal.cached = await session.plan(cached.parsed, cached.planned.parameter_types)
        check_same_desc(cached.planned.result_desc, portal.cached.planned.result_desc)


async def _stage(session: Session, portal: Portal) -> Written:
    cached = portal.cached
    assert cached is not None
    plan = cached.plan
    match plan:
        case InsertPlan():
            session.transaction.check_writable("INSERT")
        case MutatePlan(is_update=True):
            session.transaction.check_writable("UPDATE")
        case MutatePlan():
            session.transaction.check_writable("DELETE")
        case _:
            raise AssertionError(plan)
    session.transaction.has_run = True
    if isinstance(plan, InsertPlan) and not plan.query.depends_on:
        written = await _insert_constants(session, portal, cached, plan)
        if written is not None:
            return written
    return await _stage_in_replica(session, portal, cached, plan)


# Constant rows -----------------------------------------------------------------------------------


async def _insert_constants(
    session: Session, portal: Portal, cached: CachedPlan, plan: InsertPlan
) -> Written | None:
    """INSERT of few constant rows, or None when it is for a replica."""
    context = cached.scope.session.context
    as_of = None
    if cached.needs_time:
        cached, as_of = await choose_time(session, cached)
    relation, finishing, _ = bind_query(session, cached, plan.query, portal.parameters, as_of)
    if finishing != Finishing():
        return None
    desc = session.visible_catalog.items[plan.table].item.desc
    limit = session.limit("max_inline_insert_rows")
    encoded = encoded_constant_rows(relation, desc.types, context, limit)
    if encoded is None or sum(map(len, encoded)) > MAX_INLINE_BYTES:
        return None
    rows: list[Row] = []
    if plan.not_null or plan.returning is not None:
        decode = codec_for(tuple(t.base for t in desc.types)).decode
        rows = [decode(data) for data in encoded]
        for row in rows:
            check_not_null(row, plan.not_null, plan.table_name, desc)
    returning = None
    if plan.returning is not None:
        assert plan.returning_desc is not None
        scalars = _bind_scalars(session, plan.returning, portal)
        compute = compile_row(scalars, context)
        encoder = row_encoder(plan.returning_desc.types, portal.formats, context)
        returning = ReadyRows(encoder.encode_all(map(compute, rows)))
    if encoded:
        batch = inline_batch([(data, 1) for data in encoded])
        _add(session, plan.table, batch, cached)
    return Written(f"INSERT 0 {len(encoded)}", returning)


def _bind_scalars(
    session: Session, scalars: tuple[Scalar, ...], portal: Portal
) -> tuple[Scalar, ...]:
    calls = session.calls(session.transaction.as_of)
    return tuple(substitute_scalar(scalar, portal.parameters, calls) for scalar in scalars)


def check_not_null(
    row: Row, not_null: tuple[tuple[int, str], ...], table: str, desc: RelationDesc
) -> None:
    """23502 for a null in a NOT NULL column."""
    for position, column in not_null:
        if row[position] is None:
            raise SqlError(
                errors.NOT_NULL_VIOLATION,
                f'null value in column "{column}" of relation "{table}" '
                "violates not-null constraint",
                detail=f"Failing row contains ({text_of_row(row, desc.types)}).",
            )


def _add(session: Session, table: GlobalId, batch: Batch, cached: CachedPlan) -> None:
    name = session.visible_catalog.items[table].item.name.item
    session.transaction.add_write(TableWrite(table, batch, name), cached.catalog.revision)


# Staged rows -------------------------------------------------------------------------------------


async def _stage_in_replica(
    session: Session, portal: Portal, cached: CachedPlan, plan: InsertPlan | MutatePlan
) -> Written:
    as_of = MIN_TIMESTAMP
    transaction = session.transaction
    if plan.query.depends_on or cached.needs_time:
        transaction.check_no_staged_reads(cached.reads, cached.parsed.sql)
        cached, as_of = await choose_time(session, cached)
        planned_again = cached.plan
        assert isinstance(planned_again, InsertPlan | MutatePlan)
        plan = planned_again
        # Unlike a plain read, a write depends on the system relations that it reads, too.
        transaction.reads.update(cached.reads)
    portal.cached = cached
    bound = bind_parameters(session, cached, plan.query, portal.parameters, as_of)
    returning_output = None
    returning = None
    context = cached.scope.session.context
    if plan.returning is not None:
        assert plan.returning_desc is not None and cached.holes is not None
        returning = cached.holes.returning
        returning_output = OutputFormat(
            plan.returning_desc.types, formats=portal.formats, context=context
        )
    staged = await session.clients.compute.stage(
        StageRequest(
            cluster=cluster_of(session, cached),
            relation=bound.relation,
            as_of=as_of,
            mode=_mode(plan),
            table=target_table(session, plan.table, plan.table_name, plan.not_null),
            finishing=bound.finishing,
            sources=cached.sources,
            returning=returning,
            returning_output=returning_output,
            context=context,
            parameters=bound.parameters,
        )
    )
    if staged.batch.update_count:
        _add(session, plan.table, staged.batch, cached)
    rows = None
    if returning is not None:
        rows = ReadyRows(PeekChunk(b"".join(staged.returning), staged.returning_count))
    return Written(_tag(plan, staged.affected), rows)


def target_table(
    session: Session, table: GlobalId, name: str, not_null: tuple[tuple[int, str], ...]
) -> TargetTable:
    """What a replica needs to know of the table that it stages rows for."""
    catalog = session.visible_catalog
    return TargetTable(name, catalog.shard_of(table), catalog.items[table].item.desc, not_null)


def _mode(plan: InsertPlan | MutatePlan) -> StageMode:
    if isinstance(plan, InsertPlan):
        return StageMode.INSERT
    return StageMode.UPDATE if plan.is_update else StageMode.DELETE


def _tag(plan: InsertPlan | MutatePlan, affected: int) -> str:
    if isinstance(plan, InsertPlan):
        return f"INSERT 0 {affected}"
    return f"UPDATE {affected}" if plan.is_update else f"DELETE {affected}"
