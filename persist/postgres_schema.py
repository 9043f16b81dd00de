"""The tables of the metadata database.

Only SQL that distributed PostgreSQL-compatible stores have; what such a store may lack (storage
parameters) stands in `TUNING`, whose statements may fail. Values are never compressed by the store:
batch parts are written once and read rarely, and its compression costs more than the disk.
"""

from typing import Final

from persist.postgres_pool import AbortedError, PostgresPool

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS consensus (
           shard text COLLATE "C" NOT NULL, sequence_number bigint NOT NULL, data bytea NOT NULL,
           PRIMARY KEY (shard, sequence_number))""",
    """CREATE TABLE IF NOT EXISTS consensus_head (
           shard text COLLATE "C" PRIMARY KEY, sequence_number bigint NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS blob (
           key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS timestamp_oracle (
           timeline text PRIMARY KEY, read_ts decimal(20,0) NOT NULL,
           write_ts decimal(20,0) NOT NULL, catalog_ts decimal(20,0) NOT NULL DEFAULT 0)""",
    """CREATE TABLE IF NOT EXISTS fence (
           environment text PRIMARY KEY, epoch bigint NOT NULL,
           txns_shard text NOT NULL, catalog_shard text NOT NULL)""",
)
TUNING: Final = (
    "ALTER TABLE consensus ALTER COLUMN data SET STORAGE EXTERNAL",
    "ALTER TABLE blob ALTER COLUMN value SET STORAGE EXTERNAL",
    "ALTER TABLE consensus_head SET (fillfactor = 50)",
    """ALTER TABLE consensus SET (autovacuum_vacuum_scale_factor = 0,
           autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0)""",
)
# Two processes that create the tables at the same moment: IF NOT EXISTS does not cover it.
_CREATION_RACES: Final = frozenset({"23505", "42P07", "42710", "XX000"})
_CREATION_ATTEMPTS: Final = 10


async def create_tables(pool: PostgresPool) -> None:
    """Create the tables that are missing. Raises DeterminateError."""
    for attempt in range(_CREATION_ATTEMPTS):
        try:
            await _create_tables(pool)
            return
        except AbortedError as error:
            if error.sqlstate not in _CREATION_RACES or attempt == _CREATION_ATTEMPTS - 1:
                raise


async def _create_tables(pool: PostgresPool) -> None:
    (found,) = await pool.read("SELECT to_regclass('fence') IS NOT NULL")
    if found[0]:
        return
    for statement in TABLES[:-1]:
        await pool.read(statement)  # idempotent, so safe to repeat after a lost answer
    for statement in TUNING:
        try:
            await pool.read(statement)
        except AbortedError:
            continue
    await pool.read(TABLES[-1])  # last: it tells that all the others are there
