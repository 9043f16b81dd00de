"""Parsing of queries: SELECT, VALUES, TABLE, set operations, FROM.

Whether a parenthesis opens a query or an expression is decided by looking at the brackets ahead,
never by trying and going back, so parsing time is linear in the text.
"""

from typing import Final

from core.errors import SYNTAX_ERROR, SqlError
from sql import syntax as ast
from sql.keywords import NEEDS_AS, NOT_COLUMN
from sql.lexer import Token
from sql.with_parser import WithParser

_QUERY_WORDS: Final = frozenset({"select", "values", "with", "table"})
_AFTER_QUERY: Final = frozenset(
    {"union", "intersect", "except", "order", "limit", "offset", "fetch", "for", "returning", "on"}
)
_SET_POWERS: Final = {"union": 1, "except": 1, "intersect": 2}
_JOIN_WORDS: Final = frozenset({"join", "inner", "left", "right", "full", "cross", "natural"})
_SESSION_FUNCTIONS: Final = frozenset(
    """current_date current_time current_timestamp localtime localtimestamp current_catalog
    current_role current_user session_user user current_schema""".split()
)


class QueryParser(WithParser):
    """Queries over a cursor."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        super().__init__(text, tokens)
        self._closing: dict[int, int] | None = None

    # Looking ahead

    def at_query(self, ahead: int = 0) -> bool:
        """Whether a query, in parentheses or not, begins `ahead` tokens from here."""
        return self._query_at(self.index + ahead)

    def _query_at(self, index: int) -> bool:
        opened = []
        while index < len(self.tokens):
            token = self.tokens[index]
            if token.kind != "c" or token.value != "(":
                break
            opened.append(index)
            index += 1
        else:
            return False
        if token.kind != "w" or token.value not in _QUERY_WORDS:
            return False
        return all(self._ends_query(self._close_of(start)) for start in opened)

    def _ends_query(self, close: int) -> bool:
        token = self.tokens[min(close + 1, len(self.tokens) - 1)]
        if token.kind == "w":
            return token.value in _AFTER_QUERY
        return token.kind == "e" or (token.kind == "c" and token.value in ");")

    def _close_of(self, start: int) -> int:
        if self._closing is None:
            self._closing = {}
            stack: list[int] = []
            for index, token in enumerate(self.tokens):
                if token.kind == "c" and token.value == "(":
                    stack.append(index)
                elif token.kind == "c" and token.value == ")" and stack:
                    self._closing[stack.pop()] = index
        return self._closing.get(start, len(self.tokens) - 1)

    # Queries

    def query_statement(self, query: ast.Query) -> ast.QueryStatement:
        """A whole statement, of which `query` has been read: only the time may follow."""
        return ast.QueryStatement(query, *self.as_of_clause())

    def as_of_clause(self) -> tuple[ast.Expression | None, bool]:
        """`AS OF [AT LEAST] time`, if it is next."""
        if not self.accept_words("as", "of"):
            return None, False
        is_at_least = self.accept_words("at", "least")
        return self.expression(), is_at_least

    def query(self) -> ast.Query:
        """A query expression with its WITH, ORDER BY, LIMIT, OFFSET and FETCH."""
        self.enter()
        start = self.token.start
        with_ = self.with_clause() if self.at_word("with") else None
        result = self.query_after_with(with_, start)
        self.depth -= 1
        return result

    def query_after_with(
        self, with_: ast.With | ast.MutualRecursion | None, start: int
    ) -> ast.Query:
        """The rest of a query whose WITH clause has been read."""
        body = self._body(0)
        order_by = self.order_by_clause() if self.at_word("order") else ()
        limit: ast.Expression | None = None
        offset: ast.Expression | None = None
        with_ties = locking = False
        while True:
            if self.at_word("limit") and limit is None:
                self.advance()
                limit = None if self.accept_word("all") else self.expression()
                if self.at(","):
                    raise SqlError(
                        SYNTAX_ERROR,
                        "LIMIT #,# syntax is not supported",
                        hint="Use separate LIMIT and OFFSET clauses.",
                        position=self.token.start + 1,
                    )
            elif self.at_word("offset") and offset is None:
                self.advance()
                offset = self.expression()
                self.accept_word("row", "rows")
            elif self.at_word("fetch") and limit is None and self._at_fetch_clause():
                limit, with_ties = self._fetch_clause()
            elif self.at_word("for"):
                self._locking_clause()
                locking = True
            else:
                break
        if type(body) is _Parenthesized:
            inner = body.query
            if not (with_ or order_by or limit or offset or locking):
                return inner
            body = _as_body(inner)
        return ast.Query(body, start, with_, order_by, limit, offset, with_ties, locking)

    def _at_fetch_clause(self) -> bool:
        following = self.peek()
        return following.kind == "w" and following.value in ("first", "next")

    def _fetch_clause(self) -> tuple[ast.Expression, bool]:
        self.advance()
        self.advance()
        count: ast.Expression
        if self.at_word("row", "rows"):
            count = ast.NumberLiteral("1", self.token.start)
        else:
            count = self.expression(7)
        self.expect_word("row", "rows")
        if self.accept_word("only"):
            return count, False
        self.expect_words("with", "ties")
        return count, True

    def _locking_clause(self) -> None:
        self.advance()
        if self.accept_word("no"):
            self.expect_word("key")
        else:
            self.accept_word("key")
        self.expect_word("update", "share")
        if self.accept_word("of"):
            self.qualified_name()
            while self.accept(","):
                self.qualified_name()
        if not self.accept_word("nowait"):
            self.accept_words("skip", "locked")

    def _body(self, power: int) -> ast.QueryBody:
        """A SELECT or VALUES, or set operations that bind tighter than `power`."""
        left = self._simple_body()
        while True:
            token = self.token
            found = _SET_POWERS.get(token.value, 0) if token.kind == "w" else 0
            if found <= power:
                return left
            self.advance()
            all_rows = self.accept_word("all", "distinct") == "all"
            right = self._body(found)
            left = ast.SetOperation(token.value, all_rows, _side(left), _side(right), token.start)

    def _simple_body(self) -> ast.QueryBody:
        token = self.token
        if self.at("("):
            self.enter()
            self.advance()
            query = self.query()
            self.expect(")")
            self.depth -= 1
            return _Parenthesized(query)
        match self.accept_word("select", "values", "table"):
            case "select":
                return self._select(token.start)
            case "values":
                return ast.Values(self._value_rows(), token.start)
            case "table":
                self.accept_word("only")
                at = self.token.start
                table = ast.TableReference(self.qualified_name(), None, at)
                item = ast.SelectItem(ast.Star((), token.start), None, at)
                return ast.Select(
                    (item,), (table,), None, (), False, None, (), False, (), token.start
                )
        raise self.unexpected()

    def _value_rows(self) -> tuple[tuple[ast.Expression, ...], ...]:
        rows = []
        while True:
            self.expect("(")
            rows.append(self.expressions())
            self.expect(")")
            if not self.accept(","):
                return tuple(rows)

    def _select(self, start: int) -> ast.Select:
        distinct = False
        distinct_on: tuple[ast.Expression, ...] = ()
        if self.accept_word("distinct"):
            distinct = True
            if self.accept_word("on"):
                self.expect("(")
                distinct_on = self.expressions()
                self.expect(")")
        else:
            self.accept_word("all")
        items = () if self._at_select_end() else self.select_items()
        into: ast.Name | None = None
        if self.accept_word("into"):
            self.accept_word("temporary", "temp", "unlogged")
            self.accept_word("table")
            into = self.qualified_name()
        from_ = self.from_list() if self.accept_word("from") else ()
        where = self.expression() if self.accept_word("where") else None
        group_by: tuple[ast.GroupingElement, ...] = ()
        group_distinct = False
        if self.accept_words("group", "by"):
            group_distinct = self.accept_word("distinct", "all") == "distinct"
            group_by = self._grouping_elements()
        having = self.expression() if self.accept_word("having") else None
        windows = self._window_clause() if self.accept_word("window") else ()
        return ast.Select(
            items,
            from_,
            where,
            group_by,
            group_distinct,
            having,
            windows,
            distinct,
            distinct_on,
            start,
            into,
        )

    def _at_select_end(self) -> bool:
        token = self.token
        if token.kind == "e" or (token.kind == "c" and token.value in ");"):
            return True
        return token.kind == "w" and token.value in (
            "from", "where", "group", "having", "union", "intersect", "except", "order", "limit",
            "offset", "fetch", "into", "window",
        )  # fmt: skip

    def select_items(self) -> tuple[ast.SelectItem, ...]:
        """A select or RETURNING list."""
        items = [self._select_item()]
        while self.accept(","):
            items.append(self._select_item())
        return tuple(items)

    def _select_item(self) -> ast.SelectItem:
        start = self.token.start
        if self.at_operator("*"):
            self.advance()
            return ast.SelectItem(ast.Star((), start), None, start)
        expression = self.expression()
        label: str | None = None
        if self._at_as_of():
            return ast.SelectItem(expression, None, start)
        if self.accept_word("as"):
            label = self.label()
        elif self.token.kind == "q" or (
            self.token.kind == "w" and self.token.value not in NEEDS_AS
        ):
            label = self.advance().value
        return ast.SelectItem(expression, label, start)

    def _window_clause(self) -> tuple[tuple[str, ast.WindowSpecification], ...]:
        windows = []
        while True:
            name = self.name()
            self.expect_word("as")
            windows.append((name, self.window_specification()))
            if not self.accept(","):
                return tuple(windows)

    def _grouping_elements(self) -> tuple[ast.GroupingElement, ...]:
        elements = [self._grouping_element()]
        while self.accept(","):
            elements.append(self._grouping_element())
        return tuple(elements)

    def _grouping_element(self) -> ast.GroupingElement:
        start = self.token.start
        if self.at_word("rollup", "cube") and self.peek().value == "(":
            kind = self.advance().value
            self.expect("(")
            inner = self._grouping_elements()
            self.expect(")")
            return ast.GroupingElement(kind, (), inner, start)
        if self.accept_words("grouping", "sets"):
            self.enter()
            self.expect("(")
            inner = self._grouping_elements()
            self.expect(")")
            self.depth -= 1
            return ast.GroupingElement("sets", (), inner, start)
        if self.at("(") and self.peek().value == ")":
            self.advance()
            self.advance()
            return ast.GroupingElement("simple", (), (), start)
        expression = self.expression()
        if isinstance(expression, ast.RowExpression) and not expression.is_explicit:
            return ast.GroupingElement("simple", expression.items, (), start)
        return ast.GroupingElement("simple", (expression,), (), start)

    # FROM

    def from_list(self) -> tuple[ast.FromItem, ...]:
        """The items of FROM or USING."""
        items = [self.from_item()]
        while self.accept(","):
            items.append(self.from_item())
        return tuple(items)

    def from_item(self) -> ast.FromItem:
        """One item with the joins that follow it."""
        self.enter()
        left = self._from_primary()
        chain = 0
        while self.token.kind == "w" and self.token.value in _JOIN_WORDS:
            chain += 1
            if chain > 100:
                self.enter()
            left = self._join(left)
        self.depth -= 1 + max(0, chain - 100)
        return left

    def _join(self, left: ast.FromItem) -> ast.FromItem:
        start = self.token.start
        natural = self.accept_word("natural") is not None
        word = self.accept_word("inner", "left", "right", "full", "cross")
        if word in ("left", "right", "full"):
            self.accept_word("outer")
        self.expect_word("join")
        kind = ast.JoinType(word or "inner")
        if kind is ast.JoinType.CROSS or natural:
            right = self._from_primary()
            return ast.JoinReference(kind, left, right, None, None, natural, start)
        right = self._joined_item()
        if self.accept_word("using"):
            columns = self.name_list()
            alias = self.name() if self.accept_word("as") else None
            return ast.JoinReference(kind, left, right, None, columns, False, start, alias)
        self.expect_word("on")
        return ast.JoinReference(kind, left, right, self.expression(), None, False, start)

    def _joined_item(self) -> ast.FromItem:
        """The right side of a join with a condition; `a join b join c on … on …` nests."""
        right = self._from_primary()
        while self.token.kind == "w" and self.token.value in _JOIN_WORDS:
            self.enter()
            right = self._join(right)
            self.depth -= 1
        return right

    def _from_primary(self) -> ast.FromItem:
        token = self.token
        lateral = self.accept_word("lateral") is not None
        if self.at("("):
            if self.at_query(1):
                self.advance()
                query = self.query()
                self.expect(")")
                return ast.SubqueryReference(query, self.alias(), lateral, token.start)
            self.enter()
            self.advance()
            inner = self.from_item()
            self.expect(")")
            self.depth -= 1
            alias = self.alias()
            if isinstance(inner, ast.JoinReference):
                return _with_alias(inner, alias) if alias else inner
            if alias is not None:
                self.fail()
            return inner
        if self.at_words("rows", "from") and self.peek(2).value == "(":
            return self._rows_from(lateral)
        if token.kind == "w" and self.token.value in _SESSION_FUNCTIONS:
            call = self.expression(15)
            return self._function_tail((call,), lateral, token.start)
        return self._named_item(lateral)

    def _named_item(self, lateral: bool) -> ast.FromItem:
        token = self.token
        mark = self.index
        special = token.kind == "w" and token.value in NOT_COLUMN
        if special and self.peek().value not in ("(", "."):
            self.fail()
        self.accept_word("only")
        parts = [self.label()]
        while self.accept("."):
            parts.append(self.label())
        if self.at("("):
            self.seek(mark)
            call = self.expression(15)
            return self._function_tail((call,), lateral, token.start)
        if lateral or special:
            self.fail()
        if self.at_operator("*"):
            self.advance()
        alias = self.alias()
        if self.at_word("tablesample"):
            raise SqlError("0A000", "TABLESAMPLE is not supported")
        return ast.TableReference(tuple(parts), alias, token.start)

    def _rows_from(self, lateral: bool) -> ast.FromItem:
        start = self.advance().start
        self.advance()
        self.expect("(")
        calls = self.expressions()
        self.expect(")")
        return self._function_tail(calls, lateral, start, is_rows_from=True)

    def _function_tail(
        self,
        calls: tuple[ast.Expression, ...],
        lateral: bool,
        start: int,
        *,
        is_rows_from: bool = False,
    ) -> ast.FromItem:
        ordinality = self.accept_words("with", "ordinality")
        alias = self.alias(definitions=True)
        return ast.FunctionReference(calls, ordinality, alias, lateral, start, is_rows_from)

    def alias(self, *, definitions: bool = False) -> ast.Alias | None:
        """`[AS] name [(columns)]`; with `definitions`, columns may have types."""
        if self._at_as_of():
            return None
        explicit = self.accept_word("as") is not None
        if definitions and explicit and self.at("("):
            names, types = self._column_definitions()
            return ast.Alias("", names, types)
        if not explicit and not self.at_name():
            return None
        name = self.name()
        if not self.at("("):
            return ast.Alias(name)
        if definitions and self.peek(2).value not in (",", ")"):
            names, types = self._column_definitions()
            return ast.Alias(name, names, types)
        return ast.Alias(name, self.name_list())

    def _at_as_of(self) -> bool:
        """Whether AS OF is next, and a time after it, so that OF is no alias."""
        if not self.at_words("as", "of"):
            return False
        token = self.peek(2)
        if token.kind != "w":
            return token.kind in "nsp"
        if token.value in ("at", "current_timestamp"):
            return True
        following = self.peek(3)
        return token.value not in NOT_COLUMN and (following.value == "(" or following.kind == "s")

    def _column_definitions(self) -> tuple[tuple[str, ...], tuple[ast.TypeName, ...]]:
        self.expect("(")
        names, types = [], []
        while True:
            names.append(self.name())
            types.append(self.type_name())
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(names), tuple(types)


class _Parenthesized(ast.QueryBody, frozen=True, gc=False):
    """A query in parentheses, met where a body is expected."""

    query: ast.Query


def _side(body: ast.QueryBody) -> ast.Query:
    if isinstance(body, _Parenthesized):
        return body.query
    return ast.Query(body, getattr(body, "pos", -1))


def _as_body(query: ast.Query) -> ast.QueryBody:
    """A body that yields the rows of `query`: itself when that has no clauses of its own."""
    plain = not (query.with_ or query.order_by or query.limit or query.offset or query.locking)
    if plain:
        return query.body
    return ast.NestedQuery(query, query.pos)


def _with_alias(join: ast.JoinReference, alias: ast.Alias) -> ast.JoinReference:
    return ast.JoinReference(
        join.kind,
        join.left,
        join.right,
        join.on,
        join.using,
        join.natural,
        join.pos,
        join.using_alias,
        alias,
    )
