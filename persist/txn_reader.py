"""A reader of the txns shard and of its data shards, for any process.

Fed by pushes (one consensus entry each), by fetching where a push is missing. A data shard's snapshot
is its physical state topped up from commits not yet applied, so a read never waits for apply.
"""

from collections.abc import AsyncIterator, Callable

from core.ids import ShardId, Timestamp
from persist.batches import UpdateChunk
from persist.location import PersistLocation
from persist.txns_state import CommitListener, TxnsPush


class TxnsReader:
    """`upper`: commits below it are known here. One event loop; not thread-safe."""

    upper: Timestamp

    @classmethod
    async def open(cls, location: PersistLocation, txns_shard: ShardId) -> "TxnsReader":
        """Read the txns shard from consensus. An absent shard has upper 0."""
        raise NotImplementedError

    async def catch_up(self) -> None:
        """Fetch the newest entries (one round trip when there are few)."""
        raise NotImplementedError

    def apply_push(self, push: TxnsPush) -> None:
        """Take one pushed entry. Old ones are ignored; behind a gap a fetch is started."""
        raise NotImplementedError

    async def wait_past(self, ts: Timestamp) -> None:
        """Until `upper` > `ts`; fetches by itself when no push comes."""
        raise NotImplementedError

    def add_listener(
        self, on_commit: CommitListener, on_reset: Callable[[], None] | None = None
    ) -> None:
        """Call `on_commit` for each new commit in order. `on_reset` is called instead when entries
        were truncated before this reader saw them: what was built from commits must be built anew
        from snapshots."""
        raise NotImplementedError

    def snapshot(self, shard: ShardId, as_of: Timestamp) -> AsyncIterator[UpdateChunk]:
        """The updates of `shard` through `as_of` (which must be < `upper`), not consolidated;
        `times` of the chunks is None: every update counts. A shard never written is empty.

        Parts are protected by a lease while the iteration lasts: close the iterator. Raises
        SinceError if the shard was compacted past `as_of`, MissingPartError if the lease was lost.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Stop background fetches."""
        raise NotImplementedError
