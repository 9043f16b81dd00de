"""What each operation does and refuses, in PostgreSQL's words."""

from dataclasses import replace

import pytest

from catalog.operations import (
    CatalogChangedError,
    CreateDatabase,
    CreateRole,
    CreateSchema,
    DropDatabases,
    DropItems,
    DropRoles,
    DropSchemas,
    DropTemporaryItems,
    ForgetFinalizedShards,
    RenameDatabase,
    RenameItem,
    RenameRole,
    RenameSchema,
    ResetSystemParameters,
    SetComment,
    SetSystemParameter,
)
from catalog.state import Catalog
from catalog.transact import apply_operations
from core.errors import SqlError
from core.ids import GlobalId
from core.sql_types import INT8, TEXT, Column, RelationDesc
from persist.batches import inline_batch
from sql.catalog_view import ItemKind, QualifiedName, SchemaName
from tests.catalog.catalogs import (
    CONTEXT,
    DESC,
    SEARCH_PATH,
    after,
    apply,
    item,
    item_id,
    new_catalog,
    table,
    view,
)


@pytest.fixture
def catalog() -> Catalog:
    return new_catalog()


def refused(catalog: Catalog, operation: object) -> SqlError:
    with pytest.raises(SqlError) as caught:
        apply(catalog, operation)  # type: ignore[arg-type]
    return caught.value


def test_a_table_gets_an_id_an_oid_and_its_shard(catalog: Catalog) -> None:
    operation = table("t")
    applied = apply(catalog, operation)
    created = item(applied.catalog, "t")
    assert (created.kind, created.desc, created.owner) == (ItemKind.TABLE, DESC, "materialize")
    assert created.oid >= 20_000
    assert applied.results[0].id == created.id
    assert applied.register == (operation.shard,)
    assert applied.catalog.shard_of(created.id) == operation.shard
    assert applied.catalog.revision == catalog.revision + 1
    assert item_or_none(catalog, "t") is None


def item_or_none(catalog: Catalog, *parts: str) -> object:
    return catalog.for_connection(None).resolve_item("materialize", SEARCH_PATH, parts)


def test_names_are_unique_in_a_schema(catalog: Catalog) -> None:
    one = after(catalog, table("t"))
    error = refused(one, table("t"))
    assert (error.sqlstate, error.message) == ("42P07", 'relation "t" already exists')
    skipped = apply(one, table("t", if_not_exists=True))
    assert skipped.results[0].was_skipped
    assert skipped.results[0].id == item_id(one, "t")
    assert skipped.diffs == ()
    assert skipped.register == ()
    elsewhere = after(one, CreateSchema("materialize", "s", "materialize"), table("t", "s"))
    assert item_id(elsewhere, "s", "t") != item_id(elsewhere, "t")


def test_schemas_and_databases(catalog: Catalog) -> None:
    one = after(catalog, CreateDatabase("d", "materialize"), CreateSchema("d", "s", "materialize"))
    assert one.schema_named("d", "public") is not None
    assert one.schema_named("d", "s") is not None
    assert refused(one, CreateDatabase("d", "materialize")).sqlstate == "42P04"
    assert refused(one, CreateSchema("d", "s", "materialize")).sqlstate == "42P06"
    assert refused(one, CreateSchema("nowhere", "s", "materialize")).sqlstate == "3D000"
    assert refused(one, CreateSchema("d", "pg_mine", "materialize")).sqlstate == "42939"
    assert refused(one, CreateSchema("d", "pg_catalog", "materialize")).sqlstate == "42P06"
    assert apply(one, CreateDatabase("d", "materialize", if_not_exists=True)).results[0].was_skipped
    assert refused(one, table("t", "nowhere")).sqlstate == "3F000"
    in_system = replace(table("t"), name=QualifiedName(None, "pg_catalog", "t"))
    assert refused(one, in_system).sqlstate == "42501"


def test_a_drop_without_cascade_names_what_stands_in_the_way(catalog: Catalog) -> None:
    one = after(catalog, table("t"))
    one = after(one, view("v", item(one, "t")))
    one = after(one, view("w", item(one, "v")))
    error = refused(one, DropItems((item_id(one, "t"),)))
    assert error.sqlstate == "2BP01"
    assert error.message == "cannot drop table t because other objects depend on it"
    assert error.detail == "view v depends on table t\nview w depends on view v"
    assert error.hint == "Use DROP ... CASCADE to drop the dependent objects too."
    shard = one.shard_of(item_id(one, "t"))
    applied = apply(one, DropItems((item_id(one, "t"),), cascade=True))
    assert applied.results[0].cascaded == ("view v", "view w")
    assert applied.forget == (shard,)
    assert shard in applied.catalog.unfinalized
    assert item_or_none(applied.catalog, "w") is None
    together = DropItems((item_id(one, "t"), item_id(one, "v"), item_id(one, "w")))
    assert apply(one, together).results[0].cascaded == ()


