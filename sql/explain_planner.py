"""Planning of EXPLAIN: which relation is shown, and what is to be run for it."""

from collections.abc import Callable
from typing import Final, assert_never

from core.errors import FEATURE_NOT_SUPPORTED, INVALID_PARAMETER_VALUE, WRONG_OBJECT_TYPE, SqlError
from core.sql_types import TEXT, Column, RelationDesc
from sql import syntax as ast
from sql.catalog_view import CatalogItem, ItemKind
from sql.decorrelate import Lowering
from sql.explain import (
    MaintainedText,
    explain_maintained,
    explain_query,
    explain_query_json,
    explain_relation,
    explain_relation_json,
)
from sql.hir import Hir
from sql.identifiers import quote_string
from sql.inspection_syntax import Explain, ExplainedItem, ExplainResources, ExplainTimestamp
from sql.lexer import tokenize
from sql.maintained import plan_maintained
from sql.maintained_syntax import CreateIndex, CreateMaterializedView
from sql.object_names import existing_item
from sql.optimizer.lookups import used_indexes
from sql.parse import ParsedStatement
from sql.plan import (
    AnalyzePlan,
    CopyToPlan,
    DeclarePlan,
    ExplainPlan,
    ExplainTimestampPlan,
    InsertPlan,
    MutatePlan,
    ObjectKind,
    Plan,
    PlannedStatement,
    Query,
    SelectPlan,
    SubscribePlan,
)
from sql.query_planner import QueryPlanner
from sql.query_statement import (
    keyed_indexes,
    optimize_hir,
    plan_query_statement,
    planned_statement,
)
from sql.relation_text import item_name
from sql.scope import Scope
from sql.session_view import CATALOG_CLUSTER
from sql.statement_context import Reading, StatementContext
from sql.statement_parser import StatementParser
from sql.view_planner import view_query

PlanNode = Callable[[ast.Statement, ParsedStatement, StatementContext], PlannedStatement]
_Definition = ast.CreateView | CreateMaterializedView | CreateIndex

_MEASURES: Final = {
    "memory": "pg_size_pretty(max(s.size)) AS total_memory, max(s.records) AS total_records",
    "cpu": "max(e.elapsed_ns) / 1000 * INTERVAL '1 microsecond' AS total_elapsed",
}
_RESOURCES: Final = """
    SELECT o.name AS operator, {}
    FROM mz_internal.mz_dataflow_operators o
    LEFT JOIN mz_internal.mz_arrangement_sizes s
        ON s.operator_id = o.id AND s.dataflow_id = o.dataflow_id AND s.replica_id = o.replica_id
    LEFT JOIN mz_internal.mz_scheduling_elapsed e
        ON e.id = o.id AND e.dataflow_id = o.dataflow_id AND e.replica_id = o.replica_id
    WHERE o.dataflow_id = {}
    GROUP BY o.id, o.name
    ORDER BY o.id"""
_QUERY_PLAN: Final = "QUERY PLAN"
_KINDS: Final = {
    "view": (ObjectKind.VIEW, ItemKind.VIEW),
    "materialized view": (ObjectKind.MATERIALIZED_VIEW, ItemKind.MATERIALIZED_VIEW),
    "index": (ObjectKind.INDEX, ItemKind.INDEX),
}


def plan_explain(
    statement: Explain, parsed: ParsedStatement, context: StatementContext, plan_node: PlanNode
) -> PlannedStatement:
    """EXPLAIN of a plan, or of a query that is to be run."""
    is_json = _is_json(statement.format)
    subject = statement.statement
    if statement.is_analyzed:
        plan = plan_node(subject, parsed, context).plan
        if not isinstance(plan, SelectPlan):
            raise SqlError(FEATURE_NOT_SUPPORTED, "EXPLAIN ANALYZE runs queries only")
        analyze = AnalyzePlan(plan.query, is_json)
        return planned_statement(analyze, context, _one_column(_QUERY_PLAN))
    title = f"{statement.stage.title()} Plan"
    if statement.stage not in ("optimized", "physical"):
        lines = _explain_early(subject, statement.stage, context, is_json=is_json)
    elif isinstance(subject, ExplainedItem):
        lines = _maintained(_item_text(subject, context), context, is_json=is_json)
    elif isinstance(subject, _Definition):
        lines = _maintained(_definition_text(subject, context), context, is_json=is_json)
    else:
        query = _query_of(plan_node(subject, parsed, context).plan)
        cluster = CATALOG_CLUSTER if query.is_catalog_only else context.session.cluster
        show = explain_query_json if is_json else explain_query
        lines = _lines(show(query, context.catalog, cluster))
    return planned_statement(ExplainPlan(lines, title), context, _one_column(title))


