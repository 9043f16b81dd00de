"""The durable rows: every kind survives, and the text is PostgreSQL's canonical jsonb."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.durable import (
    CorruptCatalogError,
    DurableRow,
    canonical_json,
    decode_row,
    from_row,
    to_row,
)
from catalog.objects import (
    AuditEvent,
    CatalogObject,
    Cluster,
    ClusterReplica,
    Comment,
    ConfigEntry,
    Database,
    FenceToken,
    IdAllocator,
    ItemRecord,
    PreAllocatedShard,
    Role,
    Schema,
    StoredCollection,
    SystemParameter,
    UnfinalizedShard,
)
from core.ids import GlobalId, Timestamp, new_shard_id
from core.sql_types import NUMERIC, Column, RelationDesc, SqlType
from sql.catalog_view import ItemKind

EVERY_KIND: tuple[CatalogObject, ...] = (
    Database("u1", "d", 20_000, "s1"),
    Schema("u1", "s", 20_001, "s1", "u1"),
    Schema("s1", "pg_catalog", 11, "s1", None),
    Role("u1", "r", 20_002, True, False, True, False, True),
    Cluster("u1", "quickstart", "s1"),
    ClusterReplica("u1", "r1", "u1", "s1"),
    ItemRecord(
        id=GlobalId("u7"),
        oid=20_003,
        schema_id="u1",
        name='odd "name"\n\\ü',
        kind=ItemKind.TABLE,
        owner="u1",
        create_sql="CREATE TABLE …",
        desc=RelationDesc((Column("a", SqlType(1700, 655_366), False), Column("b", NUMERIC))),
        defaults=(None, "1 + 1"),
        depends_on=frozenset({GlobalId("u2"), GlobalId("u1")}),
        temporary_connection=3,
        created_at=Timestamp(5),
    ),
    Cluster("u2", "unmanaged", "s1", is_managed=False, size=None, replication_factor=None),
    ItemRecord(
        id=GlobalId("u8"),
        oid=20_004,
        schema_id="u1",
        name="t_idx",
        kind=ItemKind.INDEX,
        owner="u1",
        create_sql="CREATE INDEX …",
        desc=RelationDesc((Column("a", NUMERIC), Column("expr", NUMERIC))),
        depends_on=frozenset({GlobalId("u7")}),
        cluster_id="u1",
        index_on=GlobalId("u7"),
        index_key=(1, "(a + 1)"),
        retain_history_us=1_000,
    ),
    StoredCollection(GlobalId("u7"), new_shard_id(), Timestamp(9)),
    Comment("table", "u7", None, "whole"),
    Comment("table", "u7", 2, "column"),
    SystemParameter("max_connections", "10"),
    IdAllocator("item", 8),
    ConfigEntry("environment_id", "e"),
    FenceToken(4),
    PreAllocatedShard(new_shard_id()),
    UnfinalizedShard(new_shard_id()),
    AuditEvent(1, "create", "table", (("id", "u7"),), None, Timestamp(6)),
)


def test_the_examples_cover_every_kind() -> None:
    assert {type(value) for value in EVERY_KIND} == set(get_args(CatalogObject))


@pytest.mark.parametrize("value", EVERY_KIND, ids=lambda value: type(value).__name__)
def test_objects_survive_their_rows(value: CatalogObject) -> None:
    row = to_row(value)
    assert decode_row(row.encode()) == row
    assert from_row(row) == value


def test_keys_are_sorted_as_jsonb_sorts_them() -> None:
    assert canonical_json({"bb": 1, "c": None, "a": [True, {"z": "ü", "y": "\n"}]}) == (
        '{"a": [true, {"y": "\\n", "z": "ü"}], "c": null, "bb": 1}'
    )


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
))  # fmt: skip
def test_equal_values_have_equal_texts(value: object) -> None:
    import json

    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


@pytest.mark.parametrize(
    "row",
    [
        DurableRow("nonsense", "{}", "{}"),
        DurableRow("database", "{}", "{}"),
        DurableRow("item", '{"id": "u1"}', '{"columns": 3}'),
        DurableRow("database", "not json", "{}"),
    ],
)
def test_rows_of_another_making_are_refused(row: DurableRow) -> None:
    with pytest.raises(CorruptCatalogError):
        from_row(row)
