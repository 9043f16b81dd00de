"""String functions and operators over text and bytea."""

import base64
from collections.abc import Callable, Iterable
from typing import Final

from core.encodings import UTF8, encoding_number
from core.errors import (
    INVALID_PARAMETER_VALUE,
    PROGRAM_LIMIT_EXCEEDED,
    SqlError,
)
from core.rows import Array, Datum
from core.sql_types import TEXT, SqlType
from expr.array_values import one_dimensional
from expr.errors import MAX_RESULT_BYTES, too_large
from expr.keywords import NON_PLAIN_KEYWORDS
from expr.like_patterns import fold_case
from expr.registry import CallSite, FunctionKind, bind, define, function_by_id
from expr.scalar import EvaluationContext
from expr.text_format import text_output

OPERATOR: Final = FunctionKind.OPERATOR
SUBSTRING_ERROR: Final = "22011"


def check_length(characters: int) -> None:
    """Refuse to build a text longer than one call may."""
    if characters > MAX_RESULT_BYTES:
        raise too_large()


def append(left: Datum, right: Datum) -> Datum:
    """Two texts or byte strings as one."""
    check_length(len(left) + len(right))
    return left + right


def join(separator: Datum, parts: Iterable[Datum]) -> Datum:
    """`separator.join(parts)`, given up as soon as it would be too long."""
    kept = []
    length = 0
    for part in parts:
        length += len(separator) + len(part)
        check_length(length)
        kept.append(part)
    return separator.join(kept)


def upper(text: str) -> str:
    """Upper case, character by character (a character that would become two stays)."""
    if text.isascii():
        return text.upper()
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in text)


def initcap(text: str) -> str:
    """The first letter of each run of letters and digits in upper case, the rest in lower."""
    result: list[str] = []
    in_word = False
    for character in text:
        result.append(fold_case(character) if in_word else upper(character))
        in_word = character.isalnum()
    return "".join(result)


def substring(value: Datum, start: int, length: int | None = None) -> Datum:
    """SQL's substring: positions from 1, what lies before the first counts in the length."""
    begin = max(start - 1, 0)
    if length is None:
        return value[begin:]
    if length < 0:
        raise SqlError(SUBSTRING_ERROR, "negative substring length not allowed")
    end = start - 1 + length
    return value[begin:end] if end > begin else value[:0]


def overlay(value: Datum, replacement: Datum, start: int, length: int | None = None) -> Datum:
    """Part of a string replaced by another."""
    if start <= 0:
        raise SqlError(SUBSTRING_ERROR, "negative substring length not allowed")
    span = len(replacement) if length is None else length
    end = start + span
    if end >= 2**31:
        raise SqlError("22003", "integer out of range")
    check_length(len(value) + len(replacement))
    return value[: start - 1] + replacement + substring(value, end)


def _left(value: str, count: int) -> str:
    return value[:count]


def _right(value: str, count: int) -> str:
    if count == -(2**31):  # whose negation is itself in int4
        return value
    return value[-count:] if count else ""


