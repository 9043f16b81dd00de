"""float4 and float8: text forms, rounding to single precision, checked arithmetic.

A float4 is held as the Python float of equal value. Output is the shortest text that reads back as
the same value, laid out as PostgreSQL lays it out (exponents from 15 digits on for float8, from 6
for float4).
"""

import math
import re
import struct
from decimal import Decimal
from typing import Final, NoReturn

from core.errors import NUMERIC_VALUE_OUT_OF_RANGE, SqlError
from expr.errors import (
    invalid_syntax,
    raise_division_by_zero,
    raise_float_overflow,
    raise_float_underflow,
)

NAN: Final = float("nan")
INFINITY: Final = float("inf")
_SINGLE: Final = struct.Struct("<f")
_LEAST_NORMAL_SINGLE: Final = 2.0**-126
_LEAST_SPARSE_DOUBLE: Final = 2.0**53
_NUMBER: Final = re.compile(
    r"[ \t\n\r\f\v]*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[ \t\n\r\f\v]*", re.ASCII
)
_HEX: Final = re.compile(
    r"[ \t\n\r\f\v]*([+-]?0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?\d+)?)[ \t\n\r\f\v]*",
    re.ASCII | re.IGNORECASE,
)
_SPECIAL: Final = re.compile(
    r"[ \t\n\r\f\v]*([+-]?)(nan|inf|infinity)[ \t\n\r\f\v]*", re.ASCII | re.IGNORECASE
)


def round_to_single(value: float) -> float:
    """The nearest float4; overflow is an infinity."""
    try:
        single: float = _SINGLE.unpack(_SINGLE.pack(value))[0]
    except OverflowError:
        return math.copysign(INFINITY, value)
    return single


def parse_float8(text: str) -> float:
    return _parse(text, "double precision", single=False)


def parse_float4(text: str) -> float:
    return _parse(text, "real", single=True)


def _parse(text: str, type_name: str, *, single: bool) -> float:
    match = _NUMBER.fullmatch(text)
    if match is not None:
        literal = match[1]
        value = float(literal)
    else:
        special = _SPECIAL.fullmatch(text)
        if special is not None:
            value = NAN if special[2][0] in "nN" else INFINITY
            return -value if special[1] == "-" else value
        hexadecimal = _HEX.fullmatch(text)
        if hexadecimal is None:
            _refuse(text, type_name)
        literal = hexadecimal[1]
        try:
            value = float.fromhex(literal)
        except OverflowError:
            value = INFINITY
    if single:
        value = round_to_single(value)
    if math.isinf(value) or (value == 0 and re.search(r"[1-9]", literal.lower().split("e")[0])):
        raise SqlError(
            NUMERIC_VALUE_OUT_OF_RANGE, f'"{literal}" is out of range for type {type_name}'
        )
    return value


def _refuse(text: str, type_name: str) -> NoReturn:
    """A text that is no number; PostgreSQL first says whether its beginning is out of range."""
    beginning = _NUMBER.match(text)
    if beginning is not None and math.isinf(float(beginning[1])):
        raise SqlError(
            NUMERIC_VALUE_OUT_OF_RANGE, f'"{beginning[1]}" is out of range for type {type_name}'
        )
    raise invalid_syntax(type_name, text)


def format_float8(value: float) -> str:
    """float8out with extra_float_digits > 0."""
    if not -_LEAST_SPARSE_DOUBLE < value < _LEAST_SPARSE_DOUBLE:
        return _layout(_shortest_sparse(value), 15)
    text = repr(value)
    if text[-2:] == ".0":
        # Below 10^15 both print integers in full.
        if len(text) <= 17 and -1e15 < value < 1e15:
            return text[:-2]
        return _layout(text, 15)
    if "e" not in text and "n" not in text:
        return text if -1e15 < value < 1e15 else _layout(text, 15)
    return _layout(text, 15)


