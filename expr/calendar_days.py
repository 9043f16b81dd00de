"""The proleptic Gregorian calendar over PostgreSQL's whole range, as day numbers.

Day 0 is 2000-01-01. Years are astronomical: 1 BC is 0, 2 BC is -1. Dates reach from 4713-11-24 BC
(Julian day 0) to 5874897-12-31, timestamps from there to 294276-12-31.
"""

from typing import Final

MICROSECONDS_PER_SECOND: Final = 1_000_000
MICROSECONDS_PER_MINUTE: Final = 60_000_000
MICROSECONDS_PER_HOUR: Final = 3_600_000_000
MICROSECONDS_PER_DAY: Final = 86_400_000_000
EPOCH_JULIAN_DAY: Final = 2_451_545  # 2000-01-01
UNIX_EPOCH_DAY: Final = -10_957  # 1970-01-01
UNIX_EPOCH_MICROSECONDS: Final = UNIX_EPOCH_DAY * MICROSECONDS_PER_DAY
MIN_DAY: Final = -EPOCH_JULIAN_DAY
MAX_DATE_DAY: Final = 2_145_031_948  # 5874897-12-31
MIN_TIMESTAMP: Final = -211_813_488_000_000_000
END_TIMESTAMP: Final = 9_223_371_331_200_000_000  # 294277-01-01, the first that is out of range

_DAYS_BEFORE_MONTH: Final = (0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def is_leap_year(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in_month(year: int, month: int) -> int:
    if month == 2:
        return 29 if is_leap_year(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def day_number(year: int, month: int, day: int) -> int:
    """The day number of a date; `day` may lie outside the month."""
    previous = year - 1
    days = 365 * previous + previous // 4 - previous // 100 + previous // 400
    days += _DAYS_BEFORE_MONTH[month] + day
    if month > 2 and is_leap_year(year):
        days += 1
    return days - 730_120


def date_of(day: int) -> tuple[int, int, int]:
    """(year, month, day of month) of a day number."""
    # Count from 0000-03-01, so that the leap day ends its year.
    shifted = day + 730_425
    era, day_of_era = divmod(shifted, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_index = (5 * day_of_year + 2) // 153
    day_of_month = day_of_year - (153 * month_index + 2) // 5 + 1
    month = month_index + 3 if month_index < 10 else month_index - 9
    year = era * 400 + year_of_era + (1 if month <= 2 else 0)
    return year, month, day_of_month


def weekday(day: int) -> int:
    """0 is Sunday."""
    return (day + 6) % 7


def day_of_year(day: int) -> int:
    year, _, _ = date_of(day)
    return day - day_number(year, 1, 1) + 1


def iso_week_start(year: int) -> int:
    """The day number of the Monday of ISO week 1 of `year`."""
    fourth = day_number(year, 1, 4)
    return fourth - (weekday(fourth) + 6) % 7


def iso_year_and_week(day: int) -> tuple[int, int]:
    """(ISO year, ISO week) of a day."""
    year, _, _ = date_of(day)
    for candidate in (year + 1, year, year - 1):
        start = iso_week_start(candidate)
        if day >= start:
            return candidate, (day - start) // 7 + 1
    raise AssertionError("no ISO year starts before this day")
