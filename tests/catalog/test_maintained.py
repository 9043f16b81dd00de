"""Materialized views and indexes as catalog objects."""

import pytest

from catalog.operations import (
    CreateCluster,
    CreateSchema,
    DropItems,
    DropSchemas,
    RenameColumn,
    RenameItem,
    RenameSchema,
    SetRetainHistory,
)
from catalog.state import Catalog
from core.errors import SqlError
from sql.catalog_view import ItemKind, SchemaName
from sql.maintained_text import definition_of
from tests.catalog.catalogs import (
    CONTEXT,
    after,
    apply,
    index,
    item,
    item_id,
    materialized_view,
    new_catalog,
    table,
    view,
)


@pytest.fixture
def catalog() -> Catalog:
    """With a table `t` and a view `v` of it."""
    one = after(new_catalog(), table("t"))
    return after(one, view("v", item(one, "t")))


def refused(catalog: Catalog, operation: object) -> SqlError:
    with pytest.raises(SqlError) as caught:
        apply(catalog, operation)  # type: ignore[arg-type]
    return caught.value


def test_a_materialized_view_has_a_shard_that_is_not_the_txns_shards(catalog: Catalog) -> None:
    operation = materialized_view("m", item(catalog, "t"))
    created = apply(catalog, operation)
    made = item(created.catalog, "m")
    assert (made.kind, made.cluster) == (ItemKind.MATERIALIZED_VIEW, "quickstart")
    stored = created.catalog.collections[made.id]
    assert (stored.shard, stored.as_of) == (operation.shard, CONTEXT.as_of)
    assert created.register == ()
    dropped = apply(created.catalog, DropItems((made.id,)))
    assert dropped.forget == ()
    assert operation.shard in dropped.catalog.unfinalized
    assert made.id in dropped.changed_ids


def test_an_index_is_found_by_what_it_is_on(catalog: Catalog) -> None:
    clusters = after(catalog, CreateCluster("c", "materialize"))
    t = item(clusters, "t")
    made = after(clusters, index("one", t), index("two", t, "c"), index("three", t))
    seen = made.for_connection(None)
    assert [i.name.item for i in seen.indexes(t.id, "quickstart")] == ["one", "three"]
    assert [i.name.item for i in seen.indexes(t.id, "c")] == ["two"]
    assert seen.indexes(item_id(made, "v"), "quickstart") == ()
    one = item(made, "one")
    assert (one.index_on, one.index_key, one.cluster) == (t.id, (1, "lower(b)"), "quickstart")
    assert one.id not in made.collections


def test_a_made_name_gets_a_number_when_it_is_taken(catalog: Catalog) -> None:
    t = item(catalog, "t")
    made = after(catalog, *(index("t_a_idx", t, is_name_made=True) for _ in range(3)))
    names = [i.name.item for i in made.for_connection(None).indexes(t.id, "quickstart")]
    assert names == ["t_a_idx", "t_a_idx1", "t_a_idx2"]
    definition = definition_of(item(made, "t_a_idx2").create_sql)
    assert definition.name == ("materialize", "public", "t_a_idx2")
    error = refused(made, index("t_a_idx", t))
    assert (error.sqlstate, error.message) == ("42P07", 'relation "t_a_idx" already exists')
    assert apply(made, index("t_a_idx", t, if_not_exists=True)).results[0].was_skipped


def test_indexes_go_with_what_they_are_on(catalog: Catalog) -> None:
    made = after(catalog, index("i", item(catalog, "v")), index("j", item(catalog, "t")))
    error = refused(made, DropItems((item_id(made, "t"),)))
    assert error.detail == "view v depends on table t"
    dropped = apply(made, DropItems((item_id(made, "v"),)))
    assert dropped.results[0].cascaded == ()
    assert not {"v", "i"} & {e.item.name.item for e in dropped.catalog.items.values()}
    cascaded = apply(made, DropItems((item_id(made, "t"),), cascade=True))
    assert cascaded.results[0].cascaded == ("view v",)


def test_an_index_alone_is_no_reason_to_keep_a_schema_from_being_dropped(catalog: Catalog) -> None:
    schema = after(catalog, CreateSchema("materialize", "s", "materialize"))
    made = after(schema, table("u", "s"))
    made = after(made, index("i", item(made, "s", "u")))
    named = made.for_connection(None).schema("materialize", ("s",))
    assert isinstance(named, SchemaName)
    error = refused(made, DropSchemas((named,)))
    assert error.detail == "table s.u depends on schema s"
    dropped = apply(made, DropSchemas((named,), cascade=True))
    assert dropped.results[0].cascaded == ("table s.u",)


