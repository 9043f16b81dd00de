"""Many single-row inserts leave the tables of the store small."""

import asyncpg
import pytest

from core.clock import system_clock
from core.ids import Timestamp
from persist.location import PersistLocation
from persist.txn_reader import TxnsReader
from tests.persist.txns_environment import (
    TABLE,
    TXNS,
    applying,
    contents,
    postgres_process,
    write,
)

ROW_PADDING = "x" * 60
MAX_CONSENSUS_ROWS = 2_500
MAX_CONSENSUS_BYTES = 16 * 1024 * 1024
MAX_BLOB_ROWS = 24
MAX_BLOB_BYTES = 8 * 1024 * 1024
MAX_SMALL_TABLE_BYTES = 256 * 1024


@pytest.mark.parametrize(
    "inserts", [pytest.param(3_000, id="sample"), pytest.param(10_000, marks=pytest.mark.long)]
)
async def test_tables_stay_bounded_under_single_row_inserts(
    location: PersistLocation, fresh_database_url: str, inserts: int
) -> None:
    largest_consensus = 0
    connection = await asyncpg.connect(fresh_database_url)
    try:
        async with postgres_process(location) as process:
            writer = process.writer
            writer.set_since_provider(lambda shard: Timestamp(system_clock() - 1_000_000))
            await writer.commit([], register=[TABLE])
            async with applying(writer):
                for number in range(inserts):
                    ts = await writer.commit([write(TABLE, f"{number} {ROW_PADDING}")])
                    if number % 500 == 0:
                        rows, _ = await size(connection, "consensus")
                        largest_consensus = max(largest_consensus, rows)
                await writer.wait_applied(ts)
                await writer.maintain(TABLE)
                await writer.commit([])
                await writer.wait_tidied(ts)
            assert largest_consensus < MAX_CONSENSUS_ROWS + 1_000
            reader = await TxnsReader.open(location, TXNS)
            assert len(await contents(reader, TABLE, ts)) == inserts
        sizes = {
            table: await size(connection, table)
            for table in ("consensus", "blob", "consensus_head", "timestamp_oracle", "fence")
        }
    finally:
        await connection.close()
    print(sizes)
    assert sizes["consensus"][0] < MAX_CONSENSUS_ROWS
    assert sizes["consensus"][1] < MAX_CONSENSUS_BYTES
    assert sizes["blob"][0] < MAX_BLOB_ROWS
    assert sizes["blob"][1] < MAX_BLOB_BYTES
    for table in ("consensus_head", "timestamp_oracle", "fence"):
        assert sizes[table][0] <= 2
        assert sizes[table][1] < MAX_SMALL_TABLE_BYTES


async def test_deleting_everything_frees_the_space(
    location: PersistLocation, fresh_database_url: str
) -> None:
    connection = await asyncpg.connect(fresh_database_url)
    try:
        async with postgres_process(location) as process:
            writer = process.writer
            await writer.commit([], register=[TABLE])
            values = [f"{number} {ROW_PADDING}" for number in range(20_000)]
            async with applying(writer):
                for begin in range(0, len(values), 1_000):
                    ts = await writer.commit([write(TABLE, *values[begin : begin + 1_000])])
                await writer.wait_applied(ts)
                for begin in range(0, len(values), 1_000):
                    gone = values[begin : begin + 1_000]
                    ts = await writer.commit([write(TABLE, *gone, diff=-1)])
                await writer.wait_applied(ts)
                writer.set_since_provider(lambda shard: ts)
                for _ in range(20):
                    await writer.maintain(TABLE)
                reader = await TxnsReader.open(location, TXNS)
                assert await contents(reader, TABLE, ts) == {}
        rows, _ = await size(connection, "blob")
        assert rows <= 1
    finally:
        await connection.close()


async def size(connection: asyncpg.Connection, table: str) -> tuple[int, int]:
    """Rows, and bytes on disk with indexes and TOAST."""
    row = await connection.fetchrow(
        f"SELECT (SELECT count(*) FROM {table}), pg_total_relation_size('{table}')"
    )
    assert row is not None
    return row[0], row[1]
