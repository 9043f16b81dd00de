"""Normalised definitions of materialized views and indexes, and changes to them.

As `sql.definition_text` has it: names in full, stars written out, comments left out. The cluster is
always named, an index's key always written out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sql import syntax as ast
from sql.definition_text import replaced
from sql.identifiers import quote_identifier, quote_name, quote_string
from sql.lexer import tokenize
from sql.maintained_syntax import CreateIndex, CreateMaterializedView, Option
from sql.statement_context import Replacement
from sql.statement_parser import StatementParser
from sql.syntax_walk import nodes_of

RETAIN_HISTORY: Final = "retain history"
ASSERT_NOT_NULL: Final = "assert not null"


@dataclass(frozen=True, slots=True)
class MaintainedDefinition:
    """The parts of a definition. `body` is the query, or the expressions of an index's key."""

    name: ast.Name
    cluster: str
    options: tuple[Option, ...]
    body: tuple[str, ...]
    columns: tuple[str, ...] = ()
    on: ast.Name | None = None

    def sql(self) -> str:
        """The CREATE statement."""
        cluster = f"IN CLUSTER {quote_identifier(self.cluster)}"
        options = _options(self.options)
        if self.on is not None:
            key = ", ".join(self.body)
            head = f"CREATE INDEX {quote_name(*self.name)} {cluster}"
            return f"{head} ON {quote_name(*self.on)} USING arranged ({key}){options}"
        columns = f" ({', '.join(map(quote_identifier, self.columns))})" if self.columns else ""
        head = f"CREATE MATERIALIZED VIEW {quote_name(*self.name)}{columns}"
        return f"{head} {cluster}{options} AS {self.body[0]}"


def definition_of(create_sql: str) -> MaintainedDefinition:
    """The parts of a stored definition."""
    statement = parsed_definition(create_sql)
    assert statement.cluster is not None
    if isinstance(statement, CreateIndex):
        assert statement.name is not None
        return MaintainedDefinition(
            statement.name,
            statement.cluster,
            statement.options,
            tuple(key.sql for key in statement.keys or ()),
            on=statement.relation,
        )
    return MaintainedDefinition(
        statement.name,
        statement.cluster,
        statement.options,
        (statement.query_sql,),
        statement.columns,
    )


def parsed_definition(create_sql: str) -> CreateIndex | CreateMaterializedView:
    """The statement that a stored definition is."""
    statement = StatementParser(create_sql, tokenize(create_sql)).statement()
    assert isinstance(statement, CreateIndex | CreateMaterializedView)
    return statement


def with_cluster(create_sql: str, cluster: str) -> str:
    """The definition of anything maintained with another name of its cluster."""
    tokens = tokenize(create_sql)
    words = [token.value if token.kind == "w" else "" for token in tokens]
    if "source" in words[:2]:
        place = next(at for at in range(len(tokens)) if words[at : at + 2] == ["in", "cluster"])
        name = tokens[place + 2]
        return create_sql[: name.start] + quote_identifier(cluster) + create_sql[name.end :]
    return replace(definition_of(create_sql), cluster=cluster).sql()


def retained_history(create_sql: str) -> str | None:
    """The interval of a table's RETAIN HISTORY."""
    statement = StatementParser(create_sql, tokenize(create_sql)).statement()
    assert isinstance(statement, ast.CreateTable)
    return None if statement.retain_history is None else statement.retain_history[0]


def with_retain_history(create_sql: str, interval: str | None) -> str:
    """The definition of a table or of what is maintained with another RETAIN HISTORY, None:
    without one."""
    statement = StatementParser(create_sql, tokenize(create_sql)).statement()
    if isinstance(statement, ast.CreateTable):
        if statement.retain_history is not None:
            create_sql = create_sql[: statement.retain_history[1]].rstrip()
        retained = [] if interval is None else [Option(RETAIN_HISTORY, interval, 0)]
        return create_sql + _options(retained)
    definition = definition_of(create_sql)
    options = [option for option in definition.options if option.name != RETAIN_HISTORY]
    if interval is not None:
        options.append(Option(RETAIN_HISTORY, interval, 0))
    return replace(definition, options=tuple(options)).sql()


def with_renamed_column(create_sql: str, column: str, new_name: str) -> str:
    """An index's definition after a column of what it is on got another name."""
    definition = definition_of(create_sql)
    body = tuple(renamed_in(part, column, new_name) for part in definition.body)
    return replace(definition, body=body).sql()


def renamed_in(expression_sql: str, column: str, new_name: str) -> str:
    """An expression over the columns of one relation, one of which got another name."""
    expression = StatementParser(expression_sql, tokenize(expression_sql)).expression()
    replacements = tuple(
        Replacement(node.pos, 1, quote_identifier(new_name))
        for node in nodes_of(expression)
        if isinstance(node, ast.ColumnName) and node.parts == (column,)
    )
    return replaced(expression_sql, 0, replacements)


def _options(options: Sequence[Option]) -> str:
    if not options:
        return ""
    return f" WITH ({', '.join(map(_option, options))})"


def _option(option: Option) -> str:
    assert option.value is not None
    words = option.name.upper()
    if option.name == ASSERT_NOT_NULL:
        return f"{words} {quote_identifier(option.value)}"
    if option.name == RETAIN_HISTORY:
        return f"{words} FOR {quote_string(option.value)}"
    return f"{words} {quote_string(option.value)}"
