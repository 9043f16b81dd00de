"""From a shard's updates to those that dataflows take in."""

from collections.abc import Callable, Iterator
from typing import Final

from compute.dataflow.updates import Updates
from core.rows import Row
from persist.batches import UpdateChunk

PART_ROWS: Final = 1024

Decode = Callable[[bytes], Row]


def decoded(chunk: UpdateChunk, decode: Decode) -> Iterator[Updates]:
    """The chunk's updates, at most PART_ROWS at a time."""
    rows, diffs = chunk.rows, chunk.diffs
    for start in range(0, len(rows), PART_ROWS):
        stop = start + PART_ROWS
        some = map(decode, rows[start:stop])
        if isinstance(diffs, int):
            yield [(row, diffs) for row in some]
        else:
            yield list(zip(some, diffs[start:stop], strict=True))
