"""Templates of to_char and to_number: digits, signs and what may stand between them.

`parse_number_template` reads a template into its parts and what they say together (`Picture`).
Source of the rules: the manual, "Data Type Formatting Functions". The locale is C: the point is
`.`, groups are separated by `,`, the currency symbol is a space.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from core.errors import SYNTAX_ERROR, SqlError
from expr.quoted_text import QUOTE, quoted_text

MAX_TEMPLATE: Final = 10_000
_WORDS: Final = (
    *("EEEE", "FM", "MI", "PL", "PR", "RN", "SG", "SP", "TH", ",", ".", "0", "9", "B", "C", "D"),
    *("G", "L", "S", "V"),
)
_KEYWORDS: Final = sorted({*_WORDS, *(word.lower() for word in _WORDS)}, key=len, reverse=True)


class NumberPart(NamedTuple):
    """A keyword in upper case, or a character that stands for itself."""

    text: str
    is_keyword: bool
    is_lower: bool = False


@dataclass(slots=True)
class Picture:
    """What a template says as a whole."""

    before: int = 0  # digits before the point
    after: int = 0
    shift: int = 0  # digits after V
    first_zero: int | None = None  # the position of the first 0 before the point
    last_zero: int = 0  # digits up to the last 0
    sign: str = ""  # where S stands: "before" or "after" the digits
    digits_before_sign: int = 0
    is_filled: bool = True  # without FM
    has_point: bool = False
    is_shifted: bool = False
    is_blank: bool = False
    is_bracketed: bool = False
    has_minus: bool = False
    has_plus: bool = False
    is_roman: bool = False
    is_scientific: bool = False


@lru_cache(maxsize=256)
def parse_number_template(template: str) -> tuple[tuple[NumberPart, ...], Picture]:
    """The parts and the picture of a template; a picture is shared and must not be changed.

    Raises SqlError 42601 for keywords that do not go together, 54000 for a template too long.
    """
    if len(template) > MAX_TEMPLATE:
        raise SqlError("54000", "number format template is too long")
    parts: list[NumberPart] = []
    picture = Picture()
    position = 0
    while position < len(template):
        keyword = next((k for k in _KEYWORDS if template.startswith(k, position)), None)
        if keyword is not None:
            position += len(keyword)
            _add(picture, keyword.upper())
            parts.append(NumberPart(keyword.upper(), True, keyword.islower()))
            continue
        if template[position] == QUOTE:
            text, position = quoted_text(template, position + 1)
            parts.extend(NumberPart(literal, False) for literal in text)
            continue
        if template[position] == "\\" and template[position + 1 : position + 2] == QUOTE:
            position += 1
        parts.append(NumberPart(template[position], False))
        position += 1
    return tuple(parts), picture


def _refuse(message: str) -> SqlError:
    return SqlError(SYNTAX_ERROR, message)


def _add(picture: Picture, keyword: str) -> None:
    """Take one more keyword into the picture."""
    if picture.is_scientific and keyword != "EEEE":
        raise _refuse('"EEEE" must be the last pattern used')
    match keyword:
        case "9" | "0":
            _add_digit(picture, keyword)
        case "B":
            if not picture.before and not picture.after and picture.first_zero is None:
                picture.is_blank = True
        case "." | "D":
            if picture.has_point:
                raise _refuse("multiple decimal points")
            if picture.is_shifted:
                raise _refuse('cannot use "V" and decimal point together')
            picture.has_point = True
        case "FM":
            picture.is_filled = False
        case "V":
            if picture.has_point:
                raise _refuse('cannot use "V" and decimal point together')
            picture.is_shifted = True
        case "S" | "MI" | "PL" | "SG" | "PR":
            _add_sign(picture, keyword)
        case "RN":
            if picture.is_roman:
                raise _refuse('cannot use "RN" twice')
            picture.is_roman = True
        case "EEEE":
            _add_exponent(picture)
    if picture.is_roman and picture != Picture(is_roman=True, is_filled=picture.is_filled):
        if _has_flags(picture):
            raise SqlError(
                SYNTAX_ERROR,
                '"RN" is incompatible with other formats',
                detail='"RN" may only be used together with "FM".',
            )


def _has_flags(picture: Picture) -> bool:
    return (
        picture.has_point
        or bool(picture.sign)
        or picture.is_bracketed
        or picture.has_minus
        or picture.has_plus
        or picture.is_blank
        or picture.first_zero is not None
        or picture.is_shifted
        or picture.is_scientific
    )


def _add_digit(picture: Picture, keyword: str) -> None:
    if picture.is_bracketed:
        raise _refuse(f'"{keyword}" must be ahead of "PR"')
    if keyword == "9" and picture.is_shifted:
        picture.shift += 1
        return
    if keyword == "0" and picture.first_zero is None and not picture.has_point:
        picture.first_zero = picture.before
    if picture.has_point:
        picture.after += 1
    else:
        picture.before += 1
    if keyword == "0":
        picture.last_zero = picture.before + picture.after


def _add_sign(picture: Picture, keyword: str) -> None:
    has_other = picture.has_plus or picture.has_minus
    match keyword:
        case "S":
            if picture.sign:
                raise _refuse('cannot use "S" twice')
            if has_other or picture.is_bracketed:
                raise _refuse('cannot use "S" and "PL"/"MI"/"SG"/"PR" together')
            picture.sign = "after" if picture.has_point else "before"
            picture.digits_before_sign = picture.before
        case "PR":
            if picture.sign or has_other:
                raise _refuse('cannot use "PR" and "S"/"PL"/"MI"/"SG" together')
            picture.is_bracketed = True
        case _:
            if picture.sign:
                raise _refuse(f'cannot use "S" and "{keyword}" together')
            picture.has_minus = picture.has_minus or keyword in ("MI", "SG")
            picture.has_plus = picture.has_plus or keyword in ("PL", "SG")


def _add_exponent(picture: Picture) -> None:
    if picture.is_scientific:
        raise _refuse('cannot use "EEEE" twice')
    signs = picture.sign or picture.is_bracketed or picture.has_minus or picture.has_plus
    others = picture.is_blank or not picture.is_filled or picture.is_roman or picture.is_shifted
    if signs or others:
        raise SqlError(
            SYNTAX_ERROR,
            '"EEEE" is incompatible with other formats',
            detail='"EEEE" may only be used together with digit and decimal point patterns.',
        )
    picture.is_scientific = True
