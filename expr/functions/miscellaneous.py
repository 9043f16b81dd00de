"""Functions of no other topic: types, uuids, comments on sizes, compatibility."""

import time
import uuid
from collections.abc import Callable
from typing import Final

from core.encodings import encoding_name, encoding_number
from core.rows import POSTGRES_EPOCH_UNIX_SECONDS, Datum
from core.sql_types import SqlType
from expr.registry import CallSite, define
from expr.text_format import text_output

_UNIX_TO_POSTGRES: Final = POSTGRES_EPOCH_UNIX_SECONDS * 1_000_000
_GREGORIAN_TO_POSTGRES: Final = 13_165_977_600_000_000  # 1582-10-15 to 2000-01-01


def _type_of(site: CallSite) -> Callable[[Datum], int]:
    oid = site.args[0].oid
    return lambda value: oid


def _random_uuid() -> bytes:
    return uuid.uuid4().bytes


def _ordered_uuid() -> bytes:
    """A version 7 uuid: milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 80) | (uuid.uuid4().int & ((1 << 80) - 1))
    number = number & ~(0xF << 76) | (7 << 76)
    number = number & ~(0x3 << 62) | (2 << 62)
    return number.to_bytes(16, "big")


def _uuid_version(value: bytes) -> int | None:
    return value[6] >> 4 if value[8] >> 6 == 2 else None


def _uuid_timestamp(value: bytes) -> int | None:
    match _uuid_version(value):
        case 7:
            return int.from_bytes(value[:6], "big") * 1000 - _UNIX_TO_POSTGRES
        case 1:
            low = int.from_bytes(value[:4], "big")
            middle = int.from_bytes(value[4:6], "big")
            high = int.from_bytes(value[6:8], "big") & 0x0FFF
            ticks = (high << 48) | (middle << 32) | low
            return ticks // 10 - _GREGORIAN_TO_POSTGRES
        case _:
            return None


def _pretty_size(value: int) -> str:
    """pg_size_pretty of a number of bytes."""
    if abs(value) < 10 * 1024:
        return f"{value} bytes"
    size = value
    # Halves are kept one step longer so that the last division rounds.
    size = _shift(size, 9)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        if abs(size) < 2 * 10 * 1024 - 1 or unit == "PB":
            rounded = (abs(size) + 1) // 2
            return f"{'-' if size < 0 else ''}{rounded} {unit}"
        size = _shift(size, 10)
    return f"{value} bytes"


def _shift(value: int, bits: int) -> int:
    return -(-value >> bits) if value < 0 else value >> bits


def _text_size(site: CallSite) -> Callable[[Datum], int]:
    sql_type: SqlType = site.args[0]
    size = sql_type.info.size
    if size > 0:
        return lambda value: size
    output = text_output(sql_type, site.context)
    return lambda value: len(output(value).encode()) + 4


def _define_all() -> None:
    define("pg_typeof(any)", "regtype", _type_of, strict=False, needs_types=True)
    for name in ("gen_random_uuid", "uuid_generate_v4", "uuidv4"):
        define(f"{name}()", "uuid", _random_uuid, volatile=True)
    define("uuidv7()", "uuid", _ordered_uuid, volatile=True)
    define("uuid_extract_version(uuid)", "int2", _uuid_version)
    define("uuid_extract_timestamp(uuid)", "timestamptz", _uuid_timestamp)
    define("pg_size_pretty(int8)", "text", _pretty_size)
    define("pg_column_size(any)", "int4", _text_size, needs_types=True)
    define("pg_sleep(float8)", "void", _refuse_sleep, volatile=True)
    define("pg_client_encoding()", "name", lambda: "UTF8")
    define("getdatabaseencoding()", "name", lambda: "UTF8")
    define("pg_encoding_to_char(int4)", "name", _encoding_name)
    define("pg_char_to_encoding(name)", "int4", _encoding_code)


def _encoding_name(code: int) -> str:
    return encoding_name(code) or ""


def _encoding_code(name: str) -> int:
    number = encoding_number(name)
    return -1 if number is None else number


def _refuse_sleep(seconds: float) -> None:
    """Sleeping would hold a worker; the statement just goes on."""


_define_all()
