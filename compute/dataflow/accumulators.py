"""What a group of a maintained GROUP BY keeps besides running states."""

from typing import Any

from compute.dataflow.updates import Identity, Update, add_count, add_row
from compute.operators.accumulators import AggregateCall
from core.rows import Datum, Row


class VariedKeyRows:
    """Equal key values that may look different: shown is the one that sorts first as canonical
    encoding, so that it depends on the rows alone and not on their order."""

    __slots__ = ("_canonical", "_variants")

    def __init__(self, canonical: Identity) -> None:
        self._canonical = canonical
        self._variants: dict[Datum, Update] = {}

    def __bool__(self) -> bool:
        """Whether there are any rows."""
        return bool(self._variants)

    @property
    def values(self) -> Row:
        variants = self._variants
        present = [name for name, (_, count) in variants.items() if count > 0]
        return variants[min(present or variants)][0]

    def add(self, values: Row, diff: int) -> None:
        add_row(self._variants, self._canonical(values), values, diff)


class DistinctTotal:
    """An aggregate over the distinct values of exact types: it sees each come and go once."""

    __slots__ = ("_counts", "_function", "_key", "_state")

    def __init__(self, call: AggregateCall) -> None:
        assert call.distinct_key is not None
        self._function = call.function
        self._key = call.distinct_key
        self._counts: dict[Datum, int] = {}
        self._state: Any = call.function.start()

    def add(self, arguments: Row, diff: int) -> None:
        was, now = add_count(self._counts, self._key(arguments), diff)
        if (was > 0) is not (now > 0):
            self._state = self._function.add(self._state, arguments, 1 if now > 0 else -1)

    def finish(self) -> Datum:
        return self._function.finish(self._state)


class Collected:
    """An aggregate that is computed from all its arguments: ordered ones, and DISTINCT where equal
    values may look different."""

    __slots__ = ("_call", "_rows")

    def __init__(self, call: AggregateCall) -> None:
        self._call = call
        self._rows: dict[Datum, Update] = {}

    def add(self, arguments: Row, diff: int) -> None:
        assert self._call.sort_identity is not None
        add_row(self._rows, self._call.sort_identity(arguments), arguments, diff)

    def finish(self) -> Datum:
        call = self._call
        assert call.sort_key is not None
        sort_key = call.sort_key
        entries = sorted(self._rows.values(), key=lambda entry: sort_key(entry[0]))
        state = call.function.start()
        seen: set[Datum] = set()
        for row, count in entries:
            arguments = row[len(row) - call.width :]
            if call.distinct_key is not None:
                key = call.distinct_key(arguments)
                if count <= 0 or key in seen:
                    continue
                seen.add(key)
                count = 1
            state = call.function.add(state, arguments, count)
        return call.function.finish(state)
