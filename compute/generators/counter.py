"""COUNTER: 1, 2, 3, …, of which the last `max_cardinality` are kept."""

from collections.abc import Iterator

from compute.generators.updates import GeneratedUpdate

OUTPUT = "counter"


class Counter:
    """A `Generator`."""

    def __init__(self, max_cardinality: int | None) -> None:
        self._max_cardinality = max_cardinality

    def start(self, now_us: int) -> Iterator[GeneratedUpdate]:
        return iter(())

    def tick(self, number: int, now_us: int) -> Iterator[GeneratedUpdate]:
        most = self._max_cardinality
        yield GeneratedUpdate(OUTPUT, (number + 1,))
        if most is not None and number >= most:
            yield GeneratedUpdate(OUTPUT, (number + 1 - most,), -1)
