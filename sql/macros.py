"""Bodies of catalog functions, parsed once."""

from functools import lru_cache
from typing import Final

from sql import syntax as ast
from sql.lexer import tokenize
from sql.statement_parser import StatementParser

_CACHE_SIZE: Final = 1_024


@lru_cache(maxsize=_CACHE_SIZE)
def macro_body(body: str) -> ast.Expression:
    """The expression of a scalar macro."""
    return StatementParser(body, tokenize(body)).expression()


@lru_cache(maxsize=_CACHE_SIZE)
def macro_query(body: str) -> ast.Query:
    """The query of a table macro."""
    return StatementParser(body, tokenize(body)).query()


@lru_cache(maxsize=_CACHE_SIZE)
def parse_query(text: str) -> ast.Query:
    """The query of a stored view definition."""
    return StatementParser(text, tokenize(text)).query()


@lru_cache(maxsize=_CACHE_SIZE)
def parse_expression(text: str) -> ast.Expression:
    """A stored expression, such as a column's default."""
    return StatementParser(text, tokenize(text)).expression()
