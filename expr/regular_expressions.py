"""PostgreSQL's advanced regular expressions, run by RE2 in linear time.

A pattern is translated to RE2's syntax: classes, escapes, embedded options. What RE2 cannot do
(back references, lookaround) is refused with 0A000. PostgreSQL prefers the longest match unless a
quantifier is lazy; patterns without lazy quantifiers therefore run in RE2's longest-match mode.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import re2

from core.errors import (
    FEATURE_NOT_SUPPORTED,
    INVALID_PARAMETER_VALUE,
    INVALID_REGULAR_EXPRESSION,
    SqlError,
)

CACHED_PATTERNS: Final = 512
MAX_COMPILED_BYTES: Final = 8 * 1024 * 1024
MAX_PATTERN: Final = 100_000
MAX_REPETITIONS: Final = 255
MAX_GROUP_DEPTH: Final = 200
_WORD: Final = r"\p{L}\p{N}_"
_CLASSES: Final = {
    "alpha": r"\p{L}",
    "digit": "0-9",
    "alnum": r"\p{L}\p{N}",
    "upper": r"\p{Lu}",
    "lower": r"\p{Ll}",
    "space": r"\t\n\v\f\r ",
    "punct": r"!-/:-@\[-`{-~",
    "cntrl": r"\x00-\x1f\x7f",
    "print": r"\x20-\x7e\x{a0}-\x{10ffff}",
    "graph": r"\x21-\x7e\x{a1}-\x{10ffff}",
    "xdigit": "0-9A-Fa-f",
    "blank": r"\t ",
    "ascii": r"\x00-\x7f",
    "word": _WORD,
}
_SHORTHANDS: Final = {"d": "0-9", "s": _CLASSES["space"], "w": _WORD}
_CONTROL: Final = {"a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r"} | {
    "t": "\t",
    "v": "\v",
    "0": "\0",
}
_BOUND: Final = re.compile(r"\{(\d+)(?:(,)(\d*))?\}", re.ASCII)
_ADVANCED: Final = re.compile(r"\\|\(\?|[*+?}]\?")
_HEX: Final = {"x": (1, 255), "u": (4, 4), "U": (8, 8)}


class Flags(NamedTuple):
    """How a pattern is read and matched."""

    ignores_case: bool = False
    newline_anchors: bool = False  # ^ and $ also match at line ends
    newline_stops: bool = False  # . and [^x] never match a newline
    expanded: bool = False  # white space and comments in the pattern do not count
    is_literal: bool = False
    is_extended: bool = False  # without what is new in advanced regular expressions
    is_global: bool = False


class Regex(NamedTuple):
    """A compiled pattern."""

    compiled: Any
    groups: int

    def matches(self, text: str) -> bool:
        return self.compiled.search(text) is not None

    def each_match(self, text: str, start: int = 0) -> Iterator[Any]:
        """The matches that do not overlap. RE2 finds an empty match that lies ahead twice."""
        last = None
        for match in self.compiled.finditer(text, start):
            if match.span() != last:
                yield match
            last = match.span()


def parse_flags(text: str, *, allow_global: bool = False) -> Flags:
    """The flags argument of the regexp functions."""
    flags = Flags()
    for letter in text:
        match letter:
            case "g" if allow_global:
                flags = flags._replace(is_global=True)
            case "c":
                flags = flags._replace(ignores_case=False)
            case "i":
                flags = flags._replace(ignores_case=True)
            case "m" | "n":
                flags = flags._replace(newline_anchors=True, newline_stops=True)
            case "p":
                flags = flags._replace(newline_anchors=False, newline_stops=True)
            case "w":
                flags = flags._replace(newline_anchors=True, newline_stops=False)
            case "s":
                flags = flags._replace(newline_anchors=False, newline_stops=False)
            case "x":
                flags = flags._replace(expanded=True)
            case "t":
                flags = flags._replace(expanded=False)
            case "q":
                flags = flags._replace(is_literal=True)
            case "b":
                raise _unsupported("basic regular expressions")
            case "e":
                flags = flags._replace(is_extended=True)
            case _:
                raise SqlError(
                    INVALID_PARAMETER_VALUE, f'invalid regular expression option: "{letter}"'
                )
    return flags


@lru_cache(maxsize=CACHED_PATTERNS)
def compile_regex(pattern: str, flags: Flags = Flags()) -> Regex:
    """The compiled pattern. Raises SqlError 2201B, 0A000."""
    if len(pattern) > MAX_PATTERN:
        raise invalid("regular expression is too complex")
    pattern, flags = _embedded_options(pattern, flags)
    if flags.is_extended and _ADVANCED.search(pattern):
        raise _unsupported("escapes and options in extended regular expressions")
    if flags.is_literal:
        source, is_lazy = re2.escape(pattern), False
    else:
        translator = _Translator(pattern, flags)
        source, is_lazy = translator.translate(), translator.is_lazy
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_COMPILED_BYTES
    options.longest_match = not is_lazy
    options.case_sensitive = not flags.ignores_case
    options.dot_nl = not flags.newline_stops
    if flags.newline_anchors:
        source = f"(?m:{source})"
    try:
        compiled = re2.compile(source, options)
    except re2.error as error:
        raise _compile_error(error) from None
    return Regex(compiled, compiled.groups)


def invalid(reason: str) -> SqlError:
    return SqlError(INVALID_REGULAR_EXPRESSION, f"invalid regular expression: {reason}")


def _unsupported(what: str) -> SqlError:
    return SqlError(FEATURE_NOT_SUPPORTED, f"{what} are not supported")


def _compile_error(error: re2.error) -> SqlError:
    reason = error.args[0]
    if isinstance(reason, bytes):
        reason = reason.decode("utf-8", "replace")
    words = {
        "missing )": "parentheses () not balanced",
        "unexpected )": "parentheses () not balanced",
        "missing ]": "brackets [] not balanced",
        "no argument for repetition": "quantifier operand invalid",
        "bad repetition operator": "quantifier operand invalid",
        "invalid repetition size": "invalid repetition count(s)",
        "invalid character class range": "invalid character range",
        "pattern too large": "regular expression is too complex",
    }
    for start, meaning in words.items():
        if str(reason).startswith(start):
            return invalid(meaning)
    return invalid(str(reason))


def _embedded_options(pattern: str, flags: Flags) -> tuple[str, Flags]:
    """Directors (`***=`, `***:`) and leading `(?letters)`."""
    if pattern.startswith("***="):
        return pattern[4:], flags._replace(is_literal=True)
    pattern = pattern.removeprefix("***:")
    match = re.match(r"\(\?([a-z]+)\)", pattern)
    if match is None or flags.is_literal:
        return pattern, flags
    given = parse_flags(match[1])
    updates: dict[str, bool] = {}
    for letter in match[1]:
        one = parse_flags(letter)
        if letter in "ci":
            updates["ignores_case"] = one.ignores_case
        elif letter in "mnpws":
            updates["newline_anchors"] = one.newline_anchors
            updates["newline_stops"] = one.newline_stops
        elif letter in "xt":
            updates["expanded"] = one.expanded
        elif letter == "e":
            updates["is_extended"] = True
    if given.is_literal:
        updates["is_literal"] = True
    return pattern[match.end() :], flags._replace(**updates)


class _Translator:
    """One pass over a pattern, writing RE2's syntax."""

    def __init__(self, pattern: str, flags: Flags) -> None:
        self.pattern = pattern
        self.flags = flags
        self.position = 0
        self.output: list[str] = []
        self.is_lazy = False
        self.depth = 0
        self.can_quantify = False

    def translate(self) -> str:
        pattern = self.pattern
        while self.position < len(pattern):
            character = pattern[self.position]
            if self.flags.expanded and self._skip_expanded(character):
                continue
            match character:
                case "\\":
                    self._escape()
                case "[":
                    self._bracket()
                case "(":
                    self._open()
                case ")":
                    self._close()
                case "*" | "+" | "?":
                    self._quantifier(character, 1)
                case "{" if pattern[self.position + 1 : self.position + 2].isdigit():
                    self._bound()
                case "^" | "$" | "|":
                    self._emit(character, quantifiable=False)
                case ".":
                    self._emit(".")
                case _:
                    self._emit(re2.escape(character))
        if self.depth:
            raise invalid("parentheses () not balanced")
        return "".join(self.output)

    def _emit(self, text: str, *, quantifiable: bool = True, length: int = 1) -> None:
        self.output.append(text)
        self.position += length
        self.can_quantify = quantifiable

    def _skip_expanded(self, character: str) -> bool:
        if character.isspace():
            self.position += 1
            return True
        if character == "#":
            end = self.pattern.find("\n", self.position)
            self.position = len(self.pattern) if end < 0 else end + 1
            return True
        return False

    def _open(self) -> None:
        following = self.pattern[self.position + 1 : self.position + 4]
        if following.startswith("?#"):
            end = self.pattern.find(")", self.position)
            if end < 0:
                raise invalid("parentheses () not balanced")
            self.position = end + 1
            return
        if following[:2] in ("?=", "?!") or following[:3] in ("?<=", "?<!"):
            raise _unsupported("lookahead and lookbehind in regular expressions")
        self.depth += 1
        if self.depth > MAX_GROUP_DEPTH:
            raise invalid("regular expression is too complex")
        if following.startswith("?:"):
            self._emit("(?:", quantifiable=False, length=3)
        elif following.startswith("?"):
            raise invalid("quantifier operand invalid")
        else:
            self._emit("(", quantifiable=False)

    def _close(self) -> None:
        if self.depth == 0:
            raise invalid("parentheses () not balanced")
        self.depth -= 1
        self._emit(")")

    def _quantifier(self, text: str, length: int) -> None:
        if not self.can_quantify:
            raise invalid("quantifier operand invalid")
        self._emit(text, quantifiable=False, length=length)
        if self.pattern[self.position : self.position + 1] == "?":
            self.is_lazy = True
            self._emit("?", quantifiable=False)

    def _bound(self) -> None:
        match = _BOUND.match(self.pattern, self.position)
        if match is None:
            raise invalid("invalid repetition count(s)")
        low = int(match[1][:6])
        high = int(match[3][:6]) if match[3] else low
        if low > MAX_REPETITIONS or high > MAX_REPETITIONS or (match[3] and high < low):
            raise invalid("invalid repetition count(s)")
        self._quantifier(match[0], len(match[0]))

    def _escape(self) -> None:
        following = self.pattern[self.position + 1 : self.position + 2]
        if following == "":
            raise invalid("invalid escape \\ sequence")
        if not following.isalnum() or not following.isascii():
            self._emit(re2.escape(following), length=2)
        elif following in "dsw":
            self._emit(f"[{_SHORTHANDS[following]}]", length=2)
        elif following in "DSW":
            self._emit(f"[^{_SHORTHANDS[following.lower()]}]", length=2)
        elif following in "AZyYmM":
            self._constraint(following)
        elif following in "123456789":
            raise _unsupported("back references in regular expressions")
        else:
            character, length = self._character_escape()
            self._emit(re2.escape(character), length=length)

    def _constraint(self, letter: str) -> None:
        match letter:
            case "A":
                text = r"\A"
            case "Z":
                text = r"\z"
            case "y":
                text = r"\b"
            case "Y":
                text = r"\B"
            case _:
                text = self._word_edge(letter)
        self._emit(text, quantifiable=False, length=2)

    def _word_edge(self, letter: str) -> str:
        """`\\m` and `\\M`: a word boundary whose word side the neighbouring character shows."""
        if letter == "m":
            neighbour = self.pattern[self.position + 2 : self.position + 4]
            shown = neighbour[:1].isalnum() or neighbour in ("\\w", "\\d") or neighbour[:1] == "_"
        else:
            neighbour = self.pattern[max(self.position - 1, 0) : self.position]
            shown = neighbour.isalnum() or neighbour == "_"
        if not shown:
            raise SqlError(
                FEATURE_NOT_SUPPORTED,
                f"\\{letter} is only supported next to a word character",
            )
        return r"\b"

    def _character_escape(self) -> tuple[str, int]:
        """The character of an escape and the escape's length."""
        letter = self.pattern[self.position + 1]
        if letter in _CONTROL:
            return _CONTROL[letter], 2
        if letter == "B":
            return "\\", 2
        if letter == "c":
            following = self.pattern[self.position + 2 : self.position + 3]
            if not following:
                raise invalid("invalid escape \\ sequence")
            return chr(ord(following) & 31), 3
        if letter in _HEX:
            least, most = _HEX[letter]
            digits = re.match(r"[0-9A-Fa-f]*", self.pattern[self.position + 2 :][:most])
            text = digits[0] if digits else ""
            if len(text) < least or int(text[-8:], 16) > 0x10FFFF:
                raise invalid("invalid escape \\ sequence")
            return chr(int(text[-8:], 16)), 2 + len(text)
        raise invalid("invalid escape \\ sequence")

    def _bracket(self) -> None:
        position = self.position + 1
        pattern = self.pattern
        if pattern[position : position + 6] in ("[:<:]]", "[:>:]]"):
            self._emit(r"\b", quantifiable=False, length=7)
            return
        parts = ["["]
        if pattern[position : position + 1] == "^":
            parts.append("^")
            if self.flags.newline_stops:
                parts.append(r"\n")
            position += 1
        is_first = True
        while True:
            character = pattern[position : position + 1]
            if character == "":
                raise invalid("brackets [] not balanced")
            if character == "]" and not is_first:
                break
            is_first = False
            text, position = self._bracket_item(position)
            parts.append(text)
        self._emit("".join(parts) + "]", length=position + 1 - self.position)

    def _bracket_item(self, position: int) -> tuple[str, int]:
        pattern = self.pattern
        two = pattern[position : position + 2]
        if two == "[:":
            end = pattern.find(":]", position)
            name = pattern[position + 2 : end] if end >= 0 else ""
            if name not in _CLASSES:
                raise invalid("invalid character class")
            return _CLASSES[name], end + 2
        if two in ("[=", "[."):
            closing = two[1] + "]"
            end = pattern.find(closing, position + 2)
            name = pattern[position + 2 : end] if end >= 0 else ""
            if len(name) != 1:
                raise invalid("invalid collating element")
            return _bracket_escape(name), end + 2
        if two[0] == "\\":
            letter = two[1:]
            if letter and letter in "dsw":
                return _SHORTHANDS[letter], position + 2
            if letter and letter in "DSW":
                raise invalid("invalid escape \\ sequence")
            if not letter:
                raise invalid("invalid escape \\ sequence")
            if not (letter.isalnum() and letter.isascii()):
                return _bracket_escape(letter), position + 2
            saved, self.position = self.position, position
            character, length = self._character_escape()
            self.position = saved
            return _bracket_escape(character), position + length
        if two[0] == "-":
            # A hyphen makes a range unless it stands first or last.
            is_edge = pattern[position - 1] in "[^" or two[1:] == "]"
            return (r"\-" if is_edge else "-"), position + 1
        return _bracket_escape(two[0]), position + 1


