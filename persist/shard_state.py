"""The state of one shard and its pure state machine.

`transition(state, command)` answers `Accepted(diff, result)` or `Rejected`; `apply_diff(state,
diff)` is the only way to a new state, for whoever made the diff and whoever reads it. No I/O, no
clock: times come in with the commands. States are immutable values.

Invariants: `upper` and `since` never regress; `since` <= every reader's since; a batch's updates
have times < `upper`; a blob dropped from the batches stands in `garbage` until it is deleted, so
that none is lost by a crash; a tombstone stays one.

Deliberately absent: schemas are opaque bytes, rows are never looked at.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from core.ids import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp
from persist.batches import Batch

STATE_VERSION: Final = 1
MAX_READERS: Final = 1_000
MAX_WRITERS: Final = 1_000
_BATCH_IDS_PER_DIFF: Final = 1 << 16
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class CriticalReader(msgspec.Struct, frozen=True, array_like=True):
    """A since that only its owner moves and that never expires. `opaque` is the owner's epoch."""

    since: Timestamp
    opaque: int


class LeasedReader(msgspec.Struct, frozen=True, array_like=True):
    """A since and a state (`seqno`) whose blobs are kept until `expires_at`, in clock
    microseconds."""

    since: Timestamp
    seqno: int
    expires_at: int


class WriterRecord(msgspec.Struct, frozen=True, array_like=True):
    """The token of a writer's newest append: it tells the writer's own success after a lost
    answer."""

    token: str
    expires_at: int


class ShardBatch(msgspec.Struct, frozen=True, array_like=True):
    """Updates with times in [`lower`, `upper`). Chunks without times have time `ts`. Times <=
    `since` were advanced to it and consolidated. `is_sorted`: by row and time across all parts."""

    id: int
    lower: Timestamp
    upper: Timestamp
    since: Timestamp
    batch: Batch
    ts: Timestamp | None = None
    is_sorted: bool = False

    @property
    def retraction_count(self) -> int:
        return sum(part.retraction_count for part in self.batch.parts)


class Garbage(msgspec.Struct, frozen=True, array_like=True):
    """A blob no state from `seqno` on refers to."""

    seqno: int
    key: str


class ShardState(msgspec.Struct, frozen=True, array_like=True):
    """The state after the entry at `seqno`; 0: before any."""

    seqno: int = 0
    version: int = STATE_VERSION
    schema: bytes | None = None
    upper: Timestamp = MIN_TIMESTAMP
    since: Timestamp = MIN_TIMESTAMP
    critical: dict[str, CriticalReader] = {}
    leased: dict[str, LeasedReader] = {}
    writers: dict[str, WriterRecord] = {}
    batches: tuple[ShardBatch, ...] = ()
    garbage: tuple[Garbage, ...] = ()
    is_tombstone: bool = False

    @property
    def keys(self) -> set[str]:
        """Every blob this state knows of, garbage included."""
        live = {key for batch in self.batches for key in batch.batch.keys}
        return live | {item.key for item in self.garbage}

    @property
    def leased_since(self) -> Timestamp:
        """The least since any leased reader holds."""
        return min((reader.since for reader in self.leased.values()), default=MAX_TIMESTAMP)

    @property
    def collectible(self) -> tuple[Garbage, ...]:
        """Garbage that no leased reader may still read."""
        if not self.leased:
            return self.garbage
        held = min(reader.seqno for reader in self.leased.values())
        return tuple(item for item in self.garbage if item.seqno <= held)


class StateDiff(msgspec.Struct, frozen=True, array_like=True):
    """What one entry changes; None and empty mean unchanged. A reader or writer set to None
    goes."""

    version: int | None = None
    schema: bytes | None = None
    upper: Timestamp | None = None
    since: Timestamp | None = None
    critical: dict[str, CriticalReader | None] = {}
    leased: dict[str, LeasedReader | None] = {}
    writers: dict[str, WriterRecord | None] = {}
    added: tuple[ShardBatch, ...] = ()
    removed: tuple[int, ...] = ()
    collected: tuple[str, ...] = ()
    is_tombstone: bool = False


