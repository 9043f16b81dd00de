"""Roots, powers and logarithms of numerics at the result scales PostgreSQL picks.

Digits past the wanted scale are computed with a margin and rounded half away from zero; the
working precision is bounded before anything is computed.
"""

import math
from decimal import MAX_EMAX, MIN_EMIN, ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from typing import Final

from core.errors import NUMERIC_VALUE_OUT_OF_RANGE, SqlError
from expr import numeric
from expr.errors import division_by_zero, numeric_overflow
from expr.numeric import (
    EXACT,
    INFINITY,
    MAX_INTEGER_DIGITS,
    MAX_RESULT_SCALE,
    MIN_SIGNIFICANT_DIGITS,
    NAN,
    ONE,
    ZERO,
    check,
    quantum,
    scale_of,
)

MAX_NATURAL_LOGARITHM: Final = 2_000 * 3.01  # beyond it a power overflows or vanishes
_MAX_EXPONENT: Final = 6_000.0  # of e, likewise
_LN_10: Final = math.log(10)
_GUARD_DIGITS: Final = 12
INVALID_LOGARITHM: Final = "2201E"
INVALID_POWER: Final = "2201F"


def _context(digits: int) -> Context:
    return Context(
        prec=max(digits, 20), rounding=ROUND_HALF_UP, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[]
    )


def _fit(value: Decimal, scale: int) -> Decimal:
    return check(EXACT.quantize(value, quantum(scale)))


def _weight(value: Decimal) -> int:
    """The position of the first base-10000 digit."""
    return value.adjusted() // 4 if value else 0


def square_root(value: Decimal) -> Decimal:
    """numeric_sqrt."""
    if value.is_nan():
        return value
    if value < 0:
        raise SqlError(INVALID_POWER, "cannot take square root of a negative number")
    if value.is_infinite():
        return value
    weight = _weight(value)
    if weight >= 0:
        digits = weight * 4 // 2 + 1
    else:
        digits = 1 - (-weight) * 4 // 2
    scale = max(MIN_SIGNIFICANT_DIGITS - digits, scale_of(value), 0)
    return numeric.square_root_at_scale(value, min(scale, MAX_RESULT_SCALE))


def exponential(value: Decimal) -> Decimal:
    """numeric_exp."""
    if value.is_nan():
        return value
    if value.is_infinite():
        return value if value > 0 else ZERO
    exponent = _as_float(value)
    if exponent >= _MAX_EXPONENT:
        raise numeric_overflow()
    estimate = max(exponent / _LN_10, -16_384.0)
    scale = max(MIN_SIGNIFICANT_DIGITS - int(estimate), scale_of(value), 0)
    scale = min(scale, MAX_RESULT_SCALE)
    if -exponent >= _MAX_EXPONENT or estimate < -scale - 4:
        return quantum(scale) * 0
    digits = max(int(estimate), 0) + scale + _GUARD_DIGITS
    return _fit(_context(digits).exp(value), scale)


def _as_float(value: Decimal) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _logarithm_weight(value: Decimal) -> int:
    """estimate_ln_dweight: the decimal weight of the natural logarithm."""
    if value <= 0:
        return 0
    if Decimal("0.9") <= value <= Decimal("1.1"):
        distance = EXACT.subtract(value, ONE)
        return distance.adjusted() if distance else 0
    leading = Context(prec=17, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[]).plus(value)
    exponent = leading.adjusted()
    mantissa = float(leading.scaleb(-exponent, Context(Emin=MIN_EMIN, Emax=MAX_EMAX)))
    logarithm = math.log(mantissa) + exponent * _LN_10
    return int(math.log10(abs(logarithm)))


def _check_logarithm(value: Decimal) -> None:
    if value == 0:
        raise SqlError(INVALID_LOGARITHM, "cannot take logarithm of zero")
    if value < 0:
        raise SqlError(INVALID_LOGARITHM, "cannot take logarithm of a negative number")


