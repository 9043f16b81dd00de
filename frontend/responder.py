"""What both query protocols answer with: errors, notices, rows, COPY data, ReadyForQuery."""

from core import errors
from core.errors import SqlError
from frontend import responses
from frontend.copying import finish_copy_from
from frontend.executor import (
    CommandOutcome,
    CopyInOutcome,
    CopyOutOutcome,
    EmptyOutcome,
    Outcome,
    RowsOutcome,
)
from frontend.messages import BadMessage, ConnectionBroken, CopyData, CopyDone, CopyFail
from frontend.planning import column_formats
from frontend.session import Session
from frontend.statements import Portal
from frontend.transaction import TransactionStatus
from frontend.transport import WireTransport


class ConnectionEndedError(Exception):
    """The connection ended in the midst of a statement; `error` is for the client."""

    def __init__(self, error: SqlError | None) -> None:
        super().__init__()
        self.error = error


class Responder:
    """Answers one connection."""

    def __init__(self, wire: WireTransport, session: Session) -> None:
        self.wire = wire
        self.session = session

    def send_ready(self) -> None:
        """ReadyForQuery, with what the client must hear before it."""
        self.send_reports()
        self.send_notices()
        self.wire.send(responses.READY_FOR_QUERY[self.session.transaction.wire_status])

    def send_reports(self) -> None:
        """ParameterStatus of what has changed."""
        if self.session.settings.has_changed:
            for name, value in self.session.settings.take_reports():
                self.wire.send(responses.parameter_status(name, value))

    def send_notices(self) -> None:
        """NoticeResponses that statements left."""
        session = self.session
        if session.notices:
            for notice in session.notices:
                self.wire.send(responses.notice_response(notice))
            session.notices.clear()

    def send_error(self, error: SqlError) -> None:
        """ErrorResponse."""
        self.send_notices()
        self.wire.send(responses.error_response(error))

    async def send_outcome(
        self, outcome: Outcome, max_rows: int, *, describes: bool, commits: bool
    ) -> None:
        """What executing a portal left to do. `describes`: a RowDescription goes before the rows;
        `commits`: the implicit transaction ends with this statement. Raises SqlError."""
        match outcome:
            case RowsOutcome(portal=portal):
                if describes and portal.desc is not None:
                    self.wire.send(row_description(portal))
                await self._send_rows(portal, max_rows)
                if portal.source is not None or portal.leftover is not None:
                    self.wire.send(responses.PORTAL_SUSPENDED)
                    return
                tag = portal.tag.format(portal.rows_sent)
            case CommandOutcome(tag=tag):
                pass
            case EmptyOutcome():
                self.wire.send(responses.EMPTY_QUERY_RESPONSE)
                return
            case CopyOutOutcome():
                tag = await self._copy_out(outcome)
            case CopyInOutcome():
                tag = await self._copy_in(outcome)
        if commits and self.session.transaction.status is TransactionStatus.IMPLICIT:
            await self.session.commit()
        self.send_notices()
        self.wire.send(responses.command_complete(tag))

    async def _send_rows(self, portal: Portal, max_rows: int) -> None:
        wire = self.wire
        left = max_rows or None
        if portal.source is not None or portal.leftover is not None:
            portal.rows_sent = 0
        while left != 0:
            if portal.is_stream:
                wire.flush()
            chunk = await portal.pull(left)
            if chunk is None:
                return
            wire.send(chunk.data)
            if left is not None:
                left -= chunk.row_count
            if wire.needs_drain:
                await wire.drain()

    async def _copy_out(self, outcome: CopyOutOutcome) -> str:
        wire, portal = self.wire, outcome.portal
        wire.send(responses.copy_out_response(outcome.is_binary, outcome.column_count))
        await self._send_rows(portal, 0)
        wire.send(responses.COPY_DONE)
        return portal.tag.format(portal.rows_sent)

    async def _copy_in(self, outcome: CopyInOutcome) -> str:
        wire, plan = self.wire, outcome.plan
        cached = outcome.portal.cached
        assert cached is not None
        is_binary = plan.options.format.value == "binary"
        async with outcome.staging as staging:
            wire.protocol.copy_in_started()
            try:
                wire.send(responses.copy_in_response(is_binary, len(plan.columns)))
                wire.flush()
                while True:
                    match await wire.next_event():
                        case CopyData(data=data):
                            await staging.write(data)
                        case CopyDone():
                            break
                        case CopyFail(message=message):
                            raise SqlError(
                                errors.QUERY_CANCELED, f"COPY from stdin failed: {message}"
                            )
                        case BadMessage(error=error):
                            raise error
                        case ConnectionBroken(error=broken):
                            raise ConnectionEndedError(broken)
                        case _:
                            raise ConnectionEndedError(None)
            finally:
                wire.protocol.copy_in_ended()
            return await finish_copy_from(self.session, cached, plan, staging)


def row_description(portal: Portal) -> bytes:
    """The RowDescription of a portal that returns rows."""
    assert portal.desc is not None
    cached = portal.cached
    if cached is not None and portal.desc is cached.planned.result_desc:
        return cached.description(portal.desc, portal.formats)
    return responses.row_description(
        portal.desc, column_formats(portal.formats, len(portal.desc.columns))
    )