class RegisterCritical(msgspec.Struct, frozen=True):
    """Register `reader`, or take it over if its opaque is lower. Answers the reader's since."""

    reader: str
    opaque: int
    since: Timestamp = MIN_TIMESTAMP


class DowngradeCritical(msgspec.Struct, frozen=True):
    """Compare the reader's opaque, which must not be higher than the command's, and move its since
    forward; a reader that does not exist is registered. Answers the shard's since."""

    reader: str
    opaque: int
    since: Timestamp


class ExpireCritical(msgspec.Struct, frozen=True):
    reader: str
    opaque: int


class RegisterLeased(msgspec.Struct, frozen=True):
    """Hold the shard's present since and blobs. Answers that since."""

    reader: str
    expires_at: int


class HeartbeatLeased(msgspec.Struct, frozen=True):
    """Prolong a lease, and move its since forward if `since` is given."""

    reader: str
    expires_at: int
    since: Timestamp | None = None


class ExpireLeased(msgspec.Struct, frozen=True):
    """Give up leases; unknown ones are ignored."""

    readers: tuple[str, ...]


class RegisterWriter(msgspec.Struct, frozen=True):
    writer: str
    expires_at: int


class ExpireWriter(msgspec.Struct, frozen=True):
    writer: str


class CompareAndAppend(msgspec.Struct, frozen=True):
    """Append batches (their ids are assigned here) if the upper is `lower`; moves it to `upper`.
    `downgrade` moves a critical since in the same entry. Repeating a token that succeeded is
    accepted without effect only by its writer's next append, see `AlreadyAppended`."""

    writer: str
    token: str
    lower: Timestamp
    upper: Timestamp
    batches: tuple[ShardBatch, ...] = ()
    expires_at: int = 0
    schema: bytes | None = None
    downgrade: DowngradeCritical | None = None


class UpgradeVersion(msgspec.Struct, frozen=True):
    version: int


class Merge(msgspec.Struct, frozen=True):
    """Replace batches by an equivalent of them at times >= the shard's since, which `downgrade` may
    move first."""

    removed: tuple[int, ...]
    added: tuple[ShardBatch, ...]
    downgrade: DowngradeCritical | None = None


class CollectGarbage(msgspec.Struct, frozen=True):
    """Forget garbage whose blobs have been deleted."""

    keys: tuple[str, ...]


class BecomeTombstone(msgspec.Struct, frozen=True):
    """Drop all contents, readers and writers for good."""


Command = (
    RegisterCritical
    | DowngradeCritical
    | ExpireCritical
    | RegisterLeased
    | HeartbeatLeased
    | ExpireLeased
    | RegisterWriter
    | ExpireWriter
    | CompareAndAppend
    | UpgradeVersion
    | Merge
    | CollectGarbage
    | BecomeTombstone
)


class Accepted(msgspec.Struct, frozen=True):
    """`result`: what the command answers. `diff` None: accepted without any change."""

    diff: StateDiff | None
    result: Timestamp = MIN_TIMESTAMP


class UpperMismatch(msgspec.Struct, frozen=True):
    """The shard's upper is another one."""

    upper: Timestamp


class Refused(msgspec.Struct, frozen=True):
    """The command can never be accepted in this state."""

    reason: str


Rejected = UpperMismatch | Refused


def apply_diff(state: ShardState, seqno: int, diff: StateDiff) -> ShardState:
    """The state after `diff` at `seqno`."""
    removed = set(diff.removed)
    batches = tuple(batch for batch in state.batches if batch.id not in removed) + diff.added
    garbage = state.garbage
    if removed:
        live = {key for batch in batches for key in batch.batch.keys}
        garbage += tuple(
            Garbage(seqno, key)
            for batch in state.batches
            if batch.id in removed
            for key in batch.batch.keys
            if key not in live
        )
    if diff.collected:
        collected = set(diff.collected)
        garbage = tuple(item for item in garbage if item.key not in collected)
    return ShardState(
        seqno=seqno,
        version=state.version if diff.version is None else diff.version,
        schema=state.schema if diff.schema is None else diff.schema,
        upper=state.upper if diff.upper is None else diff.upper,
        since=state.since if diff.since is None else diff.since,
        critical=_patched(state.critical, diff.critical),
        leased=_patched(state.leased, diff.leased),
        writers=_patched(state.writers, diff.writers),
        batches=batches,
        garbage=garbage,
        is_tombstone=state.is_tombstone or diff.is_tombstone,
    )


