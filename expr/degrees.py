"""Trigonometry in degrees, exact where the result is rational.

Each function is built from pieces scaled so that 0, 30, 45, 60 and 90 degrees come out exact
whatever the rounding of pi: the construction of PostgreSQL's float.c.
"""

import math
from collections.abc import Callable
from typing import Final

from core.errors import NUMERIC_VALUE_OUT_OF_RANGE, SqlError

RADIANS_PER_DEGREE: Final = 0.0174532925199432957692
_SIN_30: Final = math.sin(30.0 * RADIANS_PER_DEGREE)
_ONE_MINUS_COS_60: Final = 1.0 - math.cos(60.0 * RADIANS_PER_DEGREE)
_ASIN_HALF: Final = math.asin(0.5)
_ACOS_HALF: Final = math.acos(0.5)
_ATAN_ONE: Final = math.atan(1.0)


def _sine_to_30(x: float) -> float:
    return math.sin(x * RADIANS_PER_DEGREE) / _SIN_30 / 2.0


def _cosine_to_60(x: float) -> float:
    return 1.0 - (1.0 - math.cos(x * RADIANS_PER_DEGREE)) / _ONE_MINUS_COS_60 / 2.0


def _sine_quadrant(x: float) -> float:
    return _sine_to_30(x) if x <= 30.0 else _cosine_to_60(90.0 - x)


def _cosine_quadrant(x: float) -> float:
    return _cosine_to_60(x) if x <= 60.0 else _sine_to_30(90.0 - x)


_TAN_45: Final = _sine_quadrant(45.0) / _cosine_quadrant(45.0)
_COT_45: Final = _cosine_quadrant(45.0) / _sine_quadrant(45.0)


def _reduced(value: float) -> float:
    if math.isinf(value):
        raise SqlError(NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
    return math.fmod(value, 360.0)


def sine(value: float) -> float:
    x = _reduced(value)
    sign = 1.0
    if x < 0.0:
        x, sign = -x, -sign
    if x > 180.0:
        x, sign = 360.0 - x, -sign
    if x > 90.0:
        x = 180.0 - x
    return sign * _sine_quadrant(x)


def cosine(value: float) -> float:
    x = abs(_reduced(value))
    sign = 1.0
    if x > 180.0:
        x = 360.0 - x
    if x > 90.0:
        x, sign = 180.0 - x, -sign
    return sign * _cosine_quadrant(x)


def tangent(value: float) -> float:
    return _ratio(value, _TAN_45, _sine_quadrant, _cosine_quadrant)


def cotangent(value: float) -> float:
    return _ratio(value, _COT_45, _cosine_quadrant, _sine_quadrant)


def _ratio(
    value: float,
    unit: float,
    numerator: Callable[[float], float],
    denominator: Callable[[float], float],
) -> float:
    x = _reduced(value)
    sign = 1.0
    if x < 0.0:
        x, sign = -x, -sign
    if x > 180.0:
        x, sign = 360.0 - x, -sign
    if x > 90.0:
        x, sign = 180.0 - x, -sign
    bottom = denominator(x)
    quotient = numerator(x) / bottom if bottom else math.copysign(math.inf, bottom)
    result = sign * (quotient / unit)
    return 0.0 if result == 0.0 else result


def _arc_sine_quadrant(x: float) -> float:
    if x <= 0.5:
        return math.asin(x) / _ASIN_HALF * 30.0
    return 90.0 - math.acos(x) / _ACOS_HALF * 60.0


def _arc_cosine_quadrant(x: float) -> float:
    if x <= 0.5:
        return 90.0 - math.asin(x) / _ASIN_HALF * 30.0
    return math.acos(x) / _ACOS_HALF * 60.0


def arc_sine(value: float) -> float:
    return _arc_sine_quadrant(value) if value >= 0.0 else -_arc_sine_quadrant(-value)


def arc_cosine(value: float) -> float:
    if value >= 0.0:
        return _arc_cosine_quadrant(value)
    return 90.0 + _arc_sine_quadrant(-value)


def arc_tangent(value: float) -> float:
    return math.atan(value) / _ATAN_ONE * 45.0


def arc_tangent_of(y: float, x: float) -> float:
    return math.atan2(y, x) / _ATAN_ONE * 45.0
