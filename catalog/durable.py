"""The durable form of the catalog: rows `(kind text, key jsonb, value jsonb)` in one shard.

The shard is the collection `mz_internal.mz_catalog_raw` (id `s1`), a data shard of the txns shard
like any table; system relations are plans over it. Each row stands once (diff +1); a change is a
retraction and an insertion in one commit. Built-in objects have rows too, kept up to date at boot.

Both JSON columns are PostgreSQL's canonical jsonb text. All ids are strings: `u…` for a user's
objects, `s…` for the system's, `t…` for temporary items; ids of different kinds are unrelated.
Absent references are JSON null. `owner` is a role id. Fields by kind:

| kind | key | value |
|---|---|---|
| `config` | `name` | `value` (text); names: `environment_id`, `catalog_version` |
| `fence` | (empty object) | `epoch` (int): the epoch that wrote last |
| `id_allocator` | `name` | `next` (int); names: `database`, `schema`, `item`, `role`, `cluster`, \
`replica`, `oid`, `audit_event` |
| `database` | `id` | `name`, `oid`, `owner` |
| `schema` | `id` | `name`, `oid`, `owner`, `database_id` (null: a system schema) |
| `role` | `id` | `name`, `oid`, `superuser`, `inherit`, `create_role`, `create_db`, `login` (bools) |
| `cluster` | `id` | `name`, `owner` |
| `cluster_replica` | `id` | `name`, `cluster_id`, `owner` |
| `item` | `id` | `oid`, `schema_id`, `name`, `type` (an `ItemKind`: `table`, `view`, …), `owner`, \
`create_sql`, `columns` (array of `name`, `type_oid`, `type_modifier`, `nullable`, `default` (SQL \
text or null)), `depends_on` (array of item ids), `temporary_connection` (int or null), \
`created_at` (microseconds since the Unix epoch; 0 for built-in items) |
| `storage_collection` | `id` (an item's) | `shard`, `as_of` (timestamp) |
| `system_parameter` | `name` | `value` (text) |
| `comment` | `object_type`, `object_id`, `column` (position from 1, or null) | `comment` |
| `pre_allocated_shard` | `shard` | (empty object) |
| `unfinalized_shard` | `shard` | (empty object) |
| `audit_event` | `id` (int) | `event_type` (`create`, `drop`, `alter`), `object_type`, `details` \
(object), `user` (text or null), `occurred_at` (microseconds since the Unix epoch) |

System schemas: `mz_catalog`, `mz_internal`, `pg_catalog`, `information_schema`, `mz_temp` (every
temporary item's `schema_id` is that of `mz_temp`; whose it is tells `temporary_connection`).
"""

from dataclasses import dataclass
from typing import Any, Final

from core.ids import GlobalId
from core.sql_types import JSONB, TEXT, Column, RelationDesc

RAW_CATALOG_ID: Final = GlobalId("s1")
RAW_CATALOG_DESC: Final = RelationDesc(
    (Column("kind", TEXT, False), Column("key", JSONB, False), Column("value", JSONB, False))
)

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DurableRow:
    """One row; `key` and `value` are canonical jsonb text, so equal rows are equal values."""

    kind: str
    key: str
    value: str


RowDiff = tuple[DurableRow, int]
