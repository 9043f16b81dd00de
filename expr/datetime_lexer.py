"""Splits a date/time text into fields, by PostgreSQL's rules (ParseDateTime)."""

from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

MAX_FIELDS: Final = 25
MAX_TEXT: Final = 128
_PUNCTUATION: Final = frozenset("!\"#$%&'()*,/;<=>?@[\\]^_`{|}~:.")


class FieldKind(Enum):
    """What a field looks like, before what it means is known."""

    NUMBER = "number"
    DATE = "date"
    TIME = "time"
    ZONE = "zone"  # a sign and digits: an offset, or a signed number of an interval
    WORD = "word"
    SPECIAL = "special"  # a sign and letters: -infinity


class Field(NamedTuple):
    kind: FieldKind
    text: str  # in lower case


def split_fields(text: str, core_words: frozenset[str]) -> list[Field] | None:
    """The fields of a text; None when a character or their number is out of place.

    `core_words` are the words that a digit or a plus sign may follow directly (`t`, `j`, months).
    """
    if len(text) > MAX_TEXT or not text.isascii():
        return None
    text = text.lower()
    fields: list[Field] = []
    position = 0
    length = len(text)
    while position < length:
        character = text[position]
        if character.isspace():
            position += 1
            continue
        if character.isdigit():
            end, kind = _number_like(text, position)
        elif character == ".":
            end, kind = _span(text, position + 1, str.isdigit), FieldKind.NUMBER
        elif character.isalpha():
            end, kind = _word_like(text, position, core_words)
        elif character in "+-":
            after = _span(text, position + 1, str.isspace)
            if after >= length:
                return None
            if text[after].isdigit():
                end = _span(text, after, lambda c: c.isdigit() or c in ":.-")
                kind = FieldKind.ZONE
            elif text[after].isalpha():
                end, kind = _span(text, after, str.isalpha), FieldKind.SPECIAL
            else:
                return None
            fields.append(Field(kind, character + text[after:end]))
            position = end
            continue
        elif character in _PUNCTUATION:
            position += 1
            continue
        else:
            return None
        fields.append(Field(kind, text[position:end]))
        position = end
    return fields if len(fields) <= MAX_FIELDS else None


def _span(text: str, start: int, accepts: Callable[[str], bool]) -> int:
    end = start
    while end < len(text) and accepts(text[end]):
        end += 1
    return end


def _number_like(text: str, start: int) -> tuple[int, FieldKind]:
    end = _span(text, start, str.isdigit)
    following = text[end : end + 1]
    if following == ":":
        return _span(text, end, lambda c: c.isdigit() or c in ":."), FieldKind.TIME
    if following and following in "-/.":
        delimiter = following
        after = end + 1
        if text[after : after + 1].isdigit():
            end = _span(text, after, str.isdigit)
            if text[end : end + 1] == delimiter:
                return _span(text, end, lambda c: c.isdigit() or c == delimiter), FieldKind.DATE
            return end, FieldKind.NUMBER if delimiter == "." else FieldKind.DATE
        return _span(text, after, lambda c: c.isalnum() or c == delimiter), FieldKind.DATE
    return end, FieldKind.NUMBER


def _word_like(text: str, start: int, core_words: frozenset[str]) -> tuple[int, FieldKind]:
    end = _span(text, start, str.isalpha)
    following = text[end : end + 1]
    is_date = bool(following) and following in "-/."
    if following == "+" or following.isdigit():
        is_date = text[start:end] not in core_words
    if is_date:
        return _span(text, end, lambda c: c.isalnum() or c in "+-/_.:"), FieldKind.DATE
    return end, FieldKind.WORD
