"""Arithmetic of intervals, dates, times and timestamps."""

import math
from typing import Final

from core.errors import DATETIME_FIELD_OVERFLOW, SqlError
from core.rows import DATE_INFINITY, TIMESTAMP_INFINITY, Interval
from expr.calendar_days import (
    END_TIMESTAMP,
    MAX_DATE_DAY,
    MICROSECONDS_PER_DAY,
    MIN_DAY,
    MIN_TIMESTAMP,
    date_of,
    day_number,
    days_in_month,
)
from expr.errors import division_by_zero
from expr.functions.casts import date_to_timestamp, is_finite_time
from expr.integers import wrap
from expr.intervals import INFINITE, NEGATIVE_INFINITE, checked, fits, is_infinite
from expr.registry import FunctionKind, define
from expr.scalar import EvaluationContext
from expr.timezones import Zone, from_local, to_local, zone_named

OPERATOR: Final = FunctionKind.OPERATOR
DAYS_PER_MONTH: Final = 30
MICROSECONDS_PER_SECOND: Final = 1_000_000


def _out_of_range(what: str) -> SqlError:
    return SqlError(DATETIME_FIELD_OVERFLOW, f"{what} out of range")


def check_timestamp(value: int) -> int:
    if MIN_TIMESTAMP <= value < END_TIMESTAMP:
        return value
    raise _out_of_range("timestamp")


def add_interval(left: Interval, right: Interval) -> Interval:
    if is_infinite(left) or is_infinite(right):
        if is_infinite(left) and is_infinite(right) and left != right:
            raise _out_of_range("interval")
        return left if is_infinite(left) else right
    return checked(left[0] + right[0], left[1] + right[1], left[2] + right[2])


def negate_interval(interval: Interval) -> Interval:
    if interval == INFINITE:
        return NEGATIVE_INFINITE
    if interval == NEGATIVE_INFINITE:
        return INFINITE
    return checked(-interval[0], -interval[1], -interval[2])


def subtract_interval(left: Interval, right: Interval) -> Interval:
    if is_infinite(left) and left == right:
        raise _out_of_range("interval")
    if is_infinite(right):
        return negate_interval(right)
    if is_infinite(left):
        return left
    return checked(left[0] - right[0], left[1] - right[1], left[2] - right[2])


def multiply_interval(interval: Interval, factor: float) -> Interval:
    """interval_mul: fractions of months spill into days, of days into time."""
    if factor != factor:
        raise _out_of_range("interval")
    if is_infinite(interval):
        if factor == 0:
            raise _out_of_range("interval")
        return interval if factor > 0 else negate_interval(interval)
    if math.isinf(factor):
        sign = _sign(interval)
        if sign == 0:
            raise _out_of_range("interval")
        return INFINITE if sign * factor > 0 else NEGATIVE_INFINITE
    return _scaled(interval, factor)


def divide_interval(interval: Interval, divisor: float) -> Interval:
    """interval_div."""
    if divisor == 0:
        raise division_by_zero()
    if divisor != divisor:
        raise _out_of_range("interval")
    if is_infinite(interval):
        if math.isinf(divisor):
            raise _out_of_range("interval")
        return interval if divisor > 0 else negate_interval(interval)
    months = interval.months / divisor
    days = interval.days / divisor
    return _spill(months, days, interval.microseconds / divisor)


def _scaled(interval: Interval, factor: float) -> Interval:
    months = interval.months * factor
    days = interval.days * factor
    return _spill(months, days, interval.microseconds * factor)


