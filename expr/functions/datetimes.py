"""Functions of dates, times, timestamps and intervals."""

import math
from collections.abc import Iterator

from core.errors import DATETIME_FIELD_OVERFLOW, INVALID_PARAMETER_VALUE, SqlError
from core.rows import DATE_INFINITY, TIMESTAMP_INFINITY, Interval
from expr.calendar_days import (
    MAX_DATE_DAY,
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    MICROSECONDS_PER_SECOND,
    MIN_DAY,
    UNIX_EPOCH_MICROSECONDS,
    date_of,
    day_number,
    days_in_month,
)
from expr.datetime_numbers import BadFormat, Overflow, ZoneOverflow, offset_zone
from expr.errors import raise_float_overflow
from expr.floats import format_float8
from expr.functions.casts import is_finite_time, localize
from expr.functions.interval_arithmetic import (
    add_in_zone,
    add_to_timestamp,
    check_timestamp,
    subtract_timestamps,
)
from expr.integers import split, wrap
from expr.intervals import checked, fits, format_interval, is_infinite
from expr.registry import define
from expr.scalar import EvaluationContext
from expr.timezones import (
    Zone,
    from_local,
    to_local,
    zone_named,
)


def _zone(context: EvaluationContext) -> Zone:
    return zone_named(context.time_zone)


def _interval_offset(interval: Interval) -> int:
    if is_infinite(interval) or interval.months or interval.days:
        word = "be finite" if is_infinite(interval) else "not include months or days"
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            f'interval time zone "{format_interval(interval)}" must {word}',
        )
    seconds, _ = split(interval.microseconds, MICROSECONDS_PER_SECOND)
    return wrap(seconds, 32) * MICROSECONDS_PER_SECOND


def _to_zone(zone_name: str, moment: int) -> int:
    """timestamptz AT TIME ZONE: the wall clock there."""
    if not is_finite_time(moment):
        return moment
    return check_timestamp(to_local(zone_named(zone_name), moment))


def _from_zone(zone_name: str, local: int) -> int:
    """timestamp AT TIME ZONE: the time when the wall clock there shows it."""
    if not is_finite_time(local):
        return local
    return check_timestamp(from_local(zone_named(zone_name), local))


def _shift(interval: Interval, value: int, sign: int) -> int:
    if not is_finite_time(value):
        return value
    return check_timestamp(value + sign * _interval_offset(interval))


def _bin(stride: Interval, source: int, origin: int) -> int:
    """date_bin: the start of the bin of width `stride`, counted from `origin`."""
    if not is_finite_time(source):
        return source
    if not is_finite_time(origin):
        raise SqlError(DATETIME_FIELD_OVERFLOW, "origin out of range")
    if is_infinite(stride):
        raise SqlError(
            DATETIME_FIELD_OVERFLOW, "timestamps cannot be binned into infinite intervals"
        )
    if stride.months:
        raise SqlError(
            "0A000", "timestamps cannot be binned into intervals containing months or years"
        )
    width = stride.days * MICROSECONDS_PER_DAY + stride.microseconds
    if not -(2**63) <= width < 2**63 or not -(2**63) <= source - origin < 2**63:
        raise SqlError(DATETIME_FIELD_OVERFLOW, "interval out of range")
    if width <= 0:
        raise SqlError(DATETIME_FIELD_OVERFLOW, "stride must be greater than zero")
    return check_timestamp(origin + (source - origin) // width * width)


def age(left: int, right: int) -> Interval:
    """The symbolic difference in years, months, days and time."""
    if not (is_finite_time(left) and is_finite_time(right)):
        return subtract_timestamps(left, right)
    sign = -1 if left < right else 1
    later, earlier = (left, right) if sign > 0 else (right, left)
    later_day, later_time = divmod(later, MICROSECONDS_PER_DAY)
    earlier_day, earlier_time = divmod(earlier, MICROSECONDS_PER_DAY)
    year, month, day = date_of(later_day)
    other_year, other_month, other_day = date_of(earlier_day)
    time = later_time - earlier_time
    days = day - other_day
    months = month - other_month
    years = year - other_year
    if time < 0:
        time += MICROSECONDS_PER_DAY
        days -= 1
    if days < 0:
        days += days_in_month(other_year, other_month)
        months -= 1
    if months < 0:
        months += 12
        years -= 1
    return checked(sign * (years * 12 + months), sign * days, sign * time)


def _age_in_zone(context: EvaluationContext, left: int, right: int) -> Interval:
    zone = _zone(context)
    return age(
        to_local(zone, left) if is_finite_time(left) else left,
        to_local(zone, right) if is_finite_time(right) else right,
    )


def _make_date(year: int, month: int, day: int) -> int:
    astronomical = year + 1 if year < 0 else year
    shown = f"{astronomical}-{month:02d}-{day:02d}"
    if year == 0 or not 1 <= month <= 12 or not 1 <= day <= 31:
        raise SqlError(DATETIME_FIELD_OVERFLOW, f"date field value out of range: {shown}")
    if day > days_in_month(astronomical, month):
        raise SqlError(DATETIME_FIELD_OVERFLOW, f"date field value out of range: {shown}")
    result = day_number(astronomical, month, day)
    if not MIN_DAY <= result <= MAX_DATE_DAY:
        raise SqlError(DATETIME_FIELD_OVERFLOW, f"date out of range: {shown}")
    return result


def _make_time(hour: int, minute: int, second: float) -> int:
    if 0 <= hour <= 24 and 0 <= minute <= 59 and -1 < second < 61:
        microseconds = round(second * MICROSECONDS_PER_SECOND)
        total = hour * MICROSECONDS_PER_HOUR + minute * MICROSECONDS_PER_MINUTE + microseconds
        if 0 <= microseconds <= MICROSECONDS_PER_MINUTE and total <= MICROSECONDS_PER_DAY:
            return total
    raise SqlError(
        DATETIME_FIELD_OVERFLOW,
        f"time field value out of range: {hour}:{minute:02d}:{_general(second)}",
    )


def _general(second: float) -> str:
    return f"{second:02g}" if math.isfinite(second) else format_float8(second)


def _make_timestamp(year: int, month: int, day: int, hour: int, minute: int, second: float) -> int:
    date = _make_date(year, month, day)
    return check_timestamp(date * MICROSECONDS_PER_DAY + _make_time(hour, minute, second))


def _make_timestamptz(
    context: EvaluationContext,
    year: int,
    month: int,
    day: int,
    hour: int,
    minute: int,
    second: float,
    zone_name: str | None = None,
) -> int:
    local = _make_timestamp(year, month, day, hour, minute, second)
    zone = _zone(context) if zone_name is None else _zone_argument(zone_name)
    return check_timestamp(from_local(zone, local))


def _zone_argument(name: str) -> Zone:
    """The zone of a name or an offset whose sign, as that of a timestamp, is plus in the east."""
    if name[:1].isdigit():
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            f'invalid input syntax for type numeric time zone: "{name}"',
            hint='Numeric time zones must have "-" or "+" as first character.',
        )
    if not name.startswith(("+", "-")):
        return zone_named(name)
    try:
        return offset_zone(name)
    except (Overflow, ZoneOverflow):
        raise SqlError(
            INVALID_PARAMETER_VALUE, f'numeric time zone "{name}" out of range'
        ) from None
    except BadFormat:
        return zone_named(name)


