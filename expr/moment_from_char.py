"""to_date and to_timestamp: the fields that a template finds in a text, and the day they make.

A separator of the template matches any separator or blank, or nothing; a letter matches any
character. FX makes both match exactly one character. Source of the rules: the manual, "Data Type
Formatting Functions".
"""

import re
from dataclasses import dataclass, field
from typing import Final

from core.errors import DATETIME_FIELD_OVERFLOW, INVALID_DATETIME_FORMAT, SqlError
from expr.calendar_days import (
    EPOCH_JULIAN_DAY,
    MAX_DATE_DAY,
    MIN_DAY,
    date_of,
    day_number,
    days_in_month,
    iso_week_start,
)
from expr.moment_templates import Part, PartKind, parse_template
from expr.moment_to_char import DAY_NAMES, MONTH_NAMES, ROMAN_MONTHS
from expr.timezones import Zone, abbreviated_zone, fixed_zone

_SPACES: Final = " \t\n\r\f\v"
_INTEGER: Final = re.compile(r"[ \t\n\r\f\v]*[+-]?\d+", re.ASCII)
_THOUSANDS: Final = re.compile(r"[ \t\n\r\f\v]*([+-]?\d+),[ \t\n\r\f\v]*([+-]?\d{1,3})", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z]+", re.ASCII)
_NOT_DIGITS: Final = frozenset(
    {"a.d.", "a.m.", "ad", "am", "b.c.", "bc", "day", "dy", "fx", "month", "mon", "of", "p.m."}
    | {"pm", "rm", "tz", "tzh"}
)
_ISO: Final = frozenset({"iddd", "id", "iw", "iyyy", "iyy", "iy", "i"})
_NEUTRAL: Final = frozenset(
    {"a.d.", "ad", "b.c.", "bc", "cc", "day", "dy", "j", "q", "fx", "a.m.", "am", "p.m.", "pm"}
    | {"hh24", "hh12", "hh", "mi", "ms", "of", "ssss", "sssss"}
    | {"ss", "tz", "tzh", "tzm", "us", *(f"ff{digits}" for digits in range(1, 7))}
)
# Where a number goes, and how many digits it takes where the next field is a number too.
_NUMBERS: Final = {
    **{"hh": ("hour", 2), "hh12": ("hour", 2), "hh24": ("hour", 2), "mi": ("minute", 2)},
    **{"ss": ("second", 2), "ssss": ("seconds", 4), "sssss": ("seconds", 5), "mm": ("month", 2)},
    **{
        "ddd": ("day_of_year", 3),
        "iddd": ("day_of_year", 3),
        "dd": ("day", 2),
        "d": ("weekday", 1),
    },
    **{"ww": ("week", 2), "iw": ("week", 2), "cc": ("century", 2), "w": ("week_of_month", 1)},
    **{"j": ("julian", 1), "yyyy": ("year", 4), "iyyy": ("year", 4), "yyy": ("year", 3)},
    **{
        "iyy": ("year", 3),
        "yy": ("year", 2),
        "iy": ("year", 2),
        "y": ("year", 1),
        "i": ("year", 1),
    },
}
_MAX_OFFSET_HOURS: Final = 15


@dataclass(slots=True)
class Found:
    """A moment read from a text."""

    year: int = 0
    month: int = 1
    day: int = 1
    microseconds: int = 0  # of the day
    zone: Zone | None = None

    @property
    def day_number(self) -> int:
        return day_number(self.year, self.month, self.day)


@dataclass(slots=True)
class _Fields:
    """The fields as written; 0 is the same as none."""

    values: dict[str, int] = field(default_factory=dict)
    is_iso: bool | None = None
    is_twelve_hour: bool = False
    year_digits: int = 0
    offset_sign: int = 0
    zone: Zone | None = None

    def get(self, name: str) -> int:
        return self.values.get(name, 0)

    def set(self, name: str, value: int, keyword: str) -> None:
        old = self.get(name)
        if old not in (0, value):
            raise _invalid(
                f'conflicting values for "{keyword}" field in formatting string',
                "This value contradicts a previous setting for the same field type.",
            )
        self.values[name] = value


def _invalid(message: str, detail: str | None = None) -> SqlError:
    return SqlError(INVALID_DATETIME_FORMAT, message, detail=detail)


def _overflow(text: str) -> SqlError:
    return SqlError(DATETIME_FIELD_OVERFLOW, f'date/time field value out of range: "{text}"')


def parse_moment(text: str, template: str) -> Found:
    """The moment in a text. Raises SqlError 22007 and 22008."""
    fields = _Reader(text, parse_template(template)).read()
    return _Composer(text, fields).compose()


