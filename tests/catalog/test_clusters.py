"""Clusters and replicas as catalog objects."""

import pytest

from catalog.objects import Comment
from catalog.operations import (
    AlterCluster,
    CreateCluster,
    CreateReplica,
    CreateRole,
    DropClusters,
    DropReplicas,
    DropRoles,
    RenameCluster,
    SetComment,
    SetSystemParameter,
)
from catalog.state import Catalog
from core.errors import SqlError
from tests.catalog.catalogs import (
    after,
    apply,
    index,
    item,
    materialized_view,
    new_catalog,
    table,
    view,
)


@pytest.fixture
def catalog() -> Catalog:
    """With a managed cluster `c` of two replicas."""
    return after(
        new_catalog(), CreateCluster("c", "materialize", size="50cc", replication_factor=2)
    )


def refused(catalog: Catalog, operation: object) -> SqlError:
    with pytest.raises(SqlError) as caught:
        apply(catalog, operation)  # type: ignore[arg-type]
    return caught.value


def replicas(catalog: Catalog, cluster: str) -> dict[str, str]:
    """Sizes by name."""
    found = catalog.cluster_named(cluster)
    assert found is not None
    made = (r for r in catalog.replicas.values() if r.cluster_id == found.id)
    return {replica.name: replica.size for replica in made}


def test_a_new_environment_has_managed_clusters() -> None:
    catalog = new_catalog()
    assert {c.name for c in catalog.clusters.values()} == {"quickstart", "mz_catalog_server"}
    assert all(c.is_managed and c.replication_factor == 1 for c in catalog.clusters.values())
    assert replicas(catalog, "quickstart") == {"r1": "25cc"}


def test_replicas_of_a_managed_cluster_follow_its_options(catalog: Catalog) -> None:
    assert replicas(catalog, "c") == {"r1": "50cc", "r2": "50cc"}
    r1 = catalog.replica_named("c", "r1")
    more = after(catalog, AlterCluster("c", replication_factor=3))
    assert replicas(more, "c") == {"r1": "50cc", "r2": "50cc", "r3": "50cc"}
    assert more.replica_named("c", "r1") == r1
    fewer = after(more, AlterCluster("c", replication_factor=1))
    assert fewer.replica_named("c", "r1") == r1
    assert replicas(fewer, "c") == {"r1": "50cc"}
    resized = after(fewer, AlterCluster("c", size="100cc"))
    assert replicas(resized, "c") == {"r1": "100cc"}
    assert resized.replica_named("c", "r1") != r1
    none = after(resized, AlterCluster("c", replication_factor=0))
    assert replicas(none, "c") == {}


def test_replicas_of_an_unmanaged_cluster_come_and_go_one_by_one(catalog: Catalog) -> None:
    operation = CreateCluster(
        "u", "materialize", is_managed=False, replicas=(("a", "25cc"), ("b", "50cc"))
    )
    made = after(
        catalog,
        operation,
        CreateReplica("u", "x", "100cc", "materialize"),
        DropReplicas((("u", "a"),)),
    )
    assert replicas(made, "u") == {"b": "50cc", "x": "100cc"}
    error = refused(made, CreateReplica("u", "x", "25cc", "materialize"))
    assert (error.sqlstate, error.message) == (
        "42710",
        'cluster replica "u.x" already exists',
    )
    assert refused(made, DropReplicas((("u", "a"),))).sqlstate == "42704"
    assert apply(made, DropReplicas((("u", "a"),), if_exists=True)).results[0].was_skipped
    error = refused(made, AlterCluster("u", size="25cc"))
    assert error.sqlstate == "55000"
    for change in (CreateReplica("c", "x", "25cc", "materialize"), DropReplicas((("c", "r1"),))):
        assert refused(made, change).message == 'cannot modify managed cluster "c"'


def test_clusters_change_who_looks_after_their_replicas(catalog: Catalog) -> None:
    unmanaged = after(catalog, AlterCluster("c", is_managed=False))
    found = unmanaged.cluster_named("c")
    assert found is not None
    assert (found.size, found.replication_factor) == (None, None)
    assert unmanaged.replicas == catalog.replicas
    again = after(unmanaged, AlterCluster("c", is_managed=True))
    assert again.cluster_named("c") == catalog.cluster_named("c")
    assert again.replicas == catalog.replicas


