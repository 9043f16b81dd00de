"""What a replica reports about itself. Only `compute.clusterd` imports this: environmentd shows
these families with the label `replica`."""

from typing import Final

from prometheus_client import Gauge

from core.metrics import LoopCounter, LoopHistogram

SECONDS: Final = tuple(8e-6 * 2**power for power in range(23))  # 8 µs to 33 s

PEEK_SECONDS: Final = LoopHistogram(
    "mz_compute_replica_peek_seconds",
    "Time from a peek's arrival at the replica to its last row, in seconds.",
    buckets=SECONDS,
)
RUNNING_REQUESTS: Final = Gauge(
    "mz_compute_replica_running_requests", "Requests that are neither answered nor cancelled."
)
RENDERED_PLANS: Final = LoopCounter(
    "mz_compute_replica_rendered_plans", "Work descriptions compiled (not found compiled)."
)
RESULT_BYTES: Final = LoopCounter("mz_compute_replica_result_bytes", "Bytes of results sent.")
COPY_ROWS: Final = LoopCounter("mz_compute_replica_copy_rows", "Rows parsed from COPY input.")
STAGED_ROWS: Final = LoopCounter("mz_compute_replica_staged_rows", "Updates staged in batches.")
LOADS: Final = LoopCounter("mz_compute_replica_loads", "Collections loaded from snapshots.")
LOADED_ROWS: Final = LoopCounter("mz_compute_replica_loaded_rows", "Rows loaded from snapshots.")
CACHED_COLLECTIONS: Final = Gauge(
    "mz_compute_replica_cached_collections", "Collections kept in memory."
)
CACHE_BYTES: Final = Gauge(
    "mz_compute_replica_cache_bytes", "Estimated size of the collections kept in memory."
)
LOOP_LAG_SECONDS: Final = LoopHistogram(
    "mz_compute_replica_loop_lag_seconds",
    "How late a timer of the replica's event loop fired, in seconds.",
    buckets=SECONDS,
)
ARRANGEMENT_BYTES: Final = Gauge(
    "mz_compute_replica_arrangement_size_bytes",
    "Estimated size of what maintained dataflows keep in memory.",
)
ARRANGEMENT_RECORDS: Final = Gauge(
    "mz_compute_replica_arrangement_records",
    "Rows and groups that maintained dataflows keep in memory.",
)
DATAFLOWS: Final = Gauge("mz_compute_replica_dataflows", "Dataflows that are maintained.")
SINK_UPDATES: Final = LoopCounter(
    "mz_compute_replica_sink_updates", "Updates appended to shards of materialized views."
)
SINK_CORRECTIONS: Final = LoopCounter(
    "mz_compute_replica_sink_corrections",
    "Updates among them that set right what a shard held, not having changed in the view.",
)
SINK_APPEND_SECONDS: Final = LoopHistogram(
    "mz_compute_replica_sink_append_seconds",
    "Time of one statement that appends the output of sinks, in seconds.",
    buckets=SECONDS,
)
SOURCE_TICKS: Final = LoopCounter("mz_compute_replica_source_ticks", "Ticks of load generators.")
