"""Mathematical functions of integers, floats and numerics."""

import math
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from core.errors import INVALID_PARAMETER_VALUE, NUMERIC_VALUE_OUT_OF_RANGE, SqlError
from core.rows import Array, Datum
from expr import degrees, floats, numeric
from expr import numeric_functions as exact
from expr.errors import raise_float_overflow, raise_float_underflow
from expr.functions.arithmetic import (
    check_integer,
    checked,
    float_power,
)
from expr.ordering import comparison_key
from expr.registry import CallSite, FunctionKind, define

FloatFunction = Callable[[float], float]
OPERATOR: Final = FunctionKind.OPERATOR
INPUT_RANGE: Final = "input is out of range"


def _guard(function: FloatFunction) -> FloatFunction:
    """NaN passes; Python's domain and overflow errors become PostgreSQL's."""

    def apply(value: float) -> float:
        if value != value:
            return value
        try:
            return function(value)
        except ValueError:
            raise SqlError(NUMERIC_VALUE_OUT_OF_RANGE, INPUT_RANGE) from None
        except OverflowError:
            raise_float_overflow()

    return apply


def _float_exp(value: float) -> float:
    if math.isinf(value):
        return value if value > 0 else 0.0
    result = math.exp(value)
    if result == 0.0:
        raise_float_underflow()
    return result


def _logarithm(function: FloatFunction) -> FloatFunction:
    def apply(value: float) -> float:
        if value == 0:
            raise SqlError("2201E", "cannot take logarithm of zero")
        if value < 0:
            raise SqlError("2201E", "cannot take logarithm of a negative number")
        return function(value)

    return _guard(apply)


def _float_sqrt(value: float) -> float:
    if value < 0:
        raise SqlError("2201F", "cannot take square root of a negative number")
    return math.sqrt(value)


def _cube_root(value: float) -> float:
    return math.cbrt(value)


def _float_round(value: float) -> float:
    return value if math.isinf(value) else math.copysign(float(round(value)), value)


def _float_ceil(value: float) -> float:
    return value if math.isinf(value) else math.copysign(float(math.ceil(value)), value)


def _float_floor(value: float) -> float:
    return value if math.isinf(value) else math.copysign(float(math.floor(value)), value)


def _float_trunc(value: float) -> float:
    return value if math.isinf(value) else math.copysign(float(math.trunc(value)), value)


def _float_sign(value: float) -> float:
    return float((value > 0) - (value < 0))


def _cotangent(value: float) -> float:
    tangent = math.tan(value)
    try:
        return 1.0 / tangent
    except (ZeroDivisionError, OverflowError):
        return math.copysign(floats.INFINITY, value)


def _define_floats() -> None:
    table: dict[str, FloatFunction] = {
        "sqrt": _guard(_float_sqrt),
        "cbrt": _guard(_cube_root),
        "exp": _guard(_float_exp),
        "ln": _logarithm(math.log),
        "log": _logarithm(math.log10),
        "log10": _logarithm(math.log10),
        "round": _guard(_float_round),
        "ceil": _guard(_float_ceil),
        "ceiling": _guard(_float_ceil),
        "floor": _guard(_float_floor),
        "trunc": _guard(_float_trunc),
        "sign": _float_sign,
        "sin": _guard(math.sin),
        "cos": _guard(math.cos),
        "tan": _guard(math.tan),
        "cot": _guard(_cotangent),
        "asin": _guard(math.asin),
        "acos": _guard(math.acos),
        "atan": _guard(math.atan),
        "sinh": _guard(_sinh),
        "cosh": _guard(_cosh),
        "tanh": _guard(math.tanh),
        "asinh": _guard(math.asinh),
        "acosh": _guard(math.acosh),
        "atanh": _guard(_atanh),
        "degrees": lambda value: floats.divide(value, degrees.RADIANS_PER_DEGREE),
        "radians": lambda value: floats.multiply(value, degrees.RADIANS_PER_DEGREE),
        "erf": _guard(math.erf),
        "erfc": _guard(math.erfc),
        "gamma": _guard(_gamma),
        "lgamma": _guard(_lgamma),
        "sind": _guard(degrees.sine),
        "cosd": _guard(degrees.cosine),
        "tand": _guard(degrees.tangent),
        "cotd": _guard(degrees.cotangent),
        "asind": _guard(degrees.arc_sine),
        "acosd": _guard(degrees.arc_cosine),
        "atand": _guard(degrees.arc_tangent),
    }
    for name, function in table.items():
        define(f"{name}(float8)", "float8", function)
    define("atan2(float8,float8)", "float8", math.atan2)
    define("atan2d(float8,float8)", "float8", degrees.arc_tangent_of)
    define("pi()", "float8", lambda: math.pi)
    for name in ("power", "pow"):
        define(f"{name}(float8,float8)", "float8", float_power)
    define("|/(float8)", "float8", _guard(_float_sqrt), kind=OPERATOR)
    define("||/(float8)", "float8", _guard(_cube_root), kind=OPERATOR)
    for name in ("float4", "float8"):
        define(f"abs({name})", name, abs)
        define(f"@({name})", name, abs, kind=OPERATOR)
    define("random()", "float8", random.random, volatile=True)
    define("random(int4,int4)", "int4", _random_between, volatile=True)
    define("random(int8,int8)", "int8", _random_between, volatile=True)
    define("setseed(float8)", "void", lambda seed: None, volatile=True)


