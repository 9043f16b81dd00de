"""The numeric type: exact decimals with PostgreSQL's display scales and limits.

A numeric is a `Decimal` whose exponent is minus its display scale (never positive), without a
negative zero; NaN and the infinities are Decimal's. Division and the transcendental functions pick
their result scale as PostgreSQL does (select_div_scale and its kin in utils/adt/numeric.c), which
counts digits in groups of four. Every operation bounds the digits it computes beforehand.
"""

import re
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
)
from typing import Final

from core.errors import NUMERIC_VALUE_OUT_OF_RANGE, SqlError
from expr.errors import division_by_zero, invalid_syntax, numeric_overflow

MAX_INTEGER_DIGITS: Final = 131_072
MAX_SCALE: Final = 16_383
MIN_SIGNIFICANT_DIGITS: Final = 16
MAX_RESULT_SCALE: Final = 1_000  # NUMERIC_MAX_PRECISION, the cap of a computed display scale
MAX_EXPONENT: Final = 2**31 // 2 - 1

EXACT: Final = Context(
    prec=400_000,
    rounding=ROUND_HALF_UP,
    Emin=MIN_EMIN,
    Emax=MAX_EMAX,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[],
)
TRUNCATING: Final = Context(
    prec=400_000, rounding=ROUND_DOWN, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[]
)
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
NAN: Final = Decimal("NaN")
INFINITY: Final = Decimal("Infinity")
_LARGEST: Final = Decimal((0, (1,), MAX_INTEGER_DIGITS))

_NUMBER: Final = re.compile(
    r"[ \t\n\r\f\v]*([+-]?)(?:"
    r"(?P<radix>0[xX](?:_?[0-9a-fA-F]+)+|0[oO](?:_?[0-7]+)+|0[bB](?:_?[01]+)+)"
    r"|(?P<decimal>(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+(?:_\d+)*)?)"
    r"|(?P<special>nan|inf|infinity))[ \t\n\r\f\v]*",
    re.ASCII | re.IGNORECASE,
)
_PLAIN: Final = re.compile(r"-?\d{1,1000}(?:\.\d{1,1000})?", re.ASCII)

_quanta: dict[int, Decimal] = {scale: Decimal((0, (1,), -scale)) for scale in range(64)}


def quantum(scale: int) -> Decimal:
    """10 to the minus `scale`, with that scale."""
    return _quanta.get(scale) or Decimal((0, (1,), -scale))


def parse_numeric(text: str) -> Decimal:
    """numeric_in without a modifier."""
    if _PLAIN.fullmatch(text):
        value = Decimal(text)
        return value or value.copy_abs()
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise invalid_syntax("numeric", text)
    sign = match[1]
    if match["special"] is not None:
        if match["special"][0] in "nN":
            if sign:
                raise invalid_syntax("numeric", text)
            return NAN
        return INFINITY.copy_negate() if sign == "-" else INFINITY
    if match["radix"] is not None:
        return _parse_radix(sign, match["radix"].replace("_", ""))
    return _parse_decimal(sign, match["decimal"].replace("_", ""))


def _parse_radix(sign: str, digits: str) -> Decimal:
    bits_per_digit = {"x": 4, "o": 3, "b": 1}[digits[1].lower()]
    if (len(digits) - 2) * bits_per_digit > 440_000:
        raise numeric_overflow()
    value = Decimal(int(digits, 0))
    return check(EXACT.minus(value) if sign == "-" else value)


def _parse_decimal(sign: str, digits: str) -> Decimal:
    mantissa, _, exponent_text = digits.lower().partition("e")
    if len(exponent_text.lstrip("+-0")) >= 10:
        raise numeric_overflow()
    exponent = int(exponent_text or 0)
    whole, _, fraction = mantissa.partition(".")
    if len(fraction) - exponent > MAX_SCALE:
        raise numeric_overflow()
    if not (whole + fraction).strip("0"):
        return quantum(max(len(fraction) - exponent, 0)) * 0
    if len(whole.lstrip("0")) + exponent > MAX_INTEGER_DIGITS:
        raise numeric_overflow()
    value = EXACT.create_decimal(f"{sign}{mantissa}")
    scale = max(len(fraction) - exponent, 0)
    return check(EXACT.quantize(EXACT.scaleb(value, exponent), quantum(scale)))