def _make_interval(
    years: int = 0,
    months: int = 0,
    weeks: int = 0,
    days: int = 0,
    hours: int = 0,
    minutes: int = 0,
    seconds: float = 0.0,
) -> Interval:
    # The products have to fit before the rest is added.
    products = checked(years * 12, weeks * 7, 0)
    time = hours * MICROSECONDS_PER_HOUR + minutes * MICROSECONDS_PER_MINUTE
    whole = checked(products.months + months, products.days + days, time)
    if math.isfinite(seconds) and math.isinf(seconds * MICROSECONDS_PER_SECOND):
        raise_float_overflow()
    if not abs(seconds) < 2**63:  # NaN included
        raise SqlError(DATETIME_FIELD_OVERFLOW, "interval out of range")
    time += round(seconds * MICROSECONDS_PER_SECOND)
    return checked(whole.months, whole.days, time)


def _carry(high: int, low: int, unit: int) -> tuple[int, int]:
    """Move whole units from low to high, both then of one sign."""
    whole, low = split(low, unit)
    high += whole
    if high > 0 and low < 0:
        return high - 1, low + unit
    if high < 0 and low > 0:
        return high + 1, low - unit
    return high, low


def justify_hours(value: Interval) -> Interval:
    if is_infinite(value):
        return value
    days, microseconds = _carry(value.days, value.microseconds, MICROSECONDS_PER_DAY)
    return _justified(value.months, days, microseconds)


def justify_days(value: Interval) -> Interval:
    if is_infinite(value):
        return value
    months, days = _carry(value.months, value.days, 30)
    return _justified(months, days, value.microseconds)


def justify_interval(value: Interval) -> Interval:
    """Both, with one sign throughout."""
    if is_infinite(value):
        return value
    months, days, microseconds = value
    days, microseconds = _carry_plain(days, microseconds, MICROSECONDS_PER_DAY)
    months, days = _carry_plain(months, days, 30)
    if months > 0 and (days < 0 or (days == 0 and microseconds < 0)):
        days += 30
        months -= 1
    elif months < 0 and (days > 0 or (days == 0 and microseconds > 0)):
        days -= 30
        months += 1
    if days > 0 and microseconds < 0:
        microseconds += MICROSECONDS_PER_DAY
        days -= 1
    elif days < 0 and microseconds > 0:
        microseconds -= MICROSECONDS_PER_DAY
        days += 1
    return _justified(months, days, microseconds)


def _carry_plain(high: int, low: int, unit: int) -> tuple[int, int]:
    whole, low = split(low, unit)
    return high + whole, low


def _justified(months: int, days: int, microseconds: int) -> Interval:
    if not fits(months, days, microseconds):
        raise SqlError(DATETIME_FIELD_OVERFLOW, "interval out of range")
    return Interval(months, days, microseconds)


