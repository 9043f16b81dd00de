"""Blobs in a PostgreSQL table, next to consensus."""

from typing import Final

from core.errors import DeterminateError
from persist.blob import LIST_LIMIT, MAX_BLOB_BYTES
from persist.metrics import external_op
from persist.postgres_pool import PostgresPool

VACUUM_AFTER_DELETIONS: Final = 500

_GET: Final = "SELECT value FROM blob WHERE key = $1"
_SET: Final = "INSERT INTO blob (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING"
_DELETE: Final = "DELETE FROM blob WHERE key = ANY ($1::text[])"
_LIST: Final = """
SELECT key FROM blob WHERE key > $2 AND key >= $1 AND key < $3 ORDER BY key LIMIT $4"""
_PAST_ALL_KEYS: Final = "~"  # keys are made of letters, digits, - and /


class PostgresBlob:
    """Implements `Blob`."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool
        self._deletions = 0

    async def get(self, key: str) -> bytes | None:
        with external_op("blob_get"):
            rows = await self._pool.read(_GET, key)
        return bytes(rows[0][0]) if rows else None

    async def set(self, key: str, value: bytes) -> None:
        if len(value) > MAX_BLOB_BYTES:
            raise DeterminateError(f"a blob of {len(value)} bytes is too large")
        with external_op("blob_set"):
            await self._pool.read(_SET, key, value)  # idempotent: repeated after a lost answer

    async def delete(self, keys: list[str]) -> None:
        if not keys:
            return
        with external_op("blob_delete"):
            await self._pool.read(_DELETE, keys)
        self._deletions += len(keys)
        if self._deletions >= VACUUM_AFTER_DELETIONS:
            self._deletions = 0
            with external_op("blob_vacuum"):
                await self._pool.vacuum("blob")

    async def list(self, prefix: str, after: str = "", limit: int = LIST_LIMIT) -> list[str]:
        with external_op("blob_list"):
            rows = await self._pool.read(_LIST, prefix, after, prefix + _PAST_ALL_KEYS, limit)
        return [row[0] for row in rows]
