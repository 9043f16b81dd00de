"""Parsing of statements about what clusters maintain, and about clusters."""

from typing import Final

from core.errors import SYNTAX_ERROR, SqlError
from sql import syntax as ast
from sql.maintained_syntax import (
    AlterOptions,
    CreateCluster,
    CreateIndex,
    CreateMaterializedView,
    CreateReplica,
    IndexKey,
    Option,
    RefreshMaterializedView,
    ReplicaDefinition,
)
from sql.session_parser import SessionParser

_LONG_OPTIONS: Final = tuple(
    tuple(name.split())
    for name in (
        "retain history",
        "assert not null",
        "partition by",
        "replication factor",
        "availability zones",
        "introspection interval",
        "introspection debugging",
        "workload class",
        "tick interval",
        "scale factor",
        "max cardinality",
    )
)


class MaintainedParser(SessionParser):
    """CREATE and ALTER of materialized views, indexes, clusters and replicas."""

    def if_not_exists(self) -> bool:
        """IF NOT EXISTS, if it is next."""
        return self.accept_words("if", "not", "exists")

    def if_exists(self) -> bool:
        """IF EXISTS, if it is next."""
        return self.accept_words("if", "exists")

    def positioned_name(self) -> tuple[ast.Name, int]:
        """A qualified name and where it starts."""
        start = self.token.start
        return self.qualified_name(), start

    def create_materialized_view(self, or_replace: bool) -> ast.Statement:
        """The rest of CREATE [OR REPLACE] MATERIALIZED VIEW."""
        exists = self.if_not_exists()
        name, start = self.positioned_name()
        columns = self.name_list() if self.at("(") else ()
        cluster = self.in_cluster()
        options = self._with_options()
        self.expect_word("as")
        at = self.token.start
        query = self.query()
        query_sql = self.slice_from(at)
        with_data = True
        if self.accept_word("with"):
            with_data = self.accept_word("no") is None
            self.expect_word("data")
        return CreateMaterializedView(
            name,
            columns,
            cluster,
            options,
            query,
            query_sql,
            at,
            or_replace,
            exists,
            with_data,
            start,
        )

    def create_index(self) -> ast.Statement:
        """CREATE [DEFAULT | UNIQUE] INDEX, from the second word on."""
        start = self.token.start
        is_default = self.accept_word("default") is not None
        refused = "CREATE UNIQUE INDEX" if self.accept_word("unique") else None
        self.expect_word("index")
        self.accept_word("concurrently")
        exists = self.if_not_exists()
        name = None if self.at_word("on", "in") else self.qualified_name()
        if exists and name is None and not is_default:
            self.fail()
        cluster = self.in_cluster()
        self.expect_word("on")
        self.accept_word("only")
        relation, relation_pos = self.positioned_name()
        method = self.name() if self.accept_word("using") else None
        keys = None if is_default else self._index_keys()
        if self.accept_word("include"):
            self.name_list()
        if self.accept_word("nulls"):
            self.accept_word("not")
            self.expect_word("distinct")
        options = self._with_options()
        if self.accept_word("tablespace"):
            self.name()
        if self.accept_word("where"):
            self.expression()
            refused = refused or "CREATE INDEX … WHERE"
        return CreateIndex(
            name,
            cluster,
            relation,
            relation_pos,
            keys,
            options,
            exists,
            method,
            refused,
            start,
        )

    def _index_keys(self) -> tuple[IndexKey, ...]:
        self.expect("(")
        keys = [self._index_key()]
        while self.accept(","):
            keys.append(self._index_key())
        self.expect(")")
        return tuple(keys)

    def _index_key(self) -> IndexKey:
        """An expression; the order and operator class that PostgreSQL lets follow mean nothing
        here, for an index finds equal keys."""
        start, first = self.token.start, self.index
        expression = self.expression()
        sql = self.slice_from(start)
        is_enclosed = self._close_of(first) == self.index - 1
        if self.at_name() and not self.at_word("asc", "desc", "nulls"):
            self.qualified_name()
        self.accept_word("asc", "desc")
        if self.accept_word("nulls"):
            self.expect_word("first", "last")
        return IndexKey(expression, sql, start, is_enclosed)

    def in_cluster(self) -> str | None:
        """IN CLUSTER name, if it is next."""
        return self.name() if self.accept_words("in", "cluster") else None

    # Clusters

    def create_cluster(self) -> ast.Statement:
        """The rest of CREATE CLUSTER and CREATE CLUSTER REPLICA."""
        start = self.token.start
        if self.accept_word("replica"):
            exists = self.if_not_exists()
            cluster = self.name()
            self.expect(".")
            replica = ReplicaDefinition(self.label(), self._bare_or_enclosed_options())
            return CreateReplica(cluster, replica, exists, start)
        exists = self.if_not_exists()
        name = self.name()
        self.accept_word("with")
        is_enclosed = self.accept("(")
        options: list[Option] = []
        replicas: tuple[ReplicaDefinition, ...] | None = None
        while not (self.at(")") or self.token.kind == "e" or self.at(";")):
            if options or replicas is not None:
                self.expect(",")
            if self.accept_word("replicas"):
                self.accept_operator("=")
                replicas = self._replicas()
            else:
                options.append(self._option())
        if is_enclosed:
            self.expect(")")
        return CreateCluster(name, _distinct(options), replicas, exists, start)

    def _replicas(self) -> tuple[ReplicaDefinition, ...]:
        self.expect("(")
        replicas: list[ReplicaDefinition] = []
        while not self.at(")"):
            if replicas:
                self.expect(",")
            replicas.append(ReplicaDefinition(self.name(), self.enclosed_options()))
        self.expect(")")
        return tuple(replicas)

    def _bare_or_enclosed_options(self) -> tuple[Option, ...]:
        if self.at("("):
            return self.enclosed_options()
        options: list[Option] = []
        while not (self.token.kind == "e" or self.at(";")):
            if options:
                self.expect(",")
            options.append(self._option())
        return _distinct(options)

    def alter_options(
        self, kind: str, name: ast.Name, if_exists: bool, start: int
    ) -> ast.Statement | None:
        """SET (…) or RESET (…), if one is next."""
        if not (self.at_word("set", "reset") and self.peek().value == "("):
            return None
        is_reset = self.advance().value == "reset"
        return AlterOptions(kind, name, if_exists, self.enclosed_options(), is_reset, start)

    def refresh_statement(self) -> ast.Statement:
        """REFRESH MATERIALIZED VIEW [CONCURRENTLY] name [WITH [NO] DATA]."""
        self.advance()
        self.expect_words("materialized", "view")
        self.accept_word("concurrently")
        name, start = self.positioned_name()
        if self.accept_word("with"):
            self.accept_word("no")
            self.expect_word("data")
        return RefreshMaterializedView(name, start)

    # Options

    def _with_options(self) -> tuple[Option, ...]:
        if not (self.at_word("with") and self.peek().value == "("):
            return ()
        self.advance()
        return self.enclosed_options()

    def enclosed_options(self) -> tuple[Option, ...]:
        """`(name [=] value, …)`."""
        self.expect("(")
        options: list[Option] = []
        while not self.at(")"):
            if options:
                self.expect(",")
            options.append(self._option())
        self.expect(")")
        return _distinct(options)

    def _option(self) -> Option:
        start = self.token.start
        name = self._option_name()
        self.accept_operator("=")
        if name == "retain history":
            self.accept_word("for")
        return Option(name, self._option_value(), start)

    def _option_name(self) -> str:
        for words in _LONG_OPTIONS:
            if self.accept_words(*words):
                return " ".join(words)
        return self.label()

    def _option_value(self) -> str | None:
        """Everything up to the comma or parenthesis after it."""
        words: list[str] = []
        depth = 0
        while self.token.kind != "e" and not self.at(";"):
            if depth == 0 and (self.at(",") or self.at(")")):
                break
            depth += self.at("(") - self.at(")")
            words.append(self.advance().value)
        return " ".join(words) or None


def _distinct(options: list[Option]) -> tuple[Option, ...]:
    """The options, of which only ASSERT NOT NULL may come more than once."""
    seen: set[str] = set()
    for option in options:
        if option.name in seen and option.name != "assert not null":
            raise SqlError(
                SYNTAX_ERROR,
                f"{option.name.upper()} specified more than once",
                position=option.pos + 1,
            )
        seen.add(option.name)
    return tuple(options)
