"""Rows in memory and their canonical encoding.

How a datum of each type is held (NULL is None everywhere):

| type | Python value |
|---|---|
| bool | bool |
| int2/4/8, uint*, oid, xid, reg*, mz_timestamp | int |
| float4, float8 | float (a float4 is held rounded to single precision) |
| numeric | decimal.Decimal, its exponent being the display scale; NaN, Infinity |
| text, varchar, bpchar (blank-padded), name, "char", json | str |
| jsonb | str, PostgreSQL's canonical jsonb text |
| bytea | bytes |
| uuid | bytes, 16 of them |
| date | int, days since 2000-01-01; ±DATE_INFINITY |
| time | int, microseconds since midnight |
| timestamp, timestamptz | int, microseconds since 2000-01-01 (UTC); ±TIMESTAMP_INFINITY |
| interval | `Interval(months, days, microseconds)` |
| arrays, int2vector, oidvector | `Array(dimensions, elements)` |
| record | `Record`, a tuple that knows its types (in transit only: it is never stored) |

The canonical encoding of a row is one msgpack array. Two rows are the same row exactly when their
encodings are equal: `1.0` and `1.00`, `-0.0` and `0.0` are different rows, every NaN is the same.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from types import GenericAlias
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from core.sql_types import SqlType

DATE_INFINITY: Final = 2**31 - 1
TIMESTAMP_INFINITY: Final = 2**63 - 1
POSTGRES_EPOCH_UNIX_SECONDS: Final = 946_684_800
MAX_RECORD_CODECS: Final = 4096


Element = TypeVar("Element")


class Interval(NamedTuple):
    """A PostgreSQL interval; the three parts are independent of each other."""

    months: int
    days: int
    microseconds: int


class Array(NamedTuple, Generic[Element]):
    """A PostgreSQL array: `dimensions` holds (length, lower bound) pairs, outermost first; the
    elements lie flat in row-major order. The empty array has no dimensions."""

    dimensions: tuple[tuple[int, int], ...]
    elements: tuple[Element, ...]


class Record(tuple[Any, ...]):
    """A composite value: its fields, and their types in `types`."""

    types: tuple[SqlType, ...]

    @classmethod
    def of(cls, types: tuple[SqlType, ...], fields: Sequence[Any]) -> "Record":
        record = cls(fields)
        record.types = types
        return record


Datum = Any  # one of the values in the table above
Row = tuple[Datum, ...]

_INT_OIDS: Final = frozenset(
    {20, 21, 23, 24, 26, 28, 1082, 1083, 1114, 1184, 2205, 2206, 4089, 4096}
    | {16552, 16460, 16462, 16464}
)
_NAN: Final = float("nan")


class RowCodec:
    """Encodes and decodes rows of fixed column types."""

    __slots__ = ("_canonical_floats", "_decoder", "_encoder", "decode", "types")

    def __init__(self, types: Sequence[SqlType]) -> None:
        self.types = tuple(types)
        self._encoder = msgspec.msgpack.Encoder(decimal_format="string")
        columns = tuple(_wire_type(column_type) for column_type in self.types)
        self._decoder: msgspec.msgpack.Decoder[Row] = msgspec.msgpack.Decoder(
            GenericAlias(tuple, columns)
        )
        self._canonical_floats = any(
            t.oid in (700, 701) or (t.element is not None and t.element.oid in (700, 701))
            for t in self.types
        )
        self.decode = self._decoder.decode

    def encode(self, row: Row) -> bytes:
        """The canonical encoding of `row`, whose datums must be of the codec's types."""
        if self._canonical_floats:
            row = tuple(map(_canonical_float, row))
        return self._encoder.encode(row)


@lru_cache(maxsize=MAX_RECORD_CODECS)
def codec_for(types: tuple[SqlType, ...]) -> RowCodec:
    """The shared codec of these column types."""
    return RowCodec(types)


def _canonical_float(value: Datum) -> Datum:
    if isinstance(value, float) and math.isnan(value):
        return _NAN
    if isinstance(value, Array):
        return Array(value.dimensions, tuple(map(_canonical_float, value.elements)))
    return value


def _wire_type(column_type: SqlType) -> Any:
    element = column_type.element
    if element is not None:
        return Array[_wire_type(element)] | None  # type: ignore[misc]
    match column_type.oid:
        case 16:
            return bool | None
        case oid if oid in _INT_OIDS:
            return int | None
        case 700 | 701:
            return float | None
        case 1700:
            return Decimal | None
        case 17 | 2950:
            return bytes | None
        case 1186:
            return Interval | None
        case 2249:
            return Any
        case _:
            return str | None
