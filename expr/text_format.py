"""Text representations of datums: PostgreSQL's input and output functions, as one table.

`text_output` gives the function that PostgreSQL calls a type's output function, `text_input` its
input function with the type modifier applied. Both are bound once per column and called per value;
they never see nulls. Input functions of types whose texts repeat in bulk loads remember a bounded
number of recent texts.
"""

import re
import uuid
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from core.errors import FEATURE_NOT_SUPPORTED, INVALID_TEXT_REPRESENTATION, SqlError
from core.rows import Array, Datum, Record
from core.sql_types import TYPES, SqlType
from core.type_names import format_type, type_oid
from expr import floats
from expr.array_text import format_array, format_record, parse_array
from expr.datetime_parse import parse_date, parse_time, parse_timestamp, parse_timestamptz
from expr.datetime_text import (
    format_date,
    format_time,
    format_timestamp,
    format_timestamp_styled,
    timestamptz_formatter,
)
from expr.errors import invalid_syntax, value_out_of_range
from expr.intervals import format_interval, parse_interval
from expr.json_values import canonical_jsonb, check_json
from expr.modifiers import default_interval_unit, fitting, is_minute_to_second
from expr.numeric import format_numeric, parse_numeric
from expr.scalar import EvaluationContext
from expr.timezones import zone_named

TextOutput = Callable[[Datum], str]
TextInput = Callable[[str], Datum]

MAX_REMEMBERED_TEXTS: Final = 16_384
MAX_REMEMBERED_LENGTH: Final = 40
MAX_NAME_BYTES: Final = 63
_INTEGER: Final = re.compile(
    r"[ \t\n\r\f\v]*([+-]?)(\d+(?:_\d+)*|0[xX](?:_?[0-9a-fA-F]+)+|0[oO](?:_?[0-7]+)+"
    r"|0[bB](?:_?[01]+)+)[ \t\n\r\f\v]*",
    re.ASCII,
)
_C_INTEGER: Final = re.compile(
    r"[ \t\n\r\f\v]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)[ \t\n\r\f\v]*", re.ASCII
)
_INTEGER_RANGES: Final = {
    21: ("smallint", -(2**15), 2**15 - 1),
    23: ("integer", -(2**31), 2**31 - 1),
    20: ("bigint", -(2**63), 2**63 - 1),
    26: ("oid", 0, 2**32 - 1),
    28: ("xid", 0, 2**32 - 1),
    16460: ("uint2", 0, 2**16 - 1),
    16462: ("uint4", 0, 2**32 - 1),
    16464: ("uint8", 0, 2**64 - 1),
    16552: ("mz_timestamp", 0, 2**64 - 1),
}
_REGISTERED_NAMES: Final = {24: "regproc", 2205: "regclass", 2206: "regtype"} | {
    4089: "regnamespace",
    4096: "regrole",
}
_UUID: Final = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}"
    r"|(?:[0-9a-f]{4}-?){7}[0-9a-f]{4}",
    re.IGNORECASE | re.ASCII,
)
_CHAR_OCTAL: Final = re.compile(r"\\[0-3][0-7][0-7]", re.ASCII)
_OCTAL_ESCAPE: Final = re.compile(r"\\(\\|[0-3][0-7][0-7])|\\", re.ASCII)


@lru_cache(maxsize=1024)
def text_output(sql_type: SqlType, context: EvaluationContext) -> TextOutput:
    """The output function of `sql_type` under the session's settings."""
    element = sql_type.element
    if element is not None:
        output = text_output(element, context)
        if sql_type.oid in (22, 30):
            return lambda value: " ".join(map(output, value.elements))
        return lambda value: format_array(value, output)
    match sql_type.oid:
        case 16:
            return _format_bool
        case oid if oid in _INTEGER_RANGES:
            return str
        case 2206:
            return _format_type
        case oid if oid in _REGISTERED_NAMES:
            return _format_registered
        case 700 | 701:
            return _float_output(sql_type.oid == 700, context.extra_float_digits)
        case 1700:
            return format_numeric
        case 17:
            return _format_bytea if context.bytea_output == "hex" else _format_bytea_escaped
        case 2950:
            return _format_uuid
        case 1082:
            return partial(format_date, style=context.date_style)
        case 1083:
            return format_time
        case 1114:
            if context.date_style.startswith("ISO"):
                return format_timestamp
            return partial(format_timestamp_styled, style=context.date_style, zone=None)
        case 1184:
            return timestamptz_formatter(zone_named(context.time_zone), context.date_style)
        case 1186:
            return partial(format_interval, style=context.interval_style)
        case 2249:
            return partial(_format_record, context)
        case 2278:
            return lambda value: ""
        case 18:
            return format_char
        case _:
            return str


