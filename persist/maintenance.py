"""Keeping data shards small: one task that merges batches, expires leases and deletes garbage, and
the blobs of staged batches that were given up.

A shard is looked at after an append to it, and again each `REVISIT_S` while something waits for
time: for the since to pass what could then be merged, for a lease to run out, for garbage to come
of age. One that other processes write directly is looked at no more often than that, and its since
stays below its upper, where whoever writes it resumes.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import structlog

from core.clock import Clock
from core.errors import DeterminateError, FencedError, IndeterminateError
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp
from persist.batches import MissingPartError, part_prefix
from persist.compaction import awaits_since, plan_merge, run_merge
from persist.garbage import DELETE_PAGE, collect_garbage, sweep_orphans
from persist.handles import CONTROLLER_READER
from persist.location import PersistLocation
from persist.machine import Machine, RefusedError
from persist.metrics import COMMAND_SECONDS, Timed
from persist.shard_state import DowngradeCritical, ExpireLeased
from persist.txn_apply import MachineCache
from persist.txns_state import TxnsState

REVISIT_S: Final = 1.0
GARBAGE_GRACE_US: Final = 30_000_000
MERGES_PER_VISIT: Final = 16
MAX_DISCARDED: Final = 100_000  # what is past it stays for the next boot's sweep

SinceProvider = Callable[[ShardId], Timestamp]

_log: Final = structlog.get_logger(__name__)


class Maintenance:
    """See the module docstring. `since_provider` is asked only when there is something to free."""

    def __init__(
        self,
        location: PersistLocation,
        state: TxnsState,
        machines: MachineCache,
        epoch: int,
        clock: Clock,
        garbage_grace_us: int = GARBAGE_GRACE_US,
    ) -> None:
        self.since_provider: SinceProvider = lambda shard: MIN_TIMESTAMP
        self._location = location
        self._state = state
        self._machines = machines
        self._epoch = epoch
        self._clock = clock
        self._garbage_grace_us = garbage_grace_us
        self._due: dict[ShardId, None] = {}
        self._later: dict[ShardId, None] = {}
        self._discarded: list[str] = []
        self._seen_garbage: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._revisit_at = 0.0

    def notice(self, shard: ShardId) -> None:
        """`shard` has changed."""
        self._due[shard] = None
        self._wake.set()

    def notice_written(self, shard: ShardId) -> None:
        """Another process has appended to `shard`, which is no data shard of the txns shard."""
        if not self._later:
            self._wake.set()
        self._later[shard] = None

    def discard(self, keys: Iterable[str]) -> None:
        """Delete these blobs, which no commit will ever refer to."""
        self._discarded.extend(keys)
        del self._discarded[MAX_DISCARDED:]
        self._wake.set()

    async def run(self) -> None:
        """Maintain until cancelled. Raises FencedError."""
        await self._sweep()
        while True:
            await self._wait()
            await self._delete_discarded()
            while self._due:
                shard = next(iter(self._due))
                del self._due[shard]
                try:
                    if not await self.visit(shard):
                        self._later[shard] = None
                except FencedError:
                    raise
                except RefusedError:  # it was finalized meanwhile: there is nothing to maintain
                    self._machines.forget(shard)
                except (DeterminateError, IndeterminateError) as error:
                    _log.warning("maintenance_failed", shard=shard, error=str(error))
                    self._machines.forget(shard)
                    self._later[shard] = None
                await asyncio.sleep(0)  # many visits find nothing to do and so never wait

    async def visit(self, shard: ShardId) -> bool:
        """Do what can be done for `shard` now; whether nothing waits for time."""
        machine = await self._machines.get(shard)
        if shard not in self._state.registered:
            await machine.fetch()
        if not machine.exists:
            return True
        for _ in range(MERGES_PER_VISIT):
            if not await self._merge(machine):
                break
        now = self._clock()
        overdue = tuple(
            name for name, lease in machine.state.leased.items() if lease.expires_at < now
        )
        if overdue:
            await machine.apply(ExpireLeased(overdue))
        await self._collect(machine, now)
        state = machine.state
        return not (state.garbage or state.leased or awaits_since(state))

    async def _merge(self, machine: Machine) -> bool:
        """Do one merge; whether there was one to do."""
        state = machine.state
        if state.is_tombstone:
            return False
        since = min(self.since_provider(machine.shard), state.leased_since)
        if machine.shard not in self._state.registered:
            since = min(since, Timestamp(max(state.upper - 1, MIN_TIMESTAMP)))
        plan = plan_merge(state, since)
        if plan is None:
            return False
        prefix = part_prefix(machine.shard, self._epoch)
        with Timed(COMMAND_SECONDS, "compaction"):
            try:
                merge = await run_merge(self._location.blob, plan, prefix)
            except MissingPartError:
                await machine.fetch()  # somebody else merged meanwhile
                return True
        if plan.since > state.since:
            downgrade = DowngradeCritical(CONTROLLER_READER, self._epoch, plan.since)
            merge = msgspec.structs.replace(merge, downgrade=downgrade)
        try:
            await machine.apply(merge)
        except RefusedError as error:
            _log.info("merge_refused", shard=machine.shard, error=str(error))
            old = state.keys
            new = [key for batch in merge.added for key in batch.batch.keys if key not in old]
            await self._location.blob.delete(new)
            await machine.fetch()
        return True

    async def _collect(self, machine: Machine, now: int) -> None:
        for item in machine.state.garbage:
            self._seen_garbage.setdefault(item.key, now)
        ripe = tuple(
            item
            for item in machine.state.collectible
            if now - self._seen_garbage[item.key] >= self._garbage_grace_us
        )
        if ripe:
            await collect_garbage(machine, self._location.blob, ripe)
            for item in ripe:
                self._seen_garbage.pop(item.key, None)

    async def _delete_discarded(self) -> None:
        while self._discarded:
            keys = self._discarded[:DELETE_PAGE]
            del self._discarded[:DELETE_PAGE]
            try:
                await self._location.blob.delete(keys)
            except (DeterminateError, IndeterminateError) as error:
                _log.warning("discard_failed", keys=len(keys), error=str(error))
                return  # the next boot sweeps them

    async def _sweep(self) -> None:
        try:
            deleted = await sweep_orphans(
                self._location.consensus,
                self._location.blob,
                self._epoch,
                self._state.referenced_keys(),
            )
            _log.info("orphans_swept", deleted=deleted)
        except FencedError:
            raise
        except (DeterminateError, IndeterminateError) as error:
            _log.warning("sweep_failed", error=str(error))  # the next boot sweeps again

    async def _wait(self) -> None:
        """Until a shard has changed, the time to look again has come, or blobs were given up."""
        while not self._due and not self._discarded:
            self._wake.clear()
            if not self._later:
                await self._wake.wait()
                self._revisit_at = time.monotonic() + REVISIT_S
                continue
            remaining = self._revisit_at - time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    await self._wake.wait()
            if time.monotonic() >= self._revisit_at:
                self._due.update(self._later)
                self._later.clear()
                self._revisit_at = time.monotonic() + REVISIT_S
