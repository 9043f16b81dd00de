"""System relations planned and evaluated over a small catalog."""

import pytest

from catalog.builtin.definitions import BuiltinView
from catalog.builtin.relations import BUILTIN_VIEWS
from tests.system_catalog.conftest import item_id
from tests.system_catalog.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("view", BUILTIN_VIEWS, ids=lambda view: view.item)
async def test_planning_gives_the_declared_columns(world: World, view: BuiltinView) -> None:
    planned = world.plan(view.sql)
    desc = planned.result_desc
    assert desc is not None
    assert desc.names == view.desc.names
    assert [t.base for t in desc.types] == [t.base for t in view.desc.types]


@pytest.mark.parametrize("view", BUILTIN_VIEWS, ids=lambda view: view.item)
async def test_every_view_can_be_read(world: World, view: BuiltinView) -> None:
    rows = world.query(f"SELECT * FROM {view.schema.schema}.{view.item}")
    for row in rows:
        for column, datum in zip(view.desc.columns, row, strict=True):
            assert column.nullable or datum is not None, column.name


async def test_pg_class_lists_relations_of_the_database(world: World) -> None:
    rows = world.query(
        "SELECT c.relname, c.relkind, c.relpersistence, c.relnatts, n.nspname "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.oid >= 20000 ORDER BY c.relname"
    )
    assert rows == [
        ("big planes", "v", "p", 2, "public"),
        ("planes", "r", "p", 5, "public"),
        ("scratch", "r", "t", 2, "mz_temp"),
    ]


async def test_pg_class_knows_itself(world: World) -> None:
    assert world.query("SELECT relname FROM pg_class WHERE oid = 'pg_class'::regclass") == [
        ("pg_class",)
    ]


async def test_another_connection_does_not_see_temporary_items(world: World) -> None:
    rows = world.query(
        "SELECT name FROM mz_internal.mz_items WHERE temporary_connection IS NOT NULL"
    )
    assert rows == [("scratch",)]


async def test_attributes(world: World) -> None:
    rows = world.query(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull, atthasdef, attlen "
        "FROM pg_attribute WHERE attrelid = 'planes'::regclass ORDER BY attnum"
    )
    assert rows == [
        ("tail", "character varying(20)", True, False, -1),
        ("seats", "integer", False, True, 4),
        ("price", "numeric(8,2)", False, False, -1),
        ("built", "date", True, True, 4),
        ("tags", "text[]", False, False, -1),
    ]


async def test_defaults(world: World) -> None:
    rows = world.query(
        "SELECT adnum, pg_get_expr(adbin, adrelid) FROM pg_attrdef "
        "WHERE adrelid = 'planes'::regclass ORDER BY adnum"
    )
    assert rows == [(2, "150"), (4, "current_date")]


async def test_information_schema_columns(world: World) -> None:
    rows = world.query(
        "SELECT column_name, data_type, udt_name, is_nullable, column_default, "
        "character_maximum_length, numeric_precision, numeric_precision_radix, numeric_scale, "
        "datetime_precision FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = 'planes' ORDER BY ordinal_position"
    )
    assert rows == [
        ("tail", "character varying", "varchar", "NO", None, 20, None, None, None, None),
        ("seats", "integer", "int4", "YES", "150", None, 32, 2, 0, None),
        ("price", "numeric", "numeric", "YES", None, None, 8, 10, 2, None),
        ("built", "date", "date", "NO", "current_date", None, None, None, None, 0),
        ("tags", "ARRAY", "_text", "YES", None, None, None, None, None, None),
    ]


async def test_information_schema_tables(world: World) -> None:
    rows = world.query(
        "SELECT table_catalog, table_schema, table_name, table_type "
        "FROM information_schema.tables WHERE table_schema NOT IN "
        "('pg_catalog', 'information_schema', 'mz_catalog', 'mz_internal') ORDER BY table_name"
    )
    assert rows == [
        ("materialize", "public", "big planes", "VIEW"),
        ("materialize", "public", "planes", "BASE TABLE"),
        ("materialize", "mz_temp", "scratch", "LOCAL TEMPORARY"),
    ]


