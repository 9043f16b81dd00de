"""From a written shard's updates to rows and errors in data."""

from collections.abc import Iterator

from compute.maintained.data_errors import decode_error, is_error
from compute.maintained.decoding import PART_ROWS, Decode
from compute.maintained.feed import Part
from core.ids import Timestamp
from persist.batches import UpdateChunk


def decoded_parts(chunk: UpdateChunk, decode: Decode) -> Iterator[Part]:
    """The chunk's updates, at most PART_ROWS at a time, whatever their times."""
    diffs = chunk.diffs
    for start in range(0, len(chunk.rows), PART_ROWS):
        rows = chunk.rows[start : start + PART_ROWS]
        some = [diffs] * len(rows) if isinstance(diffs, int) else diffs[start : start + PART_ROWS]
        yield _part(rows, some, decode)


def timed_parts(chunk: UpdateChunk, decode: Decode) -> Iterator[tuple[Timestamp, Part]]:
    """The chunk's updates by time, in its order; its times must be filled in."""
    rows, diffs, times = chunk.rows, chunk.diffs, chunk.times
    assert times is not None, "the updates of a written shard have times"
    if isinstance(times, int):
        for part in decoded_parts(chunk, decode):
            yield Timestamp(times), part
        return
    start = 0
    while start < len(rows):
        ts, stop = times[start], start + 1
        while stop < len(rows) and stop - start < PART_ROWS and times[stop] == ts:
            stop += 1
        some = [diffs] * (stop - start) if isinstance(diffs, int) else diffs[start:stop]
        yield Timestamp(ts), _part(rows[start:stop], some, decode)
        start = stop


def _part(rows: list[bytes], diffs: list[int], decode: Decode) -> Part:
    if not any(map(is_error, rows)):
        return Part(list(zip(map(decode, rows), diffs, strict=True)), [])
    part = Part([], [])
    for row, diff in zip(rows, diffs, strict=True):
        if is_error(row):
            part.errors.append((decode_error(row), diff))
        else:
            part.updates.append((decode(row), diff))
    return part