def _spill(months: float, days: float, microseconds: float) -> Interval:
    """Whole months and days, their fractions carried into days and time as PostgreSQL does."""
    if not (-(2**31) <= months < 2**31 and -(2**31) <= days < 2**31):
        raise _out_of_range("interval")
    whole_months, whole_days = int(months), int(days)
    month_remainder_days = _round_to_microsecond((months - whole_months) * DAYS_PER_MONTH)
    seconds_of_days = _round_to_microsecond(
        (days - whole_days + month_remainder_days - int(month_remainder_days)) * 86_400.0
    )
    if abs(seconds_of_days) >= 86_400:
        extra = int(seconds_of_days / 86_400)
        whole_days += extra
        seconds_of_days -= extra * 86_400
    whole_days += int(month_remainder_days)
    total = _nearest(microseconds + seconds_of_days * MICROSECONDS_PER_SECOND)
    if not fits(whole_months, whole_days, total):
        raise _out_of_range("interval")
    return checked(whole_months, whole_days, total)


def _round_to_microsecond(value: float) -> float:
    return _nearest(value * 1e6) / 1e6


def _nearest(value: float) -> int:
    if not math.isfinite(value):
        raise _out_of_range("interval")
    return round(value)


def _sign(interval: Interval) -> int:
    total = (interval.months * 30 + interval.days) * MICROSECONDS_PER_DAY + interval.microseconds
    return (total > 0) - (total < 0)


def _infinite_sum(timestamp: int, interval: Interval, sign: int) -> int | None:
    """The result when either operand is infinite; None when both are finite.

    An interval to subtract must have a negative, even if the result does not depend on it.
    """
    finite = is_finite_time(timestamp)
    if not is_infinite(interval):
        if sign < 0:
            negate_interval(interval)
        return None if finite else timestamp
    direction = sign if interval == INFINITE else -sign
    if not finite and (timestamp > 0) != (direction > 0):
        raise _out_of_range("timestamp")
    return TIMESTAMP_INFINITY * direction


def add_to_timestamp(timestamp: int, interval: Interval, sign: int = 1) -> int:
    """timestamp ± interval: months first, clipped to the month's end, then days, then time."""
    special = _infinite_sum(timestamp, interval, sign)
    if special is not None:
        return special
    months, days, microseconds = interval
    if months:
        timestamp = _add_months(timestamp, sign * months)
    return check_timestamp(timestamp + sign * (days * MICROSECONDS_PER_DAY + microseconds))


def _add_months(timestamp: int, months: int) -> int:
    day, rest = divmod(timestamp, MICROSECONDS_PER_DAY)
    year, month, day_of_month = date_of(day)
    years, month_index = divmod(month - 1 + months, 12)
    year += years
    month = month_index + 1
    day_of_month = min(day_of_month, days_in_month(year, month))
    return check_timestamp(day_number(year, month, day_of_month) * MICROSECONDS_PER_DAY + rest)


def add_to_timestamptz(
    context: EvaluationContext, timestamp: int, interval: Interval, sign: int = 1
) -> int:
    """timestamptz ± interval: months and days move the session's wall clock."""
    return add_in_zone(zone_named(context.time_zone), timestamp, interval, sign)


def add_in_zone(zone: Zone, timestamp: int, interval: Interval, sign: int = 1) -> int:
    special = _infinite_sum(timestamp, interval, sign)
    if special is not None:
        return special
    months, days, microseconds = interval
    if months or days:
        local = to_local(zone, timestamp)
        if months:
            local = _add_months(local, sign * months)
        local = check_timestamp(local + sign * days * MICROSECONDS_PER_DAY)
        timestamp = check_timestamp(from_local(zone, local))
    return check_timestamp(timestamp + sign * microseconds)


def subtract_timestamps(left: int, right: int) -> Interval:
    """The time between, in days and microseconds."""
    if not (is_finite_time(left) and is_finite_time(right)):
        if not is_finite_time(left) and not is_finite_time(right) and left == right:
            raise _out_of_range("interval")
        positive = left > 0 if not is_finite_time(left) else right < 0
        return INFINITE if positive else NEGATIVE_INFINITE
    difference = left - right
    if not -(2**63) <= difference < 2**63:
        raise _out_of_range("interval")
    days, rest = divmod(abs(difference), MICROSECONDS_PER_DAY)
    return Interval(0, -days, -rest) if difference < 0 else Interval(0, days, rest)


