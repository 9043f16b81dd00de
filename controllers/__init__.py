"""Storage and compute controllers, read holds, the shard pool and the orchestrator."""
