"""Statement texts to syntax trees, with limits that hold before, while and after parsing.

A text is bounded in size, in tokens and in nesting before any recursion starts, so no text can
exhaust the stack or the processor. A text above `LARGE_TEXT_BYTES` is to be parsed with
`parse_large`, away from the event loop and under a deadline.
"""

from dataclasses import dataclass
from enum import StrEnum

from sql.syntax import Statement

LARGE_TEXT_BYTES = 16_384


class StatementKind(StrEnum):
    """What a session must know of a statement before it plans it."""

    QUERY = "query"  # SELECT, VALUES, TABLE, SHOW …, EXPLAIN: reads
    WRITE = "write"  # INSERT, UPDATE, DELETE, TRUNCATE
    COPY = "copy"
    DDL = "ddl"
    TRANSACTION = "transaction"  # BEGIN, COMMIT, ROLLBACK, savepoints
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


def check_limits(text: str) -> None:
    """Raise SqlError 54000 or 54001 for a text that is too large or nested too deep to parse."""
    raise NotImplementedError


def parse_statements(text: str) -> tuple[ParsedStatement, ...]:
    """The statements of `text`, empty ones left out. Raises SqlError (42601, 54000, 54001)."""
    raise NotImplementedError


async def parse_large(text: str, timeout_seconds: float = 30.0) -> tuple[ParsedStatement, ...]:
    """`parse_statements` off the event loop; 57014 when it takes longer than the timeout."""
    raise NotImplementedError
