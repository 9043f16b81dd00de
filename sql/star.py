"""`*` and `t.*`: the columns that they mean, and how a stored definition spells them out."""

from collections import Counter
from collections.abc import Sequence

from core.errors import SYNTAX_ERROR, SqlError
from sql import syntax as ast
from sql.identifiers import quote_name
from sql.scope import Scope, ScopeColumn, missing_table
from sql.statement_context import Replacement, StatementContext


def star_columns(node: ast.Star, scope: Scope) -> Sequence[ScopeColumn]:
    """The columns that `*` or `t.*` stands for. Raises SqlError 42601 or 42P01."""
    if not node.qualifier:
        if not scope.tables:
            raise SqlError(
                SYNTAX_ERROR,
                "SELECT * with no tables specified is not valid",
                position=node.pos + 1,
            )
        columns = scope.columns
    else:
        entry = scope.table(node.qualifier, node.pos)
        if entry is None:
            raise missing_table(node.qualifier, node.pos)
        columns = entry.columns
    if scope.note is not None:
        for column in columns:
            scope.note(column.scalar, column.name, node.pos)
    return columns


def spell_out(node: ast.Star, scope: Scope, context: StatementContext) -> None:
    """Note the names of the columns that the star means now, for a definition that is kept."""
    names = _qualified(node, scope) if node.qualifier else _unqualified(scope)
    if len(set(names)) < len(names):
        return  # columns of one name in one table: only the star can name them
    text = ", ".join(quote_name(*name) for name in names)
    context.replacements.append(Replacement(node.pos, 2 * len(node.qualifier) + 1, text))


def _qualified(node: ast.Star, scope: Scope) -> list[tuple[str, ...]]:
    entry = scope.table(node.qualifier, node.pos)
    assert entry is not None
    return [(entry.alias, column.name) for column in entry.columns]


def _unqualified(scope: Scope) -> list[tuple[str, ...]]:
    """Columns by their own names, with the alias of their table where several have the name."""
    counts = Counter(column.name for column in scope.columns)
    names: list[tuple[str, ...]] = []
    for column in scope.columns:
        owners = [entry.alias for entry in scope.tables if column in entry.columns]
        is_plain = counts[column.name] == 1 or not owners
        names.append((column.name,) if is_plain else (owners[0], column.name))
    return names