@lru_cache(maxsize=1024)
def text_input(sql_type: SqlType, context: EvaluationContext) -> TextInput:
    """The input function of `sql_type`; raises SqlError (22P02, 22003, 22007, 22008, 22001 …)."""
    parse = _base_input(sql_type, context)
    fit = fitting(sql_type) if sql_type.element is None else None
    if fit is None:
        return parse
    if parse is str:
        return lambda text: fit(text, False)
    return lambda text: fit(parse(text), False)


def _base_input(sql_type: SqlType, context: EvaluationContext) -> TextInput:
    element = sql_type.element
    if element is not None:
        parse_element = text_input(element, context)
        if sql_type.oid in (22, 30):
            return lambda text: _parse_vector(text, parse_element)
        return lambda text: parse_array(text, parse_element)
    oid = sql_type.oid
    zone = zone_named(context.time_zone)
    order = context.date_style.partition(", ")[2] or "MDY"
    match oid:
        case 16:
            return parse_bool
        case 26 | 28:
            return partial(parse_oid, sql_type.name)
        case 20 | 21 | 23:
            return _Remembered(integer_input(oid)).__getitem__
        case _ if oid in _INTEGER_RANGES:
            return integer_input(oid)
        case 2206:
            return _parse_type
        case _ if oid in _REGISTERED_NAMES:
            return partial(_parse_registered, _REGISTERED_NAMES[oid])
        case 700:
            return _Remembered(floats.parse_float4).__getitem__
        case 701:
            return _Remembered(floats.parse_float8).__getitem__
        case 1700:
            return _Remembered(parse_numeric).__getitem__
        case 17:
            return parse_bytea
        case 18:
            return parse_char
        case 19:
            return truncate_name
        case 114:
            return check_json
        case 3802:
            return canonical_jsonb
        case 1082:
            return _Remembered(partial(parse_date, order=order, zone=zone)).__getitem__
        case 1083:
            return _Remembered(partial(parse_time, order=order, zone=zone)).__getitem__
        case 1114:
            return _Remembered(partial(parse_timestamp, order=order, zone=zone)).__getitem__
        case 1184:
            return _Remembered(partial(parse_timestamptz, order=order, zone=zone)).__getitem__
        case 1186:
            unit = default_interval_unit(sql_type.modifier)
            is_short = is_minute_to_second(sql_type.modifier)
            return partial(parse_interval, default_unit=unit, is_minute_to_second=is_short)
        case 2950:
            return parse_uuid
        case 2278:
            return lambda text: None
        case 25 | 1042 | 1043 | 705:
            return str
        case _:
            name = sql_type.info.sql_name
            raise SqlError(FEATURE_NOT_SUPPORTED, f"cannot accept a value of type {name}")


class _Remembered(dict[str, Datum]):
    """Recent texts and their values: bulk loads repeat a few thousand texts again and again."""

    def __init__(self, parse: TextInput) -> None:
        super().__init__()
        self._parse = parse

    def __missing__(self, text: str) -> Datum:
        value = self._parse(text)
        # Texts with letters may mean another value later: now, today.
        if len(text) <= MAX_REMEMBERED_LENGTH and text.upper() == text.lower():
            if len(self) >= MAX_REMEMBERED_TEXTS:
                self.clear()
            self[text] = value
        return value


def _format_bool(value: bool) -> str:
    return "t" if value else "f"


def _format_registered(value: int) -> str:
    return str(value) if value else "-"


def _format_type(value: int) -> str:
    """regtypeout: types are fixed, so their names need no catalog."""
    return format_type(value, None) if value == 0 or value in TYPES else str(value)


def _format_bytea(value: bytes) -> str:
    return f"\\x{value.hex()}"


def _format_bytea_escaped(value: bytes) -> str:
    return "".join(
        "\\\\" if byte == 92 else chr(byte) if 32 <= byte <= 126 else f"\\{byte:03o}"
        for byte in value
    )


def _format_uuid(value: bytes) -> str:
    return str(uuid.UUID(bytes=value))


def _float_output(is_single: bool, extra_digits: int) -> TextOutput:
    if extra_digits > 0:
        return floats.format_float4 if is_single else floats.format_float8
    digits = (6 if is_single else 15) + extra_digits
    return lambda value: floats.format_rounded(value, digits)


def _format_record(context: EvaluationContext, record: Record) -> str:
    return format_record(
        [
            None if field is None else text_output(sql_type, context)(field)
            for sql_type, field in zip(record.types, record, strict=True)
        ]
    )


