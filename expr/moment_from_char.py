"""to_date and to_timestamp: the fields that a template finds in a text.

A separator of the template matches any separator or blank, or nothing; a letter matches any
character. FX makes both match exactly one character. Source of the rules: the manual, "Data Type
Formatting Functions".
"""

import re
from typing import Final

from core.errors import DATETIME_FIELD_OVERFLOW, INVALID_DATETIME_FORMAT, SqlError
from expr.moment_fields import Fields, Found, compose, invalid
from expr.moment_templates import Part, PartKind, parse_template
from expr.moment_to_char import DAY_NAMES, MONTH_NAMES, ROMAN_MONTHS
from expr.timezones import abbreviated_zone

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


def parse_moment(text: str, template: str) -> Found:
    """The moment in a text. Raises SqlError 22007 and 22008."""
    fields = _Reader(text, parse_template(template)).read()
    return compose(text, fields)


class _Reader:
    """One pass over a text along a template."""

    def __init__(self, text: str, parts: tuple[Part, ...]) -> None:
        self.text = text
        self.parts = parts
        self.at = 0
        self.skipped = 0  # blanks and separators beyond those of the template
        self.is_fixed = False
        self.fields = Fields()

    def read(self) -> Fields:
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
                self._weekday(self._name(part, names), part)
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
        raise invalid(
            f'invalid value "{shown}" for "{part.text}"',
            "The given value did not match any of the allowed values for this field.",
        )

    def _number_field(self, part: Part, name: str, index: int) -> None:
        if name in ("ms", "us") or name[:2] == "ff":
            digits = {"ms": 3, "us": 6}.get(name) or int(name[2])
            if name[:2] == "ff":
                self.fields.fraction_digits = digits
            value, length = self._integer(part, digits, index)
            places = 3 if name == "ms" else 6
            target = "milliseconds" if name == "ms" else "microseconds"
            self.fields.set(target, value, part.text)
            self.fields.values[target] = value * 10 ** max(places - length, 0)
        elif name == "q":
            self._integer(part, 1, index)
        elif name == "id":
            value, _ = self._integer(part, 1, index)
            self._weekday(value, part)
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

    def _weekday(self, from_sunday: int, part: Part) -> None:
        """A day of the week from 0 or, as ISO has it, from 1 on; it is kept from 1 on."""
        self.fields.set("weekday", from_sunday, part.text)
        self.fields.values["weekday"] = from_sunday + 1 if from_sunday < 7 else 1

    def _skip_ordinal(self, part: Part) -> None:
        if part.ordinal:
            self.at = min(self.at + 2, len(self.text))

    def _thousands(self, part: Part) -> None:
        match = _THOUSANDS.match(self.text, self.at)
        if match is None:
            raise invalid(f'invalid value "{self.text[self.at :]}" for "{part.text}"')
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
                self.fields.offset_sign = 0
                self.at = end
                return True
        raise invalid(
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
            raise invalid(
                f'source string too short for "{part.text}" formatting field',
                f"Field requires {digits} characters, but only {len(self.text) - self.at} remain.",
            )
        match = _INTEGER.match(self.text, start if takes_all else self.at, limit)
        if match is None:
            shown = self.text[start : start + digits]
            raise invalid(f'invalid value "{shown}" for "{part.text}"', "Value must be an integer.")
        if not takes_all and match.end() < limit:
            raise invalid(
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
