"""SUBSCRIBE: a stream of the changes of a relation, in one of Materialize's forms.

Plainly, a row of the stream is its time, how many times the relation's row was added (negative:
taken away), and that row. The envelopes name rows by a key: UPSERT gives the key's new row,
DEBEZIUM the old and the new one.
"""

from collections.abc import Sequence
from typing import Final

from core.errors import (
    INVALID_PARAMETER_VALUE,
    SYNTAX_ERROR,
    UNDEFINED_COLUMN,
    WRONG_OBJECT_TYPE,
    SqlError,
)
from core.sql_types import BOOL, INT8, NUMERIC, TEXT, Column, RelationDesc
from expr.relation import ColumnOrder, Finishing
from sql import syntax as ast
from sql.catalog_view import ItemKind
from sql.equality import require_equality, require_order
from sql.expression_base import OutputColumn, PlannedQuery
from sql.maintained import maintained_rows
from sql.parse import ParsedStatement
from sql.plan import PlannedStatement, Query, SubscribeEnvelope, SubscribePlan
from sql.positions import position
from sql.query_planner import QueryPlanner
from sql.query_statement import description, planned_statement
from sql.scope import Scope
from sql.statement_context import StatementContext
from sql.time_planner import plan_time
from sql.variable_values import parse_bool

_DIFF: Final = OutputColumn("mz_diff", INT8, nullable=False)


def plan_subscribe_statement(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """SUBSCRIBE by itself."""
    assert isinstance(statement, ast.Subscribe)
    plan = plan_subscribe(statement, context)
    return planned_statement(plan, context, plan.desc)


def plan_subscribe(statement: ast.Subscribe, context: StatementContext) -> SubscribePlan:
    """SUBSCRIBE, wherever it stands. Raises SqlError."""
    queries = QueryPlanner(context)
    source = _source(statement, queries)
    columns = source.columns
    envelope = SubscribeEnvelope(statement.envelope)
    key = _key(statement, columns)
    order_by = _order(statement, columns, queries)
    with_snapshot = _flag(statement, "snapshot", default=True)
    with_progress = _flag(statement, "progress", default=False)
    as_of = None if statement.as_of is None else plan_time(statement.as_of, "AS OF", queries)
    up_to = None if statement.up_to is None else plan_time(statement.up_to, "UP TO", queries)
    rows = maintained_rows(queries.as_relation(source), description(columns), context)
    query = Query(
        rows.relation,
        Finishing(),
        rows.desc,
        rows.depends_on,
        all(id.startswith("s") for id in rows.depends_on) and bool(rows.depends_on),
        indexes=rows.indexes,
        as_of=as_of,
        as_of_at_least=statement.as_of_at_least,
    )
    return SubscribePlan(
        query,
        _output_desc(columns, envelope, key, with_progress),
        envelope,
        key,
        order_by,
        with_snapshot,
        with_progress,
        up_to,
    )


def _source(statement: ast.Subscribe, queries: QueryPlanner) -> PlannedQuery:
    if isinstance(statement.source, ast.Query):
        return queries.plan_query(statement.source, Scope())
    item = queries.resolve_item(statement.source, statement.source_pos)
    if item.kind is ItemKind.INDEX:
        raise SqlError(
            WRONG_OBJECT_TYPE,
            f"{'.'.join(statement.source)} cannot be subscribed to because it is an index",
            position=statement.source_pos + 1,
        )
    queries.context.names_items.add(item.id)
    return queries.item_relation(item)


def _key(statement: ast.Subscribe, columns: Sequence[OutputColumn]) -> tuple[int, ...]:
    names = [column.name for column in columns]
    key: list[int] = []
    for name, at in statement.key:
        if names.count(name) != 1 or names.index(name) in key:
            raise SqlError(
                UNDEFINED_COLUMN,
                f"invalid keys in SUBSCRIBE ENVELOPE {statement.envelope.upper()} (KEY (..))",
                hint="All keys must be columns on the underlying relation.",
                position=at + 1,
            )
        index = names.index(name)
        require_equality(columns[index].type, at + 1)
        key.append(index)
    return tuple(key)


def _order(
    statement: ast.Subscribe, columns: Sequence[OutputColumn], queries: QueryPlanner
) -> tuple[ColumnOrder, ...]:
    """The order within a timestamp, over mz_diff and the relation's columns."""
    shown = (_DIFF, *columns)
    orders = []
    for item in statement.order_by:
        index = queries.output_position(item.expression, shown, "ORDER BY")
        if index is None:
            raise SqlError(
                INVALID_PARAMETER_VALUE,
                "invalid ORDER BY in SUBSCRIBE WITHIN TIMESTAMP ORDER BY",
                hint="All order bys must be output columns.",
                position=position(item.expression),
            )
        require_order(shown[index].type, position(item.expression))
        nulls_first = item.descending if item.nulls_first is None else item.nulls_first
        orders.append(ColumnOrder(index, item.descending, not nulls_first))
    return tuple(orders)


def _flag(statement: ast.Subscribe, wanted: str, *, default: bool) -> bool:
    given = [(value, at) for name, value, at in statement.options if name == wanted]
    if not given:
        return default
    if len(given) > 1:
        raise SqlError(
            SYNTAX_ERROR, f"{wanted.upper()} specified more than once", position=given[1][1] + 1
        )
    value, _ = given[0]
    return True if value is None else parse_bool(wanted.upper(), value)


def _output_desc(
    columns: Sequence[OutputColumn],
    envelope: SubscribeEnvelope,
    key: tuple[int, ...],
    with_progress: bool,
) -> RelationDesc:
    """The columns of the stream."""
    shown = [Column("mz_timestamp", NUMERIC, False)]
    if with_progress:
        shown.append(Column("mz_progressed", BOOL, False))
    keys = [_column(columns[index]) for index in key]
    values = [_column(column) for index, column in enumerate(columns) if index not in key]
    match envelope:
        case SubscribeEnvelope.DIFFS:
            shown += [Column("mz_diff", INT8), *values]
        case SubscribeEnvelope.UPSERT:
            shown += [Column("mz_state", TEXT), *keys, *values]
        case SubscribeEnvelope.DEBEZIUM:
            before = [Column(f"before_{c.name}", c.type) for c in values]
            after = [Column(f"after_{c.name}", c.type) for c in values]
            shown += [Column("mz_state", TEXT), *keys, *before, *after]
    return RelationDesc(tuple(shown))


def _column(column: OutputColumn) -> Column:
    return Column(column.name, column.type)
