"""The extended query protocol: Parse, Bind, Describe, Execute, Close, up to a Sync.

What happens between two Syncs is one implicit transaction (unless a block is open), committed at
the Sync. After an error everything up to the Sync is skipped: the protocol sees to that. A write
right before the Sync, with nothing before it, commits at once, so that it can be tried again when
it loses against another. A statement that has to see what the pipeline wrote before it (drivers
send an UPDATE for each of many rows in this way) ends the transaction of what came before.
"""

import time
from typing import Final

from core import errors
from core.errors import SqlError
from core.sql_types import TYPES, UNKNOWN, SqlType
from frontend import responses
from frontend.cursors import prepare, refresh, result_desc
from frontend.datums import check_formats, decode_parameters
from frontend.executor import execute
from frontend.failures import as_sql_error
from frontend.messages import (
    Bind,
    ClosePortal,
    CloseStatement,
    DescribePortal,
    DescribeStatement,
    Event,
    Execute,
    Parse,
)
from frontend.metrics import message_histogram
from frontend.planning import CachedPlan
from frontend.responder import Responder, row_description
from frontend.session import Session, check_failed
from frontend.statements import Portal, PreparedStatement
from frontend.transaction import TransactionStatus

EXTENDED_MESSAGES: Final = frozenset(
    {Parse, Bind, DescribeStatement, DescribePortal, Execute, CloseStatement, ClosePortal}
)


