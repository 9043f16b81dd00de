"""Random lives of dataflows and replicas: whatever happens, what must stay readable is held, every
replica knows what it must, and nothing is held in the end."""

from hypothesis import given, settings
from hypothesis import strategies as st

from compute.dataflow_messages import (
    CollectionSource,
    CreateDataflow,
    DataflowDescription,
    DataflowFrontier,
    DropDataflow,
    IndexExport,
    SinkExport,
)
from compute.protocol import Command
from controllers.dataflows import ClusterDataflows
from controllers.read_holds import ReadHold, ReadHolds
from controllers.storage_collections import StorageCollections
from core.ids import GlobalId, ShardId, Timestamp, new_shard_id
from core.sql_types import INT4, Column, RelationDesc
from expr.relation import Get

TABLE = CollectionSource(GlobalId("u1"), new_shard_id())
DESC = RelationDesc((Column("a", INT4),))
REPLICAS = ("a", "b")
SECOND = 1_000_000

ACTIONS = (
    "create index",
    "create view",
    "drop",
    "connect",
    "disconnect",
    "report",
    "read",
    "end read",
    "advance",
    "scale",
)


class Life:
    """One cluster under random actions, and what its replicas were told."""

    def __init__(self) -> None:
        self.now = Timestamp(100 * SECOND)
        self.holds = ReadHolds()
        self.collections = StorageCollections(
            self.holds, lambda: Timestamp(self.now + 1), lambda: SECOND
        )
        self.told: dict[str, dict[GlobalId, Timestamp]] = {}
        self.dataflows = ClusterDataflows(self.collections, self._send, self._ignore)
        self.dataflows.set_has_replicas(True)
        self.wanted: dict[GlobalId, Timestamp] = {}
        self.durable: dict[GlobalId, Timestamp] = {}
        self.reads: list[tuple[ReadHold, tuple[GlobalId, ...]]] = []  # and the indexes they need
        self.count = 1

    def _send(self, replica: str, command: Command) -> None:
        if isinstance(command, CreateDataflow):
            self.told[replica][command.description.id] = command.description.as_of
        elif isinstance(command, DropDataflow):
            self.told[replica].pop(command.id, None)

    def _ignore(self, replica: str, shard: ShardId, upper: Timestamp, is_fragmented: bool) -> None:
        del replica, shard, upper, is_fragmented

    def act(self, action: str, number: int) -> None:
        replica = REPLICAS[number % 2]
        match action:
            case "create index":
                self._create(IndexExport(TABLE.id, ()))
            case "create view":
                self._create(SinkExport(new_shard_id(), DESC))
            case "drop" if self.wanted:
                self.now = Timestamp(self.now + 1)
                id = sorted(self.wanted)[number % len(self.wanted)]
                del self.wanted[id]
                self.durable.pop(id, None)
                self.dataflows.drop(id, self.now)
            case "connect" if replica not in self.told and self.dataflows.has_replicas:
                self.told[replica] = {}
                self.dataflows.connect(replica)
            case "disconnect" if replica in self.told:
                del self.told[replica]
                self.dataflows.disconnect(replica)
            case "report" if self.told.get(replica):
                known = self.told[replica]
                self._report(replica, sorted(known)[number % len(known)], number)
            case "read":
                hold = self.holds.acquire(self.now)
                indexes = tuple(id for id in self.wanted if id not in self.durable)
                self.reads.append((hold, indexes))
            case "end read" if self.reads:
                hold, _ = self.reads.pop(number % len(self.reads))
                hold.release()
            case "advance":
                self.now = Timestamp(self.now + number * SECOND // 4)
                self.dataflows.end_dropped(self.collections.since())
            case "scale":
                for connected in tuple(self.told):
                    self.act("disconnect", REPLICAS.index(connected))
                self.dataflows.set_has_replicas(number % 2 == 0)
                if number % 2:  # nothing is held for views that stand still
                    self.durable = dict.fromkeys(self.durable, Timestamp(0))
            case _:
                pass

    def _create(self, export: IndexExport | SinkExport) -> None:
        self.count += 1
        self.now = Timestamp(self.now + 1)
        id = GlobalId(f"u{self.count}")
        self.wanted[id] = self.now
        if isinstance(export, SinkExport):
            self.durable[id] = Timestamp(0)
        relation = Get(TABLE.id, (INT4,))
        description = DataflowDescription(id, relation, (TABLE,), self.now, export)
        self.dataflows.create(description, self.holds.acquire(self.now))

    def _report(self, replica: str, id: GlobalId, number: int) -> None:
        as_of = self.told[replica][id]
        upper = Timestamp(max(as_of + 1, self.now - number % 3 * SECOND))
        durable = Timestamp(0)
        if id in self.durable:
            durable = self.durable[id] = max(self.durable[id], upper)
        frontier = DataflowFrontier(id, upper, durable, is_hydrated=True)
        self.dataflows.receive(replica, [frontier])

    def settle(self, replica: str, id: GlobalId) -> None:
        """A dropped dataflow gets its contents at last, or fails."""
        if int(id[1:]) % 2:
            self._report(replica, id, 0)
        else:
            frontier = DataflowFrontier(id, Timestamp(0), error="lost a part")
            self.dataflows.receive(replica, [frontier])

    def check(self) -> None:
        """What must hold after every action."""
        since = self.collections.since()
        for hold, _ in self.reads:
            assert since <= hold.ts
        for known in self.told.values():
            assert set(self.wanted) <= set(known)
        for hold, ids in self.reads:
            for replica in self.told:
                assert self.dataflows.able([replica], ids, hold.ts) == [replica]
        if self.dataflows.has_replicas:
            for durable in self.durable.values():
                assert not durable or since < durable


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 20)), min_size=30, max_size=60))
def test_random_lives(actions: list[tuple[str, int]]) -> None:
    life = Life()
    for action, number in actions:
        life.act(action, number)
        life.check()
    for id in tuple(life.wanted):
        life.dataflows.drop(id, life.now)
    for hold, _ in life.reads:
        hold.release()
    for replica, known in life.told.items():
        for id in tuple(known):
            life.settle(replica, id)
    life.now = Timestamp(life.now + 60 * SECOND)
    life.dataflows.end_dropped(life.collections.since())
    assert life.holds.count == 0
    assert all(known == {} for known in life.told.values())
