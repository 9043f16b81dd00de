"""Normalised CREATE statements: what the catalog stores and SHOW CREATE prints.

Names of relations are written in full and stars as the columns that they stood for, so that a
definition means the same on every search path and whatever columns a relation gets.
"""

from collections.abc import Sequence

from core.sql_types import RelationDesc
from core.type_names import format_type
from sql import syntax as ast
from sql.catalog_view import QualifiedName
from sql.identifiers import quote_identifier, quote_name, quote_string
from sql.lexer import tokenize
from sql.statement_context import Replacement


def create_table_sql(
    name: QualifiedName,
    desc: RelationDesc,
    defaults: Sequence[str | None],
    *,
    temporary: bool,
    retain_history: str | None = None,
) -> str:
    """The CREATE TABLE that makes a table of these columns, which retains an interval's history."""
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
    options = ""
    if retain_history is not None:
        options = f" WITH (RETAIN HISTORY FOR {quote_string(retain_history)})"
    return f"{word} {_full(name)} ({', '.join(columns)}){options}"


def create_view_sql(
    name: QualifiedName,
    statement: ast.CreateView,
    replacements: Sequence[Replacement],
    *,
    temporary: bool,
) -> str:
    """The CREATE VIEW with relation names in full and the columns that `*` meant."""
    word = "CREATE TEMPORARY VIEW" if temporary else "CREATE VIEW"
    columns = ""
    if statement.columns:
        columns = f" ({', '.join(map(quote_identifier, statement.columns))})"
    query = replaced(statement.query_sql, statement.query_pos, replacements)
    return f"{word} {_full(name)}{columns} AS {query}"


def replaced(text: str, offset: int, replacements: Sequence[Replacement]) -> str:
    """`text`, which starts at `offset` of the statement, with each replacement in place of what it
    stands for and comments left out."""
    wanted = {replacement.start - offset: replacement for replacement in replacements}
    pieces: list[str] = []
    end = 0
    tokens = tokenize(text)
    index = 0
    while tokens[index].kind != "e":
        token = tokens[index]
        if pieces and token.start > end:
            pieces.append(" ")
        replacement = wanted.get(token.start)
        if replacement is None:
            pieces.append(text[token.start : token.end])
            index += 1
        else:
            # TABLE t is SELECT * FROM t without the star.
            is_table_command = token.value == "table" and token.kind == "w"
            shown = replacement.text
            pieces.append(f"SELECT {shown} FROM" if is_table_command else shown)
            index += replacement.tokens
        end = tokens[index - 1].end
    return "".join(pieces)


def qualified_default(text: str) -> str:
    """The text of a default, comments left out."""
    return replaced(text, 0, ())


def _full(name: QualifiedName) -> str:
    return quote_name(name.database, name.schema, name.item)
