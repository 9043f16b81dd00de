"""Durable shards: consensus and blob stores, the shard state machine, handles and txn-wal."""
