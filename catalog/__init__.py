"""The immutable catalog value, its durable form in a shard, and the built-in relations."""
