"""CHECK VIEW: what is maintained compared with what its query gives from the tables and sources.

The plan is one query, so all is of one time: every row of the computed and of the maintained
contents with a mark of where it is from, counted by row, of which those stay whose counts differ.
Of a materialized view both are looked at, what is durable and what its cluster has in memory.
Rows count as the same if they look the same: a numeric 1.0 is not 1.00 here.
"""

from dataclasses import replace
from typing import Final

from core.errors import WRONG_OBJECT_TYPE, SqlError
from core.ids import GlobalId
from core.sql_types import BOOL, INT4, INT8, TEXT, Column, RelationDesc
from expr.casting import cast_scalar
from expr.ordering import equality_key
from expr.registry import CastContext
from expr.relation import Aggregate, Filter, Finishing, Get, Map, Project, Reduce, Relation, Union
from expr.scalar import Call, Case, ColumnRef, Scalar, literal
from sql import intrinsics
from sql import syntax as ast
from sql.catalog_view import CatalogItem, ItemKind
from sql.inspection_syntax import Check
from sql.parse import ParsedStatement
from sql.plan import CheckPlan, PlannedStatement, Query
from sql.query_planner import QueryPlanner
from sql.query_statement import optimize_hir, planned_statement
from sql.statement_context import Reading, StatementContext
from sql.time_planner import plan_time

_COUNTS: Final = (Column("expected", INT8, False), Column("actual", INT8, False))
_KIND_WORDS: Final = {
    ItemKind.MATERIALIZED_VIEW: "materialized view",
    ItemKind.INDEX: "index",
}


def plan_check(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """CHECK VIEW. Raises SqlError 42809 for what is not maintained."""
    assert isinstance(statement, Check)
    own = StatementContext(
        context.catalog, context.session, context.parameters, Reading(None, is_from_base=True)
    )
    queries = QueryPlanner(own)
    maintained = _maintained(queries.resolve_item(statement.name, statement.pos), statement, own)
    assert maintained.cluster is not None
    if maintained.index_on is None:
        subject, durable = maintained, GlobalId(f"{maintained.id} durable")
    else:
        subject, durable = context.catalog.item(maintained.index_on), None
    expected = optimize_hir(queries.item_relation(subject).hir, own)
    desc = subject.desc
    kept = [id for id in (durable, maintained.id) if id is not None]
    actual = tuple(Get(id, desc.types) for id in kept)
    query = Query(
        _compared(expected, actual, desc),
        Finishing(),
        RelationDesc(desc.columns + _COUNTS),
        frozenset({*own.depends_on, maintained.id}),
        is_catalog_only=False,
        indexes=() if maintained is subject else ((maintained.id, maintained.id),),
    )
    if statement.as_of is not None:
        as_of = plan_time(statement.as_of, "AS OF", queries)
        query = replace(query, as_of=as_of, as_of_at_least=statement.as_of_at_least)
    plan = CheckPlan(query, maintained.id, maintained.cluster, durable)
    return planned_statement(plan, context, query.desc)


def _maintained(item: CatalogItem, statement: Check, context: StatementContext) -> CatalogItem:
    """The materialized view or index that the statement is about: of a relation that is none, its
    oldest index, if there is one of the session's cluster."""
    if statement.kind is not None and _KIND_WORDS.get(item.kind) != statement.kind:
        raise SqlError(
            WRONG_OBJECT_TYPE,
            f'"{item.name.item}" is not {_article(statement.kind)} {statement.kind}',
            position=statement.pos + 1,
        )
    if item.kind in _KIND_WORDS:
        return item
    clusters = sorted(context.catalog.clusters(), key=lambda c: c != context.session.cluster)
    for cluster in clusters:
        indexes = context.catalog.indexes(item.id, cluster)
        if indexes:
            return indexes[0]
    raise SqlError(
        WRONG_OBJECT_TYPE,
        f'"{item.name.item}" is not maintained',
        detail="It is not a materialized view, and has no index.",
        position=statement.pos + 1,
    )


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _compared(expected: Relation, actual: tuple[Relation, ...], desc: RelationDesc) -> Relation:
    """The rows whose counts differ, how often they are expected, and how often they are in the
    first of `actual` that has them another number of times."""
    width = len(desc.columns)
    columns = tuple(ColumnRef(index, t) for index, t in enumerate(desc.types))
    looks = tuple(_text(column) for column in columns if equality_key(column.type) is not None)
    key: tuple[Scalar, ...] = (*columns, *looks)
    marked = tuple(Map(rows, (literal(n, INT4),)) for n, rows in enumerate((expected, *actual)))
    counts = Reduce(Union(marked), key, tuple(_count(n, width) for n in range(len(marked))))
    wanted, *found = (ColumnRef(len(key) + n, INT8) for n in range(len(marked)))
    shown: Scalar = found[-1]
    for count in reversed(found[:-1]):
        shown = Case(((_differ(wanted, count), count),), shown, INT8)
    differing = Filter(counts, (intrinsics.disjunction([_differ(wanted, c) for c in found]),))
    total = len(key) + len(marked)
    return Project(Map(differing, (shown,)), (*range(width), wanted.index, total))


def _count(mark: int, column: int) -> Aggregate:
    """How many rows have that mark in `column`."""
    test = Call("=(int4,int4)", (ColumnRef(column, INT4), literal(mark, INT4)), BOOL)
    return Aggregate("count()", (), INT8, filter=test)


def _differ(left: Scalar, right: Scalar) -> Scalar:
    return Call("<>(int8,int8)", (left, right), BOOL)


def _text(column: ColumnRef) -> Scalar:
    text = cast_scalar(column, TEXT, CastContext.EXPLICIT)
    assert text is not None
    return text
