"""New items of the catalog: their names, schemas and columns, checked."""

from collections.abc import Sequence

from core.errors import (
    DUPLICATE_COLUMN,
    FEATURE_NOT_SUPPORTED,
    INVALID_SCHEMA_NAME,
    INVALID_TABLE_DEFINITION,
    SYNTAX_ERROR,
    SqlError,
)
from core.sql_types import Column, RelationDesc
from sql import syntax as ast
from sql.catalog_view import QualifiedName, SchemaName
from sql.expression_base import OutputColumn
from sql.object_names import check_database
from sql.parse import ParsedStatement
from sql.plan import Plan, PlannedStatement
from sql.session_view import TEMPORARY_SCHEMA
from sql.statement_context import StatementContext


def plain(plan: Plan) -> PlannedStatement:
    """A plan without parameters and rows."""
    return PlannedStatement(plan, (), None)


def no_parameters(parsed: ParsedStatement) -> None:
    """Raises SqlError 42P02 if the statement has any."""
    if parsed.parameter_count:
        raise SqlError("42P02", "there is no parameter $1")


def new_item_name(
    name: ast.Name, temporary: bool, pos: int, context: StatementContext
) -> QualifiedName:
    """Where an item of that name is to be created. Raises SqlError 3F000 or 3D000."""
    if len(name) > 3:
        raise too_many_parts(name, pos)
    if temporary:
        if len(name) > 1 and name[-2] != TEMPORARY_SCHEMA and not name[-2].startswith("pg_temp"):
            raise SqlError(
                INVALID_TABLE_DEFINITION,
                "cannot create temporary relation in non-temporary schema",
                position=pos + 1,
            )
        return QualifiedName(None, TEMPORARY_SCHEMA, name[-1])
    schema = _schema_for(name, pos, context)
    if schema.database is None:
        raise SqlError("42501", f"permission denied for schema {schema.schema}", position=pos + 1)
    return QualifiedName(schema.database, schema.schema, name[-1])


def _schema_for(name: ast.Name, pos: int, context: StatementContext) -> SchemaName:
    session = context.session
    if len(name) > 1:
        if len(name) == 3:
            check_database(name[0], context)
        found = context.catalog.schema(session.database, name[:-1])
        if found is None:
            raise SqlError(
                INVALID_SCHEMA_NAME,
                f'schema "{".".join(name[:-1])}" does not exist',
                position=pos + 1,
            )
        return found
    for candidate in session.search_path:
        wanted = session.user if candidate == "$user" else candidate
        found = context.catalog.schema(session.database, (wanted,))
        if found is not None and found.database is not None:
            return found
    raise SqlError(
        INVALID_SCHEMA_NAME, "no schema has been selected to create in", position=pos + 1
    )


def too_many_parts(name: ast.Name, pos: int) -> SqlError:
    """The error for a name of more parts than its kind has."""
    return SqlError(
        SYNTAX_ERROR,
        f"improper qualified name (too many dotted names): {'.'.join(name)}",
        position=pos + 1,
    )


def check_column_names(names: list[str]) -> None:
    """Raises SqlError 42701 for a name that comes twice."""
    seen = set()
    for name in names:
        if name in seen:
            raise SqlError(DUPLICATE_COLUMN, f'column "{name}" specified more than once')
        seen.add(name)


def view_columns(
    planned: Sequence[OutputColumn], given: Sequence[str], too_many: str
) -> RelationDesc:
    """The columns of a view: those of its query, the first ones renamed; `too_many` is the error
    when there are more names than columns."""
    names = [column.name for column in planned]
    if len(given) > len(names):
        raise SqlError(SYNTAX_ERROR, too_many)
    names[: len(given)] = given
    check_column_names(names)
    if not names:
        raise SqlError(FEATURE_NOT_SUPPORTED, "a view must have a column")
    for label, column in zip(names, planned, strict=True):
        if column.type.info.category == "P":
            raise SqlError(
                INVALID_TABLE_DEFINITION,
                f'column "{label}" has pseudo-type {column.type.info.sql_name}',
            )
    return RelationDesc(
        tuple(Column(n, c.type, c.nullable) for n, c in zip(names, planned, strict=True))
    )
