"""JSON texts and values: parsing, jsonb's canonical text, order and equality.

In memory a JSON value is None, bool, int or Decimal, str, list or dict; a jsonb datum is its
canonical text: keys unique and sorted by length, then by bytes, `", "` and `": "` as separators,
numbers written as numerics. Depth is bounded before anything recursive runs.
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Final

from core.errors import INVALID_TEXT_REPRESENTATION, SqlError
from expr.errors import too_deep
from expr.numeric import format_numeric, parse_numeric

JsonValue = Any  # None | bool | int | Decimal | str | list | dict
MAX_DEPTH: Final = 400
_BRACKET_OR_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_WHITESPACE_ONLY: Final = re.compile(r"[ \t\n\r]*", re.ASCII)

quote_json: Final[Callable[[str], str]] = encode_basestring


def parse_json(text: str) -> JsonValue:
    """The value of a JSON text. Raises SqlError 22P02, 22P05, 54001."""
    _check_depth(text)
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise _syntax_error(_detail(text, error)) from None
    except RecursionError:
        raise too_deep() from None
    return value


def parse_jsonb(text: str) -> JsonValue:
    """The value of a text that becomes a jsonb: characters a text cannot hold are refused."""
    value = parse_json(text)
    if "\\u" in text:
        _check_characters(value)
    return value


def check_json(text: str) -> str:
    """`text` when it is well-formed JSON."""
    parse_json(text)
    return text


def canonical_jsonb(text: str) -> str:
    """jsonb_in: the canonical text."""
    return dump_jsonb(parse_jsonb(text))


@lru_cache(maxsize=256)
def load_jsonb(text: str) -> JsonValue:
    """The value of a canonical text. Shared: callers must not change it."""
    return _decoder.decode(text)


def dump_jsonb(value: JsonValue) -> str:
    """The canonical text of a value."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, str):
        return quote_json(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format_numeric(value)
    if isinstance(value, list):
        return f"[{', '.join(map(dump_jsonb, value))}]"
    members = [f"{quote_json(key)}: {dump_jsonb(value[key])}" for key in sorted_keys(value)]
    return f"{{{', '.join(members)}}}"


def sorted_keys(value: dict[str, JsonValue]) -> list[str]:
    """The keys in jsonb's order: shorter first, then by bytes."""
    return sorted(value, key=_key_order)


def _key_order(key: str) -> tuple[int, bytes]:
    encoded = key.encode("utf-8", "surrogatepass")
    return len(encoded), encoded


def jsonb_sort_key(text: str) -> Any:
    """The order of jsonb values (compareJsonbContainers)."""
    value = load_jsonb(text)
    if value == [] and isinstance(value, list):
        return (-1,)  # for historical reasons below everything, at the top level only
    return _sort_key(value)


def _sort_key(value: JsonValue) -> Any:
    if value is None:
        return (0,)
    if isinstance(value, str):
        return (1, value)
    if isinstance(value, bool):
        return (3, value)
    if isinstance(value, int | Decimal):
        return (2, value)
    if isinstance(value, list):
        return (4, len(value), [_sort_key(item) for item in value])
    members = [(key, _sort_key(value[key])) for key in sorted_keys(value)]
    return (5, len(members), members)


def jsonb_equality_text(text: str) -> str:
    """A text that two jsonb values share exactly when they are equal (1.0 = 1.00)."""
    if "." not in text:
        return text
    return dump_jsonb(_normalize_numbers(load_jsonb(text)))


def _normalize_numbers(value: JsonValue) -> JsonValue:
    if isinstance(value, Decimal):
        text = format_numeric(value)
        return parse_numeric(text.rstrip("0").rstrip(".")) if "." in text else value
    if isinstance(value, list):
        return [_normalize_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _normalize_numbers(item) for key, item in value.items()}
    return value


def _parse_integer(text: str) -> JsonValue:
    if len(text) < 18:
        return int(text)
    return parse_numeric(text)


def _reject_constant(name: str) -> JsonValue:
    raise _syntax_error(f'Token "{name.lstrip("-")}" is invalid.')


_decoder: Final = json.JSONDecoder(
    parse_int=_parse_integer, parse_float=parse_numeric, parse_constant=_reject_constant
)


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _BRACKET_OR_STRING.finditer(text):
        token = match[0]
        if token in ("[", "{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise too_deep()
        elif token in ("]", "}"):
            depth -= 1


def _check_characters(value: JsonValue) -> None:
    """Refuse NUL and lone surrogates, which a text of the database cannot hold."""
    _check_surrogates(value)
    if isinstance(value, str):
        if "\0" in value:
            raise SqlError(
                "22P05",
                "unsupported Unicode escape sequence",
                detail="\\u0000 cannot be converted to text.",
            )
    elif isinstance(value, list):
        for item in value:
            _check_characters(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_characters(key)
            _check_characters(item)


def _check_surrogates(value: JsonValue) -> None:
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise _syntax_error("Unicode low surrogate must follow a high surrogate.")
    elif isinstance(value, list):
        for item in value:
            _check_surrogates(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_surrogates(key)
            _check_surrogates(item)


def _detail(text: str, error: json.JSONDecodeError) -> str:
    if error.pos >= len(text) or _WHITESPACE_ONLY.fullmatch(text, error.pos):
        return "The input string ended unexpectedly."
    match = re.compile(r"[A-Za-z0-9_+\-.]+|.", re.DOTALL).match(text, error.pos)
    token = match[0] if match else ""
    if error.msg.startswith("Extra data"):
        return f'Expected end of input, but found "{token}".'
    if error.msg.startswith("Invalid control character"):
        return f"Character with value 0x{ord(token[0]):02x} must be escaped."
    return f'Token "{token}" is invalid.'


def _syntax_error(detail: str) -> SqlError:
    return SqlError(
        INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json", detail=detail
    )
