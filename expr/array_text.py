"""Text of arrays and records: braces, quoting, bounds (array_in, array_out, record_out)."""

import re
from collections.abc import Callable
from typing import Final

from core.errors import (
    INVALID_TEXT_REPRESENTATION,
    PROGRAM_LIMIT_EXCEEDED,
    SqlError,
)
from core.rows import Array, Datum

MAX_DIMENSIONS: Final = 6
MAX_ELEMENTS: Final = 134_217_727
_NEEDS_QUOTES: Final = re.compile(r'[\s{},"\\]', re.ASCII)
_FIELD_NEEDS_QUOTES: Final = re.compile(r'[\s(),"\\]', re.ASCII)
_WHITESPACE: Final = " \t\n\r\f\v"
_BOUND: Final = re.compile(r"[ \t\n\r\f\v]*\[([+-]?\d+)(?::([+-]?\d+))?\]", re.ASCII)
_SIMPLE: Final = re.compile(r"[^{}\"\\,\s]+", re.ASCII)


def format_array(array: Array[Datum], element: Callable[[Datum], str]) -> str:
    """array_out."""
    if not array.dimensions:
        return "{}"
    texts = ["NULL" if item is None else _quote_element(element(item)) for item in array.elements]
    for length, _ in reversed(array.dimensions[1:]):
        texts = [
            f"{{{','.join(texts[start : start + length])}}}"
            for start in range(0, len(texts), length)
        ]
    text = f"{{{','.join(texts)}}}"
    if any(lower != 1 for _, lower in array.dimensions):
        bounds = "".join(f"[{lower}:{lower + length - 1}]" for length, lower in array.dimensions)
        return f"{bounds}={text}"
    return text


def _quote_element(text: str) -> str:
    if text == "" or _NEEDS_QUOTES.search(text) or text.upper() == "NULL":
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text


def format_record(fields: list[str | None]) -> str:
    """record_out of fields already in text."""
    return f"({','.join(map(_quote_field, fields))})"


def _quote_field(text: str | None) -> str:
    if text is None:
        return ""
    if text == "" or _FIELD_NEEDS_QUOTES.search(text):
        escaped = text.replace("\\", "\\\\").replace('"', '""')
        return f'"{escaped}"'
    return text


def parse_array(text: str, element: Callable[[str], Datum]) -> Array[Datum]:
    """array_in. Raises SqlError 22P02, 2202E, 54000."""
    return _ArrayParser(text, element).parse()


