"""The fields that to_date and to_timestamp found, and the moment that they make."""

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
from expr.integers import split
from expr.timezones import Zone, fixed_zone

_MAX_OFFSET_HOURS: Final = 15
_MAX_INT4: Final = 2**31 - 1


@dataclass(slots=True)
class Found:
    """A moment read from a text."""

    year: int = 0
    month: int = 1
    day: int = 1
    microseconds: int = 0  # of the day
    fraction_digits: int = 6  # that the seconds are to be rounded to
    zone: Zone | None = None

    @property
    def day_number(self) -> int:
        return day_number(self.year, self.month, self.day)


@dataclass(slots=True)
class Fields:
    """The fields as written; 0 is the same as none."""

    values: dict[str, int] = field(default_factory=dict)
    is_iso: bool | None = None
    is_twelve_hour: bool = False
    year_digits: int = 0
    fraction_digits: int = 6
    offset_sign: int = 0
    zone: Zone | None = None

    def get(self, name: str) -> int:
        return self.values.get(name, 0)

    def set(self, name: str, value: int, keyword: str) -> None:
        old = self.get(name)
        if old not in (0, value):
            raise invalid(
                f'conflicting values for "{keyword}" field in formatting string',
                "This value contradicts a previous setting for the same field type.",
            )
        self.values[name] = value


def invalid(message: str, detail: str | None = None) -> SqlError:
    """The error of a text that does not have what its template says."""
    return SqlError(INVALID_DATETIME_FORMAT, message, detail=detail)


def _overflow(text: str) -> SqlError:
    return SqlError(DATETIME_FIELD_OVERFLOW, f'date/time field value out of range: "{text}"')


def compose(text: str, fields: Fields) -> Found:
    """The moment that the fields of a text make. Raises SqlError 22007, 22008 and 22009."""
    return _Composer(text, fields).compose()


class _Composer:
    """Makes a moment of fields; what a field says overrides what a coarser one said."""

    def __init__(self, text: str, fields: Fields) -> None:
        self.text = text
        self.fields = fields
        self.found = Found()
        self.known: set[str] = set()

    def compose(self) -> Found:
        clock = self._clock()
        self._year()
        self._date()
        self._check_date()
        self._time(*clock)
        self._zone()
        return self.found

    def _clock(self) -> tuple[int, int, int]:
        """Hour, minute and second, of which SSSS may have given all."""
        get = self.fields.get
        minutes, second = split(get("seconds"), 60)
        hour, minute = split(minutes, 60)
        second, minute, hour = get("second") or second, get("minute") or minute, get("hour") or hour
        if self.fields.is_twelve_hour:
            if not 1 <= hour <= 12:
                raise SqlError(
                    INVALID_DATETIME_FORMAT,
                    f'hour "{hour}" is invalid for the 12-hour clock',
                    hint="Use the 24-hour clock, or give an hour between 1 and 12.",
                )
            hour = hour % 12 + (12 if get("is_afternoon") else 0)
        return hour, minute, second

    def _time(self, hour: int, minute: int, second: int) -> None:
        fraction = self.fields.get("milliseconds") * 1000 + self.fields.get("microseconds")
        is_valid = 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60
        if not is_valid or not 0 <= fraction < 1_000_000:
            raise _overflow(self.text)
        self.found.microseconds = ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction
        self.found.fraction_digits = self.fields.fraction_digits

    def _year(self) -> None:
        get = self.fields.get
        year, century = get("year"), get("century")
        if get("is_before_christ"):
            century = -century
        if year and century and self.fields.year_digits <= 2:
            last = split(year, 100)[1]
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
        if abs(year) > _MAX_INT4:
            raise _overflow(self.text)
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
            raise invalid("cannot calculate day of year without year information")
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
