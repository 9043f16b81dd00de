"""What planning needs to see of a catalog: a Protocol, so that `sql` does not know the catalog.

The value behind it is immutable; a planner may keep it across awaits.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from core.ids import GlobalId
from core.sql_types import RelationDesc
from expr.relation import Constant


class ItemKind(StrEnum):
    """Kinds of catalog items, by the words of mz_objects.type."""

    TABLE = "table"
    VIEW = "view"
    MATERIALIZED_VIEW = "materialized-view"
    SOURCE = "source"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class QualifiedName:
    """A full name. `database` is None for objects outside databases (system and temporary ones)."""

    database: str | None
    schema: str
    item: str


@dataclass(frozen=True, slots=True)
class CatalogItem:
    """One item. `create_sql` is normalised, its names fully qualified; a view's query is planned
    from it. `defaults` holds, for each column of a table, its default as SQL text or None.
    `constant` holds the rows of a system relation whose contents a build fixes: planning puts it
    in place of a `Get`; filters and projections over it are best folded at once. `cluster` names
    the cluster that maintains the item (materialized views, indexes, sources), `index_on` what an
    index is on and `index_key` its key there: positions of columns from 1, or SQL texts. The rows
    of an introspection relation (`is_introspection`) are put in place of a `Get` when a query
    starts."""

    id: GlobalId
    oid: int
    name: QualifiedName
    kind: ItemKind
    desc: RelationDesc
    create_sql: str
    owner: str
    defaults: tuple[str | None, ...] = ()
    is_temporary: bool = False
    constant: Constant | None = None
    cluster: str | None = None
    index_on: GlobalId | None = None
    index_key: tuple[int | str, ...] = ()
    is_introspection: bool = False

    @property
    def is_system(self) -> bool:
        return self.id.startswith("s")


@dataclass(frozen=True, slots=True)
class SchemaName:
    """A schema; `database` is None for system schemas."""

    database: str | None
    schema: str
    oid: int
    owner: str


class CatalogView(Protocol):
    """One state of the catalog, as one connection sees it (its temporary items included)."""

    @property
    def revision(self) -> int: ...

    def resolve_item(
        self, database: str, search_path: tuple[str, ...], parts: tuple[str, ...]
    ) -> CatalogItem | None:
        """The item that a name of one to three parts means; None if there is none.

        An unqualified name is looked up in the temporary schema, then `pg_catalog`, `mz_catalog`
        (unless the path names them), then along the path.
        """

    def item(self, id: GlobalId) -> CatalogItem: ...

    def schema(self, database: str, parts: tuple[str, ...]) -> SchemaName | None:
        """The schema that a name of one or two parts means."""

    def schemas(self, database: str) -> tuple[SchemaName, ...]: ...

    def databases(self) -> tuple[tuple[str, int], ...]:
        """(name, oid) of each database."""

    def database_oid(self, name: str) -> int | None: ...

    def roles(self) -> tuple[tuple[str, int], ...]:
        """(name, oid) of each role."""

    def function_oids(self, name: str) -> tuple[int, ...]:
        """The oid of each function of that name, one for each argument list."""

    def clusters(self) -> tuple[str, ...]: ...

    def replicas(self, cluster: str) -> tuple[str, ...]:
        """The names of a cluster's replicas; none of an unknown one."""

    def indexes(self, on: GlobalId, cluster: str) -> tuple[CatalogItem, ...]:
        """The indexes on a relation that the cluster maintains, the oldest first; none that this
        transaction has not committed yet."""

    def dependents(self, id: GlobalId) -> tuple[GlobalId, ...]:
        """Items whose definition names `id`."""
