"""From a portal to its outcome: which driver runs which plan.

`execute` opens a portal. What is left to do is the connection's: send the rows that the portal
now has, relay COPY data, or send a command tag.
"""

from dataclasses import dataclass
from typing import Final

from controllers.compute_client import CopyStaging, OutputFormat
from core import errors
from core.errors import SqlError
from core.rows import Row
from core.sql_types import RelationDesc
from frontend.checking import open_check
from frontend.control import control_transaction, discard, run_set, show_rows
from frontend.copying import start_copy_from, start_copy_subscription, start_copy_to
from frontend.cursors import (
    FetchedRows,
    bind_execute,
    declare,
    refresh,
    run_prepare,
)
from frontend.datums import row_encoder
from frontend.ddl import DdlPlan, run_ddl
from frontend.dml import write
from frontend.explaining import analyze
from frontend.metrics import query_counter
from frontend.planning import subscription_of
from frontend.responses import Notice
from frontend.select import open_query
from frontend.session import Session
from frontend.statements import Portal, PortalState, ReadyRows, RowSource
from frontend.subscribe import open_subscription
from frontend.timestamp_explanation import explain_timestamp
from frontend.transaction import TransactionStatus
from sql.plan import (
    AnalyzePlan,
    CheckPlan,
    CloseCursorPlan,
    CopyFormat,
    CopyFromPlan,
    CopyOptions,
    CopySubscribePlan,
    CopyToPlan,
    DeallocatePlan,
    DeclarePlan,
    DiscardPlan,
    EmptyPlan,
    ExecutePlan,
    ExplainPlan,
    ExplainTimestampPlan,
    FetchPlan,
    InsertPlan,
    MutatePlan,
    NoOpPlan,
    PreparePlan,
    SelectPlan,
    SetPlan,
    ShowVariablePlan,
    SubscribePlan,
    TransactionPlan,
)


@dataclass(frozen=True, slots=True)
class RowsOutcome:
    """The portal has rows to send (`portal` may be that of an EXECUTEd statement)."""

    portal: Portal


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """Done; `tag` is for CommandComplete."""

    tag: str


@dataclass(frozen=True, slots=True)
class EmptyOutcome:
    """An empty statement."""


@dataclass(frozen=True, slots=True)
class CopyOutOutcome:
    """COPY TO: CopyData messages to relay."""

    portal: Portal
    is_binary: bool
    column_count: int


@dataclass(frozen=True, slots=True)
class CopyInOutcome:
    """COPY FROM: the client's CopyData is to be relayed into `staging`."""

    portal: Portal
    plan: CopyFromPlan
    staging: CopyStaging


Outcome = RowsOutcome | CommandOutcome | EmptyOutcome | CopyOutOutcome | CopyInOutcome

EMPTY: Final = EmptyOutcome()


async def execute(session: Session, portal: Portal, *, is_alone: bool) -> Outcome:
    """Open a portal whose statement has begun.

    `is_alone`: the statement is an implicit transaction of its own, so a write commits here.
    Raises SqlError.
    """
    if portal.state is PortalState.DONE:
        return _again(portal)
    if portal.state is PortalState.OPEN:
        return RowsOutcome(portal)
    if portal.cached is None:
        return EMPTY
    if not session.is_current(portal.cached):
        portal.cached = await refresh(session, portal.statement)
        assert portal.cached is not None
    query_counter(session.session_type, portal.cached.parsed.kind).inc()
    if portal.is_cursor:
        return await execute_cursor(session, portal)
    match portal.cached.plan:
        case SubscribePlan():
            outcome = await _subscribe(session, portal)
            session.interrupter.forgo_timeout()
            return outcome
        case SelectPlan():
            source = await open_query(session, portal.cached, portal.parameters, portal.formats)
            return _rows(portal, source, "SELECT {}")
        case CheckPlan():
            source = await open_check(session, portal.cached, portal.parameters, portal.formats)
            return _rows(portal, source, "CHECK {}")
        case InsertPlan() | MutatePlan():
            return await _write(session, portal, is_alone=is_alone)
        case ExecutePlan() as plan:
            inner = await bind_execute(session, plan, portal.formats, portal.parameters)
            return await execute(session, inner, is_alone=is_alone)
        case _:
            return await _execute_other(session, portal, is_alone=is_alone)


def _again(portal: Portal) -> Outcome:
    if portal.desc is None:
        raise SqlError(
            errors.OBJECT_NOT_IN_PREREQUISITE_STATE, f'portal "{portal.name}" cannot be run'
        )
    if not portal.is_repeatable:
        portal.tag = portal.tag.partition(" ")[0] + " 0"
        portal.rows_sent = 0
    return RowsOutcome(portal)


def _rows(portal: Portal, source: RowSource, tag: str, *, repeats: bool = False) -> RowsOutcome:
    portal.source = source
    portal.state = PortalState.OPEN
    portal.tag = tag
    portal.is_repeatable = repeats
    return RowsOutcome(portal)


def _ready(
    session: Session, portal: Portal, desc: RelationDesc, rows: list[Row], tag: str
) -> RowsOutcome:
    encoder = row_encoder(desc.types, portal.formats, session.settings.context())
    return _rows(portal, ReadyRows(encoder.encode_all(rows)), tag, repeats=True)


def _done(portal: Portal, tag: str) -> CommandOutcome:
    portal.state = PortalState.DONE
    return CommandOutcome(tag)


async def _subscribe(session: Session, portal: Portal) -> RowsOutcome:
    """Open the subscription of a SUBSCRIBE, or of a cursor for one."""
    assert portal.cached is not None
    assert portal.desc is not None
    context = portal.cached.scope.session.context
    output = OutputFormat(portal.desc.types, formats=portal.formats, context=context)
    source = await open_subscription(session, portal.cached, portal.parameters, output)
    portal.is_stream = True
    return _rows(portal, source, "SUBSCRIBE {}")


