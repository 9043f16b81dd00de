"""A catalog with a few objects, made once for each test module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from catalog.operations import CreateRole, CreateTable, CreateView, SetComment
from core.ids import GlobalId, new_shard_id
from core.sql_types import DATE, INT4, INT8, NUMERIC, TEXT, Column, RelationDesc, SqlType
from sql.catalog_view import QualifiedName
from tests.system_catalog.world import CONNECTION, World

VARCHAR_20 = SqlType(1043, 24)
NUMERIC_8_2 = SqlType(NUMERIC.oid, (8 << 16 | 2) + 4)
PLANES = RelationDesc(
    (
        Column("tail", VARCHAR_20, nullable=False),
        Column("seats", INT4),
        Column("price", NUMERIC_8_2),
        Column("built", DATE, nullable=False),
        Column("tags", SqlType(1009)),
    )
)
_VIEW_SQL = (
    'CREATE VIEW "materialize"."public"."big planes" AS '
    "SELECT tail, seats FROM materialize.public.planes WHERE seats > 200"
)


def _named(item: str, schema: str = "public") -> QualifiedName:
    return QualifiedName("materialize", schema, item)


def item_id(world: World, item: str) -> GlobalId:
    """The id of a relation in schema public."""
    found = world.catalog.for_connection(CONNECTION).resolve_item(
        world.database, ("public",), (item,)
    )
    assert found is not None
    return found.id


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """Table planes, view "big planes" over it, temporary table scratch, a few comments."""
    made = await World.create()
    made.apply(
        CreateTable(
            _named("planes"),
            PLANES,
            (None, "150", None, "current_date", None),
            'CREATE TABLE "materialize"."public"."planes" ("tail" varchar(20) NOT NULL)',
            "materialize",
            new_shard_id(),
        )
    )
    planes = item_id(made, "planes")
    made.apply(
        CreateView(
            _named("big planes"),
            RelationDesc((Column("tail", VARCHAR_20), Column("seats", INT4))),
            _VIEW_SQL,
            frozenset({planes}),
            "materialize",
        ),
        CreateTable(
            QualifiedName(None, "mz_temp", "scratch"),
            RelationDesc((Column("n", INT8), Column("note", TEXT))),
            (None, None),
            "CREATE TEMPORARY TABLE scratch (n bigint, note text)",
            "materialize",
            new_shard_id(),
            temporary_connection=CONNECTION,
        ),
        CreateRole("ada", can_login=True, can_create_database=True),
        SetComment("table", planes, None, "Everything that flies"),
        SetComment("table", planes, 2, "How many sit"),
    )
    yield made


@pytest.fixture(params=["pg_catalog", "information_schema", "mz_catalog", "mz_internal"])
def system_schema(request: pytest.FixtureRequest) -> str:
    return str(request.param)
