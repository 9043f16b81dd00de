"""The committer: validation against the newest catalog, earlier commits and batch mates."""

import asyncio

import pytest

from catalog.operations import CatalogChangedError, DropItems, RenameItem, SetSystemParameter
from catalog.state import Catalog
from coordinator.committer import CatalogChange, SerializationConflictError, TableWrite
from core.errors import FencedError, SqlError
from core.ids import GlobalId, Timestamp
from tests.catalog.catalogs import item, table, view
from tests.coordinator.memory_environment import MemoryEnvironment, numbers


async def test_commits_are_readable_and_ordered() -> None:
    async with MemoryEnvironment().process() as process:
        created = await process.create(table("t"))
        shard = process.catalog.shard_of(created)
        first = await process.write(TableWrite(created, numbers(1, 2)))
        second = await process.write(TableWrite(created, numbers(2, diff=-1)))
        assert first < second
        assert await process.rows(shard) == [1]


async def test_a_catalog_is_published_before_its_transaction_is_answered() -> None:
    async with MemoryEnvironment().process() as process:
        seen: list[CatalogChange] = []
        process.committer.add_listener(seen.append)
        before = process.catalog
        outcome = await process.transact(table("t"))
        assert process.catalog is outcome.catalog
        assert outcome.revision == before.revision + 1
        assert outcome.ts == process.catalog.ts > before.ts
        assert [(change.old, change.new) for change in seen] == [(before, process.catalog)]


async def test_an_insert_never_lands_after_the_drop() -> None:
    async with MemoryEnvironment().process() as process:
        created = await process.create(table("t"))
        revision = process.catalog.revision
        drop = asyncio.ensure_future(process.transact(DropItems((created,))))
        insert = asyncio.ensure_future(
            process.write(TableWrite(created, numbers(1), "t"), planned_revision=revision)
        )
        await drop
        with pytest.raises(SqlError) as caught:
            await insert
        assert caught.value.sqlstate == "42P01"
        assert caught.value.message == 'relation "t" does not exist'


async def test_a_write_before_the_drop_in_one_batch_is_acknowledged() -> None:
    async with MemoryEnvironment().process() as process:
        created = await process.create(table("t"))
        insert = asyncio.ensure_future(process.write(TableWrite(created, numbers(1))))
        drop = asyncio.ensure_future(process.transact(DropItems((created,))))
        assert await insert == (await drop).ts


async def test_a_read_set_conflicts_with_commits_since_the_read() -> None:
    async with MemoryEnvironment().process() as process:
        one, two = await process.create(table("t")), await process.create(table("u"))
        read_ts = await process.write(TableWrite(one, numbers(1)))
        await process.write(TableWrite(one, numbers(2)))
        stale = process.write(
            TableWrite(two, numbers(1)), read_set=frozenset({one}), read_ts=read_ts
        )
        with pytest.raises(SerializationConflictError):
            await stale
        unaffected = process.write(
            TableWrite(two, numbers(1)), read_set=frozenset({two}), read_ts=read_ts
        )
        assert await unaffected > read_ts


async def test_a_read_set_conflicts_with_batch_mates() -> None:
    async with MemoryEnvironment().process() as process:
        created = await process.create(table("t"))
        read_ts = await process.write(TableWrite(created, numbers(0)))
        reads = frozenset({created})
        outcomes = await asyncio.gather(
            *(
                process.write(TableWrite(created, numbers(n)), read_set=reads, read_ts=read_ts)
                for n in range(1, 6)
            ),
            return_exceptions=True,
        )
        winners = [outcome for outcome in outcomes if isinstance(outcome, int)]
        assert len(winners) == 1
        assert sum(isinstance(o, SerializationConflictError) for o in outcomes) == 4
        assert len(await process.rows(process.catalog.shard_of(created))) == 2


async def test_a_read_set_conflicts_with_redefinitions() -> None:
    async with MemoryEnvironment().process() as process:
        one, two = await process.create(table("t")), await process.create(table("u"))
        read_ts = await process.write(TableWrite(one, numbers(1)))
        planned = process.catalog.revision
        await process.transact(table("unrelated"))
        still_right = process.write(
            TableWrite(two, numbers(1)),
            read_set=frozenset({one}),
            read_ts=read_ts,
            planned_revision=planned,
        )
        await still_right
        await process.transact(RenameItem(one, "renamed"))
        with pytest.raises(CatalogChangedError):
            await process.write(
                TableWrite(two, numbers(1)),
                read_set=frozenset({two}),
                read_ts=read_ts,
                planned_revision=planned,
            )


