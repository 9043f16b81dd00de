"""Metrics of the coordinator and the committer. Label values are command kinds: a closed set."""

from typing import Final

from prometheus_client import Counter, Histogram

_FROM_8_US: Final = tuple(8e-6 * 2**n for n in range(24))
_FROM_128_US: Final = tuple(128e-6 * 2**n for n in range(23))
_COUNTS: Final = tuple(float(2**n) for n in range(12))

MESSAGE_SECONDS: Final = Histogram(
    "mz_slow_message_handling",
    "Time the coordinator spent on one message.",
    ["message_kind"],
    buckets=_FROM_128_US,
)
QUEUE_WAIT_SECONDS: Final = Histogram(
    "mz_coordinator_queue_wait_seconds",
    "Time a message waited in the coordinator's queue.",
    ["message_kind"],
    buckets=_FROM_8_US,
)
QUEUE_BUSY_SECONDS: Final = Histogram(
    "mz_coord_queue_busy_seconds",
    "Time the coordinator's task was busy with one batch of messages.",
    buckets=_FROM_8_US,
)
BATCH_SIZE: Final = Histogram(
    "mz_coordinator_message_batch_size",
    "Messages the coordinator took from its queue at once.",
    buckets=_COUNTS,
)
SLOW_HANDLERS: Final = Counter(
    "mz_coordinator_slow_messages",
    "Messages whose handling passed the watchdog's limit.",
    ["message_kind"],
)
EVENT_LOOP_LAG_SECONDS: Final = Histogram(
    "mz_event_loop_lag_seconds",
    "How late a timer of the event loop ran.",
    buckets=_FROM_8_US,
)
GROUP_COMMIT_SIZE: Final = Histogram(
    "mz_group_commit_requests",
    "Requests in one durable commit.",
    buckets=_COUNTS,
)
COMMIT_SECONDS: Final = Histogram(
    "mz_append_table_duration_seconds",
    "Time of one durable commit of table writes.",
    buckets=_FROM_8_US,
)
CATALOG_COMMIT_SECONDS: Final = Histogram(
    "mz_catalog_transaction_commit_latency_seconds",
    "Time of one durable commit with a catalog change.",
    buckets=_FROM_8_US,
)
CATALOG_TRANSACT_SECONDS: Final = Histogram(
    "mz_catalog_transact_seconds",
    "Time from a catalog transaction's arrival at the committer to its answer.",
    ["method"],
    buckets=_FROM_8_US,
)
CATALOG_PHASE_SECONDS: Final = Histogram(
    "mz_catalog_transact_phase_seconds",
    "Time of the phases of a commit with a catalog change.",
    ["phase"],
    buckets=_FROM_8_US,
)
IMPLICATIONS_SECONDS: Final = Histogram(
    "mz_apply_catalog_implications_seconds",
    "Time to carry out what a catalog change implies, off the critical path.",
    buckets=_FROM_8_US,
)
VALIDATION_FAILURES: Final = Counter(
    "mz_commit_validation_failures",
    "Requests refused at validation, by reason.",
    ["reason"],
)
