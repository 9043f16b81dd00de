"""Session variables and system parameters: one table of names, types, defaults and validation.

A variable's value is held parsed (`bool`, `int`, `float` or `str`) and shown as text; both ways
are the variable's own. Session variables live in a session and start from the system's defaults,
which `ALTER SYSTEM` can override; system parameters exist once and only `ALTER SYSTEM` sets them.
Durations are ints of milliseconds, sizes ints of bytes. Nothing here keeps a value.
Error words and the forms of values follow PostgreSQL's guc.c.
"""

import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from core import errors
from core.errors import SqlError
from expr.timezones import MAX_ZONE_NAME, named_zone

VariableValue = bool | int | float | str

MAX_VALUE_LENGTH: Final = 10_000
MAX_INT4: Final = 2**31 - 1
SERVER_VERSION: Final = "9.5.0"
SERVER_VERSION_NUM: Final = "90500"


class VariableScope(StrEnum):
    """Who holds a value."""

    SESSION = "session"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable.

    `parse` turns text into a value or raises `SqlError`; `format` is its inverse. `is_reported`
    marks those a client hears of by ParameterStatus. `is_fixed` ones can only be shown.
    `default` is text, as ALTER SYSTEM would give it.
    """

    name: str
    scope: VariableScope
    default: str
    description: str
    parse: Callable[[str], VariableValue]
    format: Callable[[VariableValue], str]
    is_reported: bool = False
    is_fixed: bool = False


def session_variable(name: str) -> Variable | None:
    """The session variable of that name in any case."""
    return SESSION_VARIABLES.get(name.lower())


def find_variable(name: str) -> Variable:
    """The session variable or system parameter of that name. Raises 42704."""
    key = name.lower()
    variable = SESSION_VARIABLES.get(key) or SYSTEM_PARAMETERS.get(key)
    if variable is None:
        raise SqlError(errors.UNDEFINED_OBJECT, f'unrecognized configuration parameter "{name}"')
    return variable


def system_value(name: str, overrides: Mapping[str, str]) -> VariableValue:
    """The value of a variable under ALTER SYSTEM's `overrides` (canonical name → text)."""
    variable = find_variable(name)
    return variable.parse(overrides.get(variable.name, variable.default))


def check_alter_system(name: str, value: str | None) -> tuple[str, str | None]:
    """The canonical name and normalised text that ALTER SYSTEM stores (None: RESET).

    Raises 42704, 22023, or 55P02 for a fixed variable.
    """
    variable = find_variable(name)
    if variable.is_fixed:
        raise cannot_change(variable)
    if value is None:
        return variable.name, None
    return variable.name, variable.format(variable.parse(value))


def cannot_change(variable: Variable) -> SqlError:
    """The error of setting a fixed variable."""
    return SqlError(
        errors.CANT_CHANGE_RUNTIME_PARAM, f'parameter "{variable.name}" cannot be changed'
    )


def invalid_value(name: str, value: str, hint: str | None = None) -> SqlError:
    """The error of a value that a variable does not take."""
    return SqlError(
        errors.INVALID_PARAMETER_VALUE,
        f'invalid value for parameter "{name}": "{value}"',
        hint=hint,
    )


# How values are read and shown -------------------------------------------------------------------

_TRUE: Final = ("true", "yes", "on")
_FALSE: Final = ("false", "no", "off")


def _parse_bool(name: str, text: str) -> bool:
    word = text.strip().lower()
    if word == "1" or (word and word != "o" and any(full.startswith(word) for full in _TRUE)):
        return True
    if word == "0" or (word and word != "o" and any(full.startswith(word) for full in _FALSE)):
        return False
    raise SqlError(errors.INVALID_PARAMETER_VALUE, f'parameter "{name}" requires a Boolean value')


def _format_bool(value: VariableValue) -> str:
    return "on" if value else "off"


