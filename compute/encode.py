"""Result rows as bytes for a pgwire socket: DataRow and CopyData messages.

Encoding goes column by column over a list of rows, each column with a comprehension made for its
type, and is put together row by row at the end. Formats of COPY: PostgreSQL's manual, "COPY".
"""

import re
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final

from compute.output_format import CopyOptions, OutputFormat, OutputKind
from core.rows import Datum, Row
from core.sql_types import SqlType
from expr.binary_format import binary_output
from expr.scalar import EvaluationContext
from expr.text_format import text_output

RowsEncoder = Callable[[Sequence[Row]], bytes]
ColumnEncoder = Callable[[Sequence[Datum]], list[bytes]]
TextColumn = Callable[[Sequence[Datum]], list[str | None]]

NULL_CELL: Final = b"\xff\xff\xff\xff"
COPY_BINARY_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
COPY_BINARY_HEADER: Final = COPY_BINARY_SIGNATURE + bytes(8)
COPY_BINARY_TRAILER: Final = b"\xff\xff"
MAX_MEMO: Final = 8192

_PREFIXES: Final = tuple(length.to_bytes(4, "big") for length in range(1024))
_ROW_HEADER: Final = Struct(">cIH").pack
_MESSAGE_HEADER: Final = Struct(">cI").pack
_COUNT: Final = Struct(">H").pack
_DECIMAL_OIDS: Final = frozenset({20, 21, 23, 24, 26, 28, 16552, 16460, 16462, 16464})
_STRING_OIDS: Final = frozenset({19, 25, 114, 1042, 1043, 3802})
_MEMO_OIDS: Final = frozenset({1082, 1083, 1114, 1184})
_BINARY_STRUCTS: Final = {
    20: Struct(">iq"),
    21: Struct(">ih"),
    23: Struct(">ii"),
    26: Struct(">iI"),
    700: Struct(">if"),
    701: Struct(">id"),
}
_TEXT_ESCAPES: Final = {
    "\\": "\\\\",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


class ResultEncoder:
    """Encodes a result: `begin` once, `rows` for lists of rows, `end` once."""

    __slots__ = ("begin", "end", "rows")

    def __init__(self, begin: bytes, rows: RowsEncoder, end: bytes) -> None:
        self.begin = begin
        self.rows = rows
        self.end = end


def result_encoder(output: OutputFormat) -> ResultEncoder:
    """The encoder of results of this form."""
    match output.kind:
        case OutputKind.ROWS:
            return ResultEncoder(b"", _data_rows(output), b"")
        case OutputKind.COPY_BINARY:
            # The header goes out with the first row in PostgreSQL; a message of its own for an
            # empty result only. `result` prepends it to the first row's message.
            return ResultEncoder(
                COPY_BINARY_HEADER, _copy_binary_rows(output), copy_data(COPY_BINARY_TRAILER)
            )
        case OutputKind.COPY_TEXT:
            header = ""
            if output.copy.header:
                names = [_escaped_text(name, output.copy.delimiter) for name in output.names]
                header = output.copy.delimiter.join(names) + "\n"
            return ResultEncoder(_header(header), _copy_text_rows(output), b"")
        case OutputKind.COPY_CSV:
            header = ""
            if output.copy.header:
                quoted = [_quoted(name, output.copy, False) for name in output.names]
                header = output.copy.delimiter.join(quoted) + "\n"
            return ResultEncoder(_header(header), _copy_csv_rows(output), b"")


def copy_data(payload: bytes) -> bytes:
    """A CopyData message."""
    return _MESSAGE_HEADER(b"d", len(payload) + 4) + payload


def text_line_encoder(types: Sequence[SqlType], context: EvaluationContext) -> Callable[[Row], str]:
    """A row as error details show it: `1, null, abc`."""
    outputs = [text_output(sql_type, context) for sql_type in types]

    def line(row: Row) -> str:
        return ", ".join(
            "null" if value is None else output(value)
            for output, value in zip(outputs, row, strict=True)
        )

    return line


def _header(line: str) -> bytes:
    return copy_data(line.encode()) if line else b""


def _data_rows(output: OutputFormat) -> RowsEncoder:
    count = len(output.types)
    columns = [
        _binary_cells(sql_type) if code == 1 else _text_cells(sql_type, output.context)
        for sql_type, code in zip(output.types, _format_codes(output), strict=True)
    ]
    empty_row = _ROW_HEADER(b"D", 6, 0)
    header = _ROW_HEADER

    def encode(rows: Sequence[Row]) -> bytes:
        if not count:
            return empty_row * len(rows)
        cells = [encode(column) for encode, column in zip(columns, zip(*rows), strict=True)]
        if count == 1:
            bodies = cells[0]
        else:
            bodies = list(map(b"".join, zip(*cells, strict=True)))
        return b"".join([header(b"D", len(body) + 6, count) + body for body in bodies])

    return encode


def _copy_binary_rows(output: OutputFormat) -> RowsEncoder:
    columns = [_binary_cells(sql_type) for sql_type in output.types]
    start = _COUNT(len(columns))

    def encode(rows: Sequence[Row]) -> bytes:
        if not columns:
            return copy_data(start) * len(rows)
        cells = [encode(column) for encode, column in zip(columns, zip(*rows), strict=True)]
        return b"".join([copy_data(start + b"".join(row)) for row in zip(*cells, strict=True)])

    return encode


def _copy_text_rows(output: OutputFormat) -> RowsEncoder:
    delimiter, null = output.copy.delimiter, output.copy.null
    columns = [_text_column(sql_type, output.context) for sql_type in output.types]
    special = re.compile(f"[\\\\\b\f\n\r\t\v{re.escape(delimiter)}]")

    def field(text: str | None) -> str:
        if text is None:
            return null
        return _escaped_text(text, delimiter) if special.search(text) else text

    def encode(rows: Sequence[Row]) -> bytes:
        if not columns:
            return copy_data(b"\n") * len(rows)
        texts = [encode(column) for encode, column in zip(columns, zip(*rows), strict=True)]
        lines = zip(*(map(field, column) for column in texts), strict=True)
        return b"".join([copy_data((delimiter.join(line) + "\n").encode()) for line in lines])

    return encode


def _copy_csv_rows(output: OutputFormat) -> RowsEncoder:
    options = output.copy
    delimiter, null = options.delimiter, options.null
    columns = [_text_column(sql_type, output.context) for sql_type in output.types]
    forced = [position in (options.force_quote or ()) for position in range(len(columns))]
    special = re.compile(f"[\n\r{re.escape(delimiter)}{re.escape(options.quote)}]")
    is_single = len(columns) == 1

    def fields(texts: list[str | None], is_forced: bool) -> list[str]:
        result = []
        for text in texts:
            if text is None:
                result.append(null)
            elif is_forced or text == null or special.search(text) or (is_single and text == "\\."):
                result.append(_quoted(text, options, True))
            else:
                result.append(text)
        return result

    def encode(rows: Sequence[Row]) -> bytes:
        if not columns:
            return copy_data(b"\n") * len(rows)
        texts = [encode(column) for encode, column in zip(columns, zip(*rows), strict=True)]
        parts = [fields(column, force) for column, force in zip(texts, forced, strict=True)]
        lines = zip(*parts, strict=True)
        return b"".join([copy_data((delimiter.join(line) + "\n").encode()) for line in lines])

    return encode


def _escaped_text(text: str, delimiter: str) -> str:
    escapes = _TEXT_ESCAPES
    if delimiter not in escapes:
        escapes = escapes | {delimiter: "\\" + delimiter}
    return "".join([escapes.get(character, character) for character in text])


def _quoted(text: str, options: CopyOptions, always: bool) -> str:
    quote, escape = options.quote, options.escape
    needs_quotes = always or any(
        character in text for character in (options.delimiter, quote, "\n", "\r")
    )
    if not needs_quotes:
        return text
    if escape != quote:
        text = text.replace(escape, escape + escape)
    return quote + text.replace(quote, escape + quote) + quote


def _format_codes(output: OutputFormat) -> Sequence[int]:
    codes = output.formats
    if len(codes) == len(output.types):
        return codes
    return (codes[0] if codes else 0,) * len(output.types)


def _text_column(sql_type: SqlType, context: EvaluationContext) -> TextColumn:
    if sql_type.oid in _STRING_OIDS:
        return list
    output = _text_function(sql_type, context)
    return lambda column: [None if value is None else output(value) for value in column]


def _text_function(sql_type: SqlType, context: EvaluationContext) -> Callable[[Datum], str]:
    if sql_type.oid in _DECIMAL_OIDS:
        return str
    output = text_output(sql_type, context)
    if sql_type.oid not in _MEMO_OIDS:
        return output
    memo: dict[Datum, str] = {}

    def remembered(value: Datum) -> str:
        text = memo.get(value)
        if text is None:
            if len(memo) >= MAX_MEMO:
                memo.clear()
            text = memo[value] = output(value)
        return text

    return remembered


def _text_cells(sql_type: SqlType, context: EvaluationContext) -> ColumnEncoder:
    """Cells of a DataRow in text format: length and bytes, or the null length."""
    null, prefixes = NULL_CELL, _PREFIXES
    if sql_type.oid in _DECIMAL_OIDS:
        return lambda column: [
            null if v is None else prefixes[len(s := b"%d" % v)] + s for v in column
        ]
    if sql_type.oid == 16:
        true, false = b"\0\0\0\1t", b"\0\0\0\1f"
        return lambda column: [
            (true if value else false) if value is not None else null for value in column
        ]
    if sql_type.oid in _STRING_OIDS:
        return lambda column: [
            null
            if v is None
            else (prefixes[n] if (n := len(s := v.encode())) < 1024 else n.to_bytes(4, "big")) + s
            for v in column
        ]
    output = _text_function(sql_type, context)
    return lambda column: [
        null
        if v is None
        else (prefixes[n] if (n := len(s := output(v).encode())) < 1024 else n.to_bytes(4, "big"))
        + s
        for v in column
    ]


def _binary_cells(sql_type: SqlType) -> ColumnEncoder:
    null = NULL_CELL
    layout = _BINARY_STRUCTS.get(sql_type.oid)
    if layout is not None:
        pack, size = layout.pack, layout.size - 4
        return lambda column: [null if value is None else pack(size, value) for value in column]
    output = binary_output(sql_type)
    return lambda column: [
        null if value is None else len(data := output(value)).to_bytes(4, "big") + data
        for value in column
    ]
