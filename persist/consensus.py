"""The consensus store: for each shard a log of entries, moved forward by compare-and-set.

Invariants every implementation keeps:

- A shard's log has one head; an entry is written only where the head is the expected one, and the
  write is atomic with that check at every isolation level of the store.
- Every write carries a `Fence` and is refused, in the same atomic step, once a higher epoch has
  been taken for that environment.
- `compare_and_set` answers only what is certain: True (it happened), False (it did not and this
  very call never will). Anything else raises `IndeterminateError`: the write may still land. It is
  settled by repeating it byte for byte (`settle_compare_and_set`), never by reading an old head.

Deliberately absent: sessions, notifications, multi-statement transactions.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from core.errors import DeterminateError, FencedError, IndeterminateError
from core.ids import ShardId
from core.retry import Backoff

MAX_ENTRY_BYTES: Final = 64 * 1024 * 1024
SCAN_LIMIT: Final = 10_000
SETTLE_DEADLINE_S: Final = 120.0


class Fence(msgspec.Struct, frozen=True):
    """Who writes: an environment and the epoch its writer holds."""

    environment: str
    epoch: int


class VersionedData(msgspec.Struct, frozen=True):
    """One entry of a shard's log."""

    seqno: int
    data: bytes


class CompareAndSet(msgspec.Struct, frozen=True):
    """Move the head of `shard` from `expected_seqno` (None: the shard must not exist) to `seqno`,
    which must be greater, and store `data` there."""

    shard: ShardId
    expected_seqno: int | None
    seqno: int
    data: bytes


class Consensus(Protocol):
    """See the module docstring. All methods raise `FencedError`, `DeterminateError` or
    `IndeterminateError` (reads only the first two kinds: a failed read did nothing)."""

    async def head(self, shard: ShardId) -> VersionedData | None:
        """The newest entry of `shard`; None if the shard does not exist."""
        ...

    async def compare_and_set(self, change: CompareAndSet) -> bool:
        """Append one entry. False: the head is not the expected one."""
        ...

    async def compare_and_set_many(self, changes: Sequence[CompareAndSet]) -> bool:
        """Append to several distinct shards, all or nothing, in one round trip. Either all changes
        create their shards or none does (ValueError otherwise)."""
        ...

    async def scan(
        self, shard: ShardId, from_seqno: int = 0, limit: int = SCAN_LIMIT
    ) -> list[VersionedData]:
        """Entries with seqno >= `from_seqno` in order, at most `limit`."""
        ...

    async def truncate(self, shard: ShardId, seqno: int) -> int:
        """Drop entries below `seqno`, which must not pass the head; how many went."""
        ...

    async def remove(self, shard: ShardId) -> None:
        """Drop a shard with all its entries. Only for shards nobody will write again."""
        ...

    async def list_shards(self, after: ShardId | None = None, limit: int = 1000) -> list[ShardId]:
        """A page of shard ids in order, beginning past `after`."""
        ...


async def settle_compare_and_set(consensus: Consensus, changes: Sequence[CompareAndSet]) -> bool:
    """Append all or nothing, never answering "perhaps": an indeterminate outcome is settled by
    repeating the same bytes at the same seqnos until an answer is determinate. The data must hold a
    nonce, so that finding it in the log proves our own success.

    Once an attempt was indeterminate, a later DeterminateError settles nothing: it speaks of the
    repetition only. Raises IndeterminateError only when the store stays unreachable for
    `SETTLE_DEADLINE_S`.
    """
    backoff = Backoff(SETTLE_DEADLINE_S)
    is_repetition = False
    while True:
        try:
            if len(changes) == 1:
                is_set = await consensus.compare_and_set(changes[0])
            else:
                is_set = await consensus.compare_and_set_many(changes)
            return is_set or (is_repetition and await _is_stored(consensus, changes[0]))
        except FencedError:
            if is_repetition and await _is_stored(consensus, changes[0]):
                return True
            raise
        except DeterminateError:
            if not is_repetition:
                raise
            if backoff.is_exhausted:
                raise IndeterminateError("the outcome of a write could not be settled") from None
        except IndeterminateError:
            if backoff.is_exhausted:
                raise
            is_repetition = True
        await backoff.wait()


async def _is_stored(consensus: Consensus, change: CompareAndSet) -> bool:
    entries = await consensus.scan(change.shard, change.seqno, 1)
    return any(entry.seqno == change.seqno and entry.data == change.data for entry in entries)
