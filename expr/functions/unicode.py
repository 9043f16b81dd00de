"""Functions that know Unicode: normal forms and escapes."""

import re
import unicodedata
from typing import Final, Literal

from core.errors import INVALID_PARAMETER_VALUE, SYNTAX_ERROR, SqlError
from expr.registry import define

NormalForm = Literal["NFC", "NFD", "NFKC", "NFKD"]

_FORMS: Final[tuple[NormalForm, ...]] = ("NFC", "NFD", "NFKC", "NFKD")
_ESCAPE: Final = re.compile(
    r"\\(?:(\\)|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|\+([0-9A-Fa-f]{6})|([0-9A-Fa-f]{4})|)"
)


def normalize(text: str, form: str = "NFC") -> str:
    """The text in a normal form. Raises SqlError 22023 for a form that there is not."""
    named = next((known for known in _FORMS if known == form.upper()), None)
    if named is None:
        raise SqlError(INVALID_PARAMETER_VALUE, f"invalid normalization form: {form}")
    return unicodedata.normalize(named, text)


def is_normalized(text: str, form: str = "NFC") -> bool:
    """Whether the text is in a normal form already."""
    return normalize(text, form) == text


def decode_escapes(text: str) -> str:
    """unistr: `\\XXXX`, `\\+XXXXXX`, `\\uXXXX` and `\\UXXXXXXXX` become characters."""
    decoded = _ESCAPE.sub(_character, text)
    try:
        # Surrogates must come in pairs, which this joins.
        return decoded.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise SqlError(SYNTAX_ERROR, "invalid Unicode surrogate pair") from None


def _character(match: re.Match[str]) -> str:
    if match[1]:
        return "\\"
    digits = match[2] or match[3] or match[4] or match[5]
    if digits is None:
        raise SqlError(
            SYNTAX_ERROR,
            "invalid Unicode escape",
            hint="Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.",
        )
    code = int(digits, 16)
    if not 0 < code <= 0x10FFFF:
        raise SqlError(INVALID_PARAMETER_VALUE, f"invalid Unicode code point: {code:04X}")
    return chr(code)


define("normalize(text)", "text", normalize)
define("normalize(text,text)", "text", normalize)
define("is_normalized(text)", "bool", is_normalized)
define("is_normalized(text,text)", "bool", is_normalized)
define("unistr(text)", "text", decode_escapes)
