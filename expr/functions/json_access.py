"""Operators and functions that read and change jsonb values."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from core.rows import Array, Datum
from core.sql_types import JSONB, TEXT, Column
from expr.functions.tables import table_function
from expr.json_values import JsonValue, dump_jsonb, load_jsonb, sorted_keys
from expr.registry import FunctionKind, define

OPERATOR: Final = FunctionKind.OPERATOR
Rows = Iterator[tuple[Datum, ...]]
_MISSING: Final = object()


def json_kind(value: JsonValue) -> str:
    """jsonb_typeof."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | Decimal):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def as_text(value: JsonValue) -> str | None:
    """A value as ->> gives it: strings bare, JSON null as SQL null."""
    if value is None:
        return None
    return value if isinstance(value, str) else dump_jsonb(value)


def member(value: JsonValue, key: str) -> Any:
    """An object's member, `_MISSING` when there is none."""
    return value.get(key, _MISSING) if isinstance(value, dict) else _MISSING


def element(value: JsonValue, index: int) -> Any:
    """An array's element, counted from the end when negative."""
    if not isinstance(value, list):
        return _MISSING
    return value[index] if -len(value) <= index < len(value) else _MISSING


def root_element(value: JsonValue, index: int) -> Any:
    """The same for a whole jsonb: PostgreSQL holds a scalar as an array of one."""
    return element(value if isinstance(value, list | dict) else [value], index)


def at_path(value: JsonValue, path: Array[str | None]) -> Any:
    """What a path of keys and indexes leads to."""
    for step in path.elements:
        if step is None:
            return _MISSING
        if isinstance(value, dict):
            value = value.get(step, _MISSING)
        elif isinstance(value, list):
            index = path_index(step)
            value = _MISSING if index is None else element(value, index)
        else:
            return _MISSING
        if value is _MISSING:
            return _MISSING
    return value


def path_index(step: str) -> int | None:
    """A path step as an array index; None when it is no int4."""
    stripped = step.strip(" \t\n\r\f\v")
    digits = stripped.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 10:
        return None
    index = int(stripped)
    return index if -(2**31) <= index < 2**31 else None


def _to_jsonb(found: Any) -> str | None:
    return None if found is _MISSING else dump_jsonb(found)


def _to_text(found: Any) -> str | None:
    return None if found is _MISSING else as_text(found)


def contains(outer: JsonValue, inner: JsonValue, *, top: bool = True) -> bool:
    """@>: every part of `inner` is in `outer`; an array may contain a bare scalar, at the top."""
    if isinstance(inner, dict):
        return isinstance(outer, dict) and all(
            key in outer and _contains_value(outer[key], value) for key, value in inner.items()
        )
    if isinstance(inner, list):
        if not isinstance(outer, list):
            return False
        scalars = {_scalar_key(item) for item in outer if not isinstance(item, list | dict)}
        containers = [item for item in outer if isinstance(item, list | dict)]
        return all(
            any(contains(candidate, item, top=False) for candidate in containers)
            if isinstance(item, list | dict)
            else _scalar_key(item) in scalars
            for item in inner
        )
    if isinstance(outer, list) and top:
        return any(
            not isinstance(item, list | dict) and _scalar_key(item) == _scalar_key(inner)
            for item in outer
        )
    return not isinstance(outer, list | dict) and _scalar_key(outer) == _scalar_key(inner)


def _contains_value(outer: JsonValue, inner: JsonValue) -> bool:
    return contains(outer, inner, top=False)


def _scalar_key(value: JsonValue) -> tuple[str, JsonValue]:
    return (json_kind(value), value)


def _exists(text: str, key: str) -> bool:
    value = load_jsonb(text)
    if isinstance(value, dict):
        return key in value
    if isinstance(value, list):
        return any(isinstance(item, str) and item == key for item in value)
    return isinstance(value, str) and value == key


def _exists_any(text: str, keys: Array[str | None]) -> bool:
    return any(key is not None and _exists(text, key) for key in keys.elements)


def _exists_all(text: str, keys: Array[str | None]) -> bool:
    return all(key is None or _exists(text, key) for key in keys.elements)


