"""The parts of a json text as they were written: json, unlike jsonb, keeps its text.

The text has been checked on input, so a flat scan over tokens is enough to cut it.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]', re.DOTALL)
_WHITESPACE: Final = " \t\n\r"


def elements(text: str) -> list[str] | None:
    """The texts of an array's elements; None when the text is no array."""
    if text.lstrip(_WHITESPACE)[:1] != "[":
        return None
    return [part for _, part in _parts(text)]


def members(text: str) -> list[tuple[str, str]] | None:
    """The keys and value texts of an object, duplicates included; None when it is no object."""
    if text.lstrip(_WHITESPACE)[:1] != "{":
        return None
    return [(json.loads(key), part) for key, part in _parts(text) if key is not None]


def _parts(text: str) -> Iterator[tuple[str | None, str]]:
    """(key text or None, value text) of what stands one level deep."""
    depth = 0
    start = 0
    key: str | None = None
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in ("[", "{"):
            depth += 1
            if depth == 1:
                start = match.end()
        elif token in ("]", "}"):
            depth -= 1
            if depth == 0:
                last = text[start : match.start()].strip(_WHITESPACE)
                if last:
                    yield key, last
                return
        elif depth == 1 and token == ",":
            yield key, text[start : match.start()].strip(_WHITESPACE)
            start, key = match.end(), None
        elif depth == 1 and token == ":":
            key = text[start : match.start()].strip(_WHITESPACE)
            start = match.end()
