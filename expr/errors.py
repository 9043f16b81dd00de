"""The errors that scalar functions share, in PostgreSQL's words."""

from typing import NoReturn

from core.errors import (
    DIVISION_BY_ZERO,
    INVALID_TEXT_REPRESENTATION,
    NUMERIC_VALUE_OUT_OF_RANGE,
    PROGRAM_LIMIT_EXCEEDED,
    STATEMENT_TOO_COMPLEX,
    SqlError,
)

MAX_RESULT_BYTES = 256 * 1024 * 1024  # ours, for what one call may build


def out_of_range(type_name: str) -> SqlError:
    """A result that does not fit its type."""
    return SqlError(NUMERIC_VALUE_OUT_OF_RANGE, f"{type_name} out of range")


def value_out_of_range(text: str, type_name: str) -> SqlError:
    """A literal that does not fit its type."""
    return SqlError(
        NUMERIC_VALUE_OUT_OF_RANGE, f'value "{text}" is out of range for type {type_name}'
    )


def invalid_syntax(type_name: str, text: str) -> SqlError:
    """A text that is no value of the type."""
    return SqlError(
        INVALID_TEXT_REPRESENTATION, f'invalid input syntax for type {type_name}: "{text}"'
    )


def division_by_zero() -> SqlError:
    return SqlError(DIVISION_BY_ZERO, "division by zero")


def numeric_overflow() -> SqlError:
    return SqlError(NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")


def too_large(what: str = "requested length too large") -> SqlError:
    """A result above the size bound."""
    return SqlError(PROGRAM_LIMIT_EXCEEDED, what)


def too_deep() -> SqlError:
    return SqlError(STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")


def raise_smallint() -> NoReturn:
    raise out_of_range("smallint")


def raise_integer() -> NoReturn:
    raise out_of_range("integer")


def raise_bigint() -> NoReturn:
    raise out_of_range("bigint")


def raise_division_by_zero() -> NoReturn:
    raise division_by_zero()


def raise_float_overflow() -> NoReturn:
    raise SqlError(NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")


def raise_float_underflow() -> NoReturn:
    raise SqlError(NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