def transition(state: ShardState, command: Command) -> Accepted | Rejected:
    """What `command` does in `state`."""
    if state.is_tombstone and not isinstance(command, CollectGarbage | BecomeTombstone):
        return Refused("the shard is a tombstone")
    match command:
        case RegisterCritical():
            return _register_critical(state, command)
        case DowngradeCritical():
            return _downgrade_critical(state, command)
        case ExpireCritical():
            held = state.critical.get(command.reader)
            if held is None or held.opaque > command.opaque:
                return Refused("the critical since belongs to another owner")
            return _with_readers(state, StateDiff(critical={command.reader: None}))
        case RegisterLeased() | HeartbeatLeased() | ExpireLeased():
            return _lease(state, command)
        case RegisterWriter():
            if len(state.writers) >= MAX_WRITERS and command.writer not in state.writers:
                return Refused("too many writers")
            record = WriterRecord("", command.expires_at)
            return Accepted(StateDiff(writers={command.writer: record}), state.upper)
        case ExpireWriter():
            if command.writer not in state.writers:
                return Accepted(None)
            return Accepted(StateDiff(writers={command.writer: None}))
        case CompareAndAppend():
            return _compare_and_append(state, command)
        case UpgradeVersion():
            if command.version < state.version:
                return Refused(f"the shard was written by a newer version, {state.version}")
            if command.version == state.version:
                return Accepted(None)
            return Accepted(StateDiff(version=command.version))
        case Merge():
            return _merge(state, command)
        case CollectGarbage():
            known = {item.key for item in state.garbage}
            keys = tuple(key for key in command.keys if key in known)
            return Accepted(StateDiff(collected=keys) if keys else None)
        case BecomeTombstone():
            return _become_tombstone(state)


def _register_critical(state: ShardState, command: RegisterCritical) -> Accepted | Rejected:
    held = state.critical.get(command.reader)
    if held is not None and held.opaque > command.opaque:
        return Refused("a higher epoch owns the critical since")
    since = max(state.since, command.since, held.since if held is not None else MIN_TIMESTAMP)
    if held == CriticalReader(since, command.opaque):
        return Accepted(None, since)
    if held is None and len(state.critical) >= MAX_READERS:
        return Refused("too many critical readers")
    reader = CriticalReader(since, command.opaque)
    return _with_readers(state, StateDiff(critical={command.reader: reader}), since)


def _downgrade_critical(state: ShardState, command: DowngradeCritical) -> Accepted | Rejected:
    held = state.critical.get(command.reader)
    if held is not None:
        if held.opaque > command.opaque:
            return Refused("a higher epoch owns the critical since")
        if command.since <= held.since:
            return Accepted(None, state.since)
    elif len(state.critical) >= MAX_READERS:
        return Refused("too many critical readers")
    reader = CriticalReader(max(command.since, state.since), command.opaque)
    return _with_readers(state, StateDiff(critical={command.reader: reader}))


def _lease(
    state: ShardState, command: RegisterLeased | HeartbeatLeased | ExpireLeased
) -> Accepted | Rejected:
    match command:
        case RegisterLeased():
            if len(state.leased) >= MAX_READERS:
                return Refused("too many leased readers")
            lease = LeasedReader(state.since, state.seqno, command.expires_at)
            return Accepted(StateDiff(leased={command.reader: lease}), state.since)
        case HeartbeatLeased():
            held = state.leased.get(command.reader)
            if held is None:
                return Refused("the lease has expired")
            since = held.since if command.since is None else max(held.since, command.since)
            lease = LeasedReader(since, held.seqno, command.expires_at)
            return _with_readers(state, StateDiff(leased={command.reader: lease}))
        case ExpireLeased():
            gone: dict[str, LeasedReader | None] = {
                reader: None for reader in command.readers if reader in state.leased
            }
            return _with_readers(state, StateDiff(leased=gone)) if gone else Accepted(None)