class _Reader:
    """One pass over a text along a template."""

    def __init__(self, text: str, parts: tuple[Part, ...]) -> None:
        self.text = text
        self.parts = parts
        self.at = 0
        self.skipped = 0  # blanks and separators beyond those of the template
        self.is_fixed = False
        self.fields = _Fields()

    def read(self) -> _Fields:
        for index, part in enumerate(self.parts):
            if self.at >= len(self.text):
                break
            is_keyword = part.kind is PartKind.KEYWORD
            name = part.text.lower() if is_keyword else ""
            if not self.is_fixed and name != "fx" and (is_keyword or index == 0):
                self._skip_spaces()
            if is_keyword:
                self._set_convention(name)
                self._keyword(part, name, index)
                if not self.is_fixed:
                    self.skipped = 0
                    self._skip_spaces()
            elif self.is_fixed:
                self.at += 1
            else:
                self._literal(part)
        return self.fields

    def _skip_spaces(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _SPACES:
            self.at += 1
            self.skipped += 1

    def _literal(self, part: Part) -> None:
        if part.kind is PartKind.TEXT:
            if self.skipped > 0:
                self.skipped -= 1
            else:
                self.at += 1
            return
        self.skipped -= 1
        character = self.text[self.at : self.at + 1]
        if character and (character in _SPACES or _is_separator(character)):
            self.at += 1
            self.skipped += 1

    def _set_convention(self, name: str) -> None:
        if name in _NEUTRAL:
            return
        is_iso = name in _ISO
        if self.fields.is_iso not in (None, is_iso):
            raise SqlError(
                INVALID_DATETIME_FORMAT,
                "invalid combination of date conventions",
                hint="Do not mix Gregorian and ISO week date conventions in a formatting template.",
            )
        self.fields.is_iso = is_iso

    def _keyword(self, part: Part, name: str, index: int) -> None:
        match name:
            case "fx":
                self.is_fixed = True
            case "a.m." | "p.m." | "am" | "pm":
                halves = ("a.m.", "p.m.") if "." in name else ("am", "pm")
                self.fields.set("is_afternoon", self._name(part, halves), part.text)
                self.fields.is_twelve_hour = True
            case "a.d." | "b.c." | "ad" | "bc":
                eras = ("a.d.", "b.c.") if "." in name else ("ad", "bc")
                self.fields.set("is_before_christ", self._name(part, eras), part.text)
            case "month" | "mon":
                names = MONTH_NAMES if name == "month" else tuple(m[:3] for m in MONTH_NAMES)
                self.fields.set("month", self._name(part, names) + 1, part.text)
            case "day" | "dy":
                names = DAY_NAMES if name == "day" else tuple(d[:3] for d in DAY_NAMES)
                self.fields.set("weekday", self._name(part, names) + 1, part.text)
            case "rm":
                from_last = ROMAN_MONTHS[::-1]
                self.fields.set("month", 12 - self._name(part, from_last), part.text)
            case "tz" | "of" | "tzh" | "tzm":
                self._zone(part, name, index)
            case "y,yyy":
                self._thousands(part)
            case _:
                self._number_field(part, name, index)

    def _name(self, part: Part, names: tuple[str, ...]) -> int:
        rest = self.text[self.at : self.at + 12].lower()
        for index, name in enumerate(names):
            if rest.startswith(name.lower()):
                self.at += len(name)
                return index
        shown = self.text[self.at :].split(" ")[0]
        raise _invalid(
            f'invalid value "{shown}" for "{part.text}"',
            "The given value did not match any of the allowed values for this field.",
        )

    def _number_field(self, part: Part, name: str, index: int) -> None:
        if name in ("ms", "us") or name[:2] == "ff":
            digits = {"ms": 3, "us": 6}.get(name) or int(name[2])
            value, length = self._integer(part, digits, index)
            places = 3 if name == "ms" else 6
            target = "milliseconds" if name == "ms" else "microseconds"
            self.fields.set(target, value, part.text)
            self.fields.values[target] = value * 10 ** max(places - length, 0)
        elif name == "q":
            self._integer(part, 1, index)
        elif name == "id":
            value, _ = self._integer(part, 1, index)
            self.fields.set("weekday", value, part.text)
            self.fields.values["weekday"] = value + 1 if value < 7 else 1
        else:
            target, digits = _NUMBERS[name]
            value, length = self._integer(part, digits, index)
            self.fields.set(target, value, part.text)
            if name in ("hh", "hh12"):
                self.fields.is_twelve_hour = True
            if target == "year":
                if digits < 4 and length < 4:
                    self.fields.values["year"] = _near_2020(value)
                self.fields.year_digits = digits
        self._skip_ordinal(part)

    def _skip_ordinal(self, part: Part) -> None:
        if part.ordinal:
            self.at = min(self.at + 2, len(self.text))

    def _thousands(self, part: Part) -> None:
        match = _THOUSANDS.match(self.text, self.at)
        if match is None:
            raise _invalid(f'invalid value "{self.text[self.at :]}" for "{part.text}"')
        year = int(match[1]) * 1000 + int(match[2])
        if not -(2**31) <= year < 2**31:
            raise SqlError(
                DATETIME_FIELD_OVERFLOW,
                f'value for "{part.text}" in source string is out of range',
            )
        self.fields.set("year", year, part.text)
        self.fields.year_digits = 4
        self.at = match.end()
        self._skip_ordinal(part)

    def _zone(self, part: Part, name: str, index: int) -> None:
        if name == "tz" and self._named_zone(part):
            return
        if name == "tzm":
            self.fields.offset_sign = self.fields.offset_sign or 1
            self.fields.set("offset_minutes", self._integer(part, 2, index)[0], part.text)
            return
        following = self.text[self.at : self.at + 1]
        if following in ("+", "-", " "):
            self.fields.offset_sign = -1 if following == "-" else 1
            self.at += 1
        else:
            swallowed = self.skipped > 0 and self.text[self.at - 1 : self.at] == "-"
            self.fields.offset_sign = -1 if swallowed else 1
        self.fields.set("offset_hours", self._integer(part, 2, index)[0], part.text)
        if name != "tzh" and self.text[self.at : self.at + 1] == ":":
            self.at += 1
            self.fields.set("offset_minutes", self._integer(part, 2, index)[0], part.text)

    def _named_zone(self, part: Part) -> bool:
        match = _WORD.match(self.text, self.at)
        if match is None:
            return False
        for end in range(match.end(), self.at, -1):
            zone = abbreviated_zone(self.text[self.at : end].lower())
            if zone is not None:
                self.fields.zone = zone
                self.at = end
                return True
        raise _invalid(
            f'invalid value "{self.text[self.at :]}" for "{part.text}"',
            "Time zone abbreviation is not recognized.",
        )

    def _integer(self, part: Part, digits: int, index: int) -> tuple[int, int]:
        """A number and how many characters it took, blanks before it included."""
        start = self.at
        while self.text[self.at : self.at + 1] in tuple(_SPACES):
            self.at += 1
        takes_all = not part.fills or self._ends_number(part, index)
        limit = len(self.text) if takes_all else self.at + digits
        if limit > len(self.text):
            raise _invalid(
                f'source string too short for "{part.text}" formatting field',
                f"Field requires {digits} characters, but only {len(self.text) - self.at} remain.",
            )
        match = _INTEGER.match(self.text, start if takes_all else self.at, limit)
        if match is None:
            shown = self.text[start : start + digits]
            raise _invalid(
                f'invalid value "{shown}" for "{part.text}"', "Value must be an integer."
            )
        if not takes_all and match.end() < limit:
            raise _invalid(
                f'invalid value "{self.text[self.at : limit]}" for "{part.text}"',
                f"Field requires {digits} characters, but only {match.end() - self.at}"
                " could be parsed.",
            )
        self.at = match.end()
        value = int(match[0]) if len(match[0]) < 40 else 2**31
        if not -(2**31) <= value < 2**31:
            raise SqlError(
                DATETIME_FIELD_OVERFLOW,
                f'value for "{part.text}" in source string is out of range',
                detail="Value must be in the range -2147483648 to 2147483647.",
            )
        return value, self.at - start

    def _ends_number(self, part: Part, index: int) -> bool:
        """Whether what follows the field in the template cannot be a digit."""
        if part.ordinal or index + 1 == len(self.parts):
            return True
        following = self.parts[index + 1]
        if following.kind is PartKind.KEYWORD:
            return following.text.lower() in _NOT_DIGITS
        return not ("0" <= following.text <= "9")


def _is_separator(character: str) -> bool:
    return " " < character < "\x7f" and not character.isalnum()


def _near_2020(year: int) -> int:
    """A year of fewer than four digits, as the one nearest to 2020."""
    if year < 70:
        return year + 2000
    if year < 100:
        return year + 1900
    if year < 520:
        return year + 2000
    return year + 1000 if year < 1000 else year


class _Composer:
    """Makes a moment of fields; what a field says overrides what a coarser one said."""

    def __init__(self, text: str, fields: _Fields) -> None:
        self.text = text
        self.fields = fields
        self.found = Found()
        self.known: set[str] = set()

    def compose(self) -> Found:
        self._time()
        self._year()
        self._date()
        self._check_date()
        self._zone()
        return self.found

    def _time(self) -> None:
        get = self.fields.get
        seconds = get("seconds")
        minutes, second = divmod(abs(seconds), 60)
        hour, minute = divmod(minutes, 60)
        second, minute, hour = get("second") or second, get("minute") or minute, get("hour") or hour
        if self.fields.is_twelve_hour:
            if not 1 <= hour <= 12:
                raise SqlError(
                    INVALID_DATETIME_FORMAT,
                    f'hour "{hour}" is invalid for the 12-hour clock',
                    hint="Use the 24-hour clock, or give an hour between 1 and 12.",
                )
            hour = hour % 12 + (12 if get("is_afternoon") else 0)
        fraction = get("milliseconds") * 1000 + get("microseconds")
        is_valid = 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60 and seconds >= 0
        if not is_valid or not 0 <= fraction < 1_000_000:
            raise _overflow(self.text)
        self.found.microseconds = ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction

    def _year(self) -> None:
        get = self.fields.get
        year, century = get("year"), get("century")
        if get("is_before_christ"):
            century = -century
        if year and century and self.fields.year_digits <= 2:
            last = int(year % 100) if year >= 0 else -(-year % 100)
            if last and century >= 0:
                year = last + (century - 1) * 100
            elif last:
                year = (century + 1) * 100 - last + 1
            else:
                year = century * 100 + (0 if century >= 0 else 1)
        elif year:
            year = -year if get("is_before_christ") else year
            year += year < 0
        elif century:
            year = (century - 1) * 100 + 1 if century >= 0 else century * 100 + 1
        else:
            return
        self.found.year = year
        self.known.add("year")

    def _set_day(self, day: int) -> None:
        if not MIN_DAY <= day <= MAX_DATE_DAY:
            raise _overflow(self.text)
        self.found.year, self.found.month, self.found.day = date_of(day)
        self.known |= {"year", "month", "day"}

    def _date(self) -> None:
        get = self.fields.get
        found = self.found
        day_of_year, day = get("day_of_year"), get("day")
        if get("julian"):
            self._set_day(get("julian") - EPOCH_JULIAN_DAY)
        if get("week"):
            if self.fields.is_iso:
                weekday = get("weekday")
                offset = 0 if not weekday else 6 if weekday == 1 else weekday - 2
                self._set_day(iso_week_start(found.year) + (get("week") - 1) * 7 + offset)
            else:
                day_of_year = (get("week") - 1) * 7 + 1
        if get("week_of_month"):
            day = (get("week_of_month") - 1) * 7 + 1
        if day:
            found.day = day
            self.known.add("day")
        if get("month"):
            found.month = get("month")
            self.known.add("month")
        if day_of_year and (found.month <= 1 or found.day <= 1):
            self._day_of_year(day_of_year)

    def _day_of_year(self, day_of_year: int) -> None:
        found = self.found
        if not found.year and not self.fields.get("is_before_christ"):
            raise _invalid("cannot calculate day of year without year information")
        if self.fields.is_iso:
            self._set_day(iso_week_start(found.year) + day_of_year - 1)
            return
        month, rest = 1, day_of_year
        while month <= 12 and rest > days_in_month(found.year, month):
            rest -= days_in_month(found.year, month)
            month += 1
        if found.month <= 1:
            found.month = month
        if found.day <= 1:
            found.day = rest
        self.known |= {"month", "day"}

    def _check_date(self) -> None:
        found = self.found
        if "month" in self.known and not 1 <= found.month <= 12:
            raise _overflow(self.text)
        if "day" in self.known and not 1 <= found.day <= 31:
            raise _overflow(self.text)
        if self.known >= {"year", "month", "day"} and found.day > days_in_month(
            found.year, found.month
        ):
            raise _overflow(self.text)

    def _zone(self) -> None:
        self.found.zone = self.fields.zone
        if self.fields.offset_sign:
            hours, minutes = self.fields.get("offset_hours"), self.fields.get("offset_minutes")
            if not 0 <= hours <= _MAX_OFFSET_HOURS or not 0 <= minutes < 60:
                raise SqlError("22009", f'time zone displacement out of range: "{self.text}"')
            self.found.zone = fixed_zone(self.fields.offset_sign * (hours * 60 + minutes) * 60)
