"""Window functions over one partition.

The engine sorts a partition by its ORDER BY and hands it over; a function answers with one value
per row. Functions that follow the frame get each row's frame as a range of row positions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.rows import Datum

MAX_BUCKETS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Partition:
    """A sorted partition. `arguments` holds the argument rows; `peers` the number, from 0, of each
    row's peer group (rows equal in ORDER BY); `frames` each row's frame, empty when the function
    does not follow the frame."""

    arguments: Sequence[tuple[Datum, ...]]
    peers: Sequence[int]
    frames: Sequence[range]


WindowImplementation = Callable[[Partition], list[Datum]]


def default_frames(peers: Sequence[int]) -> list[range]:
    """RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW: from the start to the last peer."""
    ends: dict[int, int] = {}
    for position, peer in enumerate(peers):
        ends[peer] = position + 1
    return [range(ends[peer]) for peer in peers]
