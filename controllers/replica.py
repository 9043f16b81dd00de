"""A replica as its cluster sees it, and what the catalog says there is to run."""

import asyncio
from dataclasses import dataclass

from compute.dataflow_messages import ArrangementSize
from compute.protocol import Status
from controllers.orchestrator import ReplicaEvent
from controllers.replica_connection import ReplicaConnection
from core.ids import MIN_TIMESTAMP, Timestamp


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """A replica to run; ids are for ever, names are for messages."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """A cluster to run, with exactly these replicas."""

    id: str
    name: str
    replicas: tuple[ReplicaSpec, ...]


def process_name(cluster_id: str, replica_id: str) -> str:
    """What the orchestrator, logs and metrics call a replica."""
    return f"{cluster_id}-replica-{replica_id}"


class Replica:
    """One replica. `connection` is None while it is not connected; `changed_at` is when it began or
    ceased to serve, in microseconds since the Unix epoch."""

    def __init__(self, process: str, spec: ReplicaSpec) -> None:
        self.process = process
        self.spec = spec
        self.connection: ReplicaConnection | None = None
        self.serves = False
        self.changed_at = Timestamp(0)
        self.is_stuck = False  # its process must be ended
        self.status: Status | None = None
        self.sizes: tuple[ArrangementSize, ...] = ()
        self.last_end: ReplicaEvent | None = None
        self.end_count = 0  # of its process, since it last served
        self.upper = MIN_TIMESTAMP
        self.task: asyncio.Task[None] | None = None
