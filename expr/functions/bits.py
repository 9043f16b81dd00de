"""Bits of bytea values, counted from the least of the first byte."""

from core.errors import SqlError
from expr.registry import define


def get_bit(value: bytes, index: int) -> int:
    _check(value, index)
    return value[index // 8] >> index % 8 & 1


def set_bit(value: bytes, index: int, new: int) -> bytes:
    _check(value, index)
    if new not in (0, 1):
        raise SqlError("22023", "new bit must be 0 or 1")
    byte = value[index // 8] & ~(1 << index % 8) | new << index % 8
    return value[: index // 8] + bytes([byte]) + value[index // 8 + 1 :]


def _check(value: bytes, index: int) -> None:
    if not 0 <= index < len(value) * 8:
        raise SqlError("2202E", f"index {index} out of valid range, 0..{len(value) * 8 - 1}")


define("get_bit(bytea,int8)", "int4", get_bit)
define("set_bit(bytea,int8,int4)", "bytea", set_bit)
