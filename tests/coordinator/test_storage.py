"""The end of dropped shards."""

import asyncio

from catalog.operations import DropItems, ForgetFinalizedShards
from controllers.read_holds import ReadHolds
from controllers.storage_collections import StorageCollections
from controllers.storage_controller import StorageController
from core.ids import ShardId, Timestamp
from persist.handles import finalize_shard
from tests.catalog.catalogs import table
from tests.coordinator.memory_environment import MemoryEnvironment, MemoryProcess, numbers


class StorageUnderTest:
    """A storage controller on an environment in memory, its since policy without a lag."""

    def __init__(self, process: MemoryProcess) -> None:
        self.process = process
        self.holds = ReadHolds()
        collections = StorageCollections(self.holds, lambda: process.writer.upper, lambda: 0)
        process.writer.set_since_provider(collections.since_of)
        self.forgotten = asyncio.Event()
        self.controller = StorageController(
            collections,
            process.writer,
            destroy=lambda shard: finalize_shard(process.location, shard),
            forget=self._forget,
            live_shards=lambda: frozenset(
                collection.shard for collection in process.catalog.collections.values()
            ),
        )
        self.tasks = [
            asyncio.create_task(process.writer.run_apply()),
            asyncio.create_task(self.controller.run()),
        ]

    async def _forget(self, shards: tuple[ShardId, ...]) -> None:
        await self.process.transact(ForgetFinalizedShards(shards))
        self.forgotten.set()

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


async def test_a_dropped_shard_is_destroyed_and_forgotten() -> None:
    environment = MemoryEnvironment()
    async with environment.process() as process:
        storage = StorageUnderTest(process)
        created = await process.create(table("t", contents=numbers(1, 2)))
        shard = process.catalog.shard_of(created)
        await process.writer.wait_applied(process.catalog.ts)
        assert shard in environment.logs.logs
        outcome = await process.transact(DropItems((created,)))
        storage.controller.finalize(process.catalog.unfinalized, outcome.ts)
        await storage.forgotten.wait()
        assert shard not in environment.logs.logs
        assert not process.catalog.unfinalized
        await storage.stop()


async def test_a_hold_from_before_the_drop_keeps_the_shard() -> None:
    environment = MemoryEnvironment()
    async with environment.process() as process:
        storage = StorageUnderTest(process)
        created = await process.create(table("t", contents=numbers(1)))
        shard = process.catalog.shard_of(created)
        hold = storage.holds.acquire(process.catalog.ts)
        other = await process.create(table("u"))
        first = await process.transact(DropItems((created,)))
        storage.controller.finalize(process.catalog.unfinalized, first.ts)
        assert not storage.forgotten.is_set()
        await process.writer.wait_applied(first.ts)
        assert shard in environment.logs.logs
        hold.release()
        await storage.forgotten.wait()
        assert shard not in environment.logs.logs
        assert other in process.catalog.items
        await storage.stop()


async def test_a_live_shard_ends_the_controller() -> None:
    async with MemoryEnvironment().process() as process:
        storage = StorageUnderTest(process)
        created = await process.create(table("t"))
        shard = process.catalog.shard_of(created)
        storage.controller.finalize([shard], Timestamp(0))
        await asyncio.wait([storage.tasks[1]])
        assert isinstance(storage.tasks[1].exception(), AssertionError)
        await storage.stop()
