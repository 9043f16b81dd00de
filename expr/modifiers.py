"""Type modifiers: what the `(n)` after a type name means and how a value is fitted to it.

The numbers are PostgreSQL's typmods: length + 4 for varchar and bpchar, precision and scale packed
for numeric, digits of a second for times, digits and a range of fields for intervals.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final

from core.errors import (
    DATETIME_FIELD_OVERFLOW,
    INVALID_PARAMETER_VALUE,
    STRING_DATA_RIGHT_TRUNCATION,
    SYNTAX_ERROR,
    SqlError,
)
from core.rows import TIMESTAMP_INFINITY, Array, Datum, Interval
from core.sql_types import SqlType
from expr.calendar_days import MICROSECONDS_PER_HOUR, MICROSECONDS_PER_MINUTE
from expr.integers import split
from expr.intervals import fits, is_infinite
from expr.numeric import apply_typmod, precision_and_scale

Fitting = Callable[[Datum, bool], Datum]  # (value, is explicit cast) -> fitted value

MAX_CHARACTERS: Final = 10_485_760
_FULL_PRECISION: Final = 0xFFFF
_FULL_RANGE: Final = 0x7FFF
_FIELDS: Final = {"MONTH": 1, "YEAR": 2, "DAY": 3, "HOUR": 10, "MINUTE": 11, "SECOND": 12}
_RANGES: Final = {
    name: sum(1 << _FIELDS[field] for field in fields.split())
    for name, fields in {
        "YEAR": "YEAR",
        "MONTH": "MONTH",
        "DAY": "DAY",
        "HOUR": "HOUR",
        "MINUTE": "MINUTE",
        "SECOND": "SECOND",
        "YEAR TO MONTH": "YEAR MONTH",
        "DAY TO HOUR": "DAY HOUR",
        "DAY TO MINUTE": "DAY HOUR MINUTE",
        "DAY TO SECOND": "DAY HOUR MINUTE SECOND",
        "HOUR TO MINUTE": "HOUR MINUTE",
        "HOUR TO SECOND": "HOUR MINUTE SECOND",
        "MINUTE TO SECOND": "MINUTE SECOND",
    }.items()
}
_RANGE_NAMES: Final = {mask: name for name, mask in _RANGES.items()}


def type_modifier(type_oid: int, arguments: Sequence[int], interval_fields: str = "") -> int:
    """The modifier of `type(arguments)`; -1 for none. `interval_fields` is e.g. `DAY TO SECOND`.

    Raises SqlError for arguments that the type does not take.
    """
    if type_oid == 1186:
        return _interval_modifier(arguments, interval_fields)
    if not arguments:
        return -1
    match type_oid:
        case 1042 | 1043:
            return _length_modifier("char" if type_oid == 1042 else "varchar", arguments)
        case 1700:
            return _numeric_modifier(arguments)
        case 1083 | 1114 | 1184:
            return _precision("TIME" if type_oid == 1083 else "TIMESTAMP", arguments, type_oid)
        case _:
            name = SqlType(type_oid).info.sql_name
            raise SqlError(SYNTAX_ERROR, f'type modifier is not allowed for type "{name}"')


def _length_modifier(name: str, arguments: Sequence[int]) -> int:
    if len(arguments) != 1:
        raise SqlError(INVALID_PARAMETER_VALUE, "invalid type modifier")
    if arguments[0] < 1:
        raise SqlError(INVALID_PARAMETER_VALUE, f"length for type {name} must be at least 1")
    if arguments[0] > MAX_CHARACTERS:
        raise SqlError(
            INVALID_PARAMETER_VALUE, f"length for type {name} cannot exceed {MAX_CHARACTERS}"
        )
    return arguments[0] + 4


def _numeric_modifier(arguments: Sequence[int]) -> int:
    if len(arguments) > 2:
        raise SqlError(INVALID_PARAMETER_VALUE, "invalid NUMERIC type modifier")
    precision, scale = (*arguments, 0)[:2]
    if not 1 <= precision <= 1000:
        raise SqlError(
            INVALID_PARAMETER_VALUE, f"NUMERIC precision {precision} must be between 1 and 1000"
        )
    if not -1000 <= scale <= 1000:
        raise SqlError(
            INVALID_PARAMETER_VALUE, f"NUMERIC scale {scale} must be between -1000 and 1000"
        )
    return ((precision << 16) | (scale & 0x7FF)) + 4


def _precision(name: str, arguments: Sequence[int], type_oid: int) -> int:
    if len(arguments) != 1:
        raise SqlError(INVALID_PARAMETER_VALUE, "invalid type modifier")
    if arguments[0] < 0:
        zone = " WITH TIME ZONE" if type_oid == 1184 else ""
        raise SqlError(
            INVALID_PARAMETER_VALUE, f"{name}({arguments[0]}){zone} precision must not be negative"
        )
    return min(arguments[0], 6)


def _interval_modifier(arguments: Sequence[int], fields: str) -> int:
    if not arguments and not fields:
        return -1
    if fields and fields not in _RANGES:
        raise SqlError(INVALID_PARAMETER_VALUE, "invalid INTERVAL type modifier")
    if any(argument < 0 for argument in arguments):
        raise SqlError(
            INVALID_PARAMETER_VALUE, f"INTERVAL({arguments[0]}) precision must not be negative"
        )
    precision = min(arguments[0], 6) if arguments else _FULL_PRECISION
    return ((_RANGES[fields] if fields else _FULL_RANGE) << 16) | precision


def modifier_text(sql_type: SqlType) -> str:
    """What format_type() shows after the type's name: `(10,2)`, ` day to second(3)`, empty."""
    modifier = sql_type.modifier
    if modifier < 0:
        return ""
    element = sql_type.element
    match (element or sql_type).oid:
        case 1042 | 1043:
            return f"({modifier - 4})"
        case 1700:
            precision, scale = precision_and_scale(modifier)
            return f"({precision},{scale})"
        case 1083 | 1114 | 1184:
            return f"({modifier})"
        case 1186:
            fields = _RANGE_NAMES.get(modifier >> 16, "")
            precision = modifier & 0xFFFF
            digits = f"({precision})" if precision != _FULL_PRECISION else ""
            return f"{' ' if fields else ''}{fields.lower()}{digits}"
        case _:
            return ""


