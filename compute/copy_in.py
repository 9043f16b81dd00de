"""COPY input, first half: bytes to rows, for the formats text, csv and binary.

A parser takes bytes cut anywhere and gives lists of rows; every step is bounded. Formats:
PostgreSQL's manual, "COPY", and the behaviour of PostgreSQL 15 where the manual is silent.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

from compute.copy_rows import Field, Record, RowMaker, quoted
from compute.encode import COPY_BINARY_SIGNATURE
from compute.protocol import CopyFormat, CopyOptions, CopyWork
from core.errors import (
    BAD_COPY_FILE_FORMAT,
    CHARACTER_NOT_IN_REPERTOIRE,
    PROGRAM_LIMIT_EXCEEDED,
    SqlError,
)
from core.rows import Datum, Row
from expr.binary_format import binary_input

STEP_RECORDS: Final = 256
MAX_RECORD_BYTES: Final = 64 * 1024 * 1024

_INT32: Final = Struct(">i").unpack_from
_INT16: Final = Struct(">h").unpack_from
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_OCTAL: Final = frozenset("01234567")
_HEX: Final = frozenset("0123456789abcdefABCDEF")


class CopyParser(ABC):
    """Bytes in, rows out."""

    def __init__(self, work: CopyWork) -> None:
        self.maker = RowMaker(work)
        self.buffer = bytearray()
        self.is_ended = False  # an end-of-data marker was seen

    @abstractmethod
    def feed(self, data: bytes) -> Iterator[list[Row]]:
        """The rows completed by `data`. Raises SqlError with a context while iterated."""

    @abstractmethod
    def finish(self) -> Iterator[list[Row]]:
        """The rows left at the end of input. Raises SqlError."""

    def check_size(self) -> None:
        if len(self.buffer) > MAX_RECORD_BYTES:
            raise SqlError(
                PROGRAM_LIMIT_EXCEEDED,
                f"a COPY record is longer than the limit of {MAX_RECORD_BYTES} bytes",
            )


def copy_parser(work: CopyWork) -> CopyParser:
    """The parser of a COPY's input."""
    match work.format:
        case CopyFormat.TEXT:
            return TextParser(work)
        case CopyFormat.CSV:
            return CsvParser(work)
        case CopyFormat.BINARY:
            return BinaryParser(work)