def concatenate(left_text: str, right_text: str) -> str:
    """jsonb || jsonb."""
    left, right = load_jsonb(left_text), load_jsonb(right_text)
    if isinstance(left, dict) and isinstance(right, dict):
        return dump_jsonb({**left, **right})
    left_items = left if isinstance(left, list) else [left]
    right_items = right if isinstance(right, list) else [right]
    return dump_jsonb([*left_items, *right_items])


def _invalid(message: str, detail: str | None = None) -> SqlError:
    return SqlError(INVALID_PARAMETER_VALUE, message, detail=detail)


def _steps(path: Array[str | None]) -> tuple[str | None, ...]:
    """The elements of a path or a list of keys, which must be of one dimension."""
    if len(path.dimensions) > 1:
        raise SqlError("2202E", "wrong number of array subscripts")
    return path.elements


def _delete_key(text: str, key: str) -> str:
    value = load_jsonb(text)
    if isinstance(value, dict):
        return dump_jsonb({k: v for k, v in value.items() if k != key})
    if isinstance(value, list):
        return dump_jsonb([item for item in value if item != key or not isinstance(item, str)])
    raise _invalid("cannot delete from scalar")


def _delete_keys(text: str, keys: Array[str | None]) -> str:
    doomed = {key for key in _steps(keys) if key is not None}
    value = load_jsonb(text)
    if isinstance(value, dict):
        return dump_jsonb({k: v for k, v in value.items() if k not in doomed})
    if isinstance(value, list):
        kept = [item for item in value if not (isinstance(item, str) and item in doomed)]
        return dump_jsonb(kept)
    raise _invalid("cannot delete from scalar")


def _delete_index(text: str, index: int) -> str:
    value = load_jsonb(text)
    if isinstance(value, dict):
        raise _invalid("cannot delete from object using integer index")
    if not isinstance(value, list):
        raise _invalid("cannot delete from scalar")
    if not -len(value) <= index < len(value):
        return text
    position = index % len(value)
    return dump_jsonb(value[:position] + value[position + 1 :])


def _delete_path(text: str, path: Array[str | None]) -> str:
    steps = _steps(path)
    value = load_jsonb(text)
    if not isinstance(value, list | dict):
        raise _invalid("cannot delete path in scalar")
    if not steps or not value:
        return text
    return dump_jsonb(_change(value, steps, 0, lambda old: _MISSING, _Mode.DELETE))


class _Mode:
    """What _change does at a path's end when nothing, or something, is there."""

    DELETE: Final = "delete"
    REPLACE: Final = "replace"
    CREATE: Final = "create"
    INSERT_BEFORE: Final = "insert before"
    INSERT_AFTER: Final = "insert after"


def _change(
    value: JsonValue,
    path: tuple[str | None, ...],
    depth: int,
    new: Callable[[JsonValue], Any],
    mode: str,
) -> JsonValue:
    """A copy of `value` changed at a path; what the path does not reach stays as it is."""
    step = path[depth]
    if step is None:
        raise SqlError("22004", f"path element at position {depth + 1} is null")
    is_last = depth == len(path) - 1
    if isinstance(value, dict):
        return _change_object(value, step, path, depth, new, mode, is_last=is_last)
    if isinstance(value, list):
        index = path_index(step)
        if index is None:
            raise SqlError(
                "22P02", f'path element at position {depth + 1} is not an integer: "{step}"'
            )
        return _change_array(value, index, path, depth, new, mode, is_last=is_last)
    return value


def _change_object(
    value: dict[str, JsonValue],
    step: str,
    path: tuple[str | None, ...],
    depth: int,
    new: Callable[[JsonValue], Any],
    mode: str,
    *,
    is_last: bool,
) -> JsonValue:
    changed = dict(value)
    if not is_last:
        if step in changed:
            changed[step] = _change(changed[step], path, depth + 1, new, mode)
        return changed
    if step in changed:
        if mode in (_Mode.INSERT_BEFORE, _Mode.INSERT_AFTER):
            raise SqlError(
                INVALID_PARAMETER_VALUE,
                "cannot replace existing key",
                hint="Try using the function jsonb_set to replace key value.",
            )
        result = new(changed[step])
        if result is _MISSING:
            del changed[step]
        else:
            changed[step] = result
    elif mode not in (_Mode.DELETE, _Mode.REPLACE):
        changed[step] = new(None)
    return changed


