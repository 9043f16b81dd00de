"""Consensus in PostgreSQL tables: one statement and one round trip for every operation.

A `consensus_head` row per shard is moved by compare-and-set; the entry is inserted only where it
moved. The row lock of that UPDATE orders writers, so the statement is right at READ COMMITTED,
REPEATABLE READ and SERIALIZABLE alike. The fence row is locked FOR SHARE in the same statement: a
take-over, which updates it, waits for writes under way and stops every later one.
"""

from collections.abc import Sequence
from typing import Final

from core.errors import DeterminateError, FencedError
from core.ids import ShardId
from persist.consensus import (
    MAX_ENTRY_BYTES,
    SCAN_LIMIT,
    CompareAndSet,
    Fence,
    VersionedData,
)
from persist.metrics import external_op
from persist.postgres_pool import AbortedError, PostgresPool

VACUUM_AFTER_DELETIONS: Final = 4_000

FENCED_CTE: Final = (
    "fenced AS MATERIALIZED (SELECT 1 FROM fence WHERE environment = $1 AND epoch = $2 FOR SHARE)"
)
_HEAD: Final = """
SELECT c.sequence_number, c.data FROM consensus c
  JOIN consensus_head h ON h.shard = c.shard AND h.sequence_number = c.sequence_number
 WHERE h.shard = $1"""
_CREATE: Final = f"""
WITH {FENCED_CTE}, moved AS (
  INSERT INTO consensus_head (shard, sequence_number)
  SELECT $3::text, $4::bigint FROM fenced ON CONFLICT (shard) DO NOTHING RETURNING 1
), stored AS (
  INSERT INTO consensus (shard, sequence_number, data)
  SELECT $3::text, $4::bigint, $5::bytea FROM moved RETURNING 1
)
SELECT (SELECT count(*) FROM fenced), (SELECT count(*) FROM stored)"""
_MOVE: Final = f"""
WITH {FENCED_CTE}, moved AS (
  UPDATE consensus_head SET sequence_number = $4
   WHERE shard = $3 AND sequence_number = $6 AND EXISTS (SELECT 1 FROM fenced) RETURNING 1
), stored AS (
  INSERT INTO consensus (shard, sequence_number, data)
  SELECT $3, $4, $5 FROM moved RETURNING 1
)
SELECT (SELECT count(*) FROM fenced), (SELECT count(*) FROM stored)"""
# "All or nothing": the cast fails, and with it the whole statement, when a row is missing.
_ALL_STORED: Final = """
SELECT CAST(CASE WHEN (SELECT count(*) FROM stored) = cardinality($3::text[]) THEN '1'
       ELSE 'headwater:' || (SELECT count(*) FROM fenced) END AS bigint)"""
_CREATE_MANY: Final = f"""
WITH {FENCED_CTE}, change AS (
  SELECT * FROM unnest($3::text[], $4::bigint[], $5::bytea[]) AS c (shard, seqno, data)
), moved AS (
  INSERT INTO consensus_head (shard, sequence_number)
  SELECT shard, seqno FROM change WHERE EXISTS (SELECT 1 FROM fenced) ORDER BY shard
  ON CONFLICT (shard) DO NOTHING RETURNING shard
), stored AS (
  INSERT INTO consensus (shard, sequence_number, data)
  SELECT shard, seqno, data FROM change WHERE shard IN (SELECT shard FROM moved) RETURNING 1
){_ALL_STORED}"""
_MOVE_MANY: Final = f"""
WITH {FENCED_CTE}, change AS (
  SELECT * FROM unnest($3::text[], $4::bigint[], $5::bytea[], $6::bigint[])
         AS c (shard, seqno, data, expected)
), locked AS MATERIALIZED (
  SELECT h.shard FROM consensus_head h WHERE h.shard = ANY ($3) AND EXISTS (SELECT 1 FROM fenced)
   ORDER BY h.shard FOR UPDATE
), moved AS (
  UPDATE consensus_head h SET sequence_number = change.seqno FROM change
   WHERE h.shard = change.shard AND h.sequence_number = change.expected
     AND h.shard IN (SELECT shard FROM locked)
  RETURNING h.shard
), stored AS (
  INSERT INTO consensus (shard, sequence_number, data)
  SELECT shard, seqno, data FROM change WHERE shard IN (SELECT shard FROM moved) RETURNING 1
){_ALL_STORED}"""
_SCAN: Final = """
SELECT sequence_number, data FROM consensus
 WHERE shard = $1 AND sequence_number >= $2 ORDER BY sequence_number LIMIT $3"""