def _compare_and_append(state: ShardState, command: CompareAndAppend) -> Accepted | Rejected:
    record = state.writers.get(command.writer)
    if record is not None and record.token == command.token:
        return Accepted(None, state.upper)
    if state.upper != command.lower:
        return UpperMismatch(state.upper)
    if command.upper <= command.lower and command.batches:
        return Refused("an append with updates must move the upper")
    for batch in command.batches:
        if batch.lower < command.lower or batch.upper > command.upper:
            return Refused("a batch reaches outside of its append")
    writers: dict[str, WriterRecord | None] = {
        command.writer: WriterRecord(command.token, command.expires_at)
    }
    diff = StateDiff(
        upper=max(command.upper, state.upper),
        schema=command.schema if command.schema != state.schema else None,
        writers=writers,
        added=_with_ids(state, command.batches),
    )
    if command.downgrade is None:
        return Accepted(diff, max(command.upper, state.upper))
    merged = _with_downgrade(state, command.downgrade, diff)
    if isinstance(merged, StateDiff):
        return Accepted(merged, max(command.upper, state.upper))
    return merged


def _merge(state: ShardState, command: Merge) -> Accepted | Rejected:
    present = {batch.id for batch in state.batches}
    if not present.issuperset(command.removed):
        return Refused("a batch to merge is gone")
    diff = StateDiff(removed=command.removed, added=_with_ids(state, command.added))
    if command.downgrade is not None:
        merged = _with_downgrade(state, command.downgrade, diff)
        if not isinstance(merged, StateDiff):
            return merged
        diff = merged
    since = state.since if diff.since is None else diff.since
    if any(batch.since > since for batch in command.added):
        return Refused("a merge advanced times past the since")
    return Accepted(diff, since)


def _become_tombstone(state: ShardState) -> Accepted:
    if state.is_tombstone:
        return Accepted(None)
    return Accepted(
        StateDiff(
            critical=dict.fromkeys(state.critical),
            leased=dict.fromkeys(state.leased),
            writers=dict.fromkeys(state.writers),
            removed=tuple(batch.id for batch in state.batches),
            is_tombstone=True,
        )
    )


def _with_downgrade(
    state: ShardState, downgrade: DowngradeCritical, diff: StateDiff
) -> StateDiff | Rejected:
    outcome = _downgrade_critical(state, downgrade)
    if not isinstance(outcome, Accepted):
        return outcome
    if outcome.diff is None:
        return diff
    return msgspec.structs.replace(diff, since=outcome.diff.since, critical=outcome.diff.critical)


def _with_readers(state: ShardState, diff: StateDiff, result: Timestamp | None = None) -> Accepted:
    """Accept a change of readers: the shard's since becomes the least of theirs. Without readers
    it stays where it is."""
    critical = _patched(state.critical, diff.critical).values()
    leased = _patched(state.leased, diff.leased).values()
    sinces = [reader.since for reader in (*critical, *leased)]
    since = max(state.since, min(sinces)) if sinces else state.since
    if since != state.since:
        diff = msgspec.structs.replace(diff, since=since)
    return Accepted(diff, since if result is None else result)


def _with_ids(state: ShardState, batches: tuple[ShardBatch, ...]) -> tuple[ShardBatch, ...]:
    first = (state.seqno + 1) * _BATCH_IDS_PER_DIFF
    assert len(batches) < _BATCH_IDS_PER_DIFF
    return tuple(
        msgspec.structs.replace(batch, id=first + index) for index, batch in enumerate(batches)
    )


Value = Any


def _patched(values: dict[str, Value], patch: Mapping[str, Value | None]) -> dict[str, Value]:
    if not patch:
        return values
    merged = {**values, **patch}
    return {key: value for key, value in merged.items() if value is not None}