def _shortest_sparse(value: float) -> str:
    """The shortest text of a float8 whose neighbours are integers at least 2 apart (or NaN).

    It reads back as the value however a reader rounds ties: a text that lies exactly between two
    floats, which repr() may give, is not taken.
    """
    text = repr(value)
    if not math.isfinite(value):
        return text
    neighbours = (math.nextafter(value, -INFINITY), math.nextafter(value, INFINITY))
    double_ties = {int(value) + int(other) for other in neighbours if math.isfinite(other)}
    digits = 15
    while 2 * int(Decimal(text)) in double_ties or float(text) != value:
        digits += 1
        text = f"{value:.{digits}g}"
    return text


def _is_single_tie(value: float, shown: float) -> bool:
    """Whether a text, read as the float8 `shown`, lies between `value` and another float4."""
    mirrored = value + 2 * (shown - value)
    return shown != value and round_to_single(mirrored) == mirrored


def format_float4(value: float) -> str:
    """float4out with extra_float_digits > 0."""
    if value != value or value in (INFINITY, -INFINITY):
        return _layout(repr(value), 6)
    # Up to six digits always survive a float4, but for the subnormal ones.
    for digits in range(1 if abs(value) < _LEAST_NORMAL_SINGLE else 6, 10):
        text = f"{value:.{digits}g}"
        if round_to_single(float(text)) == value and not _is_single_tie(value, float(text)):
            break
    return _layout(repr(float(text)), 6)


def format_rounded(value: float, digits: int) -> str:
    """Output with extra_float_digits <= 0: `%.<digits>g`."""
    if value != value or value in (INFINITY, -INFINITY):
        return _layout(repr(value), digits)
    return f"{value:.{max(digits, 1)}g}"


def _layout(text: str, fixed_digits: int) -> str:
    """A repr() laid out PostgreSQL's way: fixed for exponents -5 < e < fixed_digits."""
    if "n" in text:
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[text]
    sign = "-" if text[0] == "-" else ""
    mantissa, _, exponent_text = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = len(whole) - 1 + int(exponent_text or 0)
    if whole.strip("0") == "":
        exponent = int(exponent_text or 0) - (len(fraction) - len(fraction.lstrip("0"))) - 1
    digits = digits.rstrip("0")
    if not digits:
        return f"{sign}0"
    if -5 < exponent < fixed_digits:
        if exponent < 0:
            return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
        if len(digits) <= exponent + 1:
            return f"{sign}{digits}{'0' * (exponent + 1 - len(digits))}"
        return f"{sign}{digits[: exponent + 1]}.{digits[exponent + 1 :]}"
    point = "." if len(digits) > 1 else ""
    exponent_sign = "-" if exponent < 0 else "+"
    return f"{sign}{digits[0]}{point}{digits[1:]}e{exponent_sign}{abs(exponent):02d}"


def check_float8(result: float, *operands: float) -> float:
    """`result`, unless it overflowed from finite operands."""
    if math.isinf(result) and not any(map(math.isinf, operands)):
        raise_float_overflow()
    return result


def multiply(left: float, right: float) -> float:
    result = left * right
    if math.isinf(result) and not (math.isinf(left) or math.isinf(right)):
        raise_float_overflow()
    if result == 0.0 and left != 0.0 and right != 0.0:
        raise_float_underflow()
    return result


def divide(left: float, right: float) -> float:
    if right == 0.0:
        if left != left:
            return left
        raise_division_by_zero()
    result = left / right
    if math.isinf(result) and not math.isinf(left):
        raise_float_overflow()
    if result == 0.0 and left != 0.0 and not math.isinf(right):
        raise_float_underflow()
    return result


def single_result(result: float, *operands: float) -> float:
    """A float4 operation's result, computed in double precision, rounded and checked."""
    single = round_to_single(result)
    if math.isinf(single) and not any(map(math.isinf, operands)):
        raise_float_overflow()
    return single


def to_integer(value: float, low: int, high: int, type_name: str) -> int:
    """The nearest integer, ties to even."""
    if value == value and low - 1 < value < high + 1:
        result = round(value)
        if low <= result <= high:
            return result
    raise SqlError(NUMERIC_VALUE_OUT_OF_RANGE, f"{type_name} out of range")
