"""A shard that replicas write directly, as one replica sees it: how far it is durable, and its
updates between two times.

The state is fetched, never assumed; `advanced` is a hint from elsewhere that there is more.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
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

        Raises SinceError if updates through `after` (None: through `through`) cannot be told from
        later ones any more; MissingPartError.
        """
        async with self.held(state, after, through) as held:
            async for chunk in held.read(after, through):
                yield chunk

    @contextlib.asynccontextmanager
    async def held(
        self, state: ShardState, after: Timestamp | None, through: Timestamp
    ) -> AsyncIterator["HeldState"]:
        """What `read` reads: `state`, or a later one whose parts could be leased. Raises SinceError
        as `read` does."""
        told_apart_at = through if after is None else after
        check_since(state, told_apart_at)
        wanted = _needed(state, after, through)
        if all(part.key is None for batch in wanted for part in batch.batch.parts):
            yield HeldState(state, self._location, None)
            return
        lease = LeasedReader(self.machine, self._location, state, self._clock)
        await lease.register()
        try:
            check_since(lease.state, told_apart_at)
            yield HeldState(lease.state, self._location, lease)
        finally:
            await lease.expire()


class HeldState:
    """A state of a shard whose parts stay. Compaction may have replaced what was there before, and
    more may have been appended: what it holds goes by its own upper."""

    def __init__(
        self, state: ShardState, location: PersistLocation, lease: LeasedReader | None
    ) -> None:
        self.state = state
        self._location = location
        self._lease = lease

    async def read(
        self, after: Timestamp | None, through: Timestamp
    ) -> AsyncGenerator[UpdateChunk, None]:
        """As `WrittenShard.read`."""
        for batch in _needed(self.state, after, through):
            for part in batch.batch.parts:
                chunk = await read_part(self._location.blob, part)
                chunk = select(chunk, batch.ts, after, through)
                if chunk.rows:
                    yield chunk
                if self._lease is not None:
                    await self._lease.renew_if_due()


def _needed(
    state: ShardState, after: Timestamp | None, through: Timestamp
) -> tuple[ShardBatch, ...]:
    first = MIN_TIMESTAMP if after is None else after + 1
    return tuple(batch for batch in state.batches if first < batch.upper and batch.lower <= through)
