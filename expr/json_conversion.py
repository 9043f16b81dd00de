"""SQL values as JSON: what to_json, row_to_json and the JSON aggregates make of each type."""

from collections.abc import Callable
from functools import partial
from typing import Any

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from core.rows import Array, Datum, Record
from core.sql_types import SqlType
from expr.datetime_text import format_timestamp_styled
from expr.json_values import JsonValue, dump_jsonb, load_jsonb, parse_json, quote_json
from expr.numeric import format_numeric, parse_numeric
from expr.scalar import EvaluationContext
from expr.text_format import text_output
from expr.timezones import zone_named

_INTEGER_OIDS = frozenset({20, 21, 23, 16460, 16462, 16464})
_JSON_OIDS = frozenset({114, 3802})


def to_json_text(sql_type: SqlType, context: EvaluationContext) -> Callable[[Datum], str]:
    """The function that gives a datum's JSON text (to_json); it accepts None."""
    convert = _text_of(sql_type, context)
    return lambda value: "null" if value is None else convert(value)


def _text_of(sql_type: SqlType, context: EvaluationContext) -> Callable[[Datum], str]:
    element = sql_type.element
    if element is not None:
        item = to_json_text(element, context)
        return lambda value: _array_text(value, item)
    match sql_type.oid:
        case 16:
            return lambda value: "true" if value else "false"
        case oid if oid in _INTEGER_OIDS:
            return str
        case 700 | 701 | 1700:
            output = text_output(sql_type, context)
            return lambda value: _number_text(output(value))
        case oid if oid in _JSON_OIDS:
            return str
        case 1114 | 1184:
            moment = moment_text(sql_type, context)
            return lambda value: f'"{moment(value)}"'
        case 1082:
            plain = text_output(sql_type, EvaluationContext())
            return lambda value: f'"{plain(value)}"'
        case 2249:
            return partial(_record_text, context)
        case _:
            output = text_output(sql_type, context)
            return lambda value: quote_json(output(value))


def moment_text(sql_type: SqlType, context: EvaluationContext) -> Callable[[int], str]:
    """A timestamp as XML and JSON have it, with a T."""
    zone = zone_named(context.time_zone) if sql_type.oid == 1184 else None

    def format_moment(value: int) -> str:
        text = format_timestamp_styled(value, "ISO, MDY", zone)
        date, separator, rest = text.partition(" ")
        if not separator:
            return text
        if zone is not None:
            era = " BC" if rest.endswith(" BC") else ""
            rest = rest.removesuffix(" BC")
            if rest[-3] in "+-":
                rest += ":00"
            rest += era
        return f"{date}T{rest}"

    return format_moment


def _number_text(text: str) -> str:
    return f'"{text}"' if "n" in text or "N" in text else text


def _array_text(array: Array[Datum], item: Callable[[Datum], str]) -> str:
    if not array.dimensions:
        return "[]"
    texts = [item(element) for element in array.elements]
    for length, _ in reversed(array.dimensions[1:]):
        texts = [
            f"[{','.join(texts[start : start + length])}]" for start in range(0, len(texts), length)
        ]
    return f"[{','.join(texts)}]"


def _record_text(context: EvaluationContext, record: Record) -> str:
    members = (
        f'"f{index}":{to_json_text(sql_type, context)(field)}'
        for index, (sql_type, field) in enumerate(zip(record.types, record, strict=True), 1)
    )
    return f"{{{','.join(members)}}}"


def to_json_value(sql_type: SqlType, context: EvaluationContext) -> Callable[[Datum], JsonValue]:
    """The function that gives a datum's JSON value (to_jsonb); it accepts None."""
    oid = sql_type.oid
    convert: Callable[[Datum], Any]
    if oid in (16, 25, 1043) or oid in _INTEGER_OIDS:
        return lambda value: value
    if oid == 3802:
        convert = load_jsonb
    elif oid in (700, 701):
        output = text_output(sql_type, context)
        convert = lambda value: _number_value(output(value))  # noqa: E731
    elif oid == 1700:
        convert = lambda value: (  # noqa: E731
            value if value.is_finite() else format_numeric(value)
        )
    else:
        text = _text_of(sql_type, context)
        convert = lambda value: parse_json(text(value))  # noqa: E731
    return lambda value: None if value is None else convert(value)


def _number_value(text: str) -> JsonValue:
    return text if "n" in text or "N" in text else parse_numeric(text)


def to_jsonb(sql_type: SqlType, context: EvaluationContext) -> Callable[[Datum], str]:
    """The function that gives a datum's jsonb text; it accepts None."""
    convert = to_json_value(sql_type, context)
    return lambda value: dump_jsonb(convert(value))


def _key_text(sql_type: SqlType, context: EvaluationContext) -> Callable[[Datum], str]:
    match sql_type.oid:
        case 16:
            return lambda value: "true" if value else "false"
        case 1114 | 1184:
            return moment_text(sql_type, context)
        case 1082:
            return text_output(sql_type, EvaluationContext())
        case _:
            return text_output(sql_type, context)


def object_key(sql_type: SqlType, context: EvaluationContext) -> Callable[[Datum], str]:
    """The function that gives the object key that a datum makes; null is an error."""
    output = _key_text(sql_type, context)
    is_scalar = sql_type.element is None and sql_type.oid not in (114, 3802, 2249)

    def key(value: Datum) -> str:
        if value is None:
            raise SqlError("22004", "null value not allowed for object key")
        if not is_scalar:
            raise SqlError(
                INVALID_PARAMETER_VALUE, "key value must be scalar, not array, composite, or json"
            )
        return output(value)

    return key