class _ArrayParser:
    """One pass over the text, with a stack of open braces instead of recursion."""

    def __init__(self, text: str, element: Callable[[str], Datum]) -> None:
        self.text = text
        self.element = element
        self.position = 0

    def parse(self) -> Array[Datum]:
        bounds = self._bounds()
        self._skip_whitespace()
        if self.text[self.position : self.position + 1] != "{":
            detail = (
                'Array contents must start with "{".'
                if bounds
                else 'Array value must start with "{" or dimension information.'
            )
            raise self._error(detail)
        lengths, elements = self._contents()
        self._skip_whitespace()
        if self.position != len(self.text):
            raise self._error("Junk after closing right brace.")
        if not elements:
            return Array((), ())
        if bounds:
            if len(bounds) != len(lengths) or any(
                upper - lower + 1 != length
                for (lower, upper), length in zip(bounds, lengths, strict=True)
            ):
                raise self._error("Specified array dimensions do not match array contents.")
            dimensions = tuple((upper - lower + 1, lower) for lower, upper in bounds)
        else:
            dimensions = tuple((length, 1) for length in lengths)
        return Array(dimensions, tuple(elements))

    def _bounds(self) -> list[tuple[int, int]]:
        bounds: list[tuple[int, int]] = []
        while (match := _BOUND.match(self.text, self.position)) is not None:
            lower, upper = (
                (1, int(match[1])) if match[2] is None else (int(match[1]), int(match[2]))
            )
            if len(bounds) >= MAX_DIMENSIONS:
                raise _too_many_dimensions()
            if max(abs(lower), abs(upper)) >= 2**31:
                raise SqlError(PROGRAM_LIMIT_EXCEEDED, "array bound is out of integer range")
            if upper < lower:
                raise SqlError("2202E", "upper bound cannot be less than lower bound")
            bounds.append((lower, upper))
            self.position = match.end()
        if bounds:
            self._skip_whitespace()
            if self.text[self.position : self.position + 1] != "=":
                raise self._error('Missing "=" after array dimensions.')
            self.position += 1
        return bounds

    def _contents(self) -> tuple[list[int], list[Datum]]:
        """Everything between the outermost braces: the length of each dimension, the elements."""
        text = self.text
        elements: list[Datum] = []
        lengths: list[int] = []
        counts: list[int] = []  # items so far in each open brace
        depth_of_elements: int | None = None
        expects_item = True
        while True:
            self._skip_whitespace()
            character = text[self.position : self.position + 1]
            if character == "":
                raise self._error("Unexpected end of input.")
            if character == "{":
                if counts and not expects_item:
                    raise self._error('Unexpected "{" character.')
                if depth_of_elements is not None and len(counts) >= depth_of_elements:
                    raise self._mismatch()
                if counts:
                    counts[-1] += 1
                counts.append(0)
                if len(counts) > MAX_DIMENSIONS:
                    raise _too_many_dimensions()
                self.position += 1
                expects_item = True
            elif character == "}":
                if expects_item and counts[-1]:
                    raise self._error('Unexpected "}" character.')
                self._close(counts, lengths)
                self.position += 1
                expects_item = False
                if not counts:
                    return lengths, elements
            elif character == ",":
                if expects_item:
                    raise self._error('Unexpected "," character.')
                self.position += 1
                expects_item = True
            else:
                if not expects_item:
                    raise self._error("Unexpected array element.")
                if depth_of_elements is None:
                    depth_of_elements = len(counts)
                if len(counts) != depth_of_elements or len(lengths) > len(counts):
                    raise self._mismatch()
                elements.append(self._item(character))
                counts[-1] += 1
                expects_item = False

    def _close(self, counts: list[int], lengths: list[int]) -> None:
        depth = len(counts)
        count = counts.pop()
        while len(lengths) < depth:
            lengths.append(-1)
        if lengths[depth - 1] == -1:
            lengths[depth - 1] = count
        elif lengths[depth - 1] != count:
            raise self._mismatch()

    def _item(self, character: str) -> Datum:
        text = self.text
        if character == '"':
            return self.element(self._quoted())
        simple = _SIMPLE.match(text, self.position)
        if simple is not None:
            following = text[simple.end() : simple.end() + 1]
            if following in (",", "}"):
                self.position = simple.end()
                word = simple[0]
                return None if word.upper() == "NULL" else self.element(word)
        return self._unquoted()

    def _quoted(self) -> str:
        parts: list[str] = []
        text = self.text
        position = self.position + 1
        while True:
            start = position
            while position < len(text) and text[position] not in '"\\':
                position += 1
            parts.append(text[start:position])
            if position >= len(text):
                self.position = position
                raise self._error("Unexpected end of input.")
            if text[position] == '"':
                self.position = position + 1
                return "".join(parts)
            parts.append(text[position + 1 : position + 2])
            position += 2

    def _unquoted(self) -> Datum:
        parts: list[str] = []
        text = self.text
        position = self.position
        kept = 0  # characters up to the last that is not trailing whitespace
        has_escape = False
        while True:
            character = text[position : position + 1]
            if character == "":
                self.position = position
                raise self._error("Unexpected end of input.")
            if character in ",}":
                break
            if character == "{":
                raise self._error('Unexpected "{" character.')
            if character == '"':
                raise self._error("Incorrectly quoted array element.")
            if character == "\\":
                has_escape = True
                position += 1
                character = text[position : position + 1]
                parts.append(character)
                kept = len(parts)
            else:
                parts.append(character)
                if character not in _WHITESPACE:
                    kept = len(parts)
            position += 1
        self.position = position
        word = "".join(parts[:kept])
        return None if not has_escape and word.upper() == "NULL" else self.element(word)

    def _skip_whitespace(self) -> None:
        text = self.text
        while self.position < len(text) and text[self.position] in _WHITESPACE:
            self.position += 1

    def _mismatch(self) -> SqlError:
        return self._error("Multidimensional arrays must have sub-arrays with matching dimensions.")

    def _error(self, detail: str) -> SqlError:
        return SqlError(
            INVALID_TEXT_REPRESENTATION, f'malformed array literal: "{self.text}"', detail=detail
        )


def _too_many_dimensions() -> SqlError:
    return SqlError(
        PROGRAM_LIMIT_EXCEEDED,
        f"number of array dimensions exceeds the maximum allowed ({MAX_DIMENSIONS})",
    )
