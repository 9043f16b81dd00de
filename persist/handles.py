"""Handles on one shard: writer, critical since, leased reader, snapshot, listen, finalization.

For shards that are written directly (sinks, sources). Tables and the catalog are data shards of the
txn-wal: their writer is `persist.txn_wal`, their reader `persist.txn_reader`.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final

from core.clock import Clock, system_clock
from core.errors import StorageError
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp
from persist.batches import Batch, UpdateChunk, read_part
from persist.garbage import delete_all_parts
from persist.location import PersistLocation
from persist.machine import Machine, RefusedError
from persist.shard_state import (
    BecomeTombstone,
    CompareAndAppend,
    DowngradeCritical,
    ExpireLeased,
    ExpireWriter,
    HeartbeatLeased,
    RegisterCritical,
    RegisterLeased,
    ShardBatch,
    ShardState,
)
from persist.snapshot import check_since, read_state, select

LEASE_US: Final = 60_000_000
LISTEN_POLL_S: Final = 1.0
CONTROLLER_READER: Final = "controller"  # the one critical reader environmentd keeps per shard


class Writer:
    """Appends to a shard. `upper` is as this handle last saw it."""

    def __init__(
        self, machine: Machine, location: PersistLocation, schema: bytes | None, clock: Clock
    ) -> None:
        self._machine = machine
        self._location = location
        self._schema = schema
        self._clock = clock
        self._id = f"w{uuid.uuid4().hex}"

    @property
    def upper(self) -> Timestamp:
        return self._machine.state.upper

    async def fetch_upper(self) -> Timestamp:
        """The newest upper: one round trip."""
        return (await self._machine.fetch()).upper

    async def compare_and_append(
        self, batches: Sequence[tuple[Batch, Timestamp | None]], lower: Timestamp, upper: Timestamp
    ) -> None:
        """Append batches (each with the time of its chunks that have none) and move the upper from
        `lower` to `upper`: one round trip on a fresh cache, creating the shard if need be. Raises
        UpperMismatchError if the upper is another."""
        await self._machine.apply(
            CompareAndAppend(
                writer=self._id,
                token=uuid.uuid4().hex,
                lower=lower,
                upper=upper,
                batches=tuple(
                    ShardBatch(0, lower, upper, MIN_TIMESTAMP, batch, ts)
                    for batch, ts in batches
                    if batch.parts
                ),
                expires_at=self._clock() + LEASE_US,
                schema=self._schema,
            )
        )

    async def expire(self) -> None:
        """Forget this writer in the shard's state."""
        await self._machine.apply(ExpireWriter(self._id))


class CriticalSince:
    """The since environmentd keeps for a shard; it survives its process and is taken over by the
    next epoch."""

    def __init__(self, machine: Machine, reader: str, opaque: int, since: Timestamp) -> None:
        self._machine = machine
        self._reader = reader
        self._opaque = opaque
        self.since = since

    async def downgrade(self, since: Timestamp) -> Timestamp:
        """Allow compaction to `since`; answers the shard's since. Raises RefusedError if another
        epoch owns it."""
        command = DowngradeCritical(self._reader, self._opaque, since)
        self.since = max(self.since, since)
        return await self._machine.apply(command)


class LeasedReader:
    """Holds a shard's since, and the blobs of its present state, for as long as it is renewed."""

    def __init__(
        self, machine: Machine, location: PersistLocation, state: ShardState, clock: Clock
    ) -> None:
        self._machine = machine
        self._location = location
        self._clock = clock
        self._id = ""
        self._renew_at = 0
        self.state = state

    async def register(self) -> None:
        """Take the lease: one round trip. `state` is the one that is held."""
        self._id = f"r{uuid.uuid4().hex}"
        now = self._clock()
        await self._machine.apply(RegisterLeased(self._id, now + LEASE_US))
        self._renew_at = now + LEASE_US // 3
        self.state = self._machine.state

    async def renew(self, since: Timestamp | None = None) -> None:
        """Prolong the lease. Raises RefusedError if it has expired."""
        now = self._clock()
        await self._machine.apply(HeartbeatLeased(self._id, now + LEASE_US, since))
        self._renew_at = now + LEASE_US // 3

    async def renew_if_due(self) -> None:
        """`renew`, if a third of the lease is over."""
        if self._clock() >= self._renew_at:
            await self.renew()

    async def snapshot(self, as_of: Timestamp) -> AsyncGenerator[UpdateChunk, None]:
        """The updates of the held state through `as_of`, which must be below its upper."""
        check_since(self.state, as_of)
        async for chunk in read_state(self._location.blob, self.state, as_of):
            yield chunk
            await self.renew_if_due()

    async def expire(self) -> None:
        """Give the lease up; if that fails it runs out by itself."""
        try:
            await self._machine.apply(ExpireLeased((self._id,)))
        except StorageError:
            return


