"""Numeric constants: int4, else int8, else numeric, as PostgreSQL's make_const decides."""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final

from core.errors import NUMERIC_VALUE_OUT_OF_RANGE, SqlError
from core.sql_types import INT4, INT8, NUMERIC
from expr.scalar import EvaluationContext, Literal, literal
from expr.text_format import text_input

_INTEGER: Final = re.compile(r"-?[0-9]+")
_MAX_DIGITS: Final = 20
_CACHE_SIZE: Final = 4_096
_DEFAULTS: Final = EvaluationContext()


def number_literal(text: str, pos: int) -> Literal:
    """The literal of a numeric constant. Raises SqlError 22003."""
    try:
        return _literal(text)
    except SqlError as error:
        if error.sqlstate == NUMERIC_VALUE_OUT_OF_RANGE:
            error.position = pos + 1
        raise


@lru_cache(maxsize=_CACHE_SIZE)
def _literal(text: str) -> Literal:
    if _INTEGER.fullmatch(text) and len(text) <= _MAX_DIGITS:
        value = int(text)
        if -(2**31) <= value < 2**31:
            return literal(value, INT4)
        if -(2**63) <= value < 2**63:
            return literal(value, INT8)
    number: Decimal = text_input(NUMERIC, _DEFAULTS)(text)
    return literal(number, NUMERIC)
