"""The writer of the txns shard: environmentd's commit path.

One task (the committer) calls `commit`, one commit at a time; each commit is one round trip.
Applying commits to their data shards, tidying, compaction and garbage collection follow in the
background (`run_apply`), and no reader waits for them.

A commit whose answer is lost is proposed again, byte for byte, until an answer is determinate. A
writer that could not settle a commit, or was cancelled in one, refuses every later one: nothing is
ever built on an unknown outcome.
"""

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

from core.clock import Clock, system_clock, wait_for_clock
from core.errors import DeterminateError, FencedError, IndeterminateError
from core.ids import MIN_TIMESTAMP, ShardId, Timestamp
from core.retry import Backoff
from persist.batches import Batch
from persist.commit_point import (
    CommitOutcome,
    CommitPoint,
    CommitProposal,
    CommitRejected,
)
from persist.consensus import MAX_ENTRY_BYTES, Consensus
from persist.location import PersistLocation
from persist.maintenance import GARBAGE_GRACE_US, Maintenance, SinceProvider
from persist.metrics import TXN_OP_SECONDS, Timed
from persist.txn_apply import Applier, MachineCache
from persist.txns_state import (
    CommitRecord,
    PushListener,
    TxnsEntry,
    TxnsPush,
    TxnsState,
    TxnWrite,
    decode_entry,
    encode_entry,
)

SETTLE_DEADLINE_S: Final = 120.0
ENTRIES_PER_BASE: Final = 1_000
LEAST_BYTES_PER_BASE: Final = 4 * 1024 * 1024
SCAN_PAGE: Final = 1_000
MAX_PROPOSALS: Final = 10


