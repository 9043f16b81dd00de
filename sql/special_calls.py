"""Parsing of the functions that SQL gives a syntax of their own: `extract(… from …)` and so on.

Each becomes a plain call of the pg_catalog function that PostgreSQL maps it to.
"""

from core.errors import SYNTAX_ERROR, SqlError
from sql import syntax as ast
from sql.expression_parser import ExpressionParser
from sql.lexer import Token


class SpecialCallParser(ExpressionParser):
    """Calls with key words between their arguments."""

    def special_call(self, word: str, token: Token) -> ast.Expression | None:
        """The call that begins with `word (`, None when the word is not special."""
        match word:
            case "coalesce":
                return ast.CoalesceExpression(self._arguments(), token.start)
            case "greatest" | "least":
                return ast.MinMax(word == "greatest", self._arguments(), token.start)
            case "nullif":
                return self._nullif(token)
            case "grouping":
                return ast.GroupingCall(self._arguments(), token.start)
            case "extract":
                return self._extract(token)
            case "position":
                return self._position(token)
            case "substring":
                return self._substring(token)
            case "overlay":
                return self._overlay(token)
            case "trim":
                return self._trim(token)
            case "normalize":
                return self._normalize(token)
            case _:
                return None

    def _arguments(self) -> tuple[ast.Expression, ...]:
        self.advance()
        self.expect("(")
        args = self.expressions()
        self.expect(")")
        return args

    def _nullif(self, token: Token) -> ast.Expression:
        args = self._arguments()
        if len(args) != 2:
            self.fail(self.peek(-1))
        return ast.NullIf(args[0], args[1], token.start)

    def _extract(self, token: Token) -> ast.Expression:
        self.advance()
        self.expect("(")
        field = self.token
        if field.kind not in "wqs":
            self.fail()
        self.advance()
        self.expect_word("from")
        source = self.expression()
        self.expect(")")
        name = ast.StringLiteral(field.value, field.start)
        return _call("extract", (name, source), token)

    def _position(self, token: Token) -> ast.Expression:
        self.advance()
        self.expect("(")
        needle = self.expression(6)  # a b_expr: IN would take the key word
        self.expect_word("in")
        haystack = self.expression(6)
        self.expect(")")
        return _call("position", (haystack, needle), token)

    def _substring(self, token: Token) -> ast.Expression:
        self.advance()
        self.expect("(")
        args = [self.expression(6)]  # without SIMILAR, which follows it
        if self.accept_word("similar"):
            args.append(self.expression())
            self.expect_word("escape")
            args.append(self.expression())
        elif self.accept(","):
            args.extend(self.expressions())
        else:
            start = length = None
            while True:
                word = self.accept_word("from", "for")
                if word == "from" and start is None:
                    start = self.expression()
                elif word == "for" and length is None:
                    length = self.expression()
                else:
                    break
            if start is None and length is not None:
                start = ast.NumberLiteral("1", token.start)
            args.extend(part for part in (start, length) if part is not None)
        self.expect(")")
        return _call("substring", tuple(args), token)

    def _overlay(self, token: Token) -> ast.Expression:
        self.advance()
        self.expect("(")
        args = [self.expression()]
        if self.accept_word("placing"):
            args.append(self.expression())
            self.expect_word("from")
            args.append(self.expression())
            if self.accept_word("for"):
                args.append(self.expression())
        else:
            while self.accept(","):
                args.append(self.expression())
        self.expect(")")
        return _call("overlay", tuple(args), token)

    def _trim(self, token: Token) -> ast.Expression:
        self.advance()
        self.expect("(")
        side = self.accept_word("both", "leading", "trailing") or "both"
        function = {"both": "btrim", "leading": "ltrim", "trailing": "rtrim"}[side]
        if self.accept_word("from"):
            args = self.expressions()
        else:
            first = self.expressions()
            if self.accept_word("from"):
                args = (*self.expressions(), *first)
            else:
                args = first
        self.expect(")")
        return _call(function, args, token)

    def _normalize(self, token: Token) -> ast.Expression:
        self.advance()
        self.expect("(")
        args: tuple[ast.Expression, ...] = (self.expression(),)
        if self.accept(","):
            form = self.token
            if form.value not in ("nfc", "nfd", "nfkc", "nfkd"):
                raise SqlError(
                    SYNTAX_ERROR,
                    f'syntax error at or near "{form.value}"',
                    position=form.start + 1,
                )
            self.advance()
            args += (ast.StringLiteral(form.value.upper(), form.start),)
        self.expect(")")
        return _call("normalize", args, token)


def _call(function: str, args: tuple[ast.Expression, ...], token: Token) -> ast.FunctionCall:
    return ast.FunctionCall(("pg_catalog", function), args, token.start)
