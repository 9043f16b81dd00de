"""Intervals: text in and out, ranges and arithmetic.

An interval's infinities are its extreme values in all three parts, as in PostgreSQL 17 and later.
"""

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from core.errors import DATETIME_FIELD_OVERFLOW, INVALID_DATETIME_FORMAT, SqlError
from core.rows import Interval
from expr.calendar_days import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    MICROSECONDS_PER_SECOND,
)
from expr.datetime_lexer import Field, FieldKind, split_fields

MAX_INT4: Final = 2**31 - 1
MAX_INT8: Final = 2**63 - 1
INFINITE: Final = Interval(MAX_INT4, MAX_INT4, MAX_INT8)
NEGATIVE_INFINITE: Final = Interval(-MAX_INT4 - 1, -MAX_INT4 - 1, -MAX_INT8 - 1)
_MICROSECOND_UNITS: Final = {
    "microsecond": 1,
    "millisecond": 1_000,
    "second": MICROSECONDS_PER_SECOND,
    "minute": MICROSECONDS_PER_MINUTE,
    "hour": MICROSECONDS_PER_HOUR,
}
_MONTH_UNITS: Final = {
    **{"month": 1, "year": 12, "decade": 120, "century": 1200, "millennium": 12_000, "quarter": 3}
}
UNIT_NAMES: Final = {
    word: unit
    for unit, words in {
        "microsecond": "us usec usecs microsecond microseconds microsecon",
        "millisecond": "ms msec msecs millisecond milliseconds mseconds millisecon",
        "second": "s sec secs second seconds",
        "minute": "m min mins minute minutes",
        "hour": "h hr hrs hour hours",
        "day": "d day days",
        "week": "w week weeks",
        "month": "mon mons month months",
        "quarter": "qtr quarter",
        "year": "y yr yrs year years",
        "decade": "dec decs decade decades",
        "century": "c cent century centuries",
        "millennium": "mil mils millennia millennium",
    }.items()
    for word in words.split()
}
_ISO: Final = re.compile(r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+))([YMWDHS])", re.ASCII)
_ISO_ALTERNATIVE: Final = re.compile(
    r"P([+-]?\d+)-([+-]?\d+)-([+-]?\d+)(?:T([+-]?\d+):([+-]?\d+)(?::([+-]?\d+(?:\.\d*)?))?)?",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?", re.ASCII)
_YEAR_MONTH: Final = re.compile(r"([+-]?)(\d+)-(\d+)", re.ASCII)
_CLOCK: Final = re.compile(r"([+-]?)(\d+):(\d+)(?::(\d+))?(?:\.(\d*))?", re.ASCII)


class _BadFormat(Exception):
    """The text is no interval."""


class _Overflow(Exception):
    """A part of the interval does not fit."""


class _Sum:
    """An interval being added up, fractions spilling into the smaller parts."""

    def __init__(self) -> None:
        self.months = self.days = self.microseconds = 0

    def add(self, value: Decimal, unit: str) -> None:
        whole = int(value)
        fraction = value - whole
        if unit in _MICROSECOND_UNITS:
            exact = value * _MICROSECOND_UNITS[unit]
            self.microseconds += int(exact.to_integral_value(ROUND_HALF_EVEN))
        elif unit == "day":
            self.days += whole
            self._fraction_of_days(fraction)
        elif unit == "week":
            self.days += whole * 7
            self._fraction_of_days(fraction * 7)
        elif unit == "month":
            self.months += whole
            self._fraction_of_days(fraction * 30)
        else:
            factor = _MONTH_UNITS[unit]
            self.months += whole * factor
            self.months += int((fraction * factor).to_integral_value(ROUND_HALF_EVEN))

    def _fraction_of_days(self, days: Decimal) -> None:
        whole = int(days)
        self.days += whole
        rest = (days - whole) * MICROSECONDS_PER_DAY
        self.microseconds += int(rest.to_integral_value(ROUND_HALF_EVEN))

    def result(self, *, negated: bool) -> Interval:
        sign = -1 if negated else 1
        parts = (sign * self.months, sign * self.days, sign * self.microseconds)
        if not fits(*parts):
            raise _Overflow
        return Interval(*parts)


def fits(months: int, days: int, microseconds: int) -> bool:
    """Whether the three parts fit into an interval (the infinities' values included)."""
    return (
        -MAX_INT4 - 1 <= months <= MAX_INT4
        and -MAX_INT4 - 1 <= days <= MAX_INT4
        and -MAX_INT8 - 1 <= microseconds <= MAX_INT8
    )


def checked(months: int, days: int, microseconds: int) -> Interval:
    """An interval computed from finite ones; raises SqlError 22008 when it does not fit."""
    result = Interval(months, days, microseconds)
    if not fits(months, days, microseconds) or is_infinite(result):
        raise SqlError(DATETIME_FIELD_OVERFLOW, "interval out of range")
    return result


def is_infinite(interval: Interval) -> bool:
    return interval in (INFINITE, NEGATIVE_INFINITE)


def parse_interval(
    text: str, default_unit: str = "second", *, is_minute_to_second: bool = False
) -> Interval:
    """interval_in without precision; `default_unit` is that of a last number without one. In a
    MINUTE TO SECOND interval `a:b` are minutes and seconds, not hours and minutes."""
    try:
        result = _parse(text, default_unit, is_minute_to_second)
    except _BadFormat:
        raise SqlError(
            INVALID_DATETIME_FORMAT, f'invalid input syntax for type interval: "{text}"'
        ) from None
    except _Overflow:
        raise SqlError("22015", f'interval field value out of range: "{text}"') from None
    return result


def _parse(text: str, default_unit: str, is_minute_to_second: bool) -> Interval:
    stripped = text.strip(" \t\n\r\f\v")
    if stripped[:1] == "P":
        return _parse_iso(stripped)
    fields = split_fields(text, frozenset(UNIT_NAMES) | {"t"})
    if not fields:
        raise _BadFormat
    if len(fields) == 1 and fields[0].text.lstrip("+-") in ("infinity", "inf"):
        return NEGATIVE_INFINITE if fields[0].text[0] == "-" else INFINITE
    return _IntervalDecoder(fields, default_unit, is_minute_to_second).decode()


class _IntervalDecoder:
    """Reads the fields from the right, so that a unit is known before its number."""

    def __init__(self, fields: list[Field], default_unit: str, is_minute_to_second: bool) -> None:
        self.is_minute_to_second = is_minute_to_second
        self.fields = fields
        self.unit: str | None = None
        self.default_unit: str | None = default_unit
        self.total = _Sum()
        self.seen: set[str] = set()
        self.is_negated = False

    def decode(self) -> Interval:
        for position in range(len(self.fields) - 1, -1, -1):
            self._field(self.fields[position], position)
        if not self.seen or self.unit is not None:
            raise _BadFormat
        return self.total.result(negated=self.is_negated)

    def _field(self, field: Field, position: int) -> None:
        text = field.text
        if field.kind is FieldKind.TIME or (field.kind is FieldKind.ZONE and ":" in text):
            self._clock(text)
        elif field.kind in (FieldKind.NUMBER, FieldKind.ZONE, FieldKind.DATE):
            year_month = _YEAR_MONTH.fullmatch(text)
            if year_month is not None:
                self._year_month(year_month)
            else:
                self._number(text)
        elif text == "ago":
            if position != len(self.fields) - 1:
                raise _BadFormat
            self.is_negated = True
        elif text in UNIT_NAMES and self.unit is None:
            self.unit = UNIT_NAMES[text]
        else:
            raise _BadFormat

    def _clock(self, text: str) -> None:
        match = _CLOCK.fullmatch(text)
        if match is None:
            raise _BadFormat
        sign, first, second, third, fraction = match.groups()
        self._mark("hour", "minute", "second")
        if third is None and (fraction is not None or self.is_minute_to_second):
            hours, minutes, seconds = 0, int(first), int(second)
        else:
            hours, minutes, seconds = int(first), int(second), int(third or 0)
        if minutes > 59 or seconds > 60 or len(first) > 12:
            raise _Overflow
        total = ((hours * 60 + minutes) * 60 + seconds) * MICROSECONDS_PER_SECOND
        if fraction:
            total += round(float(f"0.{fraction}") * MICROSECONDS_PER_SECOND)
        self.total.microseconds += -total if sign == "-" else total
        self.unit = None
        self.default_unit = "day"

    def _year_month(self, match: re.Match[str]) -> None:
        years, months = int(match[2]), int(match[3])
        if months >= 12 or len(match[2]) > 10:
            raise _Overflow
        self._mark("year", "month")
        total = years * 12 + months
        self.total.months += -total if match[1] == "-" else total
        self.unit = None
        self.default_unit = None

    def _number(self, text: str) -> None:
        match = _NUMBER.fullmatch(text)
        if match is None or not (match[2] or match[3]):
            raise _BadFormat
        if len(text) > 40 or len(match[2]) > 19:
            raise _Overflow
        unit = self.unit or self.default_unit
        if unit is None:
            raise _BadFormat
        self._mark(unit)
        self.total.add(Decimal(text if text[-1] != "." else text + "0"), unit)
        self.unit = None
        # A number without a unit may only be the last one, but for `day time`.
        self.default_unit = None if self.default_unit != "day" else "day"
        if unit == "day":
            self.default_unit = None

    def _mark(self, *units: str) -> None:
        for unit in units:
            key = {"microsecond": "us", "millisecond": "ms"}.get(unit, unit)
            if key in self.seen:
                raise _BadFormat
            self.seen.add(key)


def _parse_iso(text: str) -> Interval:
    alternative = _ISO_ALTERNATIVE.fullmatch(text)
    total = _Sum()
    if alternative is not None:
        units = ("year", "month", "day", "hour", "minute", "second")
        for value, unit in zip(alternative.groups(), units, strict=True):
            if value is not None:
                total.add(Decimal(value), unit)
        return total.result(negated=False)
    date_part, separator, time_part = text[1:].partition("T")
    if not (date_part or time_part) or (separator and not time_part):
        raise _BadFormat
    date_units = {"Y": "year", "M": "month", "W": "week", "D": "day"}
    time_units = {"H": "hour", "M": "minute", "S": "second"}
    for part, units_by_letter in ((date_part, date_units), (time_part, time_units)):
        position = 0
        while position < len(part):
            match = _ISO.match(part, position)
            if match is None or match[2] not in units_by_letter:
                raise _BadFormat
            if len(match[1]) > 40:
                raise _Overflow
            total.add(Decimal(match[1].replace(",", ".")), units_by_letter[match[2]])
            position = match.end()
    return total.result(negated=False)


def format_interval(interval: Interval, style: str = "postgres") -> str:
    """interval_out."""
    if interval == INFINITE:
        return "infinity"
    if interval == NEGATIVE_INFINITE:
        return "-infinity"
    match style:
        case "iso_8601":
            return _format_iso(interval)
        case "sql_standard":
            return _format_sql(interval)
        case "postgres_verbose":
            return _format_verbose(interval)
        case _:
            return _format_postgres(interval)


def _truncated(value: int, divisor: int) -> tuple[int, int]:
    """Quotient and remainder that both carry the sign of `value`."""
    quotient, remainder = divmod(abs(value), divisor)
    return (-quotient, -remainder) if value < 0 else (quotient, remainder)


def _clock_parts(microseconds: int) -> tuple[int, int, int, int]:
    minutes, rest = divmod(abs(microseconds), MICROSECONDS_PER_MINUTE)
    seconds, fraction = divmod(rest, MICROSECONDS_PER_SECOND)
    return minutes // 60, minutes % 60, seconds, fraction


def _seconds_text(seconds: int, fraction: int, width: int) -> str:
    text = f"{seconds:0{width}d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def _format_postgres(interval: Interval) -> str:
    years, months = _truncated(interval.months, 12)
    parts: list[str] = []
    was_negative = False
    for value, unit in ((years, "year"), (months, "mon"), (interval.days, "day")):
        if value == 0:
            continue
        sign = "+" if was_negative and value > 0 else ""
        parts.append(f"{sign}{value} {unit}{'' if value == 1 else 's'}")
        was_negative = value < 0
    if interval.microseconds != 0 or not parts:
        hours, minutes, seconds, fraction = _clock_parts(interval.microseconds)
        sign = "-" if interval.microseconds < 0 else "+" if was_negative else ""
        parts.append(f"{sign}{hours:02d}:{minutes:02d}:{_seconds_text(seconds, fraction, 2)}")
    return " ".join(parts)


def _format_iso(interval: Interval) -> str:
    years, months = _truncated(interval.months, 12)
    if interval == (0, 0, 0):
        return "PT0S"
    text = "P"
    for value, letter in ((years, "Y"), (months, "M"), (interval.days, "D")):
        if value:
            text += f"{value}{letter}"
    if interval.microseconds:
        sign = "-" if interval.microseconds < 0 else ""
        hours, minutes, seconds, fraction = _clock_parts(interval.microseconds)
        text += "T"
        text += f"{sign}{hours}H" if hours else ""
        text += f"{sign}{minutes}M" if minutes else ""
        if seconds or fraction:
            text += f"{sign}{_seconds_text(seconds, fraction, 1)}S"
    return text


def _format_sql(interval: Interval) -> str:
    years, months = _truncated(interval.months, 12)
    days = interval.days
    hours, minutes, seconds, fraction = _clock_parts(interval.microseconds)
    signs = {value > 0 for value in interval if value}
    has_months, has_days, has_time = (bool(part) for part in interval)
    if not signs:
        return "0"
    if len(signs) == 2 or (has_months and (has_days or has_time)):
        sign = "-" if interval.months < 0 else "+"
        day_sign = "-" if days < 0 else "+"
        time_sign = "-" if interval.microseconds < 0 else "+"
        return (
            f"{sign}{abs(years)}-{abs(months)} {day_sign}{abs(days)}"
            f" {time_sign}{hours}:{minutes:02d}:{_seconds_text(seconds, fraction, 2)}"
        )
    lead = "-" if signs == {False} else ""
    if has_months:
        return f"{lead}{abs(years)}-{abs(months)}"
    clock = f"{hours}:{minutes:02d}:{_seconds_text(seconds, fraction, 2)}"
    return f"{lead}{abs(days)} {clock}" if has_days else f"{lead}{clock}"


def _format_verbose(interval: Interval) -> str:
    years, months = _truncated(interval.months, 12)
    hours, minutes, seconds, fraction = _clock_parts(interval.microseconds)
    sign = -1 if interval.microseconds < 0 else 1
    parts: list[str] = []
    is_before = False
    values = (
        *((years, "year"), (months, "mon"), (interval.days, "day")),
        *((sign * hours, "hour"), (sign * minutes, "min")),
    )
    for value, unit in values:
        if value == 0:
            continue
        if not parts:
            is_before = value < 0
            value = abs(value)
        elif is_before:
            value = -value
        parts.append(f"{value} {unit}{'' if value == 1 else 's'}")
    if seconds or fraction:
        is_negative = sign < 0
        if not parts:
            is_before = is_negative
            is_negative = False
        elif is_before:
            is_negative = not is_negative
        text = _seconds_text(seconds, fraction, 1)
        plural = "" if seconds == 1 and not fraction else "s"
        parts.append(f"{'-' if is_negative else ''}{text} sec{plural}")
    if not parts:
        parts.append("0")
    return f"@ {' '.join(parts)}{' ago' if is_before else ''}"
