"""Parsing of whole statements: the dispatch by first word, DML, COPY and PREPARE."""

from typing import Final

from core.errors import SYNTAX_ERROR, SqlError
from sql import syntax as ast
from sql.inspection_parser import InspectionParser

_TRANSACTION_WORDS: Final = frozenset(
    "begin start commit end rollback abort savepoint release".split()
)
_TOLERATED_WORDS: Final = frozenset(
    """grant revoke comment vacuum analyze analyse lock listen unlisten notify checkpoint reindex
    cluster reassign security load""".split()
)
_UNSUPPORTED_WORDS: Final = frozenset("tail call do import merge inspect validate".split())


class StatementParser(InspectionParser):
    """Statements over a cursor."""

    def statement(self) -> ast.Statement:
        """One statement, up to but without its semicolon."""
        token = self.token
        if self.at("("):
            return self.query_statement(self.query())
        if token.kind != "w":
            self.fail()
        word = token.value
        match word:
            case "select" | "values" | "table":
                return self.query_statement(self.query())
            case "with":
                return self._with_statement()
            case "insert" | "update" | "delete":
                return self._modification_statement()
            case "create":
                return self.create_statement()
            case "drop":
                return self.drop_statement()
            case "alter":
                return self.alter_statement()
            case "truncate":
                return self._truncate()
            case "copy":
                return self._copy()
            case "subscribe":
                return self.subscribe_statement()
            case "explain":
                return self.explain_statement()
            case "check":
                return self.check_statement()
            case "set":
                return self.set_statement()
            case "reset":
                return self.reset_statement()
            case "show":
                return self.show_statement()
            case "prepare":
                return self._prepare()
            case "execute":
                return self.execute_statement()
            case "deallocate":
                return self.deallocate_statement()
            case "declare":
                return self.declare_statement()
            case "fetch" | "move":
                return self.fetch_statement()
            case "close":
                return self.close_statement()
            case "discard":
                return self.discard_statement()
            case "refresh":
                return self.refresh_statement()
        if word in _TRANSACTION_WORDS:
            return self.transaction_statement()
        if word in _TOLERATED_WORDS:
            return self.tolerated_statement()
        if word in _UNSUPPORTED_WORDS:
            return self.refused(word.upper())
        raise self.unexpected()

    # Queries and modifications

    def _with_statement(self) -> ast.Statement:
        start = self.token.start
        with_ = self.with_clause()
        if not isinstance(with_, ast.MutualRecursion):
            modification = self.modification(with_)
            if modification is not None:
                return modification
        return self.query_statement(self.query_after_with(with_, start))

    def _modification_statement(self) -> ast.Statement:
        statement = self.modification(None)
        if statement is None:
            self.fail()
        return statement

    def modification(self, with_: ast.With | None) -> ast.Insert | ast.Update | ast.Delete | None:
        """INSERT, UPDATE or DELETE if one is next."""
        match self.token.value if self.token.kind == "w" else "":
            case "insert":
                return self._insert(with_)
            case "update":
                return self._update(with_)
            case "delete":
                return self._delete(with_)
        return None

    def _insert(self, with_: ast.With | None) -> ast.Insert:
        self.advance()
        self.expect_word("into")
        start = self.token.start
        table = self.qualified_name()
        alias = self.name() if self.accept_word("as") else None
        columns: tuple[tuple[str, int], ...] = ()
        if self.at("(") and not self.at_query():
            columns = self._insert_columns()
        if self.accept_word("overriding"):
            self.expect_word("user", "system")
            self.expect_word("value")
        query: ast.Query | None = None
        if not self.accept_words("default", "values"):
            query = self.query()
        conflict = False
        if self.at_words("on", "conflict"):
            conflict = True
            self._skip_conflict_clause()
        returning = self._returning()
        return ast.Insert(table, alias, columns, query, returning, with_, conflict, start)

    def _insert_columns(self) -> tuple[tuple[str, int], ...]:
        self.expect("(")
        columns = []
        while True:
            at = self.token.start
            columns.append((self.name(), at))
            if self.at(".") or self.at("["):
                raise SqlError("0A000", "assignment to part of a column is not supported")
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(columns)

    def _skip_conflict_clause(self) -> None:
        while self.token.kind != "e" and not self.at(";") and not self.at_word("returning"):
            self.advance()

    def _returning(self) -> tuple[ast.SelectItem, ...]:
        return self.select_items() if self.accept_word("returning") else ()

    def _target(self) -> tuple[ast.Name, str | None, int]:
        self.accept_word("only")
        start = self.token.start
        table = self.qualified_name()
        if self.at_operator("*"):
            self.advance()
        if self.accept_word("as"):
            return table, self.name(), start
        if self.at_name() and not self.at_word("set"):
            return table, self.name(), start
        return table, None, start

    def _update(self, with_: ast.With | None) -> ast.Update:
        self.advance()
        table, alias, start = self._target()
        self.expect_word("set")
        assignments = [self._assignment()]
        while self.accept(","):
            assignments.append(self._assignment())
        from_ = self.from_list() if self.accept_word("from") else ()
        where = self._where()
        returning = self._returning()
        return ast.Update(table, alias, tuple(assignments), from_, where, returning, with_, start)

    def _assignment(self) -> ast.Assignment:
        start = self.token.start
        if self.at("("):
            columns = self.name_list()
            if self.accept_operator("=") is None:
                self.fail()
            return ast.Assignment(columns, self.expression(), True, start)
        column = self.name()
        if self.at("[") or self.at("."):
            raise SqlError(
                "0A000", "assignment to part of a column is not supported", position=start + 1
            )
        if self.accept_operator("=") is None:
            self.fail()
        return ast.Assignment((column,), self.expression(), False, start)

    def _where(self) -> ast.Expression | None:
        if not self.accept_word("where"):
            return None
        if self.accept_words("current", "of"):
            raise SqlError("0A000", "WHERE CURRENT OF is not supported")
        return self.expression()

    def _delete(self, with_: ast.With | None) -> ast.Delete:
        self.advance()
        self.expect_word("from")
        table, alias, start = self._target()
        using = self.from_list() if self.accept_word("using") else ()
        where = self._where()
        return ast.Delete(table, alias, using, where, self._returning(), with_, start)

    def _truncate(self) -> ast.Statement:
        self.advance()
        self.accept_word("table")
        tables = []
        while True:
            self.accept_word("only")
            at = self.token.start
            tables.append((self.qualified_name(), at))
            if not self.accept(","):
                break
        if self.accept_word("restart", "continue"):
            self.expect_word("identity")
        self.accept_word("cascade", "restrict")
        return ast.Truncate(tuple(tables))

    # COPY

    def _copy(self) -> ast.Statement:
        start = self.advance().start
        table: ast.Name | None = None
        query: ast.Query | ast.Subscribe | None = None
        columns: tuple[tuple[str, int], ...] = ()
        if self.accept("("):
            if self.at_word("insert", "update", "delete"):
                raise SqlError("0A000", "COPY of a data-modifying statement is not supported")
            query = self.subscribe_statement() if self.at_word("subscribe") else self.query()
            self.expect(")")
        else:
            self.accept_word("binary")
            start = self.token.start
            table = self.qualified_name()
            if self.at("("):
                columns = self._insert_columns()
        direction = self.expect_word("from", "to") if table else self.expect_word("to")
        target = self._copy_target()
        if self.accept_words("using", "delimiters"):
            self.string()
        options = self._copy_options()
        where = self.expression() if self.accept_word("where") else None
        return ast.Copy(table, query, columns, direction == "from", target, options, where, start)

    def _copy_target(self) -> str:
        if self.accept_word("program"):
            self.string()
            return "program"
        if self.token.kind == "s":
            self.advance()
            return "file"
        return self.expect_word("stdin", "stdout")

    def _copy_options(self) -> tuple[tuple[str, str | tuple[str, ...] | None], ...]:
        options: list[tuple[str, str | tuple[str, ...] | None]] = []
        if self.accept_word("with") and not self.at("("):
            return self._old_copy_options()
        if not self.at("("):
            return self._old_copy_options()
        self.expect("(")
        while True:
            name = self.label()
            value: str | tuple[str, ...] | None = None
            if self.at("("):
                value = self.name_list()
            elif self.at_operator("*"):
                self.advance()
                value = "*"
            elif not (self.at(",") or self.at(")")):
                value = self._value()
            options.append((name, value))
            if not self.accept(","):
                break
        self.expect(")")
        return tuple(options)

    def _old_copy_options(self) -> tuple[tuple[str, str | tuple[str, ...] | None], ...]:
        """The options of before PostgreSQL 9.0: `CSV HEADER DELIMITER ','`."""
        options: list[tuple[str, str | tuple[str, ...] | None]] = []
        while True:
            word = self.accept_word(
                "binary", "csv", "header", "freeze", "oids", "delimiter", "null", "quote",
                "escape", "encoding", "force",
            )  # fmt: skip
            match word:
                case None:
                    return tuple(options)
                case "binary" | "csv":
                    options.append(("format", word))
                case "header" | "freeze" | "oids":
                    options.append((word, None))
                case "force":
                    options.append(self._old_force_option())
                case _:
                    self.accept_word("as")
                    options.append((word, self.string()))

    def _old_force_option(self) -> tuple[str, str | tuple[str, ...]]:
        if self.accept_word("quote"):
            name = "force_quote"
            if self.at_operator("*"):
                self.advance()
                return name, "*"
        elif self.accept_words("not", "null"):
            name = "force_not_null"
        else:
            self.expect_word("null")
            name = "force_null"
        columns = [self.name()]
        while self.accept(","):
            columns.append(self.name())
        return name, tuple(columns)

    # PREPARE

    def _prepare(self) -> ast.Statement:
        self.advance()
        if self.at_word("transaction"):
            return self.unsupported("PREPARE")
        name = self.name()
        types: list[ast.TypeName] = []
        if self.accept("("):
            types.append(self.type_name())
            while self.accept(","):
                types.append(self.type_name())
            self.expect(")")
        self.expect_word("as")
        start = self.token.start
        if not (
            self.at("(")
            or self.at_word("select", "values", "table", "with", "insert", "update", "delete")
        ):
            self.fail()
        outer = self.parameter_count
        self.enter()
        self.statement()
        self.depth -= 1
        self.parameter_count = outer
        return ast.Prepare(name, tuple(types), self.slice_from(start))

    def end_of_statement(self) -> None:
        """Check that the statement ends here."""
        if self.token.kind != "e" and not self.at(";"):
            if self.token.kind == "c" and self.token.value == ")":
                raise SqlError(
                    SYNTAX_ERROR, 'syntax error at or near ")"', position=self.token.start + 1
                )
            self.fail()
