"""Comparison operators: every orderable type with itself, and the mixed pairs PostgreSQL has."""

import operator
from collections.abc import Callable
from typing import Final

from core.rows import DATE_INFINITY, TIMESTAMP_INFINITY, Array, Datum
from core.sql_types import SqlType
from expr.calendar_days import MICROSECONDS_PER_DAY
from expr.ordering import comparison_key, record_key
from expr.registry import CallSite, FunctionKind, define, type_named
from expr.scalar import EvaluationContext
from expr.timezones import from_local, zone_named

Comparison = Callable[[Datum, Datum], bool]

COMPARISONS: Final[dict[str, Comparison]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SELF_COMPARABLE: Final = (
    *("bool", "bytea", "char", "name", "int2", "int4", "int8", "text", "oid", "float4", "float8"),
    *("bpchar", "date", "time", "timestamp", "timestamptz", "interval", "numeric", "uuid"),
    *("jsonb", "mz_timestamp", "uint2", "uint4", "uint8"),
)
_MIXED: Final = (
    *(("int2", "int4"), ("int4", "int2"), ("int2", "int8"), ("int8", "int2")),
    *(("int4", "int8"), ("int8", "int4"), ("float4", "float8"), ("float8", "float4")),
    *(("name", "text"), ("text", "name")),
)


def _comparison(symbol: str, sql_type: SqlType) -> Comparison:
    compare = COMPARISONS[symbol]
    key = comparison_key(sql_type)
    if key is None:
        return compare
    return lambda left, right: compare(key(left), key(right))


def _array_comparison(symbol: str) -> Callable[[CallSite], Comparison]:
    return lambda site: _comparison(symbol, site.args[0])


def _record_comparison(symbol: str) -> Comparison:
    compare = COMPARISONS[symbol]
    return lambda left, right: compare(record_key(left), record_key(right))


def date_to_timestamp_key(day: int) -> int:
    """A date as the timestamp of its midnight, unbounded, for comparisons."""
    if day == DATE_INFINITY:
        return TIMESTAMP_INFINITY
    if day == -DATE_INFINITY:
        return -TIMESTAMP_INFINITY
    return min(day * MICROSECONDS_PER_DAY, TIMESTAMP_INFINITY - 1)


def _to_instant(context: EvaluationContext, local: int) -> int:
    if local in (TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY):
        return local
    return from_local(zone_named(context.time_zone), local)


def _define_dates(symbol: str, compare: Comparison) -> None:
    kind = FunctionKind.OPERATOR

    def date_instant(context: EvaluationContext, day: int) -> int:
        return _to_instant(context, date_to_timestamp_key(day))

    day_key = date_to_timestamp_key
    define(*(f"{symbol}(date,timestamp)", "bool", lambda a, b: compare(day_key(a), b)), kind=kind)
    define(*(f"{symbol}(timestamp,date)", "bool", lambda a, b: compare(a, day_key(b))), kind=kind)
    define(
        *(f"{symbol}(date,timestamptz)", "bool", lambda c, a, b: compare(date_instant(c, a), b)),
        kind=kind,
        needs_context=True,
    )
    define(
        *(f"{symbol}(timestamptz,date)", "bool", lambda c, a, b: compare(a, date_instant(c, b))),
        kind=kind,
        needs_context=True,
    )
    define(
        f"{symbol}(timestamp,timestamptz)",
        "bool",
        lambda c, a, b: compare(_to_instant(c, a), b),
        kind=kind,
        needs_context=True,
    )
    define(
        f"{symbol}(timestamptz,timestamp)",
        "bool",
        lambda c, a, b: compare(a, _to_instant(c, b)),
        kind=kind,
        needs_context=True,
    )


def _vector_key(value: Array[int]) -> tuple[int, tuple[int, ...]]:
    """The order of oidvectors: shorter ones first."""
    return len(value.elements), value.elements


def _define_all() -> None:
    kind = FunctionKind.OPERATOR
    for symbol, compare in COMPARISONS.items():
        for name in _SELF_COMPARABLE:
            define(
                f"{symbol}({name},{name})", "bool", _comparison(symbol, type_named(name)), kind=kind
            )
        for left, right in _MIXED:
            function = _comparison(symbol, type_named(left))
            define(f"{symbol}({left},{right})", "bool", function, kind=kind)
        define(
            f"{symbol}(anyarray,anyarray)",
            "bool",
            _array_comparison(symbol),
            kind=kind,
            needs_types=True,
        )
        define(f"{symbol}(record,record)", "bool", _record_comparison(symbol), kind=kind)
        define(
            f"{symbol}(oidvector,oidvector)",
            "bool",
            lambda a, b, c=compare: c(_vector_key(a), _vector_key(b)),
            kind=kind,
        )
        _define_dates(symbol, compare)
    for symbol in ("=", "<>"):
        define(f"{symbol}(xid,xid)", "bool", COMPARISONS[symbol], kind=kind)
        define(
            *(f"{symbol}(xid,int4)", "bool"),
            lambda a, b, c=COMPARISONS[symbol]: c(a, b % 2**32),
            kind=kind,
        )


_define_all()
