"""The dataflows of a cluster: what replicas are told, when they start, what is held for them."""

import asyncio

import msgspec
import pytest

from compute.dataflow_messages import (
    CollectionSource,
    CreateDataflow,
    DataflowDescription,
    DataflowFrontier,
    DropDataflow,
    IndexExport,
    RetainDataflows,
    SinkExport,
)
from compute.protocol import Command
from controllers import dataflows
from controllers.dataflows import ClusterDataflows
from controllers.read_holds import ReadHolds
from controllers.storage_collections import StorageCollections
from core.errors import UNDEFINED_OBJECT, SqlError
from core.ids import GlobalId, ShardId, Timestamp, new_shard_id
from core.sql_types import INT4, Column, RelationDesc
from expr.relation import Get

TABLE = CollectionSource(GlobalId("u1"), new_shard_id())
INDEX, VIEW = GlobalId("u2"), GlobalId("u3")
VIEW_SHARD = new_shard_id()
DESC = RelationDesc((Column("a", INT4),))
SECOND = 1_000_000


def index(as_of: int) -> DataflowDescription:
    export = IndexExport(TABLE.id, ())
    return DataflowDescription(INDEX, Get(TABLE.id, (INT4,)), (TABLE,), Timestamp(as_of), export)


def view(as_of: int) -> DataflowDescription:
    export = SinkExport(VIEW_SHARD, DESC)
    return DataflowDescription(VIEW, Get(TABLE.id, (INT4,)), (TABLE,), Timestamp(as_of), export)


class Cluster:
    """Dataflows under a clock that the test moves; sinces follow it without a lag."""

    def __init__(self) -> None:
        self.now = 100 * SECOND
        self.sent: list[tuple[str, Command]] = []
        self.has_sent = asyncio.Event()
        self.advanced: list[tuple[str, ShardId, Timestamp]] = []
        self.holds = ReadHolds()
        collections = StorageCollections(self.holds, lambda: Timestamp(self.now + 1), lambda: 0)
        self.collections = collections
        self.dataflows = ClusterDataflows(
            collections,
            self._send,
            lambda replica, shard, upper, _: self.advanced.append((replica, shard, upper)),
        )
        self.dataflows.set_has_replicas(True)

    def _send(self, replica: str, command: Command) -> None:
        self.sent.append((replica, command))
        self.has_sent.set()

    def create(self, description: DataflowDescription, durable_upper: int = 0) -> None:
        hold = self.holds.acquire(description.as_of)
        self.dataflows.create(description, hold, Timestamp(durable_upper))

    def report(self, replica: str, id: GlobalId, upper: int, durable: int = 0) -> None:
        frontier = DataflowFrontier(id, Timestamp(upper), Timestamp(durable), is_hydrated=True)
        self.dataflows.receive(replica, [frontier])

    def fail(self, replica: str, id: GlobalId) -> None:
        self.dataflows.receive(replica, [DataflowFrontier(id, Timestamp(0), error="lost a part")])

    def starts(self, replica: str) -> list[tuple[GlobalId, Timestamp]]:
        """What the replica was told to maintain, and from when on, since the last call."""
        found = [
            (command.description.id, command.description.as_of)
            for name, command in self.sent
            if name == replica and isinstance(command, CreateDataflow)
        ]
        self.sent.clear()
        self.has_sent.clear()
        return found


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_a_new_dataflow_holds_its_start_until_a_replica_has_it(cluster: Cluster) -> None:
    cluster.create(index(100 * SECOND))
    cluster.now += 50 * SECOND
    assert cluster.collections.since() == 100 * SECOND
    cluster.dataflows.connect("a")
    assert cluster.starts("a") == [(INDEX, 100 * SECOND)]
    assert cluster.collections.since() == 100 * SECOND
    cluster.report("a", INDEX, cluster.now)
    assert cluster.collections.since() == cluster.now
    assert cluster.holds.count == 0