def _change_array(
    value: list[JsonValue],
    index: int,
    path: tuple[str | None, ...],
    depth: int,
    new: Callable[[JsonValue], Any],
    mode: str,
    *,
    is_last: bool,
) -> JsonValue:
    position = index + len(value) if index < 0 else index
    inside = 0 <= position < len(value)
    changed = list(value)
    if not is_last:
        if inside:
            changed[position] = _change(changed[position], path, depth + 1, new, mode)
        return changed
    if not inside:
        if mode in (_Mode.DELETE, _Mode.REPLACE):
            return changed
        item = new(None)
        return [item, *changed] if position < 0 else [*changed, item]
    if mode == _Mode.INSERT_BEFORE:
        changed.insert(position, new(None))
    elif mode == _Mode.INSERT_AFTER:
        changed.insert(position + 1, new(None))
    else:
        result = new(changed[position])
        if result is _MISSING:
            del changed[position]
        else:
            changed[position] = result
    return changed


def _set(text: str, path: Array[str | None], new_text: str, create: bool = True) -> str:
    steps = _steps(path)
    value = load_jsonb(text)
    if not isinstance(value, list | dict):
        raise _invalid("cannot set path in scalar")
    if not steps or (not value and not create):
        return text
    new = load_jsonb(new_text)
    mode = _Mode.CREATE if create else _Mode.REPLACE
    return dump_jsonb(_change(value, steps, 0, lambda old: new, mode))


def _insert(text: str, path: Array[str | None], new_text: str, after: bool = False) -> str:
    steps = _steps(path)
    value = load_jsonb(text)
    if not isinstance(value, list | dict):
        raise _invalid("cannot set path in scalar")
    if not steps:
        return text
    new = load_jsonb(new_text)
    mode = _Mode.INSERT_AFTER if after else _Mode.INSERT_BEFORE
    return dump_jsonb(_change(value, steps, 0, lambda old: new, mode))


