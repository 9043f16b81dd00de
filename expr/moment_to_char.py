"""to_char of timestamps and intervals."""

from typing import Final, NamedTuple

from core.errors import INVALID_DATETIME_FORMAT, SqlError
from expr.calendar_days import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_SECOND,
    date_of,
    day_of_year,
    weekday,
)
from expr.integers import split
from expr.moment_calendar import days_of_interval, iso_date, julian_day, week_of
from expr.moment_templates import Part, PartKind, parse_template

MONTH_NAMES: Final = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
DAY_NAMES: Final = (
    *("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
)
ROMAN_MONTHS: Final = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_ONLY_OF_DATES: Final = frozenset(
    {"tz", "tzh", "tzm", "of", "a.d.", "ad", "b.c.", "bc", "month", "mon", "day", "dy", "d", "id"}
)
_YEAR_DIGITS: Final = {"yyyy": 4, "iyyy": 4, "yyy": 3, "iyy": 3, "yy": 2, "iy": 2, "y": 1, "i": 1}


class Moment(NamedTuple):
    """The fields of what is written. Of an interval the fields are counts, each with a sign, and
    `day_number` is None."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    microsecond: int
    day_of_year: int
    day_number: int | None
    offset: int = 0  # seconds east
    zone: str = ""


def moment_of_timestamp(local: int, offset: int = 0, zone: str = "") -> Moment:
    """The fields of a finite wall clock in a zone."""
    day, rest = divmod(local, MICROSECONDS_PER_DAY)
    seconds, microsecond = divmod(rest, MICROSECONDS_PER_SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    clock = (hour, minute, second, microsecond)
    return Moment(*date_of(day), *clock, day_of_year(day), day, offset, zone)


def moment_of_interval(months: int, days: int, microseconds: int) -> Moment:
    """The fields of a finite interval."""
    year, month = split(months, 12)
    seconds, microsecond = split(microseconds, MICROSECONDS_PER_SECOND)
    minutes, second = split(seconds, 60)
    hour, minute = split(minutes, 60)
    clock = (hour, minute, second, microsecond)
    return Moment(year, month, days, *clock, days_of_interval(months, days), None)


def format_moment(moment: Moment, template: str) -> str:
    """The text of a template filled in. Raises SqlError 22007 for what an interval has not got."""
    return "".join(
        _keyword(moment, part) if part.kind is PartKind.KEYWORD else part.text
        for part in parse_template(template)
    )


def _number(value: int, width: int, part: Part) -> str:
    """A padded number; its sign takes a place of its own."""
    width = width if value >= 0 else width + 1
    text = f"{value:0{width}d}" if part.fills else str(value)
    return text + ordinal(text, part.ordinal)


def ordinal(number: str, letters: str) -> str:
    """The English ending of a number, in the case of `letters`; nothing if they are empty."""
    if not letters:
        return ""
    ending = {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th")
    if number[-2:-1] == "1":
        ending = "th"
    return ending.upper() if letters == "TH" else ending


def _cased(text: str, keyword: str) -> str:
    """`text` in the case that the keyword is written in."""
    if keyword.isupper():
        return text.upper()
    return text.lower() if keyword.islower() else text


def _keyword(moment: Moment, part: Part) -> str:
    keyword = part.text
    name = keyword.lower()
    if moment.day_number is None and name in _ONLY_OF_DATES:
        raise SqlError(
            INVALID_DATETIME_FORMAT,
            "invalid format specification for an interval value",
            hint="Intervals are not tied to specific calendar dates.",
        )
    if name == "fx":
        return ""
    if name in ("month", "mon", "day", "dy", "rm") or name[1:2] == "." or name in _ERAS_AND_HALVES:
        return _name(moment, part, name)
    if name in ("tz", "tzh", "tzm", "of"):
        return _zone(moment, part, name)
    text = _clock(moment, part, name)
    return text if text is not None else _calendar(moment, part, name)


_ERAS_AND_HALVES: Final = frozenset({"am", "pm", "ad", "bc"})


def _name(moment: Moment, part: Part, name: str) -> str:
    keyword = part.text
    match name.replace(".", ""):
        case "am" | "pm":
            half = "pm" if split(moment.hour, 24)[1] >= 12 else "am"
            return _dotted(half, keyword)
        case "ad" | "bc":
            return _dotted("bc" if moment.year <= 0 else "ad", keyword)
        case "rm":
            return _roman_month(moment, part)
        case "month" | "mon":
            full = MONTH_NAMES[moment.month - 1]
        case _:
            assert moment.day_number is not None
            full = DAY_NAMES[weekday(moment.day_number)]
    if name in ("mon", "dy"):
        return _cased(full[:3], keyword)
    return _cased(full, keyword).ljust(9 if part.fills else 0)


def _dotted(letters: str, keyword: str) -> str:
    text = f"{letters[0]}.{letters[1]}." if "." in keyword else letters
    return text.upper() if keyword.isupper() else text


def _roman_month(moment: Moment, part: Part) -> str:
    if not moment.month and not moment.year:
        return ""
    if moment.month == 0:
        index = 11 if moment.year >= 0 else 0
    else:
        index = moment.month - 1 if moment.month > 0 else 12 + moment.month
    return _cased(ROMAN_MONTHS[index], part.text).ljust(4 if part.fills else 0)


def _zone(moment: Moment, part: Part, name: str) -> str:
    if name == "tz":
        return moment.zone.upper() if part.text == "TZ" else moment.zone.lower()
    sign = "-" if moment.offset < 0 else "+"
    hours, minutes = divmod(abs(moment.offset) // 60, 60)
    match name:
        case "tzh":
            return f"{sign}{hours:02d}"
        case "tzm":
            return f"{minutes:02d}"
        case _:
            shown = f"{sign}{hours:0{2 if part.fills else 1}d}"
            return f"{shown}:{minutes:02d}" if abs(moment.offset) % 3600 else shown


def _clock(moment: Moment, part: Part, name: str) -> str | None:
    """A part of the time of day; None when the keyword is none."""
    hour = moment.hour
    match name:
        case "hh" | "hh12":
            value = split(hour, 12)[1] or 12
            return _padded(value, 2 if hour >= 0 else 3, part)
        case "hh24":
            return _number(hour, 2, part)
        case "mi":
            return _number(moment.minute, 2, part)
        case "ss":
            return _number(moment.second, 2, part)
        case "ms" | "ff3":
            return _fraction(moment, 3, part)
        case "us" | "ff6":
            return _fraction(moment, 6, part)
        case "ff1" | "ff2" | "ff4" | "ff5":
            return _fraction(moment, int(name[2]), part)
        case "ssss" | "sssss":
            text = str((hour * 60 + moment.minute) * 60 + moment.second)
            return text + ordinal(text, part.ordinal)
        case _:
            return None


def _fraction(moment: Moment, digits: int, part: Part) -> str:
    text = f"{split(moment.microsecond, 10 ** (6 - digits))[0]:0{digits}d}"
    return text + ordinal(text, part.ordinal)


def _calendar(moment: Moment, part: Part, name: str) -> str:
    day = moment.day_number
    if name == "y,yyy" or name in _YEAR_DIGITS:
        return _year(moment, part, name)
    match name:
        case "mm":
            return _number(moment.month, 2, part)
        case "dd":
            return _padded(moment.day, 2, part)
        case "ddd":
            return _padded(moment.day_of_year, 3, part)
        case "iddd":
            return _padded(iso_date(moment.year, moment.month, moment.day).day_of_year, 3, part)
        case "ww":
            return _padded(week_of(moment.day_of_year), 2, part)
        case "iw":
            return _padded(iso_date(moment.year, moment.month, moment.day).week, 2, part)
        case "w":
            return _padded(week_of(moment.day), 1, part)
        case "d":
            assert day is not None
            return _padded(weekday(day) + 1, 1, part)
        case "id":
            assert day is not None
            return _padded(weekday(day) or 7, 1, part)
        case "q":
            return _padded(split(moment.month - 1, 3)[0] + 1, 1, part) if moment.month else ""
        case "j":
            return _padded(julian_day(moment.year, moment.month, moment.day), 1, part)
        case _:
            return _century(moment, part)


def _padded(value: int, width: int, part: Part) -> str:
    """A padded number whose sign counts in its width."""
    text = f"{value:0{width}d}" if part.fills else str(value)
    return text + ordinal(text, part.ordinal)


def _century(moment: Moment, part: Part) -> str:
    year = moment.year
    if moment.day_number is None:
        century = split(year, 100)[0]
    else:
        century = (year - 1) // 100 + 1 if year > 0 else split(year, 100)[0] - 1
    return _number(century, 2, part)


def _year(moment: Moment, part: Part, name: str) -> str:
    year = moment.year
    has_sign = year < 0 and moment.day_number is None
    if name[0] == "i":
        year = iso_date(moment.year, moment.month, moment.day).year
    if moment.day_number is not None and year <= 0:
        year = 1 - year
    if name == "y,yyy":
        thousands, rest = split(year, 1000)
        text = f"{thousands},{rest:03d}"
        return text + ordinal(text, part.ordinal)
    digits = _YEAR_DIGITS[name]
    value = year if digits == 4 else split(year, 10**digits)[1]
    width = digits + 1 if has_sign and digits > 1 else digits
    return _padded(value, width, part)
