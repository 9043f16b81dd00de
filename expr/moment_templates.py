"""Templates of to_char, to_date and to_timestamp: keywords, their affixes, and literal text.

A template is a list of parts. A keyword may have the prefix FM (no padding) or TM (the same for
names, which are English here) and a suffix `th`; the longest keyword that fits is taken, in exactly
the letters of the tables below.
"""

from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from core.errors import SqlError
from expr.quoted_text import QUOTE, quoted_text

MAX_TEMPLATE: Final = 10_000
_UPPER: Final = (
    *("A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "D", "FF1", "FF2"),
    *("FF3", "FF4", "FF5", "FF6", "FX", "HH24", "HH12", "HH", "IDDD", "ID", "IW", "IYYY", "IYY"),
    *("IY", "I", "J", "MI", "MM", "MONTH", "MON", "MS", "OF", "P.M.", "PM", "Q", "RM", "SSSSS"),
    *("SSSS", "SS", "TZH", "TZM", "TZ", "US", "WW", "W", "Y,YYY", "YYYY", "YYY", "YY", "Y"),
)
_KEYWORDS: Final = sorted(
    {*_UPPER, *(word.lower() for word in _UPPER), "Day", "Dy", "Month", "Mon"},
    key=len,
    reverse=True,
)
_NAMES: Final = frozenset({"month", "mon", "day", "dy"})


class PartKind(Enum):
    """What a part of a template is."""

    KEYWORD = "keyword"
    SEPARATOR = "separator"  # ASCII punctuation
    SPACE = "space"
    TEXT = "text"  # any other character, and quoted ones


class Part(NamedTuple):
    kind: PartKind
    text: str  # the keyword as written, or one character
    fills: bool = True  # is padded: without FM
    ordinal: str = ""  # TH or th


@lru_cache(maxsize=256)
def parse_template(template: str) -> tuple[Part, ...]:
    """The parts of a template. Raises SqlError 54000 for one that is too long."""
    if len(template) > MAX_TEMPLATE:
        raise SqlError("54000", "date/time format template is too long")
    parts: list[Part] = []
    position = 0
    while position < len(template):
        position = _next_part(template, position, parts)
    return tuple(parts)


def _next_part(template: str, position: int, parts: list[Part]) -> int:
    prefix = template[position : position + 2]
    has_prefix = prefix in ("FM", "fm", "TM", "tm")
    if has_prefix:
        position += 2
    for keyword in _KEYWORDS:
        if template.startswith(keyword, position):
            position += len(keyword)
            suffix = template[position : position + 2]
            ordinal = suffix if suffix in ("TH", "th") else ""
            fills = not has_prefix or (prefix in ("TM", "tm") and keyword.lower() not in _NAMES)
            parts.append(Part(PartKind.KEYWORD, keyword, fills, ordinal))
            return position + (2 if ordinal or suffix == "SP" else 0)
    character = template[position : position + 1]
    if character == QUOTE:
        text, position = quoted_text(template, position + 1)
        parts.extend(Part(PartKind.TEXT, literal) for literal in text)
        return position
    if character == "\\" and template[position + 1 : position + 2] == QUOTE:
        position += 1
        character = QUOTE
    if character:
        parts.append(Part(_kind(character), character))
    return position + 1


def _kind(character: str) -> PartKind:
    if " " < character < "\x7f" and not character.isalnum():
        return PartKind.SEPARATOR
    return PartKind.SPACE if character in " \t\n\r\f\v" else PartKind.TEXT
