"""Fields of dates and times: extract, date_part and date_trunc.

Field names may be plural or abbreviated as in interval input. extract gives numerics with the
scales PostgreSQL gives them, date_part the same numbers as floats.
"""

from decimal import Decimal
from typing import Final

from core.errors import FEATURE_NOT_SUPPORTED, INVALID_PARAMETER_VALUE, SqlError
from core.rows import DATE_INFINITY, TIMESTAMP_INFINITY, Interval
from expr.calendar_days import (
    EPOCH_JULIAN_DAY,
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    MICROSECONDS_PER_SECOND,
    UNIX_EPOCH_DAY,
    UNIX_EPOCH_MICROSECONDS,
    date_of,
    day_number,
    day_of_year,
    iso_year_and_week,
    weekday,
)
from expr.integers import split
from expr.intervals import UNIT_NAMES, is_infinite
from expr.numeric import EXACT, INFINITY, divide

_ALIASES: Final = {
    **UNIT_NAMES,
    **{"dow": "dow", "isodow": "isodow", "doy": "doy", "epoch": "epoch", "isoyear": "isoyear"},
    **{"julian": "julian", "jd": "julian", "j": "julian", "timezone": "timezone"},
    **{"timezone_h": "timezone_hour", "timezone_hour": "timezone_hour"},
    **{"timezone_m": "timezone_minute", "timezone_minute": "timezone_minute"},
}
# Fields that never end, for infinite values.
_NO_UNITS: Final = frozenset({"epoch", "dow", "doy", "isodow", "isoyear", "julian"})
_MONOTONIC: Final = frozenset(
    {"epoch", "julian", "year", "isoyear", "decade", "century", "millennium"}
)
_OSCILLATING: Final = frozenset(
    {"microsecond", "millisecond", "second", "minute", "hour", "day", "month", "quarter", "week"}
    | {"dow", "isodow", "doy", "timezone", "timezone_hour", "timezone_minute"}
)


def field_named(name: str, type_name: str) -> str:
    """The field's canonical name. Raises SqlError 22023."""
    field = _ALIASES.get(name.lower())
    if field is None:
        raise _unrecognized(name, type_name)
    return field


def _truncation_named(name: str, type_name: str) -> str:
    """The same for date_trunc, to which some fields are no units."""
    field = field_named(name, type_name)
    if field in _NO_UNITS:
        raise _unrecognized(name, type_name)
    return field


def _unrecognized(name: str, type_name: str) -> SqlError:
    return SqlError(
        INVALID_PARAMETER_VALUE, f'unit "{name.lower()}" not recognized for type {type_name}'
    )


def _unsupported(field: str, type_name: str) -> SqlError:
    return SqlError(FEATURE_NOT_SUPPORTED, f'unit "{field}" not supported for type {type_name}')


def _scaled(value: int, digits: int) -> Decimal:
    return EXACT.scaleb(Decimal(value), -digits)


def extract_timestamp(
    field_text: str, local: int, type_name: str, instant: int | None = None, offset: int = 0
) -> Decimal | None:
    """A field of a wall clock; with `instant` (a timestamptz), of the time with that offset."""
    field = field_named(field_text, type_name)
    if local in (TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY):
        return _of_infinite(field, field_text, type_name, positive=local > 0)
    if instant is not None:
        match field:
            case "timezone":
                return Decimal(offset)
            case "timezone_hour":
                return Decimal(split(offset, 3600)[0])
            case "timezone_minute":
                return Decimal(split(split(offset, 3600)[1], 60)[0])
    elif field.startswith("timezone"):
        raise _unsupported(field_text.lower(), type_name)
    if field == "epoch":
        moment = local if instant is None else instant
        return _scaled(moment - UNIX_EPOCH_MICROSECONDS, 6)
    day, rest = divmod(local, MICROSECONDS_PER_DAY)
    if field == "julian":
        fraction = divide(Decimal(rest), Decimal(MICROSECONDS_PER_DAY))
        return EXACT.add(Decimal(day + EPOCH_JULIAN_DAY), fraction)
    found = _time_field(field, rest)
    if found is None:
        found = _date_field(field, day)
    if found is None:
        raise _unsupported(field_text.lower(), type_name)
    return found


