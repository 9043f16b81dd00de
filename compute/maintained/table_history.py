"""The changes of a table between two times, read from its data shard: for those who start to follow
it at a time that commits known here do not reach back to."""

import contextlib
from collections.abc import AsyncGenerator

from compute.maintained.written_shard import WrittenShard
from core.ids import ShardId, Timestamp
from persist.batches import UpdateChunk, read_part
from persist.location import PersistLocation
from persist.snapshot import select
from persist.txn_reader import TxnsReader


async def table_history(
    location: PersistLocation,
    reader: TxnsReader,
    shard: ShardId,
    after: Timestamp,
    through: Timestamp,
) -> AsyncGenerator[UpdateChunk, None]:
    """The updates with `after` < time <= `through`, which `reader.upper` has passed, with their
    times; in no order. Raises SinceError, MissingPartError, StorageError."""
    # Taken first: whatever is tidied later, and so missing from the list, was applied before the
    # state below is fetched.
    pending = reader.pending(shard)
    written = WrittenShard(shard, location)
    state = await written.fetch()
    applied = min(through, Timestamp(state.upper - 1))
    async with contextlib.aclosing(written.read(state, after, applied)) as chunks:
        async for chunk in chunks:
            yield chunk
    for write in pending:
        if max(state.upper, after + 1) <= write.ts <= through:
            for part in write.batch.parts:
                chunk = await read_part(location.blob, part)
                yield select(chunk, write.ts, after, through)