_TRUNCATE: Final = f"""
WITH {FENCED_CTE}, head AS MATERIALIZED (
  SELECT 1 FROM consensus_head WHERE shard = $3 AND sequence_number >= $4
), gone AS (
  DELETE FROM consensus WHERE shard = $3 AND sequence_number < $4
     AND EXISTS (SELECT 1 FROM fenced) AND EXISTS (SELECT 1 FROM head) RETURNING 1
)
SELECT (SELECT count(*) FROM fenced), (SELECT count(*) FROM head), (SELECT count(*) FROM gone)"""
_REMOVE: Final = f"""
WITH {FENCED_CTE}, head AS (
  DELETE FROM consensus_head WHERE shard = $3 AND EXISTS (SELECT 1 FROM fenced)
), gone AS (
  DELETE FROM consensus WHERE shard = $3 AND EXISTS (SELECT 1 FROM fenced) RETURNING 1
)
SELECT (SELECT count(*) FROM fenced), (SELECT count(*) FROM gone)"""
_LIST: Final = "SELECT shard FROM consensus_head WHERE shard > $1 ORDER BY shard LIMIT $2"


class PostgresConsensus:
    """Implements `Consensus`. Without a fence only reads are allowed."""

    def __init__(self, pool: PostgresPool, fence: Fence | None) -> None:
        self._pool = pool
        self._fence = fence
        self._deletions = 0

    async def head(self, shard: ShardId) -> VersionedData | None:
        with external_op("consensus_head"):
            rows = await self._pool.read(_HEAD, shard)
        return VersionedData(rows[0][0], rows[0][1]) if rows else None

    async def compare_and_set(self, change: CompareAndSet) -> bool:
        _check_size(change)
        fence = self._require_fence()
        arguments = [fence.environment, fence.epoch, change.shard, change.seqno, change.data]
        query = _CREATE
        if change.expected_seqno is not None:
            query = _MOVE
            arguments.append(change.expected_seqno)
        with external_op("consensus_cas"):
            rows = await self._pool.write(query, *arguments)
        self._check_fenced(rows[0][0])
        return bool(rows[0][1])

    async def compare_and_set_many(self, changes: Sequence[CompareAndSet]) -> bool:
        if not changes:
            return True
        creations = sum(change.expected_seqno is None for change in changes)
        if creations not in (0, len(changes)):
            raise ValueError("creations and moves cannot be mixed")
        if len({change.shard for change in changes}) != len(changes):
            raise ValueError("the shards of one statement must be distinct")
        for change in changes:
            _check_size(change)
        fence = self._require_fence()
        arguments: list[object] = [
            fence.environment,
            fence.epoch,
            [change.shard for change in changes],
            [change.seqno for change in changes],
            [change.data for change in changes],
        ]
        if not creations:
            arguments.append([change.expected_seqno for change in changes])
        with external_op("consensus_cas_many"):
            try:
                await self._pool.write(_CREATE_MANY if creations else _MOVE_MANY, *arguments)
            except AbortedError as error:
                if "headwater:" not in error.message:
                    raise
                self._check_fenced(0 if "headwater:0" in error.message else 1)
                return False
        return True

    async def scan(
        self, shard: ShardId, from_seqno: int = 0, limit: int = SCAN_LIMIT
    ) -> list[VersionedData]:
        with external_op("consensus_scan"):
            rows = await self._pool.read(_SCAN, shard, from_seqno, limit)
        return [VersionedData(row[0], row[1]) for row in rows]

    async def truncate(self, shard: ShardId, seqno: int) -> int:
        fence = self._require_fence()
        with external_op("consensus_truncate"):
            rows = await self._pool.write(_TRUNCATE, fence.environment, fence.epoch, shard, seqno)
        self._check_fenced(rows[0][0])
        if not rows[0][1]:
            raise DeterminateError(f"cannot truncate {shard} past its head to {seqno}")
        await self._count_deletions(rows[0][2])
        return int(rows[0][2])

    async def remove(self, shard: ShardId) -> None:
        fence = self._require_fence()
        with external_op("consensus_remove"):
            rows = await self._pool.write(_REMOVE, fence.environment, fence.epoch, shard)
        self._check_fenced(rows[0][0])
        await self._count_deletions(rows[0][1])

    async def list_shards(self, after: ShardId | None = None, limit: int = 1000) -> list[ShardId]:
        with external_op("consensus_list_shards"):
            rows = await self._pool.read(_LIST, after or "", limit)
        return [ShardId(row[0]) for row in rows]

    def _require_fence(self) -> Fence:
        if self._fence is None:
            raise FencedError("opened without an epoch: writing is not allowed")
        return self._fence

    def _check_fenced(self, fenced: int) -> None:
        if not fenced:
            raise fenced_error(self._require_fence())

    async def _count_deletions(self, count: int) -> None:
        # Deleted entries hold space until vacuumed, and the store's own daemon comes by the minute.
        self._deletions += count
        if self._deletions >= VACUUM_AFTER_DELETIONS:
            self._deletions = 0
            with external_op("consensus_vacuum"):
                await self._pool.vacuum("consensus")


def fenced_error(fence: Fence) -> FencedError:
    """What a holder of `fence` learns when a higher epoch has been taken."""
    return FencedError(
        f"another process has taken over environment {fence.environment}:"
        f" epoch {fence.epoch} is no longer current"
    )


def _check_size(change: CompareAndSet) -> None:
    if len(change.data) > MAX_ENTRY_BYTES:
        raise DeterminateError(f"an entry of {len(change.data)} bytes is too large")
