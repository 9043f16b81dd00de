"""Plans of statements about the session: settings, transactions, cursors, prepared statements."""

from collections.abc import Callable
from typing import Final

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_PARAMETER_VALUE,
    UNDEFINED_TABLE,
    SqlError,
)
from core.sql_types import TEXT, UNKNOWN, Column, RelationDesc
from expr.intervals import parse_interval
from expr.scalar import Scalar
from sql import syntax as ast
from sql.identifiers import quote_identifier
from sql.parse import ParsedStatement
from sql.pending import Pending
from sql.plan import (
    AlterSystemPlan,
    CloseCursorPlan,
    DeallocatePlan,
    DeclarePlan,
    DiscardPlan,
    ExecutePlan,
    FetchPlan,
    NoOpPlan,
    Plan,
    PlannedStatement,
    PreparePlan,
    SetPlan,
    ShowVariablePlan,
    TransactionPlan,
    TransactionVerb,
)
from sql.query_planner import QueryPlanner
from sql.query_statement import plan_top_query
from sql.scope import Scope
from sql.statement_context import StatementContext
from sql.subscribe_planner import plan_subscribe
from sql.type_names import resolve_type

_DAY_US: Final = 86_400_000_000
_LIST_VARIABLES: Final = frozenset({"search_path", "datestyle", "temp_tablespaces"})


def _plain(plan: Plan, desc: RelationDesc | None = None) -> PlannedStatement:
    return PlannedStatement(plan, (), desc)


def _set(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.SetVariable)
    return _plain(
        SetPlan(statement.name, _joined(statement.name, statement.values), statement.local)
    )


def _joined(name: str | None, values: tuple[str, ...] | None) -> str | None:
    """Several values as one text, quoted so that the list can be read back."""
    if values is None:
        return None
    if name is not None and name.lower() == "search_path":
        return ", ".join(map(quote_identifier, values))
    return ", ".join(values)


def _set_transaction(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.SetTransaction)
    verb = (
        TransactionVerb.SET_SESSION_CHARACTERISTICS
        if statement.is_session
        else TransactionVerb.SET_TRANSACTION
    )
    isolation, read_only = _modes(statement.modes)
    return _plain(TransactionPlan(verb, "SET", isolation, read_only))


def _modes(modes: tuple[tuple[str, str], ...]) -> tuple[str | None, bool | None]:
    isolation: str | None = None
    read_only: bool | None = None
    for name, value in modes:
        if name == "isolation":
            isolation = value
        elif name == "read":
            read_only = value == "only"
    return isolation, read_only


def _transaction(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.Transaction)
    isolation, read_only = _modes(statement.modes)
    return _plain(
        TransactionPlan(
            TransactionVerb(statement.verb),
            statement.tag,
            isolation,
            read_only,
            statement.savepoint,
            statement.chain,
        )
    )


def _show_variable(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.ShowVariable)
    name = statement.name
    columns = ("name", "setting", "description") if name is None else (name,)
    desc = RelationDesc(tuple(Column(column, TEXT) for column in columns))
    return _plain(ShowVariablePlan(name), desc)


def _alter_system(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.AlterSystem)
    return _plain(AlterSystemPlan(statement.name, _joined(statement.name, statement.values)))


def _prepare(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.Prepare)
    types = tuple(
        None if resolved.oid == UNKNOWN.oid else resolved
        for resolved in map(resolve_type, statement.types)
    )
    return _plain(PreparePlan(statement.name, statement.statement_sql, types))


def _execute(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.Execute)
    queries = QueryPlanner(context)
    pending = Pending(queries.indices)
    planner = queries.scalars(Scope(), pending, "EXECUTE parameters")
    arguments: tuple[Scalar, ...] = tuple(planner.plan(arg) for arg in statement.arguments)
    if pending.subqueries:
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            "cannot use subquery in EXECUTE parameter",
            position=statement.pos + 1,
        )
    types = context.parameters.final()
    return PlannedStatement(ExecutePlan(statement.name, arguments), types, None)


def _deallocate(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.Deallocate)
    return _plain(DeallocatePlan(statement.name))


def _declare(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.Declare)
    if statement.scroll:
        raise SqlError(FEATURE_NOT_SUPPORTED, "SCROLL cursors are not supported")
    subscribe = None
    if isinstance(statement.query, ast.Subscribe):
        subscribe = plan_subscribe(statement.query, context)
        query = subscribe.query
    else:
        query = plan_top_query(statement.query, context)
    plan = DeclarePlan(
        statement.name, statement.statement_sql, query, statement.with_hold, subscribe
    )
    return PlannedStatement(plan, context.parameters.final(), None)


def _fetch(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.Fetch)
    if statement.direction != "forward" and not (
        statement.direction == "relative" and (statement.count or 0) >= 0
    ):
        raise SqlError(
            "55000",
            "cursor can only scan forward",
            hint="Declare it with SCROLL option to enable backward scan.",
        )
    timeout_s = _fetch_timeout(statement)
    return _plain(FetchPlan(statement.name, statement.count, statement.is_move, timeout_s))


def _fetch_timeout(statement: ast.Fetch) -> float | None:
    if statement.timeout is None:
        return None
    try:
        interval = parse_interval(statement.timeout)
    except SqlError as error:
        error.position = statement.timeout_pos + 1
        raise
    timeout_us = (interval.months * 30 + interval.days) * _DAY_US + interval.microseconds
    if not 0 <= timeout_us <= _DAY_US:
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            f"timeout out of range: {statement.timeout}",
            hint="FETCH waits for at most a day.",
            position=statement.timeout_pos + 1,
        )
    return timeout_us / 1_000_000


def _close(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.CloseCursor)
    return _plain(CloseCursorPlan(statement.name))


def _discard(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.Discard)
    return _plain(DiscardPlan(statement.target))


def _tolerated(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    assert isinstance(statement, ast.Tolerated)
    session = context.session
    for name, pos in statement.relations:
        found = context.catalog.resolve_item(session.database, session.search_path, name)
        if found is None:
            raise SqlError(
                UNDEFINED_TABLE, f'relation "{".".join(name)}" does not exist', position=pos + 1
            )
    return _plain(NoOpPlan(statement.tag, statement.notice))


_Planner = Callable[[ast.Statement, ParsedStatement, StatementContext], PlannedStatement]
SESSION_PLANNERS: Final[dict[type[ast.Statement], _Planner]] = {
    ast.SetVariable: _set,
    ast.SetTransaction: _set_transaction,
    ast.Transaction: _transaction,
    ast.ShowVariable: _show_variable,
    ast.AlterSystem: _alter_system,
    ast.Prepare: _prepare,
    ast.Execute: _execute,
    ast.Deallocate: _deallocate,
    ast.Declare: _declare,
    ast.Fetch: _fetch,
    ast.CloseCursor: _close,
    ast.Discard: _discard,
    ast.Tolerated: _tolerated,
}
