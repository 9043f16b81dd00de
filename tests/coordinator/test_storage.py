"""Implications of catalog changes, and the end of dropped shards."""

import asyncio
from collections.abc import Iterable

from catalog.operations import (
    DropItems,
    ForgetFinalizedShards,
    SetSystemParameter,
)
from catalog.state import Catalog
from controllers.read_holds import ReadHolds
from controllers.storage_collections import StorageCollections
from controllers.storage_controller import StorageController
from coordinator.implications import Implications, ImplicationsTask, implications
from coordinator.published import PublishedCatalog
from core.ids import ShardId, Timestamp
from persist.handles import finalize_shard
from tests.catalog.catalogs import after, item_id, new_catalog, table
from tests.coordinator.memory_environment import MemoryEnvironment, MemoryProcess, numbers


def test_at_boot_everything_is_implied() -> None:
    catalog = new_catalog()
    todo = implications(Catalog(), catalog)
    assert sorted(todo.clusters_to_run) == [
        ("mz_catalog_server", ("r1",)),
        ("quickstart", ("r1",)),
    ]
    assert todo.shards_to_finalize == ()


def test_only_differences_are_implied() -> None:
    catalog = new_catalog()
    made = after(catalog, table("t"))
    assert implications(catalog, made) == Implications()
    dropped = after(made, DropItems((item_id(made, "t"),)))
    assert implications(made, dropped).shards_to_finalize == tuple(dropped.unfinalized)
    assert implications(dropped, dropped) == Implications()
    forgotten = after(dropped, ForgetFinalizedShards(tuple(dropped.unfinalized)))
    assert implications(dropped, forgotten) == Implications()
    limited = after(catalog, SetSystemParameter("compute_memory_limit", "64MB"))
    assert implications(catalog, limited).limits is not None
    assert implications(limited, after(limited, table("u"))) == Implications()


class RecordingClusters:
    def __init__(self) -> None:
        self.running: dict[str, tuple[str, ...]] = {}
        self.limits: tuple[int, int] | None = None

    async def ensure_cluster(self, cluster: str, replicas: tuple[str, ...]) -> None:
        self.running[cluster] = replicas

    async def drop_cluster(self, cluster: str) -> None:
        del self.running[cluster]

    def update_configuration(self, query_memory_bytes: int, collection_cache_bytes: int) -> None:
        self.limits = (query_memory_bytes, collection_cache_bytes)


async def test_the_task_goes_straight_to_the_newest_catalog() -> None:
    clusters = RecordingClusters()
    finalized: list[ShardId] = []

    def finalize(shards: Iterable[ShardId], dropped_at: Timestamp) -> None:
        del dropped_at
        finalized.extend(shards)

    first = new_catalog()
    task = ImplicationsTask(PublishedCatalog(first), clusters, finalize)
    await task.apply(first)
    made = after(first, table("t"), table("u"))
    last = after(made, DropItems((item_id(made, "t"),)), DropItems((item_id(made, "u"),)))
    await task.apply(last)
    await task.apply(last)
    assert set(clusters.running) == {"quickstart", "mz_catalog_server"}
    assert sorted(finalized) == sorted(last.unfinalized)


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
