"""COPY's format text: fields between delimiters, backslash escapes, `\\.` ends the data."""

from collections.abc import Iterator
from typing import Final

from compute.copy_lines import END_MARKER, LineParser
from compute.copy_rows import Field, Record
from compute.protocol import CopyWork
from core.errors import (
    BAD_COPY_FILE_FORMAT,
    CHARACTER_NOT_IN_REPERTOIRE,
    SqlError,
)
from core.rows import Row

_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_OCTAL: Final = frozenset("01234567")
_HEX: Final = frozenset("0123456789abcdefABCDEF")


class TextParser(LineParser):
    """FORMAT text: fields between delimiters, backslash escapes, `\\.` ends the data."""

    def __init__(self, work: CopyWork) -> None:
        super().__init__(work)
        self._continued: list[str] = []  # lines that end in an escaped line end

    def records(self, lines: list[str]) -> list[tuple[str, int]]:
        lines = self.without_returns(lines)
        if not self._continued and not any(line.endswith("\\") for line in lines):
            return self.records_of_a_line(lines)
        found = []
        for line in lines:
            self._continued.append(line)
            if (len(line) - len(line.rstrip("\\"))) % 2:
                continue
            record, count = "\n".join(self._continued), len(self._continued)
            self._continued = []
            if record == END_MARKER:
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