def add_days(day: int, count: int) -> int:
    if day in (DATE_INFINITY, -DATE_INFINITY):
        return day
    result = day + count
    if not MIN_DAY <= result <= MAX_DATE_DAY:
        raise SqlError(DATETIME_FIELD_OVERFLOW, "date out of range")
    return result


def _subtract_dates(left: int, right: int) -> int:
    if DATE_INFINITY in (abs(left), abs(right)):
        raise SqlError(DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates")
    return left - right


def _add_time(value: int, interval: Interval, sign: int = 1) -> int:
    if is_infinite(interval):
        word = "add" if sign > 0 else "subtract"
        preposition = "to" if sign > 0 else "from"
        raise SqlError(
            DATETIME_FIELD_OVERFLOW, f"cannot {word} infinite interval {preposition} time"
        )
    total = value + sign * interval.microseconds
    return wrap(total, 64) % MICROSECONDS_PER_DAY


def _date_and_time(day: int, time: int) -> int:
    base = date_to_timestamp(day)
    return check_timestamp(base + time) if is_finite_time(base) else base


def _define_all() -> None:
    define("+(interval,interval)", "interval", add_interval, kind=OPERATOR)
    define("-(interval,interval)", "interval", subtract_interval, kind=OPERATOR)
    define("-(interval)", "interval", negate_interval, kind=OPERATOR)
    define("*(interval,float8)", "interval", multiply_interval, kind=OPERATOR)
    define("*(float8,interval)", "interval", lambda a, b: multiply_interval(b, a), kind=OPERATOR)
    define("/(interval,float8)", "interval", divide_interval, kind=OPERATOR)
    define("+(date,int4)", "date", add_days, kind=OPERATOR)
    define("+(int4,date)", "date", lambda a, b: add_days(b, a), kind=OPERATOR)
    define("-(date,int4)", "date", lambda a, b: add_days(a, -b), kind=OPERATOR)
    define("-(date,date)", "int4", _subtract_dates, kind=OPERATOR)
    define("+(date,time)", "timestamp", _date_and_time, kind=OPERATOR)
    define("+(time,date)", "timestamp", lambda a, b: _date_and_time(b, a), kind=OPERATOR)
    define("+(time,interval)", "time", _add_time, kind=OPERATOR)
    define("+(interval,time)", "time", lambda a, b: _add_time(b, a), kind=OPERATOR)
    define("-(time,interval)", "time", lambda a, b: _add_time(a, b, -1), kind=OPERATOR)
    define("-(time,time)", "interval", lambda a, b: Interval(0, 0, a - b), kind=OPERATOR)
    define("-(timestamp,timestamp)", "interval", subtract_timestamps, kind=OPERATOR)
    define("-(timestamptz,timestamptz)", "interval", subtract_timestamps, kind=OPERATOR)
    for symbol, sign in (("+", 1), ("-", -1)):
        define(
            f"{symbol}(timestamp,interval)",
            "timestamp",
            lambda a, b, s=sign: add_to_timestamp(a, b, s),
            kind=OPERATOR,
        )
        define(
            f"{symbol}(timestamptz,interval)",
            "timestamptz",
            lambda c, a, b, s=sign: add_to_timestamptz(c, a, b, s),
            kind=OPERATOR,
            needs_context=True,
        )
        define(
            f"{symbol}(date,interval)",
            "timestamp",
            lambda a, b, s=sign: add_to_timestamp(date_to_timestamp(a), b, s),
            kind=OPERATOR,
        )
    define("+(interval,timestamp)", "timestamp", lambda a, b: add_to_timestamp(b, a), kind=OPERATOR)
    define(
        *("+(interval,timestamptz)", "timestamptz", lambda c, a, b: add_to_timestamptz(c, b, a)),
        kind=OPERATOR,
        needs_context=True,
    )
    define(
        *("+(interval,date)", "timestamp"),
        lambda a, b: add_to_timestamp(date_to_timestamp(b), a),
        kind=OPERATOR,
    )


_define_all()
