"""Catalogs for tests, made the way a boot makes them, and short forms of operations."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from catalog.boot import BootParameters, open_catalog
from catalog.operations import (
    CreateIndex,
    CreateMaterializedView,
    CreateSource,
    CreateSubsource,
    CreateTable,
    CreateView,
    Operation,
    TransactionContext,
)
from catalog.state import Catalog
from catalog.transact import AppliedTransaction, apply_operations
from core.ids import MIN_TIMESTAMP, GlobalId, ShardId, Timestamp, new_shard_id
from core.sql_types import INT4, TEXT, Column, RelationDesc
from persist.memory import MemoryBlob
from persist.txns_state import TxnWrite
from sql.catalog_view import CatalogItem, QualifiedName
from sql.identifiers import quote_name
from sql.maintained_text import MaintainedDefinition

CATALOG_SHARD: Final = ShardId("s00000000-0000-0000-0000-000000000001")
CONTEXT: Final = TransactionContext("materialize", Timestamp(1_000), Timestamp(999))
DESC: Final = RelationDesc((Column("a", INT4), Column("b", TEXT, nullable=False)))
SEARCH_PATH: Final = ("public",)


class RecordingLog:
    """A commit log that only remembers."""

    def __init__(self) -> None:
        self.upper = MIN_TIMESTAMP
        self.writes: list[TxnWrite] = []

    async def commit(
        self,
        writes: Sequence[TxnWrite],
        *,
        register: Sequence[ShardId] = (),
        forget: Sequence[ShardId] = (),
        is_catalog_change: bool = False,
        not_before: Timestamp = MIN_TIMESTAMP,
    ) -> Timestamp:
        del register, forget, is_catalog_change
        self.writes.extend(writes)
        ts = Timestamp(max(self.upper, not_before))
        self.upper = Timestamp(ts + 1)
        return ts


@lru_cache(maxsize=1)
def new_catalog() -> Catalog:
    """A new environment's catalog: always the same immutable value."""
    parameters = BootParameters(CATALOG_SHARD, epoch=1, now=Timestamp(1))
    return asyncio.run(open_catalog((), RecordingLog(), MemoryBlob(), parameters))


def table(name: str, schema: str = "public", **options: object) -> CreateTable:
    """CREATE TABLE materialize.schema.name (a int4, b text NOT NULL)."""
    values: dict[str, object] = {
        "name": QualifiedName("materialize", schema, name),
        "desc": DESC,
        "defaults": (None, None),
        "create_sql": f"CREATE TABLE materialize.{schema}.{name} (a int4, b text NOT NULL)",
        "owner": "materialize",
        "shard": new_shard_id(),
    }
    return CreateTable(**(values | options))  # type: ignore[arg-type]


def view(name: str, used: CatalogItem, schema: str = "public", **options: object) -> CreateView:
    """CREATE VIEW materialize.schema.name AS SELECT * FROM used."""
    source = f"{used.name.database}.{used.name.schema}.{used.name.item}"
    values: dict[str, object] = {
        "name": QualifiedName("materialize", schema, name),
        "desc": DESC,
        "create_sql": f"CREATE VIEW materialize.{schema}.{name} AS SELECT * FROM {source}",
        "depends_on": frozenset({used.id}),
        "owner": "materialize",
    }
    return CreateView(**(values | options))  # type: ignore[arg-type]


def apply(catalog: Catalog, *operations: Operation) -> AppliedTransaction:
    """Apply operations planned on `catalog` itself."""
    return apply_operations(catalog, operations, catalog.revision, CONTEXT)


def after(catalog: Catalog, *operations: Operation) -> Catalog:
    """The catalog after operations, one transaction each."""
    for operation in operations:
        catalog = apply(catalog, operation).catalog
    return catalog


def item(catalog: Catalog, *parts: str, connection: int | None = None) -> CatalogItem:
    """The item of that name, which must exist."""
    found = catalog.for_connection(connection).resolve_item("materialize", SEARCH_PATH, parts)
    assert found is not None, parts
    return found


def item_id(catalog: Catalog, *parts: str) -> GlobalId:
    return item(catalog, *parts).id


def materialized_view(
    name: str, used: CatalogItem, cluster: str = "quickstart", **options: object
) -> CreateMaterializedView:
    """CREATE MATERIALIZED VIEW materialize.public.name AS SELECT * FROM used."""
    made = QualifiedName("materialize", "public", name)
    definition = MaintainedDefinition(
        ("materialize", "public", name), cluster, (), (f"SELECT * FROM {_full(used)}",)
    )
    values: dict[str, object] = {
        "name": made,
        "desc": DESC,
        "create_sql": definition.sql(),
        "depends_on": frozenset({used.id}),
        "owner": "materialize",
        "cluster": cluster,
        "shard": new_shard_id(),
    }
    return CreateMaterializedView(**(values | options))  # type: ignore[arg-type]


def source(name: str, cluster: str = "quickstart") -> CreateSource:
    """CREATE SOURCE materialize.public.name FROM LOAD GENERATOR AUCTION FOR TABLES (bids), with
    subsources name_bids and name_progress."""
    full = ("materialize", "public", name)
    bids = f"{name}_bids"
    return CreateSource(
        name=QualifiedName(*full),
        desc=RelationDesc(()),
        create_sql=f"CREATE SOURCE {quote_name(*full)} IN CLUSTER {quote_name(cluster)}"
        f" FROM LOAD GENERATOR AUCTION FOR TABLES (bids AS {quote_name(bids)})",
        owner="materialize",
        cluster=cluster,
        output=None,
        shard=None,
        subsources=tuple(
            CreateSubsource(
                f"{name}_{output}",
                output,
                DESC,
                f"CREATE SUBSOURCE {quote_name('materialize', 'public', f'{name}_{output}')}"
                f" OF SOURCE {quote_name(*full)} REFERENCE {output}",
                new_shard_id(),
            )
            for output in ("bids", "progress")
        ),
    )


def index(
    name: str, used: CatalogItem, cluster: str = "quickstart", **options: object
) -> CreateIndex:
    """CREATE INDEX name ON used (a, lower(b))."""
    parts = tuple(p for p in (used.name.database, used.name.schema) if p is not None)
    definition = MaintainedDefinition(
        (*parts, name), cluster, (), ("a", "lower(b)"), on=(*parts, used.name.item)
    )
    values: dict[str, object] = {
        "name": name,
        "on": used.id,
        "key": (1, "lower(b)"),
        "desc": RelationDesc((Column("a", INT4), Column("lower", TEXT))),
        "create_sql": definition.sql(),
        "owner": "materialize",
        "cluster": cluster,
    }
    return CreateIndex(**(values | options))  # type: ignore[arg-type]


def _full(used: CatalogItem) -> str:
    return quote_name(used.name.database, used.name.schema, used.name.item)
