"""Table functions: series, unnest, subscripts, splits."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from core.rows import Array, Datum, Interval
from core.sql_types import (
    INT4,
    INT8,
    INTERVAL,
    NUMERIC,
    REGCLASS,
    TEXT,
    TIMESTAMP,
    TIMESTAMPTZ,
    Column,
    SqlType,
)
from expr import numeric
from expr.calendar_days import MICROSECONDS_PER_SECOND
from expr.errors import out_of_range
from expr.functions.casts import is_finite_time
from expr.functions.datetimes import timestamp_series
from expr.functions.strings import split_string
from expr.registry import FunctionKind, define, type_named
from expr.timezones import abbreviation_at, daylight_saving_at, offset_at, zone_named

Rows = Iterator[tuple[Datum, ...]]
TABLE: Final = FunctionKind.TABLE
_ZERO_STEP: Final = "step size cannot equal zero"


def table_function(
    signature: str,
    implementation: Callable[..., object],
    columns: tuple[Column, ...],
    *,
    returns: str | None = None,
    strict: bool = True,
    needs_context: bool = False,
    needs_types: bool = False,
) -> None:
    """Register a table function; with several columns it returns a record."""
    result = returns or (columns[0].type.name if len(columns) == 1 else "record")
    define(
        *(signature, result, implementation),
        kind=TABLE,
        strict=strict,
        needs_context=needs_context,
        needs_types=needs_types,
        columns=columns,
    )


def _integers(start: int, stop: int, step: int = 1) -> Rows:
    if step == 0:
        raise SqlError(INVALID_PARAMETER_VALUE, _ZERO_STEP)
    return zip(range(start, stop + (1 if step > 0 else -1), step))


def _numerics(start: Decimal, stop: Decimal, step: Decimal = numeric.ONE) -> Rows:
    for name, value in (("start", start), ("stop", stop), ("step size", step)):
        if value.is_nan():
            raise SqlError(
                INVALID_PARAMETER_VALUE, f"{name} value cannot be NaN".replace("size value", "size")
            )
        if value.is_infinite():
            raise SqlError(
                INVALID_PARAMETER_VALUE,
                f"{name} value cannot be infinity".replace("size value", "size"),
            )
    if step == 0:
        raise SqlError(INVALID_PARAMETER_VALUE, _ZERO_STEP)
    return _numeric_steps(start, stop, step)


def _numeric_steps(start: Decimal, stop: Decimal, step: Decimal) -> Rows:
    current = start
    ascending = step > 0
    while current <= stop if ascending else current >= stop:
        yield (current,)
        current = numeric.add(current, step)


def _unnest(array: Array[Datum]) -> Rows:
    return ((item,) for item in array.elements)


def _expanded(array: Array[Datum]) -> Rows:
    return ((item, index) for index, item in enumerate(array.elements, 1))


def _timezone_offset(name: str, timestamp: int) -> Rows:
    zone = zone_named(name)
    if not is_finite_time(timestamp):
        raise out_of_range("timestamp")
    saving = daylight_saving_at(zone, timestamp)
    base = offset_at(zone, timestamp) - saving
    yield (
        abbreviation_at(zone, timestamp),
        Interval(0, 0, base * MICROSECONDS_PER_SECOND),
        Interval(0, 0, saving * MICROSECONDS_PER_SECOND),
    )


def _subscripts(array: Array[Datum], dimension: int, descending: bool = False) -> Rows:
    if not 1 <= dimension <= len(array.dimensions):
        return iter(())
    length, lower = array.dimensions[dimension - 1]
    indexes = range(lower, lower + length)
    return zip(reversed(indexes) if descending else indexes)


def _string_to_table(text: str | None, delimiter: str | None, null_text: str | None = None) -> Rows:
    parts = split_string(text, delimiter, null_text)
    return iter(()) if parts is None else ((part,) for part in parts)


def _column(name: str, sql_type: SqlType) -> tuple[Column, ...]:
    return (Column(name, sql_type),)


def _define_all() -> None:
    series: tuple[tuple[str, SqlType, Callable[..., Rows]], ...] = (
        ("int4", INT4, _integers),
        ("int8", INT8, _integers),
        ("numeric", NUMERIC, _numerics),
    )
    for name, sql_type, function in series:
        columns = _column("generate_series", sql_type)
        table_function(f"generate_series({name},{name})", function, columns)
        table_function(f"generate_series({name},{name},{name})", function, columns)
    table_function(
        "generate_series(timestamp,timestamp,interval)",
        lambda start, stop, step: timestamp_series(start, stop, step, None),
        _column("generate_series", TIMESTAMP),
    )
    table_function(
        "generate_series(timestamptz,timestamptz,interval)",
        lambda c, start, stop, step: timestamp_series(start, stop, step, zone_named(c.time_zone)),
        _column("generate_series", TIMESTAMPTZ),
        needs_context=True,
    )
    table_function(
        "generate_series(timestamptz,timestamptz,interval,text)",
        lambda start, stop, step, zone: timestamp_series(start, stop, step, zone_named(zone)),
        _column("generate_series", TIMESTAMPTZ),
    )
    table_function(
        "timezone_offset(text,timestamptz)",
        _timezone_offset,
        (
            Column("abbrev", TEXT),
            Column("base_utc_offset", INTERVAL),
            Column("dst_offset", INTERVAL),
        ),
    )
    table_function(
        "_pg_expandarray(anyarray)",
        _expanded,
        (Column("x", type_named("anyelement")), Column("n", INT4)),
    )
    table_function("unnest(anyarray)", _unnest, _column("unnest", type_named("anyelement")))
    for arguments in ("anyarray,int4", "anyarray,int4,bool"):
        table_function(
            f"generate_subscripts({arguments})", _subscripts, _column("generate_subscripts", INT4)
        )
    for arguments in ("text,text", "text,text,text"):
        table_function(
            *(f"string_to_table({arguments})", _string_to_table),
            _column("string_to_table", TEXT),
            strict=False,
        )
    # Nothing is partitioned.
    table_function("pg_partition_ancestors(regclass)", lambda _: (), _column("relid", REGCLASS))


_define_all()