class LineParser(CopyParser):
    """What the text formats share: cutting at line ends, decoding, counting lines."""

    def __init__(self, work: CopyWork) -> None:
        super().__init__(work)
        self.options: CopyOptions = work.options
        self.line_number = 0  # of the last record handed over
        self.skips_header = work.options.header
        self._ends_with_return: bool | None = None  # lines end in CR LF; unknown before the first

    def feed(self, data: bytes) -> Iterator[list[Row]]:
        self.buffer += data
        cut = self.buffer.rfind(b"\n") + 1
        if not cut:
            # Carriage returns alone may end lines; that is found out at the end of input.
            self.check_size()
            return
        block = bytes(self.buffer[:cut])
        del self.buffer[:cut]
        self.check_size()
        yield from self._block(block)

    def finish(self) -> Iterator[list[Row]]:
        block = bytes(self.buffer)
        self.buffer.clear()
        if block:
            yield from self._block(self._last_lines(block))
        yield from self.end_of_records()

    def _last_lines(self, block: bytes) -> bytes:
        """What came after the last newline, with line ends as if there had been one."""
        if self._ends_with_return is None and b"\r" in block:
            return block.removesuffix(b"\r").replace(b"\r", b"\n") + b"\n"
        if self._ends_with_return:
            return block.removesuffix(b"\r") + b"\r\n"
        return block + b"\n"

    @abstractmethod
    def records(self, lines: list[str]) -> list[tuple[str, int]]:
        """Join physical lines into records: (text, number of lines it spans)."""

    @abstractmethod
    def fields(self, texts: list[str]) -> list[Record]:
        """The fields of each record."""

    def end_of_records(self) -> Iterator[list[Row]]:
        """What is left when no more lines come."""
        return iter(())

    def _block(self, block: bytes) -> Iterator[list[Row]]:
        try:
            text = block.decode()
        except UnicodeDecodeError as error:
            raise self._bad_bytes(block, error.start, error.end) from error
        if "\0" in text:
            place = block.index(b"\0")
            raise self._bad_bytes(block, place, place + 1)
        lines = text.split("\n")
        lines.pop()
        for start in range(0, len(lines), STEP_RECORDS):
            if self.is_ended:
                return
            yield self._rows(lines[start : start + STEP_RECORDS])

    def without_returns(self, texts: list[str]) -> list[str]:
        """Lines, or records, without the carriage returns of their ends. Raises 22P04 when not
        all end as the first of the input does."""
        if self._ends_with_return is None and texts:
            self._ends_with_return = texts[0].endswith("\r")
        if not self._ends_with_return:
            return texts
        if not all(text.endswith("\r") for text in texts):
            raise SqlError(
                BAD_COPY_FILE_FORMAT,
                "literal newline found in data",
                hint='Use "\\n" to represent newline.',
                context=f"COPY {self.maker.table.name}, line {self.line_number + 1}",
            )
        return [text[:-1] for text in texts]

    def _rows(self, lines: list[str]) -> list[Row]:
        found = self.records(lines)
        if self.skips_header and found:
            self.skips_header = False
            self.line_number += found.pop(0)[1]
        texts = [text for text, _ in found]
        first_line = self.line_number
        self.line_number += sum(count for _, count in found)

        def where(index: int) -> str:
            line = first_line + sum(count for _, count in found[:index]) + 1
            return f"COPY {self.maker.table.name}, line {line}: {quoted(texts[index])}"

        if not texts:
            return []
        return self.maker.rows(self.fields(texts), where)

    def _bad_bytes(self, block: bytes, start: int, stop: int) -> SqlError:
        shown = " ".join(f"0x{byte:02x}" for byte in block[start : min(stop, start + 4)])
        line = self.line_number + block.count(b"\n", 0, start) + 1
        return SqlError(
            CHARACTER_NOT_IN_REPERTOIRE,
            f'invalid byte sequence for encoding "UTF8": {shown}',
            context=f"COPY {self.maker.table.name}, line {line}",
        )


class TextParser(LineParser):
    """FORMAT text: fields between delimiters, backslash escapes, `\\.` ends the data."""

    def __init__(self, work: CopyWork) -> None:
        super().__init__(work)
        self._continued: list[str] = []  # lines that end in an escaped line end

    def records(self, lines: list[str]) -> list[tuple[str, int]]:
        lines = self.without_returns(lines)
        if not self._continued and not any(line.endswith("\\") for line in lines):
            if "\\." in lines:
                self.is_ended = True
                del lines[lines.index("\\.") :]
            return [(line, 1) for line in lines]
        found = []
        for line in lines:
            self._continued.append(line)
            if (len(line) - len(line.rstrip("\\"))) % 2:
                continue
            record, count = "\n".join(self._continued), len(self._continued)
            self._continued = []
            if record == "\\.":
                self.is_ended = True
                break
            found.append((record, count))
        return found

    def end_of_records(self) -> Iterator[list[Row]]:
        if self._continued:
            self._continued[-1] = self._continued[-1][:-1]
            text, self._continued = "\n".join(self._continued), []
            self._ends_with_return = False  # these lines have lost theirs
            yield self._rows(text.split("\n"))

    def fields(self, texts: list[str]) -> list[Record]:
        delimiter, null = self.options.delimiter, self.options.null
        if self.maker.width == 0:
            return [[] if text == "" else [text] for text in texts]
        joined = "".join(texts)
        if "\r" in joined:
            raise SqlError(
                BAD_COPY_FILE_FORMAT,
                "literal carriage return found in data",
                hint='Use "\\r" to represent carriage return.',
                context=f"COPY {self.maker.table.name}, line {self.line_number}",
            )
        split = [text.split(delimiter) for text in texts]
        if "\\" not in joined:
            if null in joined or null == "":
                return [[None if f == null else f for f in fields] for fields in split]
            return split  # type: ignore[return-value]
        nulls = sum(fields.count(null) for fields in split) if null.count("\\") == 1 else -1
        if joined.count("\\") == nulls:
            return [
                [None if f == null else f for f in fields] if null in fields else list(fields)
                for fields in split
            ]
        return [self._unescaped(text) if "\\" in text else self._plain(text) for text in texts]

    def _plain(self, text: str) -> Record:
        null = self.options.null
        return [None if f == null else f for f in text.split(self.options.delimiter)]

    def _unescaped(self, text: str) -> Record:
        """Split at delimiters that are not escaped; undo escapes."""
        delimiter = self.options.delimiter
        record: Record = []
        pieces: list[str] = []
        for piece in text.split(delimiter):
            pieces.append(piece)
            if (len(piece) - len(piece.rstrip("\\"))) % 2 == 0:
                record.append(self._field(delimiter.join(pieces)))
                pieces = []
        if pieces:
            record.append(self._field(delimiter.join(pieces)))
        return record

    def _field(self, raw: str) -> Field:
        if raw == self.options.null:
            return None
        return unescape_text(raw) if "\\" in raw else raw


