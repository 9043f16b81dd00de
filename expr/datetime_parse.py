"""Input of dates, times and timestamps in every form PostgreSQL reads.

The decoder takes the lexer's fields one by one, as PostgreSQL's DecodeDateTime does: a number's
meaning depends on which of year, month, day and time are already known and on the DateStyle's
order. Source of the rules: the manual's appendix "Date/Time Input Interpretation".
"""

import time as clock
from dataclasses import dataclass
from typing import Final

from core.errors import (
    DATETIME_FIELD_OVERFLOW,
    INVALID_DATETIME_FORMAT,
    INVALID_PARAMETER_VALUE,
    SqlError,
)
from core.rows import DATE_INFINITY, TIMESTAMP_INFINITY
from expr.calendar_days import (
    END_TIMESTAMP,
    EPOCH_JULIAN_DAY,
    MAX_DATE_DAY,
    MICROSECONDS_PER_DAY,
    MIN_DAY,
    MIN_TIMESTAMP,
    UNIX_EPOCH_DAY,
    UNIX_EPOCH_MICROSECONDS,
    date_of,
    day_number,
    days_in_month,
)
from expr.datetime_lexer import Field, FieldKind, split_fields
from expr.datetime_text import quick_date, quick_time, quick_timestamp
from expr.timezones import UTC, Zone, abbreviated_zone, fixed_zone, from_local, named_zone, to_local

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
_CORE_WORDS: Final = (
    frozenset(MONTHS)
    | _WEEKDAYS
    | _IGNORED
    | {"t", "j", "jd", "julian", "y", "m", "d", "h", "mm", "s", "am", "pm", "ad", "bc"}
    | {"infinity", "epoch", "now", "today", "tomorrow", "yesterday", "allballs", "zulu"}
)
_DATE: Final = frozenset({"year", "month", "day"})
_TIME: Final = frozenset({"time"})
_MAX_OFFSET_HOURS: Final = 15


class _BadFormat(Exception):
    """The text is no date/time at all."""


class _Overflow(Exception):
    """A field is out of its range."""


class _MonthOrDayOverflow(_Overflow):
    """A month or day is out of range, which another DateStyle might have read otherwise."""


class _ZoneOverflow(Exception):
    """An offset is out of range."""


class _UnknownZone(Exception):
    """A zone's name is unknown; carries the name."""


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


