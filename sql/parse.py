"""Statement texts to syntax trees, with limits that hold before, while and after parsing.

The parser is our own recursive descent over `sql.lexer`, in PostgreSQL's grammar and with its
precedence, names and error positions. Every text is bounded in size, tokens and nesting before
anything recurses, and parsing is linear in the text, so no text can exhaust the stack or the
processor. A text above `LARGE_TEXT_BYTES` is for a worker thread, which as interpreted code gives
way to the event loop, and which `core.allowance` can stop at any token.

Deliberately absent: a general SQL library. Those at hand resolve precedence in their own way
(`a = b IS NULL`), lose function names and positions, and can be crashed by nesting.
"""

import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.errors import PROGRAM_LIMIT_EXCEEDED, SqlError
from sql import limits
from sql import syntax as ast
from sql.inspection_syntax import Check, Explain, ExplainResources, ExplainTimestamp
from sql.lexer import tokenize
from sql.maintained_syntax import (
    AlterOptions,
    CreateCluster,
    CreateIndex,
    CreateMaterializedView,
    CreateReplica,
    RefreshMaterializedView,
)
from sql.source_syntax import CreateSource, CreateSubsource, CreateWebhook
from sql.statement_parser import StatementParser
from sql.syntax import Statement

LARGE_TEXT_BYTES: Final = 16_384
_RECURSION_LIMIT: Final = 20_000  # frames of interpreted code, which use no C stack


class StatementKind(StrEnum):
    """What a session must know of a statement before it plans it."""

    QUERY = "query"  # SELECT, VALUES, TABLE, SHOW …, EXPLAIN: reads
    WRITE = "write"  # INSERT, UPDATE, DELETE, TRUNCATE
    COPY = "copy"
    DDL = "ddl"
    TRANSACTION = "transaction"  # BEGIN, COMMIT, ROLLBACK, savepoints, SET TRANSACTION
    SETTING = "setting"  # SET, RESET, SHOW variable, DISCARD
    SYSTEM = "system"  # ALTER SYSTEM
    PREPARED = "prepared"  # PREPARE, EXECUTE, DEALLOCATE
    CURSOR = "cursor"  # DECLARE, FETCH, MOVE, CLOSE
    TOLERATED = "tolerated"  # accepted without effect


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """One statement of a text.

    `sql` is its slice of the text without the semicolon, `offset` where that starts (positions
    inside `statement` count from the start of the whole text). `parameter_count` is the highest
    `$n`. `tag` is the command tag without counts, e.g. "CREATE TABLE".
    """

    sql: str
    offset: int
    statement: Statement
    kind: StatementKind
    tag: str
    parameter_count: int


def parse_statements(text: str) -> tuple[ParsedStatement, ...]:
    """The statements of `text`, empty ones left out. Raises SqlError (42601, 54000, 54001)."""
    parser = StatementParser(text, tokenize(_bounded(text)))
    statements: list[ParsedStatement] = []
    while True:
        while parser.accept(";"):
            pass
        if parser.token.kind == "e":
            return tuple(statements)
        start = parser.token.start
        parser.depth = parser.parameter_count = 0
        statement = parser.statement()
        parser.end_of_statement()
        kind, tag = classify(statement)
        statements.append(
            ParsedStatement(
                parser.slice_from(start), start, statement, kind, tag, parser.parameter_count
            )
        )


def _bounded(text: str) -> str:
    if len(text) > limits.MAX_TEXT_CHARACTERS:
        raise SqlError(
            PROGRAM_LIMIT_EXCEEDED,
            "statement is too long",
            hint=f"A statement may have {limits.MAX_TEXT_CHARACTERS} characters; use COPY.",
        )
    return text


