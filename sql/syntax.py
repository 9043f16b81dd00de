"""The syntax tree: what the parser yields and the planner reads.

Nodes are immutable. `pos` is the 0-based character offset, in the whole text, at which PostgreSQL
would point for an error about the node. Names are folded as PostgreSQL folds them (lower case
unless quoted, cut to 63 bytes). Special syntax that PostgreSQL defines as a function call
(`extract`, `position`, `AT TIME ZONE` …) is a `FunctionCall` here too.
"""

from enum import StrEnum

import msgspec

Name = tuple[str, ...]


class SyntaxNode(msgspec.Struct, frozen=True, gc=False):
    """An immutable node of the tree."""


# Types


class TypeName(SyntaxNode, frozen=True, gc=False):
    """A type as written: `name` of one to three parts, modifiers, array dimensions."""

    name: Name
    modifiers: tuple[int, ...] = ()
    array_dimensions: int = 0
    pos: int = -1


# Expressions


class Expression(SyntaxNode, frozen=True, gc=False):
    """Any scalar expression."""


class ColumnName(Expression, frozen=True, gc=False):
    """A possibly qualified column (or, as PostgreSQL has it, whole-row) reference."""

    parts: Name
    pos: int


class Star(Expression, frozen=True, gc=False):
    """`*` or `qualifier.*` in a select list or as the argument of count."""

    qualifier: Name
    pos: int


class CompositeStar(Expression, frozen=True, gc=False):
    """`(expression).*`."""

    arg: Expression
    pos: int


class NumberLiteral(Expression, frozen=True, gc=False):
    """A numeric constant as written."""

    text: str
    pos: int


class StringLiteral(Expression, frozen=True, gc=False):
    """A string constant, its escapes resolved: of type unknown."""

    value: str
    pos: int


class BooleanLiteral(Expression, frozen=True, gc=False):
    value: bool
    pos: int


class NullLiteral(Expression, frozen=True, gc=False):
    pos: int


class ParameterReference(Expression, frozen=True, gc=False):
    """`$index`, from 1."""

    index: int
    pos: int


class DefaultMarker(Expression, frozen=True, gc=False):
    """DEFAULT in VALUES or SET."""

    pos: int


class Operator(Expression, frozen=True, gc=False):
    """A unary (`left` None) or binary operator."""

    name: str
    left: Expression | None
    right: Expression
    pos: int
    schema: str | None = None


class Conjunction(Expression, frozen=True, gc=False):
    """AND of two or more."""

    args: tuple[Expression, ...]
    pos: int


class Disjunction(Expression, frozen=True, gc=False):
    """OR of two or more."""

    args: tuple[Expression, ...]
    pos: int


class Negation(Expression, frozen=True, gc=False):
    """NOT."""

    arg: Expression
    pos: int


class IsTest(Expression, frozen=True, gc=False):
    """IS [NOT] NULL, TRUE, FALSE, UNKNOWN; `test` in lower case."""

    arg: Expression
    test: str
    negated: bool
    pos: int


class DistinctTest(Expression, frozen=True, gc=False):
    """IS [NOT] DISTINCT FROM."""

    left: Expression
    right: Expression
    negated: bool
    pos: int


class Between(Expression, frozen=True, gc=False):
    arg: Expression
    low: Expression
    high: Expression
    negated: bool
    symmetric: bool
    pos: int


class InList(Expression, frozen=True, gc=False):
    arg: Expression
    items: tuple[Expression, ...]
    negated: bool
    pos: int


class InQuery(Expression, frozen=True, gc=False):
    arg: Expression
    query: "Query"
    negated: bool
    pos: int


class PatternMatch(Expression, frozen=True, gc=False):
    """LIKE, ILIKE and SIMILAR TO; `operator` is PostgreSQL's (`~~`, `!~~*`, `~` …)."""

    operator: str
    arg: Expression
    pattern: Expression
    escape: Expression | None
    is_similar: bool
    pos: int


class Quantified(Expression, frozen=True, gc=False):
    """`left operator ANY | ALL (array or query)`."""

    left: Expression
    operator: str
    is_all: bool
    right: "Expression | Query"
    pos: int


class OrderItem(SyntaxNode, frozen=True, gc=False):
    expression: Expression
    descending: bool
    nulls_first: bool | None
    pos: int


class FrameBound(SyntaxNode, frozen=True, gc=False):
    """One end of a window frame: `distance` rows before or after the current one (None: 0), or
    without bound in that direction."""

    is_unbounded: bool
    is_following: bool
    distance: Expression | None
    pos: int


class WindowSpecification(SyntaxNode, frozen=True, gc=False):
    """OVER (…) or a named window; `frame` is (mode, start, end), mode in lower case."""

    name: str | None
    partition_by: tuple[Expression, ...]
    order_by: tuple[OrderItem, ...]
    frame: tuple[str, FrameBound, FrameBound] | None
    pos: int


