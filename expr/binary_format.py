"""Binary representations of datums: PostgreSQL's send and receive functions."""

import struct
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Final

from core.errors import (
    CHARACTER_NOT_IN_REPERTOIRE,
    DATETIME_FIELD_OVERFLOW,
    FEATURE_NOT_SUPPORTED,
    INVALID_BINARY_REPRESENTATION,
    PROTOCOL_VIOLATION,
    SqlError,
)
from core.rows import DATE_INFINITY, TIMESTAMP_INFINITY, Array, Datum, Interval, Record
from core.sql_types import SqlType
from expr.calendar_days import (
    END_TIMESTAMP,
    MAX_DATE_DAY,
    MICROSECONDS_PER_DAY,
    MIN_DAY,
    MIN_TIMESTAMP,
)
from expr.json_values import canonical_jsonb, check_json
from expr.modifiers import fitting
from expr.numeric import (
    EXACT,
    INFINITY,
    MAX_SCALE,
    NAN,
    TRUNCATING,
    check,
    quantum,
    scale_of,
)
from expr.text_format import truncate_name

BinaryOutput = Callable[[Datum], bytes]
BinaryInput = Callable[[bytes], Datum]

_INT2: Final = struct.Struct(">h")
_INT4: Final = struct.Struct(">i")
_INT8: Final = struct.Struct(">q")
_UINT4: Final = struct.Struct(">I")
_FLOAT4: Final = struct.Struct(">f")
_FLOAT8: Final = struct.Struct(">d")
_INTERVAL: Final = struct.Struct(">qii")
_NUMERIC_HEADER: Final = struct.Struct(">hhHH")
_FORMATS: Final = (
    {21: _INT2, 23: _INT4, 20: _INT8, 700: _FLOAT4, 701: _FLOAT8, 1082: _INT4}
    | {1083: _INT8, 1114: _INT8, 1184: _INT8, 26: _UINT4, 28: _UINT4, 24: _UINT4, 2205: _UINT4}
    | {2206: _UINT4, 4089: _UINT4, 4096: _UINT4, 16552: struct.Struct(">Q")}
    | {16460: struct.Struct(">H"), 16462: _UINT4, 16464: struct.Struct(">Q")}
)
_SIGN_NEGATIVE: Final = 0x4000
_SIGN_NAN: Final = 0xC000
_SIGN_INFINITY: Final = 0xD000
_SIGN_NEGATIVE_INFINITY: Final = 0xF000
MAX_ARRAY_ELEMENTS: Final = 134_217_727


@lru_cache(maxsize=1024)
def binary_output(sql_type: SqlType) -> BinaryOutput:
    """The send function of `sql_type`, for datums that are not null."""
    element = sql_type.element
    if element is not None:
        return _array_output(element)
    oid = sql_type.oid
    if oid in (1082, 1114, 1184):
        return _moment_output(_FORMATS[oid], DATE_INFINITY if oid == 1082 else TIMESTAMP_INFINITY)
    if oid in _FORMATS:
        return _FORMATS[oid].pack
    match oid:
        case 16:
            return lambda value: b"\x01" if value else b"\x00"
        case 17 | 2950:
            return bytes
        case 1186:
            return lambda value: _INTERVAL.pack(value[2], value[1], value[0])
        case 1700:
            return numeric_send
        case 3802:
            return lambda value: b"\x01" + value.encode()
        case 2278:
            return lambda value: b""
        case 18:
            return lambda value: value.encode("latin-1") or b"\x00"
        case 2249:
            return _send_record
        case _:
            return str.encode


def _send_record(record: Record) -> bytes:
    parts = [_INT4.pack(len(record))]
    for sql_type, field in zip(record.types, record, strict=True):
        parts.append(_UINT4.pack(sql_type.oid))
        data = None if field is None else binary_output(sql_type)(field)
        parts.append(_INT4.pack(-1) if data is None else _INT4.pack(len(data)) + data)
    return b"".join(parts)


def _moment_output(layout: struct.Struct, infinity: int) -> BinaryOutput:
    pack = layout.pack
    # On the wire minus infinity is the least value, one below the negative of infinity.
    return lambda value: pack(value if value != -infinity else -infinity - 1)


@lru_cache(maxsize=1024)
def binary_input(sql_type: SqlType) -> BinaryInput:
    """The receive function of `sql_type`, modifier applied; raises SqlError (22P03, 08P01 …)."""
    receive = _base_input(sql_type)
    fit = fitting(sql_type) if sql_type.element is None else None
    if fit is None:
        return receive
    return lambda data: fit(receive(data), False)


