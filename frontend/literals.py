"""INSERTs of literals in simple queries: texts of one form share one plan.

`lifted` takes the literals out of a text that is exactly `INSERT INTO name (columns) VALUES
(literal, …)` and leaves parameters in their places. The form says little on purpose: a text that is
not plainly of it, or whose values turn out not to fit, is parsed and planned as it stands, which
also gives its errors their positions.
"""

import re
from dataclasses import dataclass
from typing import Final

from core.sql_types import INT4, INT8, NUMERIC, SqlType

MAX_TEXT_LENGTH: Final = 4_000
MAX_VALUES: Final = 100

_FLAGS: Final = re.IGNORECASE | re.ASCII
_HEAD: Final = re.compile(r"\s*INSERT\s+INTO\s+[\w.]+\s*(?:\([\w\s,]*\))?\s*VALUES\s*\(", _FLAGS)
_VALUE: Final = re.compile(
    r"\s*(?:'(?P<text>(?:[^'\\\0]|'')*)'"
    r"|(?P<integer>-?\d{1,18})|(?P<decimal>-?\d{1,30}\.\d{1,30})"
    r"|(?P<word>NULL|TRUE|FALSE|DEFAULT))\s*(?P<end>[,)])",
    _FLAGS,
)
_TAIL: Final = re.compile(r"\s*;?\s*")
_MAX_INT4: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class LiftedInsert:
    """A text with `$1`, `$2` … for its literals; a type of None is to be inferred, as that of a
    quoted literal is."""

    template: str
    types: tuple[SqlType | None, ...]
    values: tuple[bytes, ...]


def lifted(text: str) -> LiftedInsert | None:
    """The INSERT without its literals; None for every other text."""
    head = _HEAD.match(text) if len(text) <= MAX_TEXT_LENGTH else None
    if head is None:
        return None
    parts = [head[0]]
    types: list[SqlType | None] = []
    values: list[bytes] = []
    position, end = head.end(), ","
    while end == ",":
        found = _VALUE.match(text, position)
        if found is None or len(values) >= MAX_VALUES:
            return None
        position, end = found.end(), found["end"]
        if found["word"] is not None:
            parts.append(found["word"] + end)
            continue
        sql_type, value = _typed(found)
        types.append(sql_type)
        values.append(value.encode())
        parts.append(f"${len(values)}{end}")
    if not values or _TAIL.fullmatch(text, position) is None:
        return None
    return LiftedInsert("".join(parts), tuple(types), tuple(values))


def _typed(found: re.Match[str]) -> tuple[SqlType | None, str]:
    quoted, integer = found["text"], found["integer"]
    if quoted is not None:
        return None, quoted.replace("''", "'")
    if integer is not None:
        return (INT4 if abs(int(integer)) <= _MAX_INT4 else INT8), integer
    return NUMERIC, found["decimal"]