def check(value: Decimal) -> Decimal:
    """`value` as a numeric: no negative zero, no positive exponent, within the limits."""
    if not value:
        return value.copy_abs()
    if value.adjusted() >= MAX_INTEGER_DIGITS and value.is_finite():
        raise numeric_overflow()
    return value


def format_numeric(value: Decimal) -> str:
    """numeric_out."""
    return f"{value:f}" if value.is_finite() else str(value)


def scale_of(value: Decimal) -> int:
    """The display scale; 0 for NaN and the infinities."""
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def add(left: Decimal, right: Decimal) -> Decimal:
    result = EXACT.add(left, right)
    if not result:
        return result.copy_abs()
    if result.adjusted() >= MAX_INTEGER_DIGITS:
        return check(result)
    return result


def subtract(left: Decimal, right: Decimal) -> Decimal:
    result = EXACT.subtract(left, right)
    if not result:
        return result.copy_abs()
    if result.adjusted() >= MAX_INTEGER_DIGITS:
        return check(result)
    return result


def multiply(left: Decimal, right: Decimal) -> Decimal:
    result = EXACT.multiply(left, right)
    if not result:
        return result.copy_abs()
    if result.adjusted() >= MAX_INTEGER_DIGITS or scale_of(result) > MAX_SCALE:
        if result.is_finite() and scale_of(result) > MAX_SCALE:
            result = EXACT.quantize(result, quantum(MAX_SCALE))
        return check(result)
    return result


def negate(value: Decimal) -> Decimal:
    return value.copy_negate() if value and not value.is_nan() else value


def divide(left: Decimal, right: Decimal) -> Decimal:
    """numeric_div: the quotient at the scale that select_div_scale picks."""
    if not (left.is_finite() and right.is_finite()):
        return _divide_special(left, right)
    if not right:
        raise division_by_zero()
    return divide_at_scale(left, right, division_scale(left, right))


def _divide_special(left: Decimal, right: Decimal) -> Decimal:
    if left.is_nan() or right.is_nan():
        return NAN
    if left.is_infinite():
        if right.is_infinite():
            return NAN
        if not right:
            raise division_by_zero()
        return left.copy_negate() if right.is_signed() else left
    return ZERO


def divide_at_scale(left: Decimal, right: Decimal, scale: int, context: Context = EXACT) -> Decimal:
    """The finite quotient rounded half up (or as `context` rounds) to `scale` digits, correctly.

    The integer quotient of the scaled operands is exact; its remainder decides the rounding.
    """
    if not left:
        return quantum(scale) * 0
    shifted = EXACT.scaleb(left, scale + 1)
    digits = shifted.adjusted() - right.adjusted()
    if digits - scale > MAX_INTEGER_DIGITS + 2:
        raise numeric_overflow()
    if digits < -1:
        return quantum(scale) * 0
    # One digit past the last, truncated: enough to round half away from zero.
    quotient = TRUNCATING.divide_int(shifted, right)
    result = context.quantize(EXACT.scaleb(quotient, -(scale + 1)), quantum(scale))
    return check(result)


def _weight(value: Decimal) -> tuple[int, int]:
    """The position and value of the first base-10000 digit, as PostgreSQL stores a numeric."""
    if not value:
        return 0, 0
    adjusted = value.adjusted()
    weight = adjusted // 4
    digits = adjusted - 4 * weight + 1  # decimal digits in the leading group
    leading = value.as_tuple().digits[:digits]
    first = 0
    for digit in leading:
        first = first * 10 + digit
    return weight, first * 10 ** (digits - len(leading))


def _leading_group(value: Decimal) -> tuple[int, int]:
    # as_tuple() is linear in the digits; scaling down first keeps only the ones that matter.
    if len(str(value)) > 64:
        value = Context(prec=8, rounding=ROUND_DOWN, Emin=MIN_EMIN, Emax=MAX_EMAX).plus(value)
    return _weight(value)


def division_scale(left: Decimal, right: Decimal) -> int:
    """select_div_scale: at least 16 significant digits and the scales of both operands."""
    left_weight, left_first = _leading_group(left)
    right_weight, right_first = _leading_group(right)
    quotient_weight = left_weight - right_weight
    if left_first <= right_first:
        quotient_weight -= 1
    scale = MIN_SIGNIFICANT_DIGITS - quotient_weight * 4
    scale = max(scale, scale_of(left), scale_of(right), 0)
    return min(scale, MAX_RESULT_SCALE)


