"""The numbers in a date/time field: dates and clocks split up, fractions and offsets.

What is wrong with a text is told by the exceptions here; `expr.datetime_parse` gives them their
SQLSTATE.
"""

from typing import Final

from expr.timezones import Zone, fixed_zone

_MAX_OFFSET_HOURS: Final = 15


class BadFormat(Exception):
    """The text is no date/time at all."""


class Overflow(Exception):
    """A field is out of its range."""


class MonthOrDayOverflow(Overflow):
    """A month or day is out of range, which another DateStyle might have read otherwise."""


class ZoneOverflow(Exception):
    """An offset is out of range."""


class UnknownZone(Exception):
    """A zone's name is unknown; carries the name."""


def split_date(text: str) -> list[str]:
    parts: list[str] = []
    position = 0
    while position < len(text) and len(parts) < 25:
        while position < len(text) and not text[position].isalnum():
            position += 1
        if position >= len(text):
            raise BadFormat
        end = position
        accepts = str.isdigit if text[position].isdigit() else str.isalpha
        while end < len(text) and accepts(text[end]):
            end += 1
        parts.append(text[position:end])
        position = end + 1 if end < len(text) else end
    return parts


def bounded_int(text: str) -> int:
    if not text:
        raise BadFormat
    if len(text) > 10:
        raise Overflow
    value = int(text)
    if value > 2**31 - 1:
        raise Overflow
    return value


def parse_fraction(digits: str) -> int:
    """Microseconds of a decimal fraction of a second."""
    if not digits:
        return 0
    if not digits.isdigit():
        raise BadFormat
    return round(float(f"0.{digits}") * 1_000_000)


def check_time(hour: int, minute: int, second: int) -> None:
    if hour > 24 or minute > 59 or second > 60:
        raise Overflow


def parse_clock(text: str) -> tuple[int, int, int, int]:
    """(hour, minute, second, microsecond) of `h:m`, `h:m:s`, `h:m:s.f` or `m:s.f`."""
    body, point, fraction_text = text.partition(".")
    parts = body.split(":")
    if not 2 <= len(parts) <= 3 or not parts[0]:
        raise BadFormat
    numbers = [bounded_int(part or "0") for part in parts]
    fraction = parse_fraction(fraction_text) if point else 0
    if len(numbers) == 3:
        hour, minute, second = numbers
    elif point:
        hour, minute, second = 0, numbers[0], numbers[1]
    else:
        hour, minute, second = numbers[0], numbers[1], 0
    if minute > 59 or second > 60:
        raise Overflow
    return hour, minute, second, fraction


def offset_zone(text: str) -> Zone:
    """The zone of `+h`, `+hhmm`, `+hh:mm`, `-hh:mm:ss`."""
    parts = text[1:].split(":")
    if len(parts) > 3 or not all(part.isdigit() for part in parts):
        raise BadFormat
    numbers = [bounded_int(part) for part in parts]
    if len(parts) == 1 and len(text) > 3:
        numbers = [numbers[0] // 100, numbers[0] % 100]
    hour, minute, second = (*numbers, 0, 0)[:3]
    if hour > _MAX_OFFSET_HOURS or minute > 59 or second > 59:
        raise ZoneOverflow
    seconds = (hour * 60 + minute) * 60 + second
    return fixed_zone(-seconds if text[0] == "-" else seconds)
