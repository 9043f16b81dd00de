"""The changes at one time, consolidated while they come in."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from compute.dataflow.updates import Update, Updates, add_row
from compute.execution import MemoryBudget
from core.rows import Row

CHANGE_OVERHEAD_BYTES: Final = 250
SMALL_COUNT: Final = 8192
PART_BITS: Final = 8

Change = tuple[bytes, Update]  # the encoding of a row, the row and its difference


class RowChanges:
    """Each changed row once, by its canonical encoding.

    A dict of a million entries takes a tenth of a second to grow, so many rows are spread over many
    dicts, each of which grows in a moment. `size_bytes` estimates what is kept.
    """

    __slots__ = ("_encode", "_parts", "budget", "size_bytes")

    def __init__(self, encode: Callable[[Row], bytes]) -> None:
        self.budget = MemoryBudget(0)  # keeps the dicts, so that they can be freed in steps
        self.size_bytes = 0
        self._encode = encode
        self._parts: list[dict[bytes, Update]] = [self.budget.keep({})]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[Change]:
        return chain.from_iterable(part.items() for part in self._parts)

    def add(self, updates: Updates) -> None:
        """Take in a bounded number of updates."""
        encode, parts = self._encode, self._parts
        if len(parts) == 1:
            (part,) = parts
            for row, diff in updates:
                name = encode(row)
                add_row(part, name, row, diff)
                self.size_bytes += len(name) + CHANGE_OVERHEAD_BYTES
            if len(part) > SMALL_COUNT:
                self._spread()
            return
        mask = len(parts) - 1
        for row, diff in updates:
            name = encode(row)
            add_row(parts[hash(name) & mask], name, row, diff)
            self.size_bytes += len(name) + CHANGE_OVERHEAD_BYTES

    def measure(self) -> None:
        """Estimate anew, since changes may have cancelled."""
        self.size_bytes = sum(len(name) for name, _ in self) + CHANGE_OVERHEAD_BYTES * len(self)

    def _spread(self) -> None:
        (small,) = self._parts
        self._parts = [self.budget.keep({}) for _ in range(1 << PART_BITS)]
        mask = len(self._parts) - 1
        for name, update in small.items():
            self._parts[hash(name) & mask][name] = update
        small.clear()
