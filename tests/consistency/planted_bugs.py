"""A server with a bug in it, so that the checkers of histories can be seen to fail.

`python -m tests.consistency.planted_bugs BUG …` is `headwater …` with one class put in the place of
the real one it extends. Each is a mistake that somebody could make; the product knows none of them.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Final

import coordinator.committer
import headwater.boot
from controllers.compute_controller import ComputeClusters
from coordinator.commit_batch import CommitBatch
from coordinator.requests import WriteRequest
from core import errors
from core.errors import IndeterminateError, SqlError
from headwater.cli import main
from oracle.batching import BatchingOracle
from oracle.commit_point import PostgresCommitPoint
from oracle.oracle import ReadTimestamp
from persist.commit_point import CommitOutcome, CommitProposal, CommitRejected, Committed
from persist.txn_wal import TxnsWriter
from persist.txns_state import CommitRecord, TxnsEntry, TxnsPush, decode_entry, encode_entry

USES_OF_A_READ_TIME: Final = 20
BOOT_COMMITS: Final = 5  # what opens a new environment, which reads its own writes
WRITE_DELAY_S: Final = 0.05
WRITES_PER_LOST_PUSH: Final = 20


class CachingOracle(BatchingOracle):
    """Answers most calls with a time from an earlier one."""

    _answer: ReadTimestamp | None = None
    _uses = 0

    async def read_ts(self) -> ReadTimestamp:
        if self._answer is None or self._uses % USES_OF_A_READ_TIME == 0:
            self._answer = await super().read_ts()
        self._uses += 1
        return self._answer


class BlindlyRetryingWriter(TxnsWriter):
    """Takes a lost answer for a failure: reads the log and commits again, at a new time."""

    async def _settle(self, proposal: CommitProposal) -> CommitOutcome:
        try:
            outcome = await self._commit_point.commit(proposal)
        except IndeterminateError:
            outcome = CommitRejected(None, proposal.ts)
        if isinstance(outcome, Committed):
            return outcome
        for found in await self._location.consensus.scan(self._shard, proposal.seqno):
            self._succeed(found.seqno, decode_entry(found.data), found.data)
        return CommitRejected(proposal.expected_seqno, outcome.write_ts)


class HastyCommitPoint(PostgresCommitPoint):
    """Calls a commit done, so that it is applied and answered, and makes it durable later."""

    _writing: "asyncio.Task[CommitOutcome] | None" = None

    async def commit(self, proposal: CommitProposal) -> CommitOutcome:
        if proposal.seqno <= BOOT_COMMITS:
            return await super().commit(proposal)
        if self._writing is not None:
            await self._writing
        self._writing = asyncio.create_task(self._write(proposal), name="late write")
        return Committed()

    async def _write(self, proposal: CommitProposal) -> CommitOutcome:
        await asyncio.sleep(WRITE_DELAY_S)
        return await super().commit(proposal)


class TrustingBatch(CommitBatch):
    """Trusts the catalog that a write was planned on: acknowledges it though its table is gone."""

    def add_write(self, request: WriteRequest) -> None:
        try:
            super().add_write(request)
        except SqlError as error:
            if error.sqlstate != errors.UNDEFINED_TABLE:
                raise
            self.request_count += 1


class LonelyBatch(CommitBatch):
    """Validates what a member read against earlier commits, not against members before it."""

    def _check_reads(self, *arguments: object) -> None:
        written, self.written = self.written, set()
        try:
            super()._check_reads(*arguments)  # type: ignore[arg-type]
        finally:
            self.written = written


class LeakyClusters(ComputeClusters):
    """Now and then no replica hears of a commit, nor of the gap where it should be."""

    _writes = 0

    def push(self, push: TxnsPush) -> None:
        entry = decode_entry(push.data)
        self._writes += bool(entry.record.writes)
        if entry.record.writes and self._writes % WRITES_PER_LOST_PUSH == 0:
            empty = TxnsEntry(entry.nonce, CommitRecord(entry.record.ts), entry.tidied_through)
            push = TxnsPush(push.seqno, encode_entry(empty))
        super().push(push)


def _in_boot(name: str, planted: type) -> Callable[[], None]:
    return lambda: setattr(headwater.boot, name, planted)


def _in_committer(name: str, planted: type) -> Callable[[], None]:
    return lambda: setattr(coordinator.committer, name, planted)


PLANTED_BUGS: Final[dict[str, Callable[[], None]]] = {
    "cached_read_ts": _in_boot("BatchingOracle", CachingOracle),
    "blind_retry": _in_boot("TxnsWriter", BlindlyRetryingWriter),
    "apply_before_durable": _in_boot("PostgresCommitPoint", HastyCommitPoint),
    "skipped_revalidation": _in_committer("CommitBatch", TrustingBatch),
    "unvalidated_batch_mate": _in_committer("CommitBatch", LonelyBatch),
    "lost_push": _in_boot("ComputeClusters", LeakyClusters),
}

if __name__ == "__main__":
    PLANTED_BUGS[sys.argv.pop(1)]()
    main(prog_name="headwater")
