"""A position in a list of tokens, and the small questions a parser asks there."""

from typing import NoReturn

from core.allowance import checkpoint
from core.errors import SYNTAX_ERROR, SqlError
from sql import limits
from sql.keywords import NOT_COLUMN
from sql.lexer import Token, syntax_error_at


class Cursor:
    """Reads tokens in order; `token` is the next one. Bounds the recursion of its subclasses."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.index = 0
        self.token = tokens[0]
        self.depth = 0
        self.parameter_count = 0

    def advance(self) -> Token:
        """Step over the next token and return it."""
        checkpoint()
        token = self.token
        self.index += 1
        self.token = self.tokens[self.index] if token.kind != "e" else token
        return token

    def peek(self, ahead: int = 1) -> Token:
        """The token `ahead` of the next one."""
        index = self.index + ahead
        return self.tokens[index] if index < len(self.tokens) else self.tokens[-1]

    def seek(self, index: int) -> None:
        """Go back to a token seen before."""
        self.index = index
        self.token = self.tokens[index]

    def enter(self) -> None:
        """Count one level of recursion. Raises SqlError 54001 past the bound."""
        self.depth += 1
        if self.depth > limits.MAX_EXPRESSION_DEPTH:
            raise limits.too_deep()

    def fail(self, token: Token | None = None) -> NoReturn:
        """Raise the syntax error at a token (by default the next one)."""
        raise self.unexpected(token)

    def unexpected(self, token: Token | None = None) -> SqlError:
        """The syntax error at a token (by default the next one)."""
        at = token or self.token
        return syntax_error_at(self.text, at.start, at.end)

    def error(self, message: str, token: Token | None = None) -> SqlError:
        """A syntax error with words of its own."""
        return SqlError(SYNTAX_ERROR, message, position=(token or self.token).start + 1)

    # Words

    def at_word(self, *words: str) -> bool:
        """Whether the next token is one of these key words."""
        return self.token.kind == "w" and self.token.value in words

    def at_words(self, *words: str) -> bool:
        """Whether the next tokens are these key words, in this order."""
        for ahead, word in enumerate(words):
            token = self.peek(ahead)
            if token.kind != "w" or token.value != word:
                return False
        return True

    def accept_word(self, *words: str) -> str | None:
        """Step over the next token if it is one of these key words; its value, else None."""
        token = self.token
        if token.kind == "w" and token.value in words:
            self.advance()
            return token.value
        return None

    def accept_words(self, *words: str) -> bool:
        """Step over these key words if they are next, all of them."""
        if not self.at_words(*words):
            return False
        self.seek(self.index + len(words))
        return True

    def expect_word(self, *words: str) -> str:
        """Step over one of these key words. Raises the syntax error if none is next."""
        word = self.accept_word(*words)
        if word is None:
            self.fail()
        return word

    def expect_words(self, *words: str) -> None:
        """Step over these key words in this order."""
        for word in words:
            self.expect_word(word)

    # Punctuation and operators

    def at(self, character: str) -> bool:
        """Whether the next token is this punctuation."""
        return self.token.kind == "c" and self.token.value == character

    def accept(self, character: str) -> bool:
        """Step over this punctuation if it is next."""
        if self.token.kind == "c" and self.token.value == character:
            self.advance()
            return True
        return False

    def expect(self, character: str) -> Token:
        """Step over this punctuation. Raises the syntax error if it is not next."""
        if not self.at(character):
            self.fail()
        return self.advance()

    def at_operator(self, *operators: str) -> bool:
        """Whether the next token is one of these operators."""
        return self.token.kind == "o" and self.token.value in operators

    def accept_operator(self, *operators: str) -> str | None:
        """Step over one of these operators if it is next."""
        token = self.token
        if token.kind == "o" and token.value in operators:
            self.advance()
            return token.value
        return None

    # Names and constants

    def at_name(self) -> bool:
        """Whether a column, table or other plain name is next (PostgreSQL's ColId)."""
        token = self.token
        return token.kind == "q" or (token.kind == "w" and token.value not in NOT_COLUMN)

    def name(self) -> str:
        """A plain name."""
        if not self.at_name():
            self.fail()
        return self.advance().value

    def label(self) -> str:
        """A name after AS or a dot: any word at all (PostgreSQL's ColLabel)."""
        if self.token.kind not in "wq":
            self.fail()
        return self.advance().value

    def qualified_name(self) -> tuple[str, ...]:
        """A name of one or more parts."""
        parts = [self.name()]
        while self.at("."):
            self.advance()
            parts.append(self.label())
        return tuple(parts)

    def name_list(self) -> tuple[str, ...]:
        """`(name, …)`."""
        self.expect("(")
        names = [self.name()]
        while self.accept(","):
            names.append(self.name())
        self.expect(")")
        return tuple(names)

    def string(self) -> str:
        """A string constant."""
        if self.token.kind != "s":
            self.fail()
        return self.advance().value

    def integer(self) -> int:
        """An unsigned integer constant of at most int4."""
        token = self.token
        if token.kind != "n" or not token.value.isdigit() or len(token.value) > 10:
            self.fail()
        self.advance()
        return int(token.value)

    def slice_from(self, start: int) -> str:
        """The text from offset `start` up to the last token stepped over."""
        return self.text[start : self.tokens[self.index - 1].end] if self.index else ""