def strip_nulls(value: JsonValue, in_arrays: bool = False) -> JsonValue:
    """The value without object members that are null; with `in_arrays` array elements too."""
    if isinstance(value, dict):
        return {k: strip_nulls(v, in_arrays) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [strip_nulls(v, in_arrays) for v in value if not (in_arrays and v is None)]
    return value


def pretty(value: JsonValue, indent: int = 0) -> str:
    """jsonb_pretty: four spaces a level."""
    pad = " " * (4 * (indent + 1))
    end = " " * (4 * indent)
    if isinstance(value, list):
        items = ",\n".join(pad + pretty(item, indent + 1) for item in value)
        return f"[\n{items}\n{end}]" if value else f"[\n{end}]"
    if isinstance(value, dict):
        members = ",\n".join(
            f"{pad}{dump_jsonb(key)}: {pretty(value[key], indent + 1)}"
            for key in sorted_keys(value)
        )
        return f"{{\n{members}\n{end}}}" if value else f"{{\n{end}}}"
    return dump_jsonb(value)


def _array_length(value: JsonValue) -> int:
    if isinstance(value, list):
        return len(value)
    kind = "a scalar" if not isinstance(value, dict) else "a non-array"
    raise _invalid(f"cannot get array length of {kind}")


def _elements(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, list):
        return value
    kind = "an object" if isinstance(value, dict) else "a scalar"
    raise _invalid(f"cannot extract elements from {kind}")


def _members(value: JsonValue, function: str) -> dict[str, JsonValue]:
    if isinstance(value, dict):
        return value
    kind = "an array" if isinstance(value, list) else "a scalar"
    if function.endswith("keys"):
        raise _invalid(f"cannot call {function} on {kind}")
    raise _invalid(f"cannot call {function} on a non-object")


def _define_operators() -> None:
    finds: tuple[tuple[str, Callable[..., Any]], ...] = (("text", member), ("int4", root_element))
    load = load_jsonb

    def along(text: str, path: Array[str | None]) -> Any:
        return at_path(load(text), path)

    for argument, find in finds:
        define(
            *(f"->(jsonb,{argument})", "jsonb", lambda a, b, f=find: _to_jsonb(f(load(a), b))),
            kind=OPERATOR,
        )
        define(
            *(f"->>(jsonb,{argument})", "text", lambda a, b, f=find: _to_text(f(load(a), b))),
            kind=OPERATOR,
        )
    define("#>(jsonb,text[])", "jsonb", lambda a, b: _to_jsonb(along(a, b)), kind=OPERATOR)
    define("#>>(jsonb,text[])", "text", lambda a, b: _to_text(along(a, b)), kind=OPERATOR)
    define(
        *("jsonb_extract_path(jsonb,variadic text[])", "jsonb"),
        lambda text, *steps: _to_jsonb(along(text, Array((), steps))),
    )
    define(
        *("jsonb_extract_path_text(jsonb,variadic text[])", "text"),
        lambda text, *steps: _to_text(along(text, Array((), steps))),
    )
    define("jsonb_typeof(jsonb)", "text", lambda text: json_kind(load(text)))
    define("jsonb_array_length(jsonb)", "int4", lambda text: _array_length(load(text)))


def _define_tables() -> None:
    def elements(text: str) -> Rows:
        return ((dump_jsonb(item),) for item in _elements(load_jsonb(text)))

    def elements_text(text: str) -> Rows:
        return ((as_text(item),) for item in _elements(load_jsonb(text)))

    def keys(text: str) -> Rows:
        return ((key,) for key in sorted_keys(_members(load_jsonb(text), "jsonb_object_keys")))

    def each(text: str) -> Rows:
        value = _members(load_jsonb(text), "jsonb_each")
        return ((key, dump_jsonb(value[key])) for key in sorted_keys(value))

    def each_text(text: str) -> Rows:
        value = _members(load_jsonb(text), "jsonb_each_text")
        return ((key, as_text(value[key])) for key in sorted_keys(value))

    value, value_text, key = Column("value", JSONB), Column("value", TEXT), Column("key", TEXT)
    table_function("jsonb_array_elements(jsonb)", elements, (value,))
    table_function("jsonb_array_elements_text(jsonb)", elements_text, (value_text,))
    table_function("jsonb_object_keys(jsonb)", keys, (Column("jsonb_object_keys", TEXT),))
    table_function("jsonb_each(jsonb)", each, (key, value))
    table_function("jsonb_each_text(jsonb)", each_text, (key, value_text))


def _define_jsonb() -> None:
    load = load_jsonb
    define("@>(jsonb,jsonb)", "bool", lambda a, b: contains(load(a), load(b)), kind=OPERATOR)
    define("<@(jsonb,jsonb)", "bool", lambda a, b: contains(load(b), load(a)), kind=OPERATOR)
    define("?(jsonb,text)", "bool", _exists, kind=OPERATOR)
    define("?|(jsonb,text[])", "bool", _exists_any, kind=OPERATOR)
    define("?&(jsonb,text[])", "bool", _exists_all, kind=OPERATOR)
    define("||(jsonb,jsonb)", "jsonb", concatenate, kind=OPERATOR)
    define("-(jsonb,text)", "jsonb", _delete_key, kind=OPERATOR)
    define("-(jsonb,text[])", "jsonb", _delete_keys, kind=OPERATOR)
    define("-(jsonb,int4)", "jsonb", _delete_index, kind=OPERATOR)
    define("#-(jsonb,text[])", "jsonb", _delete_path, kind=OPERATOR)
    define("jsonb_set(jsonb,text[],jsonb)", "jsonb", _set)
    define("jsonb_set(jsonb,text[],jsonb,bool)", "jsonb", _set)
    define("jsonb_insert(jsonb,text[],jsonb)", "jsonb", _insert)
    define("jsonb_insert(jsonb,text[],jsonb,bool)", "jsonb", _insert)
    define("jsonb_pretty(jsonb)", "text", lambda text: pretty(load(text)))
    for arguments in ("jsonb", "jsonb,bool"):
        define(
            f"jsonb_strip_nulls({arguments})",
            "jsonb",
            lambda text, arrays=False: dump_jsonb(strip_nulls(load(text), arrays)),
        )
    define("jsonb_subscript(jsonb,text)", "jsonb", _subscript)


def _subscript(text: str, step: str) -> str | None:
    return _to_jsonb(at_path(load_jsonb(text), Array(((1, 1),), (step,))))


_define_operators()
_define_tables()
_define_jsonb()
