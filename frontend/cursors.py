"""PREPARE and EXECUTE, DECLARE and FETCH: the SQL ways to prepared statements and portals."""

import asyncio

from controllers.compute_client import PeekChunk
from core import errors
from core.errors import SqlError
from core.sql_types import UNKNOWN, RelationDesc, SqlType
from expr.casting import cast_scalar
from expr.registry import CastContext
from expr.scalar import Literal, Scalar
from expr.scalar import substitute as substitute_scalar
from frontend.constants import evaluate
from frontend.datums import transcode
from frontend.planning import CachedPlan
from frontend.read_time import choose_time
from frontend.session import Session
from frontend.statements import Portal, PreparedStatement
from sql.parse import ParsedStatement
from sql.plan import DeclarePlan, ExecutePlan, FetchPlan, PreparePlan


async def prepare(
    session: Session,
    name: str,
    text: str,
    parameter_types: tuple[SqlType | None, ...],
) -> PreparedStatement:
    """A statement ready to be bound, not yet kept. Raises SqlError."""
    statements = await session.services.planner.parse(text)
    if len(statements) > 1:
        raise SqlError(
            errors.SYNTAX_ERROR, "cannot insert multiple commands into a prepared statement"
        )
    parsed = statements[0] if statements else None
    session.begin_statement(parsed)
    return await prepare_parsed(session, name, text, parsed, parameter_types)


async def prepare_parsed(
    session: Session,
    name: str,
    text: str,
    parsed: ParsedStatement | None,
    parameter_types: tuple[SqlType | None, ...],
) -> PreparedStatement:
    """The same, for a text that is parsed already."""
    if parsed is None:
        return PreparedStatement(name, text, None, parameter_types, None, None)
    cached = await session.plan(parsed, parameter_types)
    if any(known.oid == UNKNOWN.oid for known in cached.planned.parameter_types):
        index = next(
            i for i, known in enumerate(cached.planned.parameter_types) if known.oid == UNKNOWN.oid
        )
        raise SqlError(
            errors.INDETERMINATE_DATATYPE,
            f"could not determine data type of parameter ${index + 1}",
        )
    return PreparedStatement(
        name, text, parsed, parameter_types, cached, result_desc(session, cached)
    )


def result_desc(session: Session, cached: CachedPlan) -> RelationDesc | None:
    """The columns that a statement returns; those of FETCH and EXECUTE depend on the session."""
    match cached.plan:
        case FetchPlan(is_move=True):
            return None
        case FetchPlan(name=name):
            portal = session.store.portals.get(name)
            return None if portal is None else portal.desc
        case ExecutePlan(name=name):
            return session.store.find_prepared(name).result_desc
        case _:
            return cached.planned.result_desc


async def run_prepare(session: Session, plan: PreparePlan) -> None:
    """PREPARE. Raises SqlError, 42P05."""
    if plan.name in session.store.prepared:
        raise SqlError(
            errors.DUPLICATE_PREPARED_STATEMENT,
            f'prepared statement "{plan.name}" already exists',
        )
    parsed = (await session.services.planner.parse(plan.statement_sql))[0]
    statement = await prepare_parsed(
        session, plan.name, plan.statement_sql, parsed, plan.parameter_types
    )
    session.store.prepare(statement, session.limit("max_prepared_statements"))


async def bind_execute(
    session: Session, plan: ExecutePlan, formats: tuple[int, ...], outer: tuple[Literal, ...]
) -> Portal:
    """EXECUTE: the portal of the prepared statement with its arguments. Raises SqlError."""
    statement = session.store.find_prepared(plan.name)
    cached = await refresh(session, statement)
    if cached is None:
        return Portal("", statement, None, (), formats, None)
    types = cached.planned.parameter_types
    if len(types) != len(plan.arguments):
        raise SqlError(
            errors.SYNTAX_ERROR,
            f'wrong number of parameters for prepared statement "{plan.name}"',
            detail=f"Expected {len(types)} parameters but got {len(plan.arguments)}.",
        )
    values = tuple(
        _argument(session, argument, sql_type, outer, index)
        for index, (argument, sql_type) in enumerate(zip(plan.arguments, types, strict=True))
    )
    return Portal("", statement, cached, values, formats, statement.result_desc)


