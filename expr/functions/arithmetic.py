"""Arithmetic and bitwise operators of the number types."""

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from core.errors import NUMERIC_VALUE_OUT_OF_RANGE, SqlError
from expr import floats, numeric
from expr.errors import (
    division_by_zero,
    out_of_range,
    raise_float_overflow,
    raise_float_underflow,
)
from expr.integers import wrap
from expr.registry import FunctionKind, define

OPERATOR: Final = FunctionKind.OPERATOR
IntegerFunction = Callable[[int, int], int]

SQL_NAMES: Final = {"int2": "smallint", "int4": "integer", "int8": "bigint"}
BOUNDS: Final = {
    "int2": (-(2**15), 2**15 - 1),
    "int4": (-(2**31), 2**31 - 1),
    "int8": (-(2**63), 2**63 - 1),
    "uint2": (0, 2**16 - 1),
    "uint4": (0, 2**32 - 1),
    "uint8": (0, 2**64 - 1),
    "mz_timestamp": (0, 2**64 - 1),
}
_RANK: Final = {"int2": 0, "int4": 1, "int8": 2}


def checked(function: IntegerFunction, type_name: str) -> IntegerFunction:
    """`function` with its result's range checked."""
    low, high = BOUNDS[type_name]
    shown = SQL_NAMES.get(type_name, type_name)

    def apply(left: int, right: int) -> int:
        result = function(left, right)
        if low <= result <= high:
            return result
        raise out_of_range(shown)

    return apply


def integer_divide(left: int, right: int) -> int:
    """Division that truncates toward zero."""
    if right == 0:
        raise division_by_zero()
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def integer_modulo(left: int, right: int) -> int:
    """The remainder with the sign of the dividend."""
    if right == 0:
        raise division_by_zero()
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


_INTEGER_OPERATORS: Final[dict[str, IntegerFunction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": integer_divide,
}


def _shift_left(value: int, count: int, bits: int) -> int:
    count %= bits if bits > 16 else 32
    return wrap(value << count, bits)


def _shift_right(value: int, count: int, bits: int) -> int:
    return value >> count % (bits if bits > 16 else 32)


def _define_integers() -> None:
    for left, left_rank in _RANK.items():
        for right, right_rank in _RANK.items():
            result = left if left_rank >= right_rank else right
            for symbol, function in _INTEGER_OPERATORS.items():
                define(
                    f"{symbol}({left},{right})", result, checked(function, result), kind=OPERATOR
                )
    for name, bits in (("int2", 16), ("int4", 32), ("int8", 64)):
        define(f"%({name},{name})", name, integer_modulo, kind=OPERATOR)
        define(f"mod({name},{name})", name, integer_modulo)
        define(f"&({name},{name})", name, operator.and_, kind=OPERATOR)
        define(f"|({name},{name})", name, operator.or_, kind=OPERATOR)
        define(f"#({name},{name})", name, operator.xor, kind=OPERATOR)
        define(f"~({name})", name, operator.invert, kind=OPERATOR)
        define(f"<<({name},int4)", name, _bound_shift(_shift_left, bits), kind=OPERATOR)
        define(f">>({name},int4)", name, _bound_shift(_shift_right, bits), kind=OPERATOR)
        define(f"+({name})", name, operator.pos, kind=OPERATOR)
        define(f"-({name})", name, _negation(name), kind=OPERATOR)
    for name in ("uint2", "uint4", "uint8", "mz_timestamp"):
        for symbol, function in _INTEGER_OPERATORS.items():
            define(f"{symbol}({name},{name})", name, checked(function, name), kind=OPERATOR)
        define(f"%({name},{name})", name, integer_modulo, kind=OPERATOR)


def _bound_shift(shift: Callable[[int, int, int], int], bits: int) -> IntegerFunction:
    return lambda value, count: shift(value, count, bits)


def _negation(name: str) -> Callable[[int], int]:
    subtract = checked(operator.sub, name)
    return lambda value: subtract(0, value)


def _add(left: float, right: float) -> float:
    return floats.check_float8(left + right, left, right)


def _subtract(left: float, right: float) -> float:
    return floats.check_float8(left - right, left, right)


def _single(function: Callable[[float, float], float]) -> Callable[[float, float], float]:
    def apply(left: float, right: float) -> float:
        exact = function(left, right)
        result = floats.single_result(exact, left, right)
        if result == 0.0 and exact != 0.0:
            raise_float_underflow()
        return result

    return apply


def float_power(base: float, exponent: float) -> float:
    """dpow."""
    if base != base:
        return base if exponent != 0.0 else 1.0
    if exponent != exponent:
        return exponent if base != 1.0 else 1.0
    if base == 0.0 and exponent < 0.0:
        raise SqlError("2201F", "zero raised to a negative power is undefined")
    if base < 0.0 and exponent != int_or_infinite(exponent):
        raise SqlError(
            "2201F", "a negative number raised to a non-integer power yields a complex result"
        )
    try:
        result = base**exponent
    except OverflowError:
        raise_float_overflow()
    if isinstance(result, complex):
        raise SqlError(
            "2201F", "a negative number raised to a non-integer power yields a complex result"
        )
    if result in (floats.INFINITY, -floats.INFINITY):
        return floats.check_float8(result, base, exponent)
    if result == 0.0 and base != 0.0 and abs(base) != floats.INFINITY:
        if abs(exponent) != floats.INFINITY:
            raise_float_underflow()
    return float(result)


def int_or_infinite(value: float) -> float:
    return value if value in (floats.INFINITY, -floats.INFINITY) else float(int(value))


def _define_floats() -> None:
    table: dict[str, Callable[[float, float], float]] = {
        "+": _add,
        "-": _subtract,
        "*": floats.multiply,
        "/": floats.divide,
    }
    for symbol, function in table.items():
        define(f"{symbol}(float8,float8)", "float8", function, kind=OPERATOR)
        define(f"{symbol}(float4,float8)", "float8", function, kind=OPERATOR)
        define(f"{symbol}(float8,float4)", "float8", function, kind=OPERATOR)
        define(f"{symbol}(float4,float4)", "float4", _single(function), kind=OPERATOR)
    for name in ("float4", "float8"):
        define(f"+({name})", name, operator.pos, kind=OPERATOR)
        define(f"-({name})", name, operator.neg, kind=OPERATOR)
    define("^(float8,float8)", "float8", float_power, kind=OPERATOR)


def _define_numerics() -> None:
    table: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
        "+": numeric.add,
        "-": numeric.subtract,
        "*": numeric.multiply,
        "/": numeric.divide,
        "%": numeric.modulo,
    }
    for symbol, function in table.items():
        define(f"{symbol}(numeric,numeric)", "numeric", function, kind=OPERATOR)
    define("mod(numeric,numeric)", "numeric", numeric.modulo)
    define("+(numeric)", "numeric", _identity, kind=OPERATOR)
    define("-(numeric)", "numeric", numeric.negate, kind=OPERATOR)


def _identity(value: Decimal) -> Decimal:
    return value


def check_integer(value: int, type_name: str) -> int:
    """`value` if it fits the integer type."""
    low, high = BOUNDS[type_name]
    if low <= value <= high:
        return value
    raise SqlError(
        NUMERIC_VALUE_OUT_OF_RANGE, f"{SQL_NAMES.get(type_name, type_name)} out of range"
    )


_define_integers()
_define_floats()
_define_numerics()
