"""Scalars that must not be moved or repeated."""

from expr.registry import function_by_id
from expr.scalar import Call, Scalar, children


def is_volatile(scalar: Scalar) -> bool:
    """Whether `scalar` may give another value each time."""
    if isinstance(scalar, Call):
        try:
            if function_by_id(scalar.function).volatile:
                return True
        except KeyError:
            return True
    return any(map(is_volatile, children(scalar)))