def _from_epoch(seconds: float) -> int:
    if seconds != seconds:
        raise SqlError(DATETIME_FIELD_OVERFLOW, "timestamp cannot be NaN")
    if math.isinf(seconds):
        return TIMESTAMP_INFINITY if seconds > 0 else -TIMESTAMP_INFINITY
    if not -210_866_803_200 <= seconds < 9_224_318_016_000:
        raise SqlError(DATETIME_FIELD_OVERFLOW, f'timestamp out of range: "{seconds:g}"')
    shifted = (seconds + UNIX_EPOCH_MICROSECONDS / MICROSECONDS_PER_SECOND) * 1e6
    return check_timestamp(round(shifted))


def _period(start: int | None, end: int | None) -> tuple[int, int | None] | None:
    """A period in order; one known end counts as its start, none makes it unknown."""
    if start is None:
        return None if end is None else (end, None)
    return (end, start) if end is not None and start > end else (start, end)


def _overlaps(
    start: int | None, end: int | None, other_start: int | None, other_end: int | None
) -> bool | None:
    """SQL's OVERLAPS of periods whose ends may be null."""
    one, other = _period(start, end), _period(other_start, other_end)
    if one is None or other is None:
        return None
    (later, later_end), (earlier, earlier_end) = (one, other) if one[0] > other[0] else (other, one)
    if later == earlier:
        return None if later_end is None or earlier_end is None else True
    if earlier_end is None:
        return None
    return True if later < earlier_end else None if later_end is None else False


def _define_zones() -> None:
    define("timezone(text,timestamptz)", "timestamp", _to_zone)
    define("timezone(text,timestamp)", "timestamptz", _from_zone)
    define("timezone(interval,timestamptz)", "timestamp", lambda i, v: _shift(i, v, 1))
    define("timezone(interval,timestamp)", "timestamptz", lambda i, v: _shift(i, v, -1))
    define("timezone(timestamptz)", "timestamp", _local_of, needs_context=True)
    define("timezone(timestamp)", "timestamptz", localize, needs_context=True)


def _local_of(context: EvaluationContext, moment: int) -> int:
    return to_local(_zone(context), moment) if is_finite_time(moment) else moment


def _define_functions() -> None:
    define("date_bin(interval,timestamp,timestamp)", "timestamp", _bin)
    define("date_bin(interval,timestamptz,timestamptz)", "timestamptz", _bin)
    define("age(timestamp,timestamp)", "interval", age)
    define("age(timestamptz,timestamptz)", "interval", _age_in_zone, needs_context=True)
    define("make_date(int4,int4,int4)", "date", _make_date)
    define("make_time(int4,int4,float8)", "time", _make_time)
    define("make_timestamp(int4,int4,int4,int4,int4,float8)", "timestamp", _make_timestamp)
    for suffix in ("", ",text"):
        define(
            f"make_timestamptz(int4,int4,int4,int4,int4,float8{suffix})",
            "timestamptz",
            _make_timestamptz,
            needs_context=True,
        )
    parameters = ("int4", "int4", "int4", "int4", "int4", "int4", "float8")
    for count in range(8):
        define(f"make_interval({','.join(parameters[:count])})", "interval", _make_interval)
    define("justify_hours(interval)", "interval", justify_hours)
    define("justify_days(interval)", "interval", justify_days)
    define("justify_interval(interval)", "interval", justify_interval)
    define("to_timestamp(float8)", "timestamptz", _from_epoch)
    define("isfinite(date)", "bool", lambda day: abs(day) != DATE_INFINITY)
    define("isfinite(timestamp)", "bool", is_finite_time)
    define("isfinite(timestamptz)", "bool", is_finite_time)
    define("isfinite(interval)", "bool", lambda value: not is_infinite(value))
    for name, sign in (("date_add", 1), ("date_subtract", -1)):
        define(
            *(f"{name}(timestamptz,interval)", "timestamptz"),
            lambda context, value, step, s=sign: add_in_zone(_zone(context), value, step, s),
            needs_context=True,
        )
        define(
            *(f"{name}(timestamptz,interval,text)", "timestamptz"),
            lambda value, step, zone, s=sign: add_in_zone(zone_named(zone), value, step, s),
        )
    for name in ("timestamp", "timestamptz", "time"):
        define(f"overlaps({','.join([name] * 4)})", "bool", _overlaps, strict=False)


def timestamp_series(
    start: int, stop: int, step: Interval, zone: Zone | None
) -> Iterator[tuple[int]]:
    """generate_series of timestamps; with a zone, of timestamptz values."""
    if is_infinite(step):
        raise SqlError(INVALID_PARAMETER_VALUE, "step size cannot be infinite")
    length = (step.months * 30 + step.days) * MICROSECONDS_PER_DAY + step.microseconds
    if length == 0:
        raise SqlError(INVALID_PARAMETER_VALUE, "step size cannot equal zero")
    current = start
    while current <= stop if length > 0 else current >= stop:
        yield (current,)
        following = (
            add_to_timestamp(current, step) if zone is None else add_in_zone(zone, current, step)
        )
        if following == current:
            return
        current = following


_define_zones()
_define_functions()
