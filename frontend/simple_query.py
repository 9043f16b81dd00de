"""The simple query protocol: one text, its statements one after the other, one ReadyForQuery.

The statements of a text are one implicit transaction, up to a COMMIT or ROLLBACK among them; a
BEGIN makes a block of what came before it, too.
"""

import time

from core import errors
from core.errors import SqlError
from expr.scalar import Literal
from frontend.datums import decode_parameters
from frontend.executor import execute
from frontend.failures import as_sql_error
from frontend.literals import LiftedInsert, lifted
from frontend.metrics import message_histogram
from frontend.planning import CachedPlan
from frontend.responder import Responder
from frontend.responses import EMPTY_QUERY_RESPONSE
from frontend.session import Session
from frontend.statements import Portal, PreparedStatement
from frontend.transaction import TransactionStatus
from sql.parse import ParsedStatement


class SimpleProtocol:
    """Answers Query messages."""

    def __init__(self, session: Session, responder: Responder) -> None:
        self._session = session
        self._responder = responder
        self._seconds = message_histogram("query")

    async def run(self, text: str) -> None:
        """Answer one Query. Raises ConnectionEndedError."""
        started = time.perf_counter()
        session = self._session
        store = session.store
        store.prepared.pop("", None)
        if "" in store.portals:
            await store.close_portal("")
        try:
            await self._run_text(text)
        except Exception as error:
            await self.fail(as_sql_error(error, session.connection_id))
        self._responder.send_ready()
        self._seconds.observe(time.perf_counter() - started)

    async def fail(self, error: SqlError) -> None:
        """A statement failed: tell the client, undo what is to be undone."""
        self._responder.send_error(error)
        await self._session.fail()

    async def _run_text(self, text: str) -> None:
        session = self._session
        planner = session.services.planner
        guard = session.interrupter.guard
        timeout_ms = session.statement_timeout_ms
        statements = planner.parsed(text)
        if statements is None:
            insert = lifted(text)
            if insert is not None and await guard(self._run_insert(insert), timeout_ms):
                return
            statements = await guard(planner.parse(text), timeout_ms)
        if not statements:
            self._responder.wire.send(EMPTY_QUERY_RESPONSE)
            return
        count = len(statements)
        wire = self._responder.wire
        for index, parsed in enumerate(statements):
            if index and wire.is_turn_over:
                await guard(wire.give_way(), timeout_ms)
            await guard(
                self._run_statement(parsed, is_only=count == 1, is_last=index == count - 1),
                session.statement_timeout_ms,
            )
        if session.transaction.status is TransactionStatus.IMPLICIT:
            await session.commit()

    async def _run_statement(
        self, parsed: ParsedStatement, *, is_only: bool, is_last: bool
    ) -> None:
        session = self._session
        session.begin_statement(parsed)
        cached = await session.plan(parsed)
        if cached.planned.parameter_types:
            raise SqlError(errors.UNDEFINED_PARAMETER, "there is no parameter $1")
        await self._run_plan(cached, (), is_only=is_only, is_last=is_last)

    async def _run_insert(self, insert: LiftedInsert) -> bool:
        """Run an INSERT by the plan of its form. False, with nothing done, if it does not fit."""
        session = self._session
        try:
            (parsed,) = await session.services.planner.parse(insert.template)
            session.begin_statement(parsed)
            cached = await session.plan(parsed, insert.types)
            parameters = decode_parameters(
                insert.values,
                (),
                cached.planned.parameter_types,
                session.scope().session.context,
                session.resolve_name,
            )
        except SqlError:
            return False
        await self._run_plan(cached, parameters, is_only=True, is_last=True)
        if session.transaction.status is TransactionStatus.IMPLICIT:
            await session.commit()
        return True

    async def _run_plan(
        self, cached: CachedPlan, parameters: tuple[Literal, ...], *, is_only: bool, is_last: bool
    ) -> None:
        session, parsed = self._session, cached.parsed
        is_alone = is_only and session.transaction.status is TransactionStatus.IMPLICIT
        desc = cached.planned.result_desc
        statement = PreparedStatement("", parsed.sql, parsed, (), cached, desc)
        portal = Portal("", statement, cached, parameters, (), desc)
        try:
            outcome = await execute(session, portal, is_alone=is_alone)
            await self._responder.send_outcome(outcome, 0, describes=True, commits=is_last)
        finally:
            await portal.close()