class CsvParser(LineParser):
    """FORMAT csv: quotes may hide delimiters and line ends; an unquoted null string is null."""

    def __init__(self, work: CopyWork) -> None:
        super().__init__(work)
        self._open: list[str] = []  # lines of a record inside quotes
        self._force_not_null = frozenset(work.options.force_not_null)
        self._force_null = frozenset(work.options.force_null)
        self._is_simple = work.options.escape == work.options.quote

    def records(self, lines: list[str]) -> list[tuple[str, int]]:
        quote = self.options.quote
        if not self._open and not any(quote in line for line in lines):
            lines = self.without_returns(lines)
            if "\\." in lines:
                self.is_ended = True
                del lines[lines.index("\\.") :]
            return [(line, 1) for line in lines]
        found = []
        for line in lines:
            if not self._open and line.removesuffix("\r") == "\\.":
                self.is_ended = True
                break
            self._open.append(line)
            if self._is_inside(line, len(self._open) > 1):
                if sum(map(len, self._open)) > MAX_RECORD_BYTES:
                    self.buffer += bytes(MAX_RECORD_BYTES)
                    self.check_size()
                continue
            found.append(("\n".join(self._open), len(self._open)))
            self._open = []
        texts = self.without_returns([text for text, _ in found])
        return [(text, count) for text, (_, count) in zip(texts, found, strict=True)]

    def _is_inside(self, line: str, was_inside: bool) -> bool:
        """Whether the line ends inside quotes."""
        if self._is_simple:
            return (line.count(self.options.quote) % 2 == 1) is not was_inside
        inside, position = was_inside, 0
        while position < len(line):
            character = line[position]
            if inside and character == self.options.escape:
                position += 1
            elif character == self.options.quote:
                inside = not inside
            position += 1
        return inside

    def end_of_records(self) -> Iterator[list[Row]]:
        if self._open:
            line = self.line_number + 1
            text = "\n".join(self._open)
            raise SqlError(
                BAD_COPY_FILE_FORMAT,
                "unterminated CSV quoted field",
                context=f"COPY {self.maker.table.name}, line {line}: {quoted(text)}",
            )
        return iter(())

    def fields(self, texts: list[str]) -> list[Record]:
        quote, delimiter, null = self.options.quote, self.options.delimiter, self.options.null
        if self.maker.width == 0:
            return [[] if text == "" else [text] for text in texts]
        if self._force_not_null or not any(quote in text for text in texts):
            if self._force_not_null or self._force_null:
                return [self._careful_fields(text) for text in texts]
            return [
                [None if field == null else field for field in text.split(delimiter)]
                for text in texts
            ]
        return [
            self._careful_fields(text)
            if quote in text
            else [None if field == null else field for field in text.split(delimiter)]
            for text in texts
        ]

    def _careful_fields(self, text: str) -> Record:
        """The fields of a record that has quotes, or of which some columns are treated apart."""
        null = self.options.null
        record: Record = []
        for position, raw in enumerate(self._raw_fields(text)):
            if self.options.quote not in raw:
                is_null = raw == null and position not in self._force_not_null
                record.append(None if is_null else raw)
                continue
            value = self._unquoted(raw)
            record.append(None if position in self._force_null and value == null else value)
        return record

    def _raw_fields(self, text: str) -> list[str]:
        delimiter = self.options.delimiter
        fields: list[str] = []
        pieces: list[str] = []
        inside = False
        for piece in text.split(delimiter):
            pieces.append(piece)
            inside = self._is_inside(piece, inside)
            if not inside:
                fields.append(delimiter.join(pieces))
                pieces = []
        if pieces:
            fields.append(delimiter.join(pieces))
        return fields

    def _unquoted(self, raw: str) -> str:
        quote, escape = self.options.quote, self.options.escape
        if self._is_simple and raw[0] == quote and raw[-1] == quote:
            inner = raw[1:-1]
            if quote not in inner:
                return inner
            if quote not in inner.replace(quote + quote, ""):
                return inner.replace(quote + quote, quote)
        out: list[str] = []
        inside, position = False, 0
        while position < len(raw):
            character = raw[position]
            following = raw[position + 1 : position + 2]
            if inside and character == escape and following in (quote, escape) and following:
                out.append(following)
                position += 1
            elif character == quote:
                inside = not inside
            else:
                out.append(character)
            position += 1
        return "".join(out)


