"""The timestamp oracle in a PostgreSQL table: one row per environment, one statement an operation.

The row lives in the same database as consensus, so `oracle.commit_point` can move both at once. The
row is created when the oracle is opened. No operation holds more than one row lock.
"""

from typing import Final

from core.clock import Clock, system_clock, wait_for_clock
from core.errors import DeterminateError, IndeterminateError
from core.ids import Epoch, Timestamp
from core.retry import Backoff
from oracle.metrics import OracleOp
from oracle.oracle import DEFAULT_TIMELINE, ReadTimestamp, WriteTimestamp
from persist.consensus import Fence
from persist.postgres_consensus import FENCED_CTE, fenced_error
from persist.postgres_pool import PostgresPool

SETTLE_DEADLINE_S: Final = 120.0

_CREATE: Final = """
INSERT INTO timestamp_oracle (timeline, read_ts, write_ts, catalog_ts) VALUES ($1, $2, $2, 0)
ON CONFLICT (timeline) DO NOTHING"""
_WRITE: Final = f"""
WITH {FENCED_CTE}
UPDATE timestamp_oracle SET write_ts = GREATEST(write_ts + 1, $4::bigint)
 WHERE timeline = $3 AND EXISTS (SELECT 1 FROM fenced) RETURNING write_ts::bigint"""
_PEEK: Final = "SELECT write_ts::bigint FROM timestamp_oracle WHERE timeline = $1"
_READ: Final = """
SELECT o.read_ts::bigint, o.catalog_ts::bigint,
       (SELECT epoch FROM fence WHERE environment = $2)
  FROM timestamp_oracle o WHERE o.timeline = $1"""
_APPLY: Final = f"""
WITH {FENCED_CTE}
UPDATE timestamp_oracle SET
       write_ts = GREATEST(write_ts, $4::bigint), read_ts = GREATEST(read_ts, $4::bigint),
       catalog_ts = CASE WHEN $5 THEN GREATEST(catalog_ts, $4::bigint) ELSE catalog_ts END
 WHERE timeline = $3 AND EXISTS (SELECT 1 FROM fenced) RETURNING 1"""


def timeline_key(fence: Fence) -> str:
    """The oracle row of an environment."""
    return f"{fence.environment}/{DEFAULT_TIMELINE}"


class PostgresOracle:
    """Implements `TimestampOracle`. Open it with `open_postgres_oracle`."""

    def __init__(self, pool: PostgresPool, fence: Fence, clock: Clock = system_clock) -> None:
        self._pool = pool
        self._fence = fence
        self._timeline = timeline_key(fence)
        self._clock = clock
        self._ops = {
            name: OracleOp(name) for name in ("write_ts", "peek_write_ts", "read_ts", "apply_write")
        }

    async def create(self) -> None:
        """Create the row if this environment has none yet."""
        await self._pool.read(_CREATE, self._timeline, self._clock())

    async def write_ts(self) -> WriteTimestamp:
        with self._ops["write_ts"].timed():
            # A lost answer wastes a time, nothing else: asking again is safe.
            timestamp = Timestamp((await self._write(_WRITE, self._clock()))[0])
        await wait_for_clock(timestamp, self._clock)
        return WriteTimestamp(timestamp, Timestamp(timestamp + 1))

    async def peek_write_ts(self) -> Timestamp:
        with self._ops["peek_write_ts"].timed():
            rows = await self._pool.read(_PEEK, self._timeline)
        return Timestamp(rows[0][0])

    async def read_ts(self) -> ReadTimestamp:
        with self._ops["read_ts"].timed():
            rows = await self._pool.read(_READ, self._timeline, self._fence.environment)
        read_ts, catalog_ts, epoch = rows[0]
        return ReadTimestamp(Timestamp(read_ts), Timestamp(catalog_ts), Epoch(epoch))

    async def apply_write(self, ts: Timestamp, *, is_catalog_change: bool = False) -> None:
        with self._ops["apply_write"].timed():
            await self._write(_APPLY, ts, is_catalog_change)

    async def _write(self, query: str, *arguments: object) -> tuple[int, ...]:
        fence = self._fence
        backoff = Backoff(SETTLE_DEADLINE_S)
        while True:
            try:
                rows = await self._pool.write(
                    query, fence.environment, fence.epoch, self._timeline, *arguments
                )
                if not rows:
                    raise fenced_error(fence)
                return tuple(rows[0])
            except IndeterminateError as error:
                if backoff.is_exhausted:
                    raise DeterminateError(
                        f"the timestamp oracle does not answer: {error}"
                    ) from error
            await backoff.wait()


async def open_postgres_oracle(
    pool: PostgresPool, fence: Fence, clock: Clock = system_clock
) -> PostgresOracle:
    """The oracle of the fence's environment, its row created if it is new."""
    oracle = PostgresOracle(pool, fence, clock)
    await oracle.create()
    return oracle
