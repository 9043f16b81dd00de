"""Character encodings by the names and numbers that PostgreSQL gives them.

Every text is UTF-8: the other encodings have names here so that they can be told from what is no
encoding at all, and nothing converts from or to them.
"""

import re
from typing import Final

UTF8: Final = 6
_ENCODINGS: Final = tuple(  # by their number in pg_database.encoding: the name shown, then others
    names.split()
    for names in (
        *("SQL_ASCII", "EUC_JP", "EUC_CN", "EUC_KR", "EUC_TW", "EUC_JIS_2004", "UTF8 unicode"),
        *("MULE_INTERNAL", "LATIN1 iso88591", "LATIN2 iso88592", "LATIN3 iso88593"),
        *("LATIN4 iso88594", "LATIN5 iso88599", "LATIN6 iso885910", "LATIN7 iso885913"),
        *("LATIN8 iso885914", "LATIN9 iso885915", "LATIN10 iso885916", "WIN1256 windows1256"),
        *("WIN1258 windows1258 abc tcvn tcvn5712 vscii", "WIN866 windows866", "WIN874 windows874"),
        *("KOI8R koi8", "WIN1251 windows1251 win", "WIN1252 windows1252", "ISO_8859_5"),
        *("ISO_8859_6", "ISO_8859_7", "ISO_8859_8", "WIN1250 windows1250", "WIN1253 windows1253"),
        *("WIN1254 windows1254", "WIN1255 windows1255", "WIN1257 windows1257", "KOI8U"),
        *("SJIS shiftjis mskanji win932 windows932", "BIG5 win950 windows950"),
        *("GBK win936 windows936", "UHC win949 windows949", "GB18030", "JOHAB", "SHIFT_JIS_2004"),
    )
)
_NOT_TOLD_APART: Final = re.compile("[^A-Za-z0-9]")


def encoding_number(name: str) -> int | None:
    """The number of an encoding; None when none has the name. Only letters and digits count, in
    either case."""
    return _NUMBERS.get(_key(name))


def encoding_name(number: int) -> str | None:
    """The name shown for an encoding; None when none has the number."""
    return _ENCODINGS[number][0] if 0 <= number < len(_ENCODINGS) else None


def encoding_names() -> list[str]:
    """All names of all encodings."""
    return [name for names in _ENCODINGS for name in names]


def _key(name: str) -> str:
    return _NOT_TOLD_APART.sub("", name).lower()


_NUMBERS: Final = {_key(name): number for number, names in enumerate(_ENCODINGS) for name in names}
