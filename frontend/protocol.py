"""The server's side of PostgreSQL's protocol 3.0 as a state machine without I/O.

Bytes go in with `receive_data`; `next_event` gives one event at a time, None when more bytes are
needed. Messages are read only when asked for, so that each is judged in the state that the ones
before it left: the shell tells of what it sent by `authentication_started`, `session_started`,
`error_sent`, `copy_in_started` and `copy_in_ended`.

States and what each accepts:

| state | accepts |
|---|---|
| STARTUP | SSLRequest and GSSENCRequest (once each), CancelRequest, StartupMessage |
| AUTHENTICATION | answers of the exchange only |
| READY | every message; stray CopyData, CopyDone and CopyFail are dropped |
| SKIPPING | after an error in the extended protocol: drops everything up to Sync |
| COPY_IN | CopyData, CopyDone, CopyFail; drops Flush and Sync; all else is fatal |
| CLOSED | nothing |

Whatever breaks the framing ends the connection; a well-framed message that cannot be read is a
`BadMessage` and the connection goes on. Source: PostgreSQL's postgres.c and backend_startup.c.
"""

import struct
from enum import Enum
from typing import Final

from core import errors
from core.errors import SqlError
from frontend.messages import (
    KINDS,
    MAX_MESSAGE_LENGTH,
    MAX_STARTUP_LENGTH,
    MIN_STARTUP_LENGTH,
    AuthenticationResponse,
    BadMessage,
    CancelRequested,
    ConnectionBroken,
    CopyData,
    CopyDone,
    CopyFail,
    Event,
    GssEncRequest,
    MessageKind,
    SslRequest,
    StartupMessage,
    Terminate,
    decode_startup,
)


class ProtocolState(Enum):
    """Where a connection is; see the module's table."""

    STARTUP = "startup"
    AUTHENTICATION = "authentication"
    READY = "ready"
    SKIPPING = "skipping"
    COPY_IN = "copy_in"
    CLOSED = "closed"


_HEADER: Final = struct.Struct("!Bi")
_HEADER_SIZE: Final = 5
_SYNC: Final = ord("S")
_FLUSH: Final = ord("H")
_PASSWORD: Final = ord("p")
_TERMINATE: Final = ord("X")
_COPY_MESSAGES: Final = frozenset(map(ord, "dcf"))


