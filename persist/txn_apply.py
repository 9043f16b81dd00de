"""What follows a commit, in the background: applying to data shards, compaction, garbage
collection.

Applying is idempotent and in time order: a data shard's upper tells which commits it has. Many
commits to one shard become one append; the appends of several shards become one statement. Nothing
here is proportional to the number of collections, only to those written to.
"""

import asyncio
import contextlib
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from core.clock import Clock
from core.errors import DeterminateError, FencedError, IndeterminateError
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp, next_timestamp
from core.retry import Backoff
from persist.batches import Batch, UpdateChunk, decode_chunk, part_prefix, store_chunk
from persist.location import PersistLocation
from persist.machine import Machine, RefusedError, UpperMismatchError, apply_together
from persist.metrics import TXN_OP_SECONDS, UNAPPLIED_COMMITS, Timed
from persist.pacing import Pacer
from persist.shard_state import CompareAndAppend, ShardBatch, ShardState
from persist.txns_state import CommitRecord, PendingWrite, TxnsState

APPLY_INTERVAL_S: Final = 0.1
APPLY_LIMIT_BYTES: Final = 1024 * 1024
APPLY_LIMIT_COMMITS: Final = 4_096
APPLY_LIMIT_WRITES: Final = 8_192
SHARDS_PER_STATEMENT: Final = 16
MAX_MACHINES: Final = 512
RETRY_DEADLINE_S: Final = 3_600.0
WRITER_NAME: Final = "txns"

_log: Final = structlog.get_logger(__name__)


class MachineCache:
    """The machines of recently used shards. Dropping one is always safe."""

    def __init__(self, location: PersistLocation) -> None:
        self._location = location
        self._machines: OrderedDict[ShardId, Machine] = OrderedDict()

    async def get(self, shard: ShardId) -> Machine:
        """The shard's machine; its state is fetched when it is new here."""
        machine = self._machines.get(shard)
        if machine is None:
            machine = Machine(shard, self._location.consensus)
            await machine.fetch()
            machine = self._machines.setdefault(shard, machine)
            if len(self._machines) > MAX_MACHINES:
                self._machines.popitem(last=False)
        self._machines.move_to_end(shard)
        return machine

    def forget(self, shard: ShardId) -> None:
        self._machines.pop(shard, None)


