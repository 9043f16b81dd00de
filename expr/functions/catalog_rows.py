"""Table functions that take apart a row of the raw catalog, parsing its JSON once.

They are what `jsonb_to_record` is in PostgreSQL, with fixed fields: the system relations read
hundreds of rows of many fields at every catalog query, and a `->>` for each field parses each row
again. Fields that a relation does not show are skipped while parsing.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from core.rows import POSTGRES_EPOCH_UNIX_SECONDS, Row
from core.sql_types import BOOL, INT4, OID, TEXT, TIMESTAMPTZ, Column
from expr.registry import FunctionKind, define

_EPOCH_US: Final = POSTGRES_EPOCH_UNIX_SECONDS * 1_000_000


class _Item(msgspec.Struct):
    oid: int
    schema_id: str
    name: str
    type: str
    owner: str
    create_sql: str
    columns: list[msgspec.Raw]
    temporary_connection: int | None
    created_at: int
    cluster_id: str | None = None
    index_on: str | None = None


class _ItemColumn(msgspec.Struct):
    name: str
    type_oid: int
    type_modifier: int
    nullable: bool
    default: str | None


class _ItemColumns(msgspec.Struct):
    oid: int
    type: str
    columns: list[_ItemColumn]
    temporary_connection: int | None


class _ItemIndexKey(msgspec.Struct):
    columns: list[_ItemColumn]
    index_key: list[int | str] = []


class _ItemDependencies(msgspec.Struct):
    depends_on: list[str]


_ITEM: Final = msgspec.json.Decoder(_Item)
_COLUMNS: Final = msgspec.json.Decoder(_ItemColumns)
_INDEX_KEY: Final = msgspec.json.Decoder(_ItemIndexKey)
_DEPENDENCIES: Final = msgspec.json.Decoder(_ItemDependencies)


def catalog_item(text: str) -> tuple[Row, ...]:
    """The one row of an item."""
    try:
        item = _ITEM.decode(text)
    except msgspec.DecodeError as error:
        raise _not_an_item(error) from None
    return (
        (
            item.oid,
            item.schema_id,
            item.name,
            item.type,
            item.owner,
            item.create_sql,
            len(item.columns),
            item.temporary_connection,
            item.created_at - _EPOCH_US,
            item.cluster_id,
            item.index_on,
        ),
    )


def catalog_columns(text: str) -> Iterator[Row]:
    """A row for each column of an item."""
    try:
        item = _COLUMNS.decode(text)
    except msgspec.DecodeError as error:
        raise _not_an_item(error) from None
    for position, column in enumerate(item.columns, start=1):
        yield (
            item.oid,
            item.temporary_connection,
            position,
            column.name,
            column.nullable,
            column.type_oid,
            column.type_modifier,
            column.default,
            item.type,
        )


def catalog_index_key(text: str) -> Iterator[Row]:
    """A row for each part of an index's key: a column of what it is on, or an expression."""
    try:
        item = _INDEX_KEY.decode(text)
    except msgspec.DecodeError as error:
        raise _not_an_item(error) from None
    for position, part in enumerate(item.index_key, start=1):
        column = item.columns[position - 1]
        is_column = isinstance(part, int)
        yield (
            position,
            part if is_column else None,
            None if is_column else part,
            column.name,
            column.nullable,
        )


def catalog_dependencies(text: str) -> Iterator[Row]:
    """A row for each item that an item's definition names."""
    try:
        item = _DEPENDENCIES.decode(text)
    except msgspec.DecodeError as error:
        raise _not_an_item(error) from None
    for referenced in item.depends_on:
        yield (referenced,)


def _not_an_item(error: msgspec.DecodeError) -> SqlError:
    return SqlError(INVALID_PARAMETER_VALUE, f"value is not an item of the catalog: {error}")


define(
    "mz_catalog_item(jsonb)",
    "record",
    catalog_item,
    kind=FunctionKind.TABLE,
    columns=(
        Column("oid", OID),
        Column("schema_id", TEXT),
        Column("name", TEXT),
        Column("type", TEXT),
        Column("owner_id", TEXT),
        Column("create_sql", TEXT),
        Column("column_count", INT4),
        Column("temporary_connection", INT4),
        Column("created_at", TIMESTAMPTZ),
        Column("cluster_id", TEXT),
        Column("index_on", TEXT),
    ),
)
define(
    "mz_catalog_columns(jsonb)",
    "record",
    catalog_columns,
    kind=FunctionKind.TABLE,
    columns=(
        Column("item_oid", OID),
        Column("temporary_connection", INT4),
        Column("position", INT4),
        Column("name", TEXT),
        Column("nullable", BOOL),
        Column("type_oid", OID),
        Column("type_modifier", INT4),
        Column("default_sql", TEXT),
        Column("item_type", TEXT),
    ),
)
define(
    "mz_catalog_index_key(jsonb)",
    "record",
    catalog_index_key,
    kind=FunctionKind.TABLE,
    columns=(
        Column("position", INT4),
        Column("on_position", INT4),
        Column("on_expression", TEXT),
        Column("name", TEXT),
        Column("nullable", BOOL),
    ),
)
define(
    "mz_catalog_dependencies(jsonb)",
    "text",
    catalog_dependencies,
    kind=FunctionKind.TABLE,
    columns=(Column("referenced_id", TEXT),),
)
