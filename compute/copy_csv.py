"""COPY's format csv: quotes may hide delimiters and line ends."""

from collections.abc import Iterator

from compute.copy_lines import END_MARKER, MAX_RECORD_BYTES, LineParser
from compute.copy_rows import Record, quoted
from compute.protocol import CopyWork
from core.errors import (
    BAD_COPY_FILE_FORMAT,
    SqlError,
)
from core.rows import Row


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
            return self.records_of_a_line(self.without_returns(lines))
        found = []
        for line in lines:
            if not self._open and line.removesuffix("\r") == END_MARKER:
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
