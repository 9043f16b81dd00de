"""The environment's commit point, as persist sees it: one atomic step that appends to the txns
shard and moves the timestamp oracle.

Declared here, in the lowest package that names it; `oracle.commit_point` implements it, since the
step needs both tables.
"""

from typing import Protocol

import msgspec

from core.ids import ShardId, Timestamp


class CommitProposal(msgspec.Struct, frozen=True):
    """Append `data` at `seqno` = the head's + 1 and move write_ts and read_ts to `ts`; also the
    time of the last catalog change if `is_catalog_change`. `data` embeds `ts` and a nonce."""

    shard: ShardId
    expected_seqno: int | None
    seqno: int
    ts: Timestamp
    data: bytes
    is_catalog_change: bool = False


class Committed(msgspec.Struct, frozen=True):
    """Everything happened."""


class CommitRejected(msgspec.Struct, frozen=True):
    """Nothing happened, and this proposal never will. `seqno` is the head now, `write_ts` the
    oracle's; a proposal must expect the former and be greater than the latter."""

    seqno: int | None
    write_ts: Timestamp


CommitOutcome = Committed | CommitRejected


class CommitPoint(Protocol):
    """Raises FencedError, DeterminateError (nothing happened) or IndeterminateError (settle it by
    proposing the same bytes again: an own success found in the log is answered `Committed`)."""

    async def commit(self, proposal: CommitProposal) -> CommitOutcome: ...

    async def write_ts(self) -> Timestamp:
        """The oracle's newest write timestamp: a floor for the next proposal."""
        ...
