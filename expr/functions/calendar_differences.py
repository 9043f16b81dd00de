"""datediff: how many boundaries of a unit lie between two times.

From days on, units are counted on the calendar: the last second of a year and the first of the next
are a year apart. Below a day, and for weeks, whole units that have passed are counted.
"""

from collections.abc import Callable
from typing import Final

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from expr.calendar_days import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    MICROSECONDS_PER_SECOND,
    date_of,
)
from expr.datetime_fields import extract_date, field_named
from expr.errors import out_of_range
from expr.functions.casts import date_to_timestamp, is_finite_time, unlocalize
from expr.registry import define
from expr.scalar import EvaluationContext

_TYPE_NAME: Final = "timestamp without time zone"
_LENGTHS: Final = {
    "microsecond": 1,
    "millisecond": 1000,
    "second": MICROSECONDS_PER_SECOND,
    "minute": MICROSECONDS_PER_MINUTE,
    "hour": MICROSECONDS_PER_HOUR,
    "week": 7 * MICROSECONDS_PER_DAY,
}


def _field(name: str) -> Callable[[int], int]:
    return lambda day: int(extract_date(name, day) or 0)


def _month(day: int) -> int:
    year, month, _ = date_of(day)
    return 12 * year + month


_NUMBERS: Final[dict[str, Callable[[int], int]]] = {
    "day": lambda day: day,
    "month": _month,
    "quarter": lambda day: (_month(day) - 1) // 3,
    "year": lambda day: date_of(day)[0],
    "decade": _field("decade"),
    "century": _field("century"),
    "millennium": _field("millennium"),
}


def difference(unit: str, start: int, end: int) -> int:
    """The count of `unit` from one wall clock to another. Raises SqlError 22023, 22008."""
    name = field_named(unit, _TYPE_NAME)
    if not is_finite_time(start) or not is_finite_time(end):
        raise out_of_range("timestamp")
    length = _LENGTHS.get(name)
    if length is not None:
        passed = abs(end - start) // length
        return passed if end >= start else -passed
    number = _NUMBERS.get(name)
    if number is None:
        raise SqlError(INVALID_PARAMETER_VALUE, f'unit "{unit}" not supported for datediff')
    return number(end // MICROSECONDS_PER_DAY) - number(start // MICROSECONDS_PER_DAY)


def _of_instants(context: EvaluationContext, unit: str, start: int, end: int) -> int:
    return difference(unit, unlocalize(context, start), unlocalize(context, end))


define("datediff(text,timestamp,timestamp)", "int8", difference)
define("datediff(text,timestamptz,timestamptz)", "int8", _of_instants, needs_context=True)
define(
    *("datediff(text,date,date)", "int8"),
    lambda unit, a, b: difference(unit, date_to_timestamp(a), date_to_timestamp(b)),
)
