"""Literals for the SESSION calls that stand in plans: `now()`, `current_user` and their kin.

Plans keep such calls open so that they can be cached; right before a plan runs, `SessionCalls`
answers each from the session's state. Times are those of the transaction or the statement.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core import errors
from core.errors import SqlError
from core.ids import Timestamp
from core.rows import POSTGRES_EPOCH_UNIX_SECONDS, Array, Datum, Interval
from core.sql_types import NAME, SqlType
from expr.fold import fold
from expr.registry import FunctionKind, function_by_id
from expr.scalar import Call, Literal, literal
from expr.timezones import abbreviation_at, offset_at, zone_named
from frontend.settings import SessionSettings, find_session_variable
from sql.catalog_view import CatalogView
from sql.variable_values import parse_search_path
from sql.variables import SYSTEM_PARAMETERS

MICROSECONDS_PER_DAY: Final = 86_400_000_000
_EPOCH_US: Final = POSTGRES_EPOCH_UNIX_SECONDS * 1_000_000
IMPLICIT_SCHEMAS: Final = ("mz_catalog", "pg_catalog")


def session_time(unix_us: int) -> int:
    """A wall-clock time as a timestamptz datum."""
    return unix_us - _EPOCH_US


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the calls are answered from, all of one statement.

    `as_of` is the statement's logical time, None while none was chosen.
    """

    settings: SessionSettings
    catalog: CatalogView
    system_parameters: Callable[[str], str]
    user: str
    database: str
    connection_id: int
    version: str
    environment_id: str
    transaction_started_at: int
    statement_started_at: int
    clock: Callable[[], int]
    as_of: Timestamp | None
    started_at: int  # of the process
    is_superuser: bool


class SessionCalls:
    """Answers calls: `SessionCalls(facts)(call)` is a literal, or None for other functions."""

    def __init__(self, facts: SessionFacts) -> None:
        self._facts = facts

    def __call__(self, call: Call) -> Literal | None:
        name = call.function.partition("(")[0]
        answer = _ANSWERS.get(name)
        if answer is None:
            function = function_by_id(call.function)
            if function.kind is FunctionKind.SESSION:
                raise SqlError(
                    errors.FEATURE_NOT_SUPPORTED, f"function {function.name} is not supported"
                )
            return None
        if function_by_id(call.function).kind is not FunctionKind.SESSION:
            return None
        arguments = []
        for argument in call.args:
            folded = fold(argument, self._facts.settings.context())
            if not isinstance(folded, Literal):
                raise SqlError(
                    errors.FEATURE_NOT_SUPPORTED,
                    f"the argument of {name} must be a constant",
                )
            arguments.append(folded.value)
        return literal(_fit(answer(self._facts, arguments), call.type), call.type)


Answer = Callable[[SessionFacts, list[Datum]], Datum]


def _fit(value: Datum, sql_type: SqlType) -> Datum:
    if isinstance(value, str) and sql_type.oid == NAME.oid:
        return value.encode()[:63].decode(errors="ignore")
    return value


def _local(unix_us: int, settings: SessionSettings) -> int:
    moment = session_time(unix_us)
    zone = zone_named(str(settings.values["timezone"]))
    return moment + offset_at(zone, moment) * 1_000_000


