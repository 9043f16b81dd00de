"""The environment's commit point: appending to the txns shard and moving the oracle as one step.

Where consensus and the oracle share a database, ONE statement, one round trip, does everything or
nothing: it locks the fence row, moves the oracle row if its write_ts is behind the proposal, moves
the shard's head if it is the expected one, and stores the entry. A chained CTE alone would keep its
first effects when a later part changed nothing, so a part that changed nothing makes a cast fail,
and the statement with it; the cast's text says which.

Elsewhere the same takes three steps (`ThreeStepCommitPoint`); a crash between them leaves an oracle
behind the txns shard, which `TxnsWriter.open` mends before anybody reads.
"""

from typing import Final

from core.ids import Timestamp
from oracle.metrics import OracleOp
from oracle.oracle import TimestampOracle
from oracle.postgres import timeline_key
from persist.commit_point import CommitOutcome, CommitProposal, CommitRejected, Committed
from persist.consensus import CompareAndSet, Consensus, Fence
from persist.metrics import external_op
from persist.postgres_consensus import FENCED_CTE, fenced_error
from persist.postgres_pool import AbortedError, PostgresPool

_MOVE_ORACLE: Final = """
timed AS (
  UPDATE timestamp_oracle SET write_ts = $4::bigint, read_ts = $4::bigint,
         catalog_ts = CASE WHEN $5::bool THEN $4::bigint ELSE catalog_ts END
   WHERE timeline = $3 AND write_ts < $4::bigint AND EXISTS (SELECT 1 FROM fenced) RETURNING 1
)"""
_STORE: Final = """
stored AS (
  INSERT INTO consensus (shard, sequence_number, data)
  SELECT $6::text, $7::bigint, $8::bytea FROM moved RETURNING 1
)
SELECT CAST(CASE WHEN (SELECT count(*) FROM stored) = 1 THEN '1' ELSE
       'headwater:' || (SELECT count(*) FROM fenced) END AS bigint)"""
_COMMIT: Final = f"""
WITH {FENCED_CTE}, {_MOVE_ORACLE}, moved AS (
  UPDATE consensus_head SET sequence_number = $7::bigint
   WHERE shard = $6 AND sequence_number = $9 AND EXISTS (SELECT 1 FROM timed) RETURNING 1
), {_STORE}"""
_COMMIT_FIRST: Final = f"""
WITH {FENCED_CTE}, {_MOVE_ORACLE}, moved AS (
  INSERT INTO consensus_head (shard, sequence_number)
  SELECT $6::text, $7::bigint FROM timed ON CONFLICT (shard) DO NOTHING RETURNING 1
), {_STORE}"""
# Whether the very bytes are in the log, where the head is, and the oracle's time: one snapshot.
_STANDING: Final = """
SELECT EXISTS (SELECT 1 FROM consensus
                WHERE shard = $1 AND sequence_number = $2 AND data = $3),
       (SELECT sequence_number FROM consensus_head WHERE shard = $1),
       (SELECT write_ts::bigint FROM timestamp_oracle WHERE timeline = $4)"""


class PostgresCommitPoint:
    """Implements `CommitPoint` in one statement. `pool` should be its own: a commit must not wait
    for a connection."""

    def __init__(self, pool: PostgresPool, fence: Fence) -> None:
        self._pool = pool
        self._fence = fence
        self._timeline = timeline_key(fence)
        self._op = OracleOp("commit")

    async def commit(self, proposal: CommitProposal) -> CommitOutcome:
        fence = self._fence
        arguments: list[object] = [
            fence.environment,
            fence.epoch,
            self._timeline,
            proposal.ts,
            proposal.is_catalog_change,
            proposal.shard,
            proposal.seqno,
            proposal.data,
        ]
        query = _COMMIT_FIRST
        if proposal.expected_seqno is not None:
            query = _COMMIT
            arguments.append(proposal.expected_seqno)
        try:
            with self._op.timed(), external_op("commit"):
                await self._pool.write(query, *arguments)
        except AbortedError as error:
            if "headwater:" not in error.message:
                raise
            is_fenced = "headwater:0" in error.message
        else:
            return Committed()
        return await self._standing(proposal, is_fenced)

    async def write_ts(self) -> Timestamp:
        rows = await self._pool.read(
            "SELECT write_ts::bigint FROM timestamp_oracle WHERE timeline = $1", self._timeline
        )
        return Timestamp(rows[0][0])

    async def _standing(self, proposal: CommitProposal, is_fenced: bool) -> CommitOutcome:
        with external_op("commit_standing"):
            rows = await self._pool.read(
                _STANDING, proposal.shard, proposal.seqno, proposal.data, self._timeline
            )
        is_stored, seqno, write_ts = rows[0]
        if is_stored:
            return Committed()  # the success of an earlier attempt whose answer was lost
        if is_fenced:
            raise fenced_error(self._fence)
        return CommitRejected(seqno, Timestamp(write_ts))


class ThreeStepCommitPoint:
    """Implements `CommitPoint` for an oracle and a consensus that share nothing: check the time,
    set the head, apply the time. Only one committer may propose, which the fence sees to."""

    def __init__(self, consensus: Consensus, oracle: TimestampOracle) -> None:
        self._consensus = consensus
        self._oracle = oracle

    async def commit(self, proposal: CommitProposal) -> CommitOutcome:
        if await self._is_stored(proposal):
            return await self._finish(proposal)
        write_ts = await self._oracle.peek_write_ts()
        change = CompareAndSet(
            proposal.shard, proposal.expected_seqno, proposal.seqno, proposal.data
        )
        if write_ts < proposal.ts and await self._consensus.compare_and_set(change):
            return await self._finish(proposal)
        if await self._is_stored(proposal):
            return await self._finish(proposal)
        head = await self._consensus.head(proposal.shard)
        return CommitRejected(None if head is None else head.seqno, write_ts)

    async def write_ts(self) -> Timestamp:
        return await self._oracle.peek_write_ts()

    async def _finish(self, proposal: CommitProposal) -> CommitOutcome:
        await self._oracle.apply_write(proposal.ts, is_catalog_change=proposal.is_catalog_change)
        return Committed()

    async def _is_stored(self, proposal: CommitProposal) -> bool:
        entries = await self._consensus.scan(proposal.shard, proposal.seqno, 1)
        return any(
            entry.seqno == proposal.seqno and entry.data == proposal.data for entry in entries
        )