def modulo(left: Decimal, right: Decimal) -> Decimal:
    """numeric_mod: the remainder of truncated division."""
    if not (left.is_finite() and right.is_finite()):
        if left.is_nan() or right.is_nan():
            return NAN
        if left.is_infinite():
            if not right:
                raise division_by_zero()
            return NAN
        return left
    if not right:
        raise division_by_zero()
    scale = max(scale_of(left), scale_of(right))
    remainder = EXACT.remainder(left, right)
    return check(EXACT.quantize(remainder, quantum(scale)))


def quotient(left: Decimal, right: Decimal) -> Decimal:
    """numeric_div_trunc: the integer part of the quotient."""
    if not (left.is_finite() and right.is_finite()):
        return _divide_special(left, right)
    if not right:
        raise division_by_zero()
    return check(EXACT.quantize(TRUNCATING.divide_int(left, right), ONE))


def round_to(value: Decimal, scale: int) -> Decimal:
    """numeric_round, half away from zero; a negative scale rounds before the point."""
    return _requantize(value, scale, EXACT)


def truncate_to(value: Decimal, scale: int) -> Decimal:
    """numeric_trunc."""
    return _requantize(value, scale, TRUNCATING)


def _requantize(value: Decimal, scale: int, context: Context) -> Decimal:
    if not value.is_finite():
        return value
    scale = max(min(scale, MAX_SCALE), -MAX_INTEGER_DIGITS)
    if scale >= 0:
        return check(context.quantize(value, quantum(scale)))
    rounded = context.quantize(value, Decimal((0, (1,), -scale)))
    return check(EXACT.quantize(rounded, ONE))


def ceiling(value: Decimal) -> Decimal:
    return value if not value.is_finite() else check(value.quantize(ONE, ROUND_CEILING, EXACT))


def floor(value: Decimal) -> Decimal:
    return value if not value.is_finite() else check(value.quantize(ONE, ROUND_FLOOR, EXACT))


def to_integer(value: Decimal, low: int, high: int, type_name: str) -> int:
    """The nearest integer, half away from zero, bounded before it is computed."""
    if not value.is_finite():
        kind = "NaN" if value.is_nan() else "infinity"
        raise SqlError("0A000", f"cannot convert {kind} to {type_name}")
    if value.adjusted() < 20:
        result = int(value.quantize(ONE, ROUND_HALF_UP, EXACT))
        if low <= result <= high:
            return result
    raise SqlError(NUMERIC_VALUE_OUT_OF_RANGE, f"{type_name} out of range")


def apply_typmod(value: Decimal, modifier: int) -> Decimal:
    """A numeric(precision, scale)'s rounding and its overflow check."""
    precision, scale = precision_and_scale(modifier)
    if not value.is_finite():
        if value.is_nan():
            return value
        raise _field_overflow(
            f"A field with precision {precision}, scale {scale} cannot hold an infinite value."
        )
    if scale >= 0:
        result = EXACT.quantize(value, quantum(scale))
    else:
        rounded = EXACT.quantize(value, Decimal((0, (1,), -scale)))
        result = EXACT.quantize(rounded, ONE)
    if not result:
        return result.copy_abs()
    digits = precision - scale
    if result.adjusted() >= digits:
        bound = f"10^{digits}" if digits else "1"
        raise _field_overflow(
            f"A field with precision {precision}, scale {scale} must round to an absolute value"
            f" less than {bound}."
        )
    return result


def precision_and_scale(modifier: int) -> tuple[int, int]:
    """What a numeric's type modifier says."""
    packed = modifier - 4
    scale = packed & 0x7FF
    return (packed >> 16) & 0xFFFF, (scale ^ 1024) - 1024


def _field_overflow(detail: str) -> SqlError:
    return SqlError(NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow", detail=detail)


def square_root_at_scale(value: Decimal, scale: int) -> Decimal:
    """The square root of a finite, non-negative value, rounded half up to `scale` digits."""
    if not value:
        return quantum(max(scale, 0)) * 0
    precision = max(value.adjusted() // 2 + 1 + scale + 2, 4)
    context = Context(prec=precision, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
    unit = quantum(scale)
    root = TRUNCATING.quantize(context.sqrt(value), unit)
    # The truncated root may be one too large after sqrt's own rounding; then round by the half.
    if EXACT.multiply(root, root) > value:
        root = EXACT.subtract(root, unit)
    middle = EXACT.add(root, quantum(scale + 1) * 5)
    return EXACT.add(root, unit) if EXACT.multiply(middle, middle) <= value else root
