"""INSERT, UPDATE, DELETE and TRUNCATE: one query over whole rows of the table each."""

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
from sql.from_planner import FromResult
from sql.hir import ApplyKind, Hir, JoinKind, types_of
from sql.macros import parse_expression
from sql.names import column_name
from sql.parse import ParsedStatement
from sql.pending import Pending, Substitution, attach_subqueries
from sql.plan import InsertPlan, MutatePlan, PlannedStatement
from sql.positions import position
from sql.query_planner import QueryPlanner
from sql.query_statement import (
    anonymous_columns,
    description,
    finish,
    planned_statement,
)
from sql.scalar_planner import ScalarPlanner
from sql.scope import Scope, ScopeColumn, TableEntry
from sql.select_planner import LevelSource
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
        words = {"insert into": "insert into", "update": "update", "delete from": "delete from"}
        if item.is_system:
            raise _system_table(item)
        raise SqlError(
            WRONG_OBJECT_TYPE,
            f"cannot {words.get(verb, verb)} {item.kind.value.replace('-', ' ')} "
            f'"{item.name.item}"',
        )
    if item.is_system:
        raise _system_table(item)
    return Target(item, alias or item.name.item)


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
    queries = QueryPlanner(context)
    target = target_table(queries, statement.table, statement.pos, "insert into", statement.alias)
    places = named_columns(target.item, statement.columns)
    if statement.with_ is not None:
        queries.common_tables = dict(queries.common_tables)
        queries.plan_with(statement.with_, Scope())
    relation = _insert_rows(queries, target, statement, places)
    planned = PlannedQuery(relation, anonymous_columns(relation))
    query = finish(planned, context)
    returning, desc = _returning(queries, target, statement.returning, Scope())
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
    return _project_all(relation, scalars)


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
            parts.append(_project_all(relation, real))
        else:
            rows.append(tuple(scalars))
    if rows:
        parts.insert(0, hir.Rows(tuple(rows), types))
    return parts[0] if len(parts) == 1 else hir.Union(tuple(parts))


def _project_all(relation: Hir, scalars: Sequence[Scalar]) -> Hir:
    """The relation whose columns are exactly `scalars`."""
    width = len(types_of(relation))
    mapped = hir.Map(relation, tuple(scalars))
    return hir.Project(mapped, tuple(range(width, width + len(scalars))))


def _returning(
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


# UPDATE and DELETE


def _mutation_source(
    queries: QueryPlanner,
    target: Target,
    others: tuple[ast.FromItem, ...],
) -> tuple[FromResult, Scope]:
    """The table's rows beside those of FROM or USING."""
    own = queries.item_relation(target.item)
    left = FromResult(own.hir, len(own.columns), target.columns(), (target.entry(),))
    if not others:
        return left, left.scope(Scope())
    right = queries.plan_from(others, Scope())
    combined = queries.combine(left, right)
    return combined, combined.scope(Scope())


def plan_delete(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """DELETE: the rows of the table that it removes."""
    assert isinstance(statement, ast.Delete)
    queries = QueryPlanner(context)
    target = target_table(queries, statement.table, statement.pos, "delete from", statement.alias)
    if statement.with_ is not None:
        queries.common_tables = {}
        queries.plan_with(statement.with_, Scope())
    width = len(target.item.desc.columns)
    if statement.using:
        relation = _delete_using(queries, target, statement)
    else:
        source, scope = _mutation_source(queries, target, ())
        level = LevelSource(source.hir, source.width, scope)
        if statement.where is not None:
            queries.filter_source(level, statement.where)
        relation = level.relation
    relation = hir.Project(relation, tuple(range(width)))
    return _mutation(queries, target, relation, statement.returning, is_update=False)


def _delete_using(queries: QueryPlanner, target: Target, statement: ast.Delete) -> Hir:
    """A row goes once, however many rows of USING it meets: a semi-join."""
    own = queries.item_relation(target.item)
    right = queries.plan_from(statement.using, Scope())
    combined = queries.combine(
        FromResult(own.hir, len(own.columns), target.columns(), (target.entry(),)), right
    )
    return _matching_rows(queries, own.hir, len(own.columns), combined, right, statement.where)


def _matching_rows(
    queries: QueryPlanner,
    own: Hir,
    width: int,
    combined: FromResult,
    right: FromResult,
    where: ast.Expression | None,
) -> Hir:
    if where is None:
        return hir.Apply(ApplyKind.SEMI, own, (), right.hir)
    pending = Pending(queries.indices)
    planner = queries.scalars(combined.scope(Scope()), pending, "WHERE")
    condition = planner.condition(where, "WHERE")
    if not pending.subqueries:
        return hir.Join(JoinKind.SEMI, own, right.hir, intrinsics.conjuncts(condition))
    raise SqlError(
        FEATURE_NOT_SUPPORTED, "subqueries in the WHERE of DELETE … USING are not supported"
    )


def plan_update(
    statement: ast.Statement, parsed: ParsedStatement, context: StatementContext
) -> PlannedStatement:
    """UPDATE: old row ++ new row of every row that it changes."""
    assert isinstance(statement, ast.Update)
    queries = QueryPlanner(context)
    target = target_table(queries, statement.table, statement.pos, "update", statement.alias)
    if statement.with_ is not None:
        queries.common_tables = {}
        queries.plan_with(statement.with_, Scope())
    width = len(target.item.desc.columns)
    source, scope = _mutation_source(queries, target, statement.from_)
    level = LevelSource(source.hir, source.width, scope)
    if statement.where is not None:
        queries.filter_source(level, statement.where)
    pending = Pending(queries.indices)
    planner = queries.scalars(scope, pending, "UPDATE")
    new: dict[int, Scalar] = {}
    for assignment in statement.assignments:
        _assign_columns(queries, planner, target, assignment, new)
    substitution = Substitution()
    relation, _ = attach_subqueries(level.relation, level.width, pending, substitution)
    columns = target.item.desc.columns
    scalars = [ColumnRef(i, c.type) for i, c in enumerate(columns)]
    updated = [substitution.apply(new[i]) if i in new else ref for i, ref in enumerate(scalars)]
    relation = _project_all(relation, [*scalars, *updated])
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
    returning, desc = _returning(queries, target, items, Scope())
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