_CLASSES: Final[dict[type[ast.Statement], tuple[StatementKind, str]]] = {
    ast.QueryStatement: (StatementKind.QUERY, "SELECT"),
    ast.Insert: (StatementKind.WRITE, "INSERT"),
    ast.Update: (StatementKind.WRITE, "UPDATE"),
    ast.Delete: (StatementKind.WRITE, "DELETE"),
    ast.Truncate: (StatementKind.WRITE, "TRUNCATE TABLE"),
    ast.Copy: (StatementKind.COPY, "COPY"),
    ast.Subscribe: (StatementKind.QUERY, "SUBSCRIBE"),
    ast.CreateTable: (StatementKind.DDL, "CREATE TABLE"),
    ast.CreateView: (StatementKind.DDL, "CREATE VIEW"),
    CreateMaterializedView: (StatementKind.DDL, "CREATE MATERIALIZED VIEW"),
    RefreshMaterializedView: (StatementKind.TOLERATED, "REFRESH MATERIALIZED VIEW"),
    CreateSource: (StatementKind.DDL, "CREATE SOURCE"),
    CreateSubsource: (StatementKind.DDL, "CREATE SUBSOURCE"),
    CreateWebhook: (StatementKind.DDL, "CREATE SOURCE"),
    CreateIndex: (StatementKind.DDL, "CREATE INDEX"),
    CreateCluster: (StatementKind.DDL, "CREATE CLUSTER"),
    CreateReplica: (StatementKind.DDL, "CREATE CLUSTER REPLICA"),
    ast.CreateDatabase: (StatementKind.DDL, "CREATE DATABASE"),
    ast.CreateSchema: (StatementKind.DDL, "CREATE SCHEMA"),
    ast.CreateRole: (StatementKind.DDL, "CREATE ROLE"),
    Explain: (StatementKind.QUERY, "EXPLAIN"),
    ExplainTimestamp: (StatementKind.QUERY, "EXPLAIN"),
    ExplainResources: (StatementKind.QUERY, "EXPLAIN"),
    Check: (StatementKind.QUERY, "CHECK"),
    ast.SetTransaction: (StatementKind.TRANSACTION, "SET"),
    ast.ShowVariable: (StatementKind.SETTING, "SHOW"),
    ast.ShowObjects: (StatementKind.QUERY, "SHOW"),
    ast.ShowCreate: (StatementKind.QUERY, "SHOW"),
    ast.AlterSystem: (StatementKind.SYSTEM, "ALTER SYSTEM"),
    ast.Prepare: (StatementKind.PREPARED, "PREPARE"),
    ast.Execute: (StatementKind.PREPARED, "EXECUTE"),
    ast.Declare: (StatementKind.CURSOR, "DECLARE CURSOR"),
}


def classify(statement: ast.Statement) -> tuple[StatementKind, str]:
    """The kind and the command tag of a statement."""
    fixed = _CLASSES.get(type(statement))
    if fixed is not None:
        return fixed
    match statement:
        case ast.Transaction(tag=tag):
            return StatementKind.TRANSACTION, tag
        case ast.SetVariable(values=values):
            return StatementKind.SETTING, "RESET" if values is None else "SET"
        case ast.Discard(target=target):
            return StatementKind.SETTING, f"DISCARD {target}"
        case ast.Deallocate(name=name):
            return StatementKind.PREPARED, "DEALLOCATE" if name else "DEALLOCATE ALL"
        case ast.Fetch(is_move=is_move):
            return StatementKind.CURSOR, "MOVE" if is_move else "FETCH"
        case ast.CloseCursor(name=name):
            return StatementKind.CURSOR, "CLOSE CURSOR" if name else "CLOSE CURSOR ALL"
        case ast.Drop(kind=kind):
            return StatementKind.DDL, f"DROP {kind.upper()}"
        case ast.AlterRename(kind=kind) | ast.AlterTolerated(kind=kind) | AlterOptions(kind=kind):
            return StatementKind.DDL, f"ALTER {kind.upper()}"
        case ast.Comment():
            return StatementKind.DDL, "COMMENT"
        case ast.Tolerated(tag=tag):
            return StatementKind.TOLERATED, tag
        case ast.Unsupported(what=what):
            return StatementKind.TOLERATED, what
    raise AssertionError(type(statement).__name__)


def _allow_deep_recursion() -> None:
    """Nesting is bounded by `sql.limits`; Python's own, smaller bound would come first."""
    if sys.getrecursionlimit() < _RECURSION_LIMIT:
        sys.setrecursionlimit(_RECURSION_LIMIT)


_allow_deep_recursion()