def natural_logarithm(value: Decimal) -> Decimal:
    """numeric_ln."""
    if value.is_nan():
        return value
    _check_logarithm(value)
    if value.is_infinite():
        return value
    scale = MIN_SIGNIFICANT_DIGITS - _logarithm_weight(value)
    scale = min(max(scale, scale_of(value), 0), MAX_RESULT_SCALE)
    return _fit(_ln(value, scale + _GUARD_DIGITS), scale)


def _ln(value: Decimal, digits_after_point: int) -> Decimal:
    digits = digits_after_point + 8
    if Decimal("0.5") < value < 2:
        distance = EXACT.subtract(value, ONE)
        digits = max(digits, digits_after_point + 8)
        if not distance:
            return ZERO
    return _context(digits).ln(value)


def decimal_logarithm(value: Decimal) -> Decimal:
    """log10: numeric_log with base 10."""
    return logarithm(Decimal(10), value)


def logarithm(base: Decimal, value: Decimal) -> Decimal:
    """numeric_log."""
    if base.is_nan() or value.is_nan():
        return NAN
    _check_logarithm(base)
    _check_logarithm(value)
    if base.is_infinite() or value.is_infinite():
        if base.is_infinite():
            return NAN if value.is_infinite() else ZERO
        return INFINITY
    base_weight = _logarithm_weight(base)
    value_weight = _logarithm_weight(value)
    scale = MIN_SIGNIFICANT_DIGITS - (value_weight - base_weight)
    scale = min(max(scale, scale_of(base), scale_of(value), 0), MAX_RESULT_SCALE)
    digits = scale + abs(value_weight) + abs(base_weight) + _GUARD_DIGITS
    base_logarithm = _ln(base, digits)
    if not base_logarithm:
        raise division_by_zero()
    result = _context(digits + 8).divide(_ln(value, digits), base_logarithm)
    return _fit(result, scale)


def power(base: Decimal, exponent: Decimal) -> Decimal:
    """numeric_power."""
    if base.is_nan():
        return ONE if exponent == 0 else base
    if exponent.is_nan():
        return ONE if base == 1 else exponent
    if base == 0 and exponent < 0:
        raise SqlError(INVALID_POWER, "zero raised to a negative power is undefined")
    is_integer = exponent.is_infinite() or exponent == EXACT.to_integral_value(exponent)
    if base < 0 and not is_integer:
        raise SqlError(
            INVALID_POWER,
            "a negative number raised to a non-integer power yields a complex result",
        )
    if base.is_infinite() or exponent.is_infinite():
        return _infinite_power(base, exponent)
    if is_integer and exponent.adjusted() < 10 and -(2**31) <= int(exponent) < 2**31:
        scale = max(scale_of(base), scale_of(exponent))
        return _integer_power(base, int(exponent), scale)
    return _real_power(base, exponent, is_integer=is_integer)


def _infinite_power(base: Decimal, exponent: Decimal) -> Decimal:
    if base == 1 or exponent == 0:
        return ONE
    if exponent.is_infinite():
        if base == -1:
            return ONE
        grows = (abs(base) > 1) == (exponent > 0)
        return INFINITY if grows else ZERO
    if exponent < 0:
        return ZERO
    if base > 0:
        return INFINITY
    is_odd = EXACT.remainder(exponent, Decimal(2)) != 0
    return INFINITY.copy_negate() if is_odd else INFINITY


def _integer_power(base: Decimal, exponent: int, input_scale: int) -> Decimal:
    if base == 0:
        return (
            quantum(_power_scale(0.0, input_scale)) * (0 if exponent else 1)
            if exponent
            else (_fit(ONE, _power_scale(0.0, input_scale)))
        )
    estimate = exponent * _log10(base)
    if estimate > 3 * MAX_INTEGER_DIGITS or estimate > MAX_INTEGER_DIGITS + 1:
        raise numeric_overflow()
    scale = _power_scale(estimate, input_scale)
    if estimate + 1 < -scale:
        return quantum(scale) * 0
    digits = max(int(estimate), 0) + scale + _GUARD_DIGITS + len(str(abs(exponent)))
    context = _context(max(digits, 20))
    return _fit(context.power(base, Decimal(exponent)), scale)


