"""Options of materialized views, indexes and clusters: their values, checked."""

from collections.abc import Collection
from typing import Final

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_PARAMETER_VALUE,
    SYNTAX_ERROR,
    SqlError,
)
from core.rows import Interval
from core.sql_types import INTERVAL
from expr.scalar import EvaluationContext
from expr.text_format import text_input
from sql.maintained_syntax import Option

_DAY_US: Final = 86_400_000_000
_MONTH_DAYS: Final = 30
_TRUE: Final = frozenset({"true", "on", "yes", "1", "t"})
_FALSE: Final = frozenset({"false", "off", "no", "0", "f"})


def check_names(options: Collection[Option], known: Collection[str]) -> None:
    """Raises SqlError 22023 for an option that there is not."""
    for option in options:
        if option.name not in known:
            raise SqlError(
                INVALID_PARAMETER_VALUE,
                f'unrecognized parameter "{option.name}"',
                position=option.pos + 1,
            )


def text_of(option: Option) -> str:
    """The value of an option that must have one."""
    if option.value is None:
        raise SqlError(
            SYNTAX_ERROR, f"{option.name.upper()} requires a value", position=option.pos + 1
        )
    return option.value


def boolean_of(option: Option) -> bool:
    """True when there is no value."""
    if option.value is None or option.value.lower() in _TRUE:
        return True
    if option.value.lower() in _FALSE:
        return False
    raise SqlError(
        INVALID_PARAMETER_VALUE,
        f"{option.name.upper()} requires a Boolean value",
        position=option.pos + 1,
    )


def count_of(option: Option) -> int:
    """An unsigned integer of at most four digits."""
    text = text_of(option)
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            f'invalid value for {option.name.upper()}: "{text}"',
            position=option.pos + 1,
        )
    return int(text)


def retain_history_us(option: Option, context: EvaluationContext) -> int:
    """The length of RETAIN HISTORY FOR. Raises SqlError 22023 unless it is positive."""
    value = text_input(INTERVAL, context)(text_of(option))
    assert isinstance(value, Interval)
    days = value.months * _MONTH_DAYS + value.days
    length = days * _DAY_US + value.microseconds
    if length <= 0:
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            "RETAIN HISTORY must be longer than zero",
            position=option.pos + 1,
        )
    return length


def check_refresh(option: Option) -> None:
    """Raises SqlError 0A000 for any REFRESH but ON COMMIT."""
    if text_of(option).lower() != "on commit":
        raise SqlError(
            FEATURE_NOT_SUPPORTED,
            f"REFRESH {option.value} is not supported",
            hint="Materialized views are refreshed by every commit (REFRESH ON COMMIT).",
            position=option.pos + 1,
        )
