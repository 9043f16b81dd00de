"""Frontend messages as bytes, for tests of the server's side."""

import struct


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def startup(version: int = 3 << 16, **parameters: str) -> bytes:
    body = struct.pack("!I", version)
    for name, value in parameters.items():
        body += text(name) + text(value)
    body += b"\0"
    return struct.pack("!i", len(body) + 4) + body


def request(code: int, body: bytes = b"") -> bytes:
    """A startup-phase request: SSL (5679), GSSAPI (5680), cancel (5678)."""
    return struct.pack("!iI", 8 + len(body), (1234 << 16) | code) + body


def query(sql: str) -> bytes:
    return message(b"Q", text(sql))


def parse(sql: str, name: str = "", oids: tuple[int, ...] = ()) -> bytes:
    return message(b"P", text(name) + text(sql) + struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def bind(
    values: tuple[bytes | None, ...] = (),
    formats: tuple[int, ...] = (),
    result_formats: tuple[int, ...] = (),
    portal: str = "",
    statement: str = "",
) -> bytes:
    body = text(portal) + text(statement)
    body += struct.pack(f"!H{len(formats)}h", len(formats), *formats)
    body += struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    body += struct.pack(f"!H{len(result_formats)}h", len(result_formats), *result_formats)
    return message(b"B", body)


def execute(portal: str = "", max_rows: int = 0) -> bytes:
    return message(b"E", text(portal) + struct.pack("!i", max_rows))


SYNC = message(b"S")
FLUSH = message(b"H")
TERMINATE = message(b"X")
COPY_DONE = message(b"c")