def _log10(base: Decimal) -> float:
    """The logarithm of the leading base-10000 digits, as PostgreSQL estimates it."""
    leading = Context(prec=20, rounding=ROUND_DOWN, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
    magnitude = leading.plus(base.copy_abs())
    digits = magnitude.as_tuple().digits
    weight = magnitude.adjusted() // 4
    first = magnitude.adjusted() - 4 * weight + 1  # digits in the leading group
    padded = "".join(map(str, digits)).rstrip("0").ljust(first, "0")
    groups = 1 + min((max(len(padded) - first, 0) + 3) // 4, 3)
    size = first + 4 * (groups - 1)
    mantissa = float(int(padded[:size].ljust(size, "0")))
    return math.log10(mantissa) + 4 * (weight - (groups - 1))


def _power_scale(estimate: float, input_scale: int) -> int:
    """At least 16 significant digits, and the scales of the operands."""
    scale = MIN_SIGNIFICANT_DIGITS - int(estimate)
    return min(max(scale, input_scale, 0), MAX_RESULT_SCALE)


def _real_power(base: Decimal, exponent: Decimal, *, is_integer: bool) -> Decimal:
    is_negative = base < 0 and EXACT.remainder(exponent, Decimal(2)) != 0
    magnitude = base.copy_abs()
    input_scale = max(scale_of(base), scale_of(exponent))
    if not magnitude:
        return quantum(MIN_SIGNIFICANT_DIGITS) * 0
    ln_scale = max(8 - _logarithm_weight(magnitude), 0)
    rough = _fit(_ln(magnitude, ln_scale + _GUARD_DIGITS), ln_scale)
    natural = _as_float(_context(60).quantize(rough * exponent, quantum(ln_scale)))
    if natural != natural or abs(natural) > 2_000 * 3.01:
        natural = _as_float(rough) * _as_float(exponent)
    if abs(natural) > MAX_NATURAL_LOGARITHM:
        if natural > 0:
            raise numeric_overflow()
        return quantum(MAX_RESULT_SCALE) * 0
    estimate = natural * 0.434294481903252
    scale = _power_scale(estimate, input_scale)
    if estimate + 1 < -scale:
        return quantum(scale) * 0
    digits = max(int(estimate), 0) + scale + _GUARD_DIGITS
    result = _fit(_context(digits).power(magnitude, exponent), scale)
    return numeric.negate(result) if is_negative else result


def minimal_scale(value: Decimal) -> int | None:
    """The least scale that holds the value exactly."""
    if not value.is_finite():
        return None
    return scale_of(trim_scale(value))


def trim_scale(value: Decimal) -> Decimal:
    """The value without trailing zeros after the point."""
    if not value.is_finite() or scale_of(value) == 0:
        return value
    if not value:
        return ZERO
    stripped = value.normalize(EXACT)
    return stripped if scale_of(stripped) >= 0 else EXACT.quantize(stripped, ONE)


def greatest_common_divisor(left: Decimal, right: Decimal) -> Decimal:
    if not (left.is_finite() and right.is_finite()):
        return NAN
    scale = max(scale_of(left), scale_of(right))
    if max(left.adjusted(), right.adjusted()) + scale > 5_000:
        raise SqlError(NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
    divisor = math.gcd(int(EXACT.scaleb(left, scale)), int(EXACT.scaleb(right, scale)))
    return _fit(EXACT.scaleb(Decimal(divisor), -scale), scale)


def least_common_multiple(left: Decimal, right: Decimal) -> Decimal:
    if not (left.is_finite() and right.is_finite()):
        return NAN
    scale = max(scale_of(left), scale_of(right))
    if not left or not right:
        return quantum(scale) * 0
    divisor = greatest_common_divisor(left, right)
    factor = EXACT.divide_int(left.copy_abs(), divisor)
    return _fit(EXACT.multiply(factor, right.copy_abs()), scale)
