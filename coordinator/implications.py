"""What a catalog change implies for the controllers, and the task that carries it out.

`implications` is a pure function of two catalogs; unchanged parts are recognised by identity, so
its cost does not grow with the catalog. The task remembers the last catalog it acted on and goes
straight from there to the newest one, however many lie between: the function is idempotent, and at
boot it starts from the empty catalog. Nothing a client waits for happens here.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from catalog.state import Catalog
from coordinator.metrics import IMPLICATIONS_SECONDS
from coordinator.published import PublishedCatalog
from core.ids import ShardId, Timestamp
from sql.variables import system_value


@dataclass(frozen=True, slots=True)
class Implications:
    """Clusters by name, with the names of their replicas; shards by id. `limits` (the memory of one
    query and of a replica's decoded collections, in bytes) is None when they stay as they are."""

    clusters_to_run: tuple[tuple[str, tuple[str, ...]], ...] = ()
    clusters_to_drop: tuple[str, ...] = ()
    shards_to_finalize: tuple[ShardId, ...] = ()
    limits: tuple[int, int] | None = None


class ClusterController(Protocol):
    """What is needed of the compute controller."""

    async def ensure_cluster(self, cluster: str, replicas: tuple[str, ...]) -> None: ...

    async def drop_cluster(self, cluster: str) -> None: ...

    def update_configuration(
        self, query_memory_bytes: int, collection_cache_bytes: int
    ) -> None: ...


Finalize = Callable[[Iterable[ShardId], Timestamp], None]


def implications(old: Catalog, new: Catalog) -> Implications:
    """What to do so that the controllers, which fit `old`, fit `new`."""
    to_run: list[tuple[str, tuple[str, ...]]] = []
    to_drop: list[str] = []
    if old.clusters is not new.clusters or old.replicas is not new.replicas:
        before, after = _clusters(old), _clusters(new)
        to_run = [
            (name, replicas) for name, replicas in after.items() if before.get(name) != replicas
        ]
        to_drop = [name for name in before if name not in after]
    to_finalize: list[ShardId] = []
    if old.unfinalized is not new.unfinalized:
        to_finalize = [shard for shard in new.unfinalized if shard not in old.unfinalized]
    limits = None
    if old.system_parameters is not new.system_parameters and replica_limits(old) != replica_limits(
        new
    ):
        limits = replica_limits(new)
    return Implications(tuple(to_run), tuple(to_drop), tuple(to_finalize), limits)


class ImplicationsTask:
    """`run` is the task; `changed` is the committer's listener."""

    def __init__(
        self, published: PublishedCatalog, clusters: ClusterController, finalize: Finalize
    ) -> None:
        self._published = published
        self._clusters = clusters
        self._finalize = finalize
        self._applied = Catalog()
        self._wake = asyncio.Event()
        self._wake.set()

    def changed(self, change: object) -> None:
        """A newer catalog was published."""
        del change
        self._wake.set()

    async def run(self) -> None:
        """Act on the newest catalog whenever there is one, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            started = time.perf_counter()
            await self.apply(self._published.catalog)
            IMPLICATIONS_SECONDS.observe(time.perf_counter() - started)

    async def apply(self, new: Catalog) -> None:
        """Carry out what `new` implies. Finalization only remembers: it takes its time."""
        todo = implications(self._applied, new)
        self._finalize(todo.shards_to_finalize, new.ts)
        if todo.limits is not None:
            self._clusters.update_configuration(*todo.limits)
        for name, replicas in todo.clusters_to_run:
            await self._clusters.ensure_cluster(name, replicas)
        for name in todo.clusters_to_drop:
            await self._clusters.drop_cluster(name)
        self._applied = new


def replica_limits(catalog: Catalog) -> tuple[int, int]:
    """The memory, in bytes, of one query and of a replica's decoded collections."""
    overrides = catalog.system_parameters
    query = system_value("compute_memory_limit", overrides)
    return int(query), int(system_value("compute_collection_cache_size", overrides))


def _clusters(catalog: Catalog) -> dict[str, tuple[str, ...]]:
    """Replica names by cluster name."""
    replicas: dict[str, list[str]] = {cluster_id: [] for cluster_id in catalog.clusters}
    for replica in catalog.replicas.values():
        replicas[replica.cluster_id].append(replica.name)
    return {
        cluster.name: tuple(sorted(replicas[cluster.id])) for cluster in catalog.clusters.values()
    }
