"""Results come out whole and in bounded pieces, in every form."""

import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import expr.library  # noqa: F401
from compute.encode import COPY_BINARY_HEADER, result_encoder
from compute.output_format import CopyOptions, OutputFormat, OutputKind
from compute.result import FIRST_ROWS, PIECE_BYTES, encoded
from core.rows import Row
from core.sql_types import BOOL, FLOAT8, INT4, INT8, NUMERIC, TEXT, TIMESTAMP
from tests.compute.compute_environment import parse_data_rows


def pieces_of(rows: list[list[Row]], output: OutputFormat) -> tuple[bytes, int, list[int]]:
    data, count, sizes = b"", 0, []
    last = False
    for piece in encoded(iter(rows), result_encoder(output)):
        assert not last
        data += piece.data
        count += piece.row_count
        sizes.append(len(piece.data))
        last = piece.is_last
    assert last
    return data, count, sizes


def copy_lines(data: bytes) -> list[bytes]:
    """The payloads of CopyData messages."""
    lines = []
    position = 0
    while position < len(data):
        assert data[position : position + 1] == b"d"
        end = position + 1 + int.from_bytes(data[position + 1 : position + 5], "big")
        lines.append(data[position + 5 : end])
        position = end
    return lines


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.integers(0, 3000), st.sampled_from([1, 60, 700, 30_000])), max_size=6
    )
)
def test_every_row_comes_out_once_in_order(parts: list[tuple[int, int]]) -> None:
    rows: list[list[Row]] = []
    number = 0
    for count, width in parts:
        count = min(count, 2_000_000 // width)
        rows.append([(number + i, "x" * width) for i in range(count)])
        number += count
    data, count, sizes = pieces_of(rows, OutputFormat((INT4, TEXT)))
    assert count == number
    assert [int(row[0] or "") for row in parse_data_rows(data)] == list(range(number))
    widest = max((width for _, width in parts), default=0)
    assert max(sizes) <= 2 * PIECE_BYTES + FIRST_ROWS * (widest + 40)


def test_text_and_binary_fields() -> None:
    types = (INT4, INT8, TEXT, BOOL, FLOAT8, NUMERIC, TIMESTAMP)
    row: Row = (-5, 2**40, "ü", True, math.inf, Decimal("1.50"), 0)
    data, _, _ = pieces_of([[row, (None,) * 7]], OutputFormat(types))
    assert parse_data_rows(data) == [
        ("-5", str(2**40), "ü", "t", "Infinity", "1.50", "2000-01-01 00:00:00"),
        (None,) * 7,
    ]
    data, _, _ = pieces_of([[(-5, "a")]], OutputFormat((INT4, TEXT), formats=(1, 0)))
    body = b"\0\0\0\x04\xff\xff\xff\xfb" + b"\0\0\0\x01a"
    assert data == b"D" + (len(body) + 6).to_bytes(4, "big") + b"\0\x02" + body


def test_rows_without_columns() -> None:
    data, count, _ = pieces_of([[(), ()]], OutputFormat(()))
    assert count == 2
    assert parse_data_rows(data) == [(), ()]


def test_copy_text_escapes() -> None:
    output = OutputFormat((TEXT, INT4), OutputKind.COPY_TEXT)
    data, _, _ = pieces_of([[("a\tb\\c\nd\re", 1), (None, None), ("\\N", 2)]], output)
    assert copy_lines(data) == [b"a\\tb\\\\c\\nd\\re\t1\n", b"\\N\t\\N\n", b"\\\\N\t2\n"]


def test_copy_text_escapes_an_unusual_delimiter() -> None:
    options = CopyOptions(delimiter="|", null="", header=True)
    output = OutputFormat((TEXT, TEXT), OutputKind.COPY_TEXT, copy=options, names=("a", "b"))
    data, _, _ = pieces_of([[("x|y", None)]], output)
    assert copy_lines(data) == [b"a|b\n", b"x\\|y|\n"]


def test_copy_csv_quotes_what_must_be_quoted() -> None:
    options = CopyOptions(delimiter=",", null="", header=True, force_quote=(1,))
    output = OutputFormat((TEXT, INT4), OutputKind.COPY_CSV, copy=options, names=("a", 'b"'))
    rows: list[Row] = [('say "hi"', 1), ("", 2), (None, None), ("a,b\nc", 3), ("plain", 4)]
    data, _, _ = pieces_of([rows], output)
    assert copy_lines(data) == [
        b'a,"b"""\n',
        b'"say ""hi""","1"\n',
        b'"","2"\n',
        b",\n",
        b'"a,b\nc","3"\n',
        b'plain,"4"\n',
    ]


@pytest.mark.parametrize("row_count", [0, 1, 3])
def test_copy_binary_has_its_header_in_the_first_message(row_count: int) -> None:
    rows: list[Row] = [(i,) for i in range(row_count)]
    output = OutputFormat((INT4,), OutputKind.COPY_BINARY)
    data, _, _ = pieces_of([rows] if rows else [], output)
    lines = copy_lines(data)
    payload = b"".join(b"\0\x01\0\0\0\x04" + i.to_bytes(4, "big") for i in range(row_count))
    assert b"".join(lines) == COPY_BINARY_HEADER + payload + b"\xff\xff"
    assert lines[0].startswith(COPY_BINARY_HEADER)
    assert len(lines) == row_count + 1