_DURATION_UNITS: Final = {
    "us": Decimal("0.001"),
    "ms": Decimal(1),
    "s": Decimal(1000),
    "min": Decimal(60_000),
    "h": Decimal(3_600_000),
    "d": Decimal(86_400_000),
}
_SIZE_UNITS: Final = {
    "B": Decimal(1),
    "kB": Decimal(1 << 10),
    "MB": Decimal(1 << 20),
    "GB": Decimal(1 << 30),
    "TB": Decimal(1 << 40),
}
_QUANTITY: Final = re.compile(r"\s*([+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20}))\s*([A-Za-z]*)\s*")


def _parse_quantity(
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


def _format_quantity(value: VariableValue, units: Mapping[str, Decimal]) -> str:
    amount = int(value)
    if amount == 0:
        return "0"
    for unit in reversed(tuple(units)):
        if units[unit] >= 1 and amount % units[unit] == 0:
            return f"{int(amount / units[unit])}{unit}"
    return str(amount)


def _parse_date_style(text: str) -> str:
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


def _parse_time_zone(text: str) -> str:
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


def _parse_encoding(text: str) -> str:
    word = re.sub(r"[^a-z0-9]", "", text.lower())
    if word in ("utf8", "unicode", "default"):
        return "UTF8"
    raise invalid_value("client_encoding", text, "Headwater speaks UTF8 only.")


ISOLATION_LEVELS: Final = ("strict serializable", "serializable")


def _parse_isolation(name: str, text: str) -> str:
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


def parse_search_path(text: str) -> tuple[str, ...]:
    """The schema names of a search_path value: identifiers, quoted or folded to lower case."""
    names: list[str] = []
    for quoted, bare in _PATH_ELEMENT.findall(text):
        name = quoted[1:-1].replace('""', '"') if quoted else bare.strip().lower()
        if name:
            names.append(name)
    return tuple(names)


_PATH_ELEMENT: Final = re.compile(r'("(?:[^"]|"")*")|([^",]+)')


def _parse_search_path_text(text: str) -> str:
    if len(text) > MAX_VALUE_LENGTH or "\0" in text:
        raise invalid_value("search_path", text[:100])
    return ", ".join(quote_identifier(name) for name in parse_search_path(text))


_PLAIN_IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_$]*")


def quote_identifier(name: str) -> str:
    """`name` as it can stand in a list of identifiers."""
    if _PLAIN_IDENTIFIER.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'


def _parse_application_name(text: str) -> str:
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in text[:MAX_VALUE_LENGTH])[
        :1000
    ]


# Shorthands of the tables -------------------------------------------------------------------------


def _text(
    name: str,
    default: str,
    description: str,
    *,
    scope: VariableScope = VariableScope.SESSION,
    parse: Callable[[str], VariableValue] | None = None,
    reported: bool = False,
    fixed: bool = False,
) -> Variable:
    def parse_text(text: str) -> VariableValue:
        if len(text) > MAX_VALUE_LENGTH or "\0" in text:
            raise invalid_value(name, text[:100])
        return text

    return Variable(name, scope, default, description, parse or parse_text, str, reported, fixed)


def _bool(
    name: str,
    default: str,
    description: str,
    *,
    scope: VariableScope = VariableScope.SESSION,
    reported: bool = False,
    fixed: bool = False,
) -> Variable:
    return Variable(
        name,
        scope,
        default,
        description,
        lambda text: _parse_bool(name, text),
        _format_bool,
        reported,
        fixed,
    )


def _quantity(
    name: str,
    default: str,
    description: str,
    *,
    units: Mapping[str, Decimal] | None = None,
    least: int = 0,
    most: int = MAX_INT4,
    scope: VariableScope = VariableScope.SESSION,
    fixed: bool = False,
) -> Variable:
    known: Mapping[str, Decimal] = units or {}
    return Variable(
        name,
        scope,
        default,
        description,
        lambda text: _parse_quantity(name, text, known, least, most),
        (lambda value: _format_quantity(value, known)) if known else str,
        False,
        fixed,
    )


def _enum(
    name: str,
    default: str,
    values: tuple[str, ...],
    description: str,
    *,
    hidden: Mapping[str, str] | None = None,
) -> Variable:
    def parse_word(text: str) -> VariableValue:
        word = text.strip().lower()
        if hidden is not None and word in hidden:
            return hidden[word]
        if word not in values:
            raise invalid_value(name, text, f"Available values: {', '.join(values)}.")
        return word

    return Variable(name, VariableScope.SESSION, default, description, parse_word, str)