def _random_between(low: int, high: int) -> int:
    if low > high:
        raise SqlError(
            INVALID_PARAMETER_VALUE,
            "lower bound must be less than or equal to upper bound",
        )
    return random.randint(low, high)  # noqa: S311


def _sinh(value: float) -> float:
    try:
        return math.sinh(value)
    except OverflowError:
        return math.copysign(floats.INFINITY, value)


def _cosh(value: float) -> float:
    try:
        return math.cosh(value)
    except OverflowError:
        return floats.INFINITY


def _atanh(value: float) -> float:
    if abs(value) == 1.0:
        return math.copysign(floats.INFINITY, value)
    return math.atanh(value)


def _gamma(value: float) -> float:
    if value == 0 or value == -floats.INFINITY or (value < 0 and value == math.floor(value)):
        raise_float_overflow()
    result = math.gamma(value)
    if result == 0:
        raise_float_underflow()
    return result


def _lgamma(value: float) -> float:
    if not math.isinf(value) and value <= 0 and value == math.floor(value):
        raise_float_overflow()
    return math.lgamma(value)


def _gcd(type_name: str) -> Callable[[int, int], int]:
    return checked(math.gcd, type_name)


def _lcm(type_name: str) -> Callable[[int, int], int]:
    return checked(math.lcm, type_name)


