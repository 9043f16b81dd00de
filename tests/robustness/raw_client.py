"""A client that says whatever bytes a test wants, and understands only the framing of answers."""

import select
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

DEADLINE_S: Final = 30.0
RECEIVE_BYTES: Final = 65_536


class Message(NamedTuple):
    """One backend message."""

    tag: str
    payload: bytes

    @property
    def fields(self) -> dict[str, str]:
        """The fields of an ErrorResponse or NoticeResponse."""
        parts = self.payload.rstrip(b"\0").split(b"\0")
        return {part[:1].decode(): part[1:].decode() for part in parts if part}

    @property
    def columns(self) -> list[bytes | None]:
        """The values of a DataRow."""
        values: list[bytes | None] = []
        position = 2
        for _ in range(struct.unpack_from("!h", self.payload)[0]):
            (length,) = struct.unpack_from("!i", self.payload, position)
            position += 4
            values.append(None if length < 0 else self.payload[position : position + length])
            position += max(length, 0)
        return values


def message(tag: str, payload: bytes = b"") -> bytes:
    """A frontend message with its length."""
    return tag.encode() + struct.pack("!i", len(payload) + 4) + payload


def query(sql: str | bytes) -> bytes:
    return message("Q", (sql.encode() if isinstance(sql, str) else sql) + b"\0")


def parse(name: str, sql: str, *oids: int) -> bytes:
    types = struct.pack(f"!h{len(oids)}I", len(oids), *oids)
    return message("P", name.encode() + b"\0" + sql.encode() + b"\0" + types)


def bind(
    portal: str,
    statement: str,
    values: tuple[bytes | None, ...] = (),
    *,
    formats: tuple[int, ...] = (),
    result_formats: tuple[int, ...] = (),
) -> bytes:
    encoded = b"".join(
        struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
        for value in values
    )
    return message(
        "B",
        portal.encode()
        + b"\0"
        + statement.encode()
        + b"\0"
        + struct.pack(f"!h{len(formats)}h", len(formats), *formats)
        + struct.pack("!h", len(values))
        + encoded
        + struct.pack(f"!h{len(result_formats)}h", len(result_formats), *result_formats),
    )


def execute(portal: str = "", max_rows: int = 0) -> bytes:
    return message("E", portal.encode() + b"\0" + struct.pack("!i", max_rows))


def startup(
    parameters: dict[str, str], version: int = 196_608, *, terminator: bytes = b"\0"
) -> bytes:
    body = struct.pack("!i", version)
    body += b"".join(f"{k}\0{v}\0".encode() for k, v in parameters.items()) + terminator
    return struct.pack("!i", len(body) + 4) + body


SYNC: Final = message("S")
LOGIN: Final = {"user": "materialize", "database": "materialize"}


class RawClient:
    """A socket to a server: to a port of this host, or to a unix socket."""

    def __init__(self, address: int | Path) -> None:
        if isinstance(address, int):
            self._socket = socket.create_connection(("127.0.0.1", address), timeout=DEADLINE_S)
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(DEADLINE_S)
            self._socket.connect(str(address))
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def log_in(self, parameters: dict[str, str] = LOGIN) -> Self:
        self.send(startup(parameters))
        answers = self.until_ready()
        assert answers[-1].tag == "Z", answers
        return self

    def send(self, data: bytes) -> None:
        """Send what the server will take; that it has hung up shows when answers are read."""
        try:
            self._socket.sendall(data)
        except OSError:
            return

    def half_close(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def has_input(self, timeout_s: float) -> bool:
        """Whether there is something to receive, or the end; waits for it that long."""
        return bool(self._buffer) or bool(select.select([self._socket], [], [], timeout_s)[0])

    def receive(self) -> Message | None:
        """The next message; None when the server has closed the connection."""
        while len(self._buffer) < 5 or len(self._buffer) < self._needed():
            data = self._read()
            if not data:
                return None
            self._buffer += data
        size = self._needed()
        result = Message(chr(self._buffer[0]), self._buffer[5:size])
        self._buffer = self._buffer[size:]
        return result

    def receive_bytes(self, count: int) -> bytes:
        """`count` bytes as they come, fewer when the server closes."""
        while len(self._buffer) < count:
            data = self._read()
            if not data:
                break
            self._buffer += data
        result, self._buffer = self._buffer[:count], self._buffer[count:]
        return result

    def until_ready(self) -> list[Message]:
        """Everything up to ReadyForQuery, or up to the end of the connection."""
        messages = []
        while (received := self.receive()) is not None:
            messages.append(received)
            if received.tag == "Z":
                break
        return messages

    def until_closed(self) -> list[Message]:
        messages = []
        while (received := self.receive()) is not None:
            messages.append(received)
        return messages

    def _needed(self) -> int:
        return 1 + int(struct.unpack_from("!i", self._buffer, 1)[0])

    def _read(self) -> bytes:
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except ConnectionError:
            return b""


def sqlstates(messages: list[Message]) -> list[str]:
    """The SQLSTATEs of the errors among `messages`."""
    return [m.fields["C"] for m in messages if m.tag == "E"]