class TxnsWriter:
    """Opened after the environment was claimed. `upper` is the txns shard's: reads below it are
    complete."""

    def __init__(
        self,
        location: PersistLocation,
        txns_shard: ShardId,
        commit_point: CommitPoint,
        clock: Clock,
        state: TxnsState,
        garbage_grace_us: int,
    ) -> None:
        assert location.fence is not None, "the txns shard is written under an epoch only"
        self._location = location
        self._shard = txns_shard
        self._commit_point = commit_point
        self._clock = clock
        self._state = state
        self._floor = MIN_TIMESTAMP  # the oracle's write_ts as last seen
        self._broken: str | None = None
        self._nonce_prefix = uuid.uuid4().bytes
        self._proposals = 0
        self._entries_since_base = ENTRIES_PER_BASE  # the first commit carries a base
        self._bytes_since_base = 0
        self._base_bytes = 0
        self._base_seqno = 0
        self._truncate_below: int | None = None
        self._truncate = asyncio.Event()
        self._listeners: list[PushListener] = []
        self._tidy_waiting: list[tuple[Timestamp, asyncio.Future[None]]] = []
        epoch = location.fence.epoch
        machines = MachineCache(location)
        self._maintenance = Maintenance(location, state, machines, epoch, clock, garbage_grace_us)
        self._applier = Applier(location, state, machines, epoch, clock, self._maintenance.notice)

    @property
    def upper(self) -> Timestamp:
        return self._state.upper

    @property
    def registered(self) -> frozenset[ShardId]:
        """The data shards, as of `upper`."""
        return frozenset(self._state.registered)

    def is_registered(self, shard: ShardId) -> bool:
        return shard in self._state.registered

    @classmethod
    async def open(
        cls,
        location: PersistLocation,
        txns_shard: ShardId,
        commit_point: CommitPoint,
        *,
        clock: Clock = system_clock,
        garbage_grace_us: int = GARBAGE_GRACE_US,
    ) -> "TxnsWriter":
        """Read (or create) the txns shard and make the oracle's time pass its upper, so that an
        earlier process' commits are visible to every read. Raises FencedError."""
        state = await fetch_txns_state(location.consensus, txns_shard)
        writer = cls(location, txns_shard, commit_point, clock, state, garbage_grace_us)
        writer._floor = await commit_point.write_ts()
        await writer.commit(())
        return writer

    async def commit(
        self,
        writes: Sequence[TxnWrite],
        *,
        register: Sequence[ShardId] = (),
        forget: Sequence[ShardId] = (),
        is_catalog_change: bool = False,
        not_before: Timestamp = MIN_TIMESTAMP,
    ) -> Timestamp:
        """Commit everything at one new time >= `not_before` and return it; durable and visible to
        every later read. An empty commit only moves time forward. Writes go to registered shards,
        or to those this commit registers; one that forgets a shard may still write to it.

        Raises FencedError; DeterminateError: nothing happened; IndeterminateError: the store stayed
        unreachable for minutes, the process must end.
        """
        self._check(writes, register)
        with Timed(TXN_OP_SECONDS, "commit_at"):
            for _ in range(MAX_PROPOSALS):
                ts = Timestamp(max(self._clock(), self._state.upper, self._floor + 1, not_before))
                await wait_for_clock(ts, self._clock)
                record = CommitRecord(
                    ts, tuple(writes), tuple(register), tuple(forget), is_catalog_change
                )
                if await self._propose(record):
                    return ts
        raise DeterminateError("other users of the timestamp oracle kept overtaking the commit")

    def add_listener(self, listener: PushListener) -> None:
        """Call `listener` synchronously after each commit known to have succeeded, in order, before
        `commit` returns."""
        self._listeners.append(listener)

    def set_since_provider(self, provider: SinceProvider) -> None:
        """How far a data shard's history may be compacted: asked when compaction has something to
        free, never per commit or tick. The answer must never pass a hold. Without one no since
        moves."""
        self._maintenance.since_provider = provider

    def discard(self, batches: Iterable[Batch]) -> None:
        """Give up staged batches that were never handed to `commit`, or that it refused with
        DeterminateError: their blobs are deleted in the background."""
        keys = [key for batch in batches for key in batch.keys]
        if keys:
            self._maintenance.discard(keys)

    async def run_apply(self) -> None:
        """Apply, tidy, compact and collect garbage until cancelled. Raises FencedError (in an
        exception group)."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._applier.run(), name="txn-wal apply")
            group.create_task(self._maintenance.run(), name="txn-wal maintenance")
            group.create_task(self._run_truncate(), name="txn-wal truncation")

    async def wait_applied(self, ts: Timestamp) -> None:
        """Until every commit through `ts` is in its data shard (`run_apply` must be running)."""
        await self._applier.wait_applied(ts)

    async def wait_tidied(self, ts: Timestamp) -> None:
        """Until it is durable that every commit through `ts` was applied: from then on a forgotten
        shard may be finalized. Needs later commits, such as the committer's tick."""
        if self._state.tidied_through >= ts:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tidy_waiting.append((ts, future))
        await future

    def notice_written(self, shard: ShardId) -> None:
        """Another process has appended to `shard`, which is no data shard: keep it small too."""
        self._maintenance.notice_written(shard)

    async def maintain(self, shard: ShardId) -> None:
        """Compact `shard` and collect its garbage now, as far as the since and readers allow."""
        await self._maintenance.visit(shard)

    def _check(self, writes: Sequence[TxnWrite], register: Sequence[ShardId]) -> None:
        if self._broken is not None:
            raise IndeterminateError(self._broken)
        for write in writes:
            if write.shard not in self._state.registered and write.shard not in register:
                raise DeterminateError(f"shard {write.shard} is not registered")

    async def _propose(self, record: CommitRecord) -> bool:
        """One proposal, settled; False if another time must be chosen."""
        state = self._state
        is_base_due = self._entries_since_base >= ENTRIES_PER_BASE or (
            self._bytes_since_base > max(LEAST_BYTES_PER_BASE, 2 * self._base_bytes)
        )
        self._proposals += 1
        entry = TxnsEntry(
            nonce=self._nonce_prefix + self._proposals.to_bytes(8, "big"),
            record=record,
            tidied_through=self._applier.applied_through,
            base=state.base() if is_base_due and state.seqno else None,
        )
        data = encode_entry(entry)
        if len(data) > MAX_ENTRY_BYTES:
            raise DeterminateError(f"a commit of {len(data)} bytes is too large")
        seqno = state.seqno + 1
        proposal = CommitProposal(
            shard=self._shard,
            expected_seqno=state.seqno or None,
            seqno=seqno,
            ts=record.ts,
            data=data,
            is_catalog_change=record.is_catalog_change,
        )
        outcome = await self._settle(proposal)
        if isinstance(outcome, CommitRejected):
            self._floor = max(self._floor, outcome.write_ts)
            if outcome.seqno != proposal.expected_seqno:
                self._broken = "another writer moved the txns shard"
                raise FencedError(
                    f"another writer moved the txns shard to {outcome.seqno},"
                    f" expected {proposal.expected_seqno}"
                )
            return False
        self._succeed(seqno, entry, data)
        return True

    async def _settle(self, proposal: CommitProposal) -> CommitOutcome:
        backoff = Backoff(SETTLE_DEADLINE_S)
        is_repetition = False
        self._broken = "an earlier commit was interrupted before its outcome was known"
        while True:
            try:
                outcome = await self._commit_point.commit(proposal)
            except FencedError:
                self._broken = "the environment was taken over"
                raise
            except DeterminateError:
                if not is_repetition:
                    self._broken = None
                    raise
                if backoff.is_exhausted:
                    raise IndeterminateError("a commit could not be settled") from None
            except IndeterminateError:
                if backoff.is_exhausted:
                    raise
                is_repetition = True
            else:
                self._broken = None
                return outcome
            await backoff.wait()

    def _succeed(self, seqno: int, entry: TxnsEntry, data: bytes) -> None:
        self._state.apply(seqno, entry)
        self._entries_since_base += 1
        self._bytes_since_base += len(data)
        if entry.base is not None or seqno == 1:
            # The log keeps one older base, so that a reader that lags a little misses no commit.
            self._truncate_below, self._base_seqno = self._base_seqno or None, seqno
            self._entries_since_base, self._bytes_since_base = 0, 0
            self._base_bytes = len(data)
            self._truncate.set()
        push = TxnsPush(seqno, data)
        for listener in self._listeners:
            listener(push, entry.record)
        if entry.record.writes or entry.record.forget:
            self._applier.notice(entry.record)
        if self._tidy_waiting:
            self._answer_tidied()

    def _answer_tidied(self) -> None:
        still: list[tuple[Timestamp, asyncio.Future[None]]] = []
        for ts, future in self._tidy_waiting:
            if ts > self._state.tidied_through:
                still.append((ts, future))
            elif not future.done():
                future.set_result(None)
        self._tidy_waiting = still

    async def _run_truncate(self) -> None:
        while True:
            await self._truncate.wait()
            self._truncate.clear()
            if self._truncate_below is None:
                continue
            try:
                await self._location.consensus.truncate(self._shard, self._truncate_below)
            except FencedError:
                raise
            except (DeterminateError, IndeterminateError):
                continue  # the next base truncates more


async def fetch_txns_state(consensus: Consensus, shard: ShardId) -> TxnsState:
    """The newest state of the txns shard; seqno 0 if it does not exist."""
    state = TxnsState()
    while True:
        entries = await consensus.scan(shard, state.seqno + 1, SCAN_PAGE)
        for found in entries:
            state.apply(found.seqno, decode_entry(found.data))
        if len(entries) < SCAN_PAGE:
            return state