_SESSION_TABLE: Final = (
    _text(
        "application_name",
        "",
        "Sets the application name to be reported in statistics and logs.",
        parse=_parse_application_name,
        reported=True,
    ),
    _bool(
        "auto_route_catalog_queries",
        "on",
        "Runs queries of system relations alone on mz_catalog_server.",
    ),
    _enum("bytea_output", "hex", ("hex", "escape"), "Sets the output format for bytea."),
    _bool("check_function_bodies", "on", "Accepted for compatibility."),
    _text(
        "client_encoding",
        "UTF8",
        "Sets the client's character set encoding.",
        parse=_parse_encoding,
        reported=True,
    ),
    _enum(
        "client_min_messages",
        "notice",
        ("debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"),
        "Sets the message levels that are sent to the client.",
        hidden={"debug": "debug2", "info": "info"},
    ),
    _text("cluster", "quickstart", "Sets the cluster that runs queries.", reported=True),
    _text("cluster_replica", "", "Accepted for compatibility."),
    _bool(
        "current_object_missing_warnings",
        "on",
        "Warns when the current database or cluster does not exist.",
    ),
    _text("database", "materialize", "Sets the current database.", reported=True),
    _text(
        "DateStyle",
        "ISO, MDY",
        "Sets the display format for date and time values.",
        parse=_parse_date_style,
        reported=True,
    ),
    _text("default_table_access_method", "heap", "Accepted for compatibility."),
    _text("default_tablespace", "", "Accepted for compatibility."),
    _text(
        "default_transaction_isolation",
        "strict serializable",
        "Sets the isolation level of new transactions.",
        parse=lambda text: _parse_isolation("default_transaction_isolation", text),
    ),
    _bool("default_transaction_read_only", "off", "Makes new transactions read only."),
    _bool("emit_timestamp_notice", "off", "Accepted for compatibility."),
    _bool("escape_string_warning", "on", "Accepted for compatibility."),
    _quantity(
        "extra_float_digits",
        "1",
        "Sets the number of digits displayed for floating-point values.",
        least=-15,
        most=3,
    ),
    _quantity(
        "idle_in_transaction_session_timeout",
        "2min",
        "Sets the maximum allowed idle time between queries, when in a transaction.",
        units=_DURATION_UNITS,
    ),
    _quantity(
        "idle_session_timeout",
        "0",
        "Sets the maximum allowed idle time between queries, when not in a transaction.",
        units=_DURATION_UNITS,
    ),
    _bool("integer_datetimes", "on", "Datetimes are integer based.", reported=True, fixed=True),
    _enum(
        "IntervalStyle",
        "postgres",
        ("postgres", "postgres_verbose", "sql_standard", "iso_8601"),
        "Sets the display format for interval values.",
    ),
    _bool("is_superuser", "off", "Whether the current user is a superuser.", fixed=True),
    _bool("jit", "off", "Accepted for compatibility."),
    _text(
        "last_commit_timestamp",
        "0",
        "The time of the session's last commit, in microseconds since the Unix epoch.",
        fixed=True,
    ),
    _text("lc_collate", "C", "The collation order locale.", fixed=True),
    _text("lc_ctype", "C", "The character classification locale.", fixed=True),
    _text("lc_messages", "C", "Accepted for compatibility."),
    _text("lc_monetary", "C", "Accepted for compatibility."),
    _text("lc_numeric", "C", "Accepted for compatibility."),
    _text("lc_time", "C", "Accepted for compatibility."),
    _quantity("lock_timeout", "0", "Accepted for compatibility.", units=_DURATION_UNITS),
    _quantity(
        "max_identifier_length", "255", "The maximum identifier length in bytes.", fixed=True
    ),
    _quantity(
        "max_query_result_size",
        "0",
        "Accepted for compatibility; results are streamed.",
        units=_SIZE_UNITS,
        most=1 << 50,
    ),
    _text("mz_version", "", "The version of Headwater.", reported=True, fixed=True),
    _bool("row_security", "on", "Accepted for compatibility."),
    _text(
        "search_path",
        "public",
        "Sets the schema search order for names that are not schema-qualified.",
        parse=_parse_search_path_text,
        reported=True,
    ),
    _text("server_encoding", "UTF8", "The server's encoding.", reported=True, fixed=True),
    _text(
        "server_version",
        SERVER_VERSION,
        "The PostgreSQL version whose protocol and catalogs are spoken.",
        reported=True,
        fixed=True,
    ),
    _text("server_version_num", SERVER_VERSION_NUM, "server_version as a number.", fixed=True),
    _text("session_authorization", "", "The session's user.", reported=True, fixed=True),
    _bool(
        "standard_conforming_strings",
        "on",
        "Causes '...' strings to treat backslashes literally.",
        reported=True,
    ),
    _quantity(
        "statement_timeout",
        "0",
        "Sets the maximum allowed duration of any statement; 0 turns it off.",
        units=_DURATION_UNITS,
    ),
    _bool("synchronize_seqscans", "on", "Accepted for compatibility."),
    _enum(
        "synchronous_commit",
        "on",
        ("on", "off", "local", "remote_write", "remote_apply"),
        "Accepted for compatibility; every commit is durable.",
    ),
    _text(
        "TimeZone",
        "UTC",
        "Sets the time zone for displaying and interpreting time stamps.",
        parse=_parse_time_zone,
        reported=True,
    ),
    _text(
        "transaction_isolation",
        "strict serializable",
        "Sets the current transaction's isolation level.",
        parse=lambda text: _parse_isolation("transaction_isolation", text),
    ),
    _bool("transaction_read_only", "off", "Sets the current transaction's read-only status."),
    _bool("welcome_message", "on", "Accepted for compatibility; there is no welcome message."),
    _enum("xmloption", "content", ("content", "document"), "Accepted for compatibility."),
)