def _argument(
    session: Session,
    argument: Scalar,
    sql_type: SqlType,
    outer: tuple[Literal, ...],
    index: int,
) -> Literal:
    bound = substitute_scalar(argument, outer, session.calls(session.transaction.as_of))
    cast = cast_scalar(bound, sql_type, CastContext.ASSIGNMENT)
    if cast is None:
        raise SqlError(
            errors.DATATYPE_MISMATCH,
            f"parameter ${index + 1} of type {argument.type.info.sql_name} cannot be coerced to "
            f"the expected type {sql_type.info.sql_name}",
            hint="You will need to rewrite or cast the expression.",
        )
    return evaluate(cast, session.scope().session.context)


async def refresh(session: Session, statement: PreparedStatement) -> CachedPlan | None:
    """The statement's plan for the current catalog and settings. Raises 0A000 when its columns
    are not what they were."""
    cached = statement.cached
    if cached is None or statement.parsed is None or session.is_current(cached):
        return cached
    cached = await session.plan(statement.parsed, statement.parameter_types)
    if _types(statement.result_desc) != _types(result_desc(session, cached)):
        raise SqlError(errors.FEATURE_NOT_SUPPORTED, "cached plan must not change result type")
    statement.cached = cached
    return cached


def _types(desc: RelationDesc | None) -> tuple[SqlType, ...] | None:
    return None if desc is None else desc.types


# Cursors -----------------------------------------------------------------------------------------


async def declare(session: Session, portal: Portal, plan: DeclarePlan, *, is_alone: bool) -> None:
    """DECLARE: a portal that reads at the transaction's time. Raises SqlError."""
    if is_alone:
        raise SqlError(
            errors.NO_ACTIVE_SQL_TRANSACTION,
            "DECLARE CURSOR can only be used in transaction blocks",
        )
    if plan.with_hold:
        raise SqlError(errors.FEATURE_NOT_SUPPORTED, "DECLARE CURSOR … WITH HOLD is not supported")
    cached = portal.cached
    assert cached is not None
    session.transaction.has_run = True
    if plan.subscribe is None and (plan.query.depends_on or cached.needs_time):
        cached, _ = await choose_time(session, cached)
    cursor = Portal(
        plan.name,
        PreparedStatement(plan.name, plan.statement_sql, cached.parsed, (), cached, None),
        cached,
        portal.parameters,
        (),
        plan.query.desc if plan.subscribe is None else plan.subscribe.desc,
        is_cursor=True,
    )
    await session.store.add_portal(cursor, session.limit("max_portals"))


class FetchedRows:
    """The rows that a FETCH takes out of a cursor.

    Of a stream it takes what comes within `timeout_s`. Without such a time it waits for the first
    rows, then takes what is there.
    """

    __slots__ = ("_deadline", "_left", "_portal", "_session", "_waits_once", "_want")

    def __init__(
        self,
        session: Session,
        portal: Portal,
        count: int | None,
        want: tuple[int, ...],
        timeout_s: float | None,
    ) -> None:
        self._session = session
        self._portal = portal
        self._left = count
        self._want = want
        self._waits_once = timeout_s is None
        self._deadline = None if timeout_s is None else _now() + timeout_s

    async def next(self) -> PeekChunk | None:
        if self._left == 0:
            return None
        chunk = await (self._pull() if self._portal.is_stream else self._portal.pull(self._left))
        if chunk is None:
            return None
        if self._left is not None:
            self._left -= chunk.row_count
        desc = self._portal.desc
        assert desc is not None
        context = self._session.settings.context()
        return transcode(chunk, desc.types, self._portal.formats, self._want, context)

    async def close(self) -> None:
        """The cursor stays open."""

    async def _pull(self) -> PeekChunk | None:
        try:
            async with asyncio.timeout_at(self._deadline):
                chunk = await self._portal.pull(self._left)
        except TimeoutError:
            return None
        if self._waits_once:
            self._deadline = _now()
        return chunk


def _now() -> float:
    return asyncio.get_running_loop().time()