def _of_infinite(field: str, field_text: str, type_name: str, *, positive: bool) -> Decimal | None:
    if field in _MONOTONIC:
        return INFINITY if positive else INFINITY.copy_negate()
    if field in _OSCILLATING:
        if field.startswith("timezone") and type_name == "date":
            raise _unsupported(field_text.lower(), type_name)
        return None
    raise _unsupported(field_text.lower(), type_name)


def _time_field(field: str, rest: int) -> Decimal | None:
    match field:
        case "microsecond":
            return Decimal(rest % MICROSECONDS_PER_MINUTE)
        case "millisecond":
            return _scaled(rest % MICROSECONDS_PER_MINUTE, 3)
        case "second":
            return _scaled(rest % MICROSECONDS_PER_MINUTE, 6)
        case "minute":
            return Decimal(rest // MICROSECONDS_PER_MINUTE % 60)
        case "hour":
            return Decimal(rest // MICROSECONDS_PER_HOUR)
        case _:
            return None


def _date_field(field: str, day: int) -> Decimal | None:
    year, month, day_of_month = date_of(day)
    match field:
        case "day":
            return Decimal(day_of_month)
        case "month":
            return Decimal(month)
        case "quarter":
            return Decimal((month - 1) // 3 + 1)
        case "week":
            return Decimal(iso_year_and_week(day)[1])
        case "year":
            return Decimal(year if year > 0 else year - 1)
        case "decade":
            return Decimal(year // 10)
        case "century":
            return Decimal((year + 99) // 100 if year > 0 else -((99 - (year - 1)) // 100))
        case "millennium":
            return Decimal((year + 999) // 1000 if year > 0 else -((999 - (year - 1)) // 1000))
        case "isoyear":
            iso_year = iso_year_and_week(day)[0]
            return Decimal(iso_year if iso_year > 0 else iso_year - 1)
        case "dow":
            return Decimal(weekday(day))
        case "isodow":
            return Decimal((weekday(day) + 6) % 7 + 1)
        case "doy":
            return Decimal(day_of_year(day))
        case _:
            return None


def extract_date(field_text: str, day: int) -> Decimal | None:
    """A field of a date; time fields are not supported."""
    field = field_named(field_text, "date")
    if day in (DATE_INFINITY, -DATE_INFINITY):
        if field in ("hour", "minute", "second", "millisecond", "microsecond"):
            raise _unsupported(field_text.lower(), "date")
        return _of_infinite(field, field_text, "date", positive=day > 0)
    match field:
        case "epoch":
            return Decimal((day - UNIX_EPOCH_DAY) * 86_400)
        case "julian":
            return Decimal(day + EPOCH_JULIAN_DAY)
    found = _date_field(field, day)
    if found is None:
        raise _unsupported(field_text.lower(), "date")
    return found


def extract_time(field_text: str, value: int) -> Decimal:
    """A field of a time of day."""
    type_name = "time without time zone"
    field = field_named(field_text, type_name)
    if field == "epoch":
        return _scaled(value, 6)
    found = _time_field(field, value)
    if found is None:
        raise _unsupported(field_text.lower(), type_name)
    return found


def extract_interval(field_text: str, value: Interval) -> Decimal | None:
    """A field of an interval, each part on its own."""
    field = field_named(field_text, "interval")
    if is_infinite(value):
        return _of_infinite_interval(field, field_text, positive=value.months > 0)
    years, months = split(value.months, 12)
    minutes, in_minute = split(value.microseconds, MICROSECONDS_PER_MINUTE)
    hours, minutes = split(minutes, 60)
    match field:
        case "microsecond" | "millisecond" | "second":
            digits = {"microsecond": 0, "millisecond": 3, "second": 6}[field]
            return _scaled(in_minute, digits)
        case "minute":
            return Decimal(minutes)
        case "hour":
            return Decimal(hours)
        case "day":
            return Decimal(value.days)
        case "week":
            return Decimal(split(value.days, 7)[0])
        case "month":
            return Decimal(months)
        case "quarter":
            return Decimal(split(months, 3)[0] + (-1 if value.months < 0 else 1))
        case "year":
            return Decimal(years)
        case "decade":
            return Decimal(split(years, 10)[0])
        case "century":
            return Decimal(split(years, 100)[0])
        case "millennium":
            return Decimal(split(years, 1000)[0])
        case "epoch":
            return _interval_epoch(value)
        case _:
            raise _unsupported(field_text.lower(), "interval")


def _interval_epoch(value: Interval) -> Decimal:
    """Seconds, a year counting 365.25 days and a month 30."""
    years, months = split(value.months, 12)
    hundredths_of_days = years * 36_525 + months * 3_000 + value.days * 100
    total = hundredths_of_days * 864 * MICROSECONDS_PER_SECOND + value.microseconds
    return _scaled(total, 6)


def _of_infinite_interval(field: str, field_text: str, *, positive: bool) -> Decimal | None:
    if field in ("epoch", "hour", "day", "year", "decade", "century", "millennium"):
        return INFINITY if positive else INFINITY.copy_negate()
    if field in ("microsecond", "millisecond", "second", "minute", "week", "month", "quarter"):
        return None
    raise _unsupported(field_text.lower(), "interval")


def truncate_local(field_text: str, local: int, type_name: str) -> int:
    """date_trunc of a finite wall clock."""
    field = _truncation_named(field_text, type_name)
    unit = {
        "microsecond": 1,
        "millisecond": 1_000,
        "second": MICROSECONDS_PER_SECOND,
        "minute": MICROSECONDS_PER_MINUTE,
        "hour": MICROSECONDS_PER_HOUR,
        "day": MICROSECONDS_PER_DAY,
    }.get(field)
    if unit is not None:
        return local // unit * unit
    return _truncate_day(field, field_text, local // MICROSECONDS_PER_DAY, type_name) * (
        MICROSECONDS_PER_DAY
    )


def _truncate_day(field: str, field_text: str, day: int, type_name: str) -> int:
    year, month, _ = date_of(day)
    match field:
        case "week":
            return day - (weekday(day) + 6) % 7
        case "month":
            return day_number(year, month, 1)
        case "quarter":
            return day_number(year, (month - 1) // 3 * 3 + 1, 1)
        case "year":
            return day_number(year, 1, 1)
        case "decade":
            return day_number(year // 10 * 10, 1, 1)
        case "century":
            return day_number((year - 1) // 100 * 100 + 1, 1, 1)
        case "millennium":
            return day_number((year - 1) // 1000 * 1000 + 1, 1, 1)
        case _:
            raise _unsupported(field_text.lower(), type_name)


def truncate_interval(field_text: str, value: Interval) -> Interval:
    """date_trunc of an interval: smaller parts become zero."""
    field = _truncation_named(field_text, "interval")
    if field == "week":
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            f'unit "{field_text.lower()}" not supported for type interval',
            detail="Months usually have fractional weeks.",
        )
    months, days, microseconds = value
    in_months = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200} | {
        "millennium": 12_000
    }
    in_microseconds = {"hour": MICROSECONDS_PER_HOUR, "minute": MICROSECONDS_PER_MINUTE} | {
        "second": MICROSECONDS_PER_SECOND,
        "millisecond": 1_000,
        "microsecond": 1,
    }
    if field not in in_months and field not in in_microseconds and field != "day":
        raise _unsupported(field_text.lower(), "interval")
    if is_infinite(value):
        return value
    if field in in_months:
        return Interval(_toward_zero(months, in_months[field]), 0, 0)
    if field == "day":
        return Interval(months, days, 0)
    return Interval(months, days, _toward_zero(microseconds, in_microseconds[field]))


def _toward_zero(value: int, unit: int) -> int:
    return value - split(value, unit)[1]
