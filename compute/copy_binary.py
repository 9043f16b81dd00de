"""COPY's format binary: a header, tuples of length-prefixed fields, a trailer."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

from compute.copy_lines import MAX_RECORD_BYTES, STEP_RECORDS, CopyParser
from compute.encode import COPY_BINARY_SIGNATURE
from compute.protocol import CopyWork
from core.errors import (
    BAD_COPY_FILE_FORMAT,
    PROGRAM_LIMIT_EXCEEDED,
    SqlError,
)
from core.rows import Datum, Row
from expr.binary_format import binary_input

_INT32: Final = Struct(">i").unpack_from
_INT16: Final = Struct(">h").unpack_from


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
