"""Orders and equality of datums as SQL sees them, as keys for Python's sort and dicts.

A sort key is any object that compares, in ascending order, as the datums do; keys of one column
only compare with keys of the same column. PostgreSQL's order: NaN after every number, nulls where
asked, text by code point, blank-padded text without its trailing blanks, jsonb by kind and size,
arrays element by element.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from core.rows import Array, Datum, Interval, Record, Row
from core.sql_types import SqlType
from expr.json_values import jsonb_equality_text, jsonb_sort_key
from expr.relation import ColumnOrder

Key = Any  # comparable with keys of the same column
MICROSECONDS_PER_DAY = 86_400_000_000

_FLOATS = frozenset({700, 701})
_BYTE_COMPLEMENT = bytes(255 - byte for byte in range(256))


def sort_key(
    sql_type: SqlType, descending: bool = False, nulls_last: bool = True
) -> Callable[[Datum], Key]:
    """The key function of one column; it accepts None."""
    source, namespace = _key_source(sql_type, descending, nulls_last, "v", 0)
    namespace["v"] = None
    function: Callable[[Datum], Key] = eval(f"lambda v: {source}", namespace)  # noqa: S307
    return function


@lru_cache(maxsize=1024)
def row_sort_key(
    orders: tuple[ColumnOrder, ...], types: tuple[SqlType, ...]
) -> Callable[[Row], Key]:
    """The key function of rows of column types `types` for an ORDER BY list."""
    parts = []
    namespace: dict[str, Any] = {}
    for position, order in enumerate(orders):
        source, names = _key_source(
            types[order.column],
            order.descending,
            order.nulls_last,
            f"r[{order.column}]",
            position,
        )
        parts.append(source)
        namespace |= names
    text = f"lambda r: ({''.join(part + ',' for part in parts)})"
    function: Callable[[Row], Key] = eval(text, namespace)  # noqa: S307
    return function


def whole_row_sort_key(types: Sequence[SqlType]) -> Callable[[Row], Key]:
    """The order by every column, ascending, that breaks ties."""
    return row_sort_key(tuple(ColumnOrder(index) for index in range(len(types))), tuple(types))


def equality_key(sql_type: SqlType) -> Callable[[Datum], Datum] | None:
    """What to use as a dict key so that equal keys are SQL-equal datums; None: the datum itself.

    The function accepts None and keeps it None.
    """
    element = sql_type.element
    if element is not None:
        element_key = equality_key(element)
        if element_key is None:
            return None
        return lambda v: v and Array(v.dimensions, tuple(map(element_key, v.elements)))
    match sql_type.oid:
        case 700 | 701:
            return lambda v: v if v == v else "NaN"
        case 1700:
            return lambda v: v if v is None or v == v else "NaN"
        case 1042:
            return lambda v: v and v.rstrip(" ")
        case 1186:
            return lambda v: None if v is None else interval_value(v)
        case 3802:
            return lambda v: None if v is None else jsonb_equality_text(v)
        case _:
            return None


def interval_value(interval: Interval) -> int:
    """The length that PostgreSQL compares intervals by: a month is 30 days, a day 24 hours."""
    days = interval.months * 30 + interval.days
    return days * MICROSECONDS_PER_DAY + interval.microseconds


def comparison_key(sql_type: SqlType) -> Callable[[Datum], Key] | None:
    """The ascending key of datums that are not null; None: the datums compare as they are."""
    element = sql_type.element
    if element is not None:
        return _array_key(element)
    match sql_type.oid:
        case 700 | 701:
            return float_key
        case 1700:
            return numeric_key
        case 1042:
            return _strip_blanks
        case 1186:
            return interval_value
        case 3802:
            return jsonb_sort_key
        case 2249:
            return record_key
        case _:
            return None


def float_key(value: float) -> Key:
    return (0, value) if value == value else (1, 0.0)


def numeric_key(value: Decimal) -> Key:
    return (1, 0) if value.is_nan() else (0, value)


def record_key(value: Record) -> Key:
    """The order of records: field by field, nulls last."""
    parts = []
    for sql_type, field in zip(value.types, value, strict=True):
        key = comparison_key(sql_type)
        parts.append((field is None, field if field is None or key is None else key(field)))
    return tuple(parts)


def _strip_blanks(value: str) -> str:
    return value.rstrip(" ")


def _array_key(element: SqlType) -> Callable[[Datum], Key]:
    key = comparison_key(element)

    def array_key(value: Array[Datum]) -> Key:
        if key is None:
            elements = tuple((item is None, item) for item in value.elements)
        else:
            elements = tuple(
                (item is None, None if item is None else key(item)) for item in value.elements
            )
        return (elements, len(value.dimensions), value.dimensions)

    return array_key


def _key_source(
    sql_type: SqlType, descending: bool, nulls_last: bool, value: str, position: int
) -> tuple[str, dict[str, Any]]:
    """An expression for the key of `value`, and the names it needs."""
    null_flag = f"{value} is {'' if nulls_last else 'not '}None"
    oid = sql_type.oid
    is_integer = sql_type.info.category in "NDB" and oid not in _FLOATS and oid != 1700
    if is_integer or oid in (28, 16552, 16460, 16462, 16464):
        ascending = f"({null_flag}, {value})"
        return (f"({null_flag}, {value} and -{value})" if descending else ascending), {}
    name = f"k{position}"
    key = comparison_key(sql_type)
    if descending:
        return f"({null_flag}, None if {value} is None else {name}({value}))", {
            name: _descending_key(sql_type, key)
        }
    if key is None:
        return f"({null_flag}, {value})", {}
    return f"({null_flag}, None if {value} is None else {name}({value}))", {name: key}


def _descending_key(
    sql_type: SqlType, key: Callable[[Datum], Key] | None
) -> Callable[[Datum], Key]:
    match sql_type.oid:
        case 700 | 701:
            return lambda v: (1, -v) if v == v else (0, 0.0)
        case 1700:
            return lambda v: (0, 0) if v.is_nan() else (1, v.copy_negate())
        case 1186:
            return lambda v: -interval_value(v)
        case 1042:
            return lambda v: _descending_text(v.rstrip(" "))
        case _ if sql_type.info.category in "SZ" or sql_type.oid == 114:
            return _descending_text
    return lambda v: _Reversed(v if key is None else key(v))


def _descending_text(value: str) -> bytes:
    # UTF-8 sorts by code point and text holds no NUL, so no complemented byte is 0xff.
    return value.encode("utf-8", "surrogatepass").translate(_BYTE_COMPLEMENT) + b"\xff"


class _Reversed:
    """Compares the other way round."""

    __slots__ = ("key",)

    def __init__(self, key: Key) -> None:
        self.key = key

    def __lt__(self, other: "_Reversed") -> bool:
        return bool(other.key < self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)