class BinaryParser(CopyParser):
    """FORMAT binary: a header, then tuples of length-prefixed fields, then a trailer of -1."""

    def __init__(self, work: CopyWork) -> None:
        super().__init__(work)
        self._inputs: list[Callable[[bytes], Datum]] = [binary_input(t) for t in self.maker.types]
        self._has_header = False
        self._row_number = 0

    def feed(self, data: bytes) -> Iterator[list[Row]]:
        if self.is_ended:
            if data:
                raise SqlError(
                    BAD_COPY_FILE_FORMAT,
                    "received copy data after EOF marker",
                    context=self._place(),
                )
            return
        self.buffer += data
        if not self._has_header and not self._read_header():
            return
        while True:
            rows = self._some_rows()
            if not rows:
                break
            yield rows
        self.check_size()

    def finish(self) -> Iterator[list[Row]]:
        if not self._has_header:
            raise SqlError(BAD_COPY_FILE_FORMAT, "COPY file signature not recognized")
        if self.buffer:
            self._row_number += 1
            raise SqlError(
                BAD_COPY_FILE_FORMAT, "unexpected EOF in COPY data", context=self._place()
            )
        return iter(())

    def _read_header(self) -> bool:
        buffer = self.buffer
        signature = COPY_BINARY_SIGNATURE
        if not signature.startswith(bytes(buffer[: len(signature)])):
            raise SqlError(BAD_COPY_FILE_FORMAT, "COPY file signature not recognized")
        if len(buffer) < len(signature) + 8:
            return False
        (flags,) = _INT32(buffer, len(signature))
        if flags & (1 << 16):
            raise SqlError(BAD_COPY_FILE_FORMAT, "invalid COPY file header (WITH OIDS)")
        if (flags & ~(1 << 16)) >> 16:
            raise SqlError(BAD_COPY_FILE_FORMAT, "unrecognized critical flags in COPY file header")
        (extension,) = _INT32(buffer, len(signature) + 4)
        if extension < 0 or extension > MAX_RECORD_BYTES:
            raise SqlError(BAD_COPY_FILE_FORMAT, "invalid COPY file header (missing length)")
        if len(buffer) < len(signature) + 8 + extension:
            return False
        del buffer[: len(signature) + 8 + extension]
        self._has_header = True
        return True

    def _some_rows(self) -> list[Row]:
        """Up to STEP_RECORDS rows of complete tuples in the buffer."""
        data = bytes(memoryview(self.buffer)[: 1 << 20]) if len(self.buffer) > 1 << 20 else None
        data = bytes(self.buffer) if data is None else data
        position = 0
        parsed: list[tuple[Datum, ...]] = []
        while len(parsed) < STEP_RECORDS:
            end = self._tuple_end(data, position)
            if end is None and not parsed and len(data) < len(self.buffer):
                data = bytes(self.buffer)  # one tuple is larger than what was looked at
                end = self._tuple_end(data, position)
            if end is None:
                break
            if self.is_ended:
                if len(self.buffer) > end:
                    raise SqlError(
                        BAD_COPY_FILE_FORMAT,
                        "received copy data after EOF marker",
                        context=self._place(),
                    )
                position = end
                break
            self._row_number += 1
            parsed.append(self._tuple(data, position))
            position = end
        del self.buffer[:position]
        if not parsed:
            return []
        first = self._row_number - len(parsed) + 1
        table = self.maker.table.name
        return self.maker.assembled(
            list(zip(*parsed, strict=True)),
            len(parsed),
            lambda index: f"COPY {table}, line {first + index}",
        )

    def _tuple_end(self, data: bytes, position: int) -> int | None:
        """Where the tuple at `position` ends; None if it is not complete."""
        size = len(data)
        if size - position < 2:
            return None
        (count,) = _INT16(data, position)
        position += 2
        if count == -1:
            self.is_ended = True
            return position
        if count != self.maker.width:
            self._row_number += 1
            raise SqlError(
                BAD_COPY_FILE_FORMAT,
                f"row field count is {count}, expected {self.maker.width}",
                context=self._place(),
            )
        for _ in range(count):
            if size - position < 4:
                return None
            (length,) = _INT32(data, position)
            position += 4
            if length < -1:
                self._row_number += 1
                raise SqlError(BAD_COPY_FILE_FORMAT, "invalid field size", context=self._place())
            if length > MAX_RECORD_BYTES:
                raise SqlError(
                    PROGRAM_LIMIT_EXCEEDED,
                    f"a COPY field is longer than the limit of {MAX_RECORD_BYTES} bytes",
                    context=self._place(),
                )
            if length > 0:
                position += length
        return position if position <= size else None

    def _tuple(self, data: bytes, position: int) -> tuple[Datum, ...]:
        position += 2
        values: list[Datum] = []
        for column, parse in enumerate(self._inputs):
            (length,) = _INT32(data, position)
            position += 4
            if length < 0:
                values.append(None)
                continue
            try:
                values.append(parse(data[position : position + length]))
            except SqlError as error:
                error.context = f"{self._place()}, column {self.maker.column_names[column]}"
                raise
            position += length
        return tuple(values)

    def _place(self) -> str:
        return f"COPY {self.maker.table.name}, line {max(1, self._row_number)}"


