"""Parsing of CREATE SOURCE."""

from sql import syntax as ast
from sql.maintained_parser import MaintainedParser
from sql.maintained_syntax import Option
from sql.source_syntax import CreateSource, CreateSubsource, CreateWebhook


class SourceParser(MaintainedParser):
    """CREATE SOURCE and CREATE SUBSOURCE."""

    def create_source(self) -> ast.Statement:
        """The rest of CREATE SOURCE."""
        exists = self.if_not_exists()
        name, start = self.positioned_name()
        cluster = self.in_cluster()
        self.expect_word("from")
        if self.accept_word("webhook"):
            return self._webhook(name, cluster, exists, start)
        if not self.at_words("load", "generator"):
            return self.refused(f"CREATE SOURCE … FROM {self.token.value.upper()}")
        self.expect_words("load", "generator")
        generator = self.label()
        options: tuple[Option, ...] = self.enclosed_options() if self.at("(") else ()
        tables = self._tables()
        progress = None
        if self.accept_words("expose", "progress"):
            self.expect_word("as")
            progress = self.qualified_name()[-1]
        return CreateSource(name, cluster, generator, options, tables, progress, exists, start)

    def create_subsource(self) -> ast.Statement:
        """The rest of CREATE SUBSOURCE."""
        name, start = self.positioned_name()
        self.expect_words("of", "source")
        source, source_pos = self.positioned_name()
        self.expect_word("reference")
        return CreateSubsource(name, source, source_pos, self.label(), start)

    def _tables(self) -> tuple[tuple[str, str], ...] | None:
        if not self.accept_word("for"):
            return None
        if self.accept_words("all", "tables"):
            return ()
        self.expect_word("tables")
        self.expect("(")
        tables: list[tuple[str, str]] = []
        while not tables or self.accept(","):
            reference = self.qualified_name()[-1]
            tables.append((reference, self.label() if self.accept_word("as") else reference))
        self.expect(")")
        return tuple(tables)

    def _webhook(
        self, name: ast.Name, cluster: str | None, exists: bool, start: int
    ) -> ast.Statement:
        self.expect_words("body", "format")
        body_format = self.expect_word("text", "json", "bytes").upper()
        refused = "BODY FORMAT JSON ARRAY" if self.accept_word("array") else None
        includes_headers = False
        while self.accept_word("include"):
            if self.expect_word("headers", "header") == "headers" and not self.at("("):
                includes_headers = True
            else:
                self._skip_clause()
                refused = refused or "INCLUDE HEADER"
        if self.accept_word("check"):
            self._skip_clause()
            refused = refused or "CHECK"
        return CreateWebhook(name, cluster, body_format, includes_headers, refused, exists, start)

    def _skip_clause(self) -> None:
        """What belongs to a clause that is refused anyway."""
        self.skip_statement()
