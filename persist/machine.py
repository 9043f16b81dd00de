"""One shard as a process sees it: a cached state, moved by commands through compare-and-set.

A command on a fresh cached state costs exactly one round trip. On a mismatch the entries since are
fetched and the command is decided again, a bounded number of times. Now and then an entry carries
the whole state before it, and the log is truncated below, so that opening a shard reads a bounded
log.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from typing import Final

import msgspec

from core.errors import DeterminateError, IndeterminateError
from core.ids import ShardId, Timestamp
from core.retry import Backoff
from persist.consensus import CompareAndSet, Consensus, VersionedData, settle_compare_and_set
from persist.metrics import CAS_MISMATCHES, COMMAND_SECONDS, Timed
from persist.shard_state import (
    STATE_VERSION,
    Accepted,
    Command,
    Rejected,
    ShardState,
    StateDiff,
    UpperMismatch,
    apply_diff,
    transition,
)

ENTRIES_PER_ROLLUP: Final = 32
CONTENTION_DEADLINE_S: Final = 60.0
SCAN_PAGE: Final = 1_000


class ShardEntry(msgspec.Struct, frozen=True, array_like=True):
    """One entry of a shard's log. `base` is the whole state before it."""

    nonce: bytes
    diff: StateDiff
    base: ShardState | None = None


class UpperMismatchError(DeterminateError):
    """An append expected another upper; `upper` is the shard's."""

    def __init__(self, upper: Timestamp) -> None:
        super().__init__(f"the shard's upper is {upper}")
        self.upper = upper


class RefusedError(DeterminateError):
    """The shard can never accept the command."""


class Prepared(msgspec.Struct, frozen=True):
    """A command decided on the cached state: what to set, and the state and answer if that
    works."""

    change: CompareAndSet
    state: ShardState
    result: Timestamp
    has_base: bool


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(ShardEntry)


class Machine:
    """See the module docstring. Commands of one machine run one at a time."""

    def __init__(self, shard: ShardId, consensus: Consensus) -> None:
        self.shard = shard
        self.state = ShardState()
        self._consensus = consensus
        self.lock = asyncio.Lock()  # held by whoever prepares and accepts a change
        self._entries_since_base = 0

    @property
    def exists(self) -> bool:
        """Whether the shard had an entry when last looked at."""
        return self.state.seqno > 0

    async def fetch(self) -> ShardState:
        """Bring the cached state up to date: one round trip unless very much has changed. A shard
        that does not exist has the empty state at seqno 0."""
        while True:
            entries = await self._consensus.scan(self.shard, self.state.seqno + 1, SCAN_PAGE)
            for entry in entries:
                self._receive(entry)
            if len(entries) < SCAN_PAGE:
                return self.state

    async def fetch_moved(self) -> ShardState:
        """`fetch`, after a compare-and-set that found another head. Raises RefusedError if there is
        none: the shard was finalized, and nothing may bring it back."""
        seqno = self.state.seqno
        state = await self.fetch()
        if seqno and state.seqno == seqno and await self._consensus.head(self.shard) is None:
            raise RefusedError(f"shard {self.shard} is gone")
        return state

    async def apply(self, command: Command) -> Timestamp:
        """Run a command to its end. Raises UpperMismatchError, RefusedError or StorageError."""
        name = type(command).__name__
        with Timed(COMMAND_SECONDS, name):
            async with self.lock:
                return await self._apply(command, name)

    async def _apply(self, command: Command, name: str) -> Timestamp:
        backoff = Backoff(CONTENTION_DEADLINE_S)
        is_fresh = False
        while True:
            prepared = self.prepare(command)
            if isinstance(prepared, Accepted):
                return prepared.result
            if not isinstance(prepared, Prepared):
                if is_fresh:
                    raise rejection_error(prepared)
                await self.fetch()
                is_fresh = True
                continue
            if await settle_compare_and_set(self._consensus, [prepared.change]):
                await self.accept(prepared)
                return prepared.result
            CAS_MISMATCHES.labels(name).inc()
            if backoff.is_exhausted:
                raise DeterminateError(f"shard {self.shard} is too contended")
            if backoff.attempts:
                await backoff.wait()
            backoff.attempts += 1
            await self.fetch_moved()
            is_fresh = True

    def prepare(self, command: Command) -> Prepared | Accepted | Rejected:
        """Decide `command` on the cached state. Accepted: there is nothing to write. Whoever sets
        the change by other means (several shards at once) holds `lock` from here to `accept`."""
        outcome = transition(self.state, command)
        if not isinstance(outcome, Accepted) or outcome.diff is None:
            return outcome
        state = self.state
        has_base = self._entries_since_base >= ENTRIES_PER_ROLLUP
        entry = ShardEntry(uuid.uuid4().bytes, outcome.diff, state if has_base else None)
        seqno = state.seqno + 1
        change = CompareAndSet(self.shard, state.seqno or None, seqno, _ENCODER.encode(entry))
        return Prepared(change, apply_diff(state, seqno, outcome.diff), outcome.result, has_base)

    async def accept(self, prepared: Prepared) -> None:
        """Take over the state of a change that succeeded, and truncate below a rollup."""
        self.state = prepared.state
        self._entries_since_base = 1 if prepared.has_base else self._entries_since_base + 1
        if prepared.has_base:
            try:
                await self._consensus.truncate(self.shard, prepared.state.seqno)
            except (DeterminateError, IndeterminateError):
                return  # the next rollup truncates more

    def _follows(self, entry: VersionedData) -> bool:
        return entry.seqno == self.state.seqno + 1

    def _forget(self) -> None:
        self.state = ShardState()
        self._entries_since_base = 0

    def _receive(self, data: VersionedData) -> None:
        if data.seqno <= self.state.seqno:
            return  # a command of our own landed while the scan was under way
        entry = _DECODER.decode(data.data)
        if not self._follows(data):
            if entry.base is None:
                raise DeterminateError(f"the log of shard {self.shard} has a gap")
            self.state = entry.base
        if self.state.version > STATE_VERSION:
            raise DeterminateError(f"shard {self.shard} was written by a newer version")
        self.state = apply_diff(self.state, data.seqno, entry.diff)
        self._entries_since_base = 1 if entry.base is not None else self._entries_since_base + 1


async def apply_together(consensus: Consensus, commands: Sequence[tuple[Machine, Command]]) -> bool:
    """Run commands on distinct shards, all or nothing: one round trip, on the cached states as they
    are. False: nothing happened, since one state does not accept its command or is out of date.

    Either all of the shards exist or none does. Raises FencedError, DeterminateError,
    IndeterminateError.
    """
    async with contextlib.AsyncExitStack() as stack:
        prepared: list[tuple[Machine, Prepared]] = []
        for machine, command in sorted(commands, key=lambda item: item[0].shard):
            await stack.enter_async_context(machine.lock)
            outcome = machine.prepare(command)
            if not isinstance(outcome, Prepared):
                return False
            prepared.append((machine, outcome))
        changes = [outcome.change for _, outcome in prepared]
        if changes and not await settle_compare_and_set(consensus, changes):
            CAS_MISMATCHES.labels("together").inc()
            return False
        await asyncio.gather(*(machine.accept(outcome) for machine, outcome in prepared))
    return True


def rejection_error(rejected: Rejected) -> DeterminateError:
    """The error for a rejected command."""
    if isinstance(rejected, UpperMismatch):
        return UpperMismatchError(rejected.upper)
    return RefusedError(rejected.reason)
