"""min and max, boolean and bit aggregates, and the aggregates that collect values."""

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from core.errors import SqlError
from core.rows import Array, Datum
from expr.aggregates import BaseAggregate
from expr.array_values import EMPTY, check_dimensions, one_dimensional
from expr.json_values import dump_jsonb, quote_json

Multiset = dict[Any, list[Any]]  # key -> [datum, multiplicity]


class Extreme(BaseAggregate):
    """min and max over any orderable type, kept as a multiset so that values can be retracted.

    Of datums that compare equal (1.0 and 1.00) the one that sorts first as text is the result, so
    that the result is a function of the multiset.
    """

    def __init__(self, key: Callable[[Datum], Any] | None, *, is_max: bool) -> None:
        self._key = key
        self._choose = max if is_max else min

    def start(self) -> dict[Datum, int]:
        return {}

    def add(self, state: dict[Datum, int], args: tuple[Datum, ...], diff: int) -> dict[Datum, int]:
        value = args[0]
        if value is None:
            return state
        entry = value if self._key is None else (_identity_text(value), value)
        count = state.get(entry, 0) + diff
        if count:
            state[entry] = count
        else:
            del state[entry]
        return state

    def finish(self, state: dict[Datum, int]) -> Datum:
        if self._key is None:
            return self._choose((value for value, n in state.items() if n > 0), default=None)
        return self._best(value for (_, value), n in state.items() if n > 0)

    def bulk(self, columns: Sequence[Sequence[Datum]]) -> Datum:
        column = columns[0]
        if None in column:
            column = [value for value in column if value is not None]
        if self._key is None:
            return self._choose(column, default=None)
        return self._best(column)

    def extend(
        self, state: dict[Datum, int], columns: Sequence[Sequence[Datum]]
    ) -> dict[Datum, int]:
        best = self.bulk(columns)
        if best is None:
            return state
        so_far = self.finish(state)
        best = best if so_far is None else self.bulk([[so_far, best]])
        return self.add({}, (best,), 1)

    def _best(self, values: Any) -> Datum:
        best: Datum = None
        best_key: Any = None
        key = self._key
        assert key is not None
        prefers = operator.gt if self._choose is max else operator.lt
        for value in values:
            value_key = key(value)
            if best is None or prefers(value_key, best_key):
                best, best_key = value, value_key
            elif value_key == best_key and _identity_text(value) < _identity_text(best):
                best = value
        return best


def _identity_text(value: Datum) -> str:
    """A text that tells apart datums that SQL finds equal."""
    return str(value)


class BooleanFold(BaseAggregate):
    """bool_and (`decisive` False) and bool_or (True)."""

    def __init__(self, *, decisive: bool) -> None:
        self._decisive = decisive

    def start(self) -> list[int]:
        return [0, 0]  # values, decisive values

    def add(self, state: list[int], args: tuple[Datum, ...], diff: int) -> list[int]:
        value = args[0]
        if value is not None:
            state[0] += diff
            if value is self._decisive:
                state[1] += diff
        return state

    def extend(self, state: list[int], columns: Sequence[Sequence[Datum]]) -> list[int]:
        column = columns[0]
        state[0] += len(column) - column.count(None)
        state[1] += column.count(self._decisive)
        return state

    def finish(self, state: list[int]) -> bool | None:
        if state[0] == 0:
            return None
        return self._decisive if state[1] else not self._decisive


class BitFold(BaseAggregate):
    """bit_and, bit_or, bit_xor over integers, as counts of values."""

    def __init__(self, fold: Callable[[int, int], int], *, counts_parity: bool = False) -> None:
        self._fold = fold
        self._counts_parity = counts_parity

    def start(self) -> dict[int, int]:
        return {}

    def add(self, state: dict[int, int], args: tuple[Datum, ...], diff: int) -> dict[int, int]:
        value = args[0]
        if value is not None:
            count = state.get(value, 0) + diff
            if count:
                state[value] = count
            else:
                del state[value]
        return state

    def finish(self, state: dict[int, int]) -> int | None:
        if not state:
            return None
        if self._counts_parity:
            return reduce(self._fold, (value for value, n in state.items() if n % 2), 0)
        return reduce(self._fold, state)


