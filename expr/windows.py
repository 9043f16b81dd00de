"""Window functions over one partition.

The engine sorts a partition by its ORDER BY and hands it over; a function answers with one value
per row. Functions that follow the frame get each row's frame as a range of row positions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

from core.rows import Datum
from expr.relation import FrameMode, WindowFrame


@dataclass(frozen=True, slots=True)
class Partition:
    """A sorted partition. `arguments` holds the argument rows; `peers` the number, from 0, of each
    row's peer group (rows equal in ORDER BY); `frames` each row's frame."""

    arguments: Sequence[tuple[Datum, ...]]
    peers: Sequence[int]
    frames: Sequence[range]


WindowImplementation = Callable[[Partition], list[Datum]]


class Frames(Sequence[range]):
    """Each row's frame, computed when asked for. Starts and ends never decrease."""

    def __init__(self, frame: WindowFrame, peers: Sequence[int]) -> None:
        self._frame = frame
        self._peers = peers
        self._size = len(peers)
        self._by_group = frame.mode is not FrameMode.ROWS
        self._group_starts: list[int] = []
        if self._by_group:
            starts = (i for i, peer in enumerate(peers) if i == 0 or peer != peers[i - 1])
            self._group_starts = [*starts, self._size]

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, position: int) -> range: ...

    @overload
    def __getitem__(self, position: slice) -> list[range]: ...

    def __getitem__(self, position: int | slice) -> range | list[range]:
        if isinstance(position, slice):
            return [self[index] for index in range(*position.indices(self._size))]
        if not 0 <= position < self._size:
            raise IndexError(position)
        frame = self._frame
        at = self._peers[position] if self._by_group else position
        start = 0 if frame.start is None else self._place(at + frame.start)
        stop = self._size if frame.end is None else self._place(at + frame.end + 1)
        return range(start, max(start, stop))

    def _place(self, number: int) -> int:
        """The first row of group `number`, or row `number` itself, within the partition."""
        if self._by_group:
            return self._group_starts[min(max(number, 0), len(self._group_starts) - 1)]
        return min(max(number, 0), self._size)