def integer_input(oid: int) -> Callable[[str], int]:
    """int2in, int4in, int8in and their unsigned kin."""
    type_name, low, high = _INTEGER_RANGES[oid]

    def parse(text: str) -> int:
        match = _INTEGER.fullmatch(text)
        if match is None:
            raise invalid_syntax(type_name, text)
        digits = match[2]
        if len(digits) > 80:
            digits = digits.replace("_", "").lstrip("0") or "0"
            if len(digits) > 80:
                raise value_out_of_range(text, type_name)
        value = int(digits, 0) if digits[1:2].isalpha() else int(digits)
        if match[1] == "-":
            value = -value
        if not low <= value <= high:
            raise value_out_of_range(text, type_name)
        return value

    return parse


def parse_oid(type_name: str, text: str) -> int:
    """oidin and xidin: as C's strtoul reads it; a negative int4 stands for its bits."""
    match = _C_INTEGER.fullmatch(text)
    if match is None:
        raise invalid_syntax(type_name, text)
    digits = match[2].lower()
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10
    value = int(digits, base) if len(digits) <= 80 else 2**32
    if match[1] == "-":
        value = 2**32 - value if 0 < value <= 2**31 else -value
    if not 0 <= value < 2**32:
        raise value_out_of_range(text, type_name)
    return value


def parse_char(text: str) -> str:
    """A "char": one byte, held as the character of that number; `\\ooo` names one in octal."""
    if len(text) == 4 and _CHAR_OCTAL.fullmatch(text):
        code = int(text[1:], 8)
        return chr(code) if code else ""
    return chr(text.encode()[0]) if text else ""


def format_char(value: str) -> str:
    """charout: a byte above 127 in octal."""
    return f"\\{ord(value):03o}" if value > "\x7f" else value


def parse_bool(text: str) -> bool:
    """boolin: any unambiguous beginning of true, false, yes, no, on, off; 1 and 0."""
    word = text.strip(" \t\n\r\f\v").lower()
    if word and text.isascii():
        if word == "1" or "true".startswith(word) or "yes".startswith(word) or word == "on":
            return True
        if word == "0" or "false".startswith(word) or "no".startswith(word):
            return False
        if len(word) > 1 and "off".startswith(word):
            return False
    raise invalid_syntax("boolean", text)


def parse_bytea(text: str) -> bytes:
    """byteain: hex (`\\x…`) or escape format."""
    if text.startswith("\\x"):
        digits = text[2:]
        try:
            value = bytes.fromhex(digits)
        except ValueError:
            raise _hex_error(digits) from None
        if any(character in "\v\f\x1c\x1d\x1e\x1f" for character in digits):
            raise _hex_error(digits)
        return value
    if "\\" not in text:
        return text.encode()
    parts: list[bytes] = []
    position = 0
    for match in _OCTAL_ESCAPE.finditer(text):
        if match[1] is None:
            raise SqlError(INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea")
        parts.append(text[position : match.start()].encode())
        parts.append(b"\\" if match[1] == "\\" else bytes([int(match[1], 8)]))
        position = match.end()
    parts.append(text[position:].encode())
    return b"".join(parts)


def _hex_error(digits: str) -> SqlError:
    for character in digits:
        if character not in "0123456789abcdefABCDEF \t\n\r":
            return SqlError("22023", f'invalid hexadecimal digit: "{character}"')
    return SqlError("22023", "invalid hexadecimal data: odd number of digits")


def parse_uuid(text: str) -> bytes:
    """uuid_in: 32 digits, a hyphen allowed after each group of four, braces around."""
    body = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if _UUID.fullmatch(body) is None:
        raise invalid_syntax("uuid", text)
    return bytes.fromhex(body.replace("-", ""))


def truncate_name(text: str) -> str:
    """A text as a name: cut to what PostgreSQL's name type holds."""
    encoded = text.encode()
    if len(encoded) <= MAX_NAME_BYTES:
        return text
    return encoded[:MAX_NAME_BYTES].decode("utf-8", "ignore")


def _parse_type(text: str) -> int:
    """regtypein."""
    oid = type_oid(text)
    return _parse_registered("regtype", text) if oid is None else oid


def _parse_registered(type_name: str, text: str) -> int:
    """regclass and its kin from digits; names are resolved by the planner."""
    if text == "-":
        return 0
    if text.isascii() and text.isdigit() and int(text[:11]) < 2**32:
        return int(text)
    kind = {"regclass": "relation", "regtype": "type", "regproc": "function"}.get(
        type_name, {"regrole": "role", "regnamespace": "schema"}.get(type_name, type_name)
    )
    code = {"relation": "42P01", "schema": "3F000", "function": "42883"}.get(kind, "42704")
    raise SqlError(code, f'{kind} "{text}" does not exist')


def _parse_vector(text: str, element: TextInput) -> Array[Datum]:
    items = tuple(element(word) for word in text.split())
    return Array(((len(items), 0),), items) if items else Array(((0, 0),), ())
