"""to_char of dates and times: the template language, compiled once for each template.

A template is a sequence of fields and literal text. `FM` before a field takes its padding away,
`TH` or `th` behind a number makes it an ordinal. Source: PostgreSQL's manual, "9.8. Data Type
Formatting Functions", and its formatting.c for what the manual leaves open.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from core.errors import SqlError
from core.rows import Interval
from expr.calendar_days import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_SECOND,
    date_of,
    day_number,
    iso_week_start,
    iso_year_and_week,
    weekday,
)

INVALID_DATETIME_FORMAT: Final = "22007"
_EPOCH_JULIAN_DAY: Final = 2_451_545
_MONTHS: Final = (
    "January February March April May June July August September October November December".split()
)
_DAYS: Final = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split()
_ROMAN: Final = "I II III IV V VI VII VIII IX X XI XII".split()


@dataclass(frozen=True, slots=True)
class Moment:
    """A wall clock, or an interval's parts. `day` is None for intervals, which have no calendar."""

    year: int
    month: int
    day_of_month: int
    hour: int
    minute: int
    second: int
    microsecond: int
    day: int | None = None
    offset_seconds: int = 0
    zone: str = ""

    @property
    def year_of_era(self) -> int:
        """The year as it is written: 1 BC is year 0, shown as 1. An interval's may be negative."""
        return 1 - self.year if self.day is not None and self.year <= 0 else self.year

    @property
    def calendar_day(self) -> int:
        """The day's number. Raises SqlError 22007 for an interval."""
        if self.day is None:
            raise _no_date()
        return self.day

    @property
    def iso_year(self) -> int:
        year = iso_year_and_week(self.calendar_day)[0]
        return 1 - year if year <= 0 else year

    @property
    def day_of_year(self) -> int:
        if self.day is None:
            return self.year * 360 + self.month * 30 + self.day_of_month
        return self.day - day_number(self.year, 1, 1) + 1


def _no_date() -> SqlError:
    return SqlError(
        INVALID_DATETIME_FORMAT,
        "invalid format specification for an interval value",
        hint="Intervals are not tied to specific calendar dates.",
    )


def _dated(moment: Moment) -> Moment:
    if moment.day is None:
        raise _no_date()
    return moment


def moment_of(local: int, offset_seconds: int = 0, zone: str = "") -> Moment:
    """The moment of a timestamp: microseconds since 2000-01-01 on the wall clock."""
    day, rest = divmod(local, MICROSECONDS_PER_DAY)
    year, month, day_of_month = date_of(day)
    seconds, microsecond = divmod(rest, MICROSECONDS_PER_SECOND)
    hour, minute, second = seconds // 3600, seconds // 60 % 60, seconds % 60
    return Moment(
        *(year, month, day_of_month, hour, minute, second, microsecond),
        day=day,
        offset_seconds=offset_seconds,
        zone=zone,
    )


def moment_of_interval(interval: Interval) -> Moment:
    """The moment of an interval: its parts, each with its own sign."""
    year, month = _toward_zero(interval.months, 12)
    seconds, microsecond = _toward_zero(interval.microseconds, MICROSECONDS_PER_SECOND)
    minutes, second = _toward_zero(seconds, 60)
    hour, minute = _toward_zero(minutes, 60)
    return Moment(year, month, interval.days, hour, minute, second, microsecond)


def _toward_zero(value: int, divisor: int) -> tuple[int, int]:
    quotient = abs(value) // divisor * (1 if value >= 0 else -1)
    return quotient, value - quotient * divisor


def format_moment(template: str, moment: Moment) -> str:
    """The moment as `template` says. Raises SqlError 22007 for a calendar field of an interval."""
    return "".join(part(moment) for part in _compiled(template))


_Part = Callable[[Moment], str]


@dataclass(frozen=True, slots=True)
class _Number:
    """A number of `width` digits; `width` 0 is not padded. A minus sign comes on top of the width
    unless it `has_sign` in it."""

    value: Callable[[Moment], int]
    width: int
    has_sign: bool = False


@dataclass(frozen=True, slots=True)
class _Word:
    """A text padded with blanks to `width`; `of_dates`: an interval has none."""

    value: Callable[[Moment], str]
    width: int = 0
    of_dates: bool = False


def _twelve(hour: int) -> int:
    shown = abs(hour) % 12 or 12
    return shown if hour >= 0 else -shown