class _Decoder:
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
                raise _BadFormat
            self.known |= found
        if self.prefix is not None or ("dst" in self.known and "zone" not in self.known):
            raise _BadFormat
        if self.special is not None:
            return Decoded(special=self.special)
        self._validate_date()
        return self._result()

    def _result(self) -> Decoded:
        if self.half is not None:
            if self.hour > 12:
                raise _Overflow
            if self.half == "am" and self.hour == 12:
                self.hour = 0
            elif self.half == "pm" and self.hour != 12:
                self.hour += 12
        has_date = self.known >= _DATE
        has_time = "time" in self.known
        if not (has_time if self.time_only else has_date):
            raise _BadFormat
        seconds = (self.hour * 60 + self.minute) * 60 + self.second
        microseconds = seconds * 1_000_000 + self.fraction
        if microseconds > MICROSECONDS_PER_DAY:
            raise _Overflow
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
                        raise _BadFormat
                    self.prefix = None
                return self._clock_time(field.text)
            case FieldKind.ZONE:
                self.zone = _offset_zone(field.text)
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
                raise _BadFormat
            self.prefix = None
            digits, _, offset = text.partition("-")
            self.zone = _offset_zone(f"-{offset}")
            return self._concatenated(digits, self.known) | {"zone"}
        return self._named_zone(text)

    def _julian_with_offset(self, text: str) -> frozenset[str]:
        digits, sign, offset = text.partition("-")
        if not digits.isdigit() or not sign:
            raise _BadFormat
        self.prefix = None
        self._julian_day(int(digits))
        self.zone = _offset_zone(f"-{offset}")
        return _DATE | {"zone"}

    def _named_zone(self, text: str) -> frozenset[str]:
        zone = named_zone(text)
        if zone is None:
            raise _UnknownZone(text)
        self.zone = zone
        return frozenset({"zone"})

    def _date(self, text: str) -> frozenset[str]:
        """A date with separators: three numbers, or a month's name between two."""
        parts = _split_date(text)
        known = self.known
        found: frozenset[str] = frozenset()
        numbers = []
        for part in parts:
            if part[0].isalpha():
                if part in _IGNORED:
                    continue
                if part not in MONTHS or "month" in known:
                    raise _BadFormat
                self.month = MONTHS[part]
                self.has_text_month = True
                known |= {"month"}
                found |= {"month"}
            else:
                numbers.append(part)
        for part in numbers:
            step = self._number(part, known)
            if step & known:
                raise _BadFormat
            known |= step
            found |= step
        if not known >= _DATE or (known - {"day_of_year", "zone"}) != _DATE:
            raise _BadFormat
        return found

    def _number_field(self, text: str) -> frozenset[str]:
        prefix, self.prefix = self.prefix, None
        if prefix == "j":
            whole, point, fraction = text.partition(".")
            self._julian_day(_bounded_int(whole))
            if not point:
                return _DATE
            self._set_time(round(float(f"0.{fraction or 0}") * MICROSECONDS_PER_DAY))
            return _DATE | _TIME
        if prefix == "t":
            found = self._concatenated(text, self.known | _DATE)
            if found != _TIME:
                raise _BadFormat
            return found
        whole, point, _ = text.partition(".")
        has_date = self.known >= _DATE
        if self.time_only:
            if point and len(whole) <= 2:
                raise _BadFormat
            if len(whole) > 4 or point or len(text) in (4, 6):
                return self._concatenated(text, self.known | _DATE)
            raise _BadFormat
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
            self.fraction = _fraction(fraction)
        value = _bounded_int(whole)
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
                raise _BadFormat

    def _concatenated(self, text: str, known: frozenset[str]) -> frozenset[str]:
        """Digits run together: yyyymmdd, hhmmss or hhmm."""
        whole, point, fraction = text.partition(".")
        if point:
            self.fraction = _fraction(fraction)
        elif not known >= _DATE and len(whole) >= 6:
            self.year = _bounded_int(whole[:-4])
            self.month, self.day = int(whole[-4:-2]), int(whole[-2:])
            self.is_two_digit_year = len(whole) == 6
            return _DATE
        if "time" not in known and len(whole) in (4, 6):
            self.hour, self.minute = int(whole[:2]), int(whole[2:4])
            self.second = int(whole[4:6] or 0)
            _check_time(self.hour, self.minute, self.second)
            return _TIME
        raise _BadFormat

    def _clock_time(self, text: str) -> frozenset[str]:
        self.hour, self.minute, self.second, self.fraction = parse_clock(text)
        _check_time(self.hour, self.minute, self.second)
        return _TIME

    def _set_time(self, microseconds: int) -> None:
        seconds, self.fraction = divmod(microseconds, 1_000_000)
        minutes, self.second = divmod(seconds, 60)
        self.hour, self.minute = divmod(minutes, 60)

    def _julian_day(self, number: int) -> None:
        if number > MAX_DATE_DAY + EPOCH_JULIAN_DAY:
            raise _Overflow
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
                raise _BadFormat
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
                    raise _BadFormat
                following = fields[position + 1].kind if position + 1 < len(fields) else None
                if following not in (FieldKind.NUMBER, FieldKind.TIME, FieldKind.DATE):
                    raise _BadFormat
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
                    raise _BadFormat
                self.zone = zone
                return frozenset({"zone"})

    def _validate_date(self) -> None:
        if "year" in self.known and not self.is_julian:
            if self.is_before_christ:
                if self.year <= 0:
                    raise _Overflow
                self.year = 1 - self.year
            elif self.is_two_digit_year:
                self.year += 2000 if self.year < 70 else 1900 if self.year < 100 else 0
            elif self.year <= 0:
                raise _Overflow
        if "day_of_year" in self.known:
            start = day_number(self.year, 1, 1)
            self.year, self.month, self.day = date_of(start + self.day_of_year - 1)
        if "month" in self.known and not 1 <= self.month <= 12:
            raise _MonthOrDayOverflow
        if "day" in self.known and not 1 <= self.day <= 31:
            raise _MonthOrDayOverflow
        if self.known >= _DATE and self.day > days_in_month(self.year, self.month):
            raise _Overflow


def _split_date(text: str) -> list[str]:
    parts: list[str] = []
    position = 0
    while position < len(text) and len(parts) < 25:
        while position < len(text) and not text[position].isalnum():
            position += 1
        if position >= len(text):
            raise _BadFormat
        end = position
        accepts = str.isdigit if text[position].isdigit() else str.isalpha
        while end < len(text) and accepts(text[end]):
            end += 1
        parts.append(text[position:end])
        position = end + 1 if end < len(text) else end
    return parts


def _bounded_int(text: str) -> int:
    if not text:
        raise _BadFormat
    if len(text) > 10:
        raise _Overflow
    value = int(text)
    if value > 2**31 - 1:
        raise _Overflow
    return value


def _fraction(digits: str) -> int:
    """Microseconds of a decimal fraction of a second."""
    if not digits:
        return 0
    if not digits.isdigit():
        raise _BadFormat
    return round(float(f"0.{digits}") * 1_000_000)


def _check_time(hour: int, minute: int, second: int) -> None:
    if hour > 24 or minute > 59 or second > 60:
        raise _Overflow


def parse_clock(text: str) -> tuple[int, int, int, int]:
    """(hour, minute, second, microsecond) of `h:m`, `h:m:s`, `h:m:s.f` or `m:s.f`."""
    body, point, fraction_text = text.partition(".")
    parts = body.split(":")
    if not 2 <= len(parts) <= 3 or not parts[0]:
        raise _BadFormat
    numbers = [_bounded_int(part or "0") for part in parts]
    fraction = _fraction(fraction_text) if point else 0
    if len(numbers) == 3:
        hour, minute, second = numbers
    elif point:
        hour, minute, second = 0, numbers[0], numbers[1]
    else:
        hour, minute, second = numbers[0], numbers[1], 0
    if minute > 59 or second > 60:
        raise _Overflow
    return hour, minute, second, fraction


