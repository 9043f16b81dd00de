"""format(): the specifiers %s, %I and %L with positions, widths and the minus flag."""

import re
from collections.abc import Callable
from typing import Final

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from core.rows import Datum
from core.sql_types import INT4
from expr.functions.strings import check_length, printer, quote_identifier, quote_literal
from expr.registry import CallSite, define
from expr.text_format import integer_input

_parse_int4: Final = integer_input(INT4.oid)
_SPECIFIER: Final = re.compile(r"%(?:(\d+)\$)?(-*)(?:(\d+)|\*(?:(\d+)\$)?()|)(.)?", re.DOTALL)
MAX_INT4: Final = 2**31 - 1


def _format(site: CallSite) -> Callable[..., str | None]:
    printers = [printer(arg, site.context) for arg in site.args[1:]]

    def format_text(template: str | None, *values: Datum) -> str | None:
        if template is None:
            return None
        texts = [
            None if value is None else show(value)
            for show, value in zip(printers, values, strict=True)
        ]
        return _Formatter(template, texts).run()

    return format_text


class _Formatter:
    """One run over a template."""

    def __init__(self, template: str, arguments: list[str | None]) -> None:
        self.template = template
        self.arguments = arguments
        self.next = 0
        self.size = 0

    def run(self) -> str:
        pieces: list[str] = []
        position = 0
        template = self.template
        while True:
            found = template.find("%", position)
            if found < 0:
                pieces.append(template[position:])
                return "".join(pieces)
            pieces.append(template[position:found])
            if template[found + 1 : found + 2] == "%":
                pieces.append("%")
                position = found + 2
                continue
            match = _SPECIFIER.match(template, found)
            if match is None or match[6] is None:
                raise SqlError(
                    INVALID_PARAMETER_VALUE,
                    "unterminated format() type specifier",
                    hint='For a single "%" use "%%".',
                )
            piece = self._conversion(match)
            self.size += len(piece)
            check_length(self.size)
            pieces.append(piece)
            position = match.end()

    def _conversion(self, match: re.Match[str]) -> str:
        is_left = bool(match[2])
        width = 0
        if match[3]:
            width = _bounded(match[3])
        elif match[5] is not None:
            text = self._argument(match[4])
            width = _parse_int4(text) if text is not None else 0
            if width < 0:
                is_left, width = True, _bounded(str(-width))
        conversion = match[6]
        if conversion not in "sIL":
            raise SqlError(
                INVALID_PARAMETER_VALUE,
                f'unrecognized format() type specifier "{conversion}"',
                hint='For a single "%" use "%%".',
            )
        value = self._argument(match[1])
        text = self._converted(conversion, value)
        check_length(width)
        return text.ljust(width) if is_left else text.rjust(width)

    def _argument(self, position: str | None) -> str | None:
        if position is not None:
            index = _bounded(position)
            if index == 0:
                raise SqlError(
                    INVALID_PARAMETER_VALUE,
                    "format specifies argument 0, but arguments are numbered from 1",
                )
            self.next = index - 1
        if self.next >= len(self.arguments):
            raise SqlError(INVALID_PARAMETER_VALUE, "too few arguments for format()")
        value = self.arguments[self.next]
        self.next += 1
        return value

    @staticmethod
    def _converted(conversion: str, value: str | None) -> str:
        if conversion == "s":
            return value or ""
        if conversion == "L":
            return "NULL" if value is None else quote_literal(value)
        if value is None:
            raise SqlError("22004", "null values cannot be formatted as an SQL identifier")
        return quote_identifier(value)


def _bounded(digits: str) -> int:
    if len(digits) > 10 or int(digits) > MAX_INT4:
        raise SqlError("22003", "number is out of range")
    return int(digits)


define("format(text)", "text", _format, strict=False, needs_types=True)
define("format(text,variadic any)", "text", _format, strict=False, needs_types=True)