class FunctionCall(Expression, frozen=True, gc=False):
    """A function, aggregate or window function call.

    `label` is the column name that the call gives when it differs from the function's last name.
    """

    name: Name
    args: tuple[Expression, ...]
    pos: int
    is_star: bool = False
    distinct: bool = False
    variadic: bool = False
    order_by: tuple[OrderItem, ...] = ()
    within_group: bool = False
    filter: Expression | None = None
    over: WindowSpecification | None = None
    argument_names: tuple[str | None, ...] = ()
    label: str | None = None


class SessionValue(Expression, frozen=True, gc=False):
    """CURRENT_DATE, CURRENT_USER and their kin, with an optional precision."""

    name: str
    precision: int | None
    pos: int


class CaseExpression(Expression, frozen=True, gc=False):
    arg: Expression | None
    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression | None
    pos: int


class CoalesceExpression(Expression, frozen=True, gc=False):
    args: tuple[Expression, ...]
    pos: int


class NullIf(Expression, frozen=True, gc=False):
    left: Expression
    right: Expression
    pos: int


class MinMax(Expression, frozen=True, gc=False):
    """GREATEST or LEAST."""

    is_greatest: bool
    args: tuple[Expression, ...]
    pos: int


class CastExpression(Expression, frozen=True, gc=False):
    arg: Expression
    type: TypeName
    pos: int


class CollateExpression(Expression, frozen=True, gc=False):
    arg: Expression
    collation: Name
    pos: int


class ArrayExpression(Expression, frozen=True, gc=False):
    """ARRAY[…]; nested brackets are nested ArrayExpressions."""

    items: tuple[Expression, ...]
    pos: int


class RowExpression(Expression, frozen=True, gc=False):
    items: tuple[Expression, ...]
    is_explicit: bool
    pos: int


class Subscript(Expression, frozen=True, gc=False):
    """`arg[index]` or, with `is_slice`, `arg[lower:upper]`."""

    arg: Expression
    lower: Expression | None
    upper: Expression | None
    is_slice: bool
    pos: int


class FieldSelection(Expression, frozen=True, gc=False):
    arg: Expression
    field: str
    pos: int


class ScalarSubquery(Expression, frozen=True, gc=False):
    query: "Query"
    pos: int


class ExistsSubquery(Expression, frozen=True, gc=False):
    query: "Query"
    pos: int


class ArraySubquery(Expression, frozen=True, gc=False):
    query: "Query"
    pos: int


class GroupingCall(Expression, frozen=True, gc=False):
    args: tuple[Expression, ...]
    pos: int


# Queries


class Alias(SyntaxNode, frozen=True, gc=False):
    """An alias of a FROM item; `column_types` only for record-returning functions."""

    name: str
    columns: tuple[str, ...] = ()
    column_types: tuple[TypeName, ...] = ()


class FromItem(SyntaxNode, frozen=True, gc=False):
    """Anything in FROM."""


class TableReference(FromItem, frozen=True, gc=False):
    name: Name
    alias: Alias | None
    pos: int


class SubqueryReference(FromItem, frozen=True, gc=False):
    query: "Query"
    alias: Alias | None
    lateral: bool
    pos: int


class FunctionReference(FromItem, frozen=True, gc=False):
    """A function (or ROWS FROM several) in FROM."""

    calls: tuple[Expression, ...]
    ordinality: bool
    alias: Alias | None
    lateral: bool
    pos: int
    is_rows_from: bool = False


class JoinType(StrEnum):
    CROSS = "cross"
    INNER = "inner"
    LEFT = "left"
    RIGHT = "right"
    FULL = "full"


class JoinReference(FromItem, frozen=True, gc=False):
    kind: JoinType
    left: FromItem
    right: FromItem
    on: Expression | None
    using: tuple[str, ...] | None
    natural: bool
    pos: int
    using_alias: str | None = None
    alias: Alias | None = None


class SelectItem(SyntaxNode, frozen=True, gc=False):
    expression: Expression
    label: str | None
    pos: int


class GroupingElement(SyntaxNode, frozen=True, gc=False):
    """One element of GROUP BY: `kind` is simple, rollup, cube or sets."""

    kind: str
    expressions: tuple[Expression, ...]
    sets: tuple["GroupingElement", ...]
    pos: int


class CommonTable(SyntaxNode, frozen=True, gc=False):
    name: str
    columns: tuple[str, ...]
    statement: "Query | Insert | Update | Delete"
    pos: int


class With(SyntaxNode, frozen=True, gc=False):
    recursive: bool
    tables: tuple[CommonTable, ...]
    pos: int


