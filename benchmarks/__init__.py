"""Benchmarks: each measures Headwater and a real PostgreSQL in the same run, on loopback."""