def format_type(sql_type: SqlType) -> str:
    """The SQL spelling of a type, as format_type() gives it."""
    element = sql_type.element
    if element is not None and sql_type.oid not in (22, 30):
        return f"{format_type(element)}[]"
    name = sql_type.info.sql_name
    text = modifier_text(sql_type)
    if sql_type.oid == 1042 and sql_type.modifier < 0:
        return "bpchar"
    if sql_type.oid in (1083, 1114, 1184) and text:
        first, _, rest = name.partition(" ")
        return f"{first}{text} {rest}"
    return name + text


@lru_cache(maxsize=1024)
def fitting(sql_type: SqlType) -> Fitting | None:
    """The function that fits a value to the type's modifier; None when there is nothing to do."""
    modifier = sql_type.modifier
    if modifier < 0:
        return None
    element = sql_type.element
    if element is not None:
        fit = fitting(element)
        return None if fit is None else partial(_fit_array, fit)
    match sql_type.oid:
        case 1043:
            return partial(_fit_varchar, modifier - 4)
        case 1042:
            return partial(_fit_bpchar, modifier - 4)
        case 1700:
            return lambda value, explicit: apply_typmod(value, modifier)
        case 1083:
            return partial(_fit_time, 10 ** (6 - modifier)) if modifier < 6 else None
        case 1114 | 1184:
            return partial(_fit_timestamp, 10 ** (6 - modifier)) if modifier < 6 else None
        case 1186:
            return partial(_fit_interval, modifier)
        case _:
            return None


def is_minute_to_second(modifier: int) -> bool:
    """Whether the modifier is that of an interval MINUTE TO SECOND."""
    return modifier >= 0 and modifier >> 16 == _RANGES["MINUTE TO SECOND"]


def default_interval_unit(modifier: int) -> str:
    """The unit of a bare number in a literal of an interval type: `interval '3' day`."""
    if modifier < 0:
        return "second"
    name = _RANGE_NAMES.get(modifier >> 16, "SECOND")
    return name.rpartition(" ")[2].lower()


def _fit_array(fit: Fitting, value: Array[Datum], explicit: bool) -> Array[Datum]:
    elements = tuple(None if item is None else fit(item, explicit) for item in value.elements)
    return Array(value.dimensions, elements)


def _fit_varchar(limit: int, value: str, explicit: bool) -> str:
    if len(value) <= limit:
        return value
    if not explicit and value[limit:].strip(" "):
        raise SqlError(
            STRING_DATA_RIGHT_TRUNCATION, f"value too long for type character varying({limit})"
        )
    return value[:limit]


def _fit_bpchar(limit: int, value: str, explicit: bool) -> str:
    if len(value) <= limit:
        return value.ljust(limit)
    if not explicit and value[limit:].strip(" "):
        raise SqlError(STRING_DATA_RIGHT_TRUNCATION, f"value too long for type character({limit})")
    return value[:limit]


def _fit_time(unit: int, value: int, explicit: bool) -> int:
    return (value + unit // 2) // unit * unit


def _fit_timestamp(unit: int, value: int, explicit: bool) -> int:
    if value in (TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY):
        return value
    if value >= 0:
        return (value + unit // 2) // unit * unit
    return -((-value + unit // 2) // unit * unit)


def _fit_interval(modifier: int, value: Interval, explicit: bool) -> Interval:
    if is_infinite(value):
        return value
    months, days, microseconds = value
    name = _RANGE_NAMES.get(modifier >> 16)
    if name in ("YEAR", "MONTH", "YEAR TO MONTH"):
        days = microseconds = 0
        if name == "YEAR":
            months = _toward_zero(months, 12)
    elif name == "DAY":
        microseconds = 0
    elif name in ("HOUR", "DAY TO HOUR"):
        microseconds = _toward_zero(microseconds, MICROSECONDS_PER_HOUR)
    elif name in ("MINUTE", "DAY TO MINUTE", "HOUR TO MINUTE"):
        microseconds = _toward_zero(microseconds, MICROSECONDS_PER_MINUTE)
    precision = modifier & 0xFFFF
    if precision < 6:
        unit = 10 ** (6 - precision)
        rounded = (abs(microseconds) + unit // 2) // unit * unit
        microseconds = rounded if microseconds >= 0 else -rounded
    if not fits(months, days, microseconds):
        raise SqlError(DATETIME_FIELD_OVERFLOW, "interval out of range")
    return Interval(months, days, microseconds)


def _toward_zero(value: int, unit: int) -> int:
    return value - split(value, unit)[1]
