"""Operators and functions that read json, whose parts keep their text, repeated keys and all."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from core.rows import Array, Datum
from core.sql_types import JSON, TEXT, Column
from expr.functions.json_access import path_index
from expr.functions.tables import table_function
from expr.json_spans import elements, members
from expr.json_values import parse_jsonb
from expr.registry import FunctionKind, define

Rows = Iterator[tuple[Datum, ...]]
OPERATOR: Final = FunctionKind.OPERATOR
_KINDS: Final = {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean"} | {
    "n": "null"
}


def kind(text: str) -> str:
    """json_typeof."""
    return _KINDS.get(text.lstrip()[:1], "number")


def bare_text(text: str | None) -> str | None:
    """A part as ->> gives it: strings bare, JSON null as SQL null."""
    if text is None or kind(text) == "null":
        return None
    if kind(text) == "string":
        value: str = parse_jsonb(text)
        return value
    return text


def member(text: str, key: str) -> str | None:
    """The last member of that key."""
    found = None
    for name, part in members(text) or ():
        if name == key:
            found = part
    return found


def element(text: str, index: int) -> str | None:
    """An array's element, counted from the end when negative."""
    parts = elements(text)
    if parts is None or not -len(parts) <= index < len(parts):
        return None
    return parts[index]


def at_path(text: str, *path: str | None) -> str | None:
    """What a path of keys and indexes leads to; without the blanks around it."""
    found: str | None = text.strip(" \t\n\r")
    for step in path:
        if step is None or found is None:
            return None
        if kind(found) == "object":
            found = member(found, step)
        else:
            index = path_index(step)
            found = None if index is None else element(found, index)
    return found


def _elements(text: str, function: str) -> list[str]:
    parts = elements(text)
    if parts is None:
        raise _wrong_kind(
            f"cannot call {function} on a {'non-array' if kind(text) == 'object' else 'scalar'}"
        )
    return parts


def _members(text: str, function: str) -> list[tuple[str, str]]:
    parts = members(text)
    if parts is None:
        what = "an array" if kind(text) == "array" else "a scalar"
        if function == "json_object_keys":
            raise _wrong_kind(f"cannot call {function} on {what}")
        raise _wrong_kind(f"cannot deconstruct {what}{' as an object' if what[1] == 'n' else ''}")
    return parts


def _wrong_kind(message: str) -> SqlError:
    return SqlError(INVALID_PARAMETER_VALUE, message)


def _array_length(text: str) -> int:
    parts = elements(text)
    if parts is None:
        what = "a non-array" if kind(text) == "object" else "a scalar"
        raise _wrong_kind(f"cannot get array length of {what}")
    return len(parts)


def _define_operators() -> None:
    finds: tuple[tuple[str, Callable[..., str | None]], ...] = (
        ("text", member),
        ("int4", element),
    )
    for argument, find in finds:
        define(f"->(json,{argument})", "json", find, kind=OPERATOR)
        define(
            *(f"->>(json,{argument})", "text", lambda a, b, f=find: bare_text(f(a, b))),
            kind=OPERATOR,
        )
    along: Callable[[str, Array[Any]], str | None] = lambda a, b: at_path(a, *b.elements)  # noqa: E731
    define("#>(json,text[])", "json", along, kind=OPERATOR)
    define("#>>(json,text[])", "text", lambda a, b: bare_text(along(a, b)), kind=OPERATOR)
    define("json_extract_path(json,variadic text[])", "json", at_path)
    define(
        *("json_extract_path_text(json,variadic text[])", "text"),
        lambda text, *path: bare_text(at_path(text, *path)),
    )
    define("json_typeof(json)", "text", kind)
    define("json_array_length(json)", "int4", _array_length)


def _define_tables() -> None:
    def parts(text: str) -> Rows:
        return ((part,) for part in _elements(text, "json_array_elements"))

    def part_texts(text: str) -> Rows:
        return ((bare_text(part),) for part in _elements(text, "json_array_elements_text"))

    def keys(text: str) -> Rows:
        return ((key,) for key, _ in _members(text, "json_object_keys"))

    def each(text: str) -> Rows:
        return iter(_members(text, "json_each"))

    def each_text(text: str) -> Rows:
        return ((key, bare_text(part)) for key, part in _members(text, "json_each_text"))

    value, value_text, key = Column("value", JSON), Column("value", TEXT), Column("key", TEXT)
    table_function("json_array_elements(json)", parts, (value,))
    table_function("json_array_elements_text(json)", part_texts, (value_text,))
    table_function("json_object_keys(json)", keys, (Column("json_object_keys", TEXT),))
    table_function("json_each(json)", each, (key, value))
    table_function("json_each_text(json)", each_text, (key, value_text))


_define_operators()
_define_tables()
