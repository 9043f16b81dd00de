"""UPDATE, DELETE and TRUNCATE: the rows of the table that change, or go."""

from core.errors import FEATURE_NOT_SUPPORTED, SYNTAX_ERROR, UNDEFINED_COLUMN, SqlError
from expr.scalar import ColumnRef, Scalar
from sql import hir, intrinsics
from sql import syntax as ast
from sql.expression_base import PlannedQuery
from sql.from_planner import FromResult
from sql.hir import ApplyKind, Hir, JoinKind
from sql.modification_planner import (
    Target,
    assign,
    begin,
    default_of,
    plan_returning,
    project_all,
    target_table,
)
from sql.parse import ParsedStatement
from sql.pending import Pending, Substitution, attach_subqueries
from sql.plan import MutatePlan, PlannedStatement
from sql.positions import position
from sql.query_planner import QueryPlanner
from sql.query_statement import anonymous_columns, finish, planned_statement
from sql.scalar_planner import ScalarPlanner
from sql.scope import Scope
from sql.select_planner import LevelSource
from sql.statement_context import StatementContext


def plan_delete(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """DELETE: the rows of the table that it removes."""
    assert isinstance(statement, ast.Delete)
    queries, target = begin(statement, "delete from", context)
    width = len(target.item.desc.columns)
    own = _own_rows(queries, target)
    if statement.using:
        relation = _delete_using(queries, own, statement)
    else:
        relation = _filtered(queries, own, statement.where).relation
    relation = hir.Project(relation, tuple(range(width)))
    return _mutation(queries, target, relation, statement.returning, is_update=False)


def _own_rows(queries: QueryPlanner, target: Target) -> FromResult:
    """The rows of the table to change."""
    own = queries.item_relation(target.item)
    return FromResult(own.hir, len(own.columns), target.columns(), (target.entry(),))


def _filtered(
    queries: QueryPlanner, source: FromResult, where: ast.Expression | None
) -> LevelSource:
    level = LevelSource(source.hir, source.width, source.scope(Scope()))
    if where is not None:
        queries.filter_source(level, where)
    return level


def _delete_using(queries: QueryPlanner, own: FromResult, statement: ast.Delete) -> Hir:
    """A row goes once, however many rows of USING it meets: a semi-join."""
    others = queries.plan_from(statement.using, Scope())
    scope = queries.combine(own, others).scope(Scope())
    if statement.where is None:
        return hir.Apply(ApplyKind.SEMI, own.hir, (), others.hir)
    pending = Pending(queries.indices)
    planner = queries.scalars(scope, pending, "WHERE")
    condition = planner.condition(statement.where, "WHERE")
    if pending.subqueries:
        raise SqlError(
            FEATURE_NOT_SUPPORTED, "subqueries in the WHERE of DELETE … USING are not supported"
        )
    return hir.Join(JoinKind.SEMI, own.hir, others.hir, intrinsics.conjuncts(condition))


def plan_update(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """UPDATE: old row ++ new row of every row that it changes."""
    assert isinstance(statement, ast.Update)
    queries, target = begin(statement, "update", context)
    width = len(target.item.desc.columns)
    source = _own_rows(queries, target)
    if statement.from_:
        source = queries.combine(source, queries.plan_from(statement.from_, Scope()))
    level = _filtered(queries, source, statement.where)
    pending = Pending(queries.indices)
    planner = queries.scalars(level.names, pending, "UPDATE")
    new: dict[int, Scalar] = {}
    for assignment in statement.assignments:
        _assign_columns(queries, planner, target, assignment, new)
    substitution = Substitution()
    relation, _ = attach_subqueries(level.relation, level.width, pending, substitution)
    columns = target.item.desc.columns
    scalars = [ColumnRef(i, c.type) for i, c in enumerate(columns)]
    updated = [substitution.apply(new[i]) if i in new else ref for i, ref in enumerate(scalars)]
    relation = project_all(relation, [*scalars, *updated])
    if statement.from_:
        relation = _first_match(relation, width)
    return _mutation(queries, target, relation, statement.returning, is_update=True)


def _first_match(relation: Hir, width: int) -> Hir:
    """With FROM a row may meet several partners; like PostgreSQL, one of them decides."""
    return hir.TopK(relation, tuple(range(width)), (), 1)


def _assign_columns(
    queries: QueryPlanner,
    planner: ScalarPlanner,
    target: Target,
    assignment: ast.Assignment,
    new: dict[int, Scalar],
) -> None:
    values: list[ast.Expression]
    if not assignment.is_multiple:
        values = [assignment.value]
    elif isinstance(assignment.value, ast.RowExpression):
        values = list(assignment.value.items)
    elif isinstance(assignment.value, ast.ScalarSubquery):
        _assign_subquery(queries, planner, target, assignment, new)
        return
    elif len(assignment.columns) == 1:
        values = [assignment.value]
    else:
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
            position=position(assignment.value),
        )
    if len(values) != len(assignment.columns):
        raise SqlError(
            SYNTAX_ERROR,
            "number of columns does not match number of values",
            position=assignment.pos + 1,
        )
    for name, node in zip(assignment.columns, values, strict=True):
        index = _target_column(target, name, assignment.pos, new)
        column = target.item.desc.columns[index]
        if isinstance(node, ast.DefaultMarker):
            new[index] = default_of(target.item, index, queries.context)
            continue
        scalar = planner.plan(node)
        new[index] = assign(
            queries.context.coercer, scalar, column.type, column.name, position(node)
        )


def _assign_subquery(
    queries: QueryPlanner,
    planner: ScalarPlanner,
    target: Target,
    assignment: ast.Assignment,
    new: dict[int, Scalar],
) -> None:
    """`(a, b) = (SELECT …)`: one subquery for each column."""
    assert isinstance(assignment.value, ast.ScalarSubquery)
    for position_in_row, name in enumerate(assignment.columns):
        index = _target_column(target, name, assignment.pos, new)
        column = target.item.desc.columns[index]
        scalar = planner.subquery_column(
            assignment.value.query, position_in_row, len(assignment.columns), assignment.pos
        )
        new[index] = assign(
            queries.context.coercer, scalar, column.type, column.name, assignment.pos + 1
        )


def _target_column(target: Target, name: str, pos: int, new: dict[int, Scalar]) -> int:
    names = target.item.desc.names
    if name not in names:
        raise SqlError(
            UNDEFINED_COLUMN,
            f'column "{name}" of relation "{target.item.name.item}" does not exist',
            position=pos + 1,
        )
    index = names.index(name)
    if index in new:
        raise SqlError(
            SYNTAX_ERROR, f'multiple assignments to same column "{name}"', position=pos + 1
        )
    return index


def _mutation(
    queries: QueryPlanner,
    target: Target,
    relation: Hir,
    items: tuple[ast.SelectItem, ...],
    *,
    is_update: bool,
) -> PlannedStatement:
    context = queries.context
    query = finish(PlannedQuery(relation, anonymous_columns(relation)), context)
    returning, desc = plan_returning(queries, target, items, Scope())
    plan = MutatePlan(
        target.item.id,
        target.item.name.item,
        is_update,
        query,
        len(target.item.desc.columns),
        target.not_null,
        returning,
        desc,
    )
    return planned_statement(plan, context, desc)


def plan_truncate(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """TRUNCATE of one table: the deletion of all its rows."""
    assert isinstance(statement, ast.Truncate)
    if len(statement.tables) > 1:
        raise SqlError(FEATURE_NOT_SUPPORTED, "TRUNCATE of several tables is not supported")
    queries = QueryPlanner(context)
    name, pos = statement.tables[0]
    target = target_table(queries, name, pos, "truncate")
    relation = queries.item_relation(target.item).hir
    return _mutation(queries, target, relation, (), is_update=False)
