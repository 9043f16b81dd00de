"""The timestamp oracle: protocol, PostgreSQL implementation, batching and an in-memory double."""
