"""A reader of the txns shard and of its data shards, for any process.

Fed by pushes (one consensus entry each), by fetching where a push is missing. A data shard's
snapshot is its physical state topped up from commits not yet applied, so a read never waits for
apply.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Final

import structlog

from core.clock import Clock, system_clock
from core.errors import DeterminateError, IndeterminateError
from core.ids import ShardId, Timestamp
from core.retry import Backoff
from persist.batches import UpdateChunk
from persist.handles import LeasedReader
from persist.location import PersistLocation
from persist.machine import Machine
from persist.metrics import TXN_OP_SECONDS, Timed
from persist.snapshot import check_since, read_state, read_through
from persist.txns_state import (
    CommitListener,
    CommitRecord,
    PendingWrite,
    TxnsEntry,
    TxnsPush,
    TxnsState,
    decode_entry,
)

SCAN_PAGE: Final = 1_000
PUSH_PATIENCE_S: Final = 0.1
WAIT_DEADLINE_S: Final = 120.0

ResetListener = Callable[[], None]

_log: Final = structlog.get_logger(__name__)


class TxnsReader:
    """`upper`: commits below it are known here. One event loop; not thread-safe."""

    def __init__(self, location: PersistLocation, txns_shard: ShardId, clock: Clock) -> None:
        self._location = location
        self._shard = txns_shard
        self._clock = clock
        self._state = TxnsState()
        self._listeners: list[tuple[CommitListener, ResetListener | None]] = []
        self._advanced = asyncio.Event()
        self._fetching: asyncio.Task[None] | None = None
        self._fetch_lock = asyncio.Lock()

    @property
    def upper(self) -> Timestamp:
        return self._state.upper

    @property
    def catalog_ts(self) -> Timestamp:
        """The time of the newest catalog change known here."""
        return self._state.catalog_ts

    def is_registered(self, shard: ShardId) -> bool:
        return shard in self._state.registered

    def pending(self, shard: ShardId) -> tuple[PendingWrite, ...]:
        """Writes to `shard` not yet tidied, in order; they may be applied already."""
        return self._state.pending(shard)

    @classmethod
    async def open(
        cls, location: PersistLocation, txns_shard: ShardId, *, clock: Clock = system_clock
    ) -> "TxnsReader":
        """Read the txns shard from consensus. An absent shard has upper 0."""
        reader = cls(location, txns_shard, clock)
        await reader.catch_up()
        return reader

    async def catch_up(self) -> None:
        """Fetch the newest entries (one round trip when there are few). What was committed before
        this call is known here after it."""
        with Timed(TXN_OP_SECONDS, "catch_up"):
            async with self._fetch_lock:
                while True:
                    entries = await self._location.consensus.scan(
                        self._shard, self._state.seqno + 1, SCAN_PAGE
                    )
                    for entry in entries:
                        self._receive(entry.seqno, entry.data)
                    if len(entries) < SCAN_PAGE:
                        return

    def apply_push(self, push: TxnsPush) -> None:
        """Take one pushed entry. Old ones are ignored; behind a gap a fetch is started."""
        if push.seqno <= self._state.seqno:
            return
        if push.seqno == self._state.seqno + 1:
            self._receive(push.seqno, push.data)
        elif self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch(), name="fetch missed txns pushes")

    async def wait_past(self, ts: Timestamp) -> None:
        """Until `upper` > `ts`; fetches by itself when no push comes. Raises DeterminateError after
        `WAIT_DEADLINE_S`."""
        backoff = Backoff(WAIT_DEADLINE_S)
        while self._state.upper <= ts:
            self._advanced.clear()
            try:
                async with asyncio.timeout(PUSH_PATIENCE_S):
                    await self._advanced.wait()
            except TimeoutError:
                if backoff.is_exhausted:
                    raise DeterminateError(f"no commit past {ts} became known") from None
                await self.catch_up()

    def add_listener(
        self, on_commit: CommitListener, on_reset: ResetListener | None = None
    ) -> None:
        """Call `on_commit` for each new commit in order. `on_reset` is called instead when entries
        were truncated before this reader saw them: what was built from commits must be built anew
        from snapshots."""
        self._listeners.append((on_commit, on_reset))

    async def snapshot(self, shard: ShardId, as_of: Timestamp) -> AsyncGenerator[UpdateChunk, None]:
        """The updates of `shard` through `as_of` (which must be < `upper`), not consolidated;
        `times` of the chunks is None: every update counts. A shard never written is empty.

        Parts are protected by a lease while the iteration lasts: close the iterator
        (`contextlib.aclosing`). Raises SinceError if the shard was compacted past `as_of`,
        MissingPartError if the lease was lost or a commit was compacted away meanwhile: start
        again.
        """
        if as_of >= self._state.upper:
            raise DeterminateError(f"cannot read at {as_of}: the upper is {self._state.upper}")
        # Taken first: whatever is tidied later, and so missing from the list, was applied before
        # the state below is fetched.
        pending = self._state.pending(shard)
        machine = Machine(shard, self._location.consensus)
        state = await machine.fetch()
        check_since(state, as_of)
        lease: LeasedReader | None = None
        if any(batch.batch.keys for batch in state.batches):
            lease = LeasedReader(machine, self._location, state, self._clock)
            await lease.register()
            state = lease.state
        try:
            if lease is None:
                async for chunk in read_state(self._location.blob, state, as_of):
                    yield chunk
            else:
                async with contextlib.aclosing(lease.snapshot(as_of)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            for write in pending:
                if state.upper <= write.ts <= as_of:
                    blob = self._location.blob
                    async for chunk in read_through(blob, write.batch, write.ts, as_of):
                        yield chunk
        finally:
            if lease is not None:
                await lease.expire()

    async def close(self) -> None:
        """Stop background fetches."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _receive(self, seqno: int, data: bytes) -> None:
        if seqno <= self._state.seqno:
            return  # a push overtook the fetch
        entry = decode_entry(data)
        is_reset = seqno != self._state.seqno + 1
        before = self._state.upper
        self._state.apply(seqno, entry)
        if is_reset and before and self._missed_commits(before, entry):
            for _, on_reset in self._listeners:
                if on_reset is not None:
                    on_reset()
        elif is_reset and before:
            for commit in entry.base.commits if entry.base is not None else ():
                if commit.ts >= before:
                    self._tell(commit)
        self._tell(entry.record)
        self._advanced.set()

    def _missed_commits(self, upper: Timestamp, entry: TxnsEntry) -> bool:
        """Whether commits at or past `upper` may have been tidied away before we saw them."""
        return entry.base is None or entry.base.tidied_through >= upper

    def _tell(self, record: CommitRecord) -> None:
        for on_commit, _ in self._listeners:
            on_commit(record)

    async def _fetch(self) -> None:
        try:
            await self.catch_up()
        except (DeterminateError, IndeterminateError) as error:
            _log.warning("txns_fetch_failed", error=str(error))
        finally:
            self._fetching = None
