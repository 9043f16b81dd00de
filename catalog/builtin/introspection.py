"""What the process knows of itself and its replicas, as relations.

Their rows are made when a query of them starts (`controllers.introspection`), and are of that
moment, not of the query's time. Nothing that is maintained can read them.
"""

from typing import Final

from catalog.builtin.definitions import MZ_INTERNAL, introspection

INTROSPECTION_RELATIONS: Final = (
    introspection(
        322,
        MZ_INTERNAL,
        "mz_hydration_statuses",
        "object_id text!, replica_id text, hydrated bool!",
        comment="Whether a replica has computed an object's contents.",
    ),
    introspection(
        700,
        MZ_INTERNAL,
        "mz_frontiers",
        "object_id text!, read_frontier mz_timestamp, write_frontier mz_timestamp",
        comment="The times at which each collection can be read.",
    ),
    introspection(
        701,
        MZ_INTERNAL,
        "mz_cluster_replica_frontiers",
        "object_id text!, replica_id text!, write_frontier mz_timestamp",
        comment="How far each replica is with what it maintains.",
    ),
    introspection(
        702,
        MZ_INTERNAL,
        "mz_compute_hydration_statuses",
        "object_id text!, replica_id text!, hydrated bool!, hydration_time interval",
        comment="Whether, and how fast, a replica has computed what it maintains.",
    ),
    introspection(
        703,
        MZ_INTERNAL,
        "mz_materialization_lag",
        "object_id text!, local_lag interval, global_lag interval, slowest_local_input_id text, "
        "slowest_global_input_id text",
        comment="How far materialized views and indexes are behind what they read.",
    ),
    introspection(
        704,
        MZ_INTERNAL,
        "mz_wallclock_global_lag",
        "object_id text!, lag interval",
        comment="How far each collection is behind the clock.",
    ),
    introspection(
        705,
        MZ_INTERNAL,
        "mz_cluster_replica_statuses",
        "replica_id text!, process_id uint8!, status text!, reason text, updated_at timestamptz!",
        comment="Whether replicas serve, and since when.",
    ),
    introspection(
        706,
        MZ_INTERNAL,
        "mz_cluster_replica_metrics",
        "replica_id text!, process_id uint8!, cpu_nano_cores uint8, memory_bytes uint8, "
        "disk_bytes uint8",
        comment="What replicas use.",
    ),
    introspection(
        707,
        MZ_INTERNAL,
        "mz_dataflow_operators",
        "id uint8!, name text!, dataflow_id text!, replica_id text!",
        comment="The operators of what replicas maintain.",
    ),
    introspection(
        708,
        MZ_INTERNAL,
        "mz_arrangement_sizes",
        "operator_id uint8!, dataflow_id text!, replica_id text!, records int8!, size int8!",
        comment="What the operators keep: rows, and bytes of memory.",
    ),
    introspection(
        709,
        MZ_INTERNAL,
        "mz_scheduling_elapsed",
        "id uint8!, dataflow_id text!, replica_id text!, elapsed_ns int8!, rows_out int8!",
        comment="What the operators have cost since they were made.",
    ),
    introspection(
        710,
        MZ_INTERNAL,
        "mz_object_arrangement_sizes",
        "object_id text!, replica_id text!, records int8!, size int8!",
        comment="What replicas keep for each object that they maintain.",
    ),
    introspection(
        711,
        MZ_INTERNAL,
        "mz_subscriptions",
        "id text!, cluster_id text!, created_at timestamptz!, referenced_object_ids text[]!",
        comment="Subscriptions that run now.",
    ),
)
