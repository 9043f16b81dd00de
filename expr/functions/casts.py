"""Casts: pg_cast's rows for our types, and the derived ones.

Ids are `cast(source,target)`. Not registered but derived on demand: casts through text
(`cast(int4,text)`, `cast(text,int4)`), casts of arrays element by element, and
`modifier(type,int4,bool)`, which fits a value to a type modifier (its last argument says whether
the cast was explicit).
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, Final

from core.errors import DATETIME_FIELD_OVERFLOW, SqlError
from core.rows import DATE_INFINITY, TIMESTAMP_INFINITY, Array, Datum, Interval
from core.sql_types import BOOL, INT4, TYPES_BY_NAME, SqlType
from expr import floats, numeric
from expr.calendar_days import (
    END_TIMESTAMP,
    MICROSECONDS_PER_DAY,
    MIN_TIMESTAMP,
    UNIX_EPOCH_MICROSECONDS,
)
from expr.errors import out_of_range, raise_float_underflow
from expr.floats import round_to_single
from expr.functions.arithmetic import BOUNDS, SQL_NAMES, check_integer
from expr.intervals import is_infinite
from expr.json_values import load_jsonb
from expr.modifiers import fitting
from expr.numeric import to_integer
from expr.registry import (
    CallSite,
    Cast,
    CastContext,
    Function,
    FunctionKind,
    bind,
    cast_between,
    function_by_id,
    register,
    register_cast,
    register_derivation,
    type_named,
)
from expr.scalar import EvaluationContext
from expr.text_format import format_char, parse_char, text_input, text_output, truncate_name
from expr.timezones import from_local, to_local, zone_named

STRING_TYPES: Final = frozenset({"text", "varchar", "bpchar", "name", "unknown"})
_REGISTERED: Final = ("regproc", "regclass", "regtype", "regnamespace", "regrole")
_INTEGERS: Final = ("int2", "int4", "int8")
_UNSIGNED: Final = ("uint2", "uint4", "uint8")
_CAST_ID: Final = re.compile(r"cast\(([^,]+),([^)]+)\)")
_MODIFIER_ID: Final = re.compile(r"modifier\(([^,]+),int4,bool\)")
IMPLICIT: Final = CastContext.IMPLICIT
ASSIGNMENT: Final = CastContext.ASSIGNMENT
EXPLICIT: Final = CastContext.EXPLICIT


def _identity(value: Datum) -> Datum:
    return value


def _cast(
    source: str,
    target: str,
    context: CastContext,
    function: Callable[..., Any] = _identity,
    *,
    needs_context: bool = False,
) -> None:
    function_id = f"cast({source},{target})"
    arguments, returns = (type_named(source),), type_named(target)
    register(
        Function(
            *(function_id, "cast", FunctionKind.CAST, arguments, returns, function),
            needs_context=needs_context,
        )
    )
    register_cast(Cast(type_named(source), returns, context, function_id))


def _integer_casts() -> None:
    for position, source in enumerate(_INTEGERS):
        for other, target in enumerate(_INTEGERS):
            if position < other:
                _cast(source, target, IMPLICIT)
            elif position > other:
                _cast(source, target, ASSIGNMENT, partial(_narrow, target))
        _cast(source, "float4", IMPLICIT, lambda value: round_to_single(float(value)))
        _cast(source, "float8", IMPLICIT, float)
        _cast(source, "numeric", IMPLICIT, Decimal)
        _cast(source, "oid", IMPLICIT, partial(_to_oid, source))
        for target in _REGISTERED:
            _cast(source, target, IMPLICIT, partial(_to_oid, source))
        _cast(
            source,
            "bytea",
            EXPLICIT,
            partial(_integer_bytes, {"int2": 2, "int4": 4}.get(source, 8)),
        )
        _cast("bytea", source, EXPLICIT, partial(_bytes_integer, source))
    _cast("int4", "bool", EXPLICIT, bool)
    _cast("bool", "int4", EXPLICIT, int)
    _cast("int4", "char", EXPLICIT, _integer_to_char)
    _cast("char", "int4", EXPLICIT, _char_to_integer)


def _narrow(target: str, value: int) -> int:
    return check_integer(value, target)


def _to_oid(source: str, value: int) -> int:
    if source == "int8":
        if not 0 <= value < 2**32:
            raise SqlError("22003", "OID out of range")
        return value
    return value % 2**32


def _integer_bytes(size: int, value: int) -> bytes:
    return value.to_bytes(size, "big", signed=True)


def _bytes_integer(target: str, value: bytes) -> int:
    size = {"int2": 2, "int4": 4, "int8": 8}[target]
    if len(value) > size:
        raise out_of_range(SQL_NAMES[target])
    return int.from_bytes(value, "big", signed=len(value) == size)


def _integer_to_char(value: int) -> str:
    if not -128 <= value <= 127:
        raise SqlError("22003", '"char" out of range')
    return "" if value == 0 else chr(value % 256)


def _char_to_integer(value: str) -> int:
    if not value:
        return 0
    code = ord(value)
    return code - 256 if code > 127 else code


def _float_casts() -> None:
    _cast("float4", "float8", IMPLICIT)
    _cast("float8", "float4", ASSIGNMENT, _to_single)
    for source in ("float4", "float8"):
        for target in _INTEGERS:
            _cast(source, target, ASSIGNMENT, partial(_float_to_integer, target))
    _cast("float4", "numeric", ASSIGNMENT, lambda value: _float_to_numeric(value, 6))
    _cast("float8", "numeric", ASSIGNMENT, lambda value: _float_to_numeric(value, 15))
    for target in _INTEGERS:
        _cast("numeric", target, ASSIGNMENT, partial(_numeric_to_integer, target))
    _cast("numeric", "float8", IMPLICIT, _numeric_to_float8)
    _cast("numeric", "float4", IMPLICIT, _numeric_to_float4)


def _to_single(value: float) -> float:
    result = floats.single_result(value, value)
    if result == 0.0 and value != 0.0:
        raise_float_underflow()
    return result


def _float_to_integer(target: str, value: float) -> int:
    return floats.to_integer(value, *BOUNDS[target], SQL_NAMES.get(target, target))


def _float_to_numeric(value: float, digits: int) -> Decimal:
    if value != value:
        return numeric.NAN
    if value in (floats.INFINITY, -floats.INFINITY):
        return numeric.INFINITY if value > 0 else numeric.INFINITY.copy_negate()
    return numeric.parse_numeric(f"{value:.{digits}g}")


def _numeric_to_integer(target: str, value: Decimal) -> int:
    return to_integer(value, *BOUNDS[target], SQL_NAMES.get(target, target))


def _numeric_to_float8(value: Decimal) -> float:
    result = float(value)
    if value.is_finite() and (abs(result) == floats.INFINITY or (result == 0 and value)):
        raise SqlError(
            "22003", f'"{numeric.format_numeric(value)}" is out of range for type double precision'
        )
    return result


def _numeric_to_float4(value: Decimal) -> float:
    result = round_to_single(_numeric_to_float8(value))
    if value.is_finite() and (abs(result) == floats.INFINITY or (result == 0 and value)):
        raise SqlError("22003", f'"{numeric.format_numeric(value)}" is out of range for type real')
    return result


def _string_casts() -> None:
    for source, target in (("text", "varchar"), ("text", "bpchar"), ("varchar", "text")):
        _cast(source, target, IMPLICIT)
    _cast("varchar", "bpchar", IMPLICIT)
    for source in ("text", "varchar"):
        _cast(source, "char", ASSIGNMENT, parse_char)
        _cast(source, "name", IMPLICIT, truncate_name)
    for target in ("text", "varchar"):
        _cast("bpchar", target, IMPLICIT, lambda value: value.rstrip(" "))
    _cast("bpchar", "char", ASSIGNMENT, parse_char)
    _cast("bpchar", "name", IMPLICIT, lambda value: truncate_name(value.rstrip(" ")))
    _cast("char", "text", IMPLICIT, format_char)
    _cast("name", "text", IMPLICIT)
    for target in ("bpchar", "varchar"):
        _cast("char", target, ASSIGNMENT, format_char)
        _cast("name", target, ASSIGNMENT)
    for target in ("text", "varchar", "bpchar"):
        _cast("bool", target, ASSIGNMENT, lambda value: "true" if value else "false")


def date_to_timestamp(day: int) -> int:
    """A date's midnight. Raises SqlError 22008 beyond the timestamps."""
    if day == DATE_INFINITY:
        return TIMESTAMP_INFINITY
    if day == -DATE_INFINITY:
        return -TIMESTAMP_INFINITY
    result = day * MICROSECONDS_PER_DAY
    if result >= END_TIMESTAMP:
        raise SqlError(DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")
    return result


def timestamp_to_date(timestamp: int) -> int:
    """The day of a wall clock."""
    if timestamp == TIMESTAMP_INFINITY:
        return DATE_INFINITY
    if timestamp == -TIMESTAMP_INFINITY:
        return -DATE_INFINITY
    return timestamp // MICROSECONDS_PER_DAY


def is_finite_time(timestamp: int) -> bool:
    return timestamp not in (TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY)


def localize(context: EvaluationContext, local: int) -> int:
    """timestamp to timestamptz."""
    if not is_finite_time(local):
        return local
    moment = from_local(zone_named(context.time_zone), local)
    if not MIN_TIMESTAMP <= moment < END_TIMESTAMP:
        raise SqlError(DATETIME_FIELD_OVERFLOW, "timestamp out of range")
    return moment


def unlocalize(context: EvaluationContext, moment: int) -> int:
    """timestamptz to timestamp."""
    local = _wall_clock(context, moment)
    if is_finite_time(moment) and not MIN_TIMESTAMP <= local < END_TIMESTAMP:
        raise SqlError(DATETIME_FIELD_OVERFLOW, "timestamp out of range")
    return local


def _wall_clock(context: EvaluationContext, moment: int) -> int:
    """What the session's clock shows, even where no timestamp does."""
    return to_local(zone_named(context.time_zone), moment) if is_finite_time(moment) else moment


def _time_of(timestamp: int) -> int | None:
    return timestamp % MICROSECONDS_PER_DAY if is_finite_time(timestamp) else None


def _date_to_timestamptz(context: EvaluationContext, day: int) -> int:
    if day in (DATE_INFINITY, -DATE_INFINITY):
        return date_to_timestamp(day)
    return localize(context, date_to_timestamp(day))


def _interval_to_time(interval: Interval) -> int:
    if is_infinite(interval):
        raise SqlError(DATETIME_FIELD_OVERFLOW, "cannot convert infinite interval to time")
    return interval.microseconds % MICROSECONDS_PER_DAY


def _datetime_casts() -> None:
    _cast("date", "timestamp", IMPLICIT, date_to_timestamp)
    _cast("date", "timestamptz", IMPLICIT, _date_to_timestamptz, needs_context=True)
    _cast("timestamp", "date", ASSIGNMENT, timestamp_to_date)
    _cast("timestamp", "time", ASSIGNMENT, _time_of)
    _cast("timestamp", "timestamptz", IMPLICIT, localize, needs_context=True)
    _cast(
        *("timestamptz", "date", ASSIGNMENT),
        lambda context, moment: timestamp_to_date(_wall_clock(context, moment)),
        needs_context=True,
    )
    _cast(
        *("timestamptz", "time", ASSIGNMENT),
        lambda context, moment: _time_of(_wall_clock(context, moment)),
        needs_context=True,
    )
    _cast("timestamptz", "timestamp", ASSIGNMENT, unlocalize, needs_context=True)
    _cast("time", "interval", IMPLICIT, lambda value: Interval(0, 0, value))
    _cast("interval", "time", ASSIGNMENT, _interval_to_time)


def _oid_casts() -> None:
    for name in (*_REGISTERED, "oid"):
        _cast(name, "int8", ASSIGNMENT)
        _cast(name, "int4", ASSIGNMENT, lambda value: value - 2**32 if value >= 2**31 else value)
        if name != "oid":
            _cast("oid", name, IMPLICIT)
            _cast(name, "oid", IMPLICIT)


def _json_number(target: str, text: str) -> Datum:
    value = load_jsonb(text)
    if value is None:
        return None
    if isinstance(value, bool | str | list | dict):
        raise _json_mismatch(value, SQL_NAMES.get(target, target))
    number = Decimal(value)
    if target == "numeric":
        return number
    if target in _INTEGERS:
        return _numeric_to_integer(target, number)
    return _numeric_to_float8(number) if target == "float8" else _numeric_to_float4(number)


def _json_bool(text: str) -> bool | None:
    value = load_jsonb(text)
    if value is None or isinstance(value, bool):
        return value
    raise _json_mismatch(value, "boolean")


def _json_mismatch(value: Datum, target: str) -> SqlError:
    kind = {bool: "boolean", str: "string", list: "array", dict: "object"}.get(
        type(value), "numeric"
    )
    shown = {"float4": "real", "float8": "double precision"}.get(target, target)
    return SqlError("22023", f"cannot cast jsonb {kind} to type {shown}")


def _json_casts() -> None:
    for target in ("numeric", *_INTEGERS, "float4", "float8"):
        _cast("jsonb", target, EXPLICIT, partial(_json_number, target))
    _cast("jsonb", "bool", EXPLICIT, _json_bool)
    _cast("json", "jsonb", ASSIGNMENT, text_input(type_named("jsonb"), EvaluationContext()))
    _cast("jsonb", "json", ASSIGNMENT)


def _unsigned_casts() -> None:
    for position, source in enumerate(_UNSIGNED):
        for other, target in enumerate(_UNSIGNED):
            if position != other:
                context = IMPLICIT if position < other else ASSIGNMENT
                _cast(source, target, context, partial(_narrow, target))
        for index, target in enumerate(_INTEGERS):
            _cast(
                source,
                target,
                IMPLICIT if position < index else ASSIGNMENT,
                partial(_narrow, target),
            )
            _cast(target, source, ASSIGNMENT, partial(_narrow, source))
        _cast(source, "numeric", IMPLICIT, Decimal)
        _cast(source, "float8", IMPLICIT, float)
        _cast(source, "float4", IMPLICIT, lambda value: round_to_single(float(value)))
        _cast("numeric", source, ASSIGNMENT, partial(_numeric_to_integer, source))
        _cast("float8", source, ASSIGNMENT, partial(_float_to_integer, source))
        _cast("float4", source, ASSIGNMENT, partial(_float_to_integer, source))
    _cast("mz_timestamp", "numeric", ASSIGNMENT, Decimal)
    _cast("numeric", "mz_timestamp", IMPLICIT, partial(_numeric_to_integer, "mz_timestamp"))
    for source in (*_INTEGERS, *_UNSIGNED):
        _cast(source, "mz_timestamp", IMPLICIT, partial(_narrow, "mz_timestamp"))
    _cast("mz_timestamp", "uint8", ASSIGNMENT)
    _cast("mz_timestamp", "timestamptz", ASSIGNMENT, _from_virtual_time)
    _cast("mz_timestamp", "timestamp", ASSIGNMENT, _from_virtual_time)
    _cast("timestamptz", "mz_timestamp", IMPLICIT, _to_virtual_time)
    _cast("timestamp", "mz_timestamp", IMPLICIT, _to_virtual_time)
    _cast("date", "mz_timestamp", IMPLICIT, _midnight_as_virtual_time)


def _from_virtual_time(value: int) -> int:
    result = value + UNIX_EPOCH_MICROSECONDS
    if result >= END_TIMESTAMP:
        raise SqlError(DATETIME_FIELD_OVERFLOW, "timestamp out of range")
    return result


def _to_virtual_time(value: int) -> int:
    if not is_finite_time(value):
        raise out_of_range("mz_timestamp")
    return check_integer(value - UNIX_EPOCH_MICROSECONDS, "mz_timestamp")


def _midnight_as_virtual_time(value: int) -> int:
    return _to_virtual_time(date_to_timestamp(value))


def _derive(function_id: str) -> Function | None:
    """Casts through text, casts of arrays, modifiers."""
    match = _MODIFIER_ID.fullmatch(function_id)
    if match is not None:
        target = type_named(match[1])
        return Function(
            *(function_id, "modifier", FunctionKind.CAST, (target, INT4, BOOL), target),
            partial(_fit, target.oid),
        )
    match = _CAST_ID.fullmatch(function_id)
    if match is None or match[1] not in TYPES_BY_NAME or match[2] not in TYPES_BY_NAME:
        return None
    source, target = type_named(match[1]), type_named(match[2])
    implementation: Callable[[CallSite], Callable[[Datum], Datum]]
    if source.element is not None and target.element is not None:
        implementation = _array_cast(source.element, target.element)
    elif match[2] in STRING_TYPES and match[1] not in STRING_TYPES:
        implementation = partial(_through_text, source, target)
    elif match[1] in STRING_TYPES:
        implementation = partial(_from_text, target)
    else:
        return None
    return Function(
        *(function_id, "cast", FunctionKind.CAST, (source,), target, implementation),
        needs_types=True,
    )


def _through_text(source: SqlType, target: SqlType, site: CallSite) -> Callable[[Datum], Datum]:
    output = text_output(source, site.context)
    if target.name == "name":
        return lambda value: truncate_name(output(value))
    return output


def _from_text(target: SqlType, site: CallSite) -> Callable[[Datum], Datum]:
    parse = text_input(target, site.context)
    if site.args[0].name == "bpchar":
        return lambda value: parse(value.rstrip(" ")) if target.name == "name" else parse(value)
    return parse


def _fit(oid: int, value: Datum, modifier: int, explicit: bool) -> Datum:
    fit = fitting(SqlType(oid, modifier))
    return value if fit is None else fit(value, explicit)


def _array_cast(source: SqlType, target: SqlType) -> Callable[[CallSite], Callable[[Datum], Datum]]:
    def specialize(site: CallSite) -> Callable[[Datum], Datum]:
        if source.oid == target.oid:
            return _identity
        registered = cast_between(source, target)
        function_id = (
            f"cast({source.name},{target.name})" if registered is None else registered.function
        )
        if function_id is None:
            return _identity
        convert = bind(function_by_id(function_id), (source,), target, site.context)

        def apply(array: Array[Datum]) -> Array[Datum]:
            elements = tuple(None if item is None else convert(item) for item in array.elements)
            return Array(array.dimensions, elements)

        return apply

    return specialize


_integer_casts()
_float_casts()
_string_casts()
_datetime_casts()
_oid_casts()
_json_casts()
_unsigned_casts()
register_derivation(_derive)