def _bracket_escape(character: str) -> str:
    return f"\\{character}" if character in "[]\\^-" else character


def similar_to_regex(pattern: str, escape: str | None = "\\") -> str:
    """The regular expression of SIMILAR TO. Two separators, each the escape character and a
    double quote, enclose the part that substring() gives."""
    if escape is not None and len(escape) > 1:
        raise SqlError(
            "22025", "invalid escape string", hint="Escape string must be empty or one character."
        )
    result = ["^(?:"]
    in_bracket = False
    separators = 0
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if escape and character == escape:
            position += 1
            following = pattern[position : position + 1]
            if following == '"' and not in_bracket:
                if separators > 1:
                    raise SqlError(
                        "2200C",
                        "SQL regular expression may not contain more than two"
                        " escape-double-quote separators",
                    )
                result.append(("){1,1}?(", "){1,1}(?:")[separators])
                separators += 1
            elif following:
                result.append(f"\\{following}")
        elif in_bracket:
            if character == "]":
                in_bracket = False
            result.append("\\\\" if character == "\\" else character)
        elif character == "[":
            in_bracket = True
            result.append("[")
        elif character == "%":
            result.append(".*")
        elif character == "_":
            result.append(".")
        elif character == "(":
            result.append("(?:")
        elif character in "\\.^$":
            result.append(f"\\{character}")
        else:
            result.append(character)
        position += 1
    result.append(")$")
    return "".join(result)
