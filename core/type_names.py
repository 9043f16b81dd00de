"""Names of types as SQL writes them: `format_type` and its inverse.

Source: format_type() and the type names of PostgreSQL's manual, "Data Types".
"""

import re
from typing import Final

from core.sql_types import ELEMENT_OIDS, TYPES, TYPES_BY_NAME

_ALIASES: Final = {
    "bool": 16,
    "char": 1042,
    "dec": 1700,
    "decimal": 1700,
    "float": 701,
    "int": 23,
    "string": 25,
    "timestamp without time zone": 1114,
    "timestamp with time zone": 1184,
} | {info.sql_name: info.oid for info in TYPES.values() if not info.sql_name.endswith("]")}
_TYPE_NAME: Final = re.compile(
    r"\s*(?:pg_catalog\.|mz_catalog\.)?"
    r'(?P<name>"[^"]+"|[a-z_][a-z0-9_]*(?: +[a-z]+)*)\s*'
    r"(?:\(\s*\d{1,10}\s*(?:,\s*-?\d{1,10}\s*)?\)\s*)?"
    r"(?P<suffix>with(?:out)? time zone)?\s*"
    r"(?P<array>(?:\[\s*\d{0,10}\s*\]\s*)*)"
)
MAX_TYPE_NAME_LENGTH: Final = 1000


def format_type(oid: int, modifier: int | None) -> str:
    """The SQL name of a type: with its length or precision when `modifier` gives one; `???` for
    an oid that is no type's, `-` for oid 0. `modifier` None means that none is known."""
    if oid == 0:
        return "-"
    info = TYPES.get(oid)
    if info is None:
        return "???"
    element = ELEMENT_OIDS.get(oid)
    if element is not None and info.name.startswith("_"):
        return f"{format_type(element, modifier)}[]"
    if modifier is None or modifier < 0:
        return "bpchar" if oid == 1042 and modifier is not None else info.sql_name
    match oid:
        case 1042 | 1043:
            return f"{info.sql_name}({modifier - 4})"
        case 1700:
            precision, scale = (modifier - 4) >> 16 & 0xFFFF, (modifier - 4) & 0x7FF
            return f"numeric({precision},{(scale ^ 1024) - 1024})"
        case 1083 | 1114 | 1184:
            first, _, rest = info.sql_name.partition(" ")
            return f"{first}({modifier}) {rest}"
        case 1186:
            precision = modifier & 0xFFFF
            return "interval" if precision == 0xFFFF else f"interval({precision})"
        case _:
            return f"{info.sql_name}({modifier})"


def type_oid(name: str) -> int | None:
    """The oid of the type that SQL calls `name` (a modifier is allowed and ignored), None if there
    is none."""
    if len(name) > MAX_TYPE_NAME_LENGTH:
        return None
    match = _TYPE_NAME.fullmatch(name) or _TYPE_NAME.fullmatch(name.lower())
    if match is None:
        return None
    words = match["name"]
    if words.startswith('"'):
        info = TYPES_BY_NAME.get(words[1:-1])
        oid = None if info is None else info.oid
    else:
        full = " ".join([*words.split(), *([match["suffix"]] if match["suffix"] else [])])
        named = TYPES_BY_NAME.get(full)
        oid = _ALIASES.get(full) or (None if named is None else named.oid)
    if oid is None or not match["array"]:
        return oid
    return TYPES[oid].array_oid or None if oid in TYPES else None