def test_a_replica_that_connects_is_told_everything_in_order(cluster: Cluster) -> None:
    cluster.dataflows.connect("a")
    cluster.create(index(100 * SECOND))
    cluster.create(view(100 * SECOND))
    assert [id for id, _ in cluster.starts("a")] == [INDEX, VIEW]
    cluster.dataflows.connect("b")
    assert cluster.sent[-1] == ("b", RetainDataflows((INDEX, VIEW)))
    assert [id for id, _ in cluster.starts("b")] == [INDEX, VIEW]
    cluster.dataflows.drop(INDEX, Timestamp(cluster.now))
    assert cluster.sent == [("a", DropDataflow(INDEX)), ("b", DropDataflow(INDEX))]


def test_what_is_dropped_goes_on_while_a_read_from_before_may_need_it(cluster: Cluster) -> None:
    cluster.dataflows.connect("a")
    cluster.create(index(100 * SECOND))
    cluster.create(view(100 * SECOND))
    read = cluster.holds.acquire(Timestamp(cluster.now))
    cluster.now += 10 * SECOND
    dropped_at = Timestamp(cluster.now)
    for id in (INDEX, VIEW):
        cluster.dataflows.drop(id, dropped_at)
    assert list(cluster.dataflows) == []
    assert cluster.holds.count == 1
    cluster.sent.clear()
    cluster.dataflows.end_dropped(cluster.collections.since())
    assert cluster.dataflows.able(["a"], (INDEX,), read.ts) == ["a"]
    assert cluster.sent == []
    read.release()
    cluster.dataflows.end_dropped(cluster.collections.since())
    assert cluster.sent == [("a", DropDataflow(INDEX)), ("a", DropDataflow(VIEW))]
    refusal = cluster.dataflows.refusal((INDEX,))
    assert refusal is not None and refusal.sqlstate == UNDEFINED_OBJECT


def test_a_dropped_index_goes_on_for_those_that_were_planned_with_it(cluster: Cluster) -> None:
    cluster.dataflows.connect("a")
    cluster.create(index(100 * SECOND))
    through_index = msgspec.structs.replace(TABLE, index=INDEX)
    cluster.create(msgspec.structs.replace(view(100 * SECOND), sources=(through_index,)))
    cluster.dataflows.drop(INDEX, Timestamp(cluster.now))
    assert [found.description.id for found in cluster.dataflows] == [VIEW]
    cluster.dataflows.connect("b")
    assert [id for id, _ in cluster.starts("b")] == [INDEX, VIEW]
    cluster.dataflows.drop(VIEW, Timestamp(cluster.now))
    ended = [command for name, command in cluster.sent if name == "b"]
    assert ended == [DropDataflow(VIEW), DropDataflow(INDEX)]
    assert len(cluster.dataflows) == 0


def test_a_restarted_replica_resumes_views_and_fills_indexes_from_what_is_readable(
    cluster: Cluster,
) -> None:
    cluster.dataflows.connect("a")
    cluster.create(index(100 * SECOND))
    cluster.create(view(100 * SECOND))
    cluster.now += 10 * SECOND
    cluster.report("a", INDEX, cluster.now)
    cluster.report("a", VIEW, cluster.now, durable=cluster.now - SECOND)
    assert cluster.advanced == [("a", VIEW_SHARD, cluster.now - SECOND)]
    cluster.now += 10 * SECOND
    resumed = cluster.now - 11 * SECOND - 1
    assert cluster.collections.since() == resumed
    cluster.dataflows.disconnect("a")
    assert cluster.collections.since() == resumed
    cluster.starts("a")
    cluster.dataflows.connect("a")
    assert cluster.starts("a") == [(INDEX, resumed), (VIEW, resumed)]


def test_no_running_read_loses_its_time_when_a_replica_restarts(cluster: Cluster) -> None:
    cluster.create(index(100 * SECOND))
    cluster.dataflows.connect("a")
    cluster.report("a", INDEX, cluster.now)
    read = cluster.holds.acquire(Timestamp(cluster.now))
    cluster.now += 60 * SECOND
    cluster.dataflows.disconnect("a")
    cluster.dataflows.connect("a")
    assert cluster.dataflows.able(["a"], (INDEX,), read.ts) == ["a"]