async def test_previewed_ids_conflict_with_allocations_alone() -> None:
    async with MemoryEnvironment().process() as process:
        base = process.catalog
        await process.transact(SetSystemParameter("max_connections", "7"))
        await process.transact(table("t"), planned_revision=base.revision, previewed_on=base)
        with pytest.raises(CatalogChangedError):
            await process.transact(table("u"), planned_revision=base.revision, previewed_on=base)


async def test_losers_of_a_batch_fail_alone() -> None:
    async with MemoryEnvironment().process() as process:
        created = await process.create(table("t"))
        used = item(process.catalog, "t")
        outcomes = await asyncio.gather(
            process.transact(table("x")),
            process.transact(table("x")),
            process.transact(view("v", used)),
            process.write(TableWrite(GlobalId("u999"), numbers(1))),
            process.write(TableWrite(created, numbers(7))),
            return_exceptions=True,
        )
        states = [getattr(outcome, "sqlstate", "ok") for outcome in outcomes]
        assert states == ["ok", "42P07", "ok", "42P01", "ok"]
        assert await process.rows(process.catalog.shard_of(created)) == [7]


async def test_concurrent_requests_share_a_commit() -> None:
    async with MemoryEnvironment().process() as process:
        created = await process.create(table("t"))
        times = await asyncio.gather(
            *(process.write(TableWrite(created, numbers(n))) for n in range(500))
        )
        assert len(set(times)) < 20
        assert await process.rows(process.catalog.shard_of(created)) == list(range(500))


async def test_a_transaction_of_operations_and_writes_is_whole() -> None:
    async with MemoryEnvironment().process() as process:
        created = await process.create(table("t"))
        await process.transact(table("u"), table_writes=(TableWrite(created, numbers(1)),))
        with pytest.raises(SqlError):
            await process.transact(table("u"), table_writes=(TableWrite(created, numbers(2)),))
        assert await process.rows(process.catalog.shard_of(created)) == [1]


async def test_contents_come_with_their_table() -> None:
    async with MemoryEnvironment().process() as process:
        created = await process.create(table("t", contents=numbers(1, 2, 3)))
        assert await process.rows(process.catalog.shard_of(created)) == [1, 2, 3]


async def test_time_moves_without_requests() -> None:
    async with MemoryEnvironment().process() as process:
        upper = process.writer.upper
        moved = asyncio.Event()
        process.writer.add_listener(lambda _push, _record: moved.set())
        await moved.wait()
        assert process.writer.upper > upper


async def test_a_fenced_committer_ends_and_tells_everybody() -> None:
    environment = MemoryEnvironment()
    async with environment.process() as old:
        created = await old.create(table("t"))
        async with environment.process() as new:
            length = len(environment.logs.logs[environment.txns_shard])
            with pytest.raises(SqlError) as caught:
                await old.write(TableWrite(created, numbers(1)))
            assert caught.value.sqlstate == "57P01"
            assert old.committer_task is not None
            await asyncio.wait([old.committer_task])
            assert isinstance(old.committer_task.exception(), FencedError)
            with pytest.raises(SqlError):
                await old.transact(table("u"))
            assert len(environment.logs.logs[environment.txns_shard]) == length
            await new.write(TableWrite(created, numbers(2)))
            assert await new.rows(new.catalog.shard_of(created)) == [2]


async def test_a_reopened_catalog_is_the_same() -> None:
    environment = MemoryEnvironment()
    async with environment.process() as process:
        created = await process.create(table("t"))
        temporary = await process.create(table("tmp", temporary_connection=3))
        shard = process.catalog.shard_of(temporary)
        before = process.catalog
    async with environment.process() as process:
        assert process.catalog.shard_of(created) == before.shard_of(created)
        assert item(process.catalog, "t") == item(before, "t")
        assert temporary not in process.catalog.items
        assert shard in process.catalog.unfinalized
        assert _without_volatile(process.catalog) == _without_volatile(before, but=temporary)


def _without_volatile(catalog: Catalog, but: GlobalId | None = None) -> set[object]:
    return {
        value
        for (kind, identity), value in catalog.objects.items()
        if kind.__name__ not in ("FenceToken", "UnfinalizedShard", "IdAllocator")
        and identity != but
    }


async def test_the_read_time_of_a_conflict_is_exclusive() -> None:
    async with MemoryEnvironment().process() as process:
        created = await process.create(table("t"))
        ts = await process.write(TableWrite(created, numbers(1)))
        reads = frozenset({created})
        with pytest.raises(SerializationConflictError):
            await process.write(
                TableWrite(created, numbers(2)), read_set=reads, read_ts=Timestamp(ts - 1)
            )
        assert await process.write(TableWrite(created, numbers(2)), read_set=reads, read_ts=ts)
