"""Time zones: safe lookup by name, and offsets over PostgreSQL's whole range of years.

A zone is a `ZoneInfo` of the tz database or a fixed offset. Names are checked against the
database's list before anything touches a file, so that no name can reach outside of it. Years
beyond Python's datetime use the same year of the 400-year Gregorian cycle.
"""

import datetime
import importlib.resources
import re
import zoneinfo
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from expr.calendar_days import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_SECOND,
    date_of,
    day_number,
)
from expr.timezone_abbreviations import OFFSETS, ZONES

UTC: Final = datetime.UTC
Zone = datetime.tzinfo
MAX_ZONE_NAME: Final = 64
_CYCLE_YEARS: Final = 400
_DATABASE: Final = importlib.resources.files("tzdata")
_EPOCH: Final = datetime.datetime(2000, 1, 1)  # noqa: DTZ001  (wall clocks have no zone)
_FIXED: Final = re.compile(r"([+-])(\d{1,3})(?::(\d{1,2}))?(?::(\d{1,2}))?", re.ASCII)
_POSIX: Final = re.compile(
    r"(?:[A-Za-z]{1,10}|<[A-Za-z0-9+\-]{1,10}>)([+-]?)(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?", re.ASCII
)


def zone_named(name: str) -> Zone:
    """The zone of a name, an abbreviation or a numeric offset. Raises SqlError 22023."""
    zone = find_zone(name)
    if zone is None:
        raise SqlError(INVALID_PARAMETER_VALUE, f'time zone "{name}" not recognized')
    return zone


@lru_cache(maxsize=1024)
def find_zone(name: str) -> Zone | None:
    """The zone of a name as SET TIME ZONE and AT TIME ZONE take it; None when unknown.

    Abbreviations come before names. A bare signed offset and a POSIX specification such as
    `UTC+3` count west of Greenwich as positive, as POSIX has it.
    """
    if len(name) > MAX_ZONE_NAME:
        return None
    zone = abbreviated_zone(name.lower())
    return named_zone(name) if zone is None else zone


def abbreviated_zone(word: str) -> Zone | None:
    """The zone that an abbreviation (in lower case) means."""
    offset = OFFSETS.get(word)
    if offset is not None:
        return fixed_zone(offset)
    key = ZONES.get(word)
    return None if key is None else _load(key)


@lru_cache(maxsize=1024)
def named_zone(name: str) -> Zone | None:
    """The zone of a name of the tz database or a POSIX specification."""
    if len(name) > MAX_ZONE_NAME:
        return None
    key = _zone_keys().get(name.lower())
    if key is not None:
        return _load(key)
    match = _POSIX.fullmatch(name) or _FIXED.fullmatch(name)
    if match is None:
        return None
    seconds = int(match[2]) * 3600 + int(match[3] or 0) * 60 + int(match[4] or 0)
    if seconds >= 24 * 3600:
        return None
    return fixed_zone(seconds if match[1] == "-" else -seconds)


def fixed_zone(seconds_east: int) -> Zone:
    """The zone that is always that far east."""
    if seconds_east == 0:
        return UTC
    return datetime.timezone(datetime.timedelta(seconds=seconds_east))


@lru_cache(maxsize=1024)
def _load(key: str) -> Zone:
    """A zone of the pinned tz database: every process answers alike, whatever its host has."""
    if key in ("UTC", "Etc/UTC"):
        return UTC
    with _DATABASE.joinpath("zoneinfo", *key.split("/")).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key)


@lru_cache(maxsize=1)
def _zone_keys() -> dict[str, str]:
    return {key.lower(): key for key in zone_keys()}


def zone_keys() -> Iterator[str]:
    """The names of the tz database."""
    return iter(sorted(_DATABASE.joinpath("zones").read_text().split()))


def offset_at(zone: Zone, timestamp: int) -> int:
    """Seconds east at a time (microseconds since 2000-01-01 UTC)."""
    if zone is UTC:
        return 0
    if isinstance(zone, datetime.timezone):
        return _seconds(zone.utcoffset(None))
    moment = _as_datetime(timestamp).replace(tzinfo=UTC)
    return _seconds(moment.astimezone(zone).utcoffset())


def abbreviation_at(zone: Zone, timestamp: int) -> str:
    """The zone's abbreviation at a time, as timestamps are shown with it."""
    if zone is UTC:
        return "UTC"
    moment = _as_datetime(timestamp).replace(tzinfo=UTC)
    name = moment.astimezone(zone).tzname() or ""
    return name.removeprefix("UTC") if isinstance(zone, datetime.timezone) else name


def daylight_saving_at(zone: Zone, timestamp: int) -> int:
    """How many of the seconds of `offset_at` are daylight saving."""
    if zone is UTC or isinstance(zone, datetime.timezone):
        return 0
    moment = _as_datetime(timestamp).replace(tzinfo=UTC)
    return _seconds(moment.astimezone(zone).dst())


def to_local(zone: Zone, timestamp: int) -> int:
    """The wall clock (microseconds since 2000-01-01 00:00 on it) at a time."""
    if zone is UTC:
        return timestamp
    return timestamp + offset_at(zone, timestamp) * MICROSECONDS_PER_SECOND


def from_local(zone: Zone, local: int) -> int:
    """The time at which the wall clock shows `local`.

    A time in a gap counts as if the offset before it still held; of two times that show the same,
    the one in standard time is meant: PostgreSQL's rules.
    """
    if zone is UTC:
        return local
    if isinstance(zone, datetime.timezone):
        return local - _seconds(zone.utcoffset(None)) * MICROSECONDS_PER_SECOND
    wall = _as_datetime(local)
    first = _seconds(wall.replace(tzinfo=zone, fold=0).utcoffset())
    second = _seconds(wall.replace(tzinfo=zone, fold=1).utcoffset())
    if first == second or first < second:
        chosen = first
    else:
        moment = wall.replace(tzinfo=zone, fold=1)
        chosen = first if moment.dst() and not wall.replace(tzinfo=zone).dst() else second
    return local - chosen * MICROSECONDS_PER_SECOND


def _seconds(offset: datetime.timedelta | None) -> int:
    return 0 if offset is None else round(offset.total_seconds())


def _as_datetime(microseconds: int) -> datetime.datetime:
    """The naive datetime of that count, in an equivalent year when Python has not got the year."""
    try:
        moment = _EPOCH + datetime.timedelta(microseconds=microseconds)
        if 2 <= moment.year <= 9997:
            return moment
    except OverflowError:
        pass
    day, rest = divmod(microseconds, MICROSECONDS_PER_DAY)
    year, month, day_of_month = date_of(day)
    year = 2 if year < 2 else 2400 + year % _CYCLE_YEARS
    day = day_number(year, month, min(day_of_month, 28) if month == 2 else day_of_month)
    return _EPOCH + datetime.timedelta(days=day, microseconds=rest)
