"""Parsing of CREATE, DROP, ALTER and of statements that are only tolerated."""

from typing import Final

from sql import syntax as ast
from sql.source_parser import SourceParser

_DROP_KINDS: Final = (
    "table view schema database role user group cluster index source sink type sequence function "
    "extension secret connection"
).split()
_WITH_OPTIONS: Final = frozenset({"materialized view", "index", "cluster"})
_ROLE_FLAGS: Final = frozenset(
    "superuser createdb createrole createcluster inherit login replication bypassrls".split()
)


class DefinitionParser(SourceParser):
    """Data definition."""

    # CREATE

    def create_statement(self) -> ast.Statement:
        """CREATE …, from the word on."""
        start = self.advance().start
        or_replace = self.accept_words("or", "replace")
        self.accept_word("local", "global")
        temporary = self.accept_word("temp", "temporary") is not None
        self.accept_word("unlogged")
        word = self.token.value
        match word:
            case "table":
                self.advance()
                return self._create_table(temporary)
            case "view":
                self.advance()
                return self._create_view(temporary, or_replace, False)
            case "recursive":
                self.advance()
                self.expect_word("view")
                return self._create_view(temporary, or_replace, True)
            case "materialized":
                self.advance()
                self.expect_word("view")
                return self.create_materialized_view(or_replace)
            case "source":
                self.advance()
                return self.create_source()
            case "subsource":
                self.advance()
                return self.create_subsource()
            case "cluster":
                self.advance()
                return self.create_cluster()
            case "database":
                self.advance()
                exists = self.if_not_exists()
                return self._ignoring_rest(ast.CreateDatabase(self.name(), exists, start))
            case "schema":
                self.advance()
                return self._create_schema(start)
            case "role" | "user" | "group":
                self.advance()
                return self._create_role(word, start)
            case "index" | "unique" | "default":
                return self.create_index()
        return self.unsupported("CREATE")

    def _ignoring_rest(self, statement: ast.Statement) -> ast.Statement:
        """Steps over options that make no difference here (`WITH ENCODING …`)."""
        if self.at_word("with", "owner", "encoding", "template", "lc_collate", "lc_ctype"):
            self.skip_statement()
        return statement

    def unsupported(self, verb: str) -> ast.Statement:
        """A statement that is PostgreSQL's or Materialize's but not ours."""
        if self.token.kind != "w":
            self.fail()
        return self.refused(f"{verb} {self.token.value.upper()}")

    def _create_table(self, temporary: bool) -> ast.Statement:
        exists = self.if_not_exists()
        name, start = self.positioned_name()
        columns: list[ast.ColumnDefinition] = []
        constraints: list[str] = []
        names: tuple[str, ...] = ()
        if self.at_words("partition", "of") or self.at_word("of", "from"):
            return self.unsupported("CREATE TABLE")
        if self.at("(") and self._at_name_list():
            names = self.name_list()
        elif self.accept("("):
            while not self.at(")"):
                if columns or constraints:
                    self.expect(",")
                if self.at_word("like"):
                    return self.unsupported("CREATE TABLE …")
                constraint = self._table_constraint()
                if constraint is None:
                    columns.append(self._column_definition())
                else:
                    constraints.append(constraint)
            self.expect(")")
            if self.at_word("partition", "inherits"):
                return self.unsupported("CREATE TABLE …")
        elif not self.at_word("as", "with", "on", "without", "using", "tablespace"):
            self.fail()
        retain_history = self._table_options()
        query: ast.Query | None = None
        with_data = True
        if self.accept_word("as"):
            query = self.query()
            if self.accept_word("with"):
                with_data = self.accept_word("no") is None
                self.expect_word("data")
        elif names:
            self.fail()
        return ast.CreateTable(
            name,
            tuple(columns),
            tuple(constraints),
            exists,
            temporary,
            query,
            names,
            with_data,
            start,
            retain_history,
        )

    def _at_name_list(self) -> bool:
        """Whether `(name, …)` without types is next, as in CREATE TABLE t (a, b) AS."""
        following = self.peek(2)
        return self.peek().kind in "wq" and following.kind == "c" and following.value in ",)"

    def _table_options(self) -> tuple[str, int] | None:
        """Options of storage, read over, and RETAIN HISTORY."""
        retain_history: tuple[str, int] | None = None
        while True:
            if self.at_word("with") and self.peek().value == "(":
                start = self.advance().start
                if self.peek().value == "retain":
                    (option,) = self.enclosed_options()
                    retain_history = option.value or "", start
                else:
                    self._skip_parentheses()
            elif self.accept_words("on", "commit"):
                self.expect_word("preserve", "delete", "drop")
                self.accept_word("rows")
            elif self.accept_word("tablespace", "using"):
                self.name()
            elif not self.accept_words("without", "oids"):
                return retain_history

    def _skip_parentheses(self) -> None:
        self.expect("(")
        depth = 1
        while depth:
            if self.token.kind == "e":
                self.fail()
            token = self.advance()
            if token.kind == "c" and token.value == "(":
                depth += 1
            elif token.kind == "c" and token.value == ")":
                depth -= 1

    def _table_constraint(self) -> str | None:
        if self.at_word("constraint"):
            self.advance()
            self.name()
        word = self.accept_word("primary", "unique", "check", "foreign", "exclude")
        if word is None:
            if self.at_word("like"):
                return self._like_clause()
            return None
        if word in ("primary", "foreign"):
            self.expect_word("key")
        if word == "check":
            self.expect("(")
            self.expression()
            self.expect(")")
        else:
            self.name_list()
        if word == "foreign":
            self._references()
        self._constraint_attributes()
        return "check" if word == "check" else f"{word} key" if word != "unique" else "unique"

    def _like_clause(self) -> str:
        self.fail()

    def _references(self) -> None:
        self.expect_word("references")
        self.qualified_name()
        if self.at("("):
            self.name_list()
        while self.accept_word("on"):
            self.expect_word("delete", "update")
            if self.accept_word("set"):
                self.expect_word("null", "default")
            elif self.accept_word("no"):
                self.expect_word("action")
            else:
                self.expect_word("cascade", "restrict")

    def _constraint_attributes(self) -> None:
        while True:
            if self.accept_words("not", "deferrable") or self.accept_word("deferrable"):
                continue
            if self.accept_word("initially"):
                self.expect_word("deferred", "immediate")
            else:
                return

    def _column_definition(self) -> ast.ColumnDefinition:
        start = self.token.start
        name = self.name()
        column_type = self.type_name()
        not_null = False
        default: ast.Expression | None = None
        default_sql: str | None = None
        constraints: list[str] = []
        while True:
            if self.accept_word("constraint"):
                self.name()
            elif self.accept_words("not", "null"):
                not_null = True
            elif self.accept_word("null"):
                pass
            elif self.accept_word("default"):
                at = self.token.start
                default = self.expression(4)
                default_sql = self.slice_from(at)
            elif self.accept_word("collate"):
                self.qualified_name()
            elif self.accept_words("primary", "key"):
                not_null = True
                constraints.append("primary key")
            elif self.accept_word("unique"):
                constraints.append("unique")
            elif self.accept_word("check"):
                self.expect("(")
                self.expression()
                self.expect(")")
                constraints.append("check")
            elif self.at_word("references"):
                self._references()
                constraints.append("foreign key")
            elif self.at_word("generated"):
                constraints.append("generated")
                self.advance()
                self.skip_column_rest()
            else:
                self._constraint_attributes()
                break
        return ast.ColumnDefinition(
            name, column_type, not_null, default, default_sql, tuple(constraints), start
        )

    def skip_column_rest(self) -> None:
        """Step to the comma or parenthesis that ends a column definition."""
        while not (self.at(",") or self.at(")") or self.token.kind == "e"):
            if self.at("("):
                self._skip_parentheses()
            else:
                self.advance()

    def _create_view(self, temporary: bool, or_replace: bool, recursive: bool) -> ast.Statement:
        exists = self.if_not_exists()
        name, start = self.positioned_name()
        columns = self.name_list() if self.at("(") else ()
        self.expect_word("as")
        at = self.token.start
        query = self.query()
        query_sql = self.slice_from(at)
        if self.accept_word("with"):
            self.accept_word("local", "cascaded")
            self.expect_words("check", "option")
        return ast.CreateView(
            name,
            columns,
            query,
            query_sql,
            at,
            temporary,
            or_replace,
            exists,
            recursive,
            start,
        )

    def _create_schema(self, start: int) -> ast.Statement:
        exists = self.if_not_exists()
        if self.accept_word("authorization"):
            return ast.CreateSchema((self.name(),), exists, start)
        name = self.qualified_name()
        if self.accept_word("authorization"):
            self.name()
        return ast.CreateSchema(name, exists, start)

    def _create_role(self, word: str, start: int) -> ast.Statement:
        self.if_not_exists()
        name = self.name()
        options: list[tuple[str, bool | int | str | None]] = []
        if word == "user":
            options.append(("login", True))
        self.accept_word("with")
        while self.token.kind == "w":
            option = self.advance().value
            if option in _ROLE_FLAGS:
                options.append((option, True))
            elif option.startswith("no") and option[2:] in _ROLE_FLAGS:
                options.append((option[2:], False))
            elif option in ("encrypted", "unencrypted"):
                continue
            elif option == "password":
                value = None if self.accept_word("null") else self.string()
                options.append(("password", value))
            elif option == "connection":
                self.expect_word("limit")
                negative = self.accept_operator("-") is not None
                limit = self.integer()
                options.append(("connection limit", -limit if negative else limit))
            elif option == "valid":
                self.expect_word("until")
                options.append(("valid until", self.string()))
            elif option == "in":
                self.expect_word("role", "group")
                self._names()
            elif option in ("role", "admin", "user"):
                self._names()
            else:
                self.fail(self.peek(-1))
        return ast.CreateRole(name, tuple(options), start)

    def _names(self) -> None:
        self.name()
        while self.accept(","):
            self.name()

    # DROP

    def drop_statement(self) -> ast.Statement:
        """DROP kind [IF EXISTS] names [CASCADE]."""
        self.advance()
        if self.at_words("owned", "by"):
            return self.unsupported("DROP")
        kind = ""
        if self.accept_words("materialized", "view"):
            kind = "materialized view"
        elif self.accept_words("cluster", "replica"):
            kind = "cluster replica"
        else:
            kind = self.expect_word(*_DROP_KINDS)
        if kind in ("user", "group"):
            kind = "role"
        self.accept_word("concurrently")
        exists = self.if_exists()
        names = [self.positioned_name()]
        while self.accept(","):
            names.append(self.positioned_name())
        if kind in ("function", "type") and self.at("("):
            self._skip_parentheses()
        cascade = self.accept_word("cascade", "restrict") == "cascade"
        if kind == "database" and self.accept_word("with"):
            self._skip_parentheses()
        return ast.Drop(kind, tuple(names), exists, cascade)

    # ALTER

    def alter_statement(self) -> ast.Statement:
        """ALTER …, from the word on."""
        start = self.advance().start
        if self.accept_word("system"):
            return self._alter_system()
        if self.at_words("default", "privileges"):
            self.skip_statement()
            return ast.Tolerated("ALTER DEFAULT PRIVILEGES")
        if self.accept_words("materialized", "view"):
            kind = "materialized view"
        else:
            kind = self.expect_word(
                "table", "view", "schema", "database", "role", "user", "group", "cluster", "index",
                "source", "sink", "sequence", "type", "connection", "secret", "function",
            )  # fmt: skip
        if kind in ("user", "group"):
            kind = "role"
        exists = self.if_exists()
        self.accept_word("only")
        name = self.qualified_name()
        if self.accept_word("rename"):
            if self.accept_word("to"):
                return ast.AlterRename(kind, name, exists, None, self.name(), start)
            self.accept_word("column")
            column = self.name()
            self.expect_word("to")
            return ast.AlterRename(kind, name, exists, column, self.name(), start)
        if kind in _WITH_OPTIONS or (
            kind in ("table", "source") and self.peek(2).value == "retain"
        ):
            options = self.alter_options(kind, name, exists, start)
            if options is not None:
                return options
        action = self.token.value
        at_second = self.peek().value
        self.skip_statement()
        return ast.AlterTolerated(kind, name, exists, f"{action} {at_second}", start)

    def _alter_system(self) -> ast.Statement:
        if self.accept_word("reset"):
            if self.accept_word("all"):
                return ast.AlterSystem(None, None)
            return ast.AlterSystem(self._variable_name(), None)
        self.expect_word("set")
        name = self._variable_name()
        if self.accept_operator("=") is None:
            self.expect_word("to")
        return ast.AlterSystem(name, self._values())

    # Tolerated statements

    def tolerated_statement(self) -> ast.Statement:
        """GRANT, REVOKE, COMMENT, VACUUM, ANALYZE, LOCK and others without effect."""
        word = self.advance().value
        match word:
            case "grant" | "revoke":
                tag = word.upper()
                if not self._mentions("on"):
                    tag += " ROLE"
                self.skip_statement()
                return ast.Tolerated(tag)
            case "lock":
                self.accept_word("table")
                self.accept_word("only")
                names = [self.positioned_name()]
                while self.accept(","):
                    names.append(self.positioned_name())
                self.skip_statement()
                return ast.Tolerated("LOCK TABLE", tuple(names))
            case "listen" | "unlisten" | "notify" | "checkpoint" | "cluster" | "reindex" | "load":
                self.skip_statement()
                return ast.Tolerated(word.upper())
            case "reassign":
                self.skip_statement()
                return ast.Tolerated("REASSIGN OWNED")
            case "comment":
                return self._comment()
        self.skip_statement()
        return ast.Tolerated("ANALYZE" if word == "analyse" else word.upper())

    def _comment(self) -> ast.Statement:
        self.expect_word("on")
        kind = self.accept_word(
            "table", "view", "column", "schema", "database", "role", "index", "cluster"
        )
        if self.accept_words("materialized", "view"):
            kind = "materialized view"
        elif kind == "cluster" and self.accept_word("replica"):
            kind = "cluster replica"
        if kind is None:  # a kind of object that does not exist here, or has no comments
            self.skip_statement()
            return ast.Tolerated("COMMENT")
        name = self.qualified_name()
        self.expect_word("is")
        if self.accept_word("null"):
            return ast.Comment(kind, name, None)
        token = self.token
        if token.kind != "s":
            self.fail()
        self.advance()
        return ast.Comment(kind, name, token.value)

    def _mentions(self, word: str) -> bool:
        ahead = 0
        while True:
            token = self.peek(ahead)
            if token.kind == "e" or (token.kind == "c" and token.value == ";"):
                return False
            if token.kind == "w" and token.value == word:
                return True
            ahead += 1
