"""Decodes the fields of a date/time text, one by one, as PostgreSQL's DecodeDateTime does.

A number's meaning depends on which of year, month, day and time are already known and on the
DateStyle's order. Source of the rules: the manual's appendix "Date/Time Input Interpretation".
"""

import time as clock
from dataclasses import dataclass
from typing import Final

from expr.calendar_days import (
    EPOCH_JULIAN_DAY,
    MAX_DATE_DAY,
    MICROSECONDS_PER_DAY,
    UNIX_EPOCH_MICROSECONDS,
    date_of,
    day_number,
    days_in_month,
)
from expr.datetime_lexer import Field, FieldKind
from expr.datetime_numbers import (
    BadFormat,
    MonthOrDayOverflow,
    Overflow,
    UnknownZone,
    bounded_int,
    check_time,
    offset_zone,
    parse_clock,
    parse_fraction,
    split_date,
)
from expr.timezones import UTC, Zone, abbreviated_zone, named_zone, to_local

MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            *("jan january", "feb february", "mar march", "apr april", "may", "jun june"),
            *("jul july", "aug august", "sep sept september", "oct october"),
            *("nov november", "dec december"),
        ),
        1,
    )
    for name in names.split()
}
_WEEKDAYS: Final = frozenset(
    "sun sunday mon monday tue tues tuesday wed weds wednesday thu thur thurs thursday fri friday"
    " sat saturday".split()
)
_IGNORED: Final = frozenset({"at", "on"})
CORE_WORDS: Final = (
    frozenset(MONTHS)
    | _WEEKDAYS
    | _IGNORED
    | {"t", "j", "jd", "julian", "y", "m", "d", "h", "mm", "s", "am", "pm", "ad", "bc"}
    | {"infinity", "epoch", "now", "today", "tomorrow", "yesterday", "allballs", "zulu"}
)
_DATE: Final = frozenset({"year", "month", "day"})
_TIME: Final = frozenset({"time"})


@dataclass(slots=True)
class Decoded:
    """What the fields said. `special` is infinity, -infinity or epoch; then nothing else counts."""

    year: int = 0
    month: int = 0
    day: int = 0
    microseconds: int = 0  # of the day, 24:00:00 included
    zone: Zone | None = None
    special: str | None = None
    has_date: bool = False
    has_time: bool = False