async def open_writer(
    location: PersistLocation,
    shard: ShardId,
    schema: bytes | None = None,
    *,
    clock: Clock = system_clock,
) -> Writer:
    """A writer on the newest state: one round trip. The shard learns `schema` with its first
    append."""
    machine = Machine(shard, location.consensus)
    await machine.fetch()
    return Writer(machine, location, schema, clock)


async def open_critical_since(
    location: PersistLocation,
    shard: ShardId,
    opaque: int,
    *,
    reader: str = CONTROLLER_READER,
    since: Timestamp = MIN_TIMESTAMP,
    is_new: bool = False,
) -> CriticalSince:
    """Register `reader` under the owner's epoch `opaque`, or take it over from a lower one. A shard
    that is new is created whole by this: one round trip."""
    machine = Machine(shard, location.consensus)
    if not is_new:
        await machine.fetch()
    held = await machine.apply(RegisterCritical(reader, opaque, since))
    return CriticalSince(machine, reader, opaque, held)


async def open_shard(
    location: PersistLocation, shard: ShardId, epoch: int, since: Timestamp
) -> ShardState:
    """The state of a shard that replicas write directly, created with `since` if there is none:
    they never create one themselves, so that none comes back after it was finalized. Raises
    RefusedError for a tombstone."""
    machine = Machine(shard, location.consensus)
    state = await machine.fetch()
    if not machine.exists or state.is_tombstone:
        await machine.apply(RegisterCritical(CONTROLLER_READER, epoch, since))
    return machine.state


async def open_leased_reader(
    location: PersistLocation, shard: ShardId, *, clock: Clock = system_clock
) -> LeasedReader:
    """A reader that holds the newest state: two round trips."""
    machine = Machine(shard, location.consensus)
    reader = LeasedReader(machine, location, await machine.fetch(), clock)
    await reader.register()
    return reader


async def snapshot(
    location: PersistLocation, shard: ShardId, as_of: Timestamp
) -> AsyncIterator[UpdateChunk]:
    """The updates through `as_of`, unprotected by any lease. Raises SinceError,
    MissingPartError."""
    state = await Machine(shard, location.consensus).fetch()
    check_since(state, as_of)
    async for chunk in read_state(location.blob, state, as_of):
        yield chunk


async def listen(
    location: PersistLocation,
    shard: ShardId,
    as_of: Timestamp,
    *,
    wake: asyncio.Event | None = None,
) -> AsyncIterator[tuple[list[UpdateChunk], Timestamp]]:
    """Updates after `as_of`: each item has those below the new upper that came since the last item,
    and that upper. Looks again when `wake` is set, and every `LISTEN_POLL_S`. The caller holds the
    since at its last upper - 1."""
    machine = Machine(shard, location.consensus)
    seen = as_of
    while True:
        state = await machine.fetch()
        if state.upper > seen + 1:
            check_since(state, seen)
            through = Timestamp(state.upper - 1)
            chunks: list[UpdateChunk] = []
            for batch in state.batches:
                if batch.upper <= seen + 1:
                    continue
                for part in batch.batch.parts:
                    chunk = select(await read_part(location.blob, part), batch.ts, seen, through)
                    if chunk.rows:
                        chunks.append(chunk)
            seen = through
            yield chunks, state.upper
        await _wait(wake)


async def finalize_shard(location: PersistLocation, shard: ShardId) -> None:
    """Destroy a shard: tombstone, blobs, log. May be repeated after a crash at any point. For a
    data shard of the txn-wal wait first until its forgetting is tidied."""
    machine = Machine(shard, location.consensus)
    await machine.fetch()
    if machine.exists:
        try:
            await machine.apply(BecomeTombstone())
        except RefusedError:
            await machine.fetch()
    await delete_all_parts(location.blob, shard)
    if machine.exists:
        await location.consensus.remove(shard)


async def _wait(wake: asyncio.Event | None) -> None:
    if wake is None:
        await asyncio.sleep(LISTEN_POLL_S)
        return
    try:
        async with asyncio.timeout(LISTEN_POLL_S):
            await wake.wait()
    except TimeoutError:
        return
    wake.clear()