def plan_explain_timestamp(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """EXPLAIN TIMESTAMP."""
    assert isinstance(statement, ExplainTimestamp)
    plan = plan_query_statement(statement.query, parsed, context).plan
    assert isinstance(plan, SelectPlan)
    explain = ExplainTimestampPlan(plan.query, _is_json(statement.format))
    return planned_statement(explain, context, _one_column("Timestamp"))


def plan_explain_resources(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """EXPLAIN ANALYZE MEMORY, CPU: what the operators of something maintained keep and cost, on the
    replica where it is most."""
    assert isinstance(statement, ExplainResources)
    item = _item(statement.item, context)
    if item.cluster is None:
        raise SqlError(
            WRONG_OBJECT_TYPE,
            f'"{item.name.item}" is not maintained',
            hint="EXPLAIN ANALYZE its indexes.",
        )
    shown = ", ".join(_MEASURES[measure] for measure in statement.measures)
    text = _RESOURCES.format(shown, quote_string(item.id))
    query = StatementParser(text, tokenize(text)).statement()
    with context.inside_definition():
        return plan_query_statement(query, parsed, context)


def _one_column(title: str) -> RelationDesc:
    return RelationDesc((Column(title, TEXT, False),))


def _is_json(name: str) -> bool:
    if name not in ("text", "json"):
        raise SqlError(
            INVALID_PARAMETER_VALUE, f'unrecognized value for EXPLAIN option "format": "{name}"'
        )
    return name == "json"


def _lines(shown: tuple[str, ...] | str) -> tuple[str, ...]:
    return (shown,) if isinstance(shown, str) else shown


def _query_of(plan: Plan) -> Query:
    match plan:
        case SelectPlan(query=query) | InsertPlan(query=query) | MutatePlan(query=query):
            return query
        case CopyToPlan(query=query) | DeclarePlan(query=query) | SubscribePlan(query=query):
            return query
    raise SqlError(FEATURE_NOT_SUPPORTED, "EXPLAIN of this statement is not supported")


# Before indexes are chosen


def _explain_early(
    subject: ast.Statement, stage: str, context: StatementContext, *, is_json: bool
) -> tuple[str, ...]:
    rows = _rows(subject, context)
    if stage == "locally optimized":
        relation = optimize_hir(rows, context)
    else:
        relation = Lowering(context.shared).statement(rows)
    show = explain_relation_json if is_json else explain_relation
    return _lines(show(relation, context.catalog))


def _rows(subject: ast.Statement, context: StatementContext) -> Hir:
    """The rows that a statement or an item is about."""
    queries = QueryPlanner(context)
    match subject:
        case ast.QueryStatement(query=query):
            return queries.plan_query(query, Scope()).hir
        case ast.CreateView(query=query) | CreateMaterializedView(query=query):
            return queries.plan_query(query, Scope()).hir
        case CreateIndex(relation=name, relation_pos=pos):
            return queries.item_relation(queries.resolve_item(name, pos)).hir
        case ExplainedItem():
            return _contents(_item(subject, context), queries)
    raise SqlError(FEATURE_NOT_SUPPORTED, "EXPLAIN of this statement is not supported")


def _contents(item: CatalogItem, queries: QueryPlanner) -> Hir:
    """What a view's query, or the relation of an index, holds."""
    if item.index_on is not None:
        return queries.item_relation(queries.context.catalog.item(item.index_on)).hir
    with queries.context.inside_definition():
        return queries.plan_query(view_query(item.create_sql), Scope()).hir


def _item(named: ExplainedItem, context: StatementContext) -> CatalogItem:
    kind, item_kind = _KINDS[named.kind]
    item = existing_item(named.name, kind, item_kind, False, context)
    assert item is not None
    return item


# What is maintained, or would be


def _item_text(named: ExplainedItem, context: StatementContext) -> MaintainedText:
    item = _item(named, context)
    catalog = context.catalog
    name = item_name(item.id, catalog)
    if item.kind is ItemKind.VIEW:
        relation = optimize_hir(_contents(item, QueryPlanner(context)), context)
        indexes = used_indexes(relation, keyed_indexes(context))
        return MaintainedText(name, relation, indexes, context.session.cluster)
    plan = plan_maintained(item, catalog, context.session)
    assert item.cluster is not None
    text = MaintainedText(name, plan.relation, plan.indexes, item.cluster)
    if item.index_on is None:
        return text
    return text.arranged(item_name(item.index_on, catalog), plan.key)


def _definition_text(statement: _Definition, context: StatementContext) -> MaintainedText:
    match statement:
        case ast.CreateView():
            cluster = None
        case CreateMaterializedView(cluster=named) | CreateIndex(cluster=named):
            cluster = named or context.session.cluster
        case _:
            assert_never(statement)
    own = StatementContext(context.catalog, context.session, context.parameters, Reading(cluster))
    relation = optimize_hir(_rows(statement, own), own)
    name = "Explained Query" if statement.name is None else ".".join(statement.name)
    return MaintainedText(name, relation, used_indexes(relation, keyed_indexes(own)), cluster)


def _maintained(
    text: MaintainedText, context: StatementContext, *, is_json: bool
) -> tuple[str, ...]:
    if is_json:
        return (explain_relation_json(text.relation, context.catalog),)
    return explain_maintained(text, context.catalog)
