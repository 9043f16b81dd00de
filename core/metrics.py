"""Counters and histograms that cost little: for one thread, which is the event loop's.

prometheus_client guards every addition with a lock and several checks, which on the path of a small
statement come to more than parsing its messages. These are the same metrics to whoever reads
them; a child of labelled ones must be looked up once (`labels`) and kept. What other threads count
needs the library's own classes.
"""

from bisect import bisect_left

from prometheus_client import Counter, Histogram


class _Cell:
    """Stands where the library has a float behind a lock."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def get(self) -> float:
        return self.value

    def set(self, value: float) -> None:
        self.value = value

    def get_exemplar(self) -> None:
        return None


class LoopCounter(Counter):
    """A `Counter` of one thread. Without labels, or a child of them."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._value = _Cell()

    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
        """Add `amount`, which is not negative. Exemplars are not kept."""
        self._value.value += amount


class LoopHistogram(Histogram):
    """A `Histogram` of one thread. Without labels, or a child of them."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._sum = _Cell()
        self._buckets = [_Cell() for _ in self._upper_bounds]

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Count `amount` in its bucket. Exemplars are not kept."""
        self._sum.value += amount
        self._buckets[bisect_left(self._upper_bounds, amount)].value += 1