async def _write(session: Session, portal: Portal, *, is_alone: bool) -> Outcome:
    written = await write(session, portal, commits=is_alone)
    if written.returning is not None:
        return _rows(portal, written.returning, written.tag, repeats=True)
    return _done(portal, written.tag)


async def _execute_other(session: Session, portal: Portal, *, is_alone: bool) -> Outcome:
    cached = portal.cached
    assert cached is not None
    plan = cached.plan
    desc = cached.planned.result_desc
    match plan:
        case TransactionPlan():
            return _done(portal, await control_transaction(session, plan))
        case SetPlan():
            run_set(session, plan)
            return _done(portal, cached.parsed.tag)
        case ShowVariablePlan():
            assert desc is not None
            return _ready(session, portal, desc, list(show_rows(session, plan)), "SHOW")
        case ExplainPlan():
            assert desc is not None
            return _ready(session, portal, desc, [(line,) for line in plan.lines], "EXPLAIN")
        case ExplainTimestampPlan():
            assert desc is not None
            lines = await explain_timestamp(session, cached, plan, portal.parameters)
            return _ready(session, portal, desc, [(line,) for line in lines], "EXPLAIN")
        case AnalyzePlan():
            assert desc is not None
            lines = await analyze(session, cached, plan, portal.parameters)
            return _ready(session, portal, desc, [(line,) for line in lines], "EXPLAIN")
        case CopyToPlan():
            columns = plan.query.desc.columns
            source = await start_copy_to(session, cached, plan)
            return _copy_out(portal, source, plan.options, len(columns))
        case CopySubscribePlan():
            columns = plan.subscribe.desc.columns
            portal.is_stream = True
            source = await start_copy_subscription(session, cached, plan, portal.parameters)
            session.interrupter.forgo_timeout()
            return _copy_out(portal, source, plan.options, len(columns))
        case CopyFromPlan():
            staging = await start_copy_from(session, cached, plan)
            portal.state = PortalState.DONE
            return CopyInOutcome(portal, plan, staging)
        case PreparePlan():
            await run_prepare(session, plan)
            return _done(portal, "PREPARE")
        case DeallocatePlan():
            session.store.deallocate(plan.name)
            return _done(portal, "DEALLOCATE ALL" if plan.name is None else "DEALLOCATE")
        case DeclarePlan():
            is_single = is_alone and session.transaction.status is TransactionStatus.IMPLICIT
            await declare(session, portal, plan, is_alone=is_single)
            return _done(portal, "DECLARE CURSOR")
        case FetchPlan():
            return await _fetch(session, portal, plan)
        case CloseCursorPlan():
            return await _close(session, portal, plan)
        case DiscardPlan():
            await discard(session, plan)
            return _done(portal, f"DISCARD {plan.target.upper()}")
        case NoOpPlan():
            if plan.warning is not None:
                session.warn(errors.WARNING, plan.warning)
            if plan.notice is not None:
                session.notify(Notice("NOTICE", errors.SUCCESSFUL_COMPLETION, plan.notice))
            return _done(portal, plan.tag)
        case EmptyPlan():
            return EMPTY
        case _ if isinstance(plan, DdlPlan):
            return _done(portal, await run_ddl(session, portal))
        case _:
            raise SqlError(errors.FEATURE_NOT_SUPPORTED, f"{cached.parsed.tag} is not supported")


def _copy_out(
    portal: Portal, source: RowSource, options: CopyOptions, column_count: int
) -> CopyOutOutcome:
    portal.source = source
    portal.state = PortalState.OPEN
    portal.tag = "COPY {}"
    return CopyOutOutcome(portal, options.format is CopyFormat.BINARY, column_count)


async def _fetch(session: Session, portal: Portal, plan: FetchPlan) -> Outcome:
    cursor = session.store.find_portal(plan.name, "cursor")
    if cursor.state is PortalState.READY:
        if not plan.is_move:
            cursor.formats = portal.formats
        outcome = await execute_cursor(session, cursor)
        if not isinstance(outcome, RowsOutcome):
            raise SqlError(errors.INVALID_CURSOR_NAME, f'cursor "{plan.name}" has no rows')
    source = FetchedRows(session, cursor, plan.count, portal.formats, plan.timeout_s)
    portal.is_stream = cursor.is_stream
    if plan.is_move:
        moved = 0
        while (chunk := await source.next()) is not None:
            moved += chunk.row_count
        return _done(portal, f"MOVE {moved}")
    portal.desc = cursor.desc
    return _rows(portal, source, "FETCH {}", repeats=True)


async def execute_cursor(session: Session, cursor: Portal) -> Outcome:
    """Open the query of a cursor (or of a bound portal that FETCH names)."""
    assert cursor.cached is not None
    if cursor.is_cursor and subscription_of(cursor.cached.plan) is not None:
        return await _subscribe(session, cursor)
    if cursor.is_cursor or isinstance(cursor.cached.plan, SelectPlan):
        source = await open_query(session, cursor.cached, cursor.parameters, cursor.formats)
        return _rows(cursor, source, "SELECT {}")
    return await execute(session, cursor, is_alone=False)


async def _close(session: Session, portal: Portal, plan: CloseCursorPlan) -> Outcome:
    if plan.name is None:
        for name in [name for name, each in session.store.portals.items() if each.is_cursor]:
            await session.store.close_portal(name)
        return _done(portal, "CLOSE CURSOR ALL")
    if not await session.store.close_portal(plan.name):
        raise SqlError(errors.INVALID_CURSOR_NAME, f'cursor "{plan.name}" does not exist')
    return _done(portal, "CLOSE CURSOR")
