"""What the parsers of COPY input share.

Bytes cut anywhere come in, lists of rows go out, every step is bounded. The text formats also share
cutting at line ends, decoding, and counting lines.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

from compute.copy_rows import Record, RowMaker, quoted
from compute.output_format import CopyOptions
from compute.protocol import CopyWork
from core.errors import (
    BAD_COPY_FILE_FORMAT,
    CHARACTER_NOT_IN_REPERTOIRE,
    PROGRAM_LIMIT_EXCEEDED,
    SqlError,
)
from core.rows import Row

STEP_RECORDS: Final = 256
END_MARKER: Final = "\\."
MAX_RECORD_BYTES: Final = 64 * 1024 * 1024


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

    def records_of_a_line(self, lines: list[str]) -> list[tuple[str, int]]:
        """Lines without their ends as records of one line each, up to a marker of the end."""
        if END_MARKER in lines:
            self.is_ended = True
            lines = lines[: lines.index(END_MARKER)]
        return [(line, 1) for line in lines]

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
