"""Parsing of WITH, RECURSIVE and MUTUALLY RECURSIVE included."""

from typing import TYPE_CHECKING, Final

from core.errors import FEATURE_NOT_SUPPORTED, SYNTAX_ERROR, SqlError
from sql import syntax as ast
from sql.window_parser import WindowParser

_ONE_LIMIT: Final = (
    "more than one recursion limit given. Please give at most one of RECURSION LIMIT, "
    "ERROR AT RECURSION LIMIT, RETURN AT RECURSION LIMIT."
)


class WithParser(WindowParser):
    """WITH clauses. Queries come with the query parser, data-modifying statements with that of
    statements."""

    if TYPE_CHECKING:

        def at_query(self, ahead: int = 0) -> bool: ...

        def query(self) -> ast.Query: ...

        def modification(
            self, with_: ast.With | None
        ) -> ast.Insert | ast.Update | ast.Delete | None: ...

    def with_clause(self) -> ast.With | ast.MutualRecursion:
        """`WITH [RECURSIVE] name [(columns)] AS (…), …`, or WITH MUTUALLY RECURSIVE."""
        start = self.advance().start
        if self.accept_words("mutually", "recursive"):
            return self._mutual_recursion(start)
        recursive = self.accept_word("recursive") is not None
        tables = [self._common_table()]
        while self.accept(","):
            tables.append(self._common_table())
        return ast.With(recursive, tuple(tables), start)

    def _common_table(self) -> ast.CommonTable:
        start = self.token.start
        name = self.name()
        columns = self.name_list() if self.at("(") else ()
        self.expect_word("as")
        if not self.accept_word("materialized"):
            self.accept_words("not", "materialized")
        self.expect("(")
        statement: ast.Query | ast.Insert | ast.Update | ast.Delete | None = None
        if not self.at_query():
            statement = self.modification(None)
        if statement is None:
            statement = self.query()
        self.expect(")")
        return ast.CommonTable(name, columns, statement, start)

    def _mutual_recursion(self, start: int) -> ast.MutualRecursion:
        """`[(limit)] name (column type, …) AS (query), …`."""
        limit, returns_at_limit = None, False
        if self.at("("):
            limit, returns_at_limit = self._recursion_limit()
        bindings = [self._binding()]
        while self.accept(","):
            bindings.append(self._binding())
        return ast.MutualRecursion(tuple(bindings), limit, returns_at_limit, start)

    def _recursion_limit(self) -> tuple[int, bool]:
        self.expect("(")
        action = self.accept_word("return", "error")
        if action is not None:
            self.expect_word("at")
        self.expect_words("recursion", "limit")
        self.accept_operator("=")
        limit = self.integer()
        if self.at(","):
            raise SqlError(SYNTAX_ERROR, _ONE_LIMIT, position=self.token.start + 1)
        self.expect(")")
        if limit == 0:
            raise SqlError(FEATURE_NOT_SUPPORTED, "RECURSION LIMIT must be greater than 0.")
        return limit, action == "return"

    def _binding(self) -> ast.Binding:
        start = self.token.start
        name = self.name()
        self.expect("(")
        columns = [(self.name(), self.type_name())]
        while self.accept(","):
            columns.append((self.name(), self.type_name()))
        self.expect(")")
        self.expect_word("as")
        self.expect("(")
        query = self.query()
        self.expect(")")
        return ast.Binding(name, tuple(columns), query, start)
