"""What every load generator is, and how it is found."""

from collections.abc import Iterator
from typing import Protocol, assert_never

from compute.generators.auction import Auction
from compute.generators.counter import Counter
from compute.generators.tpch import Tpch
from compute.generators.updates import GeneratedUpdate
from core.load_generators import LoadGenerator, LoadGeneratorKind


class Generator(Protocol):
    """A deterministic generator, but for the times that stand in rows which are never retracted."""

    def start(self, now_us: int) -> Iterator[GeneratedUpdate]:
        """The contents before the first tick."""
        ...

    def tick(self, number: int, now_us: int) -> Iterator[GeneratedUpdate]:
        """What tick `number` (from 0) changes. `now_us` is the clock's time."""
        ...


def make_generator(description: LoadGenerator) -> Generator:
    """The generator that is described."""
    match description.kind:
        case LoadGeneratorKind.COUNTER:
            return Counter(description.max_cardinality)
        case LoadGeneratorKind.AUCTION:
            return Auction(description.tick_us)
        case LoadGeneratorKind.TPCH:
            return Tpch(description.scale_factor)
        case _:
            assert_never(description.kind)
