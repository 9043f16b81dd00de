"""The calendar of to_char: that of dates, and of intervals whose counts are taken for a date.

The date of an interval need not exist: its month goes from -11 to 11 and its day is any number.
Arithmetic is that of int4, which wraps around, with quotients cut toward zero.
"""

from typing import Final, NamedTuple

from expr.integers import split, wrap

_DAYS_PER_MONTH: Final = 30
_MIN_LAST_WEEK: Final = 52


class IsoDate(NamedTuple):
    """A day by the years of ISO 8601, which start with the week of January 4."""

    year: int
    week: int
    day_of_year: int


def days_of_interval(months: int, days: int) -> int:
    """The days of an interval whose months have 30 days each."""
    return _int4(months * _DAYS_PER_MONTH + days)


def week_of(days: int) -> int:
    """The number of the week that a count of days ends in."""
    return split(_int4(days - 1), 7)[0] + 1


def julian_day(year: int, month: int, day: int) -> int:
    """The Julian day of a date. Years start in March here, so that leap days end them."""
    year, month = (year + 4800, month + 1) if month > 2 else (year + 4799, month + 13)
    century = split(year, 100)[0]
    leap_days = split(year, 4)[0] - century + split(century, 4)[0]
    return _int4(year * 365 - 32_167 + leap_days + 7834 * month // 256 + day)


def iso_date(year: int, month: int, day: int) -> IsoDate:
    """The ISO date, which is sought in the year before, the same and the next year only."""
    today = julian_day(year, month, day)
    iso_year, start = year, _iso_start(year)
    if today < start:
        iso_year, start = year - 1, _iso_start(year - 1)
    week = _week(today, start)
    if week >= _MIN_LAST_WEEK and today >= (next_start := _iso_start(year + 1)):
        iso_year, start = year + 1, next_start
        week = _week(today, start)
    return IsoDate(iso_year, week, _int4(today - start) + 1)


def _iso_start(year: int) -> int:
    """The Julian day of the Monday of the year's first week."""
    fourth = julian_day(year, 1, 4)
    return _int4(fourth - fourth % 7)


def _week(today: int, start: int) -> int:
    return split(_int4(today - start), 7)[0] + 1


def _int4(value: int) -> int:
    return wrap(value, 32)