def _offset_zone(text: str) -> Zone:
    """The zone of `+h`, `+hhmm`, `+hh:mm`, `-hh:mm:ss`."""
    parts = text[1:].split(":")
    if len(parts) > 3 or not all(part.isdigit() for part in parts):
        raise _BadFormat
    numbers = [_bounded_int(part) for part in parts]
    if len(parts) == 1 and len(text) > 3:
        numbers = [numbers[0] // 100, numbers[0] % 100]
    hour, minute, second = (*numbers, 0, 0)[:3]
    if hour > _MAX_OFFSET_HOURS or minute > 59 or second > 59:
        raise _ZoneOverflow
    seconds = (hour * 60 + minute) * 60 + second
    return fixed_zone(-seconds if text[0] == "-" else seconds)


def decode(
    text: str, type_name: str, order: str, session_zone: Zone, *, time_only: bool = False
) -> Decoded:
    """The decoded fields. Raises SqlError with PostgreSQL's code for what is wrong."""
    try:
        fields = split_fields(text, _CORE_WORDS)
        if not fields:
            raise _BadFormat
        return _Decoder(order, session_zone, time_only=time_only).decode(fields)
    except _BadFormat:
        raise SqlError(
            INVALID_DATETIME_FORMAT, f'invalid input syntax for type {type_name}: "{text}"'
        ) from None
    except _MonthOrDayOverflow:
        raise SqlError(
            DATETIME_FIELD_OVERFLOW,
            f'date/time field value out of range: "{text}"',
            hint='Perhaps you need a different "DateStyle" setting.',
        ) from None
    except _Overflow:
        raise SqlError(
            DATETIME_FIELD_OVERFLOW, f'date/time field value out of range: "{text}"'
        ) from None
    except _ZoneOverflow:
        raise SqlError("22009", f'time zone displacement out of range: "{text}"') from None
    except _UnknownZone as error:
        raise SqlError(
            INVALID_PARAMETER_VALUE, f'time zone "{error.args[0]}" not recognized'
        ) from None


def parse_date(text: str, order: str, zone: Zone) -> int:
    """date_in: a day number."""
    day = quick_date(text)
    if day is not None:
        return day
    decoded = decode(text, "date", order, zone)
    match decoded.special:
        case "infinity":
            return DATE_INFINITY
        case "-infinity":
            return -DATE_INFINITY
        case "epoch":
            return UNIX_EPOCH_DAY
    day = day_number(decoded.year, decoded.month, decoded.day)
    if not MIN_DAY <= day <= MAX_DATE_DAY:
        raise SqlError(DATETIME_FIELD_OVERFLOW, f'date out of range: "{text}"')
    return day


def parse_timestamp(text: str, order: str, zone: Zone) -> int:
    """timestamp_in: the wall clock; a zone in the text is read and ignored."""
    local = quick_timestamp(text)
    if local is not None:
        return local
    decoded = decode(text, "timestamp", order, zone)
    return _timestamp(decoded, text, None)


def parse_timestamptz(text: str, order: str, zone: Zone) -> int:
    """timestamptz_in: the time, read in the session's zone unless the text names one."""
    local = quick_timestamp(text)
    if local is not None:
        return from_local(zone, local)
    if text.endswith("+00"):
        local = quick_timestamp(text[:-3])
        if local is not None:
            return local
    decoded = decode(text, "timestamp with time zone", order, zone)
    return _timestamp(decoded, text, decoded.zone or zone)


def _timestamp(decoded: Decoded, text: str, zone: Zone | None) -> int:
    match decoded.special:
        case "infinity":
            return TIMESTAMP_INFINITY
        case "-infinity":
            return -TIMESTAMP_INFINITY
        case "epoch":
            return UNIX_EPOCH_MICROSECONDS
    day = day_number(decoded.year, decoded.month, decoded.day)
    local = day * MICROSECONDS_PER_DAY + decoded.microseconds
    in_reach = MIN_TIMESTAMP - MICROSECONDS_PER_DAY <= local <= END_TIMESTAMP + MICROSECONDS_PER_DAY
    if in_reach:
        moment = local if zone is None else from_local(zone, local)
        if MIN_TIMESTAMP <= moment < END_TIMESTAMP:
            return moment
    raise SqlError(DATETIME_FIELD_OVERFLOW, f'timestamp out of range: "{text}"')


def parse_time(text: str, order: str, zone: Zone) -> int:
    """time_in: microseconds since midnight, 24:00:00 included."""
    value = quick_time(text)
    if value is not None:
        return value
    decoded = decode(text, "time", order, zone, time_only=True)
    if decoded.special is not None:
        raise SqlError(INVALID_DATETIME_FORMAT, f'invalid input syntax for type time: "{text}"')
    return decoded.microseconds
