"""Queries as statements: finishing, dependencies, parameters."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from core.sql_types import TEXT, Column, RelationDesc
from expr.relation import Finishing, Relation, column_types
from expr.scalar import ColumnRef, Literal
from sql import hir
from sql import syntax as ast
from sql.decorrelate import Lowering
from sql.expression_base import OutputColumn, PlannedQuery
from sql.hir import Hir, types_of
from sql.index_keys import index_key
from sql.optimizer.lookups import Indexes, KeyedIndex, use_indexes, used_indexes
from sql.optimizer.pipeline import optimize
from sql.parse import ParsedStatement
from sql.pending import Pending, Substitution, attach_subqueries
from sql.plan import (
    Plan,
    PlannedStatement,
    Query,
    SelectPlan,
)
from sql.query_planner import QueryPlanner
from sql.scope import Scope
from sql.statement_context import StatementContext
from sql.time_planner import plan_time

_NAMED_TYPES: Final = frozenset({"regclass", "regnamespace", "regproc", "regrole"})


def plan_query_statement(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """SELECT, VALUES, TABLE."""
    assert isinstance(statement, ast.QueryStatement)
    query = plan_top_query(statement.query, context)
    if statement.as_of is not None:
        as_of = plan_time(statement.as_of, "AS OF", QueryPlanner(context))
        query = dataclasses.replace(query, as_of=as_of, as_of_at_least=statement.as_of_at_least)
    return planned_statement(SelectPlan(query), context, query.desc)


def planned_statement(
    plan: Plan, context: StatementContext, desc: RelationDesc | None = None
) -> PlannedStatement:
    """A finished plan with its parameter types."""
    return PlannedStatement(plan, context.parameters.final(), desc)


def plan_top_query(query: ast.Query, context: StatementContext) -> Query:
    """A query whose rows go to the client."""
    queries = QueryPlanner(context)
    planned, names = with_names(queries.plan_query(query, Scope()), queries)
    return dataclasses.replace(finish(planned, context), names=names)


def with_names(
    planned: PlannedQuery, queries: QueryPlanner
) -> tuple[PlannedQuery, tuple[tuple[int, int], ...]]:
    """`planned` with a hidden column for each one of type regclass or its kin: the name of the
    object, which the text format shows and only the catalog knows."""
    shown = [index for index, c in enumerate(planned.columns) if c.type.name in _NAMED_TYPES]
    if not shown:
        return planned, ()
    pending = Pending(queries.indices)
    planner = queries.scalars(Scope(), pending, "SELECT")
    oids = [ColumnRef(index, planned.columns[index].type) for index in shown]
    texts = [planner.catalog_text(oid, TEXT, 0) for oid in oids]
    substitution = Substitution()
    width = len(types_of(planned.hir))
    relation, width = attach_subqueries(planned.hir, width, pending, substitution)
    relation = hir.Map(relation, tuple(map(substitution.apply, texts)))
    names = tuple((index, width + number) for number, index in enumerate(shown))
    return dataclasses.replace(planned, hir=relation), names


def finish(planned: PlannedQuery, context: StatementContext) -> Query:
    """The optimized relation, and what is done to its rows on the way out."""
    indexes = keyed_indexes(context)
    relation = use_indexes(optimize_hir(planned.hir, context), indexes)
    width = len(planned.columns)
    has_hidden = len(column_types(relation)) > width
    limit, offset = planned.limit, planned.offset
    finishing = Finishing(
        planned.order_by,
        limit.value if isinstance(limit, Literal) else None,
        offset.value if isinstance(offset, Literal) else 0,
        tuple(range(width)) if has_hidden else None,
    )
    return Query(
        relation,
        finishing,
        description(planned.columns),
        frozenset(context.depends_on),
        all(id.startswith("s") for id in context.depends_on) and bool(context.depends_on),
        None if limit is None or isinstance(limit, Literal) else limit,
        None if offset is None or isinstance(offset, Literal) else offset,
        indexes=used_indexes(relation, indexes),
    )


def keyed_indexes(context: StatementContext) -> Indexes:
    """The indexes that what was planned may read, with their keys."""
    return {
        id: tuple(KeyedIndex(index.id, index_key(index, context)) for index in indexes)
        for id, indexes in tuple(context.indexes.items())
        if indexes and id in context.depends_on
    }


def relation_query(
    relation: Hir, columns: Sequence[OutputColumn], context: StatementContext
) -> Query:
    """A query without order whose columns are all of `relation`'s."""
    return finish(PlannedQuery(relation, tuple(columns)), context)


def anonymous_columns(relation: Hir) -> tuple[OutputColumn, ...]:
    """Nameless output columns, for queries whose rows do not go to a client."""
    return tuple(OutputColumn("", t) for t in types_of(relation))


def optimize_hir(root: Hir, context: StatementContext) -> Relation:
    """The optimized relation of a planned query."""
    relation = Lowering(context.shared).statement(root)
    return optimize(relation, context.session.context)


def description(columns: Sequence[OutputColumn]) -> RelationDesc:
    """The row description of output columns."""
    return RelationDesc(tuple(Column(c.name, c.type, c.nullable) for c in columns))
