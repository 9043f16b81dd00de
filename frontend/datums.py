"""Datums to and from the wire: parameter values, and rows that the session itself makes."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final

from controllers.compute_client import PeekChunk
from core import errors
from core.errors import SqlError
from core.rows import Datum, Row
from core.sql_types import SqlType
from expr.binary_format import binary_input, binary_output
from expr.scalar import NULL_ROW, EvaluationContext, Literal, literal
from expr.text_format import text_input, text_output
from frontend.messages import decode_text
from frontend.planning import column_formats
from frontend.responses import data_row

TEXT_FORMAT: Final = 0
BINARY_FORMAT: Final = 1
MAX_SHOWN_VALUE: Final = 64


@lru_cache(maxsize=4096)
def _decoder(sql_type: SqlType, code: int, context: EvaluationContext) -> Callable[[bytes], Datum]:
    if code == BINARY_FORMAT:
        return binary_input(sql_type)
    read = text_input(sql_type, context)

    def decode(data: bytes) -> Datum:
        text = decode_text(data)
        if "\0" in text:
            raise SqlError(
                errors.CHARACTER_NOT_IN_REPERTOIRE,
                'invalid byte sequence for encoding "UTF8": 0x00',
            )
        return read(text)

    return decode


@lru_cache(maxsize=4096)
def _encoder(sql_type: SqlType, code: int, context: EvaluationContext) -> Callable[[Datum], bytes]:
    if code == BINARY_FORMAT:
        return binary_output(sql_type)
    write = text_output(sql_type, context)
    return lambda value: write(value).encode()


def check_formats(codes: Sequence[int]) -> None:
    """22023 for a format code that does not exist."""
    for code in codes:
        if code not in (TEXT_FORMAT, BINARY_FORMAT):
            raise SqlError(errors.INVALID_PARAMETER_VALUE, f"unsupported format code: {code}")


def decode_parameters(
    values: Sequence[bytes | None],
    codes: tuple[int, ...],
    types: tuple[SqlType, ...],
    context: EvaluationContext,
    resolve_name: Callable[[str, SqlType], Literal],
) -> tuple[Literal, ...]:
    """Bind's values as literals; `resolve_name` finds what names of catalog objects mean. Raises
    08P01 for a wrong number of formats, and what the types' input functions raise."""
    if len(codes) > 1 and len(codes) != len(values):
        raise SqlError(
            errors.PROTOCOL_VIOLATION,
            f"bind message has {len(codes)} parameter formats but {len(values)} parameters",
        )
    check_formats(codes)
    all_codes = column_formats(codes, len(values))
    literals: list[Literal] = []
    for index, (value, code, sql_type) in enumerate(zip(values, all_codes, types, strict=True)):
        if value is None:
            literals.append(Literal(NULL_ROW, sql_type))
            continue
        if code == TEXT_FORMAT and sql_type.name.startswith("reg"):
            literals.append(resolve_name(decode_text(value), sql_type))
            continue
        try:
            datum = _decoder(sql_type, code, context)(value)
        except SqlError as error:
            if error.sqlstate == "22P03" and error.message.startswith("incorrect binary data"):
                error.message = f"incorrect binary data format in bind parameter {index + 1}"
            raise
        literals.append(literal(datum, sql_type))
    return tuple(literals)


class RowEncoder:
    """Encodes rows of fixed types as DataRow messages."""

    __slots__ = ("_encoders",)

    def __init__(
        self, types: Sequence[SqlType], formats: tuple[int, ...], context: EvaluationContext
    ) -> None:
        codes = column_formats(formats, len(types))
        self._encoders = tuple(
            _encoder(sql_type, code, context) for sql_type, code in zip(types, codes, strict=True)
        )

    def encode(self, row: Row) -> bytes:
        return data_row(
            [
                None if value is None else encode(value)
                for value, encode in zip(row, self._encoders, strict=True)
            ]
        )

    def encode_all(self, rows: Iterable[Row]) -> PeekChunk:
        """All rows as one chunk."""
        messages = [self.encode(row) for row in rows]
        return PeekChunk(b"".join(messages), len(messages))


@lru_cache(maxsize=1024)
def row_encoder(
    types: tuple[SqlType, ...], formats: tuple[int, ...], context: EvaluationContext
) -> RowEncoder:
    """The shared encoder of these columns."""
    return RowEncoder(types, formats, context)


def decode_data_rows(data: bytes) -> list[list[bytes | None]]:
    """The fields of a run of DataRow messages."""
    rows: list[list[bytes | None]] = []
    position = 0
    while position < len(data):
        count = int.from_bytes(data[position + 5 : position + 7], "big")
        position += 7
        fields: list[bytes | None] = []
        for _ in range(count):
            length = int.from_bytes(data[position : position + 4], "big", signed=True)
            position += 4
            if length < 0:
                fields.append(None)
                continue
            fields.append(data[position : position + length])
            position += length
        rows.append(fields)
    return rows


def transcode(
    chunk: PeekChunk,
    types: Sequence[SqlType],
    have: tuple[int, ...],
    want: tuple[int, ...],
    context: EvaluationContext,
) -> PeekChunk:
    """Rows encoded for one set of format codes, encoded for another."""
    have, want = column_formats(have, len(types)), column_formats(want, len(types))
    if have == want or not chunk.row_count:
        return chunk
    decoders = [_decoder(t, code, context) for t, code in zip(types, have, strict=True)]
    encoder = RowEncoder(types, want, context)
    rows = [
        tuple(
            None if field is None else decode(field)
            for field, decode in zip(fields, decoders, strict=True)
        )
        for fields in decode_data_rows(chunk.data)
    ]
    return encoder.encode_all(rows)


def text_of_row(row: Row, types: Sequence[SqlType]) -> str:
    """A row as PostgreSQL shows it in the detail of an error."""
    context = EvaluationContext()
    return ", ".join(
        "null" if value is None else text_output(sql_type, context)(value)[:MAX_SHOWN_VALUE]
        for value, sql_type in zip(row, types, strict=True)
    )
