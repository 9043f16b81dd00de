"""parse_ident: the parts of a qualified name as SQL would read them."""

import re
import string
from typing import Final

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from core.rows import Array
from expr.array_values import one_dimensional
from expr.registry import define

_SPACE: Final = re.compile(r"[ \t\n\r\f\v]*")
_QUOTED: Final = re.compile(r'"((?:[^"]|"")*)(")?')
_ASCII_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_PLAIN: Final = re.compile(r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*")


def parse_identifier(text: str, strict: bool = True) -> Array[str]:
    """The identifiers between dots; what follows them is an error if `strict`, else left out.

    Raises SqlError 22023, in the words of PostgreSQL.
    """
    parts: list[str] = []
    position = _skip_space(text, 0)
    while True:
        part, position = _identifier(text, position, after_dot=bool(parts))
        parts.append(part)
        position = _skip_space(text, position)
        if text[position : position + 1] != ".":
            break
        position = _skip_space(text, position + 1)
    if strict and position < len(text):
        raise _invalid(text, None)
    return one_dimensional(parts)


def _identifier(text: str, position: int, *, after_dot: bool) -> tuple[str, int]:
    quoted = _QUOTED.match(text, position)
    if quoted is not None:
        if quoted[2] is None:
            raise _invalid(text, "String has unclosed double quotes.")
        if not quoted[1]:
            raise _invalid(text, "Quoted identifier must not be empty.")
        return quoted[1].replace('""', '"'), quoted.end()
    plain = _PLAIN.match(text, position)
    if plain is not None:
        return plain[0].translate(_ASCII_LOWER), plain.end()
    if text[position : position + 1] == ".":
        raise _invalid(text, 'No valid identifier before ".".')
    raise _invalid(text, 'No valid identifier after ".".' if after_dot else None)


def _skip_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return position if space is None else space.end()


def _invalid(text: str, detail: str | None) -> SqlError:
    return SqlError(
        INVALID_PARAMETER_VALUE, f'string is not a valid identifier: "{text}"', detail=detail
    )


define("parse_ident(text)", "text[]", parse_identifier)
define("parse_ident(text,bool)", "text[]", parse_identifier)
