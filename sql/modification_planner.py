"""INSERT, and what it shares with UPDATE and DELETE: the target, its columns and RETURNING.

Each is planned as one query over whole rows of the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import (
    DATATYPE_MISMATCH,
    FEATURE_NOT_SUPPORTED,
    INSUFFICIENT_PRIVILEGE,
    SYNTAX_ERROR,
    UNDEFINED_COLUMN,
    WRONG_OBJECT_TYPE,
    SqlError,
)
from core.sql_types import RelationDesc, SqlType
from expr.fold import fold
from expr.registry import CastContext
from expr.scalar import ColumnRef, Scalar
from sql import hir, intrinsics
from sql import syntax as ast
from sql.catalog_view import CatalogItem, ItemKind
from sql.coercion import Coercer
from sql.expression_base import OutputColumn, PlannedQuery
from sql.hir import Hir, types_of
from sql.macros import parse_expression
from sql.names import column_name
from sql.object_names import cannot_open, wrong_kind
from sql.parse import ParsedStatement
from sql.pending import Pending, Substitution, attach_subqueries
from sql.plan import InsertPlan, ObjectKind, PlannedStatement
from sql.positions import position
from sql.query_planner import QueryPlanner
from sql.query_statement import (
    anonymous_columns,
    description,
    finish,
    planned_statement,
)
from sql.scope import Scope, ScopeColumn, TableEntry
from sql.star import star_columns
from sql.statement_context import StatementContext


@dataclass(frozen=True, slots=True)
class Target:
    """The table that a statement changes."""

    item: CatalogItem
    alias: str

    @property
    def not_null(self) -> tuple[tuple[int, str], ...]:
        return not_null_columns(self.item)

    def columns(self) -> tuple[ScopeColumn, ...]:
        return tuple(
            ScopeColumn(c.name, ColumnRef(i, c.type), c.nullable)
            for i, c in enumerate(self.item.desc.columns)
        )

    def entry(self) -> TableEntry:
        name = self.item.name
        qualifier = tuple(p for p in (name.database, name.schema) if p is not None)
        if self.alias == name.item:
            return TableEntry(self.alias, self.columns(), qualifier)
        return TableEntry(self.alias, self.columns(), hidden_name=name.item)


def not_null_columns(item: CatalogItem) -> tuple[tuple[int, str], ...]:
    """Positions and names of a table's NOT NULL columns."""
    return tuple((i, c.name) for i, c in enumerate(item.desc.columns) if not c.nullable)


def target_table(
    queries: QueryPlanner, name: ast.Name, pos: int, verb: str, alias: str | None = None
) -> Target:
    """The table to change. Raises SqlError 42P01, 42809 or 42501."""
    item = queries.resolve_item(name, pos)
    if item.kind is not ItemKind.TABLE:
        if item.is_system:
            raise _system_table(item)
        raise _no_table(item, pos, verb)
    if item.is_system:
        raise _system_table(item)
    return Target(item, alias or item.name.item)


def _no_table(item: CatalogItem, pos: int, verb: str) -> SqlError:
    if verb == "truncate":
        return wrong_kind(item, ObjectKind.TABLE)
    if item.kind is ItemKind.INDEX:
        return cannot_open(item, pos)
    if item.kind is ItemKind.MATERIALIZED_VIEW and verb != "copy to":
        verb = "change"
    kind = item.kind.value.replace("-", " ")
    return SqlError(WRONG_OBJECT_TYPE, f'cannot {verb} {kind} "{item.name.item}"')


def begin(
    statement: ast.Insert | ast.Update | ast.Delete, verb: str, context: StatementContext
) -> tuple[QueryPlanner, Target]:
    """The planner of a statement's parts, which knows the tables of WITH, and the table to
    change. Raises SqlError as `target_table` does."""
    queries = QueryPlanner(context)
    target = target_table(queries, statement.table, statement.pos, verb, statement.alias)
    if statement.with_ is not None:
        queries.plan_with(statement.with_, Scope())
    return queries, target


def _system_table(item: CatalogItem) -> SqlError:
    return SqlError(
        INSUFFICIENT_PRIVILEGE,
        f'permission denied: "{item.name.item}" is a system catalog',
    )


