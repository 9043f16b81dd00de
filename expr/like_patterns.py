"""LIKE and ILIKE patterns as matchers that run in linear time."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import re2

from core.errors import SqlError

Matcher = Callable[[str], bool]
CACHED_PATTERNS: Final = 512
MAX_COMPILED_BYTES: Final = 8 * 1024 * 1024
_MAX_PATTERN: Final = 100_000


def fold_case(text: str) -> str:
    """Lower case, character by character, as the database's lower() does. Only İ has a full
    lower case of two characters; the first of them is its simple one."""
    if text.isascii():
        return text.lower()
    return "".join(c.lower()[0] for c in text)


@lru_cache(maxsize=CACHED_PATTERNS)
def like_matcher(pattern: str) -> Matcher:
    """The test of `text LIKE pattern`, backslash being the escape character."""
    if _ends_with_escape(pattern):
        return _unfinished_matcher(pattern[:-1])
    parts = _parse(pattern)
    literals = [part for part in parts if isinstance(part, str)]
    if len(literals) == len(parts):
        text = "".join(literals)
        return lambda value: value == text
    if "_" not in {part.symbol for part in parts if isinstance(part, _Wildcard)}:
        return _segments_matcher(parts)
    return _regular_matcher(parts)


@lru_cache(maxsize=CACHED_PATTERNS)
def ilike_matcher(pattern: str) -> Matcher:
    """The test of `text ILIKE pattern`."""
    match = like_matcher(fold_case(pattern))
    return lambda value: match(fold_case(value))


class _Wildcard:
    """`%` or `_`."""

    __slots__ = ("symbol",)

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol


_Part = str | _Wildcard
_ANY: Final = _Wildcard("%")
_ONE: Final = _Wildcard("_")


def _parse(pattern: str) -> list[_Part]:
    if len(pattern) > _MAX_PATTERN:
        raise SqlError("54000", "LIKE pattern is too long")
    parts: list[_Part] = []
    literal: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character in "%_":
            if literal:
                parts.append("".join(literal))
                literal = []
            wildcard = _ANY if character == "%" else _ONE
            if not (wildcard is _ANY and parts and parts[-1] is _ANY):
                parts.append(wildcard)
        elif character == "\\":
            position += 1
            literal.append(pattern[position])
        else:
            literal.append(character)
        position += 1
    if literal:
        parts.append("".join(literal))
    return parts


def _ends_with_escape(pattern: str) -> bool:
    """Whether the last backslash escapes nothing."""
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


def _unfinished_matcher(body: str) -> Matcher:
    """A pattern that ends with the escape character: an error once a match gets that far."""
    reaches_end = like_matcher(f"{body}_%")

    def match(value: str) -> bool:
        if reaches_end(value):
            raise SqlError("22025", "LIKE pattern must not end with escape character")
        return False

    return match


def _segments_matcher(parts: list[_Part]) -> Matcher:
    """Literals between `%`: the first and last are anchored, the others found in turn."""
    first = parts[0] if isinstance(parts[0], str) else ""
    last = parts[-1] if isinstance(parts[-1], str) else ""
    inner = [p for p in parts[(1 if first else 0) : (-1 if last else None)] if isinstance(p, str)]
    if not inner and not last:
        return lambda value: value.startswith(first)
    if not inner and not first:
        return lambda value: value.endswith(last)
    if len(inner) == 1 and not first and not last:
        only = inner[0]
        return lambda value: only in value
    shortest = len(first) + len(last) + sum(map(len, inner))

    def match(value: str) -> bool:
        if len(value) < shortest or not value.startswith(first) or not value.endswith(last):
            return False
        position = len(first)
        end = len(value) - len(last)
        for segment in inner:
            found = value.find(segment, position, end)
            if found < 0:
                return False
            position = found + len(segment)
        return position <= end

    return match


def _regular_matcher(parts: list[_Part]) -> Matcher:
    source = "".join(
        re2.escape(part) if isinstance(part, str) else ".*" if part is _ANY else "."
        for part in parts
    )
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = MAX_COMPILED_BYTES
    try:
        compiled = re2.compile(source, options)
    except re2.error:
        raise SqlError("54000", "LIKE pattern is too long") from None
    return lambda value: compiled.fullmatch(value) is not None


def like_escape(pattern: str, escape: str) -> str:
    """The pattern of `LIKE pattern ESCAPE escape` with backslash as its escape character."""
    if len(escape) > 1:
        raise SqlError(
            "22025", "invalid escape string", hint="Escape string must be empty or one character."
        )
    if escape == "\\":
        return pattern
    if not escape:
        return pattern.replace("\\", "\\\\")
    result: list[str] = []
    after_escape = False
    for character in pattern:
        if character == escape and not after_escape:
            result.append("\\")
            after_escape = True
        elif character == "\\" and not after_escape:
            result.append("\\\\")
        else:
            result.append(character)
            after_escape = False
    return "".join(result)
