"""Messages that clients send: events as values, and their decoding from message bodies.

Decoding checks form only (lengths, terminators, UTF-8); whether a statement or portal exists is
for the session to say. A malformed body raises `SqlError`, in PostgreSQL's words (pqformat.c).
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from core import errors
from core.errors import SqlError


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something a client asked for, or did wrong."""


class SslRequest(Event, frozen=True, gc=False):
    """Wants TLS; to be answered with one byte."""


class GssEncRequest(Event, frozen=True, gc=False):
    """Wants GSSAPI encryption; to be answered with one byte."""


class CancelRequested(Event, frozen=True, gc=False):
    """Wants another session's statement cancelled; the connection then closes."""

    connection_id: int
    secret_key: int


class StartupMessage(Event, frozen=True, gc=False):
    """Wants a session. `minor_version` and `protocol_options` (`_pq_.` ones) may need
    NegotiateProtocolVersion."""

    parameters: dict[str, str]
    minor_version: int
    protocol_options: tuple[str, ...]


class AuthenticationResponse(Event, frozen=True, gc=False):
    """PasswordMessage, SASLInitialResponse or SASLResponse: told apart by the exchange."""

    payload: bytes


class Query(Event, frozen=True, gc=False):
    text: str


class Parse(Event, frozen=True, gc=False):
    name: str
    text: str
    parameter_oids: tuple[int, ...]


class Bind(Event, frozen=True, gc=False):
    portal: str
    statement: str
    parameter_formats: tuple[int, ...]
    values: tuple[bytes | None, ...]
    result_formats: tuple[int, ...]


class DescribeStatement(Event, frozen=True, gc=False):
    name: str


class DescribePortal(Event, frozen=True, gc=False):
    name: str


class Execute(Event, frozen=True, gc=False):
    portal: str
    max_rows: int  # 0: no limit


class CloseStatement(Event, frozen=True, gc=False):
    name: str


class ClosePortal(Event, frozen=True, gc=False):
    name: str


class Flush(Event, frozen=True, gc=False):
    pass


class Sync(Event, frozen=True, gc=False):
    pass


class Terminate(Event, frozen=True, gc=False):
    pass


class FunctionCall(Event, frozen=True, gc=False):
    pass


class CopyData(Event, frozen=True, gc=False):
    data: bytes


class CopyDone(Event, frozen=True, gc=False):
    pass


class CopyFail(Event, frozen=True, gc=False):
    message: str


class BadMessage(Event, frozen=True, gc=False):
    """A message that could not be read; the connection goes on. `is_extended` tells whether the
    rest up to the next Sync is to be skipped."""

    error: SqlError
    is_extended: bool


class ConnectionBroken(Event, frozen=True, gc=False):
    """The connection cannot go on: `error` is FATAL, None closes it silently."""

    error: SqlError | None


FLUSH: Final = Flush()
SYNC: Final = Sync()
TERMINATE: Final = Terminate()
COPY_DONE: Final = CopyDone()

_INT16: Final = struct.Struct("!H")
_INT32: Final = struct.Struct("!i")


def invalid_byte_sequence(data: bytes, error: UnicodeDecodeError) -> SqlError:
    """22021 with the bytes at fault, as PostgreSQL's report_invalid_encoding shows them."""
    shown = " ".join(f"0x{byte:02x}" for byte in data[error.start : min(error.end, len(data))])
    return SqlError(
        errors.CHARACTER_NOT_IN_REPERTOIRE, f'invalid byte sequence for encoding "UTF8": {shown}'
    )


