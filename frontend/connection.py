"""One client connection: start-up, then one message after the other, until it ends.

The task that runs `Connection.run` is the only one a connection has. Everything that a client does
wrong is answered and the connection goes on, unless the protocol says otherwise.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from core import errors
from core.errors import SqlError
from frontend import responses
from frontend.auth import Authenticator
from frontend.extended_query import EXTENDED_MESSAGES, ExtendedProtocol
from frontend.interrupt import Interrupter
from frontend.messages import (
    BadMessage,
    CancelRequested,
    ConnectionBroken,
    Flush,
    FunctionCall,
    GssEncRequest,
    Query,
    SslRequest,
    StartupMessage,
    Sync,
    Terminate,
)
from frontend.responder import ConnectionEndedError, Responder
from frontend.services import FrontendServices
from frontend.session import Session, open_session
from frontend.simple_query import SimpleProtocol
from frontend.transport import WireTransport

log = structlog.get_logger()

STARTUP_TIMEOUT_S: Final = 60.0


class Connection:
    """The state of the task that `run` is."""

    def __init__(
        self,
        wire: WireTransport,
        services: FrontendServices,
        authenticator: Authenticator,
        on_started: Callable[[], None],
        *,
        is_internal: bool,
    ) -> None:
        self._wire = wire
        self._services = services
        self._interrupter = Interrupter()
        self._session: Session | None = None
        self._authenticator = authenticator
        self._on_started = on_started  # called once: the session begins, or never will
        self._is_internal = is_internal
        self._farewell: SqlError | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve the connection to its end. Raises nothing."""
        self._interrupter.bind(asyncio.current_task())
        self._wire.on_lost = self._interrupter.end_task
        try:
            await self._start_up()
            if self._session is not None:
                await self._serve(self._session)
        except asyncio.CancelledError:
            if self._farewell is not None:
                self._send_fatal(self._farewell)
        except ConnectionEndedError as ended:
            if ended.error is not None:
                self._send_fatal(ended.error)
        except SqlError as error:
            self._send_fatal(error)
        except Exception:
            log.exception("connection failed")
            self._send_fatal(responses.internal_error())
        finally:
            self._wire.close()
            if self._session is not None:
                await self._session.close()

    def shut_down(self, farewell: SqlError) -> None:
        """End the connection and tell the client why; a commit under way is waited for."""
        self._farewell = farewell
        self._interrupter.end_task()

    def _send_fatal(self, error: SqlError) -> None:
        error.severity = "FATAL"
        self._wire.send(responses.error_response(error))

    # Start-up ------------------------------------------------------------------------------------

    async def _start_up(self) -> None:
        """The handshake; without a session after it the connection ends."""
        try:
            async with asyncio.timeout(STARTUP_TIMEOUT_S):
                await self._handshake()
        except TimeoutError:
            return
        finally:
            self._on_started()

    async def _handshake(self) -> None:
        wire = self._wire
        while True:
            event = await wire.next_event()
            match event:
                case SslRequest() | GssEncRequest():
                    wire.send(responses.SSL_REFUSED)
                    wire.flush()
                case CancelRequested(connection_id=connection_id, secret_key=secret_key):
                    await self._services.coordinator.cancel(connection_id, secret_key)
                    return
                case StartupMessage():
                    await self._begin_session(event)
                    return
                case ConnectionBroken(error=error):
                    if error is not None:
                        self._send_fatal(error)
                    return
                case _:
                    return

    async def _begin_session(self, startup: StartupMessage) -> None:
        wire = self._wire
        if startup.minor_version or startup.protocol_options:
            wire.send(responses.negotiate_protocol_version(startup.protocol_options))
        await self._authenticator.authenticate(wire, startup.parameters["user"])
        session = self._session = await open_session(
            self._services,
            startup.parameters,
            self._interrupter,
            self._interrupter.request,
            is_internal=self._is_internal,
            client_address=wire.peer,
        )
        wire.protocol.session_started()
        responder = Responder(wire, session)
        wire.send(responses.AUTHENTICATION_OK)
        responder.send_reports()
        wire.send(responses.backend_key_data(session.connection_id, session.secret_key))
        responder.send_ready()

    # Messages ------------------------------------------------------------------------------------

    async def _serve(self, session: Session) -> None:
        wire = self._wire
        responder = Responder(wire, session)
        extended = ExtendedProtocol(session, responder)
        simple = SimpleProtocol(session, responder)
        while True:
            event = wire.poll_event()
            if event is None:
                self._arm_idle_timer(session)
                event = await wire.next_event()
                if self._idle_timer is not None:
                    self._idle_timer.cancel()
                    self._idle_timer = None
            elif wire.is_turn_over:
                await wire.give_way()
            if type(event) in EXTENDED_MESSAGES:
                assert event is not None
                await extended.handle(event)
                continue
            match event:
                case Query():
                    await simple.run(event.text)
                case Sync():
                    await extended.sync()
                case Flush():
                    wire.flush()
                case Terminate() | None:
                    return
                case ConnectionBroken(error=error):
                    raise ConnectionEndedError(error)
                case BadMessage(error=bad, is_extended=True):
                    await extended.fail(bad)
                case BadMessage(error=bad):
                    await simple.fail(bad)
                    responder.send_ready()
                case FunctionCall():
                    await simple.fail(
                        SqlError(errors.FEATURE_NOT_SUPPORTED, "function calls are not supported")
                    )
                    responder.send_ready()
                case _:
                    raise ConnectionEndedError(None)

    def _arm_idle_timer(self, session: Session) -> None:
        values = session.settings.values
        if session.transaction.is_block:
            timeout_ms = int(values["idle_in_transaction_session_timeout"])
            sqlstate, reason = "25P03", "idle-in-transaction timeout"
        else:
            timeout_ms = int(values["idle_session_timeout"])
            sqlstate, reason = "57P05", "idle-session timeout"
        if timeout_ms:
            farewell = SqlError(sqlstate, f"terminating connection due to {reason}")
            self._idle_timer = asyncio.get_running_loop().call_later(
                timeout_ms / 1000, self.shut_down, farewell
            )
