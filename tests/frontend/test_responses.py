"""Server messages as bytes."""

import struct

from controllers.compute_client import PeekChunk
from core.errors import SqlError
from core.sql_types import INT4, TEXT, Column, RelationDesc, SqlType
from expr.scalar import EvaluationContext
from frontend import responses
from frontend.datums import RowEncoder, decode_data_rows, transcode


def fields(message: bytes) -> dict[str, str]:
    assert message[:1] in b"EN"
    assert struct.unpack("!i", message[1:5])[0] == len(message) - 1
    parts = message[5:-2].split(b"\0")
    return {part[:1].decode(): part[1:].decode() for part in parts}


def test_error_fields() -> None:
    error = SqlError("42601", "bad", detail="d", hint="h", position=7)
    assert fields(responses.error_response(error)) == {
        "S": "ERROR",
        "V": "ERROR",
        "C": "42601",
        "M": "bad",
        "D": "d",
        "H": "h",
        "P": "7",
    }


def test_no_text_can_break_a_message() -> None:
    error = SqlError("42601", "a\0b\udcff" + "x" * 200_000)
    message = responses.error_response(error)
    assert fields(message)["M"].startswith("ab?xxx")
    assert len(message) < 150_000


def test_row_description() -> None:
    desc = RelationDesc((Column("a", INT4), Column("b", SqlType(1043, 14))))
    body = responses.row_description(desc, (0, 1))[5:]
    assert body == (
        b"\0\2a\0"
        + struct.pack("!IhIhih", 0, 0, 23, 4, -1, 0)
        + b"b\0"
        + struct.pack("!IhIhih", 0, 0, 1043, -1, 14, 1)
    )


def test_data_rows_there_and_back() -> None:
    rows = [[b"1", None, b""], [b"x" * 1000, b"2", None]]
    data = b"".join(map(responses.data_row, rows))
    assert decode_data_rows(data) == rows


def test_split_keeps_whole_rows() -> None:
    data = b"".join(responses.data_row([b"x" * n]) for n in range(5))
    first, rest = PeekChunk(data, 5).split(2)
    assert decode_data_rows(first.data) == [[b""], [b"x"]]
    assert (first.row_count, rest.row_count) == (2, 3)


def test_transcoding_between_formats() -> None:
    context = EvaluationContext()
    types = (INT4, TEXT)
    text = RowEncoder(types, (), context).encode_all([(1, "a"), (None, "é")])
    binary = transcode(text, types, (), (1,), context)
    assert decode_data_rows(binary.data) == [[b"\0\0\0\1", b"a"], [None, "é".encode()]]
    assert transcode(binary, types, (1, 1), (), context) == text
