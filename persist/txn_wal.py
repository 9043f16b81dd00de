"""The writer of the txns shard: environmentd's commit path.

One task (the committer) calls `commit`, one commit at a time; each commit is one round trip. Applying
commits to their data shards, tidying, compaction and garbage collection follow in the background
(`run_apply`), and no reader waits for them.
"""

from collections.abc import Callable, Sequence

from core.clock import Clock, system_clock
from core.ids import ShardId, Timestamp
from persist.commit_point import CommitPoint
from persist.consensus import Fence
from persist.location import PersistLocation
from persist.txns_state import PushListener, TxnWrite

SinceProvider = Callable[[ShardId], Timestamp]


class TxnsWriter:
    """Opened after the environment was claimed. `upper` is the txns shard's: reads below it are
    complete."""

    upper: Timestamp

    @classmethod
    async def open(
        cls,
        location: PersistLocation,
        txns_shard: ShardId,
        commit_point: CommitPoint,
        *,
        clock: Clock = system_clock,
    ) -> "TxnsWriter":
        """Read (or create) the txns shard and make the oracle's time pass its upper."""
        raise NotImplementedError

    async def commit(
        self,
        writes: Sequence[TxnWrite],
        *,
        register: Sequence[ShardId] = (),
        forget: Sequence[ShardId] = (),
        is_catalog_change: bool = False,
        not_before: Timestamp = Timestamp(0),
    ) -> Timestamp:
        """Commit everything at one new time >= `not_before` and return it; durable and visible to
        every later read. An empty commit only moves time forward.

        Raises FencedError; DeterminateError: nothing happened; IndeterminateError: the store stayed
        unreachable for minutes, the process must end.
        """
        raise NotImplementedError

    def add_listener(self, listener: PushListener) -> None:
        """Call `listener` synchronously after each commit known to have succeeded, in order, before
        `commit` returns."""
        raise NotImplementedError

    def set_since_provider(self, provider: SinceProvider) -> None:
        """How far a data shard's history may be compacted: asked when compaction has something to
        free, never per commit or tick. The answer must never pass a hold. Without one no since
        moves."""
        raise NotImplementedError

    async def run_apply(self) -> None:
        """Apply, tidy, compact and collect garbage until cancelled. Raises FencedError."""
        raise NotImplementedError

    async def wait_applied(self, ts: Timestamp) -> None:
        """Until every commit through `ts` is in its data shard."""
        raise NotImplementedError

    async def wait_tidied(self, ts: Timestamp) -> None:
        """Until it is durable that every commit through `ts` was applied: from then on a forgotten
        shard may be finalized."""
        raise NotImplementedError
