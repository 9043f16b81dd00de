"""Where new collections get their shards from."""

from core.ids import ShardId, new_shard_id


class ShardPool:
    """Gives out shards that nobody else has; never waits.

    A shard taken and never named by a commit has no durable state, so an abandoned one is nothing.
    """

    def take(self) -> ShardId:
        """A shard for a new collection."""
        return new_shard_id()
