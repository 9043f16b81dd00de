"""The keys of indexes as scalars."""

from core.sql_types import RelationDesc, SqlType
from expr.fold import fold
from expr.scalar import ColumnRef, Scalar
from sql.catalog_view import CatalogItem
from sql.lexer import tokenize
from sql.pending import Pending
from sql.query_planner import QueryPlanner
from sql.scope import Scope, ScopeColumn
from sql.statement_context import StatementContext
from sql.statement_parser import StatementParser


def index_key(index: CatalogItem, context: StatementContext) -> tuple[Scalar, ...]:
    """The parts of an index's key, over the columns of what it is on, as predicates that were
    optimized name them."""
    assert index.index_on is not None
    on = context.catalog.item(index.index_on)
    types = on.desc.types
    scope = relation_scope(on.desc)
    return tuple(
        _column(part, types) if isinstance(part, int) else _expression(part, scope, context)
        for part in index.index_key
    )


def relation_scope(desc: RelationDesc) -> Scope:
    """The names of a relation's columns, unqualified."""
    return Scope(
        tuple(
            ScopeColumn(column.name, ColumnRef(number, column.type), column.nullable)
            for number, column in enumerate(desc.columns)
        )
    )


def _column(position: int, types: tuple[SqlType, ...]) -> Scalar:
    return ColumnRef(position - 1, types[position - 1])


def _expression(text: str, scope: Scope, context: StatementContext) -> Scalar:
    node = StatementParser(text, tokenize(text)).expression()
    queries = QueryPlanner(context)
    with context.inside_definition():
        planned = queries.scalars(scope, Pending(queries.indices), "index expressions").plan(node)
    return fold(planned, context.session.context)
