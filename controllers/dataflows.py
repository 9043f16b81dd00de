"""The dataflows of one cluster: what its replicas must maintain, how far they are, and the holds
that keep what they read readable.

The descriptions, in the order they came, are the compacted history of the cluster: a replica that
connects gets them all, each with an `as_of` for its start, and keeps what it has already. Holds:

- from its creation on, a dataflow holds its `as_of` until the first replica has been told of it;
- each replica holds the `as_of` that it was told until it has the contents (hydration);
- a dataflow that writes a shard holds that shard's upper - 1 as long as it exists and the cluster
  has replicas, so that a restart resumes where it ended. One without replicas holds nothing, and
  resumes from the oldest time that is still readable: earlier contents cannot be asked for;
- an index holds nothing, unless it is further behind than LAG_US;
- a dropped dataflow holds nothing.

A dropped dataflow goes on until every since has passed its drop, so that no read from before it is
running or can start: what was planned with it can be read to its end.

A dataflow that fails is dropped and made anew after a while, first from where it was, then from the
oldest readable time, should the inputs have lost what lies before.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Set
from time import monotonic
from typing import Final

import msgspec
import structlog

from compute.dataflow_messages import (
    CreateDataflow,
    DataflowDescription,
    DataflowFrontier,
    DropDataflow,
    RetainDataflows,
    written_shards,
)
from compute.protocol import Command
from controllers.read_holds import ReadHold
from controllers.refusals import index_dropped
from controllers.storage_collections import StorageCollections
from core.errors import SqlError
from core.ids import MIN_TIMESTAMP, GlobalId, ShardId, Timestamp

LAG_US: Final = 5_000_000
FIRST_RETRY_S: Final = 0.1
MAX_RETRY_S: Final = 30.0
MAX_REMEMBERED_DROPS: Final = 1000
MAX_LOGGED_FAILURES: Final = 3  # of one dataflow on one replica, until it goes on

Send = Callable[[str, Command], None]
Advanced = Callable[[str, ShardId, Timestamp, bool], None]

_log: Final = structlog.get_logger("headwater.dataflows")


class ReplicaDataflow:
    """A dataflow on one replica: when it started there, and how far it is."""

    __slots__ = (
        "as_of",
        "error",
        "failures",
        "frontier",
        "hold",
        "hydration_s",
        "retry",
        "started_s",
    )

    def __init__(self, id: GlobalId) -> None:
        self.error: str | None = None
        self.started_s = 0.0
        self.hydration_s: float | None = None
        self.as_of = MIN_TIMESTAMP
        self.frontier = DataflowFrontier(id, MIN_TIMESTAMP)
        self.hold: ReadHold | None = None
        self.failures = 0
        self.retry: asyncio.TimerHandle | None = None

    def release(self) -> None:
        """Let go of the hold and of what is planned."""
        if self.hold is not None:
            self.hold.release()
            self.hold = None
        if self.retry is not None:
            self.retry.cancel()
            self.retry = None


class Dataflow:
    """A dataflow as the cluster knows it. `durable_upper` is that of its shards, if it has any."""

    __slots__ = ("description", "dropped_at", "durable_upper", "hold", "replicas")

    def __init__(
        self, description: DataflowDescription, hold: ReadHold | None, durable_upper: Timestamp
    ) -> None:
        self.description = description
        self.dropped_at: Timestamp | None = None
        self.hold = hold
        self.durable_upper = durable_upper
        self.replicas: dict[str, ReplicaDataflow] = {}

    @property
    def shards(self) -> tuple[ShardId, ...]:
        """The shards that it writes."""
        return written_shards(self.description.export)

    @property
    def upper(self) -> Timestamp:
        """The furthest that any replica is."""
        return max(
            (found.frontier.upper for found in self.replicas.values()), default=MIN_TIMESTAMP
        )

    @property
    def is_hydrated(self) -> bool:
        return any(found.frontier.is_hydrated for found in self.replicas.values())

    def set_hold(self, hold: ReadHold | None) -> None:
        """Replace the hold; the new one was taken before the old one goes."""
        if self.hold is not None:
            self.hold.release()
        self.hold = hold


class ClusterDataflows:
    """The dataflows of a cluster. Everything is synchronous; `send` reaches a connected replica,
    `advanced` is told by which replica a shard has moved, and whether it is to be compacted."""

    def __init__(self, collections: StorageCollections, send: Send, advanced: Advanced) -> None:
        self._collections = collections
        self._send = send
        self._advanced = advanced
        self._dataflows: dict[GlobalId, Dataflow] = {}
        self._written: dict[ShardId, Dataflow] = {}  # by whoever writes it
        self._connected: dict[str, None] = {}
        self._dropped: dict[GlobalId, Dataflow] = {}  # still maintained
        self._gone: OrderedDict[GlobalId, None] = OrderedDict()
        self._impossible: dict[GlobalId, SqlError] = {}
        self.has_replicas = False

    def __iter__(self) -> Iterator[Dataflow]:
        return iter([found for found in self._dataflows.values() if found.dropped_at is None])

    def __len__(self) -> int:
        return len(self._dataflows)

    def __contains__(self, id: GlobalId) -> bool:
        return id in self._dataflows

    def create(
        self,
        description: DataflowDescription,
        hold: ReadHold | None,
        durable_upper: Timestamp = MIN_TIMESTAMP,
    ) -> None:
        """Have a dataflow on every replica, in place of an earlier one of that id. `hold`, at its
        `as_of`, is ours from here on."""
        self._impossible.pop(description.id, None)
        old = self._dataflows.get(description.id)
        if old is not None:
            description = msgspec.structs.replace(description, as_of=old.description.as_of)
            if description == old.description and old.dropped_at is None:
                if hold is not None:
                    hold.release()
                return
            durable_upper = max(durable_upper, old.durable_upper)
        dataflow = Dataflow(description, hold, durable_upper)
        self._dataflows[description.id] = dataflow
        self._written.update((shard, dataflow) for shard in dataflow.shards)
        if old is not None:
            self._release(old)
            self._dropped.pop(description.id, None)
        for replica in self._connected:
            self._start(dataflow, replica)
        if self.has_replicas:
            self._settle_hold(dataflow)
        else:
            dataflow.set_hold(None)

    def drop(self, id: GlobalId, at: Timestamp) -> None:
        """`id` was dropped by the commit at `at`. No error if there is no such dataflow."""
        self._impossible.pop(id, None)
        dataflow = self._dataflows.get(id)
        if dataflow is None:
            self._forget(id)
            return
        dataflow.dropped_at = at
        self._release(dataflow)
        self._dropped[id] = dataflow
        self.end_dropped(self._collections.since())

    def end_dropped(self, since: Timestamp) -> None:
        """End dropped dataflows that no read at `since` or later was planned with, nor any other
        dataflow: those go on reading an index that was there when they were planned."""
        count = -1
        while self._dropped and len(self._dropped) != count:
            count = len(self._dropped)
            read = self._indexes_read()
            for id, dataflow in tuple(self._dropped.items()):
                is_over = dataflow.dropped_at is not None and dataflow.dropped_at <= since
                if is_over and id not in read:
                    self._end(id, dataflow)

    def _indexes_read(self) -> set[GlobalId]:
        """The indexes that dataflows were planned with."""
        return {
            source.index
            for dataflow in self._dataflows.values()
            for source in dataflow.description.sources
            if source.index is not None
        }

    def _end(self, id: GlobalId, dataflow: Dataflow) -> None:
        del self._dropped[id]
        del self._dataflows[id]
        for shard in dataflow.shards:
            self._written.pop(shard, None)
        self._release(dataflow)
        self._forget(id)
        for replica in self._connected:
            self._send(replica, DropDataflow(id))

    def _forget(self, id: GlobalId) -> None:
        self._gone[id] = None
        if len(self._gone) > MAX_REMEMBERED_DROPS:
            self._gone.popitem(last=False)

    def behind(self, shards: Set[ShardId], past: Timestamp) -> tuple[ShardId, ...]:
        """Those of `shards` that this cluster writes and that are not known to be past a time."""
        return tuple(
            shard
            for shard in shards
            if shard in self._written and self._written[shard].durable_upper <= past
        )

    def refuse(self, id: GlobalId, error: SqlError) -> None:
        """`id` cannot be described: who needs it is told so, until it is created."""
        self._impossible[id] = error

    def refusal(self, needed: tuple[GlobalId, ...]) -> SqlError | None:
        """Why what needs these dataflows is not to wait for them, if there is a reason."""
        for id in needed:
            if id in self._impossible:
                return self._impossible[id]
            if id in self._gone:
                return index_dropped(id)
        return None

    def close(self) -> None:
        """Let go of every hold."""
        for dataflow in self._dataflows.values():
            self._release(dataflow)
        self._dataflows.clear()
        self._written.clear()
        self._dropped.clear()

    def set_has_replicas(self, has_replicas: bool) -> None:
        """Whether the cluster is meant to have replicas, connected or not."""
        self.has_replicas = has_replicas
        if not has_replicas:
            for dataflow in self._dataflows.values():
                dataflow.set_hold(None)

    def connect(self, replica: str) -> None:
        """A replica serves: tell it everything."""
        self._connected[replica] = None
        for dataflow in self._dataflows.values():
            self._start(dataflow, replica)
            self._settle_hold(dataflow)
        self._send(replica, RetainDataflows(tuple(self._dataflows)))

    def disconnect(self, replica: str) -> None:
        """A replica is gone. No error if it was not connected."""
        self._connected.pop(replica, None)
        for dataflow in self._dataflows.values():
            found = dataflow.replicas.pop(replica, None)
            if found is not None:
                found.release()

    def able(
        self, replicas: Iterable[str], needed: tuple[GlobalId, ...], as_of: Timestamp
    ) -> list[str]:
        """Those of `replicas` that can read the dataflows `needed` at `as_of`: all that have the
        contents, else those that will."""
        ready: list[str] = []
        filling: list[str] = []
        for replica in replicas:
            is_ready = True
            for id in needed:
                dataflow = self._dataflows.get(id)
                found = None if dataflow is None else dataflow.replicas.get(replica)
                if found is None or found.retry is not None or as_of < found.as_of:
                    break
                is_ready = is_ready and found.frontier.is_hydrated
            else:
                (ready if is_ready else filling).append(replica)
        return ready or filling

    def since_of(self, id: GlobalId) -> Timestamp:
        """The oldest time at which some replica can be asked for an index."""
        dataflow = self._dataflows.get(id)
        if dataflow is None or not dataflow.replicas:
            return self._collections.newest()
        started = min(found.as_of for found in dataflow.replicas.values())
        kept = Timestamp(self._collections.newest() - dataflow.description.retain_history_us)
        return max(started, min(self._collections.since(), kept))

    def failure(self, needed: tuple[GlobalId, ...]) -> str | None:
        """Why one of these dataflows is not maintained, if one has failed."""
        for id in needed:
            dataflow = self._dataflows.get(id)
            for found in () if dataflow is None else dataflow.replicas.values():
                if found.error is not None:
                    return found.error
        return None

    def receive(self, replica: str, frontiers: Iterable[DataflowFrontier]) -> bool:
        """Take in what a replica tells; whether a dataflow got its contents there."""
        is_news = False
        for frontier in frontiers:
            dataflow = self._dataflows.get(frontier.id)
            found = None if dataflow is None else dataflow.replicas.get(replica)
            if dataflow is None or found is None:
                continue  # dropped meanwhile
            if frontier.error is not None:
                self._failed(dataflow, replica, found, frontier)
                continue
            found.frontier = frontier
            if frontier.is_hydrated and found.hydration_s is None:
                is_news = True
                found.hydration_s = monotonic() - found.started_s
                found.release()
                found.failures = 0
                found.error = None
            if frontier.durable_upper > dataflow.durable_upper:
                dataflow.durable_upper = frontier.durable_upper
                for shard in dataflow.shards if dataflow.dropped_at is None else ():
                    self._advanced(replica, shard, frontier.durable_upper, frontier.is_fragmented)
            self._settle_hold(dataflow)
        return is_news

    def _start(self, dataflow: Dataflow, replica: str) -> None:
        """Tell `replica` of a dataflow."""
        found = dataflow.replicas.get(replica)
        if found is None:
            found = dataflow.replicas[replica] = ReplicaDataflow(dataflow.description.id)
        found.frontier = DataflowFrontier(dataflow.description.id, MIN_TIMESTAMP)
        if found.failures > 1:
            dataflow.set_hold(None)
            found.release()
        found.started_s, found.hydration_s = monotonic(), None
        found.as_of = self._as_of(dataflow, found.failures)
        found.release()
        found.hold = self._collections.holds.acquire(found.as_of)
        description = msgspec.structs.replace(dataflow.description, as_of=found.as_of)
        self._send(replica, CreateDataflow(description))

    def _as_of(self, dataflow: Dataflow, failures: int) -> Timestamp:
        """When a dataflow may start now: no reader is at an earlier time, or ever will be."""
        if failures > 1:
            return max(dataflow.description.as_of, self._collections.oldest_readable())
        readable = self._collections.since()
        resumed = Timestamp(dataflow.durable_upper - 1)
        return max(dataflow.description.as_of, readable, resumed)

    def _settle_hold(self, dataflow: Dataflow) -> None:
        """Hold what this dataflow needs to go on, or to resume, apart from hydration."""
        if dataflow.dropped_at is not None:
            return
        if dataflow.shards and dataflow.durable_upper > MIN_TIMESTAMP:
            wanted = Timestamp(dataflow.durable_upper - 1)
        elif dataflow.is_hydrated:
            wanted = Timestamp(dataflow.upper - 1)
            if wanted > self._collections.newest() - LAG_US:
                dataflow.set_hold(None)
                return
        elif dataflow.replicas:
            dataflow.set_hold(None)  # each replica has its own
            return
        else:
            return
        if not self.has_replicas or (dataflow.hold is not None and dataflow.hold.ts == wanted):
            return
        if wanted >= self._collections.holds.since_floor:
            dataflow.set_hold(self._collections.holds.acquire(wanted))

    def _failed(
        self, dataflow: Dataflow, replica: str, found: ReplicaDataflow, frontier: DataflowFrontier
    ) -> None:
        id = frontier.id
        found.failures += 1
        found.error = frontier.error
        found.frontier = DataflowFrontier(id, MIN_TIMESTAMP)
        found.hydration_s = None
        if dataflow.dropped_at is not None:  # what it read may be gone before it is
            found.release()  # else it would hold back the since that ends it
            return
        if found.failures <= MAX_LOGGED_FAILURES:
            _log.error("dataflow_failed", id=id, replica=replica, error=frontier.error)
        if found.retry is not None:
            return
        delay_s = min(MAX_RETRY_S, FIRST_RETRY_S * 2 ** (found.failures - 1))

        def retry() -> None:
            found.retry = None
            if self._dataflows.get(id) is dataflow and dataflow.replicas.get(replica) is found:
                self._send(replica, DropDataflow(id))
                self._start(dataflow, replica)

        found.retry = asyncio.get_running_loop().call_later(delay_s, retry)

    def _release(self, dataflow: Dataflow) -> None:
        dataflow.set_hold(None)
        for found in dataflow.replicas.values():
            found.release()
