"""Texts to tokens, by PostgreSQL's lexical rules.

One compiled regular expression finds the tokens, so a token costs about a microsecond. Comments
nest; strings may be standard, escape (`E''`), unicode (`U&''`), bit or dollar-quoted; two strings
with a line break between them are one. Operators are cut as PostgreSQL cuts them (before a
comment, and without trailing + or - unless a special character is inside).
Source: PostgreSQL 15, "4.1. Lexical Structure" and its scan.l.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from core.errors import PROGRAM_LIMIT_EXCEEDED, SYNTAX_ERROR, SqlError
from sql import limits


class Token(NamedTuple):
    """`kind`: w word, q quoted identifier, n number, s string, b bit string, p parameter,
    o operator, c punctuation, e end. `value` is folded for words and unescaped for strings."""

    kind: str
    value: str
    start: int
    end: int


_PATTERN: Final = re.compile(
    r"""
    [ \t\n\r\f\v]*(?:
    (?P<w>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*+(?!['&"]))
  | (?P<d>\.(?![0-9.])|[(),;\[\]])
  | (?P<n>(?:[0-9]+(?:\.(?!\.)[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
  | '(?P<s>[^'\x00]*)'(?!')(?![ \t\f\v]*[\n\r])
  | \$(?P<p>[0-9]+)
  | (?P<o>[+*/<>=~!@\#%^&|`?-]+)
  | "(?P<q>[^"\x00]+)"(?!")
  | (?P<x>::|:=|\.\.|:)
  )""",
    re.VERBOSE,
)
_SPACE: Final = re.compile(r"[ \t\n\r\f\v]+")
_WORD: Final = re.compile(r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*")
_HEX_INTEGER: Final = re.compile(r"0[xXoObB][0-9A-Fa-f_]+")
_DOLLAR_TAG: Final = re.compile(r"\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$")
_CONTINUATION: Final = re.compile(r"(?:[ \t\f\v]|--[^\n\r]*)*[\n\r](?:[ \t\f\v\n\r]|--[^\n\r]*)*'")
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
_SPECIAL_OPERATOR_CHARACTERS: Final = frozenset("~!@#%^&|`?")
_SIMPLE_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE: Final = re.compile(
    r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL
)
_MAX_IDENTIFIER_BYTES: Final = 63


def tokenize(text: str) -> list[Token]:
    """The tokens of `text`, then one of kind e. Raises SqlError 42601, 54000 or 54001."""
    if "\x00" in text:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    tokens: list[Token] = []
    append = tokens.append
    match = _PATTERN.match
    position = 0
    depth = 0
    length = len(text)
    while True:
        found = match(text, position)
        if found is None:
            position, token = _rare_token(text, position)
            if token is None:
                if position >= length:
                    break
                continue
            append(token)
            continue
        kind = found.lastgroup
        end = found.end()
        if kind == "w":
            word = found["w"]
            folded = word.lower() if word.isascii() else _fold(word)
            if len(word) > _MAX_IDENTIFIER_BYTES // 4:
                folded = truncate_identifier(folded)
            append(Token("w", folded, end - len(word), end))
        elif kind == "d":
            value = text[end - 1]
            append(Token("c", value, end - 1, end))
            if value in "([":
                depth += 1
                if depth > limits.MAX_NESTING:
                    raise limits.too_deep()
            elif value in ")]":
                depth -= 1
        elif kind == "n":
            end = _number(text, found.start("n"), end, append)
        elif kind == "s":
            append(Token("s", found["s"], found.start("s") - 1, end))
        elif kind == "o":
            start = found.start("o")
            operator = found["o"]
            if "--" in operator or "/*" in operator:
                operator = _before_comment(operator)
                if not operator:
                    position = _skip_comment(text, start)
                    continue
            operator = _trim_operator(operator)
            end = start + len(operator)
            append(Token("o", "<>" if operator == "!=" else operator, start, end))
        elif kind == "p":
            append(Token("p", found["p"], found.start("p") - 1, end))
        elif kind == "q":
            name = found["q"]
            append(Token("q", truncate_identifier(name), found.start("q") - 1, end))
        else:
            append(Token("c", found["x"], found.start("x"), end))
        position = end
        if len(tokens) > limits.MAX_TOKENS:
            raise SqlError(PROGRAM_LIMIT_EXCEEDED, "statement has too many tokens")
    append(Token("e", "", length, length))
    return tokens


def truncate_identifier(name: str) -> str:
    """`name` cut to the 63 bytes that an identifier may have."""
    data = name.encode()
    if len(data) <= _MAX_IDENTIFIER_BYTES:
        return name
    return data[:_MAX_IDENTIFIER_BYTES].decode(errors="ignore")


def syntax_error_at(text: str, start: int, end: int) -> SqlError:
    """PostgreSQL's syntax error at the token text[start:end] (empty: at the end of input)."""
    near = text[start:end]
    where = f'at or near "{near}"' if near else "at end of input"
    return SqlError(SYNTAX_ERROR, f"syntax error {where}", position=start + 1)


def _fold(word: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in word)


def _trim_operator(operator: str) -> str:
    while (
        len(operator) > 1
        and operator[-1] in "+-"
        and not _SPECIAL_OPERATOR_CHARACTERS.intersection(operator[:-1])
    ):
        operator = operator[:-1]
    return operator


def _before_comment(operator: str) -> str:
    cuts = [i for i in (operator.find("--"), operator.find("/*")) if i >= 0]
    return operator[: min(cuts)]


def _skip_comment(text: str, start: int) -> int:
    if text.startswith("--", start):
        ends = [i for i in (text.find("\n", start), text.find("\r", start)) if i >= 0]
        return min(ends) if ends else len(text)
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    raise _unterminated(text, start, "/* comment")


def _number(text: str, start: int, end: int, append: Callable[[Token], None]) -> int:
    special = _HEX_INTEGER.match(text, start)
    if special is not None:
        end = special.end()
        digits = special.group()
        append(Token("n", str(_based_integer(digits, text, start)), start, end))
        return end
    rest = _WORD.match(text, end)
    if rest is not None:
        raise SqlError(
            SYNTAX_ERROR,
            f'trailing junk after numeric literal at or near "{text[start : rest.end()]}"',
            position=start + 1,
        )
    append(Token("n", text[start:end], start, end))
    return end


def _based_integer(digits: str, text: str, start: int) -> int:
    base = {"x": 16, "o": 8, "b": 2}[digits[1].lower()]
    if len(digits) > limits.MAX_BASED_INTEGER_DIGITS:
        raise SqlError("22003", f'"{digits}" is out of range', position=start + 1)
    try:
        return int(digits[2:].replace("_", ""), base)
    except ValueError:
        raise SqlError(
            SYNTAX_ERROR,
            f'invalid integer at or near "{text[start : start + len(digits)]}"',
            position=start + 1,
        ) from None


def _rare_token(text: str, position: int) -> tuple[int, Token | None]:
    """The token at `position` that the fast pattern leaves alone; None after mere space."""
    space = _SPACE.match(text, position)
    if space is not None:
        position = space.end()
    if position >= len(text):
        return position, None
    start = position
    character = text[start]
    following = text[start + 1 : start + 3]
    if character == "'":
        return _string(text, start, start, escapes=False)
    if character in "eE" and following[:1] == "'":
        return _string(text, start, start + 1, escapes=True)
    if character in "nN" and following[:1] == "'":
        return _string(text, start, start + 1, escapes=False)
    if character in "bBxX" and following[:1] == "'":
        end, token = _string(text, start, start + 1, escapes=False)
        return end, Token("b", character.lower() + token.value, start, end)
    if character in "uU" and following == "&'":
        end, token = _string(text, start, start + 2, escapes=False)
        return end, Token("s", _unicode_escapes(token.value, start), start, end)
    if character in "uU" and following == '&"':
        end, token = _quoted_identifier(text, start + 2)
        return end, Token("q", _unicode_escapes(token.value, start), start, end)
    if character == '"':
        return _quoted_identifier(text, start)
    if character == "$":
        tag = _DOLLAR_TAG.match(text, start)
        if tag is not None:
            close = text.find(tag.group(), tag.end())
            if close < 0:
                raise _unterminated(text, start, "dollar-quoted string")
            end = close + len(tag.group())
            return end, Token("s", text[tag.end() : close], start, end)
    word = _WORD.match(text, start)
    if word is not None:
        end = word.end()
        return end, Token("w", truncate_identifier(_fold(word.group())), start, end)
    raise syntax_error_at(text, start, start + 1)


def _string(text: str, start: int, quote: int, *, escapes: bool) -> tuple[int, Token]:
    """The string whose opening quote is at `quote`, with its continuations on later lines."""
    pieces: list[str] = []
    position = quote + 1
    while True:
        end = _string_end(text, position, escapes)
        if end < 0:
            raise _unterminated(text, start, "quoted string")
        piece = text[position:end].replace("''", "'") if not escapes else text[position:end]
        pieces.append(_resolve_escapes(piece, start) if escapes else piece)
        more = _CONTINUATION.match(text, end + 1)
        if more is None:
            value = "".join(pieces)
            return end + 1, Token("s", value, start, end + 1)
        position = more.end()


def _string_end(text: str, position: int, escapes: bool) -> int:
    while True:
        end = text.find("'", position)
        if end < 0:
            return -1
        if escapes:
            backslash = text.find("\\", position, end)
            if backslash >= 0:
                position = backslash + 2
                continue
        if text.startswith("''", end):
            position = end + 2
            continue
        return end


def _resolve_escapes(body: str, start: int) -> str:
    raw = bytearray()
    position = 0
    body = body.replace("''", "'") if "\\'" not in body else _pair_quotes(body)
    for found in _ESCAPE.finditer(body):
        raw += body[position : found.start()].encode()
        octal, hexadecimal, short, long, other = found.groups()
        if octal is not None:
            raw.append(int(octal, 8) & 0xFF)
        elif hexadecimal is not None:
            raw.append(int(hexadecimal, 16))
        elif other is not None and other in "uU":
            raise SqlError(
                "22025",
                "invalid Unicode escape",
                hint="Unicode escapes must be \\uXXXX or \\UXXXXXXXX.",
                position=start + len("E'") + found.start() + 1,
            )
        elif other is not None:
            raw += _SIMPLE_ESCAPES.get(other, other).encode()
        else:
            raw += _code_point(int(short or long, 16), start).encode("utf-8", "surrogatepass")
        position = found.end()
    raw += body[position:].encode()
    return _decode(bytes(raw), start)


def _pair_quotes(body: str) -> str:
    return re.sub(
        r"\\.|''", lambda m: "'" if m.group() == "''" else m.group(), body, flags=re.DOTALL
    )


def _decode(raw: bytes, start: int) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        try:
            return (
                raw.decode("utf-8", "surrogatepass")
                .encode("utf-16", "surrogatepass")
                .decode("utf-16")
            )
        except UnicodeDecodeError as error:
            bad = " ".join(f"0x{byte:02x}" for byte in raw[error.start : error.start + 1])
            raise SqlError("22021", f'invalid byte sequence for encoding "UTF8": {bad}') from None
    if "\x00" in text:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    return text


def _code_point(code: int, start: int) -> str:
    if code == 0 or code > 0x10FFFF:
        raise SqlError(SYNTAX_ERROR, "invalid Unicode escape value", position=start + 1)
    return chr(code)


def _unicode_escapes(value: str, start: int) -> str:
    def replace(found: re.Match[str]) -> str:
        short, long, backslash = found.groups()
        if backslash:
            return "\\"
        if short or long:
            return _code_point(int(short or long, 16), start)
        raise SqlError(
            SYNTAX_ERROR,
            "invalid Unicode escape",
            hint="Unicode escapes must be \\XXXX or \\+XXXXXX.",
            position=start + len("U&'") + found.start() + 1,
        )

    result = re.sub(r"\\(?:([0-9A-Fa-f]{4})|\+([0-9A-Fa-f]{6})|(\\)|)", replace, value)
    try:
        return result.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise SqlError(SYNTAX_ERROR, "invalid Unicode surrogate pair", position=start + 1) from None


def _quoted_identifier(text: str, start: int) -> tuple[int, Token]:
    position = start + 1
    while True:
        end = text.find('"', position)
        if end < 0:
            raise _unterminated(text, start, "quoted identifier")
        if text.startswith('""', end):
            position = end + 2
            continue
        break
    name = text[start + 1 : end].replace('""', '"')
    if not name:
        raise SqlError(
            SYNTAX_ERROR, 'zero-length delimited identifier at or near """"', position=start + 1
        )
    return end + 1, Token("q", truncate_identifier(name), start, end + 1)


def _unterminated(text: str, start: int, what: str) -> SqlError:
    return SqlError(
        SYNTAX_ERROR, f'unterminated {what} at or near "{text[start:]}"', position=start + 1
    )
