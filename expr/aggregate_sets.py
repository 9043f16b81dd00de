"""Boolean and bit aggregates, and the aggregates that collect values."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from core.errors import SqlError
from core.rows import Array, Datum
from expr.aggregates import BaseAggregate
from expr.array_values import EMPTY, check_dimensions, one_dimensional
from expr.errors import MAX_RESULT_BYTES, too_large
from expr.json_values import dump_jsonb, quote_json


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
    if len({array.dimensions for array in arrays}) > 1:  # their lower bounds too
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
    if sum(map(len, parts)) > MAX_RESULT_BYTES:
        raise too_large()
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