def test_a_schema_drop_reaches_views_outside(catalog: Catalog) -> None:
    one = after(catalog, CreateSchema("materialize", "s", "materialize"), table("t", "s"))
    one = after(one, view("v", item(one, "s", "t")))
    schema = one.for_connection(None).schema("materialize", ("s",))
    assert schema is not None
    error = refused(one, DropSchemas((schema,)))
    assert error.sqlstate == "2BP01"
    assert error.detail == "table s.t depends on schema s"
    dropped = apply(one, DropSchemas((schema,), cascade=True))
    assert dropped.results[0].cascaded == ("table s.t", "view v")
    assert item_or_none(dropped.catalog, "v") is None
    assert refused(dropped.catalog, DropSchemas((schema,))).sqlstate == "3F000"
    system = SchemaName(None, "pg_catalog", 11, "mz_system")
    assert refused(one, DropSchemas((system,), cascade=True)).sqlstate == "42501"


def test_databases_go_with_everything_inside(catalog: Catalog) -> None:
    one = after(catalog, CreateDatabase("d", "materialize"))
    inside = replace(table("t"), name=QualifiedName("d", "public", "t"))
    one = after(one, inside)
    assert refused(one, DropDatabases(("d",), restrict=True)).sqlstate == "2BP01"
    dropped = apply(one, DropDatabases(("d",)))
    assert dropped.forget == (inside.shard,)
    assert dropped.catalog.database_named("d") is None
    assert refused(dropped.catalog, DropDatabases(("d",))).sqlstate == "3D000"
    assert apply(dropped.catalog, DropDatabases(("d",), if_exists=True)).results[0].was_skipped


def test_roles(catalog: Catalog) -> None:
    one = after(catalog, CreateRole("joe", can_login=True), table("t", owner="joe"))
    assert refused(one, CreateRole("joe")).sqlstate == "42710"
    assert refused(one, CreateRole("pg_joe")).sqlstate == "42939"
    assert refused(one, table("u", owner="nobody")).sqlstate == "42704"
    error = refused(one, DropRoles(("joe",)))
    assert (error.sqlstate, error.detail) == ("2BP01", "owner of table t")
    renamed = after(one, RenameRole("joe", "jane"))
    assert item(renamed, "t").owner == "jane"
    free = after(renamed, DropItems((item_id(renamed, "t"),)), DropRoles(("jane",)))
    assert free.role_named("jane") is None
    assert refused(one, DropRoles(("mz_system",))).sqlstate == "42501"
    assert refused(one, DropRoles(("materialize",))).message == "current user cannot be dropped"


def test_system_relations_are_not_for_users(catalog: Catalog) -> None:
    system_id = item_id(catalog, "pg_catalog", "pg_class")
    assert refused(catalog, DropItems((system_id,))).sqlstate == "42501"
    assert refused(catalog, RenameItem(system_id, "x")).sqlstate == "42501"


def test_replacing_a_view(catalog: Catalog) -> None:
    one = after(catalog, table("t"))
    one = after(one, view("v", item(one, "t")))
    view_id = item_id(one, "v")
    wider = RelationDesc((*DESC.columns, Column("c", INT8)))
    replaced = after(one, view("v", item(one, "t"), or_replace=True, desc=wider))
    assert item_id(replaced, "v") == view_id
    assert replaced.definitions_revision == replaced.revision
    retyped = RelationDesc((Column("a", INT8), *DESC.columns[1:]))
    error = refused(one, view("v", item(one, "t"), or_replace=True, desc=retyped))
    assert error.message == ('cannot change data type of view column "a" from integer to bigint')
    narrower = RelationDesc(DESC.columns[:1])
    error = refused(one, view("v", item(one, "t"), or_replace=True, desc=narrower))
    assert error.message == "cannot drop columns from view"
    named = RelationDesc((Column("x", DESC.columns[0].type), Column("b", TEXT)))
    error = refused(one, view("v", item(one, "t"), or_replace=True, desc=named))
    assert error.message == 'cannot change name of view column "a" to "x"'
    assert refused(one, view("t", item(one, "v"), or_replace=True)).sqlstate == "42809"
    two = after(one, view("w", item(one, "v")))
    assert refused(two, view("v", item(two, "w"), or_replace=True)).sqlstate == "42P17"