class Binding(SyntaxNode, frozen=True, gc=False):
    """One table of WITH MUTUALLY RECURSIVE."""

    name: str
    columns: tuple[tuple[str, TypeName], ...]
    query: "Query"
    pos: int


class MutualRecursion(SyntaxNode, frozen=True, gc=False):
    """WITH MUTUALLY RECURSIVE; `limit` and whether to return what there is when it is reached."""

    bindings: tuple[Binding, ...]
    limit: int | None
    returns_at_limit: bool
    pos: int


class QueryBody(SyntaxNode, frozen=True, gc=False):
    """SELECT, VALUES or a set operation."""


class Select(QueryBody, frozen=True, gc=False):
    items: tuple[SelectItem, ...]
    from_: tuple[FromItem, ...]
    where: Expression | None
    group_by: tuple[GroupingElement, ...]
    group_distinct: bool
    having: Expression | None
    windows: tuple[tuple[str, WindowSpecification], ...]
    distinct: bool
    distinct_on: tuple[Expression, ...]
    pos: int
    into: Name | None = None


class Values(QueryBody, frozen=True, gc=False):
    rows: tuple[tuple[Expression, ...], ...]
    pos: int


class SetOperation(QueryBody, frozen=True, gc=False):
    """UNION, INTERSECT, EXCEPT; the sides are queries (their own ORDER BY only in parentheses)."""

    operator: str
    all: bool
    left: "Query"
    right: "Query"
    pos: int


class NestedQuery(QueryBody, frozen=True, gc=False):
    """A query in parentheses that has clauses of its own, under further clauses."""

    query: "Query"
    pos: int


class Query(SyntaxNode, frozen=True, gc=False):
    """A whole query expression."""

    body: QueryBody
    pos: int
    with_: With | MutualRecursion | None = None
    order_by: tuple[OrderItem, ...] = ()
    limit: Expression | None = None
    offset: Expression | None = None
    with_ties: bool = False
    locking: bool = False


# Statements


class Statement(SyntaxNode, frozen=True, gc=False):
    """Any statement."""


class QueryStatement(Statement, frozen=True, gc=False):
    """SELECT, VALUES or TABLE, at a time (AS OF) if one is asked for."""

    query: Query
    as_of: Expression | None = None
    as_of_at_least: bool = False


class Assignment(SyntaxNode, frozen=True, gc=False):
    """`column = value`; for `(a, b) = …` several columns and a row or query as value."""

    columns: tuple[str, ...]
    value: Expression
    is_multiple: bool
    pos: int


class Insert(Statement, frozen=True, gc=False):
    """`query` None is DEFAULT VALUES."""

    table: Name
    alias: str | None
    columns: tuple[tuple[str, int], ...]
    query: Query | None
    returning: tuple[SelectItem, ...]
    with_: With | None
    has_conflict_clause: bool
    pos: int


class Update(Statement, frozen=True, gc=False):
    table: Name
    alias: str | None
    assignments: tuple[Assignment, ...]
    from_: tuple[FromItem, ...]
    where: Expression | None
    returning: tuple[SelectItem, ...]
    with_: With | None
    pos: int


class Delete(Statement, frozen=True, gc=False):
    table: Name
    alias: str | None
    using: tuple[FromItem, ...]
    where: Expression | None
    returning: tuple[SelectItem, ...]
    with_: With | None
    pos: int


class Truncate(Statement, frozen=True, gc=False):
    tables: tuple[tuple[Name, int], ...]


class Subscribe(Statement, frozen=True, gc=False):
    """SUBSCRIBE to a named relation or a query. `envelope` is diffs, upsert or debezium, the latter
    two with a `key`: column names with their places. `options` are names, values as written (None:
    no value) and places."""

    source: Name | Query
    source_pos: int
    envelope: str
    key: tuple[tuple[str, int], ...]
    order_by: tuple[OrderItem, ...]
    options: tuple[tuple[str, str | None, int], ...]
    as_of: Expression | None
    as_of_at_least: bool
    up_to: Expression | None
    pos: int


class Copy(Statement, frozen=True, gc=False):
    """COPY; `options` in lower case, values as written (None: no value; tuples: column lists)."""

    table: Name | None
    query: Query | Subscribe | None
    columns: tuple[tuple[str, int], ...]
    is_from: bool
    target: str  # "stdin", "stdout", "file", "program"
    options: tuple[tuple[str, str | tuple[str, ...] | None], ...]
    where: Expression | None
    pos: int


class ColumnDefinition(SyntaxNode, frozen=True, gc=False):
    name: str
    type: TypeName
    not_null: bool
    default: Expression | None
    default_sql: str | None
    constraints: tuple[str, ...]  # "primary key", "unique", "check", "references"
    pos: int


