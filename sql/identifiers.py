"""Identifiers as SQL text."""

import re
from typing import Final

from sql.keywords import COLUMN_NAMES, RESERVED, TYPE_OR_FUNCTION_NAMES

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_$]*")
_KEYWORDS: Final = RESERVED | TYPE_OR_FUNCTION_NAMES | COLUMN_NAMES


def quote_identifier(name: str) -> str:
    """`name` as an identifier, quoted when it must be (PostgreSQL's quote_ident)."""
    if _PLAIN.fullmatch(name) and name not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def quote_name(*parts: str | None) -> str:
    """A qualified name, parts that are None left out."""
    return ".".join(quote_identifier(part) for part in parts if part is not None)


def quote_string(value: str) -> str:
    """`value` as a string constant."""
    doubled = value.replace("'", "''")
    if "\\" in doubled:
        return "E'" + doubled.replace("\\", "\\\\") + "'"
    return f"'{doubled}'"