class ServerProtocol:
    """One connection's state machine."""

    __slots__ = (
        "_available",
        "_buffer",
        "_chunks",
        "_needed",
        "_offset",
        "_premature",
        "_seen_gssenc",
        "_seen_ssl",
        "_skip",
        "_skip_event",
        "state",
    )

    def __init__(self) -> None:
        self.state = ProtocolState.STARTUP
        self._buffer = b""
        self._offset = 0
        self._chunks: list[bytes] = []  # behind _buffer, not yet joined to it
        self._available = 0  # bytes received and not yet consumed
        self._needed = 4  # bytes that the next step needs
        self._skip = 0  # bytes of an oversized message still to drop
        self._skip_event: Event | None = None
        self._premature: str | None = None  # an encryption request that bytes followed at once
        self._seen_ssl = False
        self._seen_gssenc = False

    # Input ---------------------------------------------------------------------------------------

    @property
    def pending_bytes(self) -> int:
        """Bytes received and not yet consumed by `next_event`."""
        return self._available

    @property
    def has_message(self) -> bool:
        """Whether `next_event` would get somewhere without more bytes."""
        if self._skip_event is not None:
            return not self._skip
        return self._available >= self._needed

    def receive_data(self, data: bytes) -> None:
        """Take in what the socket gave."""
        if self.state is ProtocolState.CLOSED:
            return
        if self._skip:
            dropped = min(self._skip, len(data))
            self._skip -= dropped
            data = data[dropped:]
            if not data:
                return
        if self._available:
            self._chunks.append(data)
        else:
            self._buffer = data
            self._offset = 0
        self._available += len(data)

    def next_is_sync(self) -> bool:
        """Whether a Sync is the next message and is here already."""
        if self._available < _HEADER_SIZE or self._skip or self._skip_event is not None:
            return False
        if len(self._buffer) - self._offset < _HEADER_SIZE:
            self._join()
        return self._buffer[self._offset] == _SYNC

    def next_event(self) -> Event | None:
        """The next event, or None when more bytes are needed. Never raises."""
        while True:
            if self._skip_event is not None:
                if self._skip:
                    return None
                skipped, self._skip_event = self._skip_event, None
                return skipped
            if self._available < self._needed or self.state is ProtocolState.CLOSED:
                return None
            if self.state is ProtocolState.STARTUP:
                return self._next_startup_event()
            event = self._next_message_event()
            if event is not None:
                return event
            # Dropped or incomplete: the next round tells.

    # What the shell tells ------------------------------------------------------------------------

    def authentication_started(self) -> None:
        """A request of an authentication exchange was sent."""
        self.state = ProtocolState.AUTHENTICATION
        self._needed = _HEADER_SIZE

    def session_started(self) -> None:
        """AuthenticationOk was sent."""
        self.state = ProtocolState.READY
        self._needed = _HEADER_SIZE

    def error_sent(self) -> None:
        """An error answered a message of the extended protocol: skip up to the next Sync."""
        if self.state is not ProtocolState.CLOSED:
            self.state = ProtocolState.SKIPPING

    def copy_in_started(self) -> None:
        """CopyInResponse was sent."""
        self.state = ProtocolState.COPY_IN

    def copy_in_ended(self) -> None:
        """The copy is over, well or not; what is left of it on the wire is dropped."""
        if self.state is ProtocolState.COPY_IN:
            self.state = ProtocolState.READY

    def close(self) -> None:
        """Nothing more is read."""
        self.state = ProtocolState.CLOSED
        self._buffer = b""
        self._chunks.clear()
        self._available = 0

    # Reading -------------------------------------------------------------------------------------

    def _join(self) -> None:
        if self._chunks:
            self._chunks.insert(0, self._buffer[self._offset :])
            self._buffer = b"".join(self._chunks)
            self._chunks.clear()
            self._offset = 0

    def _break(self, error: SqlError | None) -> Event:
        if error is not None:
            error.severity = "FATAL"
        self.close()
        return ConnectionBroken(error)

    def _next_startup_event(self) -> Event | None:
        self._join()
        if self._premature is not None:
            return self._break(
                SqlError(
                    errors.PROTOCOL_VIOLATION,
                    f"received unencrypted data after {self._premature} request",
                    detail="This could be either a client-software bug or evidence of an "
                    "attempted man-in-the-middle attack.",
                )
            )
        (length,) = struct.unpack_from("!i", self._buffer, self._offset)
        if not MIN_STARTUP_LENGTH <= length <= MAX_STARTUP_LENGTH:
            return self._break(None)
        if self._available < length:
            self._needed = length
            return None
        body = self._buffer[self._offset + 4 : self._offset + length]
        self._consume(length)
        self._needed = 4
        event = decode_startup(body)
        match event:
            case SslRequest() | GssEncRequest():
                return self._encryption_request(event)
            case StartupMessage() | CancelRequested():
                # The shell moves on by authentication_started or session_started.
                self._needed = _HEADER_SIZE
                self.state = ProtocolState.AUTHENTICATION
                return event
            case ConnectionBroken(error=error):
                return self._break(error)
            case _:
                return self._break(None)

    def _encryption_request(self, event: SslRequest | GssEncRequest) -> Event:
        is_ssl = isinstance(event, SslRequest)
        name = "SSL" if is_ssl else "GSSAPI encryption"
        if self._seen_ssl if is_ssl else self._seen_gssenc:
            return self._break(
                SqlError(
                    errors.FEATURE_NOT_SUPPORTED,
                    f"unsupported frontend protocol 1234.{5679 if is_ssl else 5680}: "
                    "server supports 3.0 to 3.0",
                )
            )
        if is_ssl:
            self._seen_ssl = True
        else:
            self._seen_gssenc = True
        if self._available:
            self._premature = name
        return event

    def _consume(self, size: int) -> None:
        self._offset += size
        self._available -= size
        if self._offset >= len(self._buffer) and not self._chunks:
            self._buffer = b""
            self._offset = 0

    def _next_message_event(self) -> Event | None:
        """One message: its event, or None when it is incomplete or dropped."""
        if len(self._buffer) - self._offset < self._needed:
            self._join()
        buffer, offset = self._buffer, self._offset
        code, length = _HEADER.unpack_from(buffer, offset)
        kind = KINDS.get(code)
        if kind is None or (code == _PASSWORD and self.state is not ProtocolState.AUTHENTICATION):
            return self._break(
                SqlError(errors.PROTOCOL_VIOLATION, f"invalid frontend message type {code}")
            )
        if length < 4:
            return self._break(None)
        if length - 4 > kind.limit:
            return self._oversized(kind, length)
        if self._available <= length:
            self._needed = length + 1
            return None
        if len(buffer) - offset <= length:
            self._join()
            buffer, offset = self._buffer, self._offset
        self._needed = _HEADER_SIZE
        body = buffer[offset + _HEADER_SIZE : offset + 1 + length]
        self._consume(length + 1)
        if self.state is ProtocolState.READY and code not in _COPY_MESSAGES:
            return _decode(kind, body)
        return self._judge(code, kind, body)

    def _judge(self, code: int, kind: MessageKind, body: bytes) -> Event | None:
        """A message in a state other than READY, or a copy message in READY."""
        match self.state:
            case ProtocolState.COPY_IN if code in _COPY_MESSAGES:
                return _decode(kind, body)
            case ProtocolState.COPY_IN if code in (_SYNC, _FLUSH):
                return None
            case ProtocolState.COPY_IN:
                return self._break(
                    SqlError(
                        errors.PROTOCOL_VIOLATION,
                        f"unexpected message type 0x{code:02X} during COPY from stdin",
                    )
                )
            case ProtocolState.SKIPPING:
                if code == _SYNC:
                    self.state = ProtocolState.READY
                    return _decode(kind, body)
                return _decode(kind, body) if code == _TERMINATE else None
            case ProtocolState.AUTHENTICATION:
                if code == _PASSWORD:
                    return AuthenticationResponse(body)
                return self._break(
                    SqlError(
                        errors.PROTOCOL_VIOLATION,
                        f"expected password response, got message type {code}",
                    )
                )
            case _:
                return None

    def _oversized(self, kind: MessageKind, length: int) -> Event | None:
        if kind.is_small or length > MAX_MESSAGE_LENGTH:
            return self._break(None)
        error = SqlError(
            errors.PROGRAM_LIMIT_EXCEEDED,
            f"{kind.name} message of {length - 4} bytes is too large",
            detail=f"The limit is {kind.limit} bytes.",
        )
        is_wanted = self.state is ProtocolState.READY and kind.name != "copy_data"
        if is_wanted or self.state is ProtocolState.COPY_IN:
            self._skip_event = BadMessage(error, kind.is_extended)
        dropped = min(self._available, length + 1)
        self._join()
        self._consume(dropped)
        self._skip = length + 1 - dropped
        self._needed = _HEADER_SIZE
        return None


def _decode(kind: MessageKind, body: bytes) -> Event:
    try:
        return kind.decode(body)
    except SqlError as error:
        return BadMessage(error, kind.is_extended)


COPY_EVENTS: Final = (CopyData, CopyDone, CopyFail)
__all__ = ["COPY_EVENTS", "ProtocolState", "ServerProtocol", "Terminate"]
