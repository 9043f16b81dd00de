"""Reading updates out of a shard's batches: at one time, or between two."""

from collections.abc import AsyncIterator

from core.errors import DeterminateError
from core.ids import Timestamp
from persist.batches import Batch, UpdateChunk, read_part
from persist.blob import Blob
from persist.shard_state import ShardState


class SinceError(DeterminateError):
    """The shard was compacted past the time asked for."""

    def __init__(self, as_of: Timestamp, since: Timestamp) -> None:
        super().__init__(f"cannot read at {as_of}: history before {since} is gone")
        self.as_of = as_of
        self.since = since


def check_since(state: ShardState, as_of: Timestamp) -> None:
    """Raises SinceError unless `state` can be read at `as_of`."""
    if as_of < state.since:
        raise SinceError(as_of, state.since)


async def read_state(blob: Blob, state: ShardState, as_of: Timestamp) -> AsyncIterator[UpdateChunk]:
    """The updates through `as_of`, one part in memory at a time, with `times` None. Raises
    MissingPartError if a part is gone."""
    for batch in state.batches:
        if batch.lower > as_of:
            continue
        async for chunk in read_through(blob, batch.batch, batch.ts, as_of):
            yield chunk


async def read_through(
    blob: Blob, batch: Batch, ts: Timestamp | None, as_of: Timestamp
) -> AsyncIterator[UpdateChunk]:
    """The updates of one batch through `as_of`, with `times` None."""
    for part in batch.parts:
        chunk = select(await read_part(blob, part), ts, None, as_of)
        if chunk.rows:
            yield UpdateChunk(chunk.rows, chunk.diffs, None)


def select(
    chunk: UpdateChunk, ts: Timestamp | None, after: Timestamp | None, through: Timestamp
) -> UpdateChunk:
    """The updates with `after` < time <= `through`, their times filled in from `ts`."""
    times = chunk.times if chunk.times is not None else ts
    assert times is not None, "a chunk without times stands in a batch with one"
    low = -1 if after is None else after
    if isinstance(times, int):
        if low < times <= through:
            return UpdateChunk(chunk.rows, chunk.diffs, times)
        return UpdateChunk([], 1, times)
    if low < min(times) and max(times) <= through:
        return UpdateChunk(chunk.rows, chunk.diffs, times)
    kept = [index for index, time in enumerate(times) if low < time <= through]
    diffs = chunk.diffs
    return UpdateChunk(
        [chunk.rows[index] for index in kept],
        diffs if isinstance(diffs, int) else [diffs[index] for index in kept],
        [times[index] for index in kept],
    )