class CreateTable(Statement, frozen=True, gc=False):
    """`retain_history` is the interval of WITH (RETAIN HISTORY FOR …), as written, and where that
    WITH stands."""

    name: Name
    columns: tuple[ColumnDefinition, ...]
    constraints: tuple[str, ...]
    if_not_exists: bool
    temporary: bool
    as_query: Query | None
    column_names: tuple[str, ...]
    with_data: bool
    pos: int
    retain_history: tuple[str, int] | None = None


class CreateView(Statement, frozen=True, gc=False):
    name: Name
    columns: tuple[str, ...]
    query: Query
    query_sql: str
    query_pos: int
    temporary: bool
    or_replace: bool
    if_not_exists: bool
    recursive: bool
    pos: int


class CreateDatabase(Statement, frozen=True, gc=False):
    name: str
    if_not_exists: bool
    pos: int


class CreateSchema(Statement, frozen=True, gc=False):
    name: Name
    if_not_exists: bool
    pos: int


class CreateRole(Statement, frozen=True, gc=False):
    name: str
    options: tuple[tuple[str, bool | int | str | None], ...]
    pos: int


class Drop(Statement, frozen=True, gc=False):
    """`kind` in lower case: table, view, schema, database, role …"""

    kind: str
    names: tuple[tuple[Name, int], ...]
    if_exists: bool
    cascade: bool


class AlterRename(Statement, frozen=True, gc=False):
    """ALTER kind name RENAME TO new_name; `column` for RENAME COLUMN."""

    kind: str
    name: Name
    if_exists: bool
    column: str | None
    new_name: str
    pos: int


class Comment(Statement, frozen=True, gc=False):
    """COMMENT ON kind name IS text; `kind` is in lower case: table, materialized view, column …"""

    kind: str
    name: Name
    text: str | None


class AlterTolerated(Statement, frozen=True, gc=False):
    """ALTER … OWNER TO, SET (…) and the like: accepted when the object exists."""

    kind: str
    name: Name
    if_exists: bool
    action: str
    pos: int


class Transaction(Statement, frozen=True, gc=False):
    verb: str  # begin, commit, rollback, savepoint, release, rollback_to
    tag: str
    modes: tuple[tuple[str, str], ...]
    savepoint: str | None
    chain: bool


class SetTransaction(Statement, frozen=True, gc=False):
    is_session: bool
    modes: tuple[tuple[str, str], ...]


class SetVariable(Statement, frozen=True, gc=False):
    """SET, SET LOCAL, RESET (`values` None); `name` None is RESET ALL."""

    name: str | None
    values: tuple[str, ...] | None
    local: bool


class ShowVariable(Statement, frozen=True, gc=False):
    """SHOW name; None is SHOW ALL."""

    name: str | None


class ShowObjects(Statement, frozen=True, gc=False):
    """SHOW TABLES and its kin; `kind` is the plural in lower case ("tables", "columns" …).
    `qualifier` follows FROM or IN, `on` ON, `cluster` IN CLUSTER."""

    kind: str
    qualifier: Name | None
    like: str | None
    where: Expression | None
    full: bool
    pos: int
    on: Name | None = None
    cluster: str | None = None


class ShowCreate(Statement, frozen=True, gc=False):
    kind: str
    name: Name
    pos: int


class AlterSystem(Statement, frozen=True, gc=False):
    name: str | None
    values: tuple[str, ...] | None


class Prepare(Statement, frozen=True, gc=False):
    name: str
    types: tuple[TypeName, ...]
    statement_sql: str


class Execute(Statement, frozen=True, gc=False):
    name: str
    arguments: tuple[Expression, ...]
    pos: int


class Deallocate(Statement, frozen=True, gc=False):
    name: str | None


class Declare(Statement, frozen=True, gc=False):
    name: str
    query: Query | Subscribe
    statement_sql: str
    with_hold: bool
    scroll: bool
    binary: bool


class Fetch(Statement, frozen=True, gc=False):
    """`direction` is forward, backward, absolute, relative …; `count` None is ALL. `timeout` is an
    interval as written."""

    name: str
    direction: str
    count: int | None
    is_move: bool
    timeout: str | None = None
    timeout_pos: int = -1


class CloseCursor(Statement, frozen=True, gc=False):
    name: str | None


class Discard(Statement, frozen=True, gc=False):
    target: str


class Tolerated(Statement, frozen=True, gc=False):
    """Accepted without effect; `relations` must exist."""

    tag: str
    relations: tuple[tuple[Name, int], ...] = ()
    notice: str | None = None


class Unsupported(Statement, frozen=True, gc=False):
    """Recognised but not implemented: planning it answers 0A000."""

    what: str
