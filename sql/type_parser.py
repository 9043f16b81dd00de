"""Parsing of type names: the generic form and the spellings with a syntax of their own.

Special spellings yield the name of pg_type (`double precision` is `float8`), qualified with
`pg_catalog`, so that later only real names are looked up.
"""

from typing import Final

from core.errors import SYNTAX_ERROR, SqlError
from sql import syntax as ast
from sql.cursor import Cursor
from sql.keywords import RESERVED

_ALIASES: Final = {
    "int": "int4",
    "integer": "int4",
    "smallint": "int2",
    "bigint": "int8",
    "real": "float4",
    "decimal": "numeric",
    "dec": "numeric",
    "numeric": "numeric",
    "boolean": "bool",
    "varchar": "varchar",
}
TYPE_WORDS: Final = frozenset(_ALIASES) | frozenset(
    "double float character char national nchar timestamp time interval bit".split()
)
_CHARACTER_WORDS: Final = ("character", "char", "nchar")
_INTERVAL_BITS: Final = {
    "year": 1 << 2,
    "month": 1 << 1,
    "day": 1 << 3,
    "hour": 1 << 10,
    "minute": 1 << 11,
    "second": 1 << 12,
}
_INTERVAL_FULL_RANGE: Final = 0x7FFF
_INTERVAL_FULL_PRECISION: Final = 0xFFFF
_MAX_DIMENSIONS: Final = 6


class TypeParser(Cursor):
    """Type names over a cursor."""

    def type_name(self, *, allow_array: bool = True) -> ast.TypeName:
        """A type name with modifiers and array bounds."""
        start = self.token.start
        name, modifiers = self._base_type()
        dimensions = self._array_bounds() if allow_array else 0
        return ast.TypeName(name, modifiers, dimensions, start)

    def _array_bounds(self) -> int:
        dimensions = 0
        if self.accept_word("array"):
            dimensions = 1
            if self.accept("["):
                self.integer()
                self.expect("]")
        while self.at("[") and (
            self.peek().value == "]" or (self.peek().kind == "n" and self.peek(2).value == "]")
        ):
            self.advance()
            if not self.at("]"):
                self.integer()
            self.expect("]")
            dimensions += 1
            if dimensions > _MAX_DIMENSIONS:
                raise SqlError(
                    "54000", "number of array dimensions exceeds the maximum allowed (6)"
                )
        return dimensions

    def _base_type(self) -> tuple[ast.Name, tuple[int, ...]]:
        token = self.token
        if token.kind == "w" and token.value in TYPE_WORDS:
            return self._special_type(token.value)
        if token.kind == "w" and token.value == "setof":
            self.advance()
            return self._base_type()
        if token.kind not in "wq" or (token.kind == "w" and token.value in RESERVED):
            self.fail()
        parts = [self.advance().value]
        while self.accept("."):
            parts.append(self.label())
        return tuple(parts), self._modifiers()

    def _special_type(self, word: str) -> tuple[ast.Name, tuple[int, ...]]:
        self.advance()
        if word in _ALIASES:
            return _builtin(_ALIASES[word]), self._modifiers()
        if word == "double":
            if self.accept_word("precision"):
                return _builtin("float8"), ()
            return ("double",), self._modifiers()
        if word == "float":
            return self._float()
        if word == "national":
            self.expect_word("character", "char")
            return self._character()
        if word in _CHARACTER_WORDS:
            return self._character()
        if word == "interval":
            return self._interval_type()
        if word == "bit":
            varying = self.accept_word("varying") is not None
            return _builtin("varbit" if varying else "bit"), self._modifiers()
        return self._time_type(word)

    def _float(self) -> tuple[ast.Name, tuple[int, ...]]:
        at = self.token
        modifiers = self._modifiers()
        if not modifiers:
            return _builtin("float8"), ()
        bits = modifiers[0]
        if bits < 1:
            raise SqlError(
                "22023", "precision for type float must be at least 1 bit", position=at.start + 2
            )
        if bits > 53:
            raise SqlError(
                "22023",
                "precision for type float must be less than 54 bits",
                position=at.start + 2,
            )
        return _builtin("float4" if bits <= 24 else "float8"), ()

    def _character(self) -> tuple[ast.Name, tuple[int, ...]]:
        if self.accept_word("varying"):
            return _builtin("varchar"), self._modifiers()
        return _builtin("bpchar"), self._modifiers() or (1,)

    def _time_type(self, word: str) -> tuple[ast.Name, tuple[int, ...]]:
        modifiers = self._modifiers()
        if self.accept_words("with", "time", "zone"):
            return _builtin(word + "tz"), modifiers
        self.accept_words("without", "time", "zone")
        return _builtin(word), modifiers

    def _interval_type(self) -> tuple[ast.Name, tuple[int, ...]]:
        precision: int | None = None
        if self.at("("):
            precision = self._modifiers()[0]
        modifier = self.interval_fields(precision)
        return _builtin("interval"), (() if modifier is None else (modifier,))

    def interval_fields(self, precision: int | None) -> int | None:
        """The type modifier for `YEAR TO MONTH` and the like, None for an unrestricted one."""
        first = self.accept_word(*_INTERVAL_BITS)
        if first is None:
            if precision is None:
                return None
            return (_INTERVAL_FULL_RANGE << 16) | precision
        bits = _INTERVAL_BITS[first]
        last = first
        if self.accept_word("to"):
            last = self.expect_word(*_INTERVAL_BITS)
            names = list(_INTERVAL_BITS)
            low, high = names.index(first), names.index(last)
            if high <= low or (first in ("year", "month")) != (last in ("year", "month")):
                raise self.error(f'syntax error at or near "{last}"', self.peek(-1))
            for name in names[low : high + 1]:
                bits |= _INTERVAL_BITS[name]
        if last == "second" and self.at("("):
            precision = self._modifiers()[0]
        return (bits << 16) | (_INTERVAL_FULL_PRECISION if precision is None else precision)

    def _modifiers(self) -> tuple[int, ...]:
        if not self.accept("("):
            return ()
        values = [self._modifier()]
        while self.accept(","):
            values.append(self._modifier())
        self.expect(")")
        return tuple(values)

    def _modifier(self) -> int:
        negative = self.accept_operator("-") is not None
        token = self.token
        if token.kind == "s" and token.value.isdigit() and len(token.value) < 10:
            return int(self.advance().value)
        if token.kind != "n":
            self.fail()
        value = self.integer()
        if value > 2**31 - 1:
            raise SqlError(
                SYNTAX_ERROR, f'invalid type modifier "{value}"', position=token.start + 1
            )
        return -value if negative else value


def _builtin(name: str) -> ast.Name:
    return ("pg_catalog", name)
