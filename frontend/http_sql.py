"""SQL without pgwire: texts in, JSON-ready results out, in the shape of Materialize's HTTP API.

One call is one session. A text without parameters may hold several statements; after an error the
rest is not run. Booleans, nulls and JSON values are JSON's own, all else is PostgreSQL's text.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from core import errors
from core.errors import SqlError
from core.sql_types import BOOL, JSON, JSONB, RelationDesc, SqlType
from expr.scalar import Literal
from frontend.cursors import prepare_parsed
from frontend.datums import decode_data_rows, decode_parameters
from frontend.executor import CommandOutcome, EmptyOutcome, RowsOutcome, execute
from frontend.failures import as_sql_error
from frontend.interrupt import Interrupter
from frontend.planning import subscription_of
from frontend.services import FrontendServices
from frontend.session import Session, open_session
from frontend.statements import Portal
from frontend.transaction import TransactionStatus
from sql.parse import ParsedStatement

JsonResult = Mapping[str, object]

DEFAULT_USER: Final = "materialize"
MAX_RESULT_BYTES: Final = 16 << 20
MAX_STATEMENTS: Final = 1_000


async def execute_json(
    services: FrontendServices,
    statements: Sequence[tuple[str, Sequence[str | None]]],
    user: str | None,
) -> list[JsonResult]:
    """Run texts with their text parameters; one result per statement, errors among them."""
    interrupter = Interrupter()
    try:
        session = await open_session(
            services,
            {"user": user or DEFAULT_USER, "application_name": "http"},
            interrupter,
            interrupter.request,
            is_internal=False,
        )
    except SqlError as error:
        return [_error(error, ())]
    results: list[JsonResult] = []
    try:
        for text, parameters in statements:
            if not await _run_text(session, text, parameters, results):
                break
    finally:
        await session.close()
    return results


async def _run_text(
    session: Session, text: str, parameters: Sequence[str | None], results: list[JsonResult]
) -> bool:
    """Run one text; whether all of it went well."""
    try:
        parsed = await session.services.planner.parse(text)
        if parameters and len(parsed) != 1:
            raise SqlError(errors.SYNTAX_ERROR, "parameters need a text of exactly one statement")
        for index, statement in enumerate(parsed):
            if len(results) >= MAX_STATEMENTS:
                raise SqlError(errors.PROGRAM_LIMIT_EXCEEDED, "too many statements")
            results.append(await _run(session, statement, parameters, len(parsed) == 1))
            if (
                index == len(parsed) - 1
                and session.transaction.status is TransactionStatus.IMPLICIT
            ):
                await session.commit()
    except Exception as error:
        results.append(_error(as_sql_error(error, session.connection_id), _notices(session)))
        await session.fail()
        return False
    return True


async def _run(
    session: Session,
    parsed: ParsedStatement,
    values: Sequence[str | None],
    is_only: bool,
) -> JsonResult:
    session.begin_statement(parsed)
    statement = await prepare_parsed(session, "", parsed.sql, parsed, ())
    assert statement.cached is not None
    if subscription_of(statement.cached.plan) is not None:
        raise SqlError(errors.FEATURE_NOT_SUPPORTED, "SUBSCRIBE is not supported over HTTP")
    literals = _literals(session, values, statement.cached.planned.parameter_types)
    portal = Portal("", statement, statement.cached, literals, (), statement.result_desc)
    is_alone = is_only and session.transaction.status is TransactionStatus.IMPLICIT
    try:
        outcome = await execute(session, portal, is_alone=is_alone)
        match outcome:
            case CommandOutcome(tag=tag):
                return {"ok": tag, "notices": _notices(session)}
            case EmptyOutcome():
                return {"ok": "", "notices": _notices(session)}
            case RowsOutcome(portal=full):
                rows = await _collect(full)
                assert full.desc is not None
                return {
                    "tag": full.tag.format(len(rows)),
                    "rows": _json_rows(rows, full.desc),
                    "desc": {"columns": _columns(full.desc)},
                    "notices": _notices(session),
                }
            case _:
                raise SqlError(errors.FEATURE_NOT_SUPPORTED, "COPY is not supported over HTTP")
    finally:
        await portal.close()


def _literals(
    session: Session, values: Sequence[str | None], types: tuple[SqlType, ...]
) -> tuple[Literal, ...]:
    if len(values) != len(types):
        raise SqlError(
            errors.PROTOCOL_VIOLATION,
            f"request supplied {len(values)} parameters, but statement requires {len(types)}",
        )
    encoded = [None if value is None else value.encode() for value in values]
    return decode_parameters(
        encoded, (), types, session.scope().session.context, session.resolve_name
    )


async def _collect(portal: Portal) -> list[list[bytes | None]]:
    rows: list[list[bytes | None]] = []
    size = 0
    while (chunk := await portal.pull(None)) is not None:
        size += len(chunk.data)
        if size > MAX_RESULT_BYTES:
            raise SqlError(
                errors.PROGRAM_LIMIT_EXCEEDED,
                f"result is larger than the limit of {MAX_RESULT_BYTES} bytes",
                hint="Use LIMIT, or the PostgreSQL protocol.",
            )
        rows.extend(decode_data_rows(chunk.data))
    return rows


def _json_rows(rows: list[list[bytes | None]], desc: RelationDesc) -> list[list[object]]:
    types = desc.types
    return [
        [
            None if field is None else _json_value(field.decode(), sql_type)
            for field, sql_type in zip(row, types, strict=True)
        ]
        for row in rows
    ]


def _json_value(text: str, sql_type: SqlType) -> object:
    if sql_type.oid == BOOL.oid:
        return text == "t"
    if sql_type.oid in (JSON.oid, JSONB.oid):
        return json.loads(text)
    return text


def _columns(desc: RelationDesc) -> list[dict[str, object]]:
    return [
        {
            "name": column.name,
            "type_oid": column.type.oid,
            "type_len": column.type.info.size,
            "type_mod": column.type.modifier,
        }
        for column in desc.columns
    ]


def _notices(session: Session) -> list[dict[str, str]]:
    shown = []
    for notice in session.notices:
        entry = {
            "message": notice.message,
            "code": notice.sqlstate,
            "severity": notice.severity.lower(),
        }
        if notice.detail:
            entry["detail"] = notice.detail
        if notice.hint:
            entry["hint"] = notice.hint
        shown.append(entry)
    session.notices.clear()
    return shown


def _error(error: SqlError, notices: Sequence[dict[str, str]]) -> JsonResult:
    shown: dict[str, object] = {"message": error.message, "code": error.sqlstate}
    if error.detail:
        shown["detail"] = error.detail
    if error.hint:
        shown["hint"] = error.hint
    if error.position:
        shown["position"] = error.position
    return {"error": shown, "notices": list(notices)}
