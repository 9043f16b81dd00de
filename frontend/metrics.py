"""Metrics of sessions and statements. Every label value comes from a fixed set.

Children of labelled metrics are looked up once and kept. Names are the ones that dashboards made
for Materialize know.
"""

from functools import lru_cache
from typing import Final

from prometheus_client import Counter, Gauge

from core.metrics import LoopCounter, LoopHistogram
from sql.parse import StatementKind

LATENCY_BUCKETS: Final = tuple(2.0**n * 8e-6 for n in range(0, 24, 2))

QUERIES: Final = LoopCounter(
    "mz_query_total",
    "Statements executed.",
    ["session_type", "statement_type"],
)
ACTIVE_SESSIONS: Final = Gauge("mz_active_sessions", "Sessions now open.", ["session_type"])
ACTIVE_SUBSCRIBES: Final = Gauge(
    "mz_active_subscribes", "Subscriptions now running.", ["session_type"]
)
TIME_TO_FIRST_ROW: Final = LoopHistogram(
    "mz_time_to_first_row_seconds",
    "From the arrival of a read to its first row.",
    ["instance_id", "isolation_level", "strategy"],
    buckets=LATENCY_BUCKETS,
)
DETERMINE_TIMESTAMP: Final = LoopCounter(
    "mz_determine_timestamp",
    "Timestamps chosen for reads.",
    ["respond_immediately", "isolation_level", "compute_instance"],
)
PARSE_SECONDS: Final = LoopHistogram(
    "mz_parse_seconds", "Time to parse a statement text.", buckets=LATENCY_BUCKETS
)
MESSAGE_SECONDS: Final = LoopHistogram(
    "mz_pgwire_message_processing_seconds",
    "Time to process one message of a client.",
    ["message_type"],
    buckets=LATENCY_BUCKETS,
)
CANCELED_PEEKS: Final = Counter("mz_canceled_peeks", "Reads that were cancelled.")
CONNECTIONS_REFUSED: Final = Counter(
    "mz_connections_refused", "Connections refused before a session began.", ["reason"]
)
CHECK_RUNS: Final = Counter("mz_check_view_runs", "Checks of maintained views that ended.")
CHECK_MISMATCHES: Final = Counter(
    "mz_check_view_mismatches", "Checks that found a maintained view to be wrong."
)
CHECK_MISMATCHED_ROWS: Final = Counter(
    "mz_check_view_mismatched_rows", "Different rows that such checks found."
)
WRITE_CONFLICTS: Final = Counter(
    "mz_optimistic_write_conflicts", "Writes tried again since something they read had changed."
)


def session_type(is_internal: bool) -> str:
    """The label of a session by the port it came through."""
    return "system" if is_internal else "user"


@lru_cache(maxsize=256)
def query_counter(session: str, kind: StatementKind) -> Counter:
    return QUERIES.labels(session, kind.value)


@lru_cache(maxsize=64)
def message_histogram(message_type: str) -> LoopHistogram:
    return MESSAGE_SECONDS.labels(message_type)


MAX_CLUSTER_LABELS: Final = 100
_cluster_labels: set[str] = set()


@lru_cache(maxsize=256)
def cluster_label(cluster: str) -> str:
    """The cluster's name while there are few of them, else `other`."""
    if cluster not in _cluster_labels and len(_cluster_labels) >= MAX_CLUSTER_LABELS:
        return "other"
    _cluster_labels.add(cluster)
    return cluster


@lru_cache(maxsize=512)
def first_row_histogram(cluster: str, isolation: str, strategy: str) -> LoopHistogram:
    return TIME_TO_FIRST_ROW.labels(cluster_label(cluster), isolation, strategy)


@lru_cache(maxsize=512)
def timestamp_counter(isolation: str, cluster: str) -> Counter:
    return DETERMINE_TIMESTAMP.labels("true", isolation, cluster_label(cluster))
