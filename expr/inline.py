"""Operators that `expr.compile` writes out in place of a call: registry id to Python source.

`{0}` and `{1}` stand for the operands (atoms, never null), `{t}` for a fresh name. The source must
mean exactly what the registered implementation means; a property test compares the two.
"""

from typing import Any, Final

from expr import floats
from expr.errors import (
    raise_bigint,
    raise_division_by_zero,
    raise_float_overflow,
    raise_integer,
    raise_smallint,
)

NAMES: Final[dict[str, Any]] = {
    "_int2_overflow": raise_smallint,
    "_int4_overflow": raise_integer,
    "_int8_overflow": raise_bigint,
    "_division_by_zero": raise_division_by_zero,
    "_float_overflow": raise_float_overflow,
    "_inf": floats.INFINITY,
    "_ninf": -floats.INFINITY,
}

_BOUNDS: Final = {
    "int2": (-(2**15), 2**15 - 1),
    "int4": (-(2**31), 2**31 - 1),
    "int8": (-(2**63), 2**63 - 1),
}
_RANK: Final = {"int2": 0, "int4": 1, "int8": 2}
# Types whose datums compare as Python values, with the sets of types each compares with.
_COMPARABLE: Final = {
    **dict.fromkeys(("int2", "int4", "int8"), ("int2", "int4", "int8")),
    **{name: (name,) for name in ("text", "bool", "date", "time", "uuid", "bytea", "oid")},
    **{"timestamp": ("timestamp",), "timestamptz": ("timestamptz",), "name": ("name",)},
}
_COMPARISONS: Final = {"=": "==", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def _arithmetic() -> dict[str, str]:
    table: dict[str, str] = {}
    for left, left_rank in _RANK.items():
        for right, right_rank in _RANK.items():
            result = left if left_rank >= right_rank else right
            low, high = _BOUNDS[result]
            for symbol in "+-*":
                table[f"{symbol}({left},{right})"] = (
                    f"({{t}} if {low} <= ({{t}} := {{0}} {symbol} {{1}}) <= {high}"
                    f" else _{result}_overflow())"
                )
    for symbol in "+-":
        table[f"{symbol}(float8,float8)"] = (
            f"({{t}} if _ninf < ({{t}} := {{0}} {symbol} {{1}}) < _inf"
            f" else _float8_check({{t}}, {{0}}, {{1}}))"
        )
    return table


def _comparisons() -> dict[str, str]:
    table: dict[str, str] = {}
    for left, rights in _COMPARABLE.items():
        for right in rights:
            for symbol, python in _COMPARISONS.items():
                table[f"{symbol}({left},{right})"] = f"({{0}} {python} {{1}})"
    return table


def _casts() -> dict[str, str]:
    table = {"cast(int4,int8)": "{0}", "cast(int2,int4)": "{0}", "cast(int2,int8)": "{0}"}
    for source in ("text", "varchar", "name"):
        for target in ("text", "varchar"):
            if source != target:
                table[f"cast({source},{target})"] = "{0}"
    for source in ("int2", "int4", "int8"):
        table[f"cast({source},float8)"] = "float({0})"
        table[f"cast({source},text)"] = "str({0})"
        table[f"cast({source},numeric)"] = "_Decimal({0})"
    low, high = _BOUNDS["int4"]
    table["cast(int8,int4)"] = f"({{0}} if {low} <= {{0}} <= {high} else _int4_overflow())"
    table["cast(float4,float8)"] = "{0}"
    return table


TEMPLATES: Final[dict[str, str]] = _arithmetic() | _comparisons() | _casts()
# Templates over operands that may be null; they give no null.
NULL_TEMPLATES: Final = {
    "is_null(any)": "({0} is None)",
    "is_not_null(any)": "({0} is not None)",
    "is_true(bool)": "({0} is True)",
    "is_not_true(bool)": "({0} is not True)",
    "is_false(bool)": "({0} is False)",
    "is_not_false(bool)": "({0} is not False)",
}
TEMPLATES["not(bool)"] = "(not {0})"
