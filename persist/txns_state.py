"""The txns shard: its entries and its state, a machine without I/O shared by writer and readers.

The txns shard is the environment's only commit point. Each entry commits, at one timestamp, writes
to any number of data shards (batch pointers or small inline batches), registers and forgets data
shards, and *tidies*: it says through which time commits have been applied to their data shards, so
that they need not be remembered. Its upper is the logical upper of every registered shard.

An entry may carry the whole state *before* it (`base`), from which the state can be rebuilt without
any earlier entry; the log is truncated below such entries.

Invariants: entries apply in seqno order without gaps; timestamps strictly increase; a commit is
dropped only once tidied.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from core.ids import MIN_TIMESTAMP, ShardId, Timestamp, next_timestamp
from persist.batches import Batch


class TxnWrite(msgspec.Struct, frozen=True, array_like=True):
    """A batch for one data shard; chunks without times take the commit's."""

    shard: ShardId
    batch: Batch


class CommitRecord(msgspec.Struct, frozen=True, array_like=True):
    """What one commit did. A record without anything only moves time forward."""

    ts: Timestamp
    writes: tuple[TxnWrite, ...] = ()
    register: tuple[ShardId, ...] = ()
    forget: tuple[ShardId, ...] = ()
    is_catalog_change: bool = False


class TxnsPush(msgspec.Struct, frozen=True, array_like=True):
    """One entry of the txns shard, for replicas: the bytes of consensus at `seqno`."""

    seqno: int
    data: bytes


class TxnsBase(msgspec.Struct, frozen=True, array_like=True):
    """The state of the txns shard, whole: `commits` are those not yet tidied."""

    upper: Timestamp
    tidied_through: Timestamp
    catalog_ts: Timestamp
    registered: dict[ShardId, Timestamp]
    commits: tuple[CommitRecord, ...]


class TxnsEntry(msgspec.Struct, frozen=True, array_like=True):
    """One entry. `nonce` is unique to this proposal, so that its bytes are."""

    nonce: bytes
    record: CommitRecord
    tidied_through: Timestamp
    base: TxnsBase | None = None


class TxnsGapError(Exception):
    """An entry is not the next one; the caller must fetch what lies between."""


_ENTRY_ENCODER: Final = msgspec.msgpack.Encoder()
_ENTRY_DECODER: Final = msgspec.msgpack.Decoder(TxnsEntry)


def encode_entry(entry: TxnsEntry) -> bytes:
    return _ENTRY_ENCODER.encode(entry)


def decode_entry(data: bytes) -> TxnsEntry:
    """Raises msgspec.DecodeError if `data` is no entry."""
    return _ENTRY_DECODER.decode(data)


class PendingWrite(msgspec.Struct, frozen=True, array_like=True):
    """A write to one data shard that is committed and not yet tidied."""

    ts: Timestamp
    batch: Batch


class TxnsState:
    """The state after the entry at `seqno` (0: no entry yet)."""

    def __init__(self) -> None:
        self.seqno = 0
        self.upper = MIN_TIMESTAMP
        self.tidied_through = MIN_TIMESTAMP
        self.catalog_ts = MIN_TIMESTAMP
        self.registered: dict[ShardId, Timestamp] = {}
        self._commits: deque[CommitRecord] = deque()
        self._pending: dict[ShardId, deque[PendingWrite]] = {}

    def apply(self, seqno: int, entry: TxnsEntry) -> None:
        """Move to `seqno`. Raises TxnsGapError unless it is the next seqno or carries a base."""
        if seqno != self.seqno + 1:
            if entry.base is None or seqno <= self.seqno:
                raise TxnsGapError(f"entry {seqno} does not follow {self.seqno}")
            self._restore(entry.base)
        self.seqno = seqno
        self._apply_record(entry.record)
        self._tidy(entry.tidied_through)

    def base(self) -> TxnsBase:
        """The whole state, for the `base` of the next entry."""
        return TxnsBase(
            upper=self.upper,
            tidied_through=self.tidied_through,
            catalog_ts=self.catalog_ts,
            registered=self.registered,
            commits=tuple(self._commits),
        )

    def commits(self) -> tuple[CommitRecord, ...]:
        """Commits not yet tidied that wrote, registered or forgot something, in order."""
        return tuple(self._commits)

    def pending(self, shard: ShardId) -> tuple[PendingWrite, ...]:
        """Writes to `shard` not yet tidied, in order; they may be applied already."""
        return tuple(self._pending.get(shard, ()))

    def referenced_keys(self) -> set[str]:
        """Every blob that commits not yet tidied refer to."""
        return {
            key for record in self._commits for write in record.writes for key in write.batch.keys
        }

    def _restore(self, base: TxnsBase) -> None:
        self.upper = base.upper
        self.tidied_through = base.tidied_through
        self.catalog_ts = base.catalog_ts
        self.registered = dict(base.registered)
        self._commits.clear()
        self._pending.clear()
        for record in base.commits:
            self._remember(record)

    def _apply_record(self, record: CommitRecord) -> None:
        assert record.ts >= self.upper, "timestamps of commits increase"
        for shard in record.register:
            self.registered[shard] = record.ts
        for shard in record.forget:
            self.registered.pop(shard, None)
        if record.writes or record.register or record.forget:
            self._remember(record)
        if record.is_catalog_change:
            self.catalog_ts = record.ts
        self.upper = next_timestamp(record.ts)

    def _remember(self, record: CommitRecord) -> None:
        self._commits.append(record)
        for write in record.writes:
            pending = PendingWrite(record.ts, write.batch)
            self._pending.setdefault(write.shard, deque()).append(pending)

    def _tidy(self, through: Timestamp) -> None:
        if through <= self.tidied_through:
            return
        self.tidied_through = through
        while self._commits and self._commits[0].ts <= through:
            for write in self._commits.popleft().writes:
                writes = self._pending[write.shard]
                writes.popleft()
                if not writes:
                    del self._pending[write.shard]


CommitListener = Callable[[CommitRecord], None]
PushListener = Callable[[TxnsPush, CommitRecord], None]