class ExtendedProtocol:
    """Answers the messages of the extended protocol."""

    def __init__(self, session: Session, responder: Responder) -> None:
        self._session = session
        self._responder = responder
        self._wire = responder.wire
        self._has_executed = False  # since the last Sync
        self._parse_seconds = message_histogram("parse")
        self._execute_seconds = message_histogram("execute")

    async def handle(self, event: Event) -> None:
        """Answer one message other than Sync and Flush. Raises ConnectionEndedError."""
        try:
            await self._handle(event)
        except Exception as error:
            await self.fail(as_sql_error(error, self._session.connection_id))

    async def fail(self, error: SqlError) -> None:
        """A message failed: tell the client, undo what is to be undone, skip to the Sync."""
        self._responder.send_error(error)
        self._wire.protocol.error_sent()
        await self._session.fail()

    async def sync(self) -> None:
        """Sync: the end of the implicit transaction."""
        session = self._session
        self._has_executed = False
        if session.transaction.status is TransactionStatus.IMPLICIT:
            try:
                await session.commit()
            except Exception as error:
                self._responder.send_error(as_sql_error(error, session.connection_id))
                await session.fail()
        self._responder.send_ready()

    async def _handle(self, event: Event) -> None:
        session = self._session
        guard = session.interrupter.guard
        match event:
            case Bind():
                await self._bind(event)
            case Execute():
                started = time.perf_counter()
                await guard(self._execute(event), session.statement_timeout_ms)
                self._execute_seconds.observe(time.perf_counter() - started)
            case DescribePortal(name=name):
                self._describe_portal(name)
            case Parse():
                started = time.perf_counter()
                await guard(self._parse(event), session.statement_timeout_ms)
                self._parse_seconds.observe(time.perf_counter() - started)
            case DescribeStatement(name=name):
                await self._describe_statement(name)
            case CloseStatement(name=name):
                session.store.prepared.pop(name, None)
                self._wire.send(responses.CLOSE_COMPLETE)
            case ClosePortal(name=name):
                await session.store.close_portal(name)
                self._wire.send(responses.CLOSE_COMPLETE)
            case _:
                raise SqlError(
                    errors.PROTOCOL_VIOLATION, f"unexpected message {type(event).__name__}"
                )

    async def _current_plan(self, statement: PreparedStatement) -> CachedPlan | None:
        """The statement's plan; made again only if something has changed."""
        session = self._session
        cached = statement.cached
        if cached is None or session.is_current(cached):
            return cached
        return await session.interrupter.guard(
            refresh(session, statement), session.statement_timeout_ms
        )

    async def _parse(self, event: Parse) -> None:
        session = self._session
        if not event.name:
            session.store.prepared.pop("", None)  # even if this one fails
        types = tuple(map(_parameter_type, event.parameter_oids))
        statement = await prepare(session, event.name, event.text, types)
        session.store.prepare(statement, session.limit("max_prepared_statements"))
        self._wire.send(responses.PARSE_COMPLETE)

    async def _bind(self, event: Bind) -> None:
        session = self._session
        statement = session.store.find_prepared(event.statement)
        session.begin_statement(statement.parsed)
        cached = await self._current_plan(statement)
        types: tuple[SqlType, ...] = () if cached is None else cached.planned.parameter_types
        if len(event.values) != len(types):
            raise SqlError(
                errors.PROTOCOL_VIOLATION,
                f"bind message supplies {len(event.values)} parameters, but prepared statement "
                f'"{event.statement}" requires {len(types)}',
            )
        parameters = (
            decode_parameters(
                event.values,
                event.parameter_formats,
                types,
                session.scope().session.context,
                session.resolve_name,
            )
            if types
            else ()
        )
        desc = None if cached is None else result_desc(session, cached)
        formats = event.result_formats
        check_formats(formats)
        if desc is not None and len(formats) > 1 and len(formats) != len(desc.columns):
            raise SqlError(
                errors.PROTOCOL_VIOLATION,
                f"bind message has {len(formats)} result formats but query has "
                f"{len(desc.columns)} columns",
            )
        portal = Portal(event.portal, statement, cached, parameters, formats, desc)
        await session.store.add_portal(portal, session.limit("max_portals"))
        self._wire.send(responses.BIND_COMPLETE)

    def _describe_portal(self, name: str) -> None:
        portal = self._session.store.find_portal(name)
        if portal.desc is None:
            self._wire.send(responses.NO_DATA)
            return
        self._check_usable(portal)
        self._wire.send(row_description(portal))

    def _check_usable(self, portal: Portal) -> None:
        if self._session.transaction.status is TransactionStatus.FAILED:
            check_failed(portal.statement.parsed)

    async def _describe_statement(self, name: str) -> None:
        session = self._session
        statement = session.store.find_prepared(name)
        if session.transaction.status is TransactionStatus.FAILED and statement.result_desc:
            check_failed(statement.parsed)
        cached = await self._current_plan(statement)
        if cached is None:
            self._wire.send(responses.NO_PARAMETERS + responses.NO_DATA)
            return
        oids = [known.oid for known in cached.planned.parameter_types]
        self._wire.send(responses.parameter_description(oids))
        desc = result_desc(session, cached)
        if desc is None:
            self._wire.send(responses.NO_DATA)
        elif desc is cached.planned.result_desc:
            self._wire.send(cached.description(desc, ()))
        else:
            self._wire.send(responses.row_description(desc, (0,) * len(desc.columns)))

    async def _execute(self, event: Execute) -> None:
        session = self._session
        portal = session.store.find_portal(event.portal)
        session.begin_statement(portal.statement.parsed)
        await self._split_pipeline(portal)
        is_alone = (
            not self._has_executed
            and session.transaction.status is TransactionStatus.IMPLICIT
            and self._wire.protocol.next_is_sync()
        )
        self._has_executed = True
        outcome = await execute(session, portal, is_alone=is_alone)
        await self._responder.send_outcome(outcome, event.max_rows, describes=False, commits=False)

    async def _split_pipeline(self, portal: Portal) -> None:
        session, cached = self._session, portal.cached
        transaction = session.transaction
        if cached is None or cached.query is None:
            return
        if transaction.status is TransactionStatus.IMPLICIT and transaction.has_written(
            cached.query.depends_on
        ):
            await session.commit()
            session.begin_statement(portal.statement.parsed)
            self._has_executed = False


def _parameter_type(oid: int) -> SqlType | None:
    """A type that a client gave a parameter; None: to be inferred. 42704 for an unknown one."""
    if oid in (0, UNKNOWN.oid):
        return None
    if oid not in TYPES:
        raise SqlError(errors.UNDEFINED_OBJECT, f"type with OID {oid} does not exist")
    return SqlType(oid)