def _base_input(sql_type: SqlType) -> BinaryInput:
    element = sql_type.element
    if element is not None:
        return _array_input(sql_type, element)
    oid = sql_type.oid
    if oid in _FORMATS:
        return _fixed_input(oid, _FORMATS[oid])
    match oid:
        case 16:
            return _receive_bool
        case 17:
            return bytes
        case 2950:
            return _receive_uuid
        case 1186:
            return _receive_interval
        case 1700:
            return numeric_receive
        case 3802:
            return _receive_jsonb
        case 114:
            return lambda data: check_json(_decode(data))
        case 19:
            return lambda data: truncate_name(_decode(data))
        case 18:
            return lambda data: data[:1].rstrip(b"\x00").decode("latin-1")
        case 25 | 705 | 1042 | 1043:
            return _decode
        case _:
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                f"no binary input function available for type {sql_type.info.sql_name}",
            )


def _check_length(data: bytes, size: int) -> None:
    if len(data) < size:
        raise SqlError(PROTOCOL_VIOLATION, "insufficient data left in message")
    if len(data) > size:
        raise SqlError(INVALID_BINARY_REPRESENTATION, "incorrect binary data format")


def _fixed_input(oid: int, layout: struct.Struct) -> BinaryInput:
    size = layout.size
    unpack = layout.unpack_from
    check = _CHECKS.get(oid)

    def receive(data: bytes) -> Datum:
        if len(data) < size:
            _check_length(data, size)
        value = unpack(data)[0]
        if check is not None:
            value = check(value)
        if len(data) != size:
            _check_length(data, size)
        return value

    return receive


def _check_date(day: int) -> int:
    if day == -(2**31):
        return -DATE_INFINITY
    if MIN_DAY <= day <= MAX_DATE_DAY or day == DATE_INFINITY:
        return day
    raise SqlError(DATETIME_FIELD_OVERFLOW, "date out of range")


def _check_time(microseconds: int) -> int:
    if 0 <= microseconds <= MICROSECONDS_PER_DAY:
        return microseconds
    raise SqlError(DATETIME_FIELD_OVERFLOW, "time out of range")


def _check_timestamp(microseconds: int) -> int:
    if microseconds == -(2**63):
        return -TIMESTAMP_INFINITY
    if MIN_TIMESTAMP <= microseconds < END_TIMESTAMP or microseconds == TIMESTAMP_INFINITY:
        return microseconds
    raise SqlError(DATETIME_FIELD_OVERFLOW, "timestamp out of range")


_CHECKS: Final[dict[int, Callable[[int], int]]] = {
    1082: _check_date,
    1083: _check_time,
    1114: _check_timestamp,
    1184: _check_timestamp,
}


def _receive_bool(data: bytes) -> bool:
    _check_length(data, 1)
    return data != b"\x00"


def _receive_uuid(data: bytes) -> bytes:
    _check_length(data, 16)
    return data


def _receive_interval(data: bytes) -> Interval:
    _check_length(data, 16)
    microseconds, days, months = _INTERVAL.unpack(data)
    return Interval(months, days, microseconds)


def _receive_jsonb(data: bytes) -> str:
    if not data:
        raise SqlError(PROTOCOL_VIOLATION, "insufficient data left in message")
    if data[0] != 1:
        raise SqlError("XX000", f"unsupported jsonb version number {data[0]}")
    return canonical_jsonb(_decode(data[1:]))


