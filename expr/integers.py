"""Integers as the processor has them: of fixed width, divided toward zero."""


def wrap(value: int, bits: int) -> int:
    """The signed integer of so many bits that has the last bits of `value`."""
    half = 1 << (bits - 1)
    return ((value + half) & ((1 << bits) - 1)) - half


def split(value: int, unit: int) -> tuple[int, int]:
    """Quotient, cut toward zero, and remainder, which has the sign of `value`."""
    quotient, remainder = divmod(abs(value), abs(unit))
    return (
        -quotient if (value < 0) != (unit < 0) else quotient,
        -remainder if value < 0 else remainder,
    )
