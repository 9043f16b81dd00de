"""Parsing of statements about the session: settings, transactions, cursors, prepared statements."""

from sql import syntax as ast
from sql.subscribe_parser import SubscribeParser

_SHOWN_OBJECTS = frozenset(
    """tables views schemas databases columns sources sinks indexes clusters roles types objects
    connections secrets subsources privileges""".split()
)
_FETCH_DIRECTIONS = frozenset(
    "next prior first last absolute relative forward backward all".split()
)


class SessionParser(SubscribeParser):
    """Everything that a session carries out by itself."""

    # Settings

    def refused(self, what: str) -> ast.Unsupported:
        """A statement that is read over and answered with 0A000."""
        self.skip_statement()
        return ast.Unsupported(what)

    def skip_statement(self) -> None:
        """Step to the end of the statement."""
        while self.token.kind != "e" and not self.at(";"):
            self.advance()

    def set_statement(self) -> ast.Statement:
        """SET, from the word on."""
        self.expect_word("set")
        if self.accept_words("session", "characteristics", "as", "transaction"):
            return ast.SetTransaction(True, self.transaction_modes())
        if self.at_words("session", "authorization"):
            return self.refused("SET SESSION AUTHORIZATION")
        if self.at_word("constraints"):
            return self.refused("SET CONSTRAINTS")
        local = False
        if self.at_word("local", "session") and self.peek().value not in ("=", "to", "."):
            local = self.advance().value == "local"
        if self.accept_word("transaction"):
            if self.at_word("snapshot"):
                return self.refused("SET TRANSACTION SNAPSHOT")
            return ast.SetTransaction(False, self.transaction_modes())
        if self.accept_words("time", "zone"):
            return ast.SetVariable("timezone", self._time_zone(), local)
        if self.at_word("role") and self.peek().value not in ("=", "to"):
            return self.refused("SET ROLE")
        if self.at_word("names") and self.peek().kind == "s":
            self.advance()
            return ast.SetVariable("client_encoding", (self.string(),), local)
        if self.at_word("schema", "database", "cluster", "catalog") and self.peek().kind == "s":
            word = self.advance().value
            variable = "search_path" if word == "schema" else word
            return ast.SetVariable(variable, (self.string(),), local)
        name = self._variable_name()
        if name == "schema":
            name = "search_path"
        if self.accept_operator("=") is None:
            self.expect_word("to")
        return ast.SetVariable(name, self._values(), local)

    def _variable_name(self) -> str:
        parts = [self.label()]
        while self.accept("."):
            parts.append(self.label())
        return ".".join(parts)

    def _time_zone(self) -> tuple[str, ...] | None:
        if self.accept_word("default", "local"):
            return None
        if self.accept_word("interval"):
            value = self.string()
            self.interval_fields(None)
            return (f"INTERVAL '{value}'",)
        return (self._value(),)

    def _values(self) -> tuple[str, ...] | None:
        if self.accept_word("default"):
            return None
        values = [self._value()]
        while self.accept(","):
            values.append(self._value())
        return tuple(values)

    def _value(self) -> str:
        sign = self.accept_operator("-", "+")
        token = self.token
        if sign is not None:
            if token.kind != "n":
                self.fail()
            return ("-" if sign == "-" else "") + self.advance().value
        if token.kind not in "wqsn":
            self.fail()
        return self.advance().value

    def reset_statement(self) -> ast.Statement:
        """RESET name | ALL."""
        self.expect_word("reset")
        if self.accept_word("all"):
            return ast.SetVariable(None, None, False)
        if self.accept_words("time", "zone"):
            return ast.SetVariable("timezone", None, False)
        if self.accept_words("session", "authorization"):
            return ast.SetVariable("session_authorization", None, False)
        if self.accept_words("transaction", "isolation", "level"):
            return ast.SetVariable("transaction_isolation", None, False)
        name = self._variable_name()
        return ast.SetVariable("search_path" if name == "schema" else name, None, False)

    # SHOW

    def show_statement(self) -> ast.Statement:
        """SHOW variable, SHOW objects, SHOW CREATE."""
        start = self.advance().start
        if self.accept_word("create"):
            return self._show_create(start)
        if self.at_word("all") and self.peek().kind in "ec":
            self.advance()
            return ast.ShowVariable(None)
        if self.accept_words("time", "zone"):
            return ast.ShowVariable("timezone")
        if self.accept_words("transaction", "isolation", "level"):
            return ast.ShowVariable("transaction_isolation")
        if self.accept_words("session", "authorization"):
            return ast.ShowVariable("session_authorization")
        if self.accept_word("names"):
            return ast.ShowVariable("client_encoding")
        full = self.at_word("full", "extended") and self.peek().kind == "w"
        if full:
            self.advance()
        materialized = self.at_words("materialized", "views")
        if materialized:
            self.advance()
        cluster_replicas = self.at_words("cluster", "replicas")
        if cluster_replicas:
            self.advance()
        if cluster_replicas or (self.token.kind == "w" and self.token.value in _SHOWN_OBJECTS):
            word = self.advance().value
            kind = f"materialized {word}" if materialized else word
            return self._show_objects(f"cluster {word}" if cluster_replicas else kind, full, start)
        name = self._variable_name()
        return ast.ShowVariable("search_path" if name == "schema" else name)

    def _show_create(self, start: int) -> ast.Statement:
        if self.accept_words("materialized", "view"):
            kind = "materialized view"
        else:
            kind = self.label()
        return ast.ShowCreate(kind, self.qualified_name(), start)

    def _show_objects(self, kind: str, full: bool, start: int) -> ast.Statement:
        qualifier, on, cluster = None, None, None
        while self.at_word("from", "in", "on"):
            if self.accept_words("in", "cluster"):
                cluster = self.name()
            elif self.accept_word("on"):
                on = self.qualified_name()
            elif qualifier is None:
                self.advance()
                qualifier = self.qualified_name()
            else:
                self.fail()
        like: str | None = None
        where: ast.Expression | None = None
        if self.accept_word("like"):
            like = self.string()
        elif self.accept_word("where"):
            where = self.expression()
        return ast.ShowObjects(kind, qualifier, like, where, full, start, on, cluster)

    # Transactions

    def transaction_modes(self) -> tuple[tuple[str, str], ...]:
        """`ISOLATION LEVEL …`, `READ ONLY`, `[NOT] DEFERRABLE`, with or without commas."""
        modes: list[tuple[str, str]] = []
        while True:
            if self.accept_words("isolation", "level"):
                modes.append(("isolation", self._isolation_level()))
            elif self.accept_word("read"):
                modes.append(("read", self.expect_word("only", "write")))
            elif self.accept_words("not", "deferrable"):
                modes.append(("deferrable", "off"))
            elif self.accept_word("deferrable"):
                modes.append(("deferrable", "on"))
            else:
                if modes and self.at(","):
                    self.fail()
                return tuple(modes)
            if self.at(","):
                self.advance()
                if not self.at_word("isolation", "read", "not", "deferrable"):
                    self.fail()

    def _isolation_level(self) -> str:
        if self.accept_word("serializable"):
            return "serializable"
        if self.accept_words("repeatable", "read"):
            return "repeatable read"
        if self.accept_words("read", "committed"):
            return "read committed"
        if self.accept_words("read", "uncommitted"):
            return "read uncommitted"
        if self.accept_words("strong", "session", "serializable"):
            return "strong session serializable"
        self.expect_words("strict", "serializable")
        return "strict serializable"

    def transaction_statement(self) -> ast.Statement:
        """BEGIN, START, COMMIT, END, ROLLBACK, ABORT, SAVEPOINT, RELEASE."""
        word = self.advance().value
        match word:
            case "begin":
                self.accept_word("work", "transaction")
                return ast.Transaction("begin", "BEGIN", self.transaction_modes(), None, False)
            case "start":
                self.expect_word("transaction")
                modes = self.transaction_modes()
                return ast.Transaction("begin", "START TRANSACTION", modes, None, False)
            case "savepoint":
                return ast.Transaction("savepoint", "SAVEPOINT", (), self.name(), False)
            case "release":
                self.accept_word("savepoint")
                return ast.Transaction("release", "RELEASE", (), self.name(), False)
            case "commit" | "end":
                if self.at_word("prepared"):
                    return self.refused("COMMIT PREPARED")
                self.accept_word("work", "transaction")
                return ast.Transaction("commit", "COMMIT", (), None, self._chain_clause())
        if self.at_word("prepared"):
            return self.refused("ROLLBACK PREPARED")
        self.accept_word("work", "transaction")
        if word == "rollback" and self.accept_word("to"):
            self.accept_word("savepoint")
            return ast.Transaction("rollback_to", "ROLLBACK", (), self.name(), False)
        return ast.Transaction("rollback", "ROLLBACK", (), None, self._chain_clause())

    def _chain_clause(self) -> bool:
        if not self.accept_word("and"):
            return False
        negated = self.accept_word("no") is not None
        self.expect_word("chain")
        return not negated

    # Prepared statements

    def execute_statement(self) -> ast.Statement:
        """EXECUTE name [(arguments)]."""
        start = self.advance().start
        name = self.name()
        arguments: tuple[ast.Expression, ...] = ()
        if self.accept("("):
            if not self.at(")"):
                arguments = self.expressions()
            self.expect(")")
        return ast.Execute(name, arguments, start)

    def deallocate_statement(self) -> ast.Statement:
        """DEALLOCATE [PREPARE] name | ALL."""
        self.advance()
        if self.at_word("prepare") and self.peek().kind in "wq":
            self.advance()
        if self.accept_word("all"):
            return ast.Deallocate(None)
        return ast.Deallocate(self.name())

    def discard_statement(self) -> ast.Statement:
        """DISCARD ALL | PLANS | SEQUENCES | TEMP."""
        self.advance()
        target = self.expect_word("all", "plans", "sequences", "temp", "temporary")
        return ast.Discard("TEMP" if target == "temporary" else target.upper())

    # Cursors

    def declare_statement(self) -> ast.Statement:
        """DECLARE name [BINARY] [[NO] SCROLL] CURSOR [WITH HOLD] FOR query."""
        self.advance()
        name = self.name()
        binary = scroll = False
        while True:
            if self.accept_word("binary"):
                binary = True
            elif self.accept_words("no", "scroll"):
                scroll = False
            elif self.accept_word("scroll"):
                scroll = True
            elif not self.accept_word("insensitive", "asensitive"):
                break
        self.expect_word("cursor")
        with_hold = False
        if self.accept_word("with", "without"):
            with_hold = self.peek(-1).value == "with"
            self.expect_word("hold")
        self.expect_word("for")
        start = self.token.start
        query: ast.Query | ast.Subscribe
        query = self.subscribe_statement() if self.at_word("subscribe") else self.query()
        return ast.Declare(name, query, self.slice_from(start), with_hold, scroll, binary)

    def fetch_statement(self) -> ast.Statement:
        """FETCH and MOVE."""
        is_move = self.advance().value == "move"
        direction, count = self._fetch_direction()
        self.accept_word("from", "in")
        name = self.name()
        timeout, at = None, self.token.start
        if self.accept_word("with"):
            timeout, at = self._fetch_timeout()
        return ast.Fetch(name, direction, count, is_move, timeout, at)

    def _fetch_timeout(self) -> tuple[str, int]:
        """`(timeout [=] interval)`, and where the interval stands."""
        self.expect("(")
        self.expect_word("timeout")
        self.accept_operator("=")
        at = self.token.start
        if self.at_word("interval"):
            self.advance()
        timeout = self.advance().value if self.token.kind == "n" else self.string()
        self.expect(")")
        return timeout, at

    def _fetch_direction(self) -> tuple[str, int | None]:
        if self.token.kind == "n" or self.at_operator("-", "+"):
            return self._signed_count("forward")
        following = self.peek()
        is_direction = self.token.kind == "w" and self.token.value in _FETCH_DIRECTIONS
        if not is_direction or following.kind == "e" or following.value == ";":
            return "forward", 1
        match self.advance().value:
            case "next":
                return "forward", 1
            case "prior":
                return "backward", 1
            case "all":
                return "forward", None
            case "first" | "last" as word:
                return word, 1
            case "absolute" | "relative" as word:
                return word, self._signed_count(word)[1]
            case word:
                if self.accept_word("all"):
                    return word, None
                if self.token.kind == "n" or self.at_operator("-", "+"):
                    return self._signed_count(word)
                return word, 1

    def _signed_count(self, direction: str) -> tuple[str, int]:
        sign = self.accept_operator("-", "+")
        count = self.integer()
        if sign == "-":
            if direction == "forward":
                return "backward", count
            if direction == "backward":
                return "forward", count
            return direction, -count
        return direction, count

    def close_statement(self) -> ast.Statement:
        """CLOSE name | ALL."""
        self.advance()
        if self.accept_word("all"):
            return ast.CloseCursor(None)
        return ast.CloseCursor(self.name())
