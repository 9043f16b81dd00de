"""A shard that replicas write directly, as one replica sees it: how far it is durable, and its
updates between two times.

The state is fetched, never assumed; `advanced` is a hint from elsewhere that there is more.
"""

from collections.abc import AsyncGenerator, Callable
from typing import Final

from core.clock import Clock, system_clock
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp
from persist.batches import UpdateChunk, read_part
from persist.handles import LeasedReader
from persist.location import PersistLocation
from persist.machine import Machine, RefusedError
from persist.shard_state import ShardBatch, ShardState
from persist.snapshot import check_since, select

GONE: Final = "the shard was dropped"


class WrittenShard:
    """One for each shard in a replica. One event loop; not thread-safe."""

    def __init__(
        self, shard: ShardId, location: PersistLocation, clock: Clock = system_clock
    ) -> None:
        self.machine = Machine(shard, location.consensus)
        self.upper = MIN_TIMESTAMP  # durable, as far as anybody has said
        self._location = location
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []

    @property
    def id(self) -> ShardId:
        return self.machine.shard

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever `upper` may have moved."""
        self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[], None]) -> None:
        self._listeners.remove(listener)

    def advanced(self, upper: Timestamp) -> None:
        """The shard's upper is `upper` at least."""
        if upper > self.upper:
            self.upper = upper
            self.touch()

    def touch(self) -> None:
        """Have the listeners look: the shard has moved, or who makes it."""
        for listener in tuple(self._listeners):
            listener()

    async def fetch(self) -> ShardState:
        """The newest state; seqno 0 as long as nobody has created the shard. Raises RefusedError if
        it was dropped."""
        state = await self.machine.fetch()
        if state.is_tombstone:
            raise RefusedError(GONE)
        self.advanced(state.upper)
        return state

    async def read(
        self, state: ShardState, after: Timestamp | None, through: Timestamp
    ) -> AsyncGenerator[UpdateChunk, None]:
        """The updates of `state` with `after` < time <= `through` (None: all there are), one part
        in memory at a time, with their times. Close the iterator: parts are leased meanwhile.

        Raises SinceError if updates through `after` cannot be told from later ones any more,
        MissingPartError.
        """
        if after is not None:
            check_since(state, after)
        lease: LeasedReader | None = None
        wanted = _needed(state, after, through)
        if any(part.key is not None for batch in wanted for part in batch.batch.parts):
            lease = LeasedReader(self.machine, self._location, state, self._clock)
            await lease.register()
            state = lease.state  # compaction may have replaced what was to be read
            if after is not None:
                check_since(state, after)
            wanted = _needed(state, after, through)
        try:
            for batch in wanted:
                for part in batch.batch.parts:
                    chunk = await read_part(self._location.blob, part)
                    chunk = select(chunk, batch.ts, after, through)
                    if chunk.rows:
                        yield chunk
                    if lease is not None:
                        await lease.renew_if_due()
        finally:
            if lease is not None:
                await lease.expire()


def _needed(
    state: ShardState, after: Timestamp | None, through: Timestamp
) -> tuple[ShardBatch, ...]:
    first = MIN_TIMESTAMP if after is None else after + 1
    return tuple(batch for batch in state.batches if first < batch.upper and batch.lower <= through)