class Applier:
    """Copies commits into their data shards. `applied_through`: every commit up to it is there."""

    def __init__(
        self,
        location: PersistLocation,
        state: TxnsState,
        machines: MachineCache,
        epoch: int,
        clock: Clock,
        on_append: Callable[[ShardId], None],
    ) -> None:
        self.applied_through = state.tidied_through
        self._location = location
        self._state = state
        self._machines = machines
        self._epoch = epoch
        self._clock = clock
        self._on_append = on_append
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._pending_bytes = 0
        self._waiting: list[tuple[Timestamp, asyncio.Future[None]]] = []

    def notice(self, record: CommitRecord) -> None:
        """A commit was made."""
        self._pending_bytes += sum(write.batch.size_bytes for write in record.writes)
        self._wake.set()
        if self._pending_bytes > APPLY_LIMIT_BYTES:
            self._hurry.set()

    async def wait_applied(self, ts: Timestamp) -> None:
        """Until `applied_through` >= `ts`; there must be a commit or tick at or past `ts`."""
        if self.applied_through >= ts:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ts, future))
        self._hurry.set()
        self._wake.set()
        await future

    async def run(self) -> None:
        """Apply until cancelled. Raises FencedError."""
        backoff = Backoff(RETRY_DEADLINE_S)
        self._wake.set()
        while True:
            await self._wake.wait()
            await self._gather_more()
            self._wake.clear()
            self._hurry.clear()
            try:
                await self._apply_all()
                backoff = Backoff(RETRY_DEADLINE_S)
            except FencedError:
                raise
            except (DeterminateError, IndeterminateError) as error:
                _log.warning("apply_failed", error=str(error), attempt=backoff.attempts)
                self._wake.set()
                await backoff.wait()

    async def _gather_more(self) -> None:
        """Let commits pile up for one interval, unless there is much to do or somebody waits."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(APPLY_INTERVAL_S):
                await self._hurry.wait()

    async def _apply_all(self) -> None:
        while True:
            commits, is_all = self._next_commits()
            through = Timestamp(self._state.upper - 1) if is_all else commits[-1].ts
            if commits:
                with Timed(TXN_OP_SECONDS, "apply"):
                    await self._apply_commits(commits)
            self.applied_through = max(self.applied_through, through)
            UNAPPLIED_COMMITS.set(
                sum(commit.ts > self.applied_through for commit in self._state.commits())
            )
            self._answer_waiting()
            if is_all:
                return

    def _next_commits(self) -> tuple[list[CommitRecord], bool]:
        """The oldest commits not applied, within the limits, and whether these are all."""
        taken: list[CommitRecord] = []
        size = writes = 0
        self._pending_bytes = 0
        for commit in self._state.commits():
            if commit.ts <= self.applied_through:
                continue
            if (
                len(taken) >= APPLY_LIMIT_COMMITS
                or writes > APPLY_LIMIT_WRITES
                or size > APPLY_LIMIT_BYTES
            ):
                return taken, False
            taken.append(commit)
            writes += len(commit.writes)
            size += sum(write.batch.inline_bytes for write in commit.writes)
        return taken, True

    async def _apply_commits(self, commits: Sequence[CommitRecord]) -> None:
        writes: dict[ShardId, list[PendingWrite]] = {}
        # All commits not yet tidied, for a later one may forget a shard that these write to.
        forgotten = {shard for commit in self._state.commits() for shard in commit.forget}
        for commit in commits:
            for write in commit.writes:
                pending = PendingWrite(commit.ts, write.batch)
                writes.setdefault(write.shard, []).append(pending)
        shards = list(writes)
        for begin in range(0, len(shards), SHARDS_PER_STATEMENT):
            group = shards[begin : begin + SHARDS_PER_STATEMENT]
            await self._apply_group({shard: writes[shard] for shard in group}, forgotten)
        for commit in commits:
            for shard in commit.forget:
                self._machines.forget(shard)

    async def _apply_group(
        self, writes: dict[ShardId, list[PendingWrite]], forgotten: set[ShardId]
    ) -> None:
        machines = await asyncio.gather(*(self._machines.get(shard) for shard in writes))
        commands: dict[ShardId, CompareAndAppend] = {}
        for machine in machines:
            if machine.shard in forgotten and machine.exists and machine.state.is_tombstone:
                continue  # finalized: nobody reads it any more
            command = await self._append(machine.shard, machine.state, writes[machine.shard])
            if command is not None:
                commands[machine.shard] = command
        chosen = [machine for machine in machines if machine.shard in commands]
        is_mixed = len({machine.exists for machine in chosen}) > 1
        together = [(machine, commands[machine.shard]) for machine in chosen]
        if (
            len(chosen) == 1
            or is_mixed
            or not await apply_together(self._location.consensus, together)
        ):
            for machine in chosen:
                await self._append_alone(machine, commands[machine.shard], writes[machine.shard])
        for machine in chosen:
            self._on_append(machine.shard)

    async def _append_alone(
        self, machine: Machine, command: CompareAndAppend, writes: list[PendingWrite]
    ) -> None:
        try:
            await machine.apply(command)
        except UpperMismatchError:
            # The cached state was older than the shard: decide again which commits are missing.
            await machine.fetch()
            again = await self._append(machine.shard, machine.state, writes)
            if again is not None:
                await machine.apply(again)
        except RefusedError as error:
            _log.error("apply_refused", shard=machine.shard, error=str(error))
            raise

    async def _append(
        self, shard: ShardId, state: ShardState, writes: Iterable[PendingWrite]
    ) -> CompareAndAppend | None:
        """The append of those commits that `state` does not have; None if it has all."""
        missing = [write for write in writes if write.ts >= state.upper]
        if not missing:
            return None
        batches: list[ShardBatch] = []
        inline = UpdateChunk([], [], [])
        pacer = Pacer()
        for write in missing:
            await pacer.pause()
            _add_inline(inline, write)
            stored = tuple(part for part in write.batch.parts if part.key is not None)
            if stored:
                count = sum(part.update_count for part in stored)
                batches.append(_shard_batch(Batch(stored, count), write.ts, write.ts))
        if inline.rows:
            chunk = UpdateChunk(inline.rows, inline.diffs, inline.times)
            batch = await store_chunk(self._location.blob, part_prefix(shard, self._epoch), chunk)
            times = inline.times
            assert isinstance(times, list)
            batches.append(_shard_batch(batch, Timestamp(times[0]), Timestamp(times[-1])))
        return CompareAndAppend(
            writer=WRITER_NAME,
            token=uuid.uuid4().hex,
            lower=state.upper,
            upper=next_timestamp(missing[-1].ts),
            batches=tuple(batches),
            expires_at=0,
        )

    def _answer_waiting(self) -> None:
        still: list[tuple[Timestamp, asyncio.Future[None]]] = []
        for ts, future in self._waiting:
            if ts > self.applied_through:
                still.append((ts, future))
            elif not future.done():
                future.set_result(None)
        self._waiting = still


def _add_inline(merged: UpdateChunk, write: PendingWrite) -> None:
    assert isinstance(merged.diffs, list) and isinstance(merged.times, list)
    for part in write.batch.parts:
        if part.inline is None:
            continue
        chunk = decode_chunk(part.inline)
        count = len(chunk.rows)
        merged.rows.extend(chunk.rows)
        diffs = chunk.diffs
        merged.diffs.extend([diffs] * count if isinstance(diffs, int) else diffs)
        merged.times.extend([write.ts] * count)


def _shard_batch(batch: Batch, first: Timestamp, last: Timestamp) -> ShardBatch:
    ts = first if first == last else None
    return ShardBatch(0, first, next_timestamp(last), MIN_TIMESTAMP, batch, ts)