def test_materialized_views_are_in_the_way_of_drops(catalog: Catalog) -> None:
    made = after(catalog, materialized_view("m", item(catalog, "v")))
    error = refused(made, DropItems((item_id(made, "v"),)))
    assert (error.sqlstate, error.detail) == ("2BP01", "materialized view m depends on view v")


def test_replacing_a_materialized_view_makes_another_one(catalog: Catalog) -> None:
    made = after(catalog, materialized_view("m", item(catalog, "t")))
    again = materialized_view("m", item(made, "t"), or_replace=True)
    replaced = after(made, again)
    assert item_id(replaced, "m") != item_id(made, "m")
    assert replaced.shard_of(item_id(replaced, "m")) == again.shard
    used = after(made, view("w", item(made, "m")))
    error = refused(used, again)
    assert (error.sqlstate, error.detail) == ("2BP01", "view w depends on materialized view m")
    error = refused(made, materialized_view("v", item(made, "t"), or_replace=True))
    assert (error.sqlstate, error.message) == ("42809", '"v" is not a materialized view')


def test_a_view_that_something_maintained_reads_keeps_its_meaning(catalog: Catalog) -> None:
    made = after(catalog, index("i", item(catalog, "v")))
    sql = "CREATE VIEW materialize.public.v AS SELECT * FROM materialize.public.t WHERE a > 0"
    error = refused(made, view("v", item(made, "t"), or_replace=True, create_sql=sql))
    assert (error.sqlstate, error.detail) == ("2BP01", "index i depends on view v")
    same = view("v", item(made, "t"), or_replace=True)
    assert apply(made, same).results[0].id == item_id(made, "v")


def test_what_is_temporary_cannot_be_indexed(catalog: Catalog) -> None:
    made = after(catalog, table("tmp", temporary_connection=1))
    temporary = item(made, "tmp", connection=1)
    assert refused(made, index("i", temporary)).sqlstate == "42P16"
    assert refused(made, materialized_view("m", temporary)).sqlstate == "42P16"


def test_only_clusters_of_users_maintain(catalog: Catalog) -> None:
    t = item(catalog, "t")
    assert refused(catalog, index("i", t, "nosuch")).sqlstate == "42704"
    assert refused(catalog, materialized_view("m", t, "mz_catalog_server")).sqlstate == "42501"


def test_definitions_follow_renames(catalog: Catalog) -> None:
    made = after(
        catalog, index("i", item(catalog, "t")), materialized_view("m", item(catalog, "t"))
    )
    renamed = after(
        made,
        RenameItem(item_id(made, "t"), "New table"),
        RenameItem(item_id(made, "i"), "ii"),
        RenameItem(item_id(made, "m"), "mm"),
    )
    assert item(renamed, "ii").create_sql == (
        "CREATE INDEX materialize.public.ii IN CLUSTER quickstart "
        'ON materialize.public."New table" USING arranged (a, lower(b))'
    )
    assert item(renamed, "mm").create_sql == (
        "CREATE MATERIALIZED VIEW materialize.public.mm IN CLUSTER quickstart "
        'AS SELECT * FROM materialize.public."New table" AS t'
    )
    schema = SchemaName("materialize", "public", 0, "mz_system")
    moved = after(renamed, RenameSchema(schema, "other"))
    assert definition_of(item(moved, "other", "ii").create_sql).on == (
        "materialize",
        "other",
        "New table",
    )


def test_keys_follow_renamed_columns(catalog: Catalog) -> None:
    plain = after(new_catalog(), table("t"))
    made = after(plain, index("i", item(plain, "t")))
    renamed = after(made, RenameColumn(item_id(made, "t"), "b", "B b"))
    found = item(renamed, "i")
    assert found.index_key == (1, 'lower("B b")')
    assert found.create_sql.endswith('USING arranged (a, lower("B b"))')
    again = after(renamed, RenameColumn(item_id(made, "t"), "a", "x"))
    assert item(again, "i").desc.names == ("x", "lower")
    error = refused(catalog, RenameColumn(item_id(catalog, "t"), "a", "x"))
    assert error.detail == "view v depends on table t"


def test_how_much_history_is_kept_shows_in_the_definition(catalog: Catalog) -> None:
    made = after(catalog, index("i", item(catalog, "t")))
    i = item_id(made, "i")
    kept = after(made, SetRetainHistory(i, 86_400_000_000, "1 day"))
    assert kept.items[i].record.retain_history_us == 86_400_000_000
    assert item(kept, "i").create_sql.endswith("WITH (RETAIN HISTORY FOR '1 day')")
    reset = after(kept, SetRetainHistory(i, None, None))
    assert reset.items[i].record == made.items[i].record
