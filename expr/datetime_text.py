"""Dates, times and timestamps as text: the output of every DateStyle and the fast input paths.

The general input parser is in `expr.datetime_parse`; the forms that COPY and drivers send
(`2024-01-31`, `2024-01-31 10:20:30.5`) never reach it.
"""

import datetime
from collections.abc import Callable
from typing import Final

from core.rows import DATE_INFINITY, TIMESTAMP_INFINITY
from expr.calendar_days import MICROSECONDS_PER_DAY, date_of, weekday
from expr.timezones import UTC, Zone, abbreviation_at, offset_at

MONTH_ABBREVIATIONS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
DAY_ABBREVIATIONS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_EPOCH: Final = datetime.datetime(2000, 1, 1)  # noqa: DTZ001  (wall clocks have no zone)
_EPOCH_ORDINAL: Final = _EPOCH.toordinal()
_MIN_FAST_DAY: Final = 1 - _EPOCH_ORDINAL
_MAX_FAST_DAY: Final = datetime.date.max.toordinal() - _EPOCH_ORDINAL
_MIN_FAST: Final = _MIN_FAST_DAY * MICROSECONDS_PER_DAY
_MAX_FAST: Final = _MAX_FAST_DAY * MICROSECONDS_PER_DAY


def format_date(day: int, style: str = "ISO, MDY") -> str:
    """date_out."""
    if _MIN_FAST_DAY <= day <= _MAX_FAST_DAY and style.startswith("ISO"):
        return datetime.date.fromordinal(day + _EPOCH_ORDINAL).isoformat()
    if day in (DATE_INFINITY, -DATE_INFINITY, -DATE_INFINITY - 1):
        return "infinity" if day > 0 else "-infinity"
    year, month, day_of_month = date_of(day)
    era = "" if year > 0 else " BC"
    year = year if year > 0 else 1 - year
    name, _, order = style.partition(", ")
    day_first = order == "DMY"
    match name:
        case "ISO":
            text = f"{year:04d}-{month:02d}-{day_of_month:02d}"
        case "German":
            text = f"{day_of_month:02d}.{month:02d}.{year:04d}"
        case _:
            separator = "/" if name == "SQL" else "-"
            pair = (day_of_month, month) if day_first else (month, day_of_month)
            if name == "Postgres" and order == "YMD":
                return f"{year:04d}-{month:02d}-{day_of_month:02d}{era}"
            text = f"{pair[0]:02d}{separator}{pair[1]:02d}{separator}{year:04d}"
    return text + era


def format_time(microseconds: int) -> str:
    """time_out."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    text = f"{hour:02d}:{minute:02d}:{second:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def format_timestamp(microseconds: int) -> str:
    """timestamp_out in ISO style."""
    if _MIN_FAST <= microseconds <= _MAX_FAST:
        text = (_EPOCH + datetime.timedelta(microseconds=microseconds)).isoformat(" ")
        return text.rstrip("0") if len(text) > 19 else text
    return format_timestamp_styled(microseconds, "ISO, MDY", None)


def timestamptz_formatter(zone: Zone, style: str) -> Callable[[int], str]:
    """timestamptz_out for a session's zone and style."""
    if not style.startswith("ISO"):
        return lambda microseconds: format_timestamp_styled(microseconds, style, zone)
    if zone is UTC:

        def format_utc(microseconds: int) -> str:
            if _MIN_FAST <= microseconds <= _MAX_FAST:
                text = (_EPOCH + datetime.timedelta(microseconds=microseconds)).isoformat(" ")
                return f"{text.rstrip('0') if len(text) > 19 else text}+00"
            return format_timestamp_styled(microseconds, style, zone)

        return format_utc
    return lambda microseconds: format_timestamp_styled(microseconds, style, zone)


def format_timestamp_styled(microseconds: int, style: str, zone: Zone | None) -> str:
    """timestamp_out and, with a zone, timestamptz_out in any style."""
    if microseconds in (TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY - 1):
        return "infinity" if microseconds > 0 else "-infinity"
    offset = 0 if zone is None else offset_at(zone, microseconds)
    day, rest = divmod(microseconds + offset * 1_000_000, MICROSECONDS_PER_DAY)
    time_text = format_time(rest)
    year, _, _ = date_of(day)
    name = style.partition(", ")[0]
    if name == "Postgres":
        return _format_verbose(day, time_text, style, zone, microseconds)
    era = " BC" if year <= 0 else ""
    date_text = format_date(day, style).removesuffix(" BC")
    zone_text = ""
    if zone is not None:
        named = " " + abbreviation_at(zone, microseconds)
        zone_text = format_offset(offset) if name == "ISO" else named
    return f"{date_text} {time_text}{zone_text}{era}"


def _format_verbose(
    day: int, time_text: str, style: str, zone: Zone | None, microseconds: int
) -> str:
    year, month, day_of_month = date_of(day)
    era = " BC" if year <= 0 else ""
    year = year if year > 0 else 1 - year
    month_text = MONTH_ABBREVIATIONS[month - 1]
    pair = f"{month_text} {day_of_month:02d}"
    if style.endswith("DMY"):
        pair = f"{day_of_month:02d} {month_text}"
    zone_text = "" if zone is None else " " + abbreviation_at(zone, microseconds)
    return f"{DAY_ABBREVIATIONS[weekday(day)]} {pair} {time_text} {year:04d}{zone_text}{era}"


def format_offset(seconds: int) -> str:
    """An offset as ISO timestamps end in: `+00`, `+05:30`, `-00:25:21`."""
    sign = "-" if seconds < 0 else "+"
    minutes, second = divmod(abs(seconds), 60)
    hour, minute = divmod(minutes, 60)
    text = f"{sign}{hour:02d}"
    if minute or second:
        text += f":{minute:02d}"
    return f"{text}:{second:02d}" if second else text


def quick_date(text: str) -> int | None:
    """The day number of `YYYY-MM-DD`; None for any other text."""
    if len(text) == 10 and text[4] == "-" and text[7] == "-":
        try:
            return datetime.date.fromisoformat(text).toordinal() - _EPOCH_ORDINAL
        except ValueError:
            return None
    return None


def quick_timestamp(text: str) -> int | None:
    """The wall clock of `YYYY-MM-DD HH:MM:SS[.ffffff]` (or with a T); None for other texts."""
    length = len(text)
    if length < 19 or text[4] != "-" or text[7] != "-" or text[10] not in " T":
        return None
    if text[13] != ":" or text[16] != ":":
        return None
    if length > 19:
        if text[19] != "." or not 20 < length <= 26 or not text[20:].isdigit():
            return None
        text = text.ljust(26, "0")
    try:
        delta = datetime.datetime.fromisoformat(text) - _EPOCH
    except ValueError:
        return None
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def quick_time(text: str) -> int | None:
    """Microseconds since midnight of `HH:MM:SS`; None for other texts."""
    if len(text) == 8 and text[2] == ":" and text[5] == ":":
        try:
            parsed = datetime.time.fromisoformat(text)
        except ValueError:
            return None
        return ((parsed.hour * 60 + parsed.minute) * 60 + parsed.second) * 1_000_000
    return None
