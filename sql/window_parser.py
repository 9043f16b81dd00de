"""Parsing of windows: `OVER (…)` and the WINDOW clause's specifications, with their frames."""

from typing import Final

from core.errors import FEATURE_NOT_SUPPORTED, WINDOWING_ERROR, SqlError
from sql import syntax as ast
from sql.lexer import Token
from sql.special_calls import SpecialCallParser

_ANY_OPERATOR: Final = 7  # a distance ends before PRECEDING, which no operator follows


class WindowParser(SpecialCallParser):
    """Window specifications. Error texts are those of PostgreSQL's grammar."""

    def window_reference(self) -> ast.WindowSpecification:
        """A window name or a specification in parentheses."""
        if not self.at("("):
            start = self.token.start
            return ast.WindowSpecification(self.name(), (), (), None, start)
        return self.window_specification()

    def window_specification(self) -> ast.WindowSpecification:
        """`( [name] [PARTITION BY …] [ORDER BY …] [frame] )`."""
        start = self.expect("(").start
        name: str | None = None
        if self.at_name() and not self.at_word("partition", "range", "rows", "groups"):
            name = self.name()
        partition_by: tuple[ast.Expression, ...] = ()
        if self.accept_words("partition", "by"):
            partition_by = self.expressions()
        order_by = self.order_by_clause() if self.at_word("order") else ()
        frame: tuple[str, ast.FrameBound, ast.FrameBound] | None = None
        mode = self.accept_word("range", "rows", "groups")
        if mode is not None:
            frame = self._frame(mode)
        self.expect(")")
        return ast.WindowSpecification(name, partition_by, order_by, frame, start)

    def _frame(self, mode: str) -> tuple[str, ast.FrameBound, ast.FrameBound]:
        start_at = self.token
        if self.accept_word("between"):
            start_at = self.token
            start = self._frame_bound()
            self.expect_word("and")
            end_at = self.token
            end = self._frame_bound()
            if end.is_unbounded and not end.is_following:
                raise self._frame_error("frame end cannot be UNBOUNDED PRECEDING", end_at)
        else:
            start = self._frame_bound()
            end = ast.FrameBound(False, False, None, start.pos)
        if start.is_unbounded and start.is_following:
            raise self._frame_error("frame start cannot be UNBOUNDED FOLLOWING", start_at)
        if start.distance is None and not start.is_unbounded and _is_before(end):
            raise self._frame_error(
                "frame starting from current row cannot have preceding rows", start_at
            )
        if start.is_following and not end.is_following:
            what = "end with current row" if end.distance is None else "have preceding rows"
            raise self._frame_error(f"frame starting from following row cannot {what}", start_at)
        if self.at_word("exclude") and not self.accept_words("exclude", "no", "others"):
            raise SqlError(FEATURE_NOT_SUPPORTED, "EXCLUDE in a window frame is not supported")
        return mode, start, end

    def _frame_error(self, message: str, token: Token) -> SqlError:
        return SqlError(WINDOWING_ERROR, message, position=token.start + 1)

    def _frame_bound(self) -> ast.FrameBound:
        pos = self.token.start
        if self.accept_words("current", "row"):
            return ast.FrameBound(False, False, None, pos)
        is_unbounded = self.accept_word("unbounded") is not None
        distance = None if is_unbounded else self.expression(_ANY_OPERATOR)
        is_following = self.expect_word("preceding", "following") == "following"
        return ast.FrameBound(is_unbounded, is_following, distance, pos)


def _is_before(bound: ast.FrameBound) -> bool:
    return bound.distance is not None and not bound.is_following