def test_reads_go_to_replicas_that_have_the_contents(cluster: Cluster) -> None:
    assert cluster.dataflows.able(["a"], (INDEX,), Timestamp(cluster.now)) == []
    cluster.create(index(100 * SECOND))
    for replica in "ab":
        cluster.dataflows.connect(replica)
    able = cluster.dataflows.able
    assert able(["a", "b"], (INDEX,), Timestamp(cluster.now)) == ["a", "b"]
    cluster.report("b", INDEX, cluster.now)
    assert able(["a", "b"], (INDEX,), Timestamp(cluster.now)) == ["b"]
    assert able(["a", "b"], (INDEX,), Timestamp(99 * SECOND)) == []
    assert able(["a", "b"], (INDEX, VIEW), Timestamp(cluster.now)) == []


def test_a_cluster_without_replicas_holds_nothing(cluster: Cluster) -> None:
    cluster.create(view(100 * SECOND), durable_upper=50 * SECOND)
    assert cluster.collections.since() == 50 * SECOND - 1
    cluster.dataflows.set_has_replicas(False)
    assert cluster.holds.count == 0
    cluster.now += 60 * SECOND
    cluster.create(index(cluster.now))
    assert cluster.collections.since() == cluster.now
    cluster.dataflows.set_has_replicas(True)
    cluster.dataflows.connect("a")
    assert cluster.starts("a") == [(VIEW, cluster.now), (INDEX, cluster.now)]


def test_an_index_that_lags_holds_what_it_has_still_to_read(cluster: Cluster) -> None:
    cluster.create(index(100 * SECOND))
    cluster.dataflows.connect("a")
    cluster.now += 60 * SECOND
    cluster.report("a", INDEX, 110 * SECOND)
    assert cluster.collections.since() == 110 * SECOND - 1
    cluster.report("a", INDEX, cluster.now)
    assert cluster.holds.count == 0


async def test_a_dataflow_that_fails_is_made_anew(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataflows, "FIRST_RETRY_S", 0.0)
    cluster.create(view(100 * SECOND), durable_upper=100 * SECOND)
    cluster.dataflows.connect("a")
    cluster.starts("a")
    cluster.now += SECOND

    async def fail_once() -> list[tuple[GlobalId, Timestamp]]:
        cluster.fail("a", VIEW)
        await cluster.has_sent.wait()
        assert cluster.sent[0] == ("a", DropDataflow(VIEW))
        return cluster.starts("a")

    assert await fail_once() == [(VIEW, 100 * SECOND)]
    assert await fail_once() == [(VIEW, cluster.now)]  # its inputs may have lost the time before
    cluster.fail("a", VIEW)
    cluster.dataflows.drop(VIEW, Timestamp(cluster.now))
    assert cluster.holds.count == 0


def test_an_altered_definition_that_means_the_same_changes_nothing(cluster: Cluster) -> None:
    cluster.create(index(100 * SECOND))
    cluster.dataflows.connect("a")
    cluster.report("a", INDEX, cluster.now)
    cluster.starts("a")
    cluster.create(index(cluster.now))
    assert cluster.sent == []
    assert cluster.holds.count == 0


def test_what_waits_for_the_impossible_is_told(cluster: Cluster) -> None:
    assert cluster.dataflows.refusal((INDEX,)) is None
    error = SqlError("XX000", "cannot maintain")
    cluster.dataflows.refuse(INDEX, error)
    assert cluster.dataflows.refusal((VIEW, INDEX)) is error
    cluster.create(index(100 * SECOND))
    assert cluster.dataflows.refusal((INDEX,)) is None
    cluster.dataflows.drop(VIEW, Timestamp(cluster.now))
    refusal = cluster.dataflows.refusal((VIEW,))
    assert refusal is not None and refusal.sqlstate == UNDEFINED_OBJECT
