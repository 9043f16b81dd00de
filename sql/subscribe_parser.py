"""Parsing of SUBSCRIBE, alone or inside COPY and DECLARE."""

from sql import syntax as ast
from sql.query_parser import QueryParser

_OPTIONS = ("snapshot", "progress")


class SubscribeParser(QueryParser):
    """The clauses of SUBSCRIBE, in Materialize's grammar."""

    def subscribe_statement(self) -> ast.Subscribe:
        """SUBSCRIBE, from the word on.

        The options and the form of the output may stand before or after the times.
        """
        start = self.token.start
        self.expect_word("subscribe")
        self.accept_word("to")
        source_at = self.token.start
        source: ast.Name | ast.Query
        if self.accept("("):
            source = self.query()
            self.expect(")")
        else:
            source = self.qualified_name()
        envelope, key, order_by = self._output()
        options = self._subscribe_options()
        as_of, is_at_least = self.as_of_clause()
        up_to = self.expression() if self.accept_words("up", "to") else None
        if not (key or order_by):
            envelope, key, order_by = self._output()
        options += self._subscribe_options()
        return ast.Subscribe(
            source, source_at, envelope, key, order_by, options, as_of, is_at_least, up_to, start
        )

    def _output(
        self,
    ) -> tuple[str, tuple[tuple[str, int], ...], tuple[ast.OrderItem, ...]]:
        """The envelope, its key (names with their places), and the order within a timestamp."""
        if self.accept_word("envelope"):
            envelope = self.expect_word("upsert", "debezium")
            self.expect("(")
            self.expect_word("key")
            key = self._key_columns()
            self.expect(")")
            return envelope, key, ()
        if self.accept_words("within", "timestamp"):
            return "diffs", (), self.order_by_clause()
        return "diffs", (), ()

    def _key_columns(self) -> tuple[tuple[str, int], ...]:
        self.expect("(")
        columns = []
        while True:
            at = self.token.start
            columns.append((self.name(), at))
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(columns)

    def _subscribe_options(self) -> tuple[tuple[str, str | None, int], ...]:
        """`WITH (name [[=] value], …)`: names, values as written, places."""
        if not self.accept_word("with"):
            return ()
        self.expect("(")
        options: list[tuple[str, str | None, int]] = []
        while True:
            at = self.token.start
            name = self.expect_word(*_OPTIONS)
            value = None
            if self.accept_operator("=") is not None or not (self.at(",") or self.at(")")):
                if self.token.kind not in "wqsn":
                    self.fail()
                value = self.advance().value
            options.append((name, value, at))
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(options)
