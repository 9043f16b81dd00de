"""Session variables and system parameters: one table of names, types, defaults and validation.

A variable's value is held parsed (`bool`, `int`, `float` or `str`) and shown as text; both ways
are the variable's own. Session variables live in a session and start from the system's defaults,
which `ALTER SYSTEM` can override; system parameters exist once and only `ALTER SYSTEM` sets them.
Durations are ints of milliseconds, sizes ints of bytes. Nothing here keeps a value. Error words
follow PostgreSQL's guc.c.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from core import errors
from core.errors import SqlError
from sql.variable_values import (
    DURATION_UNITS,
    MAX_VALUE_LENGTH,
    SIZE_UNITS,
    VariableValue,
    format_bool,
    format_quantity,
    invalid_value,
    parse_application_name,
    parse_bool,
    parse_date_style,
    parse_encoding,
    parse_isolation,
    parse_quantity,
    parse_search_path_text,
    parse_time_zone,
)

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
        lambda text: parse_bool(name, text),
        format_bool,
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
        lambda text: parse_quantity(name, text, known, least, most),
        (lambda value: format_quantity(value, known)) if known else str,
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
        parse=parse_application_name,
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
        parse=parse_encoding,
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
        parse=parse_date_style,
        reported=True,
    ),
    _text("default_table_access_method", "heap", "Accepted for compatibility."),
    _text("default_tablespace", "", "Accepted for compatibility."),
    _text(
        "default_transaction_isolation",
        "strict serializable",
        "Sets the isolation level of new transactions.",
        parse=lambda text: parse_isolation("default_transaction_isolation", text),
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
        units=DURATION_UNITS,
    ),
    _quantity(
        "idle_session_timeout",
        "0",
        "Sets the maximum allowed idle time between queries, when not in a transaction.",
        units=DURATION_UNITS,
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
    _quantity("lock_timeout", "0", "Accepted for compatibility.", units=DURATION_UNITS),
    _quantity(
        "max_identifier_length", "255", "The maximum identifier length in bytes.", fixed=True
    ),
    _quantity(
        "max_query_result_size",
        "0",
        "The largest result of a query in bytes; 0 for no limit.",
        units=SIZE_UNITS,
        most=1 << 50,
    ),
    _text("mz_version", "", "The version of Headwater.", reported=True, fixed=True),
    _bool("row_security", "on", "Accepted for compatibility."),
    _text(
        "search_path",
        "public",
        "Sets the schema search order for names that are not schema-qualified.",
        parse=parse_search_path_text,
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
        units=DURATION_UNITS,
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
        parse=parse_time_zone,
        reported=True,
    ),
    _text(
        "transaction_isolation",
        "strict serializable",
        "Sets the current transaction's isolation level.",
        parse=lambda text: parse_isolation("transaction_isolation", text),
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
        units=SIZE_UNITS,
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
        units=SIZE_UNITS,
        least=1 << 20,
        most=1 << 50,
    ),
    _system_quantity(
        "compute_collection_cache_size",
        "1GB",
        "How much memory a replica keeps decoded collections in.",
        units=SIZE_UNITS,
        least=1 << 20,
        most=1 << 50,
    ),
    _system_quantity("max_clusters", "25", "The largest number of clusters of users."),
    _system_quantity(
        "max_replicas_per_cluster",
        "5",
        "The largest number of replicas of a cluster: each is a process.",
    ),
    _system_quantity(
        "max_subscribe_backlog",
        "32MB",
        "How many bytes of changes may wait for a subscriber who is slow to read them.",
        units=SIZE_UNITS,
        least=1024,
        most=1 << 40,
    ),
    _system_quantity(
        "since_lag",
        "1s",
        "How far a collection's since stays behind the present when nobody holds it.",
        units=DURATION_UNITS,
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