def test_a_statement_planned_on_something_else_is_planned_again(catalog: Catalog) -> None:
    planned = after(catalog, table("t"))
    used = item(planned, "t")
    renamed = after(planned, RenameItem(used.id, "t2"))
    with pytest.raises(CatalogChangedError):
        apply_operations(renamed, (view("v", used),), planned.revision, CONTEXT)
    gone = after(planned, DropItems((used.id,)))
    with pytest.raises(CatalogChangedError):
        apply_operations(gone, (view("v", used),), planned.revision, CONTEXT)
    with pytest.raises(CatalogChangedError):
        apply_operations(gone, (DropItems((used.id,)),), planned.revision, CONTEXT)
    unrelated = after(planned, table("other"))
    applied = apply_operations(unrelated, (view("v", used),), planned.revision, CONTEXT)
    assert item(applied.catalog, "v").id == applied.results[0].id


def test_renames_rewrite_definitions(catalog: Catalog) -> None:
    one = after(catalog, CreateSchema("materialize", "s", "materialize"), table("t", "s"))
    one = after(one, view("v", item(one, "s", "t")))
    one = after(one, RenameItem(item_id(one, "s", "t"), "u"))
    assert item(one, "s", "u").create_sql.startswith("CREATE TABLE materialize.s.u (")
    assert item(one, "v").create_sql == (
        "CREATE VIEW materialize.public.v AS SELECT * FROM materialize.s.u AS t"
    )
    schema = one.for_connection(None).schema("materialize", ("s",))
    assert schema is not None
    one = after(one, RenameSchema(schema, "Big"))
    assert item(one, "Big", "u").name == QualifiedName("materialize", "Big", "u")
    assert item(one, "v").create_sql.endswith('FROM materialize."Big".u AS t')
    one = after(one, RenameDatabase("materialize", "m"))
    found = one.for_connection(None).resolve_item("m", SEARCH_PATH, ("v",))
    assert found is not None
    assert found.create_sql == 'CREATE VIEW m.public.v AS SELECT * FROM m."Big".u AS t'
    two = after(one, CreateDatabase("n", "materialize"))
    assert refused(two, RenameDatabase("m", "n")).sqlstate == "42P04"


def test_temporary_items_belong_to_a_connection(catalog: Catalog) -> None:
    one = after(catalog, table("t"), table("t", temporary_connection=7))
    mine = item(one, "t", connection=7)
    assert mine.is_temporary
    assert mine.name == QualifiedName(None, "mz_temp", "t")
    assert item(one, "t").id != mine.id
    assert item(one, "t", connection=8).id == item_id(one, "t")
    assert item(one, "pg_temp", "t", connection=7).id == mine.id
    assert refused(one, view("v", mine)).sqlstate == "42P16"
    shard = one.shard_of(mine.id)
    two = after(one, view("v", mine, temporary_connection=7))
    dropped = apply(two, DropTemporaryItems(7))
    assert dropped.forget == (shard,)
    assert not dropped.catalog.temporary_items(7)
    assert item(dropped.catalog, "t", connection=7).id == item_id(one, "t")


def test_operations_of_a_transaction_see_each_other_and_fail_together(catalog: Catalog) -> None:
    applied = apply(
        catalog,
        CreateSchema("materialize", "s", "materialize"),
        table("t", "s", contents=inline_batch([(b"row", 1)])),
    )
    assert item(applied.catalog, "s", "t").id == applied.contents[0].item_id
    with pytest.raises(SqlError):
        apply(catalog, table("x"), table("x"))
    made_and_dropped = apply_operations(
        applied.catalog,
        (table("x"), DropItems((next_item_id(applied.catalog),))),
        applied.catalog.revision,
        CONTEXT,
    )
    assert made_and_dropped.register == ()
    assert made_and_dropped.forget == ()


def next_item_id(catalog: Catalog) -> GlobalId:
    return GlobalId(str(apply(catalog, table("probe")).results[0].id))


def test_settings_comments_and_finalized_shards(catalog: Catalog) -> None:
    one = after(catalog, SetSystemParameter("max_connections", "7"))
    assert one.system_parameters["max_connections"] == "7"
    assert "max_connections" not in after(one, ResetSystemParameters()).system_parameters
    assert (
        "max_connections"
        not in after(one, SetSystemParameter("max_connections", None)).system_parameters
    )
    two = after(one, table("t"))
    table_id = item_id(two, "t")
    two = after(two, SetComment("table", table_id, 1, "first column"))
    assert any(key[1] == ("table", table_id, 1) for key in two.objects)
    dropped = after(two, DropItems((table_id,)))
    assert not any(key[1] == ("table", table_id, 1) for key in dropped.objects)
    shards = tuple(dropped.unfinalized)
    assert not after(dropped, ForgetFinalizedShards(shards)).unfinalized
