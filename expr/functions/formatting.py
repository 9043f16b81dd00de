"""to_char, to_date, to_timestamp and to_number: values in and out of templates."""

from decimal import Decimal
from functools import partial

from core.errors import DATETIME_FIELD_OVERFLOW, SqlError
from core.rows import Interval
from core.sql_types import TIMESTAMPTZ, SqlType
from expr.calendar_days import (
    END_TIMESTAMP,
    MAX_DATE_DAY,
    MICROSECONDS_PER_DAY,
    MIN_DAY,
    MIN_TIMESTAMP,
)
from expr.functions.arithmetic import check_integer
from expr.functions.casts import is_finite_time
from expr.functions.interval_arithmetic import check_timestamp
from expr.intervals import is_infinite
from expr.modifiers import fitting
from expr.moment_fields import Found
from expr.moment_from_char import parse_moment
from expr.moment_to_char import format_moment, moment_of_interval, moment_of_timestamp
from expr.number_from_char import parse_number
from expr.number_to_char import float_to_char, integer_to_char, numeric_to_char
from expr.registry import define
from expr.scalar import EvaluationContext
from expr.timezones import abbreviation_at, from_local, offset_at, to_local, zone_named


def _timestamp_to_char(value: int, template: str) -> str | None:
    if not template or not is_finite_time(value):
        return None
    return format_moment(moment_of_timestamp(value), template)


def _timestamptz_to_char(context: EvaluationContext, value: int, template: str) -> str | None:
    if not template or not is_finite_time(value):
        return None
    zone = zone_named(context.time_zone)
    moment = moment_of_timestamp(
        to_local(zone, value), offset_at(zone, value), abbreviation_at(zone, value)
    )
    return format_moment(moment, template)


def _interval_to_char(value: Interval, template: str) -> str | None:
    if not template or is_infinite(value):
        return None
    return format_moment(moment_of_interval(*value), template)


def _day(text: str, found: Found) -> int:
    in_reach = -5_000_000 < found.year < 6_000_000
    day = found.day_number if in_reach else MAX_DATE_DAY + 1
    if not MIN_DAY <= day <= MAX_DATE_DAY:
        raise SqlError(DATETIME_FIELD_OVERFLOW, f'date out of range: "{text}"')
    return day


def _to_date(text: str, template: str) -> int:
    return _day(text, parse_moment(text, template))


def _to_timestamp(context: EvaluationContext, text: str, template: str) -> int:
    found = parse_moment(text, template)
    local = _day(text, found) * MICROSECONDS_PER_DAY + found.microseconds
    if not MIN_TIMESTAMP - MICROSECONDS_PER_DAY <= local < END_TIMESTAMP + MICROSECONDS_PER_DAY:
        raise SqlError(DATETIME_FIELD_OVERFLOW, "timestamp out of range")
    zone = zone_named(context.time_zone) if found.zone is None else found.zone
    moment = check_timestamp(from_local(zone, local))
    fit = fitting(SqlType(TIMESTAMPTZ.oid, found.fraction_digits))
    return moment if fit is None else fit(moment, False)


def _integer_to_char(type_name: str, value: int, template: str) -> str:
    check = partial(check_integer, type_name=type_name)
    return integer_to_char(check, value, template, is_exact=type_name == "int4")


def _to_number(text: str, template: str) -> Decimal | None:
    return parse_number(text, template) if template else None


def _define_all() -> None:
    define("to_char(timestamp,text)", "text", _timestamp_to_char)
    define("to_char(timestamptz,text)", "text", _timestamptz_to_char, needs_context=True)
    define("to_char(interval,text)", "text", _interval_to_char)
    define("to_number(text,text)", "numeric", _to_number)
    define("to_date(text,text)", "date", _to_date)
    define("to_timestamp(text,text)", "timestamptz", _to_timestamp, needs_context=True)
    for name in ("int4", "int8"):
        define(f"to_char({name},text)", "text", partial(_integer_to_char, name))
    define("to_char(numeric,text)", "text", numeric_to_char)
    define("to_char(float4,text)", "text", partial(float_to_char, precision=6))
    define("to_char(float8,text)", "text", partial(float_to_char, precision=15))


_define_all()
