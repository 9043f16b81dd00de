"""The rows of introspection relations: what this process knows of collections and replicas.

Nothing is kept for them: rows are made of what the controllers have in memory when a query starts,
at most MAX_ROWS of a relation.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from catalog.builtin.introspection import INTROSPECTION_RELATIONS
from catalog.state import Catalog
from controllers.compute_controller import ComputeClusters
from controllers.dataflows import Dataflow
from controllers.replica import Replica
from controllers.storage_collections import StorageCollections
from core.clock import Clock
from core.ids import MIN_TIMESTAMP, GlobalId, ShardId, Timestamp
from core.rows import Array, Interval, Row, codec_for
from expr.calendar_days import UNIX_EPOCH_MICROSECONDS
from expr.relation import Constant

MAX_ROWS: Final = 50_000


class Introspection:
    """Answers from the event loop's thread."""

    def __init__(
        self,
        clusters: ComputeClusters,
        collections: StorageCollections,
        catalog: Callable[[], Catalog],
        clock: Clock,
    ) -> None:
        self._clusters = clusters
        self._collections = collections
        self._catalog = catalog
        self._clock = clock
        makers: dict[str, Callable[[], Iterable[Row]]] = {
            "mz_frontiers": self._frontiers,
            "mz_cluster_replica_frontiers": self._replica_frontiers,
            "mz_hydration_statuses": self._hydration_statuses,
            "mz_compute_hydration_statuses": self._compute_hydration_statuses,
            "mz_materialization_lag": self._materialization_lag,
            "mz_wallclock_global_lag": self._wallclock_lag,
            "mz_cluster_replica_statuses": self._replica_statuses,
            "mz_cluster_replica_metrics": self._replica_metrics,
            "mz_dataflow_operators": self._operators,
            "mz_arrangement_sizes": self._arrangement_sizes,
            "mz_scheduling_elapsed": self._elapsed,
            "mz_object_arrangement_sizes": self._object_sizes,
            "mz_subscriptions": self._subscriptions,
        }
        self._makers = {
            relation.id: (makers[relation.item], relation.desc.types)
            for relation in INTROSPECTION_RELATIONS
        }

    def contents(self, id: GlobalId) -> Constant:
        """The rows of a relation now."""
        make, types = self._makers[id]
        codec = codec_for(tuple(type.base for type in types))
        rows = islice(make(), MAX_ROWS)
        return Constant(tuple((codec.encode(row), 1) for row in rows), types)

    def _write_frontiers(self) -> dict[GlobalId, Timestamp]:
        """The upper of every collection and index."""
        catalog = self._catalog()
        tables = Timestamp(self._collections.newest() + 1)
        uppers: dict[GlobalId, Timestamp] = {}
        written: dict[ShardId, Timestamp] = {}
        for dataflow in self._dataflows():
            upper = dataflow.durable_upper if dataflow.shards else dataflow.upper
            uppers[dataflow.description.id] = upper
            written.update(dict.fromkeys(dataflow.shards, upper))
        for id, collection in catalog.collections.items():
            if catalog.items[id].record.is_written_directly:
                uppers[id] = written.get(collection.shard, MIN_TIMESTAMP)
            else:
                uppers[id] = tables
        return uppers

    def frontiers(self) -> dict[GlobalId, tuple[Timestamp, Timestamp]]:
        """From when on, and until when, each collection and index can be read: since and upper."""
        stored = self._catalog().collections
        found = {}
        for id, upper in self._write_frontiers().items():
            if id in stored:
                since = self._collections.since_of_all((stored[id],))
            else:
                since = self._collections.since()
            found[id] = since, upper
        return found

    def _frontiers(self) -> Iterator[Row]:
        for id, (since, upper) in self.frontiers().items():
            yield id, since, upper

    def _replica_frontiers(self) -> Iterator[Row]:
        for dataflow, replica in self._maintained():
            upper = dataflow.replicas[replica.process].frontier.upper
            yield dataflow.description.id, replica.spec.id, upper

    def _hydration_statuses(self) -> Iterator[Row]:
        for id, replica, is_hydrated, _ in self._compute_hydration_statuses():
            yield id, replica, is_hydrated

    def _compute_hydration_statuses(self) -> Iterator[Row]:
        for dataflow, replica in self._maintained():
            found = dataflow.replicas[replica.process]
            seconds = found.hydration_s
            duration = None if seconds is None else _interval(seconds * 1e6)
            yield dataflow.description.id, replica.spec.id, found.frontier.is_hydrated, duration

    def _materialization_lag(self) -> Iterator[Row]:
        uppers = self._write_frontiers()
        sources = {
            dataflow.description.id: tuple(
                source.index or source.id for source in dataflow.description.sources
            )
            for dataflow in self._dataflows()
        }
        for id, inputs in sources.items():
            upper = uppers[id]
            local = max(inputs, key=lambda read: uppers.get(read, 0), default=None)
            roots = _roots(id, sources)
            furthest = max(roots, key=lambda read: uppers.get(read, 0), default=None)
            yield (
                id,
                None if local is None else _interval(uppers.get(local, 0) - upper),
                None if furthest is None else _interval(uppers.get(furthest, 0) - upper),
                min(inputs, key=lambda read: uppers.get(read, 0), default=None),
                min(roots, key=lambda read: uppers.get(read, 0), default=None),
            )

    def _wallclock_lag(self) -> Iterator[Row]:
        now = self._clock()
        for id, upper in self._write_frontiers().items():
            yield id, _interval(now - upper) if upper else None

    def _replica_statuses(self) -> Iterator[Row]:
        for replica in self._replicas():
            status = "online" if replica.serves else "offline"
            reason = None
            if not replica.serves and replica.last_end is not None:
                reason = f"exit status {replica.last_end.exit_status}"
            yield replica.spec.id, 0, status, reason, _timestamptz(replica.changed_at)

    def _replica_metrics(self) -> Iterator[Row]:
        for replica in self._replicas():
            if replica.status is not None:
                yield replica.spec.id, 0, None, replica.status.resident_bytes, None

    def _operators(self) -> Iterator[Row]:
        for replica in self._replicas():
            for each in replica.sizes:
                yield each.operator, each.name, each.dataflow, replica.spec.id

    def _arrangement_sizes(self) -> Iterator[Row]:
        for replica in self._replicas():
            for each in replica.sizes:
                yield each.operator, each.dataflow, replica.spec.id, each.rows, each.size_bytes

    def _elapsed(self) -> Iterator[Row]:
        for replica in self._replicas():
            for each in replica.sizes:
                elapsed_ns = each.elapsed_us * 1000
                yield each.operator, each.dataflow, replica.spec.id, elapsed_ns, each.rows_out

    def _object_sizes(self) -> Iterator[Row]:
        for replica in self._replicas():
            rows: dict[GlobalId, int] = {}
            sizes: dict[GlobalId, int] = {}
            for each in replica.sizes:
                rows[each.dataflow] = rows.get(each.dataflow, 0) + each.rows
                sizes[each.dataflow] = sizes.get(each.dataflow, 0) + each.size_bytes
            for id, size_bytes in sizes.items():
                yield id, replica.spec.id, rows[id], size_bytes

    def _subscriptions(self) -> Iterator[Row]:
        for cluster in self._clusters:
            for subscription in cluster.subscriptions:
                ids = tuple(source.id for source in subscription.request.sources)
                read = Array(((len(ids), 1),) if ids else (), ids)
                created_at = _timestamptz(subscription.created_at)
                yield str(subscription.id), cluster.id, created_at, read

    def _dataflows(self) -> Iterator[Dataflow]:
        for cluster in self._clusters:
            yield from cluster.dataflows

    def _maintained(self) -> Iterator[tuple[Dataflow, Replica]]:
        for cluster in self._clusters:
            for dataflow in cluster.dataflows:
                for process in dataflow.replicas:
                    yield dataflow, cluster.replicas[process]

    def _replicas(self) -> Iterator[Replica]:
        for cluster in self._clusters:
            yield from cluster.replicas.values()


def _roots(id: GlobalId, sources: dict[GlobalId, tuple[GlobalId, ...]]) -> list[GlobalId]:
    """What `id` reads in the end: collections that no dataflow maintains."""
    found: dict[GlobalId, None] = {}
    stack = list(sources[id])
    while stack:
        read = stack.pop()
        if read in found:
            continue
        found[read] = None
        stack.extend(sources.get(read, ()))
    return [read for read in found if read not in sources]


def _timestamptz(unix_us: int) -> int:
    return unix_us + UNIX_EPOCH_MICROSECONDS


def _interval(microseconds: float) -> Interval:
    return Interval(0, 0, max(0, int(microseconds)))