def decode_text(data: bytes) -> str:
    """UTF-8 text. Raises 22021."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise invalid_byte_sequence(data, error) from None


def _violation(message: str) -> SqlError:
    return SqlError(errors.PROTOCOL_VIOLATION, message)


def _string(body: bytes, start: int) -> tuple[str, int]:
    end = body.find(0, start)
    if end < 0:
        raise _violation("invalid string in message")
    return decode_text(body[start:end]), end + 1


def _end(body: bytes, position: int) -> None:
    if position != len(body):
        raise _violation("invalid message format")


def _shorts(body: bytes, start: int) -> tuple[tuple[int, ...], int]:
    if start + 2 > len(body):
        raise _violation("insufficient data left in message")
    (count,) = _INT16.unpack_from(body, start)
    end = start + 2 + 2 * count
    if end > len(body):
        raise _violation("insufficient data left in message")
    if count == 0:
        return (), end
    return struct.unpack_from(f"!{count}h", body, start + 2), end


def decode_query(body: bytes) -> Query:
    if body.find(0) != len(body) - 1:
        text, position = _string(body, 0)
        _end(body, position)
        return Query(text)
    return Query(decode_text(body[:-1]))


def decode_parse(body: bytes) -> Parse:
    name, position = _string(body, 0)
    text, position = _string(body, position)
    if position + 2 > len(body):
        raise _violation("insufficient data left in message")
    (count,) = _INT16.unpack_from(body, position)
    position += 2
    if position + 4 * count > len(body):
        raise _violation("insufficient data left in message")
    oids = struct.unpack_from(f"!{count}I", body, position) if count else ()
    _end(body, position + 4 * count)
    return Parse(name, text, oids)


def decode_bind(body: bytes) -> Bind:
    portal, position = _string(body, 0)
    statement, position = _string(body, position)
    parameter_formats, position = _shorts(body, position)
    if position + 2 > len(body):
        raise _violation("insufficient data left in message")
    (count,) = _INT16.unpack_from(body, position)
    position += 2
    values: list[bytes | None] = []
    size = len(body)
    for _ in range(count):
        if position + 4 > size:
            raise _violation("insufficient data left in message")
        (length,) = _INT32.unpack_from(body, position)
        position += 4
        if length == -1:
            values.append(None)
            continue
        if length < 0 or position + length > size:
            raise _violation("insufficient data left in message")
        values.append(body[position : position + length])
        position += length
    result_formats, position = _shorts(body, position)
    _end(body, position)
    return Bind(portal, statement, parameter_formats, tuple(values), result_formats)


def decode_describe(body: bytes) -> DescribeStatement | DescribePortal:
    name, position = _string(body, 1)
    _end(body, position)
    match body[:1]:
        case b"S":
            return DescribeStatement(name)
        case b"P":
            return DescribePortal(name)
        case _:
            raise _violation(f"invalid DESCRIBE message subtype {body[0] if body else 0}")


def decode_close(body: bytes) -> CloseStatement | ClosePortal:
    name, position = _string(body, 1)
    _end(body, position)
    match body[:1]:
        case b"S":
            return CloseStatement(name)
        case b"P":
            return ClosePortal(name)
        case _:
            raise _violation(f"invalid CLOSE message subtype {body[0] if body else 0}")


def decode_execute(body: bytes) -> Execute:
    portal, position = _string(body, 0)
    if position + 4 > len(body):
        raise _violation("insufficient data left in message")
    (max_rows,) = _INT32.unpack_from(body, position)
    _end(body, position + 4)
    return Execute(portal, max(max_rows, 0))


def decode_copy_fail(body: bytes) -> CopyFail:
    message, position = _string(body, 0)
    _end(body, position)
    return CopyFail(message)


def _empty(event: Event) -> Callable[[bytes], Event]:
    def decode(body: bytes) -> Event:
        _end(body, 0)
        return event

    return decode


class MessageKind(msgspec.Struct, frozen=True):
    """How one message type is read; bodies over `limit` bytes are refused.

    An oversized `is_small` message ends the connection, as in PostgreSQL, since nothing sends such
    a one; a large one is skipped and answered with an error, unless its length is absurd.
    """

    name: str
    decode: Callable[[bytes], Event]
    limit: int
    is_small: bool = False
    is_extended: bool = False


SMALL_MESSAGE_LIMIT: Final = 10_000
AUTHENTICATION_MESSAGE_LIMIT: Final = 65_535
LARGE_MESSAGE_LIMIT: Final = 64 << 20
MAX_MESSAGE_LENGTH: Final = 0x3FFFFFFF  # of any message, as in PostgreSQL: more is no length

KINDS: Final[Mapping[int, MessageKind]] = {
    ord("Q"): MessageKind("query", decode_query, LARGE_MESSAGE_LIMIT),
    ord("P"): MessageKind("parse", decode_parse, LARGE_MESSAGE_LIMIT, is_extended=True),
    ord("B"): MessageKind("bind", decode_bind, LARGE_MESSAGE_LIMIT, is_extended=True),
    ord("D"): MessageKind("describe", decode_describe, SMALL_MESSAGE_LIMIT, True, True),
    ord("E"): MessageKind("execute", decode_execute, SMALL_MESSAGE_LIMIT, True, True),
    ord("C"): MessageKind("close", decode_close, SMALL_MESSAGE_LIMIT, True, True),
    ord("H"): MessageKind("flush", _empty(FLUSH), SMALL_MESSAGE_LIMIT, True, True),
    ord("S"): MessageKind("sync", _empty(SYNC), SMALL_MESSAGE_LIMIT, True),
    ord("X"): MessageKind("terminate", lambda _: TERMINATE, SMALL_MESSAGE_LIMIT, True),
    ord("F"): MessageKind("function_call", lambda _: FunctionCall(), LARGE_MESSAGE_LIMIT),
    ord("d"): MessageKind("copy_data", CopyData, LARGE_MESSAGE_LIMIT),
    ord("c"): MessageKind("copy_done", _empty(COPY_DONE), SMALL_MESSAGE_LIMIT, True),
    ord("f"): MessageKind("copy_fail", decode_copy_fail, SMALL_MESSAGE_LIMIT, True),
    ord("p"): MessageKind("password", AuthenticationResponse, AUTHENTICATION_MESSAGE_LIMIT, True),
}


PROTOCOL_MAJOR: Final = 3
CANCEL_REQUEST_CODE: Final = (1234 << 16) | 5678
SSL_REQUEST_CODE: Final = (1234 << 16) | 5679
GSSENC_REQUEST_CODE: Final = (1234 << 16) | 5680
MIN_STARTUP_LENGTH: Final = 8
MAX_STARTUP_LENGTH: Final = 10_000


def decode_startup(body: bytes) -> Event:
    """The event of a startup packet's body (what follows its length). Never raises."""
    (code,) = struct.unpack_from("!I", body)
    if code == CANCEL_REQUEST_CODE:
        if len(body) != 12:
            return ConnectionBroken(None)
        return CancelRequested(*struct.unpack_from("!iI", body, 4))
    if code == SSL_REQUEST_CODE:
        return SslRequest()
    if code == GSSENC_REQUEST_CODE:
        return GssEncRequest()
    if code >> 16 != PROTOCOL_MAJOR:
        return ConnectionBroken(
            SqlError(
                errors.FEATURE_NOT_SUPPORTED,
                f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: "
                "server supports 3.0 to 3.0",
                severity="FATAL",
            )
        )
    try:
        parameters, options = _startup_parameters(body)
    except SqlError as error:
        error.severity = "FATAL"
        return ConnectionBroken(error)
    return StartupMessage(parameters, code & 0xFFFF, options)


def _startup_parameters(body: bytes) -> tuple[dict[str, str], tuple[str, ...]]:
    parameters: dict[str, str] = {}
    options: list[str] = []
    position = 4
    while position < len(body) and body[position] != 0:
        name, position = _string(body, position)
        if position >= len(body):
            break
        value, position = _string(body, position)
        if name.startswith("_pq_."):
            options.append(name)
        else:
            parameters[name] = value
    if position != len(body) - 1:
        raise _violation("invalid startup packet layout: expected terminator as last byte")
    if not parameters.get("user"):
        raise SqlError(
            errors.INVALID_AUTHORIZATION, "no PostgreSQL user name specified in startup packet"
        )
    return parameters, tuple(options)