def unescape_text(raw: str) -> str:
    """Undo the backslash escapes of COPY's text format."""
    out: list[str] = []
    octets = bytearray()
    position = 0
    while position < len(raw):
        character = raw[position]
        position += 1
        if character != "\\" or position == len(raw):
            _flush(out, octets)
            out.append(character)
            continue
        character = raw[position]
        position += 1
        digits = ""
        if character in _OCTAL:
            digits = character
            while len(digits) < 3 and raw[position : position + 1] in _OCTAL:
                digits += raw[position]
                position += 1
            octets.append(int(digits, 8) & 0xFF)
        elif character == "x" and raw[position : position + 1] in _HEX:
            while len(digits) < 2 and raw[position : position + 1] in _HEX:
                digits += raw[position]
                position += 1
            octets.append(int(digits, 16))
        else:
            _flush(out, octets)
            out.append(_ESCAPES.get(character, character))
    _flush(out, octets)
    return "".join(out)


def _flush(out: list[str], octets: bytearray) -> None:
    """Bytes given as numeric escapes make characters together."""
    if not octets:
        return
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        shown = " ".join(f"0x{byte:02x}" for byte in octets[error.start : error.start + 4])
        raise SqlError(
            CHARACTER_NOT_IN_REPERTOIRE, f'invalid byte sequence for encoding "UTF8": {shown}'
        ) from error
    if "\0" in text:
        raise SqlError(
            CHARACTER_NOT_IN_REPERTOIRE, 'invalid byte sequence for encoding "UTF8": 0x00'
        )
    out.append(text)
    octets.clear()
