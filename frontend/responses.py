"""Messages that the server sends, as bytes."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from core import errors
from core.errors import SqlError
from core.sql_types import RelationDesc

PROTOCOL_LATEST: Final = 3 << 16
MAX_ERROR_TEXT: Final = 100_000


@dataclass(frozen=True, slots=True)
class Notice:
    """A NoticeResponse. `severity` is WARNING, NOTICE, INFO, LOG or DEBUG."""

    severity: str
    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None


AUTHENTICATION_OK: Final = b"R\0\0\0\x08\0\0\0\0"
PARSE_COMPLETE: Final = b"1\0\0\0\x04"
BIND_COMPLETE: Final = b"2\0\0\0\x04"
CLOSE_COMPLETE: Final = b"3\0\0\0\x04"
NO_DATA: Final = b"n\0\0\0\x04"
PORTAL_SUSPENDED: Final = b"s\0\0\0\x04"
EMPTY_QUERY_RESPONSE: Final = b"I\0\0\0\x04"
COPY_DONE: Final = b"c\0\0\0\x04"
READY_FOR_QUERY: Final = {status: b"Z\0\0\0\x05" + status.encode() for status in ("I", "T", "E")}
SSL_REFUSED: Final = b"N"
NO_PARAMETERS: Final = b"t\0\0\0\x06\0\0"

_HEADER: Final = struct.Struct("!ci")
_INT32: Final = struct.Struct("!i")


def message(kind: bytes, body: bytes) -> bytes:
    """One message with its header."""
    return _HEADER.pack(kind, len(body) + 4) + body


def _string(text: str) -> bytes:
    return text.encode("utf-8", "replace").replace(b"\0", b"") + b"\0"


def parameter_status(name: str, value: str) -> bytes:
    return message(b"S", _string(name) + _string(value))


def backend_key_data(connection_id: int, secret_key: int) -> bytes:
    return message(b"K", struct.pack("!II", connection_id, secret_key))


def negotiate_protocol_version(options: Sequence[str]) -> bytes:
    """The newest version spoken and the `_pq_.` options that are not known."""
    body = struct.pack("!ii", PROTOCOL_LATEST, len(options))
    return message(b"v", body + b"".join(map(_string, options)))


@lru_cache(maxsize=1024)
def command_complete(tag: str) -> bytes:
    return message(b"C", _string(tag))


def parameter_description(oids: Sequence[int]) -> bytes:
    return message(b"t", struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def row_description(desc: RelationDesc, formats: Sequence[int]) -> bytes:
    """`formats` has one code for each column."""
    parts = [struct.pack("!H", len(desc.columns))]
    for column, code in zip(desc.columns, formats, strict=True):
        parts.append(_string(column.name))
        kind = column.type
        parts.append(struct.pack("!IhIhih", 0, 0, kind.oid, kind.info.size, kind.modifier, code))
    return message(b"T", b"".join(parts))


def data_row(values: Iterable[bytes | None]) -> bytes:
    """One DataRow of encoded fields."""
    parts: list[bytes] = []
    count = 0
    for value in values:
        count += 1
        if value is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            parts.append(_INT32.pack(len(value)))
            parts.append(value)
    body = b"".join(parts)
    return struct.pack("!ciH", b"D", len(body) + 6, count) + body


def error_response(error: SqlError) -> bytes:
    return message(
        b"E",
        _fields(
            error.severity,
            error.sqlstate,
            error.message,
            error.detail,
            error.hint,
            error.position,
        ),
    )


def notice_response(notice: Notice) -> bytes:
    return message(
        b"N",
        _fields(notice.severity, notice.sqlstate, notice.message, notice.detail, notice.hint, None),
    )


def _fields(
    severity: str,
    sqlstate: str,
    text: str,
    detail: str | None,
    hint: str | None,
    position: int | None,
) -> bytes:
    parts = [
        b"S" + _string(severity),
        b"V" + _string(severity),
        b"C" + _string(sqlstate),
        b"M" + _string(text[:MAX_ERROR_TEXT]),
    ]
    if detail:
        parts.append(b"D" + _string(detail[:MAX_ERROR_TEXT]))
    if hint:
        parts.append(b"H" + _string(hint[:MAX_ERROR_TEXT]))
    if position is not None and position > 0:
        parts.append(b"P" + _string(str(position)))
    parts.append(b"\0")
    return b"".join(parts)


def copy_in_response(is_binary: bool, column_count: int) -> bytes:
    return message(b"G", _copy_formats(is_binary, column_count))


def copy_out_response(is_binary: bool, column_count: int) -> bytes:
    return message(b"H", _copy_formats(is_binary, column_count))


def _copy_formats(is_binary: bool, column_count: int) -> bytes:
    code = int(is_binary)
    return struct.pack(f"!bH{column_count}h", code, column_count, *([code] * column_count))


def internal_error() -> SqlError:
    """What a client hears of a bug; the log has the rest."""
    return SqlError(errors.INTERNAL_ERROR, "internal error")
