"""COPY FROM STDIN and COPY TO STDOUT."""

from collections.abc import Sequence

from core.encodings import UTF8, encoding_number
from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INSUFFICIENT_PRIVILEGE,
    INVALID_PARAMETER_VALUE,
    SYNTAX_ERROR,
    UNDEFINED_COLUMN,
    SqlError,
)
from expr.scalar import Scalar
from sql import syntax as ast
from sql.catalog_view import ItemKind
from sql.hir import Project
from sql.modification_planner import default_of, named_columns, not_null_columns, target_table
from sql.object_names import cannot_open
from sql.parse import ParsedStatement
from sql.plan import (
    CopyFormat,
    CopyFromPlan,
    CopyOptions,
    CopySubscribePlan,
    CopyToPlan,
    PlannedStatement,
)
from sql.query_planner import QueryPlanner
from sql.query_statement import plan_top_query, planned_statement, relation_query
from sql.statement_context import StatementContext
from sql.subscribe_planner import plan_subscribe

_FLAGS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def plan_copy(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """COPY, either way."""
    assert isinstance(statement, ast.Copy)
    if statement.target in ("file", "program"):
        raise SqlError(
            INSUFFICIENT_PRIVILEGE,
            "permission denied to COPY to or from a file or an external program",
            hint="Only COPY TO STDOUT and COPY FROM STDIN are allowed. "
            "psql's \\copy command also works for anyone.",
        )
    if statement.is_from:
        return _copy_from(statement, context)
    return _copy_to(statement, context)


def _copy_from(statement: ast.Copy, context: StatementContext) -> PlannedStatement:
    if statement.where is not None:
        raise SqlError(FEATURE_NOT_SUPPORTED, "COPY FROM with WHERE is not supported")
    assert statement.table is not None
    queries = QueryPlanner(context)
    item = target_table(queries, statement.table, statement.pos, "copy to").item
    columns = named_columns(item, statement.columns)
    options = copy_options(statement.options, item.desc.names, columns, is_from=True)
    fill: list[Scalar | None] = []
    for index in range(len(item.desc.columns)):
        fill.append(None if index in columns else default_of(item, index, context))
    plan = CopyFromPlan(
        item.id,
        item.name.item,
        item.desc,
        columns,
        tuple(fill),
        not_null_columns(item),
        options,
    )
    return planned_statement(plan, context)


def _copy_to(statement: ast.Copy, context: StatementContext) -> PlannedStatement:
    queries = QueryPlanner(context)
    if isinstance(statement.query, ast.Subscribe):
        subscribe = plan_subscribe(statement.query, context)
        names = subscribe.desc.names
        options = copy_options(statement.options, names, range(len(names)), is_from=False)
        return planned_statement(CopySubscribePlan(subscribe, options), context)
    if statement.query is not None:
        query = plan_top_query(statement.query, context)
        names = query.desc.names
        columns = tuple(range(len(names)))
    else:
        assert statement.table is not None
        item = queries.resolve_item(statement.table, statement.pos)
        if item.kind is ItemKind.INDEX:
            raise cannot_open(item, None)
        if item.kind is ItemKind.VIEW:
            raise SqlError(
                "42809",
                f'cannot copy from view "{item.name.item}"',
                hint="Try the COPY (SELECT ...) TO variant.",
            )
        names = item.desc.names
        columns = named_columns(item, statement.columns)
        planned = queries.item_relation(item)
        query = relation_query(
            Project(planned.hir, columns), [planned.columns[i] for i in columns], context
        )
    options = copy_options(statement.options, names, columns, is_from=False)
    return planned_statement(CopyToPlan(query, options), context)


def copy_options(
    given: Sequence[tuple[str, str | tuple[str, ...] | None]],
    names: Sequence[str],
    columns: Sequence[int],
    *,
    is_from: bool,
) -> CopyOptions:
    """The options with their defaults. Raises SqlError 42601, 22023 or 0A000."""
    values = _unique(given)
    copy_format = _format(values)
    is_csv = copy_format is CopyFormat.CSV
    if copy_format is CopyFormat.BINARY:
        for name in ("delimiter", "null"):
            if name in values:
                raise SqlError(SYNTAX_ERROR, f"cannot specify {name.upper()} in BINARY mode")
    delimiter = _text(values, "delimiter", "," if is_csv else "\t")
    null = _text(values, "null", "" if is_csv else "\\N")
    quote = _text(values, "quote", '"')
    escape = _text(values, "escape", quote)
    _check_characters(values, is_csv, delimiter, null, quote, escape)
    _check_encoding(_text(values, "encoding", "UTF8"))
    force_quote = values.get("force_quote")
    return CopyOptions(
        copy_format,
        delimiter,
        null,
        _flag(values, "header"),
        quote,
        escape,
        tuple(columns)
        if force_quote == "*"
        else _column_list(values, "force_quote", names, is_csv, not is_from),
        _column_list(values, "force_not_null", names, is_csv, is_from) or (),
        _column_list(values, "force_null", names, is_csv, is_from) or (),
    )


_KNOWN = frozenset(
    {
        "format",
        "delimiter",
        "null",
        "header",
        "quote",
        "escape",
        "encoding",
        "force_quote",
        "force_not_null",
        "force_null",
        "freeze",
        "oids",
    }
)


def _unique(
    given: Sequence[tuple[str, str | tuple[str, ...] | None]],
) -> dict[str, str | tuple[str, ...] | None]:
    values: dict[str, str | tuple[str, ...] | None] = {}
    for name, value in given:
        if name not in _KNOWN:
            raise SqlError(SYNTAX_ERROR, f'option "{name}" not recognized')
        if name in values:
            raise SqlError(SYNTAX_ERROR, "conflicting or redundant options")
        values[name] = value
    return values


def _format(values: dict[str, str | tuple[str, ...] | None]) -> CopyFormat:
    name = _text(values, "format", "text")
    try:
        return CopyFormat(name)
    except ValueError:
        raise SqlError(INVALID_PARAMETER_VALUE, f'COPY format "{name}" not recognized') from None


def _text(values: dict[str, str | tuple[str, ...] | None], name: str, default: str) -> str:
    value = values.get(name, default)
    if not isinstance(value, str):
        raise SqlError(SYNTAX_ERROR, f"{name} requires a parameter")
    return value


def _check_encoding(name: str) -> None:
    number = encoding_number(name)
    if number is None:
        raise SqlError(
            INVALID_PARAMETER_VALUE, 'argument to option "encoding" must be a valid encoding name'
        )
    if number != UTF8:
        raise SqlError(FEATURE_NOT_SUPPORTED, f'encoding "{name}" is not supported')


def _flag(values: dict[str, str | tuple[str, ...] | None], name: str) -> bool:
    if name not in values:
        return False
    value = values[name]
    if value is None:
        return True
    found = _FLAGS.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise SqlError(SYNTAX_ERROR, f"{name} requires a Boolean value")
    return found


def _column_list(
    values: dict[str, str | tuple[str, ...] | None],
    option: str,
    names: Sequence[str],
    is_csv: bool,
    right_direction: bool,
) -> tuple[int, ...] | None:
    value = values.get(option)
    if value is None:
        return None
    words = option.replace("_", " ")
    if not is_csv:
        raise SqlError(FEATURE_NOT_SUPPORTED, f"COPY {words} available only in CSV mode")
    if not right_direction:
        direction = "TO" if option == "force_quote" else "FROM"
        raise SqlError(FEATURE_NOT_SUPPORTED, f"COPY {words} only available using COPY {direction}")
    wanted = (value,) if isinstance(value, str) else value
    places = []
    for name in wanted:
        if name not in names:
            raise SqlError(UNDEFINED_COLUMN, f'column "{name}" does not exist')
        places.append(list(names).index(name))
    return tuple(places)


def _check_characters(
    values: dict[str, str | tuple[str, ...] | None],
    is_csv: bool,
    delimiter: str,
    null: str,
    quote: str,
    escape: str,
) -> None:
    if len(delimiter.encode()) != 1:
        raise SqlError(FEATURE_NOT_SUPPORTED, "COPY delimiter must be a single one-byte character")
    if delimiter in "\r\n":
        raise SqlError(
            INVALID_PARAMETER_VALUE, "COPY delimiter cannot be newline or carriage return"
        )
    if any(c in null for c in "\r\n"):
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            "COPY null representation cannot use newline or carriage return",
        )
    if not is_csv:
        if delimiter in "\\.abcdefghijklmnopqrstuvwxyz0123456789":
            raise SqlError(INVALID_PARAMETER_VALUE, f'COPY delimiter cannot be "{delimiter}"')
        for name in ("quote", "escape"):
            if name in values:
                raise SqlError(FEATURE_NOT_SUPPORTED, f"COPY {name} available only in CSV mode")
        return
    for word, value in (("quote", quote), ("escape", escape)):
        if len(value.encode()) != 1:
            raise SqlError(
                FEATURE_NOT_SUPPORTED, f"COPY {word} must be a single one-byte character"
            )
    if delimiter == quote:
        raise SqlError(INVALID_PARAMETER_VALUE, "COPY delimiter and quote must be different")
    if delimiter in null:
        raise SqlError(
            INVALID_PARAMETER_VALUE, "COPY delimiter must not appear in the NULL specification"
        )
