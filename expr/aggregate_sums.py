"""count, sum, avg and the variance family: aggregates that keep totals.

Integers and numerics are summed exactly. Floats are summed exactly too, as integers scaled by the
least float, and rounded once, so that the sum of a multiset does not depend on any order.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from core.errors import DATETIME_FIELD_OVERFLOW, SqlError
from core.rows import Datum, Interval
from expr import floats, numeric
from expr.aggregates import BaseAggregate
from expr.errors import out_of_range, raise_float_overflow
from expr.intervals import INFINITE, NEGATIVE_INFINITE, checked, is_infinite
from expr.numeric import EXACT, check

# Every float is a multiple of this power of two.
_SCALE_BITS: Final = 1074
_SCALE: Final = 1 << _SCALE_BITS
_ADD_INTEGER: Final = (
    "if {value} is not None: s = {state}; s[0] += {value} * {diff}; s[1] += {diff}"
)


class CountAll(BaseAggregate):
    """count(*)."""

    inline_add = "{state} += {diff}"

    def start(self) -> int:
        return 0

    def add(self, state: int, args: tuple[Datum, ...], diff: int) -> int:
        return state + diff

    def finish(self, state: int) -> int:
        return state

    def bulk(self, columns: Sequence[Sequence[Datum]]) -> int:
        return len(columns[0])

    def extend(self, state: int, columns: Sequence[Sequence[Datum]]) -> int:
        return state + len(columns[0])


class Count(BaseAggregate):
    """count(value)."""

    inline_add = "{state} += 0 if {value} is None else {diff}"

    def start(self) -> int:
        return 0

    def add(self, state: int, args: tuple[Datum, ...], diff: int) -> int:
        return state if args[0] is None else state + diff

    def finish(self, state: int) -> int:
        return state

    def bulk(self, columns: Sequence[Sequence[Datum]]) -> int:
        column = columns[0]
        return len(column) - column.count(None)

    def extend(self, state: int, columns: Sequence[Sequence[Datum]]) -> int:
        return state + self.bulk(columns)


class IntegerSum(BaseAggregate):
    """sum of integers, as bigint or numeric; `low` and `high` bound the result."""

    inline_add = _ADD_INTEGER

    def __init__(self, bounds: tuple[int, int] | None, type_name: str) -> None:
        self._bounds = bounds
        self._type_name = type_name

    def start(self) -> list[int]:
        return [0, 0]  # sum, count of values

    def add(self, state: list[int], args: tuple[Datum, ...], diff: int) -> list[int]:
        value = args[0]
        if value is not None:
            state[0] += value * diff
            state[1] += diff
        return state

    def finish(self, state: list[int]) -> Datum:
        return self._result(*state)

    def bulk(self, columns: Sequence[Sequence[Datum]]) -> Datum:
        column = columns[0]
        if None in column:
            column = [value for value in column if value is not None]
        return self._result(sum(column), len(column))

    def extend(self, state: list[int], columns: Sequence[Sequence[Datum]]) -> list[int]:
        column = columns[0]
        if None in column:
            column = [value for value in column if value is not None]
        state[0] += sum(column)
        state[1] += len(column)
        return state

    def _result(self, total: int, count: int) -> Datum:
        if count == 0:
            return None
        if self._bounds is None:
            return Decimal(total)
        if not self._bounds[0] <= total <= self._bounds[1]:
            raise out_of_range(self._type_name)
        return total


class IntegerAverage(BaseAggregate):
    """avg of integers: the exact sum divided as numerics."""

    inline_add = _ADD_INTEGER

    def start(self) -> list[int]:
        return [0, 0]

    def add(self, state: list[int], args: tuple[Datum, ...], diff: int) -> list[int]:
        value = args[0]
        if value is not None:
            state[0] += value * diff
            state[1] += diff
        return state

    def finish(self, state: list[int]) -> Decimal | None:
        total, count = state
        return None if count == 0 else numeric.divide(Decimal(total), Decimal(count))

    def bulk(self, columns: Sequence[Sequence[Datum]]) -> Decimal | None:
        column = columns[0]
        if None in column:
            column = [value for value in column if value is not None]
        return self.finish([sum(column), len(column)])

    def extend(self, state: list[int], columns: Sequence[Sequence[Datum]]) -> list[int]:
        column = columns[0]
        if None in column:
            column = [value for value in column if value is not None]
        state[0] += sum(column)
        state[1] += len(column)
        return state


class _NumericTotals:
    """Sums of numerics, with NaN and the infinities counted apart, and scales counted."""

    __slots__ = ("count", "infinities", "nans", "negative_infinities", "scales", "squares", "total")

    def __init__(self) -> None:
        self.count = self.nans = self.infinities = self.negative_infinities = 0
        self.total = numeric.ZERO
        self.squares = numeric.ZERO
        self.scales: dict[int, int] = {}  # display scale -> number of values

    def add(self, value: Decimal, diff: int, *, with_squares: bool) -> None:
        self.count += diff
        if not value.is_finite():
            if value.is_nan():
                self.nans += diff
            elif value > 0:
                self.infinities += diff
            else:
                self.negative_infinities += diff
            return
        scale = -int(value.as_tuple().exponent)
        scales = self.scales
        left = scales.get(scale, 0) + diff
        if left:
            scales[scale] = left
        else:
            scales.pop(scale, None)
        amount = value if diff == 1 else EXACT.multiply(value, Decimal(diff))
        self.total = EXACT.add(self.total, amount)
        if with_squares:
            self.squares = EXACT.add(self.squares, EXACT.multiply(value, amount))

    def special(self) -> Decimal | None:
        """The sum when some value is not finite."""
        if self.nans or (self.infinities and self.negative_infinities):
            return numeric.NAN
        if self.infinities:
            return numeric.INFINITY
        return numeric.INFINITY.copy_negate() if self.negative_infinities else None

    def sum(self) -> Decimal:
        """The finite sum, with the greatest display scale of the values."""
        total = EXACT.quantize(self.total, numeric.quantum(max(self.scales, default=0)))
        return check(total)


class NumericSum(BaseAggregate):
    """sum(numeric)."""

    def start(self) -> _NumericTotals:
        return _NumericTotals()

    def add(self, state: _NumericTotals, args: tuple[Datum, ...], diff: int) -> _NumericTotals:
        if args[0] is not None:
            state.add(args[0], diff, with_squares=False)
        return state

    def finish(self, state: _NumericTotals) -> Decimal | None:
        if state.count == 0:
            return None
        special = state.special()
        return state.sum() if special is None else special


class NumericAverage(NumericSum):
    """avg(numeric)."""

    def finish(self, state: _NumericTotals) -> Decimal | None:
        total = super().finish(state)
        return None if total is None else numeric.divide(total, Decimal(state.count))


class _FloatTotals:
    """The exact sum of floats, in units of the least positive float."""

    __slots__ = ("count", "infinities", "nans", "negative_infinities", "units")

    def __init__(self) -> None:
        self.count = self.nans = self.infinities = self.negative_infinities = 0
        self.units = 0

    def add(self, value: float, diff: int) -> None:
        self.count += diff
        if value != value:
            self.nans += diff
        elif value == floats.INFINITY:
            self.infinities += diff
        elif value == -floats.INFINITY:
            self.negative_infinities += diff
        else:
            numerator, denominator = value.as_integer_ratio()
            self.units += numerator * (_SCALE // denominator) * diff

    def extend(self, column: Sequence[float | None]) -> None:
        """Add every value that is not null."""
        values = [value for value in column if value is not None]
        try:
            parts = [math.fsum(values)]
            while parts[-1] and math.isfinite(parts[-1]):
                # What rounding left out, exactly: each part is 53 bits of the exact sum.
                parts.append(math.fsum([*values, *(-part for part in parts)]))
        except (OverflowError, ValueError):
            parts = [floats.NAN]
        if not all(map(math.isfinite, parts)):
            for value in values:
                self.add(value, 1)
            return
        self.count += len(values)
        for part in parts:
            numerator, denominator = part.as_integer_ratio()
            self.units += numerator * (_SCALE // denominator)

    def special(self) -> float | None:
        if self.nans or (self.infinities and self.negative_infinities):
            return floats.NAN
        if self.infinities:
            return floats.INFINITY
        return -floats.INFINITY if self.negative_infinities else None


def _rounded(units: int, divisor: int = 1) -> float:
    """`units` of the least float, divided, as the nearest float."""
    try:
        return units / (_SCALE * divisor)  # true division of integers rounds correctly, once
    except OverflowError:
        raise_float_overflow()


class _FloatAggregate(BaseAggregate):
    """What is a function of the exact totals of floats."""

    def start(self) -> _FloatTotals:
        return _FloatTotals()

    def add(self, state: _FloatTotals, args: tuple[Datum, ...], diff: int) -> _FloatTotals:
        if args[0] is not None:
            state.add(args[0], diff)
        return state

    def extend(self, state: _FloatTotals, columns: Sequence[Sequence[Datum]]) -> _FloatTotals:
        state.extend(columns[0])
        return state


class FloatSum(_FloatAggregate):
    """sum of float8 or, `is_single`, of float4."""

    def __init__(self, *, is_single: bool) -> None:
        self._is_single = is_single

    def finish(self, state: _FloatTotals) -> float | None:
        if state.count == 0:
            return None
        special = state.special()
        return self._fit(_rounded(state.units)) if special is None else special

    def bulk(self, columns: Sequence[Sequence[Datum]]) -> float | None:
        column = [value for value in columns[0] if value is not None]
        if not column:
            return None
        try:
            total = math.fsum(column)
        except (OverflowError, ValueError):
            return self._exactly(column)
        return self._fit(total) if math.isfinite(total) else self._exactly(column)

    def _exactly(self, values: Sequence[float]) -> float | None:
        state = self.start()
        for value in values:
            state.add(value, 1)
        return self.finish(state)

    def _fit(self, total: float) -> float:
        return floats.single_result(total) if self._is_single else total


class FloatAverage(_FloatAggregate):
    """avg of floats: the exact sum divided exactly and rounded once."""

    def finish(self, state: _FloatTotals) -> float | None:
        if state.count == 0:
            return None
        special = state.special()
        return _rounded(state.units, state.count) if special is None else special

    def bulk(self, columns: Sequence[Sequence[Datum]]) -> float | None:
        return self.finish(self.extend(self.start(), columns))


class IntervalSum(BaseAggregate):
    """sum(interval) and, with `is_average`, avg(interval)."""

    def __init__(self, divide: Callable[[Interval, float], Interval] | None) -> None:
        self._divide = divide

    def start(self) -> list[int]:
        return [0, 0, 0, 0, 0, 0]  # months, days, microseconds, count, infinities, negative ones

    def add(self, state: list[int], args: tuple[Datum, ...], diff: int) -> list[int]:
        value = args[0]
        if value is None:
            return state
        state[3] += diff
        if is_infinite(value):
            state[4 if value.months > 0 else 5] += diff
            return state
        for part in range(3):
            state[part] += value[part] * diff
        return state

    def finish(self, state: list[int]) -> Interval | None:
        count, infinities, negative = state[3:]
        if count == 0:
            return None
        if infinities and negative:
            raise SqlError(DATETIME_FIELD_OVERFLOW, "interval out of range")
        if infinities or negative:
            return INFINITE if infinities else NEGATIVE_INFINITE
        total = checked(state[0], state[1], state[2])
        return total if self._divide is None else self._divide(total, float(count))


class NumericVariance(BaseAggregate):
    """The variance family of integers and numerics; exact but for the last division and root."""

    def __init__(self, *, is_sample: bool, is_root: bool) -> None:
        self._is_sample = is_sample
        self._is_root = is_root

    def start(self) -> _NumericTotals:
        return _NumericTotals()

    def add(self, state: _NumericTotals, args: tuple[Datum, ...], diff: int) -> _NumericTotals:
        value = args[0]
        if value is not None:
            exact = value if isinstance(value, Decimal) else Decimal(value)
            state.add(exact, diff, with_squares=True)
        return state

    def finish(self, state: _NumericTotals) -> Decimal | None:
        count = state.count
        if count <= (1 if self._is_sample else 0):
            return None
        if state.special() is not None:
            return numeric.NAN
        scale = max(state.scales, default=0)
        sum_of_squares = EXACT.quantize(state.squares, numeric.quantum(2 * scale))
        total = EXACT.quantize(state.total, numeric.quantum(scale))
        size = Decimal(count)
        numerator = EXACT.subtract(
            EXACT.multiply(size, sum_of_squares), EXACT.multiply(total, total)
        )
        if numerator <= 0:
            return numeric.ZERO
        divisor = Decimal(count * (count - 1)) if self._is_sample else Decimal(count * count)
        digits = numeric.division_scale(numerator, divisor)
        variance = numeric.divide_at_scale(numerator, divisor, digits)
        return numeric.square_root_at_scale(variance, digits) if self._is_root else variance


class FloatMoments(BaseAggregate):
    """Aggregates of one or two float columns that are a function of their exact moments.

    `compute` takes (n, sum x, sum x², sum y, sum y², sum xy) as exact fractions and returns the
    exact result, None for null; a square root may come after. Rounded once.
    """

    def __init__(
        self,
        compute: Callable[
            [int, Fraction, Fraction, Fraction, Fraction, Fraction], "Fraction | None"
        ],
        *,
        columns: int,
        root: bool = False,
        minimum: int = 1,
    ) -> None:
        self._compute = compute
        self._columns = columns
        self._root = root
        self._minimum = minimum

    def start(self) -> list[int]:
        return [0, 0, 0, 0, 0, 0, 0]  # n, not finite, then the five sums in scaled units

    def add(self, state: list[int], args: tuple[Datum, ...], diff: int) -> list[int]:
        if None in args:
            return state
        state[0] += diff
        y = float(args[0])
        x = float(args[1]) if self._columns == 2 else y
        if not (math.isfinite(x) and math.isfinite(y)):
            state[1] += diff
            return state
        x_units, y_units = _units(x), _units(y)
        state[2] += x_units * diff
        state[3] += x_units * x_units * diff
        if self._columns == 2:
            state[4] += y_units * diff
            state[5] += y_units * y_units * diff
            state[6] += x_units * y_units * diff
        return state

    def finish(self, state: list[int]) -> float | None:
        count = state[0]
        if count < self._minimum:
            return None
        if state[1]:
            return floats.NAN
        square = _SCALE * _SCALE
        result = self._compute(
            count,
            Fraction(state[2], _SCALE),
            Fraction(state[3], square),
            Fraction(state[4], _SCALE),
            Fraction(state[5], square),
            Fraction(state[6], square),
        )
        if result is None:
            return None
        try:
            return math.sqrt(result) if self._root else float(result)
        except OverflowError:
            raise_float_overflow()


def _units(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return numerator * (_SCALE // denominator)
