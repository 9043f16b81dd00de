"""Parsing of EXPLAIN, in PostgreSQL's and Materialize's grammars, and of CHECK."""

from typing import Final

from core.errors import SYNTAX_ERROR, SqlError
from sql import syntax as ast
from sql.definition_parser import DefinitionParser
from sql.inspection_syntax import (
    Check,
    Explain,
    ExplainedItem,
    ExplainResources,
    ExplainTimestamp,
)
from sql.maintained_syntax import Option

_STAGES: Final = ("raw", "decorrelated", "locally", "optimized", "physical")
_MEASURES: Final = ("memory", "cpu")
_POSTGRESQL_OPTIONS: Final = frozenset(
    "analyze analyse verbose costs settings generic_plan buffers serialize wal timing summary "
    "memory format".split()
)


class InspectionParser(DefinitionParser):
    """Statements that look at plans and at what is maintained."""

    def statement(self) -> ast.Statement:
        """Any statement; see `sql.statement_parser`."""
        raise NotImplementedError

    # EXPLAIN

    def explain_statement(self) -> ast.Statement:
        """EXPLAIN, from the word on."""
        start = self.advance().start
        if self.at("(") and not self.at_query():
            return self._with_postgresql_options(start)
        if self.accept_word("analyze", "analyse"):
            if self.at_word(*_MEASURES):
                return self._resources(start)
            self.accept_word("verbose")
            return Explain(self._explained(), "optimized", (), "text", True, start)
        if self.accept_word("timestamp"):
            shown = self._format()
            self.accept_word("for")
            self.enter()
            query = self.query_statement(self.query())
            self.depth -= 1
            return ExplainTimestamp(query, shown, start)
        if self.at_word("filter", "broken", "create", "replan") and self.peek().value in (
            "pushdown",
            "sql",
        ):
            return self.refused(f"EXPLAIN {self.token.value.upper()}")
        return self._plan(start)

    def _with_postgresql_options(self, start: int) -> Explain:
        options = self._explain_options()
        for option in options:
            if option.name not in _POSTGRESQL_OPTIONS:
                raise SqlError(
                    SYNTAX_ERROR,
                    f'unrecognized EXPLAIN option "{option.name}"',
                    position=option.pos + 1,
                )
        shown = next((o.value for o in reversed(options) if o.name == "format"), None)
        analyze = [o.value for o in options if o.name in ("analyze", "analyse")]
        is_analyzed = bool(analyze) and analyze[-1] not in ("false", "off", "0")
        return Explain(
            self._explained(), "optimized", options, (shown or "text").lower(), is_analyzed, start
        )

    def _plan(self, start: int) -> Explain:
        """`[stage] PLAN [WITH (…)] [AS format] [FOR] statement`, every part optional."""
        stage = self.accept_word(*_STAGES) or "optimized"
        if stage == "locally":
            self.expect_word("optimized")
            stage = "locally optimized"
        if not self.accept_word("plan"):
            self.accept_word("verbose")
        options: tuple[Option, ...] = ()
        if self.at_word("with") and self.peek().value == "(":
            self.advance()
            options = self._explain_options()
        shown = self._format()
        self.accept_word("for")
        return Explain(self._explained(), stage, options, shown, False, start)

    def _resources(self, start: int) -> ast.Statement:
        measures = [self.expect_word(*_MEASURES)]
        while self.accept(","):
            measures.append(self.expect_word(*_MEASURES))
        if self.at_word("with"):
            return self.refused("EXPLAIN ANALYZE … WITH SKEW")
        self.expect_word("for")
        item = self._item()
        if item is None:
            self.fail()
        return ExplainResources(tuple(dict.fromkeys(measures)), item, start)

    def _explained(self) -> ast.Statement:
        item = self._item()
        if item is not None:
            return item
        if self.at_word("explain"):
            self.fail()
        self.enter()
        statement = self.statement()
        self.depth -= 1
        return statement

    def _item(self) -> ExplainedItem | None:
        kind = self._item_kind()
        if kind is None:
            return None
        start = self.token.start
        return ExplainedItem(kind, self.qualified_name(), start)

    def _item_kind(self) -> str | None:
        if self.accept_words("materialized", "view"):
            return "materialized view"
        return self.accept_word("view", "index")

    def _format(self) -> str:
        if not self.accept_word("as"):
            return "text"
        self.accept_word("verbose")
        return self.label()

    def _explain_options(self) -> tuple[Option, ...]:
        """`(name words [=] [value], …)`."""
        self.expect("(")
        options: list[Option] = []
        while True:
            start = self.token.start
            words = [self.label()]
            while self.token.kind in "wqn" and words[0] not in _POSTGRESQL_OPTIONS:
                words.append(self.advance().value)
            self.accept_operator("=")
            value = None
            if not (self.at(",") or self.at(")")):
                if self.token.kind not in "wqsn":
                    self.fail()
                value = self.advance().value
            options.append(Option(" ".join(words), value, start))
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(options)

    # CHECK

    def check_statement(self) -> Check:
        """`CHECK [VIEW | MATERIALIZED VIEW | INDEX] name [AS OF [AT LEAST] time]`."""
        start = self.advance().start
        kind = self._item_kind()
        if kind is None:
            self.fail()
        name = self.qualified_name()
        as_of, is_at_least = self.as_of_clause()
        return Check(None if kind == "view" else kind, name, as_of, is_at_least, start)
