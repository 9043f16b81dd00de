"""extract, date_part and date_trunc."""

from collections.abc import Callable
from typing import Final, TypeVar

from core.rows import Datum
from expr import datetime_fields as fields
from expr import datetime_parts as parts
from expr.calendar_days import MICROSECONDS_PER_SECOND
from expr.functions.casts import date_to_timestamp, is_finite_time
from expr.registry import define
from expr.scalar import EvaluationContext
from expr.timezones import Zone, from_local, offset_at, zone_named

TIMESTAMP_NAME: Final = "timestamp without time zone"
TIMESTAMPTZ_NAME: Final = "timestamp with time zone"
_OF_CLOCK: Final = frozenset({"hour", "minute", "second", "millisecond", "microsecond"})

Number = TypeVar("Number")


def _in_zone(
    function: Callable[..., Number],
) -> Callable[[EvaluationContext, str, int], Number]:
    """A field of a timestamptz: that of its wall clock and offset."""

    def of_moment(context: EvaluationContext, field: str, value: int) -> Number:
        if not is_finite_time(value):
            return function(field, value, TIMESTAMPTZ_NAME, value)
        offset = offset_at(zone_named(context.time_zone), value)
        local = value + offset * MICROSECONDS_PER_SECOND
        return function(field, local, TIMESTAMPTZ_NAME, value, offset)

    return of_moment


def _extract_timestamp(field: str, value: int) -> Datum:
    return fields.extract_timestamp(field, value, TIMESTAMP_NAME)


def _part_of_timestamp(field: str, value: int) -> Datum:
    return parts.part_of_timestamp(field, value, TIMESTAMP_NAME)


def _part_of_date(field: str, day: int) -> Datum:
    """That of the date's midnight, so that time fields are zero."""
    return _part_of_timestamp(field, date_to_timestamp(day))


def _truncate_timestamp(field: str, value: int) -> int:
    if not is_finite_time(value):
        fields.truncate_local(field, 0, TIMESTAMP_NAME)
        return value
    return fields.truncate_local(field, value, TIMESTAMP_NAME)


def _truncate_in_zone(field: str, value: int, zone: Zone) -> int:
    if not is_finite_time(value):
        fields.truncate_local(field, 0, TIMESTAMPTZ_NAME)
        return value
    offset = offset_at(zone, value)
    local = value + offset * MICROSECONDS_PER_SECOND
    truncated = fields.truncate_local(field, local, TIMESTAMPTZ_NAME)
    # Below a day the offset stays what it is; from a day on, the wall clock's new time decides.
    if fields.field_named(field, TIMESTAMPTZ_NAME) in _OF_CLOCK:
        return truncated - offset * MICROSECONDS_PER_SECOND
    return from_local(zone, truncated)


def _define_extract() -> None:
    define("extract(text,timestamp)", "numeric", _extract_timestamp)
    define("extract(text,date)", "numeric", fields.extract_date)
    define("extract(text,time)", "numeric", fields.extract_time)
    define("extract(text,interval)", "numeric", fields.extract_interval)
    define(
        *("extract(text,timestamptz)", "numeric", _in_zone(fields.extract_timestamp)),
        needs_context=True,
    )


def _define_date_part() -> None:
    define("date_part(text,timestamp)", "float8", _part_of_timestamp)
    define("date_part(text,date)", "float8", _part_of_date)
    define("date_part(text,time)", "float8", parts.part_of_time)
    define("date_part(text,interval)", "float8", parts.part_of_interval)
    define(
        *("date_part(text,timestamptz)", "float8", _in_zone(parts.part_of_timestamp)),
        needs_context=True,
    )


def _define_date_trunc() -> None:
    define("date_trunc(text,timestamp)", "timestamp", _truncate_timestamp)
    define("date_trunc(text,interval)", "interval", fields.truncate_interval)
    define(
        *("date_trunc(text,timestamptz)", "timestamptz"),
        lambda context, field, value: _truncate_in_zone(
            field, value, zone_named(context.time_zone)
        ),
        needs_context=True,
    )
    define(
        *("date_trunc(text,timestamptz,text)", "timestamptz"),
        lambda field, value, zone: _truncate_in_zone(field, value, zone_named(zone)),
    )


_define_extract()
_define_date_part()
_define_date_trunc()