def _pad(value: str, length: int, fill: str, *, on_left: bool) -> str:
    if length <= 0:
        return ""
    missing = length - len(value)
    if missing <= 0 or not fill:
        return value[:length]
    check_length(length)
    padding = (fill * (missing // len(fill) + 1))[:missing]
    return padding + value if on_left else value + padding


def _repeat(value: str, count: int) -> str:
    if count <= 0:
        return ""
    check_length(len(value) * count)
    return value * count


def _replace(value: str, old: str, new: str) -> str:
    if not old or not value:
        return value
    if len(new) > len(old):
        check_length(len(value) + value.count(old) * (len(new) - len(old)))
    return value.replace(old, new)


def _position(value: Datum, part: Datum) -> int:
    found: int = value.find(part)
    return found + 1


def _split_part(value: str, delimiter: str, field: int) -> str:
    if field == 0:
        raise SqlError(INVALID_PARAMETER_VALUE, "field position must not be zero")
    if not delimiter:
        return value if field in (1, -1) else ""
    parts = value.split(delimiter)
    if field > 0:
        return parts[field - 1] if field <= len(parts) else ""
    return parts[field] if -field <= len(parts) else ""


def _translate(value: str, source: str, target: str) -> str:
    table: dict[int, str | None] = {}
    for index, character in enumerate(source):
        if ord(character) not in table:
            table[ord(character)] = target[index] if index < len(target) else None
    return value.translate(table)


def _ascii(value: str) -> int:
    return ord(value[0]) if value else 0


def _chr(code: int) -> str:
    if code < 0:
        raise SqlError(INVALID_PARAMETER_VALUE, "character number must be positive")
    if code == 0:
        raise SqlError(PROGRAM_LIMIT_EXCEEDED, "null character not permitted")
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        reason = "too large" if code > 0x10FFFF else "not valid"
        raise SqlError(PROGRAM_LIMIT_EXCEEDED, f"requested character {reason} for encoding: {code}")
    return chr(code)


def _to_base(value: int, bits: int, code: str) -> str:
    return format(value if value >= 0 else value + (1 << bits), code)


def quote_identifier(name: str) -> str:
    """quote_ident: quoted unless it is a plain name and no reserved word."""
    is_plain = (
        name != ""
        and (name[0] == "_" or "a" <= name[0] <= "z")
        and all(c == "_" or "a" <= c <= "z" or "0" <= c <= "9" for c in name)
        and name not in NON_PLAIN_KEYWORDS
    )
    return name if is_plain else '"{}"'.format(name.replace('"', '""'))


def quote_literal(value: str) -> str:
    """A string constant that reads back as `value`."""
    quoted = value.replace("'", "''")
    if "\\" in quoted:
        return "E'{}'".format(quoted.replace("\\", "\\\\"))
    return f"'{quoted}'"


def printer(sql_type: SqlType, context: EvaluationContext) -> Callable[[Datum], str]:
    """The text that concat and format make of a value of a type."""
    if sql_type.oid in (25, 705, 1043, 1042, 19):
        return str
    return text_output(sql_type, context)


def text_caster(sql_type: SqlType, context: EvaluationContext) -> Callable[[Datum], str]:
    """The text that a cast makes of a value of a type."""
    if sql_type.oid == TEXT.oid:
        return str
    cast = function_by_id(f"cast({sql_type.name},text)")
    return bind(cast, (sql_type,), TEXT, context)


def _concat(site: CallSite) -> Callable[..., str]:
    printers = [printer(arg, site.context) for arg in site.args]

    def concat(*values: Datum) -> str:
        shown = zip(printers, values, strict=True)
        return str(join("", (show(value) for show, value in shown if value is not None)))

    return concat


def _concat_ws(site: CallSite) -> Callable[..., str | None]:
    printers = [printer(arg, site.context) for arg in site.args[1:]]

    def concat_ws(separator: str | None, *values: Datum) -> str | None:
        if separator is None:
            return None
        shown = zip(printers, values, strict=True)
        return str(join(separator, (show(value) for show, value in shown if value is not None)))

    return concat_ws


def _text_with_any(*, text_first: bool) -> Callable[[CallSite], Callable[[Datum, Datum], str]]:
    def specialize(site: CallSite) -> Callable[[Datum, Datum], str]:
        if text_first:
            show = text_caster(site.args[1], site.context)
            return lambda left, right: append(left, show(right))
        show = text_caster(site.args[0], site.context)
        return lambda left, right: append(show(left), right)

    return specialize


ESCAPED_AT_ONCE: Final = 1 << 20
_ESCAPED: Final = tuple(
    "\\\\" if byte == 92 else f"\\{byte:03o}" if byte == 0 or byte > 127 else chr(byte)
    for byte in range(256)
)


def encode(value: bytes, format_name: str) -> str:
    """encode(): base64 breaks lines at 76 characters, as MIME does."""
    match format_name.lower():
        case "hex":
            return value.hex()
        case "base64":
            text = base64.b64encode(value).decode()
            return "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
        case "escape":
            steps = range(0, len(value), ESCAPED_AT_ONCE)
            pieces = (value[start : start + ESCAPED_AT_ONCE] for start in steps)
            return str(join("", ("".join(map(_ESCAPED.__getitem__, piece)) for piece in pieces)))
        case _:
            raise _unknown_encoding(format_name)


def decode(text: str, format_name: str) -> bytes:
    """decode(). Raises SqlError 22023."""
    match format_name.lower():
        case "hex":
            return _decode_hex(text)
        case "base64":
            return _decode_base64(text)
        case "escape":
            return _decode_escape(text)
        case _:
            raise _unknown_encoding(format_name)


def _unknown_encoding(name: str) -> SqlError:
    return SqlError(INVALID_PARAMETER_VALUE, f'unrecognized encoding: "{name}"')


def _decode_hex(text: str) -> bytes:
    digits = "".join(c for c in text if c not in " \n\t\r")
    for character in digits:
        if character not in "0123456789abcdefABCDEF":
            raise SqlError(INVALID_PARAMETER_VALUE, f'invalid hexadecimal digit: "{character}"')
    if len(digits) % 2:
        raise SqlError(INVALID_PARAMETER_VALUE, "invalid hexadecimal data: odd number of digits")
    return bytes.fromhex(digits)


def _decode_base64(text: str) -> bytes:
    digits = "".join(c for c in text if c not in " \n\t\r")
    body = digits.rstrip("=")
    for character in body:
        if not (character.isascii() and (character.isalnum() or character in "+/")):
            if character == "=":
                raise SqlError(
                    INVALID_PARAMETER_VALUE, 'unexpected "=" while decoding base64 sequence'
                )
            raise SqlError(
                INVALID_PARAMETER_VALUE,
                f'invalid symbol "{character}" found while decoding base64 sequence',
            )
    if len(digits) % 4 or len(digits) - len(body) > 2:
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            "invalid base64 end sequence",
            hint="Input data is missing padding, is truncated, or is otherwise corrupted.",
        )
    return base64.b64decode(digits)


def _decode_escape(text: str) -> bytes:
    parts = bytearray()
    data = text.encode()
    position = 0
    while position < len(data):
        byte = data[position]
        if byte != 92:
            parts.append(byte)
            position += 1
            continue
        octal = data[position + 1 : position + 4]
        if (
            len(octal) == 3
            and 48 <= octal[0] <= 51
            and all(48 <= digit <= 55 for digit in octal[1:])
        ):
            parts.append(int(octal, 8))
            position += 4
        elif data[position + 1 : position + 2] == b"\\":
            parts.append(92)
            position += 2
        else:
            raise SqlError("22P02", "invalid input syntax for type bytea")
    return bytes(parts)


def _convert_from(value: bytes, encoding: str) -> str:
    if encoding_number(encoding) != UTF8:
        raise SqlError(INVALID_PARAMETER_VALUE, f'invalid source encoding name "{encoding}"')
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        shown = " ".join(f"0x{byte:02x}" for byte in value[error.start : error.end])
        raise SqlError("22021", f'invalid byte sequence for encoding "UTF8": {shown}') from None
    if "\0" in text:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    return text


def _convert_to(value: str, encoding: str) -> bytes:
    if encoding_number(encoding) != UTF8:
        raise SqlError(INVALID_PARAMETER_VALUE, f'invalid destination encoding name "{encoding}"')
    return value.encode()


def _get_byte(value: bytes, index: int) -> int:
    _check_index(value, index)
    return value[index]


def _set_byte(value: bytes, index: int, new: int) -> bytes:
    _check_index(value, index)
    return value[:index] + bytes([new % 256]) + value[index + 1 :]


def _check_index(value: bytes, index: int) -> None:
    if not 0 <= index < len(value):
        raise SqlError("2202E", f"index {index} out of valid range, 0..{len(value) - 1}")


def _string_to_array(
    text: str | None, delimiter: str | None, null_text: str | None = None
) -> Array[Datum] | None:
    parts = split_string(text, delimiter, null_text)
    return None if parts is None else one_dimensional(parts)


def split_string(
    text: str | None, delimiter: str | None, null_text: str | None = None
) -> list[str | None] | None:
    """The parts of string_to_array and string_to_table; a null delimiter splits every character."""
    if text is None:
        return None
    if text == "":
        return []
    if delimiter is None:
        parts = list(text)
    else:
        parts = text.split(delimiter) if delimiter else [text]
    return [None if null_text is not None and part == null_text else part for part in parts]


def _trim_bytes(value: bytes, characters: bytes, *, left: bool, right: bool) -> bytes:
    if left:
        value = value.lstrip(characters)
    return value.rstrip(characters) if right else value


def _define_text() -> None:
    define("||(text,text)", "text", append, kind=OPERATOR)
    define(
        *("||(text,anynonarray)", "text", _text_with_any(text_first=True)),
        kind=OPERATOR,
        needs_types=True,
    )
    define(
        *("||(anynonarray,text)", "text", _text_with_any(text_first=False)),
        kind=OPERATOR,
        needs_types=True,
    )
    for name in ("length", "char_length", "character_length"):
        define(f"{name}(text)", "int4", len)
        define(f"{name}(bpchar)", "int4", lambda v: len(v.rstrip(" ")))
    define("octet_length(text)", "int4", lambda v: len(v.encode()))
    define("octet_length(bpchar)", "int4", lambda v: len(v.encode()))
    define("bit_length(text)", "int4", lambda v: len(v.encode()) * 8)
    define("lower(text)", "text", fold_case)
    define("upper(text)", "text", upper)
    define("initcap(text)", "text", initcap)
    for name in ("substring", "substr"):
        define(f"{name}(text,int4)", "text", substring)
        define(f"{name}(text,int4,int4)", "text", substring)
    define("overlay(text,text,int4)", "text", overlay)
    define("overlay(text,text,int4,int4)", "text", overlay)
    define("left(text,int4)", "text", _left)
    define("right(text,int4)", "text", _right)
    for name, on_left in (("lpad", True), ("rpad", False)):
        define(
            f"{name}(text,int4,text)", "text", lambda v, n, f, s=on_left: _pad(v, n, f, on_left=s)
        )
        define(f"{name}(text,int4)", "text", lambda v, n, s=on_left: _pad(v, n, " ", on_left=s))
    define("repeat(text,int4)", "text", _repeat)
    define("reverse(text)", "text", lambda v: v[::-1])
    define("replace(text,text,text)", "text", _replace)
    define("position(text,text)", "int4", _position)
    define("strpos(text,text)", "int4", _position)
    define("split_part(text,text,int4)", "text", _split_part)
    define("translate(text,text,text)", "text", _translate)
    define("ascii(text)", "int4", _ascii)
    define("chr(int4)", "text", _chr)
    for name, strip in (("btrim", str.strip), ("ltrim", str.lstrip), ("rtrim", str.rstrip)):
        define(f"{name}(text)", "text", lambda v, f=strip: f(v, " "))
        define(f"{name}(text,text)", "text", lambda v, c, f=strip: f(v, c) if c else v)
    define("concat(variadic any)", "text", _concat, strict=False, needs_types=True)
    define("concat_ws(text,variadic any)", "text", _concat_ws, strict=False, needs_types=True)
    define("quote_ident(text)", "text", quote_identifier)
    define("quote_literal(text)", "text", quote_literal)
    define("quote_nullable(text)", "text", _quote_nullable, strict=False)
    define(
        *("quote_literal(anyelement)", "text"),
        lambda site: lambda v, show=text_caster(site.args[0], site.context): quote_literal(show(v)),
        needs_types=True,
    )
    define("string_to_array(text,text)", "text[]", _string_to_array, strict=False)
    define("string_to_array(text,text,text)", "text[]", _string_to_array, strict=False)
    for bits, name in ((32, "int4"), (64, "int8")):
        define(f"to_hex({name})", "text", lambda v, b=bits: _to_base(v, b, "x"))
        define(f"to_oct({name})", "text", lambda v, b=bits: _to_base(v, b, "o"))
        define(f"to_bin({name})", "text", lambda v, b=bits: _to_base(v, b, "b"))


def _quote_nullable(value: str | None) -> str:
    return "NULL" if value is None else quote_literal(value)


def _define_bytes() -> None:
    define("||(bytea,bytea)", "bytea", append, kind=OPERATOR)
    define("length(bytea)", "int4", len)
    define("octet_length(bytea)", "int4", len)
    define("bit_length(bytea)", "int4", lambda v: len(v) * 8)
    for name in ("substring", "substr"):
        define(f"{name}(bytea,int4)", "bytea", substring)
        define(f"{name}(bytea,int4,int4)", "bytea", substring)
    define("overlay(bytea,bytea,int4)", "bytea", overlay)
    define("overlay(bytea,bytea,int4,int4)", "bytea", overlay)
    define("position(bytea,bytea)", "int4", _position)
    define("reverse(bytea)", "bytea", lambda v: v[::-1])
    for name, left, right in (
        ("btrim", True, True),
        ("ltrim", True, False),
        ("rtrim", False, True),
    ):
        define(
            *(f"{name}(bytea,bytea)", "bytea"),
            lambda v, c, a=left, b=right: _trim_bytes(v, c, left=a, right=b),
        )
    define("encode(bytea,text)", "text", encode)
    define("decode(text,text)", "bytea", decode)
    define("convert_from(bytea,name)", "text", _convert_from)
    define("convert_to(text,name)", "bytea", _convert_to)
    define("get_byte(bytea,int4)", "int4", _get_byte)
    define("set_byte(bytea,int4,int4)", "bytea", _set_byte)
    define("bit_count(bytea)", "int8", lambda v: int.from_bytes(v, "big").bit_count())


_define_text()
_define_bytes()
