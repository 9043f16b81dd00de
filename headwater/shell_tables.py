"""Query results as aligned text, in psql's layout."""

from collections.abc import Sequence
from typing import Final

from prompt_toolkit.utils import get_cwidth

NULL_TEXT: Final = "NULL"


def format_table(
    names: Sequence[str], rows: Sequence[Sequence[str | None]], right_aligned: Sequence[bool]
) -> Sequence[str]:
    """Header, rule, rows and row count. Line breaks in a value continue its cell below."""
    cells = [[_lines(value) for value in row] for row in rows]
    widths = [
        max([get_cwidth(name), *(get_cwidth(line) for row in cells for line in row[column])])
        for column, name in enumerate(names)
    ]
    header = "|".join(_centred(name, width) for name, width in zip(names, widths, strict=True))
    rule = "+".join("-" * (width + 2) for width in widths)
    lines = [header.rstrip() if header.strip() else header, rule]
    for row in cells:
        height = max(map(len, row), default=1)
        lines += [_line(row, number, widths, right_aligned) for number in range(height)]
    lines.append(f"({len(rows)} row{'' if len(rows) == 1 else 's'})")
    return lines


def _line(
    row: Sequence[Sequence[str]], number: int, widths: Sequence[int], right_aligned: Sequence[bool]
) -> str:
    parts = []
    for cell, width, right in zip(row, widths, right_aligned, strict=True):
        text = cell[number] if number < len(cell) else ""
        padding = " " * (width - get_cwidth(text))
        parts.append(f" {padding}{text} " if right else f" {text}{padding} ")
    return "|".join(parts).rstrip()


def _lines(value: str | None) -> Sequence[str]:
    if value is None:
        return [NULL_TEXT]
    return [_printable(line) for line in value.split("\n")]


def _printable(line: str) -> str:
    """Control characters escaped, so that a stored value cannot drive the terminal."""
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in line)


def _centred(text: str, width: int) -> str:
    space = width - get_cwidth(text)
    return f" {' ' * (space // 2)}{text}{' ' * (space - space // 2)} "
