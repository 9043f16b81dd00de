"""to_number: the digits that a template finds in a text.

Characters of the template that are no keywords skip one character of the text each; a place for a
digit that finds none skips one byte. Digits are read up to the template's number of places; a sign
may stand before or after them where the template has one, and before them anywhere.
"""

import re
from decimal import Decimal
from typing import Final

from core.errors import FEATURE_NOT_SUPPORTED, INVALID_TEXT_REPRESENTATION, SqlError
from expr.number_templates import NumberPart, Picture, parse_number_template
from expr.number_to_char import MAX_ROMAN, roman
from expr.numeric import EXACT, apply_typmod, parse_numeric, round_to

_LEADS: Final = ("\xc0", "\xe0", "\xf0")  # first bytes of 2, 3 and 4 in UTF-8 are at least these
_DATA: Final = "0123456789.,+-"
_EXTRA_DIGITS: Final = 16
_ROMAN: Final = {roman(value): value for value in range(1, MAX_ROMAN + 1)}
_LETTERS: Final = re.compile(r"[ \t\n\r\f\v]*([MDCLXVI]{1,15})", re.ASCII | re.IGNORECASE)


def parse_number(text: str, template: str) -> Decimal:
    """The number in a text. Raises SqlError 22P02 and what the template is refused for."""
    parts, picture = parse_number_template(template)
    if picture.is_scientific:
        raise SqlError(FEATURE_NOT_SUPPORTED, '"EEEE" not supported for input')
    return _Reader(text, picture).read(parts)


class _Reader:
    """One pass over a text along a template."""

    def __init__(self, text: str, picture: Picture) -> None:
        self.text = text.encode().decode("latin-1")  # a character for each byte
        self.picture = picture
        self.at = 0
        self.before = picture.before
        self.sign = ""
        self.digits: list[str] = []
        self.after = 0  # digits read so far after the point
        self.has_point = False
        self.has_digits = False

    def read(self, parts: tuple[NumberPart, ...]) -> Decimal:
        for part in parts:
            if self.at >= len(self.text):
                break
            if not part.is_keyword:
                self._skip_character()
                continue
            self._keyword(part.text)
        return self._value()

    def _value(self) -> Decimal:
        text = self.sign + "".join(self.digits).removesuffix(".")
        if not any(character.isdigit() for character in text):
            raise SqlError(
                INVALID_TEXT_REPRESENTATION,
                f'invalid input syntax for type numeric: "{text or " "}"',
            )
        shift = self.picture.shift
        precision = self.before + shift + self.after
        value = apply_typmod(parse_numeric(text), (precision << 16 | self.after) + 4)
        if not self.picture.is_shifted:
            return value
        # PostgreSQL multiplies with a power of ten that has 16 digits more than it needs.
        return round_to(EXACT.scaleb(value, -shift), self.after + shift + _EXTRA_DIGITS)

    def _keyword(self, keyword: str) -> None:
        character = self.text[self.at]
        match keyword:
            case "9" | "0" | "." | "D":
                self._place(keyword)
            case "," | "G":
                if character == "," and self.picture.is_filled:
                    self.at += 1
            case "L":
                self._skip_other(1)
            case "TH":
                if not self.picture.has_point and not self.picture.is_roman:
                    self._skip_other(2)
            case "RN":
                self._roman_number()
            case "MI" | "PL" | "SG":
                signs = {"MI": "-", "PL": "+", "SG": "+-"}[keyword]
                if character in signs:
                    self.sign = character
                    self.at += 1
                else:
                    self._skip_other(1)
            case _:
                pass

    def _skip_other(self, count: int) -> None:
        """Skip characters that are no part of a number."""
        for _ in range(count):
            if self.text[self.at : self.at + 1] not in tuple(_DATA) and self.at < len(self.text):
                self._skip_character()

    def _skip_character(self) -> None:
        """Skip all bytes of a character, or the one that a place has left of it."""
        lead = self.text[self.at]
        self.at += 1 + sum(lead >= least for least in _LEADS)

    def _roman_number(self) -> None:
        letters = _LETTERS.match(self.text, self.at)
        value = None if letters is None else _ROMAN.get(letters[1].upper())
        if letters is None or value is None:
            raise SqlError(INVALID_TEXT_REPRESENTATION, "invalid Roman numeral")
        self.at = letters.end()
        self.digits.append(str(value))
        self.before = len(self.digits[-1])

    def _place(self, keyword: str) -> None:
        """A place takes a digit, the point or the sign next to them; it passes over the rest."""
        if self.text[self.at] == " ":
            self.at += 1
        if not self.sign and not self.has_digits and keyword in "09":
            self._leading_sign()
        character = self.text[self.at : self.at + 1]
        if not character:
            return
        is_read = True
        if "0" <= character <= "9":
            if self.has_point and self.after == self.picture.after:
                self.at += 1
                return
            self.digits.append(character)
            self.has_digits = True
            self.after += self.has_point
        elif character == "." and self.picture.has_point and not self.has_point:
            self.digits.append(".")
            self.has_point = True
        else:
            is_read = False
        if not self.sign and self.has_digits:
            self._trailing_sign(is_read=is_read)
        self.at += 1

    def _leading_sign(self) -> None:
        character = self.text[self.at : self.at + 1]
        if character == "-" or (character == "<" and self.picture.is_bracketed):
            self.sign = "-"
            self.at += 1
        elif character == "+":
            self.sign = "+"
            self.at += 1

    def _trailing_sign(self, *, is_read: bool) -> None:
        """The sign after the last digit, which may stand one further than the template has it."""
        picture = self.picture
        if picture.sign and is_read:
            following = self.text[self.at + 1 : self.at + 2]
            if following in ("+", "-"):
                self.sign = following
                self.at += 1
        elif not is_read and not picture.sign and (picture.has_plus or picture.has_minus):
            if self.text[self.at] in "+-":
                self.sign = self.text[self.at]