def _decode(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        shown = " ".join(f"0x{byte:02x}" for byte in data[error.start : error.end])
        raise SqlError(
            CHARACTER_NOT_IN_REPERTOIRE, f'invalid byte sequence for encoding "UTF8": {shown}'
        ) from None
    if "\0" in text:
        raise SqlError(
            CHARACTER_NOT_IN_REPERTOIRE, 'invalid byte sequence for encoding "UTF8": 0x00'
        )
    return text


def numeric_send(value: Decimal) -> bytes:
    """numeric_send: base-10000 digits with weight, sign and display scale."""
    if not value.is_finite():
        sign = _SIGN_NAN if value.is_nan() else _SIGN_INFINITY
        if value == INFINITY.copy_negate():
            sign = _SIGN_NEGATIVE_INFINITY
        return _NUMERIC_HEADER.pack(0, 0, sign, 0 if value.is_nan() else 0x20)
    scale = scale_of(value)
    sign = _SIGN_NEGATIVE if value.is_signed() else 0
    whole, _, fraction = f"{value.copy_abs():f}".partition(".")
    whole = whole.lstrip("0")
    whole = "0" * (-len(whole) % 4) + whole
    fraction += "0" * (-len(fraction) % 4)
    weight = len(whole) // 4 - 1
    text = whole + fraction
    digits = [int(text[start : start + 4]) for start in range(0, len(text), 4)]
    first = 0
    while first < len(digits) and digits[first] == 0:
        first += 1
        weight -= 1
    last = len(digits)
    while last > first and digits[last - 1] == 0:
        last -= 1
    digits = digits[first:last]
    if not digits:
        weight = sign = 0
    header = _NUMERIC_HEADER.pack(len(digits), weight, sign, scale)
    return header + struct.pack(f">{len(digits)}H", *digits)


def numeric_receive(data: bytes) -> Decimal:
    """numeric_recv."""
    if len(data) < 8:
        raise SqlError(PROTOCOL_VIOLATION, "insufficient data left in message")
    count, weight, sign, scale = _NUMERIC_HEADER.unpack_from(data)
    if sign in (_SIGN_NAN, _SIGN_INFINITY, _SIGN_NEGATIVE_INFINITY):
        special = NAN if sign == _SIGN_NAN else INFINITY
        return special.copy_negate() if sign == _SIGN_NEGATIVE_INFINITY else special
    if sign not in (0, _SIGN_NEGATIVE):
        raise _bad_numeric("sign")
    if scale > MAX_SCALE:
        raise _bad_numeric("scale")
    count &= 0xFFFF
    _check_length(data, 8 + 2 * count)
    digits = struct.unpack_from(f">{count}H", data, 8)
    if any(digit > 9999 for digit in digits):
        raise _bad_numeric("digit")
    text = "".join(f"{digit:04d}" for digit in digits) or "0"
    value = EXACT.scaleb(Decimal(text), 4 * (weight - count + 1) if count else 0)
    value = TRUNCATING.quantize(value, quantum(scale))
    return check(value.copy_negate() if sign and value else value)


def _bad_numeric(what: str) -> SqlError:
    return SqlError(INVALID_BINARY_REPRESENTATION, f'invalid {what} in external "numeric" value')


def _array_output(element: SqlType) -> BinaryOutput:
    send = binary_output(element)

    def output(value: Array[Datum]) -> bytes:
        has_null = any(item is None for item in value.elements)
        parts = [struct.pack(">iiI", len(value.dimensions), has_null, element.oid)]
        parts += [struct.pack(">ii", length, lower) for length, lower in value.dimensions]
        for item in value.elements:
            if item is None:
                parts.append(b"\xff\xff\xff\xff")
            else:
                data = send(item)
                parts.append(_INT4.pack(len(data)))
                parts.append(data)
        return b"".join(parts)

    return output


def _array_input(sql_type: SqlType, element: SqlType) -> BinaryInput:
    receive = binary_input(element)

    def parse(data: bytes) -> Array[Datum]:
        dimension_count = int.from_bytes(data[:4], "big", signed=True)
        if len(data) >= 4 and not 0 <= dimension_count <= 6:
            raise SqlError(
                INVALID_BINARY_REPRESENTATION, f"invalid number of dimensions: {dimension_count}"
            )
        if len(data) < 12:
            raise SqlError(PROTOCOL_VIOLATION, "insufficient data left in message")
        flags, element_oid = struct.unpack_from(">iI", data, 4)
        if flags not in (0, 1):
            raise SqlError(INVALID_BINARY_REPRESENTATION, "invalid array flags")
        if element_oid != element.oid:
            raise SqlError(
                "42804",
                f"binary data has array element type {element_oid} instead of expected"
                f" {element.oid}",
            )
        return _array_body(data, dimension_count, receive)

    return parse


def _array_body(data: bytes, dimension_count: int, receive: BinaryInput) -> Array[Datum]:
    position = 12
    if len(data) < position + 8 * dimension_count:
        raise SqlError(PROTOCOL_VIOLATION, "insufficient data left in message")
    dimensions: list[tuple[int, int]] = []
    total = 1 if dimension_count else 0
    for _ in range(dimension_count):
        length, lower = struct.unpack_from(">ii", data, position)
        position += 8
        total *= length
        if length < 0 or total > MAX_ARRAY_ELEMENTS:
            raise SqlError("54000", "array size exceeds the maximum allowed (134217727)")
        dimensions.append((length, lower))
    if total * 4 > len(data) - position:
        raise SqlError(PROTOCOL_VIOLATION, "insufficient data left in message")
    elements: list[Datum] = []
    for _ in range(total):
        if len(data) - position < 4:
            raise SqlError(INVALID_BINARY_REPRESENTATION, "insufficient data left in message")
        size = _INT4.unpack_from(data, position)[0]
        position += 4
        if size == -1:
            elements.append(None)
            continue
        if not 0 <= size <= len(data) - position:
            raise SqlError(INVALID_BINARY_REPRESENTATION, "insufficient data left in message")
        elements.append(receive(data[position : position + size]))
        position += size
    if position != len(data):
        raise SqlError(INVALID_BINARY_REPRESENTATION, "incorrect binary data format")
    return Array(tuple(dimensions), tuple(elements)) if total else Array((), ())
