"""Connections to the metadata database."""


class PostgresPool:
    """A bounded set of asyncpg connections, opened when needed."""
