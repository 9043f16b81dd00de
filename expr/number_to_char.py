"""to_char of numbers: a number's digits laid into a template."""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from core.errors import SqlError
from expr import numeric
from expr.errors import numeric_overflow
from expr.moment_to_char import ordinal
from expr.number_templates import NumberPart, Picture, parse_number_template

ROMAN_WIDTH: Final = 15
MAX_ROMAN: Final = 3999
_ROMAN: Final = (
    *((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L")),
    *((40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")),
)
MAX_SHIFT: Final = 400
# A place after the number's last digit ends the text, as it does in PostgreSQL.
_END: Final = "\0"


def roman(value: int) -> str:
    """A Roman numeral; number signs for what has none."""
    if not 0 < value <= MAX_ROMAN:
        return "#" * ROMAN_WIDTH
    text = ""
    for worth, letters in _ROMAN:
        count, value = divmod(value, worth)
        text += letters * count
    return text


def integer_to_char(
    check: Callable[[int], int], value: int, template: str, *, is_exact: bool
) -> str:
    """to_char of an integer; `check` is its type's range check, for digits after V. Those that a
    float8 holds exactly go through one where an exponent is written."""
    parts, picture = parse_number_template(template)
    if picture.is_roman:
        return _layout(parts, picture, roman(value), "+", 0)
    if picture.is_scientific:
        if is_exact:
            return _float_scientific(float(value), picture.after)
        return _scientific(Decimal(value), picture.after)
    if picture.is_shifted:
        if picture.shift > MAX_SHIFT:
            raise numeric_overflow()
        value = check(value * check(10**picture.shift))
    digits = str(abs(value)) + ("." + "0" * picture.after if picture.after else "")
    return _fit(parts, picture, digits, "-" if value < 0 else "+")


def numeric_to_char(value: Decimal, template: str) -> str:
    """to_char of a numeric."""
    parts, picture = parse_number_template(template)
    if picture.is_roman:
        whole = numeric.round_to(value, 0) if value.is_finite() else None
        number = int(whole) if whole is not None and abs(whole) <= MAX_ROMAN else 0
        return _layout(parts, picture, roman(number), "+", 0)
    if picture.is_scientific:
        if not value.is_finite():
            return _no_digits(picture)
        return _scientific(value, picture.after)
    if picture.is_shifted:
        value = numeric.multiply(value, Decimal(10) ** min(picture.shift, MAX_SHIFT))
    if value.is_finite():
        value = numeric.round_to(value, picture.after)
    text = numeric.format_numeric(value)
    return _fit(parts, picture, text.lstrip("-"), "-" if text[0] == "-" else "+")


def float_to_char(value: float, template: str, *, precision: int) -> str:
    """to_char of a float that has that many digits."""
    parts, picture = parse_number_template(template)
    if picture.is_roman:
        is_small = math.isfinite(value) and abs(value) <= MAX_ROMAN + 1
        return _layout(parts, picture, roman(round(value) if is_small else 0), "+", 0)
    if picture.is_scientific:
        if not math.isfinite(value):
            return _no_digits(picture)
        return _float_scientific(value, picture.after)
    if picture.is_shifted:
        value *= 10.0 ** min(picture.shift, 308)
    special = {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    is_finite = math.isfinite(value)
    whole = len(f"{abs(value):.0f}" if is_finite else special.lstrip("-"))
    after = max(min(picture.after, precision - whole), 0)
    text = f"{value:.{after}f}" if is_finite else special
    return _fit(parts, picture, text.lstrip("-"), "-" if text[0] == "-" else "+", after)


def _scientific(value: Decimal, digits: int) -> str:
    """`d.ddde+dd`, with a blank for a sign. As in PostgreSQL the exponent is that of the number
    before it is rounded: 9.99 to one digit is `10.0e+00`."""
    exponent = value.adjusted() if value else 0
    scaled = numeric.EXACT.scaleb(value, -exponent)
    mantissa = numeric.format_numeric(numeric.round_to(scaled, min(digits, numeric.MAX_SCALE)))
    text = f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return text if text[0] == "-" else f" {text}"


def _float_scientific(value: float, digits: int) -> str:
    text = f"{value:.{digits}e}"
    return text if text[0] == "-" else f" {text}"


def _no_digits(picture: Picture) -> str:
    marks = "#" * (picture.before + picture.after + 5)
    return f" {marks[: picture.before]}.{marks[picture.before + 1 :]}"


def _fit(
    parts: tuple[NumberPart, ...],
    picture: Picture,
    digits: str,
    sign: str,
    after: int | None = None,
) -> str:
    """Lay out digits, or number signs when there are too many before the point."""
    after = picture.after if after is None else after
    before = picture.before + (picture.shift if picture.is_shifted else 0)
    missing = before - len(digits.partition(".")[0])
    if missing < 0:
        digits = "#" * before + "." + "#" * after
        missing = 0
    return _layout(parts, picture, digits, sign, missing, before, after)


def _layout(
    parts: tuple[NumberPart, ...],
    picture: Picture,
    digits: str,
    sign: str,
    missing: int,
    before: int = 0,
    after: int = 0,
) -> str:
    return _Layout(picture, digits, sign, missing, before, after).run(parts)


class _Layout:
    """One number on its way into one template.

    `position` counts the digit places of the template, `next` the digits of the number; the first
    `missing` places have no digit.
    """

    def __init__(
        self, picture: Picture, digits: str, sign: str, missing: int, before: int, after: int
    ) -> None:
        self.picture = picture
        self.digits = digits
        self.sign = sign
        self.missing = missing
        self.position = 0
        self.next = 0
        self.has_digit = False
        self.sign_place = picture.sign
        self.is_bracketed = picture.is_bracketed
        self.output: list[str] = []
        self._place_sign(before)
        self.last_relevant = self._last_relevant()
        self.places = after + before - 1
        if not self.is_sign_written and missing == 0:
            self.places += 1

    def _place_sign(self, before: int) -> None:
        picture = self.picture
        if picture.has_plus or picture.has_minus:
            self.is_sign_written = picture.has_minus or not picture.has_plus
            return
        if self.sign != "-" and not picture.is_filled:
            self.is_bracketed = False
        self.is_sign_written = self.sign == "+" and not picture.is_filled and not picture.sign
        if self.sign_place == "before" and before == picture.digits_before_sign:
            self.sign_place = "after"

    def _last_relevant(self) -> int | None:
        """The index of the last digit that FM does not cut off; None when it cuts nothing."""
        point = self.digits.find(".")
        if self.picture.is_filled or not self.picture.has_point or point < 0:
            return None
        last = max(len(self.digits.rstrip("0")) - 1, point)
        if self.picture.last_zero > self.missing:
            last = max(last, min(len(self.digits) - 1, self.picture.last_zero - self.missing))
        return last

    def run(self, parts: tuple[NumberPart, ...]) -> str:
        for part in parts:
            if part.is_keyword:
                self._keyword(part)
            else:
                self.output.append(part.text)
        return "".join(self.output).partition(_END)[0]

    def _keyword(self, part: NumberPart) -> None:
        is_filled = self.picture.is_filled
        match part.text:
            case "9" | "0" | "." | "D":
                if not self.picture.is_roman:
                    self._place(part.text)
            case "," | "G":
                if self.has_digit:
                    self.output.append(",")
                elif is_filled:
                    self.output.append(" ")
            case "L":
                self.output.append(" ")
            case "RN":
                text = self.digits if not is_filled else self.digits.rjust(ROMAN_WIDTH)
                self.output.append(text.lower() if part.is_lower else text)
            case "TH":
                self._ordinal(part)
            case "MI":
                self.output.append("-" if self.sign == "-" else " " if is_filled else "")
            case "PL":
                self.output.append("+" if self.sign == "+" else " " if is_filled else "")
            case "SG":
                self.output.append(self.sign)

    def _ordinal(self, part: NumberPart) -> None:
        picture = self.picture
        if picture.is_roman or self.digits[:1] == "#" or self.sign == "-" or picture.has_point:
            return
        if not self.digits[-1:].isdigit():
            raise SqlError("22P02", f'"{self.digits}" is not a number')
        self.output.append(ordinal(self.digits, "th" if part.is_lower else "TH"))

    @property
    def _is_blank_zero(self) -> bool:
        """Whether the next digit is the zero before a point that is not shown: ` .1`."""
        return (
            self.picture.first_zero is None
            and self.next == 0
            and self.digits[:1] == "0"
            and self.picture.after != 0
        )

    def _shows_point_last(self) -> bool:
        return self.last_relevant is not None and self.digits[self.last_relevant] == "."

    def _place(self, keyword: str) -> None:
        """One place of the template: a digit, a zero, a blank or the point."""
        picture = self.picture
        first_zero = picture.first_zero
        if not self.is_sign_written:
            is_due = self.position >= self.missing or first_zero == self.position
            if is_due and (not self._is_blank_zero or self._shows_point_last()):
                self._write_sign()
        self.has_digit = False
        if self.position < self.missing:
            if first_zero is not None and first_zero <= self.position:
                self.output.append("0")
                self.has_digit = True
            elif picture.is_filled:
                self.output.append(" ")
        else:
            self._digit(keyword)
        self._finish_place()
        self.position += 1

    def _write_sign(self) -> None:
        if self.picture.sign:
            if self.sign_place == "before":
                self.output.append(self.sign)
                self.is_sign_written = True
            return
        if self.is_bracketed:
            self.output.append("<" if self.sign == "-" else " ")
        elif self.sign == "-":
            self.output.append("-")
        elif self.picture.is_filled:
            self.output.append(" ")
        self.is_sign_written = True

    def _digit(self, keyword: str) -> None:
        digit = self.digits[self.next : self.next + 1]
        is_filled = self.picture.is_filled
        if digit == ".":
            self.output.append(".")
        elif self.last_relevant is not None and self.next > self.last_relevant and keyword != "0":
            pass
        elif self._is_blank_zero:
            if is_filled:
                self.output.append(" ")
            elif self._shows_point_last():
                self.output.append("0")
        else:
            self.output.append(digit or _END)
            self.has_digit = True
        if digit:
            self.next += 1

    def _finish_place(self) -> None:
        """What follows the last digit: a bracket or the sign."""
        end = self.places + (1 if self.missing else 0) + (1 if self.picture.has_point else 0)
        if self.last_relevant is not None and self.last_relevant == self.next:
            end = self.position
        if self.position + 1 != end:
            return
        if self.is_sign_written and self.is_bracketed:
            self.output.append(">" if self.sign == "-" else " ")
        elif self.picture.sign and self.sign_place == "after":
            self.output.append(self.sign)