def _rounded(value: int, arguments: list[Datum]) -> int:
    if not arguments or arguments[0] is None:
        return value
    step: int = 10 ** (6 - min(max(int(arguments[0]), 0), 6))
    return (value + step // 2) // step * step


def _transaction_time(facts: SessionFacts, arguments: list[Datum]) -> Datum:
    return _rounded(session_time(facts.transaction_started_at), arguments)


def _logical_time(facts: SessionFacts, _arguments: list[Datum]) -> Datum:
    return facts.as_of if facts.as_of is not None else facts.clock()


def _current_schema(facts: SessionFacts, _arguments: list[Datum]) -> Datum:
    path = _existing_path(facts)
    return path[0] if path else None


def _existing_path(facts: SessionFacts) -> tuple[str, ...]:
    path = parse_search_path(str(facts.settings.values["search_path"]))
    wanted = (facts.user if name == "$user" else name for name in path)
    return tuple(n for n in wanted if facts.catalog.schema(facts.database, (n,)) is not None)


def _current_schemas(facts: SessionFacts, arguments: list[Datum]) -> Datum:
    path = _existing_path(facts)
    if arguments and arguments[0]:
        path = (*(name for name in IMPLICIT_SCHEMAS if name not in path), *path)
    return Array(((len(path), 1),) if path else (), path)


def _current_setting(facts: SessionFacts, arguments: list[Datum]) -> Datum:
    if arguments[0] is None:
        return None
    name = str(arguments[0])
    if name.lower() in SYSTEM_PARAMETERS:
        return facts.system_parameters(name)
    try:
        return facts.settings.text(find_session_variable(name))
    except SqlError:
        if len(arguments) > 1 and arguments[1]:
            return None
        raise


def _set_config(facts: SessionFacts, arguments: list[Datum]) -> Datum:
    name, value, is_local = arguments
    if name is None:
        raise SqlError("22004", "SET requires parameter name")
    variable = facts.settings.set(str(name), value, is_local=bool(is_local))
    return facts.settings.text(variable)


def _user(facts: SessionFacts, _arguments: list[Datum]) -> Datum:
    return facts.user


def _database(facts: SessionFacts, _arguments: list[Datum]) -> Datum:
    return facts.database


def _time_of_day(facts: SessionFacts) -> str:
    moment = session_time(facts.clock())
    zone = zone_named(str(facts.settings.values["timezone"]))
    seconds, fraction = divmod(moment + offset_at(zone, moment) * 1_000_000, 1_000_000)
    shown = time.gmtime(seconds + POSTGRES_EPOCH_UNIX_SECONDS)
    name = abbreviation_at(zone, moment)
    return time.strftime(f"%a %b %d %H:%M:%S.{fraction:06} %Y {name}", shown)


def _null(_facts: SessionFacts, _arguments: list[Datum]) -> Datum:
    return None


_ANSWERS: Final[dict[str, Answer]] = {
    "now": _transaction_time,
    "current_timestamp": _transaction_time,
    "transaction_timestamp": _transaction_time,
    "statement_timestamp": lambda f, _: session_time(f.statement_started_at),
    "clock_timestamp": lambda f, _: session_time(f.clock()),
    "current_date": lambda f, _: (
        _local(f.transaction_started_at, f.settings) // MICROSECONDS_PER_DAY
    ),
    "localtimestamp": lambda f, a: _rounded(_local(f.transaction_started_at, f.settings), a),
    "localtime": lambda f, a: (
        _rounded(_local(f.transaction_started_at, f.settings), a) % MICROSECONDS_PER_DAY
    ),
    "mz_now": _logical_time,
    "current_user": _user,
    "session_user": _user,
    "user": _user,
    "current_role": _user,
    "current_database": _database,
    "current_catalog": _database,
    "current_schema": _current_schema,
    "current_schemas": _current_schemas,
    "current_setting": _current_setting,
    "set_config": _set_config,
    "version": lambda f, _: (
        f"PostgreSQL {f.settings.values['server_version']} on Headwater {f.version}"
    ),
    "mz_version": lambda f, _: f"v{f.version} (Headwater)",
    "mz_version_num": lambda f, _: _version_number(f.version),
    "mz_environment_id": lambda f, _: f.environment_id,
    "pg_backend_pid": lambda f, _: f.connection_id & 0x7FFFFFFF,
    "connection_id": lambda f, _: f.connection_id & 0x7FFFFFFF,
    "mz_is_superuser": lambda f, _: f.is_superuser,
    "pg_postmaster_start_time": lambda f, _: session_time(f.started_at),
    "pg_conf_load_time": lambda f, _: session_time(f.started_at),
    "mz_uptime": lambda f, _: Interval(0, 0, f.clock() - f.started_at),
    "timeofday": lambda f, _: _time_of_day(f),
    "inet_server_addr": _null,
    "inet_server_port": _null,
    "inet_client_addr": _null,
    "inet_client_port": _null,
    "pg_advisory_unlock_all": _null,
}


def _version_number(version: str) -> int:
    parts = [int(part) if part.isdigit() else 0 for part in version.split(".")[:3]]
    major, minor, patch = (*parts, 0, 0, 0)[:3]
    return major * 10_000 + minor * 100 + patch