def _century(m: Moment) -> int:
    if m.day is None:
        return _toward_zero(m.year, 100)[0]
    return (m.year - 1) // 100 + 1 if m.year > 0 else -(-m.year // 100) - 1


def _sign(m: Moment) -> str:
    return "-" if m.offset_seconds < 0 else "+"


def _offset(m: Moment) -> str:
    hours, minutes = divmod(abs(m.offset_seconds) // 60, 60)
    return f"{_sign(m)}{hours:02d}" + (f":{minutes:02d}" if minutes else "")


def _is_afternoon(m: Moment) -> bool:
    return m.hour % 24 >= 12


_NUMBERS: Final[dict[str, _Number]] = {
    "YYYY": _Number(lambda m: m.year_of_era, 4),
    "YYY": _Number(lambda m: m.year_of_era % 1000, 3),
    "YY": _Number(lambda m: m.year_of_era % 100, 2),
    "Y": _Number(lambda m: m.year_of_era % 10, 1),
    "IYYY": _Number(lambda m: m.iso_year, 4),
    "IYY": _Number(lambda m: m.iso_year % 1000, 3),
    "IY": _Number(lambda m: m.iso_year % 100, 2),
    "I": _Number(lambda m: m.iso_year % 10, 1),
    "CC": _Number(_century, 2),
    "Q": _Number(lambda m: (m.month - 1) // 3 + 1, 0),
    "MM": _Number(lambda m: m.month, 2),
    "WW": _Number(lambda m: (m.day_of_year - 1) // 7 + 1, 2),
    "W": _Number(lambda m: (m.day_of_month - 1) // 7 + 1, 0),
    "IW": _Number(lambda m: iso_year_and_week(m.calendar_day)[1], 2),
    "DDD": _Number(lambda m: m.day_of_year, 3),
    "IDDD": _Number(
        lambda m: m.calendar_day - iso_week_start(iso_year_and_week(m.calendar_day)[0]) + 1, 3
    ),
    "DD": _Number(lambda m: m.day_of_month, 2, has_sign=True),
    "D": _Number(lambda m: weekday(m.calendar_day) + 1, 0),
    "ID": _Number(lambda m: weekday(m.calendar_day) or 7, 0),
    "J": _Number(lambda m: m.calendar_day + _EPOCH_JULIAN_DAY, 0),
    "HH24": _Number(lambda m: m.hour, 2),
    "HH12": _Number(lambda m: _twelve(m.hour), 2),
    "HH": _Number(lambda m: _twelve(m.hour), 2),
    "MI": _Number(lambda m: m.minute, 2),
    "SS": _Number(lambda m: m.second, 2),
    "SSSSS": _Number(lambda m: m.hour * 3600 + m.minute * 60 + m.second, 0),
    "SSSS": _Number(lambda m: m.hour * 3600 + m.minute * 60 + m.second, 0),
    "MS": _Number(lambda m: m.microsecond // 1000, 3),
    "US": _Number(lambda m: m.microsecond, 6),
    **{
        f"FF{digits}": _Number(lambda m, d=digits: m.microsecond // 10 ** (6 - d), digits)  # type: ignore[misc]
        for digits in range(1, 7)
    },
}


def _month(m: Moment) -> str:
    return _MONTHS[m.month - 1]


def _day(m: Moment) -> str:
    return _DAYS[weekday(m.calendar_day)]


_WORDS: Final[dict[str, _Word]] = {
    "MONTH": _Word(lambda m: _month(m).upper(), 9),
    "Month": _Word(_month, 9),
    "month": _Word(lambda m: _month(m).lower(), 9),
    "MON": _Word(lambda m: _month(m)[:3].upper()),
    "Mon": _Word(lambda m: _month(m)[:3]),
    "mon": _Word(lambda m: _month(m)[:3].lower()),
    "DAY": _Word(lambda m: _day(m).upper(), 9),
    "Day": _Word(_day, 9),
    "day": _Word(lambda m: _day(m).lower(), 9),
    "DY": _Word(lambda m: _day(m)[:3].upper()),
    "Dy": _Word(lambda m: _day(m)[:3]),
    "dy": _Word(lambda m: _day(m)[:3].lower()),
    "RM": _Word(lambda m: _ROMAN[m.month - 1], 4),
    "rm": _Word(lambda m: _ROMAN[m.month - 1].lower(), 4),
    "TZ": _Word(lambda m: m.zone.upper(), of_dates=True),
    "tz": _Word(lambda m: m.zone.lower(), of_dates=True),
    "TZH": _Word(lambda m: f"{_sign(m)}{abs(m.offset_seconds) // 3600:02d}", of_dates=True),
    "TZM": _Word(lambda m: f"{abs(m.offset_seconds) // 60 % 60:02d}", of_dates=True),
    "OF": _Word(_offset, of_dates=True),
    "Y,YYY": _Word(lambda m: f"{m.year_of_era // 1000},{m.year_of_era % 1000:03d}"),
}


def _add_halves(
    before: str, after: str, is_after: Callable[[Moment], bool], *, of_dates: bool = False
) -> None:
    for first, second in (
        (before, after),
        (before.lower(), after.lower()),
        (".".join(before) + ".", ".".join(after) + "."),
        (".".join(before).lower() + ".", ".".join(after).lower() + "."),
    ):
        halves = (first, second)
        word = _Word(lambda m, of=halves: of[is_after(m)], of_dates=of_dates)  # type: ignore[misc]
        _WORDS[first] = _WORDS[second] = word


_add_halves("AM", "PM", _is_afternoon)
_add_halves("BC", "AD", lambda m: m.year > 0, of_dates=True)
_FIELDS: Final[dict[str, _Number | _Word]] = {
    **_NUMBERS,
    **{name.lower(): field for name, field in _NUMBERS.items()},
    "y,yyy": _WORDS["Y,YYY"],
    "tzh": _WORDS["TZH"],
    "tzm": _WORDS["TZM"],
    "of": _WORDS["OF"],
    **_WORDS,
}
_LONGEST: Final = max(map(len, _FIELDS))
_PREFIXES: Final = ("FM", "fm", "FX", "fx", "TM", "tm")
_NO_PADDING: Final = frozenset({"FM", "fm", "TM", "tm"})


@lru_cache(maxsize=1024)
def _compiled(template: str) -> tuple[_Part, ...]:
    parts: list[_Part] = []
    position = 0
    while position < len(template):
        start = position
        is_bare = False
        while template[position : position + 2] in _PREFIXES:
            is_bare |= template[position : position + 2] in _NO_PADDING
            position += 2
        name = _field_at(template, position)
        if name is None:
            position = _add_literal(template, max(start, position), parts)
            continue
        position += len(name)
        ordinal = template[position : position + 2]
        if ordinal not in ("TH", "th"):
            ordinal = ""
        position += len(ordinal)
        parts.append(_part(_FIELDS[name], is_bare, ordinal))
    return tuple(parts)


def _field_at(template: str, position: int) -> str | None:
    for length in range(min(_LONGEST, len(template) - position), 0, -1):
        name = template[position : position + length]
        if name in _FIELDS:
            return name
    return None


def _add_literal(template: str, position: int, parts: list[_Part]) -> int:
    """Add the literal text at `position`, quoted or one character; where what follows begins."""
    if template[position : position + 1] != '"':
        if template[position : position + 2] == '\\"':
            position += 1
        text = template[position : position + 1]
        parts.append(lambda _: text)
        return position + 1
    quoted = []
    position += 1
    while position < len(template) and template[position] != '"':
        if template[position] == "\\" and position + 1 < len(template):
            position += 1
        quoted.append(template[position])
        position += 1
    text = "".join(quoted)
    parts.append(lambda _: text)
    return position + 1


def _part(field: _Number | _Word, is_bare: bool, ordinal: str) -> _Part:
    if isinstance(field, _Word):
        value, width = field.value, 0 if is_bare else field.width
        if field.of_dates:
            return lambda m: value(_dated(m))
        return lambda m: value(m).ljust(width)
    number, digits = field.value, 0 if is_bare else field.width
    sign = 0 if field.has_sign else 1

    def shown(m: Moment) -> str:
        found = number(m)
        text = f"{found:0{digits + sign * (found < 0)}d}" if digits else str(found)
        return text + _ordinal_ending(text, ordinal)

    return shown


def _ordinal_ending(text: str, ordinal: str) -> str:
    if not ordinal:
        return ""
    ending = "th"
    if text[-2:-1] != "1":
        ending = {"1": "st", "2": "nd", "3": "rd"}.get(text[-1], "th")
    return ending if ordinal == "th" else ending.upper()
