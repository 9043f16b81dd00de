"""date_part: the fields of extract as floats.

Where a field has a fraction the float is not the nearest to extract's number: PostgreSQL adds and
divides floats there, and each step rounds, which shows in the last digit.
"""

from decimal import Decimal
from typing import Final

from core.rows import Interval
from expr.calendar_days import (
    EPOCH_JULIAN_DAY,
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_MINUTE,
    MICROSECONDS_PER_SECOND,
    UNIX_EPOCH_MICROSECONDS,
)
from expr.datetime_fields import extract_interval, extract_time, extract_timestamp, field_named
from expr.integers import split

_SECONDS_PER_DAY: Final = 86_400
_MAX_INT8: Final = 2**63 - 1


def part_of_timestamp(
    field_text: str, local: int, type_name: str, instant: int | None = None, offset: int = 0
) -> float | None:
    """A field of a wall clock; with `instant` (a timestamptz), of the time with that offset."""
    exact = extract_timestamp(field_text, local, type_name, instant, offset)
    if exact is None or exact.is_infinite():
        return as_float(exact)
    day, rest = divmod(local, MICROSECONDS_PER_DAY)
    match field_named(field_text, type_name):
        case "epoch":
            return _unix_seconds(local if instant is None else instant)
        case "julian":
            return day + EPOCH_JULIAN_DAY + _seconds(rest) / _SECONDS_PER_DAY
        case field:
            return _part_of_clock(field, rest, exact)


def part_of_time(field_text: str, value: int) -> float:
    """A field of a time of day."""
    exact = extract_time(field_text, value)
    return _part_of_clock(field_named(field_text, "time without time zone"), value, exact)


def part_of_interval(field_text: str, value: Interval) -> float | None:
    """A field of an interval, each part on its own."""
    exact = extract_interval(field_text, value)
    if exact is None or exact.is_infinite():
        return as_float(exact)
    match field_named(field_text, "interval"):
        case "epoch":
            return _interval_seconds(value)
        case field:
            return _part_of_clock(field, value.microseconds, exact)


def as_float(value: Decimal | None) -> float | None:
    """The nearest float."""
    return None if value is None else float(value)


def _part_of_clock(field: str, microseconds: int, exact: Decimal) -> float:
    in_minute = split(microseconds, MICROSECONDS_PER_MINUTE)[1]
    match field:
        case "second":
            return _seconds(in_minute)
        case "millisecond":
            whole, fraction = split(in_minute, MICROSECONDS_PER_SECOND)
            return whole * 1000 + fraction / 1000
        case _:
            return float(exact)


def _seconds(microseconds: int) -> float:
    whole, fraction = split(microseconds, MICROSECONDS_PER_SECOND)
    return whole + fraction / MICROSECONDS_PER_SECOND


def _unix_seconds(moment: int) -> float:
    if moment < _MAX_INT8 + UNIX_EPOCH_MICROSECONDS:
        return float(moment - UNIX_EPOCH_MICROSECONDS) / MICROSECONDS_PER_SECOND
    # The difference is no int8, so it is one of floats.
    return (float(moment) - UNIX_EPOCH_MICROSECONDS) / MICROSECONDS_PER_SECOND


def _interval_seconds(value: Interval) -> float:
    """A year counts 365.25 days and a month 30."""
    years, months = split(value.months, 12)
    seconds = float(value.microseconds) / MICROSECONDS_PER_SECOND
    seconds += 365.25 * _SECONDS_PER_DAY * years
    seconds += 30.0 * _SECONDS_PER_DAY * months
    return seconds + float(_SECONDS_PER_DAY) * value.days
