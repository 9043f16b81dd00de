"""Bounds on statements, each with its reason.

PostgreSQL bounds statements by its stack (54001) and by fixed limits; ours are explicit numbers.
Nesting is counted three times: brackets while lexing, recursion while parsing, recursion while
planning.
"""

from typing import Final

from core.errors import PROGRAM_LIMIT_EXCEEDED, STATEMENT_TOO_COMPLEX, SqlError

MAX_TEXT_CHARACTERS: Final = 16 * 1024 * 1024  # a simple query's text; COPY is for more
MAX_TOKENS: Final = 2_000_000
MAX_NESTING: Final = 200  # brackets within brackets; one level costs up to 16 Python frames
MAX_EXPRESSION_DEPTH: Final = 256  # prefix operators, CASE, NOT: what nests without brackets
MAX_OPERATOR_CHAIN: Final = 1_000  # `a + b + c …` makes a tree as deep as it is long
MAX_PLAN_DEPTH: Final = 1_000  # syntax trees are bounded; views and macros add to them
MAX_SUBSCRIPTS: Final = 50
MAX_BASED_INTEGER_DIGITS: Final = 64
MAX_COLUMNS: Final = 1_600
MAX_SELECT_ITEMS: Final = 1_664
MAX_ARGUMENTS: Final = 100
MAX_PARAMETERS: Final = 65_535
MAX_CHECKPOINTS: Final = 20_000_000  # of `core.allowance`: some ten seconds of planning
MAX_VIEW_DEPTH: Final = 64


def too_deep() -> SqlError:
    """The error for a statement nested too deep."""
    return SqlError(
        STATEMENT_TOO_COMPLEX,
        "stack depth limit exceeded",
        hint="Statements may be nested only so deep; simplify the statement.",
    )


def too_complex() -> SqlError:
    """The error for a statement that takes too long to parse or to plan."""
    return SqlError(STATEMENT_TOO_COMPLEX, "statement is too complex")


def too_large(what: str) -> SqlError:
    """The error for a statement with too much of something."""
    return SqlError(PROGRAM_LIMIT_EXCEEDED, f"statement has too many {what}")