def default_of(item: CatalogItem, index: int, context: StatementContext) -> Scalar:
    """The default of a column as a scalar of its type."""
    wanted = item.desc.columns[index].type
    text = item.defaults[index] if index < len(item.defaults) else None
    if text is None:
        return intrinsics.null_of(wanted)
    queries = QueryPlanner(context)
    planner = queries.scalars(Scope(), Pending(queries.indices), "DEFAULT expressions")
    scalar = planner.plan(parse_expression(text))
    return assign(context.coercer, scalar, wanted, item.desc.columns[index].name, None)


def assign(
    coercer: Coercer, scalar: Scalar, wanted: SqlType, column: str, pos: int | None
) -> Scalar:
    """`scalar` as a value stored in a column. Raises SqlError 42804."""
    result = coercer.try_coerce(scalar, wanted, CastContext.ASSIGNMENT, pos)
    if result is None:
        raise SqlError(
            DATATYPE_MISMATCH,
            f'column "{column}" is of type {wanted.info.sql_name} but expression is of type '
            f"{scalar.type.info.sql_name}",
            hint="You will need to rewrite or cast the expression.",
            position=pos,
        )
    return result


# INSERT


def plan_insert(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """INSERT."""
    assert isinstance(statement, ast.Insert)
    if statement.has_conflict_clause:
        raise SqlError(FEATURE_NOT_SUPPORTED, "ON CONFLICT is not supported")
    queries, target = begin(statement, "insert into", context)
    places = named_columns(target.item, statement.columns)
    relation = _insert_rows(queries, target, statement, places)
    planned = PlannedQuery(relation, anonymous_columns(relation))
    query = finish(planned, context)
    returning, desc = plan_returning(queries, target, statement.returning, Scope())
    plan = InsertPlan(
        target.item.id, target.item.name.item, query, target.not_null, returning, desc
    )
    return planned_statement(plan, context, desc)


def named_columns(item: CatalogItem, columns: Sequence[tuple[str, int]]) -> tuple[int, ...]:
    """The positions of the columns of a list of names, in its order; of all if it is empty."""
    names = item.desc.names
    if not columns:
        return tuple(range(len(names)))
    places: list[int] = []
    for name, pos in columns:
        if name not in names:
            raise SqlError(
                UNDEFINED_COLUMN,
                f'column "{name}" of relation "{item.name.item}" does not exist',
                position=pos + 1,
            )
        index = names.index(name)
        if index in places:
            raise SqlError("42701", f'column "{name}" specified more than once', position=pos + 1)
        places.append(index)
    return tuple(places)


def _insert_rows(
    queries: QueryPlanner, target: Target, statement: ast.Insert, places: tuple[int, ...]
) -> Hir:
    context = queries.context
    columns = target.item.desc.columns
    if statement.query is None:
        defaults = tuple(default_of(target.item, i, context) for i in range(len(columns)))
        return hir.Map(hir.UNIT, defaults)
    body = statement.query.body
    plain = not (
        statement.query.order_by
        or statement.query.limit
        or statement.query.offset
        or statement.query.with_
    )
    if isinstance(body, ast.Values) and plain:
        return _insert_values(queries, target, body, places, statement)
    planned = queries.plan_query(statement.query, Scope(), keep_unknown=True)
    _check_width(len(planned.columns), places, statement, inner_position(statement.query))
    places = places[: len(planned.columns)]
    nodes = _item_positions(statement.query, len(planned.columns))
    scalars: list[Scalar] = [default_of(target.item, i, context) for i in range(len(columns))]
    relation = queries.as_relation(
        PlannedQuery(planned.hir, planned.columns, planned.order_by, planned.limit, planned.offset)
    )
    for index, place in enumerate(places):
        column = planned.columns[index]
        constant = planned.constants[index] if planned.constants else None
        source: Scalar = ColumnRef(index, column.type) if constant is None else constant
        scalars[place] = assign(
            context.coercer, source, columns[place].type, columns[place].name, nodes[index]
        )
    return project_all(relation, scalars)


def _item_positions(query: ast.Query, count: int) -> list[int | None]:
    body = query.body
    if isinstance(body, ast.Select) and len(body.items) == count:
        return [position(item.expression) for item in body.items]
    return [None] * count


def inner_position(query: ast.Query) -> int | None:
    """The position of a query's first output expression."""
    body = query.body
    if isinstance(body, ast.Select) and body.items:
        return position(body.items[0].expression)
    return None


def _check_width(
    given: int, places: tuple[int, ...], statement: ast.Insert, pos: int | None
) -> None:
    if given > len(places):
        raise SqlError(
            SYNTAX_ERROR, "INSERT has more expressions than target columns", position=pos
        )
    if statement.columns and given < len(places):
        raise SqlError(
            SYNTAX_ERROR,
            "INSERT has more target columns than expressions",
            position=statement.columns[given][1] + 1,
        )


def _insert_values(
    queries: QueryPlanner,
    target: Target,
    values: ast.Values,
    places: tuple[int, ...],
    statement: ast.Insert,
) -> Hir:
    """Rows of VALUES, each cell coerced to its column's type by itself."""
    context = queries.context
    columns = target.item.desc.columns
    width = len(values.rows[0])
    for row in values.rows:
        if len(row) != width:
            raise SqlError(
                SYNTAX_ERROR,
                "VALUES lists must all be the same length",
                position=position(row[0]),
            )
    at_surplus = position(values.rows[0][len(places)]) if width > len(places) else None
    _check_width(width, places, statement, at_surplus)
    places = places[:width]
    defaults = [default_of(target.item, i, context) for i in range(len(columns))]
    types = tuple(c.type for c in columns)
    rows: list[tuple[Scalar, ...]] = []
    parts: list[Hir] = []
    evaluation = context.session.context
    for row in values.rows:
        pending = Pending(queries.indices)
        planner = queries.scalars(Scope(), pending, "VALUES")
        scalars = list(defaults)
        for cell, place in zip(row, places, strict=True):
            if isinstance(cell, ast.DefaultMarker):
                continue
            column = columns[place]
            scalar = planner.plan(cell)
            scalars[place] = fold(
                assign(context.coercer, scalar, column.type, column.name, position(cell)),
                evaluation,
            )
        if pending.subqueries:
            substitution = Substitution()
            relation, width = attach_subqueries(hir.UNIT, 0, pending, substitution)
            real = [substitution.apply(scalar) for scalar in scalars]
            parts.append(project_all(relation, real))
        else:
            rows.append(tuple(scalars))
    if rows:
        parts.insert(0, hir.Rows(tuple(rows), types))
    return parts[0] if len(parts) == 1 else hir.Union(tuple(parts))


def project_all(relation: Hir, scalars: Sequence[Scalar]) -> Hir:
    """The relation whose columns are exactly `scalars`."""
    width = len(types_of(relation))
    mapped = hir.Map(relation, tuple(scalars))
    return hir.Project(mapped, tuple(range(width, width + len(scalars))))


def plan_returning(
    queries: QueryPlanner,
    target: Target,
    items: tuple[ast.SelectItem, ...],
    outer: Scope,
) -> tuple[tuple[Scalar, ...] | None, RelationDesc | None]:
    """RETURNING over a row of the table."""
    if not items:
        return None, None
    scope = Scope(target.columns(), (target.entry(),), outer.parent, outer.boundary)
    pending = Pending(queries.indices)
    planner = queries.scalars(scope, pending, "RETURNING")
    scalars: list[Scalar] = []
    columns: list[OutputColumn] = []
    for item in items:
        if isinstance(item.expression, ast.Star):
            for star in star_columns(item.expression, scope):
                scalars.append(star.scalar)
                columns.append(OutputColumn(star.name, star.scalar.type, star.nullable))
            continue
        scalar = queries.context.coercer.known(planner.plan(item.expression))
        scalars.append(scalar)
        columns.append(OutputColumn(item.label or column_name(item.expression), scalar.type))
    if pending.subqueries:
        raise SqlError(FEATURE_NOT_SUPPORTED, "subqueries in RETURNING are not supported")
    return tuple(scalars), description(columns)