class Collect(BaseAggregate):
    """Aggregates of the ordered list of argument rows; `result` makes a value of a non-empty list.

    With `skips_null` rows whose first argument is null do not count.
    """

    is_ordered = True

    def __init__(
        self, result: Callable[[list[tuple[Datum, ...]]], Datum], *, skips_null: bool = False
    ) -> None:
        self._result = result
        self._skips_null = skips_null

    def start(self) -> list[tuple[Datum, ...]]:
        return []

    def add(
        self, state: list[tuple[Datum, ...]], args: tuple[Datum, ...], diff: int
    ) -> list[tuple[Datum, ...]]:
        if not (self._skips_null and args[0] is None):
            state.extend([args] * diff)
        return state

    def finish(self, state: list[tuple[Datum, ...]]) -> Datum:
        return self._result(state) if state else None


def collect_array(*, nested: bool) -> Collect:
    """array_agg of elements or, `nested`, of arrays."""
    if nested:
        return Collect(_collect_arrays)
    return Collect(lambda rows: one_dimensional([row[0] for row in rows]))


def _collect_arrays(rows: list[tuple[Datum, ...]]) -> Array[Datum]:
    arrays = [row[0] for row in rows]
    if None in arrays:
        raise SqlError("22004", "cannot accumulate null arrays")
    if not all(array.dimensions for array in arrays):
        raise SqlError("2202E", "cannot accumulate empty arrays")
    if len({tuple(length for length, _ in array.dimensions) for array in arrays}) > 1:
        raise SqlError("2202E", "cannot accumulate arrays of different dimensionality")
    check_dimensions(len(arrays[0].dimensions) + 1)
    elements = tuple(item for array in arrays for item in array.elements)
    return Array(((len(arrays), 1), *arrays[0].dimensions), elements)


def collect_string(rows: list[tuple[Datum, ...]]) -> Datum:
    """string_agg: the delimiter of the first value is not used."""
    empty: Any = b"" if isinstance(rows[0][0], bytes) else ""
    parts = [rows[0][0]]
    for value, delimiter in rows[1:]:
        parts.append(empty if delimiter is None else delimiter)
        parts.append(value)
    return empty.join(parts)


def collect_jsonb(convert: Callable[[Datum], Any]) -> Collect:
    """jsonb_agg; `convert` gives a value's JSON value."""
    return Collect(lambda rows: dump_jsonb([convert(row[0]) for row in rows]))


def collect_json(convert: Callable[[Datum], str], *, breaks_lines: bool) -> Collect:
    """json_agg; `convert` gives a value's JSON text. Arrays and records start new lines."""
    structured = ", \n " if breaks_lines else ", "

    def collect(rows: list[tuple[Datum, ...]]) -> str:
        parts = []
        for (value,) in rows:
            parts += [", " if value is None else structured, convert(value)]
        return f"[{''.join(parts[1:])}]"

    return Collect(collect)


def collect_jsonb_object(key: Callable[[Datum], str], convert: Callable[[Datum], Any]) -> Collect:
    """jsonb_object_agg: of equal keys the last wins."""
    return Collect(lambda rows: dump_jsonb({key(row[0]): convert(row[1]) for row in rows}))


def collect_json_object(key: Callable[[Datum], str], convert: Callable[[Datum], str]) -> Collect:
    """json_object_agg: every pair stays."""

    def result(rows: list[tuple[Datum, ...]]) -> str:
        pairs = (f"{quote_json(key(row[0]))} : {convert(row[1])}" for row in rows)
        return f"{{ {', '.join(pairs)} }}"

    return Collect(result)


class ArrayConcatenation(BaseAggregate):
    """The elements of every array, in order (Materialize's array_concat)."""

    is_ordered = True

    def start(self) -> list[Datum]:
        return []

    def add(self, state: list[Datum], args: tuple[Datum, ...], diff: int) -> list[Datum]:
        if args[0] is not None:
            state.extend(args[0].elements * diff)
        return state

    def finish(self, state: list[Datum]) -> Array[Datum]:
        return one_dimensional(state) if state else EMPTY
