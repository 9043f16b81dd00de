"""Normalised CREATE statements: what the catalog stores and SHOW CREATE prints.

Names of relations are written in full, so that a definition means the same on every search path.
"""

from collections.abc import Sequence

from core.sql_types import RelationDesc
from core.type_names import format_type
from sql import syntax as ast
from sql.catalog_view import QualifiedName
from sql.identifiers import quote_identifier, quote_name
from sql.lexer import tokenize

NamePlace = tuple[int, int, QualifiedName]
"""(offset in the text, number of parts written, what the name means)."""


def create_table_sql(
    name: QualifiedName,
    desc: RelationDesc,
    defaults: Sequence[str | None],
    *,
    temporary: bool,
) -> str:
    """The CREATE TABLE that makes a table of these columns."""
    columns = []
    for column, default in zip(desc.columns, defaults, strict=True):
        text = (
            f"{quote_identifier(column.name)} {format_type(column.type.oid, column.type.modifier)}"
        )
        if not column.nullable:
            text += " NOT NULL"
        if default is not None:
            text += f" DEFAULT {default}"
        columns.append(text)
    word = "CREATE TEMPORARY TABLE" if temporary else "CREATE TABLE"
    return f"{word} {_full(name)} ({', '.join(columns)})"


def create_view_sql(
    name: QualifiedName,
    statement: ast.CreateView,
    places: Sequence[NamePlace],
    *,
    temporary: bool,
) -> str:
    """The CREATE VIEW with relation names in full."""
    word = "CREATE TEMPORARY VIEW" if temporary else "CREATE VIEW"
    columns = ""
    if statement.columns:
        columns = f" ({', '.join(map(quote_identifier, statement.columns))})"
    query = qualify_names(statement.query_sql, statement.query_pos, places)
    return f"{word} {_full(name)}{columns} AS {query}"


def qualify_names(text: str, offset: int, places: Sequence[NamePlace]) -> str:
    """`text`, which starts at `offset` of the statement, with names at `places` written in full
    and comments left out."""
    wanted = {pos - offset: (count, name) for pos, count, name in places}
    pieces: list[str] = []
    end = 0
    tokens = tokenize(text)
    index = 0
    while tokens[index].kind != "e":
        token = tokens[index]
        if pieces and token.start > end:
            pieces.append(" ")
        place = wanted.get(token.start)
        if place is None:
            pieces.append(text[token.start : token.end])
            end = token.end
            index += 1
            continue
        count, name = place
        pieces.append(_full(name))
        index += 2 * count - 1
        end = tokens[index - 1].end
    return "".join(pieces)


def qualified_default(text: str) -> str:
    """The text of a default, comments left out."""
    return qualify_names(text, 0, ())


def _full(name: QualifiedName) -> str:
    return quote_name(name.database, name.schema, name.item)