def _factorial(value: int) -> Decimal:
    if value < 0:
        raise SqlError(NUMERIC_VALUE_OUT_OF_RANGE, "factorial of a negative number is undefined")
    if value > 32_177:
        raise SqlError(NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
    result = numeric.ONE
    for factor in range(2, value + 1):
        result = numeric.EXACT.multiply(result, Decimal(factor))
    return result


def _define_integers() -> None:
    for name in ("int2", "int4", "int8"):
        define(f"abs({name})", name, lambda v, n=name: check_integer(abs(v), n))
        define(f"@({name})", name, lambda v, n=name: check_integer(abs(v), n), kind=OPERATOR)
    for name in ("int4", "int8"):
        define(f"gcd({name},{name})", name, _gcd(name))
        define(f"lcm({name},{name})", name, _lcm(name))
    define("factorial(int8)", "numeric", _factorial)


def _sign(value: Decimal) -> Decimal:
    return value if value.is_nan() else Decimal((value > 0) - (value < 0))


def _define_numerics() -> None:
    define("abs(numeric)", "numeric", Decimal.copy_abs)
    define("@(numeric)", "numeric", Decimal.copy_abs, kind=OPERATOR)
    define("round(numeric,int4)", "numeric", numeric.round_to)
    define("round(numeric)", "numeric", lambda v: numeric.round_to(v, 0))
    define("trunc(numeric,int4)", "numeric", numeric.truncate_to)
    define("trunc(numeric)", "numeric", lambda v: numeric.truncate_to(v, 0))
    for name in ("ceil", "ceiling"):
        define(f"{name}(numeric)", "numeric", numeric.ceiling)
    define("floor(numeric)", "numeric", numeric.floor)
    define("sign(numeric)", "numeric", _sign)
    define("sqrt(numeric)", "numeric", exact.square_root)
    define("exp(numeric)", "numeric", exact.exponential)
    define("ln(numeric)", "numeric", exact.natural_logarithm)
    for name in ("log", "log10"):
        define(f"{name}(numeric)", "numeric", exact.decimal_logarithm)
    define("log(numeric,numeric)", "numeric", exact.logarithm)
    for name in ("power", "pow"):
        define(f"{name}(numeric,numeric)", "numeric", exact.power)
    define("^(numeric,numeric)", "numeric", exact.power, kind=OPERATOR)
    define("div(numeric,numeric)", "numeric", numeric.quotient)
    define("scale(numeric)", "int4", lambda v: numeric.scale_of(v) if v.is_finite() else None)
    define("min_scale(numeric)", "int4", exact.minimal_scale)
    define("trim_scale(numeric)", "numeric", exact.trim_scale)
    define("gcd(numeric,numeric)", "numeric", exact.greatest_common_divisor)
    define("lcm(numeric,numeric)", "numeric", exact.least_common_multiple)


def _bucket_error(message: str) -> SqlError:
    return SqlError("2201G", message)


def _check_count(count: int) -> None:
    if count <= 0:
        raise _bucket_error("count must be greater than zero")


def _width_bucket_float(value: float, low: float, high: float, count: int) -> int:
    _check_count(count)
    if value != value or low != low or high != high:
        raise _bucket_error("operand, lower bound, and upper bound cannot be NaN")
    if math.isinf(low) or math.isinf(high):
        raise _bucket_error("lower and upper bounds must be finite")
    if low == high:
        raise _bucket_error("lower bound cannot equal upper bound")
    ascending = low < high
    if (value < low) if ascending else (value > low):
        return 0
    if (value >= high) if ascending else (value <= high):
        return check_integer(count + 1, "int4")
    position = (value - low) / (high - low) if ascending else (low - value) / (low - high)
    return min(int(count * position), count - 1) + 1


def _width_bucket_numeric(value: Decimal, low: Decimal, high: Decimal, count: int) -> int:
    _check_count(count)
    if value.is_nan() or low.is_nan() or high.is_nan():
        raise _bucket_error("operand, lower bound, and upper bound cannot be NaN")
    if low.is_infinite() or high.is_infinite():
        raise _bucket_error("lower and upper bounds must be finite")
    if low == high:
        raise _bucket_error("lower bound cannot equal upper bound")
    ascending = low < high
    if (value < low) if ascending else (value > low):
        return 0
    if (value >= high) if ascending else (value <= high):
        return check_integer(count + 1, "int4")
    context = numeric.EXACT
    span = context.subtract(high, low)
    offset = context.subtract(value, low)
    scaled = context.multiply(offset, Decimal(count))
    return int(numeric.TRUNCATING.divide_int(scaled, span)) + 1


def _width_bucket_array(site: CallSite) -> Callable[[Datum, Array[Datum]], int]:
    key = comparison_key(site.args[0])

    def width_bucket(value: Datum, thresholds: Array[Datum]) -> int:
        if len(thresholds.dimensions) > 1:
            raise SqlError("2202E", "thresholds must be one-dimensional array")
        if None in thresholds.elements:
            raise SqlError("22004", "thresholds array must not contain NULLs")
        low, high = 0, len(thresholds.elements)
        wanted = value if key is None else key(value)
        while low < high:
            middle = (low + high) // 2
            threshold = thresholds.elements[middle]
            if wanted < (threshold if key is None else key(threshold)):
                high = middle
            else:
                low = middle + 1
        return low

    return width_bucket


def _define_buckets() -> None:
    define("width_bucket(float8,float8,float8,int4)", "int4", _width_bucket_float)
    define("width_bucket(numeric,numeric,numeric,int4)", "int4", _width_bucket_numeric)
    define(
        "width_bucket(anycompatible,anycompatiblearray)",
        "int4",
        _width_bucket_array,
        needs_types=True,
    )


_define_floats()
_define_integers()
_define_numerics()
_define_buckets()
