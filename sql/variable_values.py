"""How values of variables are read and shown, in the forms of PostgreSQL's guc.c.

A parser turns text into a value or raises SqlError 22023; `format_…` is its inverse where a value
is not held as its text.
"""

import re
import zoneinfo
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from core import errors
from core.encodings import UTF8, encoding_number
from core.errors import SqlError
from expr.timezones import MAX_ZONE_NAME, named_zone
from sql.identifiers import quote_identifier

VariableValue = bool | int | float | str

MAX_VALUE_LENGTH: Final = 10_000


def invalid_value(name: str, value: str, hint: str | None = None) -> SqlError:
    """The error of a value that a variable does not take."""
    return SqlError(
        errors.INVALID_PARAMETER_VALUE,
        f'invalid value for parameter "{name}": "{value}"',
        hint=hint,
    )


_TRUE: Final = ("true", "yes", "on")
_FALSE: Final = ("false", "no", "off")


def parse_bool(name: str, text: str) -> bool:
    word = text.strip().lower()
    if word == "1" or (word and word != "o" and any(full.startswith(word) for full in _TRUE)):
        return True
    if word == "0" or (word and word != "o" and any(full.startswith(word) for full in _FALSE)):
        return False
    raise SqlError(errors.INVALID_PARAMETER_VALUE, f'parameter "{name}" requires a Boolean value')


def format_bool(value: VariableValue) -> str:
    return "on" if value else "off"


DURATION_UNITS: Final = {
    "us": Decimal("0.001"),
    "ms": Decimal(1),
    "s": Decimal(1000),
    "min": Decimal(60_000),
    "h": Decimal(3_600_000),
    "d": Decimal(86_400_000),
}
SIZE_UNITS: Final = {
    "B": Decimal(1),
    "kB": Decimal(1 << 10),
    "MB": Decimal(1 << 20),
    "GB": Decimal(1 << 30),
    "TB": Decimal(1 << 40),
}
_QUANTITY: Final = re.compile(r"\s*([+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20}))\s*([A-Za-z]*)\s*")


def parse_quantity(
    name: str, text: str, units: Mapping[str, Decimal], least: int, most: int
) -> int:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise invalid_value(name, text)
    number, unit = match.groups()
    if unit and unit not in units:
        valid = ", ".join(f'"{known}"' for known in units)
        raise invalid_value(
            name, text, f"Valid units for this parameter are {valid}." if units else None
        )
    try:
        value = round(Decimal(number) * (units[unit] if unit else 1))
    except InvalidOperation:
        raise invalid_value(name, text) from None
    if not least <= value <= most:
        raise SqlError(
            errors.INVALID_PARAMETER_VALUE,
            f'{value} is outside the valid range for parameter "{name}" ({least} .. {most})',
        )
    return value


def format_quantity(value: VariableValue, units: Mapping[str, Decimal]) -> str:
    amount = int(value)
    if amount == 0:
        return "0"
    for unit in reversed(tuple(units)):
        if units[unit] >= 1 and amount % units[unit] == 0:
            return f"{int(amount / units[unit])}{unit}"
    return str(amount)


def parse_date_style(text: str) -> str:
    style, order = "ISO", "MDY"
    for word in text.replace('"', "").split(","):
        match word.strip().lower():
            case "iso":
                style = "ISO"
            case "sql" | "german" | "postgres" as other:
                style = {"sql": "SQL", "german": "German", "postgres": "Postgres"}[other]
            case "mdy" | "us" | "noneuro" | "noneuropean":
                order = "MDY"
            case "dmy" | "euro" | "european":
                order = "DMY"
            case "ymd":
                order = "YMD"
            case "default" | "":
                pass
            case _:
                raise invalid_value("DateStyle", text)
    return f"{style}, {order}"


_HOURS: Final = re.compile(r"([+-]?)(\d{1,3})(\.\d{1,4})?")
MAX_OFFSET_HOURS: Final = 167


def parse_time_zone(text: str) -> str:
    """A zone's name, or hours east of Greenwich turned into a POSIX specification."""
    word = text.strip()
    if word.lower() in ("default", "local"):
        return "UTC"
    hours = _HOURS.fullmatch(word)
    if hours is not None:
        sign, whole, fraction = hours.groups()
        minutes = round(float(fraction or 0) * 60)
        if int(whole) > MAX_OFFSET_HOURS:
            raise invalid_value("TimeZone", text)
        shown = f"{int(whole):02}" + (f":{minutes:02}" if minutes else "")
        east, west = ("-", "+") if sign == "-" else ("+", "-")
        return f"<{east}{shown}>{west}{shown}"
    zone = named_zone(word)
    if zone is None:
        raise invalid_value("TimeZone", text[:MAX_ZONE_NAME])
    if isinstance(zone, zoneinfo.ZoneInfo):
        return str(zone.key)
    return "UTC" if word.lower() == "utc" else word


def parse_encoding(text: str) -> str:
    if encoding_number(text) == UTF8:
        return "UTF8"
    raise invalid_value("client_encoding", text, "Headwater speaks UTF8 only.")


ISOLATION_LEVELS: Final = ("strict serializable", "serializable")


def parse_isolation(name: str, text: str) -> str:
    word = " ".join(text.strip().lower().replace("_", " ").split())
    match word:
        case "serializable":
            return word
        case (
            "strict serializable"
            | "repeatable read"
            | "read committed"
            | "read uncommitted"
            | "default"
        ):
            # Weaker levels of PostgreSQL still respect real time: only strict serializable does.
            return "strict serializable"
        case _:
            raise invalid_value(name, text, f"Available values: {', '.join(ISOLATION_LEVELS)}.")


_PATH_ELEMENT: Final = re.compile(r'("(?:[^"]|"")*")|([^",]+)')


def parse_search_path(text: str) -> tuple[str, ...]:
    """The schema names of a search_path value: identifiers, quoted or folded to lower case."""
    names: list[str] = []
    for quoted, bare in _PATH_ELEMENT.findall(text):
        name = quoted[1:-1].replace('""', '"') if quoted else bare.strip().lower()
        if name:
            names.append(name)
    return tuple(names)


def parse_search_path_text(text: str) -> str:
    if len(text) > MAX_VALUE_LENGTH or "\0" in text:
        raise invalid_value("search_path", text[:100])
    return ", ".join(quote_identifier(name) for name in parse_search_path(text))


def parse_application_name(text: str) -> str:
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in text[:MAX_VALUE_LENGTH])[
        :1000
    ]
