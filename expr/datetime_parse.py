"""Input of dates, times and timestamps in every form PostgreSQL reads."""

from core.errors import (
    DATETIME_FIELD_OVERFLOW,
    INVALID_DATETIME_FORMAT,
    INVALID_PARAMETER_VALUE,
    SqlError,
)
from core.rows import DATE_INFINITY, TIMESTAMP_INFINITY
from expr.calendar_days import (
    END_TIMESTAMP,
    MAX_DATE_DAY,
    MICROSECONDS_PER_DAY,
    MIN_DAY,
    MIN_TIMESTAMP,
    UNIX_EPOCH_DAY,
    UNIX_EPOCH_MICROSECONDS,
    day_number,
)
from expr.datetime_decoder import CORE_WORDS, Decoded, Decoder
from expr.datetime_lexer import split_fields
from expr.datetime_numbers import BadFormat, MonthOrDayOverflow, Overflow, UnknownZone, ZoneOverflow
from expr.datetime_text import quick_date, quick_time, quick_timestamp
from expr.timezones import Zone, from_local


def decode(
    text: str, type_name: str, order: str, session_zone: Zone, *, time_only: bool = False
) -> Decoded:
    """The decoded fields. Raises SqlError with PostgreSQL's code for what is wrong."""
    try:
        fields = split_fields(text, CORE_WORDS)
        if not fields:
            raise BadFormat
        return Decoder(order, session_zone, time_only=time_only).decode(fields)
    except BadFormat:
        raise SqlError(
            INVALID_DATETIME_FORMAT, f'invalid input syntax for type {type_name}: "{text}"'
        ) from None
    except MonthOrDayOverflow:
        raise SqlError(
            DATETIME_FIELD_OVERFLOW,
            f'date/time field value out of range: "{text}"',
            hint='Perhaps you need a different "DateStyle" setting.',
        ) from None
    except Overflow:
        raise SqlError(
            DATETIME_FIELD_OVERFLOW, f'date/time field value out of range: "{text}"'
        ) from None
    except ZoneOverflow:
        raise SqlError("22009", f'time zone displacement out of range: "{text}"') from None
    except UnknownZone as error:
        raise SqlError(
            INVALID_PARAMETER_VALUE, f'time zone "{error.args[0]}" not recognized'
        ) from None


def parse_date(text: str, order: str, zone: Zone) -> int:
    """date_in: a day number."""
    day = quick_date(text)
    if day is not None:
        return day
    decoded = decode(text, "date", order, zone)
    match decoded.special:
        case "infinity":
            return DATE_INFINITY
        case "-infinity":
            return -DATE_INFINITY
        case "epoch":
            return UNIX_EPOCH_DAY
    day = day_number(decoded.year, decoded.month, decoded.day)
    if not MIN_DAY <= day <= MAX_DATE_DAY:
        raise SqlError(DATETIME_FIELD_OVERFLOW, f'date out of range: "{text}"')
    return day


def parse_timestamp(text: str, order: str, zone: Zone) -> int:
    """timestamp_in: the wall clock; a zone in the text is read and ignored."""
    local = quick_timestamp(text)
    if local is not None:
        return local
    decoded = decode(text, "timestamp", order, zone)
    return _timestamp(decoded, text, None)


def parse_timestamptz(text: str, order: str, zone: Zone) -> int:
    """timestamptz_in: the time, read in the session's zone unless the text names one."""
    local = quick_timestamp(text)
    if local is not None:
        return from_local(zone, local)
    if text.endswith("+00"):
        local = quick_timestamp(text[:-3])
        if local is not None:
            return local
    decoded = decode(text, "timestamp with time zone", order, zone)
    return _timestamp(decoded, text, decoded.zone or zone)


def _timestamp(decoded: Decoded, text: str, zone: Zone | None) -> int:
    match decoded.special:
        case "infinity":
            return TIMESTAMP_INFINITY
        case "-infinity":
            return -TIMESTAMP_INFINITY
        case "epoch":
            return UNIX_EPOCH_MICROSECONDS
    day = day_number(decoded.year, decoded.month, decoded.day)
    local = day * MICROSECONDS_PER_DAY + decoded.microseconds
    in_reach = MIN_TIMESTAMP - MICROSECONDS_PER_DAY <= local <= END_TIMESTAMP + MICROSECONDS_PER_DAY
    if in_reach:
        moment = local if zone is None else from_local(zone, local)
        if MIN_TIMESTAMP <= moment < END_TIMESTAMP:
            return moment
    raise SqlError(DATETIME_FIELD_OVERFLOW, f'timestamp out of range: "{text}"')


def parse_time(text: str, order: str, zone: Zone) -> int:
    """time_in: microseconds since midnight, 24:00:00 included."""
    value = quick_time(text)
    if value is not None:
        return value
    decoded = decode(text, "time", order, zone, time_only=True)
    if decoded.special is not None:
        raise SqlError(INVALID_DATETIME_FORMAT, f'invalid input syntax for type time: "{text}"')
    return decoded.microseconds
