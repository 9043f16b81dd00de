"""Boolean tests, DISTINCT tests and the constructs that the planner writes as calls.

`is_null(any)` and its kin are SQL's IS tests; `array_of` is ARRAY[…], `row_of` is ROW(…),
`greatest` and `least` are SQL's; `limit_count` and `offset_count` refuse negative counts.
Quantified comparisons with arrays, `x op ANY (array)`, are the derived functions
`any:<operator id>` and `all:<operator id>` (`expr.functions.derived`).
"""

from collections.abc import Callable

from core import errors
from core.errors import SqlError
from core.rows import Array, Datum, Record
from expr.array_values import build_array
from expr.ordering import comparison_key, equality_key
from expr.registry import CallSite, define


def _distinct(site: CallSite) -> Callable[[Datum, Datum], bool]:
    key = equality_key(site.args[0])
    if key is None:
        return lambda left, right: left != right
    return lambda left, right: key(left) != key(right)


def _not_distinct(site: CallSite) -> Callable[[Datum, Datum], bool]:
    distinct = _distinct(site)
    return lambda left, right: not distinct(left, right)


def _extreme(site: CallSite, *, greatest: bool) -> Callable[..., Datum]:
    key = comparison_key(site.returns)
    choose = max if greatest else min

    def extreme(*args: Datum) -> Datum:
        present = [arg for arg in args if arg is not None]
        return choose(present, key=key) if present else None

    return extreme


def _array_of(site: CallSite) -> Callable[..., Array[Datum]]:
    nested = bool(site.args) and site.args[0].element is not None
    return lambda *items: build_array(items, nested=nested)


def _row_of(site: CallSite) -> Callable[..., Record]:
    types = site.args
    return lambda *items: Record.of(types, items)


define("is_null(any)", "bool", lambda value: value is None, strict=False)
define("is_not_null(any)", "bool", lambda value: value is not None, strict=False)
define("is_true(bool)", "bool", lambda value: value is True, strict=False)
define("is_not_true(bool)", "bool", lambda value: value is not True, strict=False)


def _row_count(word: str, sqlstate: str) -> Callable[[int], int]:
    def count(value: int) -> int:
        if value < 0:
            raise SqlError(sqlstate, f"{word} must not be negative")
        return value

    return count


define("limit_count(int8)", "int8", _row_count("LIMIT", "2201W"))
define("offset_count(int8)", "int8", _row_count("OFFSET", "2201X"))
define("is_false(bool)", "bool", lambda value: value is False, strict=False)
define("is_not_false(bool)", "bool", lambda value: value is not False, strict=False)
define("not(bool)", "bool", lambda value: not value)
define(
    "is_distinct_from(anycompatible,anycompatible)",
    "bool",
    _distinct,
    strict=False,
    needs_types=True,
)
define(
    "is_not_distinct_from(anycompatible,anycompatible)",
    "bool",
    _not_distinct,
    strict=False,
    needs_types=True,
)
define(
    "greatest(variadic anycompatible)",
    "anycompatible",
    lambda site: _extreme(site, greatest=True),
    strict=False,
    needs_types=True,
)
define(
    "least(variadic anycompatible)",
    "anycompatible",
    lambda site: _extreme(site, greatest=False),
    strict=False,
    needs_types=True,
)
define(
    "array_of(variadic anycompatible)",
    "anycompatiblearray",
    _array_of,
    strict=False,
    needs_types=True,
)
define("row_of(variadic any)", "record", _row_of, strict=False, needs_types=True)
define("field(record,int4)", "any", lambda record, index: record[index])


def _error_if_null(value: Datum, message: str | None) -> Datum:
    if value is None:
        raise SqlError(errors.NOT_NULL_VIOLATION, message or "null value not allowed")
    return value


define("mz_error_if_null(anyelement,text)", "anyelement", _error_if_null, strict=False)
define("num_nulls(variadic any)", "int4", lambda *args: args.count(None), strict=False)
define(
    "num_nonnulls(variadic any)",
    "int4",
    lambda *args: len(args) - args.count(None),
    strict=False,
)