def _system_quantity(
    name: str,
    default: str,
    description: str,
    *,
    units: Mapping[str, Decimal] | None = None,
    least: int = 0,
    most: int = MAX_INT4,
) -> Variable:
    return _quantity(
        name,
        default,
        description,
        units=units,
        least=least,
        most=most,
        scope=VariableScope.SYSTEM,
    )


_SYSTEM_TABLE: Final = (
    _system_quantity(
        "max_connections", "5000", "The largest number of concurrent connections.", most=262_143
    ),
    _system_quantity(
        "superuser_reserved_connections",
        "3",
        "How many connections are kept for superusers.",
        most=1000,
    ),
    _system_quantity(
        "max_prepared_statements",
        "10000",
        "The largest number of prepared statements of one session.",
        least=1,
    ),
    _system_quantity(
        "max_portals", "1000", "The largest number of open portals of one session.", least=1
    ),
    _system_quantity(
        "max_statement_size",
        "16MB",
        "The largest text of one query message.",
        units=_SIZE_UNITS,
        least=1024,
        most=1 << 30,
    ),
    _system_quantity(
        "max_inline_insert_rows",
        "1000",
        "INSERTs of up to this many constant rows are encoded by the session itself.",
        most=100_000,
    ),
    _system_quantity(
        "compute_memory_limit",
        "2GB",
        "How much memory one read may use in a replica.",
        units=_SIZE_UNITS,
        least=1 << 20,
        most=1 << 50,
    ),
    _system_quantity(
        "compute_collection_cache_size",
        "1GB",
        "How much memory a replica keeps decoded collections in.",
        units=_SIZE_UNITS,
        least=1 << 20,
        most=1 << 50,
    ),
    _system_quantity(
        "since_lag",
        "1s",
        "How far a collection's since stays behind the present when nobody holds it.",
        units=_DURATION_UNITS,
        most=86_400_000,
    ),
)

SESSION_VARIABLES: Final[Mapping[str, Variable]] = {
    variable.name.lower(): variable for variable in _SESSION_TABLE
}
SYSTEM_PARAMETERS: Final[Mapping[str, Variable]] = {
    variable.name.lower(): variable for variable in _SYSTEM_TABLE
}
REPORTED_VARIABLES: Final = tuple(v for v in _SESSION_TABLE if v.is_reported)
