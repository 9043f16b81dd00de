"""min and max, kept as a multiset so that values can be retracted.

The multiset counts values; a heap beside it, built when a result is first asked for, finds the
least. A value that is gone stays in the heap until it comes to the top, and the heap is built anew
when most of it is gone, so a change costs the logarithm of the values, whichever is retracted.
"""

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Final

from core.rows import Datum
from expr.aggregates import BaseAggregate

MIN_HEAP: Final = 64
Place = tuple[Any, str]  # sorts the result first; of equal values that look different, by text


class _Values:
    """The values by place, with their multiplicities; `heap` is None until it is needed."""

    __slots__ = ("counts", "heap")

    def __init__(self) -> None:
        self.counts: dict[Datum, int] = {}
        self.heap: list[tuple[Any, str, int, Datum]] | None = None


class Extreme(BaseAggregate):
    """min and max over any orderable type.

    `order_key` sorts the value wanted first. Of datums that compare equal (1.0 and 1.00) the one
    that sorts first as text is the result, so that the result is a function of the multiset;
    `is_exact` says that there are none such, then `choose` (min or max) takes datums themselves.
    """

    def __init__(
        self,
        order_key: Callable[[Datum], Any],
        choose: Callable[..., Datum],
        *,
        is_exact: bool,
    ) -> None:
        self._order_key = order_key
        self._choose = choose
        self._is_exact = is_exact

    def start(self) -> _Values:
        return _Values()

    def add(self, state: _Values, args: tuple[Datum, ...], diff: int) -> _Values:
        value = args[0]
        if value is None:
            return state
        counts = state.counts
        name = value if self._is_exact else (str(value), value)
        was = counts.get(name, 0)
        now = was + diff
        if now:
            counts[name] = now
        else:
            del counts[name]
        if state.heap is not None and was <= 0 < now:
            heappush(state.heap, self._entry(name, len(state.heap)))
        return state

    def finish(self, state: _Values) -> Datum:
        counts, heap = state.counts, state.heap
        if heap is None or len(heap) > MIN_HEAP + 2 * len(counts):
            heap = [self._entry(name, i) for i, (name, n) in enumerate(counts.items()) if n > 0]
            heapify(heap)
            state.heap = heap
        while heap:
            name = heap[0][3]
            if counts.get(name, 0) > 0:
                return name if self._is_exact else name[1]
            heappop(heap)
        return None

    def bulk(self, columns: Sequence[Sequence[Datum]]) -> Datum:
        column = columns[0]
        if None in column:
            column = [value for value in column if value is not None]
        if self._is_exact:
            return self._choose(column, default=None)
        return min(column, key=self._place, default=None)

    def extend(self, state: _Values, columns: Sequence[Sequence[Datum]]) -> _Values:
        best = self.bulk(columns)
        if best is None:
            return state
        so_far = self.finish(state)
        best = best if so_far is None else self.bulk([[so_far, best]])
        return self.add(_Values(), (best,), 1)

    def _place(self, value: Datum) -> Place:
        return self._order_key(value), str(value)

    def _entry(self, name: Datum, number: int) -> tuple[Any, str, int, Datum]:
        """A heap entry; `number` keeps names, which need not compare, from being compared."""
        if self._is_exact:
            return self._order_key(name), "", number, name
        return self._order_key(name[1]), name[0], number, name
