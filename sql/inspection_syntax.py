"""Syntax of statements that look at how queries run and at what is maintained: EXPLAIN, CHECK."""

from sql.maintained_syntax import Option
from sql.syntax import Expression, Name, QueryStatement, Statement


class ExplainedItem(Statement, frozen=True, gc=False):
    """An item named in place of a query: `kind` is view, materialized view or index."""

    kind: str
    name: Name
    pos: int


class Explain(Statement, frozen=True, gc=False):
    """EXPLAIN of a plan. `stage` is raw, decorrelated, locally optimized, optimized or physical;
    `options` are PostgreSQL's and Materialize's; `is_analyzed`: the query is run and measured."""

    statement: Statement
    stage: str
    options: tuple[Option, ...]
    format: str
    is_analyzed: bool
    pos: int


class ExplainTimestamp(Statement, frozen=True, gc=False):
    """EXPLAIN TIMESTAMP: at which time a query would read."""

    query: QueryStatement
    format: str
    pos: int


class ExplainResources(Statement, frozen=True, gc=False):
    """EXPLAIN ANALYZE MEMORY, CPU of something maintained; `measures` are memory or cpu."""

    measures: tuple[str, ...]
    item: ExplainedItem
    pos: int


class Check(Statement, frozen=True, gc=False):
    """CHECK VIEW: compare what is maintained with its query. `kind` None: whatever has the name."""

    kind: str | None
    name: Name
    as_of: Expression | None
    as_of_at_least: bool
    pos: int
