"""Type names to types, with their modifiers, and types to the names that errors show."""

from typing import Final

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_PARAMETER_VALUE,
    SYNTAX_ERROR,
    UNDEFINED_OBJECT,
    SqlError,
)
from core.sql_types import TYPES, TYPES_BY_NAME, SqlType
from sql import syntax as ast

_HEADER: Final = 4  # PostgreSQL's modifiers of text and numeric types count a header of 4 bytes
_MAX_LENGTH: Final = 10_485_760
_MAX_PRECISION: Final = 1_000
_MATERIALIZE_MAX_PRECISION: Final = 39
_MAX_TIME_PRECISION: Final = 6
_LENGTH_TYPES: Final = frozenset({1042, 1043})
_TIME_TYPES: Final = frozenset({1083, 1114, 1184})
_ALIASES: Final = {"string": "text", "bytes": "bytea", "double": "float8"}
_SYSTEM_SCHEMAS: Final = frozenset({"pg_catalog", "mz_catalog", "mz_internal", "mz_unsafe"})
_PSEUDO_CATEGORY: Final = "P"


def resolve_type(name: ast.TypeName) -> SqlType:
    """The type that `name` means. Raises SqlError 42704 for an unknown one, 22023 and 42601 for
    bad modifiers."""
    *schema, word = name.name
    known = not schema or (len(schema) == 1 and schema[0] in _SYSTEM_SCHEMAS)
    info = TYPES_BY_NAME.get(word) if known else None
    if info is None and not schema and word in _ALIASES:
        info = TYPES_BY_NAME[_ALIASES[word]]
    if info is None:
        raise _undefined(name)
    base = SqlType(info.oid, _modifier(info.oid, name))
    if not name.array_dimensions:
        return base
    array = base.array
    if array is None:
        raise _undefined(name)
    return array


def resolve_storable_type(name: ast.TypeName) -> SqlType:
    """`resolve_type` for a column: pseudo-types are refused."""
    resolved = resolve_type(name)
    if resolved.info.category == _PSEUDO_CATEGORY or resolved.oid == 705:
        raise SqlError(
            "42P16", f"column has pseudo-type {resolved.info.sql_name}", position=name.pos + 1
        )
    return resolved


def _undefined(name: ast.TypeName) -> SqlError:
    shown = ".".join(name.name) + "[]" * min(name.array_dimensions, 1)
    return SqlError(UNDEFINED_OBJECT, f'type "{shown}" does not exist', position=_position(name))


def _position(name: ast.TypeName) -> int | None:
    return name.pos + 1 if name.pos >= 0 else None


def _modifier(oid: int, name: ast.TypeName) -> int:
    modifiers = name.modifiers
    if not modifiers:
        return -1
    if oid == 1186:
        return modifiers[0]
    if oid in _LENGTH_TYPES:
        return _length_modifier(oid, name)
    if oid == 1700:
        return _numeric_modifier(name)
    if oid in _TIME_TYPES:
        return _time_modifier(oid, name)
    raise SqlError(
        SYNTAX_ERROR,
        f'type modifier is not allowed for type "{TYPES[oid].name}"',
        position=_position(name),
    )


def _length_modifier(oid: int, name: ast.TypeName) -> int:
    word = "varchar" if oid == 1043 else "char"
    if len(name.modifiers) != 1:
        raise SqlError(INVALID_PARAMETER_VALUE, "invalid type modifier", position=_position(name))
    length = name.modifiers[0]
    if length < 1:
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            f"length for type {word} must be at least 1",
            position=_position(name),
        )
    if length > _MAX_LENGTH:
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            f"length for type {word} cannot exceed {_MAX_LENGTH}",
            position=_position(name),
        )
    return length + _HEADER


def _numeric_modifier(name: ast.TypeName) -> int:
    precision = name.modifiers[0]
    scale = name.modifiers[1] if len(name.modifiers) > 1 else 0
    if len(name.modifiers) > 2:
        raise SqlError(
            INVALID_PARAMETER_VALUE, "invalid NUMERIC type modifier", position=_position(name)
        )
    if not 1 <= precision <= _MAX_PRECISION:
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            f"NUMERIC precision {precision} must be between 1 and {_MAX_PRECISION}",
            position=_position(name),
        )
    if not -_MAX_PRECISION <= scale <= _MAX_PRECISION:
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            f"NUMERIC scale {scale} must be between -{_MAX_PRECISION} and {_MAX_PRECISION}",
            position=_position(name),
        )
    if precision > _MATERIALIZE_MAX_PRECISION:
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            f"NUMERIC precision {precision} exceeds the maximum of {_MATERIALIZE_MAX_PRECISION}",
            position=_position(name),
        )
    return ((precision << 16) | (scale & 0x7FF)) + _HEADER


def _time_modifier(oid: int, name: ast.TypeName) -> int:
    precision = name.modifiers[0]
    if len(name.modifiers) != 1 or precision < 0:
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            f"{TYPES[oid].name.upper()}({precision}) precision must not be negative",
            position=_position(name),
        )
    return min(precision, _MAX_TIME_PRECISION)


def format_type(sql_type: SqlType) -> str:
    """The type as PostgreSQL's format_type shows it, modifier included."""
    element = sql_type.element
    if element is not None and sql_type.oid not in (22, 30):
        return format_type(SqlType(element.oid, sql_type.modifier)) + "[]"
    name = sql_type.info.sql_name
    modifier = sql_type.modifier
    if modifier < 0:
        return name
    if sql_type.oid in _LENGTH_TYPES:
        return f"{name}({modifier - _HEADER})"
    if sql_type.oid == 1700:
        packed = modifier - _HEADER
        scale = ((packed & 0x7FF) ^ 1024) - 1024
        return f"{name}({packed >> 16},{scale})"
    if sql_type.oid in _TIME_TYPES:
        head, _, tail = name.partition(" ")
        return f"{head}({modifier}) {tail}"
    if sql_type.oid == 1186:
        return name + _interval_suffix(modifier)
    return name


_INTERVAL_FIELDS: Final = {
    4: " year",
    2: " month",
    8: " day",
    1024: " hour",
    2048: " minute",
    4096: " second",
    6: " year to month",
    8 | 1024: " day to hour",
    8 | 1024 | 2048: " day to minute",
    8 | 1024 | 2048 | 4096: " day to second",
    1024 | 2048: " hour to minute",
    1024 | 2048 | 4096: " hour to second",
    2048 | 4096: " minute to second",
}


def _interval_suffix(modifier: int) -> str:
    fields = _INTERVAL_FIELDS.get((modifier >> 16) & 0x7FFF, "")
    precision = modifier & 0xFFFF
    return fields + (f"({precision})" if precision != 0xFFFF else "")