async def test_view_definitions(world: World) -> None:
    expected = " SELECT tail, seats FROM materialize.public.planes WHERE seats > 200;"
    assert world.query("SELECT pg_get_viewdef('\"big planes\"'::regclass::oid)") == [(expected,)]
    assert world.query("SELECT definition FROM pg_views WHERE viewname = 'big planes'") == [
        (expected,)
    ]


async def test_comments(world: World) -> None:
    assert world.query("SELECT obj_description('planes'::regclass, 'pg_class')") == [
        ("Everything that flies",)
    ]
    rows = world.query(
        "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = 'planes'::regclass AND attnum < 3 ORDER BY attnum"
    )
    assert rows == [("tail", None), ("seats", "How many sit")]


async def test_visibility_is_for_what_a_path_finds(world: World) -> None:
    rows = world.query(
        "SELECT relname FROM pg_class WHERE pg_table_is_visible(oid) "
        "AND relname IN ('planes', 'mz_tables', 'pg_class', 'scratch', 'tables') ORDER BY relname"
    )
    assert rows == [("pg_class",), ("planes",), ("scratch",)]


async def test_names_of_oids(world: World) -> None:
    rows = world.query(
        "SELECT 'planes'::regclass::text, 'big planes'::text, c.oid::regclass::text "
        "FROM pg_class c WHERE c.relname IN ('big planes', 'mz_tables', 'pg_type') "
        "ORDER BY c.oid::regclass::text"
    )
    assert [row[2] for row in rows] == ['"big planes"', "mz_catalog.mz_tables", "pg_type"]
    assert world.query("SELECT to_regclass('planes')::oid = 'planes'::regclass::oid") == [(True,)]
    assert world.query("SELECT to_regclass('mz_catalog.mz_tables') IS NULL") == [(False,)]
    assert world.query("SELECT to_regclass('nothing') IS NULL") == [(True,)]
    assert world.query("SELECT pg_get_userbyid(10), pg_get_userbyid(99)") == [
        ("mz_system", "unknown (OID=99)")
    ]


async def test_roles(world: World) -> None:
    rows = world.query("SELECT rolname, rolsuper, rolcreatedb FROM pg_roles ORDER BY rolname")
    assert rows == [
        ("ada", False, True),
        ("materialize", False, True),
        ("mz_system", True, True),
    ]


async def test_dependencies(world: World) -> None:
    rows = world.query(
        "SELECT v.name, t.name FROM mz_internal.mz_object_dependencies d "
        "JOIN mz_objects v ON v.id = d.object_id "
        "JOIN mz_objects t ON t.id = d.referenced_object_id WHERE d.object_id LIKE 'u%'"
    )
    assert rows == [("big planes", "planes")]
    assert item_id(world, "planes").startswith("u")


async def test_settings(world: World) -> None:
    rows = world.query(
        "SELECT name, setting, source FROM pg_settings "
        "WHERE name IN ('search_path', 'max_index_keys', 'max_connections') ORDER BY name"
    )
    assert rows == [
        ("max_connections", "5000", "default"),
        ("max_index_keys", "32", "default"),
        ("search_path", "public", "default"),
    ]


async def test_types_and_functions(world: World) -> None:
    assert world.query(
        "SELECT t.typname, e.typname, t.typinput::regproc::text FROM pg_type t "
        "JOIN pg_type e ON e.oid = t.typelem WHERE t.oid = 'integer[]'::regtype"
    ) == [("_int4", "int4", "array_in")]
    assert world.query(
        "SELECT count(*) > 0 FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype "
        "WHERE p.proname = 'lower' AND t.typname = 'text'"
    ) == [(True,)]
