"""Metrics of the compute controller, and what replicas report about themselves."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final

from prometheus_client import Gauge
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from compute.protocol import MetricFamily, Status
from core.metrics import LoopHistogram

PEEK_RESULTS: Final = ("rows", "error", "canceled")
SECONDS: Final = tuple(8e-6 * 2**power for power in range(23))  # 8 µs to 33 s

PEEK_DURATION_SECONDS: Final = LoopHistogram(
    "mz_compute_peek_duration_seconds",
    "Time from a peek's request to its last row's arrival, in seconds.",
    ["instance_id", "result"],
    buckets=SECONDS,
)
COMMAND_QUEUE_SIZE: Final = Gauge(
    "mz_compute_controller_command_queue_size",
    "Requests that wait for a replica to be there.",
    ["instance_id"],
)
REPLICA_CONNECTED: Final = Gauge(
    "mz_compute_replica_connected", "Whether the replica is connected and serves.", ["replica"]
)
REPLICA_CONNECTIONS: Final = Gauge(
    "mz_compute_replica_connections", "Connections made to the replica so far.", ["replica"]
)

SINCE_LAG_SECONDS: Final = Gauge(
    "mz_since_lag_seconds",
    "How far the time before which history is compacted is behind the newest commit.",
)


@lru_cache(maxsize=1024)
def peek_histogram(cluster: str, result: str) -> LoopHistogram:
    """The histogram of a cluster's peeks that end in `result`."""
    return PEEK_DURATION_SECONDS.labels(cluster, result)


def forget_cluster(cluster: str) -> None:
    """The cluster is no more: its labels go, so that there are as many as there are clusters."""
    with contextlib.suppress(KeyError):
        COMMAND_QUEUE_SIZE.remove(cluster)
    for result in PEEK_RESULTS:
        with contextlib.suppress(KeyError):
            PEEK_DURATION_SECONDS.remove(cluster, result)


_OWN_PREFIX: Final = "mz_compute_replica_"


class ReplicaCollector(Collector):
    """Shows each replica's last reported metrics, with the label `replica`.

    Families of code that runs in both processes are renamed `mz_replica_…`, so that no name is
    exposed twice.
    """

    def __init__(self, statuses: Callable[[], dict[str, Status]]) -> None:
        self._statuses = statuses

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        statuses = self._statuses()
        memory = Metric(
            "mz_replica_resident_bytes", "Resident memory of the replica, in bytes.", "gauge"
        )
        families: dict[str, Metric] = {memory.name: memory}
        for replica, status in statuses.items():
            memory.add_sample(memory.name, {"replica": replica}, status.resident_bytes)
            for family in status.metrics:
                _add(families, replica, family)
        yield from families.values()


def _add(families: dict[str, Metric], replica: str, family: MetricFamily) -> None:
    name = family.name
    if not name.startswith(_OWN_PREFIX):
        name = "mz_replica_" + name.removeprefix("mz_")
    metric = families.get(name)
    if metric is None:
        metric = families[name] = Metric(name, family.documentation, family.kind)
    for sample_name, labels, value in family.samples:
        suffix = sample_name.removeprefix(family.name)
        metric.add_sample(name + suffix, {**dict(labels), "replica": replica}, value)
