"""What catalog changes imply for clusters, shards and dataflows, and the order of it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from catalog.operations import (
    AlterCluster,
    CreateCluster,
    CreateIndex,
    CreateMaterializedView,
    DropClusters,
    DropItems,
    ForgetFinalizedShards,
    Operation,
    RenameCluster,
    SetSystemParameter,
)
from catalog.state import Catalog
from compute.dataflow_messages import (
    CollectionKind,
    CollectionSource,
    DataflowDescription,
    IndexExport,
    SinkExport,
)
from controllers.read_holds import ReadHold, ReadHolds
from controllers.replica import ClusterSpec, ReplicaSpec
from controllers.storage_collections import StorageCollections
from coordinator.committer import CatalogChange
from coordinator.implications import Implications, implications
from coordinator.implications_task import ImplicationsTask
from coordinator.published import PublishedCatalog
from core.errors import SqlError
from core.ids import MIN_TIMESTAMP, GlobalId, ShardId, Timestamp, new_shard_id
from core.sql_types import RelationDesc
from sql.catalog_view import QualifiedName
from tests.catalog.catalogs import DESC, after, item_id, new_catalog, table

MV_SHARD = new_shard_id()


def test_at_boot_everything_is_implied() -> None:
    catalog = new_catalog()
    todo = implications(Catalog(), catalog, catalog.items)
    assert sorted(todo.clusters_to_run, key=lambda spec: spec.id) == [
        ClusterSpec("s2", "mz_catalog_server", (ReplicaSpec("s1", "r1"),)),
        ClusterSpec("u1", "quickstart", (ReplicaSpec("u1", "r1"),)),
    ]
    assert todo.to_maintain == ()
    assert todo.shards_to_finalize == ()


def implied(old: Catalog, new: Catalog) -> Implications:
    return implications(old, new, {*old.items, *new.items})


def test_only_differences_are_implied() -> None:
    catalog = new_catalog()
    made = after(catalog, table("t"))
    assert implied(catalog, made) == Implications()
    dropped = after(made, DropItems((item_id(made, "t"),)))
    assert implied(made, dropped).shards_to_finalize == tuple(dropped.unfinalized)
    assert implied(dropped, dropped) == Implications()
    forgotten = after(dropped, ForgetFinalizedShards(tuple(dropped.unfinalized)))
    assert implied(dropped, forgotten) == Implications()
    limited = after(catalog, SetSystemParameter("compute_memory_limit", "64MB"))
    assert implied(catalog, limited).limits is not None
    assert implied(limited, after(limited, table("u"))) == Implications()


def view_of(catalog: Catalog, name: str, used: str, **options: object) -> CreateMaterializedView:
    """CREATE MATERIALIZED VIEW name AS SELECT * FROM used."""
    prefix = "materialize.public"
    text = f"IN CLUSTER quickstart AS SELECT * FROM {prefix}.{used}"
    values: dict[str, object] = {
        "name": QualifiedName("materialize", "public", name),
        "desc": DESC,
        "create_sql": f"CREATE MATERIALIZED VIEW {prefix}.{name} {text}",
        "depends_on": frozenset({item_id(catalog, used)}),
        "owner": "materialize",
        "cluster": "quickstart",
        "shard": MV_SHARD,
    }
    return CreateMaterializedView(**(values | options))  # type: ignore[arg-type]


def index_on(catalog: Catalog, name: str, used: str) -> CreateIndex:
    """CREATE INDEX name ON used (a)."""
    text = f"IN CLUSTER quickstart ON materialize.public.{used} (a)"
    return CreateIndex(
        name=name,
        on=item_id(catalog, used),
        key=(1,),
        desc=RelationDesc(DESC.columns[:1]),
        create_sql=f"CREATE INDEX {name} {text}",
        owner="materialize",
        cluster="quickstart",
    )


class RecordingControllers:
    """The compute controller and the written shards, as far as implications see them."""

    def __init__(self) -> None:
        self.running: dict[str, ClusterSpec] = {}
        self.dropped_dataflows: set[GlobalId] = set()
        self.expected: dict[str, ClusterSpec] = {}
        self.dataflows: dict[GlobalId, DataflowDescription] = {}
        self.holds: dict[GlobalId, ReadHold | None] = {}
        self.refused: dict[GlobalId, SqlError] = {}
        self.uppers: dict[ShardId, Timestamp] = {}
        self.finalized: list[ShardId] = []
        self.dropped: dict[GlobalId, str] = {}

    def expect_cluster(self, spec: ClusterSpec) -> None:
        self.expected[spec.id] = spec

    def ensure_cluster(self, spec: ClusterSpec) -> None:
        self.running[spec.id] = spec

    def drop_cluster(self, cluster: str) -> None:
        del self.running[cluster]

    def create_dataflow(
        self,
        cluster: str,
        description: DataflowDescription,
        hold: ReadHold | None,
        durable_upper: Timestamp,
    ) -> None:
        assert cluster in self.running
        assert durable_upper == self.uppers.get(MV_SHARD, MIN_TIMESTAMP) or not isinstance(
            description.export, SinkExport
        )
        self.dataflows[description.id] = description
        self.holds[description.id] = hold

    def drop_dataflow(self, cluster: str, id: GlobalId, at: Timestamp) -> None:
        assert cluster in self.running
        self.dropped_dataflows.add(id)
        self.dataflows.pop(id, None)
        hold = self.holds.pop(id, None)
        if hold is not None:
            hold.release()

    def refuse_dataflow(self, cluster: str, id: GlobalId, error: SqlError) -> None:
        self.refused[id] = error

    def end_subscriptions(self, dropped: Mapping[GlobalId, str]) -> None:
        self.dropped.update(dropped)

    def forget_shards(self, shards: Iterable[ShardId]) -> None:
        assert set(shards) == {MV_SHARD}

    def update_configuration(self, query_memory_bytes: int, collection_cache_bytes: int) -> None:
        raise AssertionError("no limit has changed")

    async def open(self, sinces: Mapping[ShardId, Timestamp]) -> None:
        for shard in sinces:
            self.uppers.setdefault(shard, MIN_TIMESTAMP)

    def upper(self, shard: ShardId) -> Timestamp:
        return self.uppers[shard]

    def forget(self, shard: ShardId) -> None:
        self.uppers.pop(shard, None)

    def finalize(self, shards: Iterable[ShardId], dropped_at: Timestamp) -> None:
        del dropped_at
        self.finalized.extend(shards)


class Environment:
    """A task on recording controllers, and catalogs published to it one after the other."""

    def __init__(self, catalog: Catalog, controllers: RecordingControllers) -> None:
        self.holds = ReadHolds()
        self.published = PublishedCatalog(catalog)
        self.task = ImplicationsTask(
            controllers,
            controllers,
            StorageCollections(self.holds, lambda: Timestamp(self.catalog.ts + 1), lambda: 0),
            controllers.finalize,
        )

    @property
    def catalog(self) -> Catalog:
        return self.published.catalog

    def publish(self, *operations: Operation) -> None:
        old = self.catalog
        new = replace(after(old, *operations), ts=Timestamp(old.ts + 10))
        self.published.publish(new)
        items = {id for id in {*old.items, *new.items} if old.items.get(id) != new.items.get(id)}
        self.task.changed(CatalogChange(old, new, frozenset(items)))

    async def settle(self) -> None:
        await self.task.catch_up()


async def started(catalog: Catalog) -> tuple[Environment, RecordingControllers]:
    controllers = RecordingControllers()
    environment = Environment(catalog, controllers)
    await environment.task.start(catalog)
    return environment, controllers


async def test_the_task_acts_on_every_catalog() -> None:
    environment, controllers = await started(new_catalog())
    environment.publish(table("t"), table("u"))
    made = environment.catalog
    environment.publish(DropItems((item_id(made, "t"),)), DropItems((item_id(made, "u"),)))
    await environment.settle()
    await environment.settle()
    assert set(controllers.running) == {"u1", "s2"}
    assert sorted(controllers.finalized) == sorted(environment.catalog.unfinalized)
    assert set(controllers.dropped) == {item_id(made, "t"), item_id(made, "u")}


async def test_subscriptions_hear_of_what_is_dropped() -> None:
    environment, controllers = await started(after(new_catalog(), table("t")))
    id = item_id(environment.catalog, "t")
    environment.publish(DropItems((id,)))
    await environment.settle()
    assert controllers.dropped == {id: "materialize.public.t"}


async def test_what_is_created_starts_at_the_time_of_its_commit() -> None:
    environment, controllers = await started(after(new_catalog(), table("t")))
    environment.publish(view_of(environment.catalog, "v", "t"))
    environment.publish(index_on(environment.catalog, "i", "v"))
    view, index = (item_id(environment.catalog, name) for name in "vi")
    assert environment.holds.advance_floor(environment.catalog.ts) == environment.catalog.ts - 10
    await environment.settle()
    description = controllers.dataflows[view]
    assert description.as_of == environment.catalog.ts - 10
    assert description.export == SinkExport(MV_SHARD, DESC)
    on_index = controllers.dataflows[index]
    assert on_index.as_of == environment.catalog.ts
    assert isinstance(on_index.export, IndexExport) and on_index.export.on == view
    assert on_index.sources == (CollectionSource(view, MV_SHARD, CollectionKind.SHARD),)
    assert list(controllers.dataflows) == [view, index]
    held = [hold.ts for hold in controllers.holds.values() if hold is not None]
    assert held == [description.as_of, on_index.as_of]


async def test_a_view_resumes_from_what_is_durable_of_it() -> None:
    catalog = after(new_catalog(), table("t"))
    catalog = after(catalog, view_of(catalog, "v", "t"))
    catalog = replace(after(catalog, index_on(catalog, "i", "v")), ts=Timestamp(1_000))
    controllers = RecordingControllers()
    controllers.uppers[MV_SHARD] = Timestamp(501)
    environment = Environment(catalog, controllers)
    await environment.task.start(catalog)
    assert environment.holds.advance_floor(Timestamp(1_000)) == 500
    await environment.settle()
    assert controllers.dataflows[item_id(catalog, "v")].as_of == 500
    assert controllers.dataflows[item_id(catalog, "i")].as_of == 1_000


async def test_an_index_begins_where_those_resume_that_read_it() -> None:
    catalog = after(new_catalog(), table("t"))
    catalog = after(catalog, index_on(catalog, "i", "t"))
    catalog = after(catalog, view_of(catalog, "v", "t"))
    catalog = replace(after(catalog, index_on(catalog, "j", "v")), ts=Timestamp(1_000))
    controllers = RecordingControllers()
    controllers.uppers[MV_SHARD] = Timestamp(501)
    environment = Environment(catalog, controllers)
    await environment.task.start(catalog)
    await environment.settle()
    begun = {name: controllers.dataflows[item_id(catalog, name)].as_of for name in "ivj"}
    assert begun == {"i": 500, "v": 500, "j": 1_000}


async def test_what_is_dropped_is_maintained_and_held_no_longer() -> None:
    environment, controllers = await started(after(new_catalog(), table("t")))
    environment.publish(view_of(environment.catalog, "v", "t"))
    view = item_id(environment.catalog, "v")
    environment.publish(DropItems((view,)))
    await environment.settle()  # made and dropped before anything happened
    assert environment.holds.count == 0 and controllers.uppers == {}
    assert view in controllers.dropped_dataflows
    environment.publish(ForgetFinalizedShards((MV_SHARD,)))
    environment.publish(view_of(environment.catalog, "w", "t"))
    await environment.settle()
    assert len(controllers.dataflows) == 1
    environment.publish(DropItems((item_id(environment.catalog, "w"),)))
    await environment.settle()
    assert controllers.dataflows == {} and controllers.uppers == {}
    assert controllers.finalized == [MV_SHARD, MV_SHARD]


async def test_clusters_come_before_their_dataflows_and_go_after_them() -> None:
    environment, controllers = await started(after(new_catalog(), table("t")))
    made = CreateCluster("c", "materialize", replication_factor=2)
    environment.publish(made, view_of(after(environment.catalog, made), "v", "t", cluster="c"))
    await environment.settle()
    assert len(controllers.running["u2"].replicas) == 2
    assert len(controllers.dataflows) == 1
    environment.publish(RenameCluster("c", "d"), AlterCluster("d", replication_factor=0))
    assert controllers.expected["u2"] == ClusterSpec("u2", "d", ())
    await environment.settle()
    assert controllers.running["u2"] == ClusterSpec("u2", "d", ())
    environment.publish(DropClusters(("d",), cascade=True))
    await environment.settle()
    assert set(controllers.running) == {"u1", "s2"}
    assert controllers.dataflows == {}


async def test_a_definition_that_cannot_be_planned_is_refused_and_tried_again() -> None:
    environment, controllers = await started(after(new_catalog(), table("t")))
    text = "CREATE MATERIALIZED VIEW materialize.public.v IN CLUSTER quickstart AS SELECT 1/0 + x"
    environment.publish(view_of(environment.catalog, "v", "t", create_sql=text))
    view = item_id(environment.catalog, "v")
    await environment.settle()
    assert controllers.refused[view].message == 'cannot maintain materialized view "v"'
    assert controllers.dataflows == {}
    environment.publish(DropItems((view,)))
    await environment.settle()
    assert environment.holds.count == 0