class Decoder:
    """One pass over the fields of one text."""

    def __init__(self, order: str, session_zone: Zone, *, time_only: bool) -> None:
        self.order = order
        self.session_zone = session_zone
        self.time_only = time_only
        self.known: frozenset[str] = frozenset()
        self.year = self.month = self.day = self.day_of_year = 0
        self.hour = self.minute = self.second = self.fraction = 0
        self.zone: Zone | None = None
        self.special: str | None = None
        self.prefix: str | None = None  # "t" or "j": the next field is a time or a Julian day
        self.is_two_digit_year = False
        self.has_text_month = False
        self.is_before_christ = False
        self.is_julian = False
        self.half: str | None = None

    def decode(self, fields: list[Field]) -> Decoded:
        for position, field in enumerate(fields):
            found = self._field(field, fields, position)
            if found is None:
                continue
            if found & self.known:
                raise BadFormat
            self.known |= found
        if self.prefix is not None or ("dst" in self.known and "zone" not in self.known):
            raise BadFormat
        if self.special is not None:
            return Decoded(special=self.special)
        self._validate_date()
        return self._result()

    def _result(self) -> Decoded:
        if self.half is not None:
            if self.hour > 12:
                raise Overflow
            if self.half == "am" and self.hour == 12:
                self.hour = 0
            elif self.half == "pm" and self.hour != 12:
                self.hour += 12
        has_date = self.known >= _DATE
        has_time = "time" in self.known
        if not (has_time if self.time_only else has_date):
            raise BadFormat
        seconds = (self.hour * 60 + self.minute) * 60 + self.second
        microseconds = seconds * 1_000_000 + self.fraction
        if microseconds > MICROSECONDS_PER_DAY:
            raise Overflow
        return Decoded(
            *(self.year, self.month, self.day, microseconds, self.zone, None, has_date, has_time)
        )

    def _field(self, field: Field, fields: list[Field], position: int) -> frozenset[str] | None:
        match field.kind:
            case FieldKind.DATE:
                return self._date_field(field.text)
            case FieldKind.TIME:
                if self.prefix is not None:
                    if self.prefix != "t":
                        raise BadFormat
                    self.prefix = None
                return self._clock_time(field.text)
            case FieldKind.ZONE:
                self.zone = offset_zone(field.text)
                return frozenset({"zone"})
            case FieldKind.NUMBER:
                return self._number_field(field.text)
            case _:
                return self._word(field.text, fields, position)

    def _date_field(self, text: str) -> frozenset[str]:
        if self.prefix == "j":
            return self._julian_with_offset(text)
        if (
            self.prefix is None
            and not self.known >= {"month", "day"}
            and not (self.time_only and not text[0].isdigit())
        ):
            if self.time_only and "time" in self.known and not text[0].isdigit():
                return self._named_zone(text)
            return self._date(text)
        if text[0].isdigit() or self.prefix is not None:
            if self.prefix not in (None, "t") or "time" in self.known or "-" not in text:
                raise BadFormat
            self.prefix = None
            digits, _, offset = text.partition("-")
            self.zone = offset_zone(f"-{offset}")
            return self._concatenated(digits, self.known) | {"zone"}
        return self._named_zone(text)

    def _julian_with_offset(self, text: str) -> frozenset[str]:
        digits, sign, offset = text.partition("-")
        if not digits.isdigit() or not sign:
            raise BadFormat
        self.prefix = None
        self._julian_day(int(digits))
        self.zone = offset_zone(f"-{offset}")
        return _DATE | {"zone"}

    def _named_zone(self, text: str) -> frozenset[str]:
        zone = named_zone(text)
        if zone is None:
            raise UnknownZone(text)
        self.zone = zone
        return frozenset({"zone"})

    def _date(self, text: str) -> frozenset[str]:
        """A date with separators: three numbers, or a month's name between two."""
        parts = split_date(text)
        known = self.known
        found: frozenset[str] = frozenset()
        numbers = []
        for part in parts:
            if part[0].isalpha():
                if part in _IGNORED:
                    continue
                if part not in MONTHS or "month" in known:
                    raise BadFormat
                self.month = MONTHS[part]
                self.has_text_month = True
                known |= {"month"}
                found |= {"month"}
            else:
                numbers.append(part)
        for part in numbers:
            step = self._number(part, known)
            if step & known:
                raise BadFormat
            known |= step
            found |= step
        if not known >= _DATE or (known - {"day_of_year", "zone"}) != _DATE:
            raise BadFormat
        return found

    def _number_field(self, text: str) -> frozenset[str]:
        prefix, self.prefix = self.prefix, None
        if prefix == "j":
            whole, point, fraction = text.partition(".")
            self._julian_day(bounded_int(whole))
            if not point:
                return _DATE
            self._set_time(round(float(f"0.{fraction or 0}") * MICROSECONDS_PER_DAY))
            return _DATE | _TIME
        if prefix == "t":
            found = self._concatenated(text, self.known | _DATE)
            if found != _TIME:
                raise BadFormat
            return found
        whole, point, _ = text.partition(".")
        has_date = self.known >= _DATE
        if self.time_only:
            if point and len(whole) <= 2:
                raise BadFormat
            if len(whole) > 4 or point or len(text) in (4, 6):
                return self._concatenated(text, self.known | _DATE)
            raise BadFormat
        if point and not self.known & _DATE:
            return self._date(text)
        if point and len(whole) > 2:
            return self._concatenated(text, self.known)
        if len(text) >= 6 and not (has_date and "time" in self.known):
            return self._concatenated(text, self.known)
        return self._number(text, self.known)

    def _number(self, text: str, known: frozenset[str]) -> frozenset[str]:
        """One number of a date, told apart by what is already known."""
        whole, point, fraction = text.partition(".")
        if point:
            if len(whole) > 2:
                return self._concatenated(text, known | _DATE)
            self.fraction = parse_fraction(fraction)
        value = bounded_int(whole)
        length = len(text)
        dated = known & _DATE
        if length == 3 and dated == {"year"} and 1 <= value <= 366:
            self.day_of_year = value
            return frozenset({"day_of_year", "month", "day"})
        part = self._part_of_date(length, dated)
        if part is None:
            return self._concatenated(text, known)
        if part == "late year":
            # The number before was the day after all.
            self.day, self.year, self.is_two_digit_year = self.year, value, False
            return frozenset({"day"})
        setattr(self, part, value)
        if part == "year":
            self.is_two_digit_year = length <= 2
        return frozenset({part})

    def _part_of_date(self, length: int, dated: frozenset[str]) -> str | None:
        year_first = length >= 3 or self.order == "YMD"
        match sorted(dated):
            case []:
                if year_first:
                    return "year"
                return "day" if self.order == "DMY" else "month"
            case ["year"] | ["day"]:
                return "month"
            case ["month"]:
                return "year" if self.has_text_month and year_first else "day"
            case ["month", "year"]:
                if self.has_text_month and length >= 3 and self.is_two_digit_year:
                    return "late year"
                return "day"
            case ["day", "month"]:
                return "year"
            case ["day", "month", "year"]:
                return None
            case _:
                raise BadFormat

    def _concatenated(self, text: str, known: frozenset[str]) -> frozenset[str]:
        """Digits run together: yyyymmdd, hhmmss or hhmm."""
        whole, point, fraction = text.partition(".")
        if point:
            self.fraction = parse_fraction(fraction)
        elif not known >= _DATE and len(whole) >= 6:
            self.year = bounded_int(whole[:-4])
            self.month, self.day = int(whole[-4:-2]), int(whole[-2:])
            self.is_two_digit_year = len(whole) == 6
            return _DATE
        if "time" not in known and len(whole) in (4, 6):
            self.hour, self.minute = int(whole[:2]), int(whole[2:4])
            self.second = int(whole[4:6] or 0)
            check_time(self.hour, self.minute, self.second)
            return _TIME
        raise BadFormat

    def _clock_time(self, text: str) -> frozenset[str]:
        self.hour, self.minute, self.second, self.fraction = parse_clock(text)
        check_time(self.hour, self.minute, self.second)
        return _TIME

    def _set_time(self, microseconds: int) -> None:
        seconds, self.fraction = divmod(microseconds, 1_000_000)
        minutes, self.second = divmod(seconds, 60)
        self.hour, self.minute = divmod(minutes, 60)

    def _julian_day(self, number: int) -> None:
        if number > MAX_DATE_DAY + EPOCH_JULIAN_DAY:
            raise Overflow
        self.year, self.month, self.day = date_of(number - EPOCH_JULIAN_DAY)
        self.is_julian = True

    def _word(self, text: str, fields: list[Field], position: int) -> frozenset[str] | None:
        zone = abbreviated_zone(text)
        if zone is not None:
            self.zone = zone
            return frozenset({"zone"})
        if text in _IGNORED:
            return None
        if text in MONTHS or text in _WEEKDAYS:
            if self.time_only:
                raise BadFormat
            return self._month_word(text) if text in MONTHS else frozenset({"weekday"})
        match text:
            case "am" | "pm":
                self.half = text
                return frozenset({"half"})
            case "ad" | "bc" | "b.c." | "a.d.":
                self.is_before_christ = text == "bc"
                return frozenset({"era"})
            case "t":
                if not self.time_only and not self.known >= _DATE:
                    raise BadFormat
                following = fields[position + 1].kind if position + 1 < len(fields) else None
                if following not in (FieldKind.NUMBER, FieldKind.TIME, FieldKind.DATE):
                    raise BadFormat
                self.prefix = "t"
                return None
            case "j" | "jd" | "julian":
                self.prefix = "j"
                return None
            case "dst":
                return frozenset({"dst"})
            case _:
                return self._reserved_word(text)

    def _month_word(self, text: str) -> frozenset[str]:
        found = frozenset({"month"})
        if "month" in self.known and not self.has_text_month and "day" not in self.known:
            if 1 <= self.month <= 31:
                self.day = self.month
                found = frozenset({"day"})
        self.has_text_month = True
        self.month = MONTHS[text]
        return found

    def _reserved_word(self, text: str) -> frozenset[str]:
        match text:
            case "infinity" | "+infinity" | "inf" | "-infinity" | "-inf" | "epoch":
                self.special = {"inf": "infinity", "-inf": "-infinity"}.get(
                    text, text.removeprefix("+")
                )
                return _DATE | _TIME | {"zone"}
            case "now" | "today" | "tomorrow" | "yesterday":
                moment = round(clock.time() * 1_000_000) + UNIX_EPOCH_MICROSECONDS
                day, rest = divmod(to_local(self.session_zone, moment), MICROSECONDS_PER_DAY)
                day += {"tomorrow": 1, "yesterday": -1}.get(text, 0)
                self.year, self.month, self.day = date_of(day)
                self._set_time(rest if text == "now" else 0)
                return _DATE | _TIME | ({"zone"} if text == "now" else frozenset())
            case "allballs" | "zulu":
                self.zone = UTC
                return _TIME | {"zone"} if text == "allballs" else frozenset({"zone"})
            case _:
                zone = named_zone(text)
                if zone is None:
                    raise BadFormat
                self.zone = zone
                return frozenset({"zone"})

    def _validate_date(self) -> None:
        if "year" in self.known and not self.is_julian:
            if self.is_before_christ:
                if self.year <= 0:
                    raise Overflow
                self.year = 1 - self.year
            elif self.is_two_digit_year:
                self.year += 2000 if self.year < 70 else 1900 if self.year < 100 else 0
            elif self.year <= 0:
                raise Overflow
        if "day_of_year" in self.known:
            start = day_number(self.year, 1, 1)
            self.year, self.month, self.day = date_of(start + self.day_of_year - 1)
        if "month" in self.known and not 1 <= self.month <= 12:
            raise MonthOrDayOverflow
        if "day" in self.known and not 1 <= self.day <= 31:
            raise MonthOrDayOverflow
        if self.known >= _DATE and self.day > days_in_month(self.year, self.month):
            raise Overflow