def test_names_and_sizes_are_checked(catalog: Catalog) -> None:
    assert refused(catalog, CreateCluster("c", "materialize")).sqlstate == "42710"
    skipped = apply(catalog, CreateCluster("c", "materialize", if_not_exists=True))
    assert skipped.results[0].was_skipped
    assert refused(catalog, CreateCluster("mz_x", "materialize")).sqlstate == "42939"
    error = refused(catalog, CreateCluster("d", "materialize", size="huge"))
    assert (error.sqlstate, error.message) == ("22023", 'unknown cluster replica size "huge"')
    assert refused(catalog, AlterCluster("c", replication_factor=1_000)).sqlstate == "53400"
    assert refused(catalog, AlterCluster("nosuch", replication_factor=1)).sqlstate == "42704"
    assert refused(catalog, RenameCluster("c", "quickstart")).sqlstate == "42710"
    for operation in (
        AlterCluster("mz_catalog_server", replication_factor=0),
        RenameCluster("mz_catalog_server", "x"),
        DropClusters(("mz_catalog_server",)),
    ):
        assert refused(catalog, operation).sqlstate == "42501"


def test_there_are_limits(catalog: Catalog) -> None:
    limited = after(
        catalog,
        SetSystemParameter("max_clusters", "3"),
        SetSystemParameter("max_replicas_per_cluster", "2"),
        CreateCluster("d", "materialize"),
    )
    error = refused(limited, CreateCluster("e", "materialize"))
    assert (error.sqlstate, error.message) == (
        "53400",
        "this would exceed max_clusters (wanted: 4, limit: 3)",
    )
    error = refused(limited, AlterCluster("d", replication_factor=3))
    assert error.message == "this would exceed max_replicas_per_cluster (wanted: 3, limit: 2)"
    unmanaged = after(limited, AlterCluster("c", is_managed=False))
    assert refused(unmanaged, CreateReplica("c", "x", "25cc", "materialize")).sqlstate == "53400"


def test_a_cluster_is_dropped_with_its_objects_only_by_cascade(catalog: Catalog) -> None:
    made = after(catalog, table("t"))
    made = after(
        made, materialized_view("m", item(made, "t"), "c"), index("i", item(made, "t"), "c")
    )
    made = after(made, view("v", item(made, "m")))
    error = refused(made, DropClusters(("c",)))
    assert (error.sqlstate, error.message) == (
        "2BP01",
        "cannot drop cluster c because other objects depend on it",
    )
    assert error.detail == (
        "materialized view m depends on cluster c\nindex i depends on cluster c\n"
        "view v depends on materialized view m"
    )
    dropped = apply(made, DropClusters(("c",), cascade=True))
    assert dropped.results[0].cascaded == ("materialized view m", "index i", "view v")
    assert dropped.catalog.cluster_named("c") is None
    assert replicas(dropped.catalog, "quickstart") == {"r1": "25cc"}
    assert len(dropped.catalog.replicas) == 2
    assert refused(dropped.catalog, DropClusters(("c",))).sqlstate == "42704"


def test_definitions_follow_the_name_of_their_cluster(catalog: Catalog) -> None:
    made = after(catalog, table("t"))
    made = after(
        made, materialized_view("m", item(made, "t"), "c"), index("i", item(made, "t"), "c")
    )
    renamed = after(made, RenameCluster("c", "Other c"))
    for name in ("m", "i"):
        assert item(renamed, name).cluster == "Other c"
        assert 'IN CLUSTER "Other c" ' in item(renamed, name).create_sql
    assert renamed.definitions_revision == renamed.revision


def test_comments_go_with_their_cluster(catalog: Catalog) -> None:
    found = catalog.cluster_named("c")
    replica = catalog.replica_named("c", "r2")
    assert found is not None
    assert replica is not None
    commented = after(
        catalog,
        SetComment("cluster", found.id, None, "mine"),
        SetComment("cluster-replica", replica.id, None, "second"),
    )
    assert len(commented.objects) == len(catalog.objects) + 2
    dropped = after(commented, DropClusters(("c",)))
    assert not [value for value in dropped.objects.values() if isinstance(value, Comment)]


def test_a_role_that_owns_a_cluster_stays(catalog: Catalog) -> None:
    made = after(
        catalog,
        CreateRole("owner"),
        CreateCluster("d", "owner"),
    )
    error = refused(made, DropRoles(("owner",)))
    assert (error.sqlstate, error.detail) == ("2BP01", "owner of cluster d")
