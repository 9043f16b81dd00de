"""Metrics of persist: every external operation is counted and timed per kind, so that the round
trips of a statement are a figure that can be read."""

import time
from types import TracebackType
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

LATENCY_BUCKETS_S: Final = tuple(8e-6 * 2**power for power in range(23))  # 8 µs to 33 s

EXTERNAL_OP_LATENCY: Final = Histogram(
    "mz_persist_external_op_latency",
    "Time of one operation on the consensus or blob store, in seconds.",
    ["op"],
    buckets=LATENCY_BUCKETS_S,
)
EXTERNAL_OP_FAILURES: Final = Counter(
    "mz_persist_external_failed", "Operations on the stores that raised an error.", ["op"]
)
COMMAND_SECONDS: Final = Histogram(
    "mz_persist_cmd_seconds",
    "Time of one shard state machine command, retries included.",
    ["cmd"],
    buckets=LATENCY_BUCKETS_S,
)
CAS_MISMATCHES: Final = Counter(
    "mz_persist_cmd_cas_mismatch_count", "Commands repeated because the shard had moved.", ["cmd"]
)
TXN_OP_SECONDS: Final = Histogram(
    "mz_txn_op_duration_seconds",
    "Time of one operation of the txn-wal.",
    ["op"],
    buckets=LATENCY_BUCKETS_S,
)
UNAPPLIED_COMMITS: Final = Gauge(
    "mz_txn_unapplied_commits", "Commits not yet applied to their data shards."
)
COMPACTED_UPDATES: Final = Counter("mz_persist_compacted_updates", "Updates read by compaction.")
DELETED_PARTS: Final = Counter(
    "mz_persist_gc_deleted_parts", "Blobs deleted by garbage collection and sweeps."
)


class Timed:
    """A context manager that observes the time spent in it under one label value."""

    __slots__ = ("_failures", "_histogram", "_started")

    def __init__(self, histogram: Histogram, label: str, failures: Counter | None = None) -> None:
        self._histogram: Histogram = histogram.labels(label)
        self._failures = failures.labels(label) if failures is not None else None
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._histogram.observe(time.perf_counter() - self._started)
        if error_type is not None and self._failures is not None:
            self._failures.inc()


def external_op(op: str) -> Timed:
    return Timed(EXTERNAL_OP_LATENCY, op, EXTERNAL_OP_FAILURES)
