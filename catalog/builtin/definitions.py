"""What a builtin relation is, and the short notation its columns are declared in.

A builtin relation is a *view*, a query over the raw catalog collection and other builtin
relations; or a *constant*, rows that a build of Headwater fixes (types, functions, settings of a
PostgreSQL server that have no counterpart here); or an *introspection relation*, what the process
knows at the moment of the query about itself and its replicas. None is ever written: DDL changes
the raw catalog and every view follows, at the same timestamp.

Columns are declared, not inferred, so that the catalog knows every system relation's schema at
boot without planning one query. Each definition carries a *number*, never given to another
relation: it is the id (`s` and the number) and, unless PostgreSQL fixes an oid for the relation,
the oid (10000 and the number). Views name relations in full, as `schema.relation`, so that their
meaning does not depend on a search path.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from core.ids import GlobalId
from core.rows import Row, codec_for
from core.sql_types import TYPES_BY_NAME, Column, RelationDesc, SqlType
from expr.relation import Constant
from sql.catalog_view import CatalogItem, ItemKind, QualifiedName, SchemaName

SYSTEM_ROLE: Final = "mz_system"
FIRST_BUILTIN_OID: Final = 10_000
FIRST_USER_OID: Final = 20_000

PG_CATALOG: Final = SchemaName(None, "pg_catalog", 11, SYSTEM_ROLE)
INFORMATION_SCHEMA: Final = SchemaName(None, "information_schema", 10_001, SYSTEM_ROLE)
MZ_CATALOG: Final = SchemaName(None, "mz_catalog", 10_002, SYSTEM_ROLE)
MZ_INTERNAL: Final = SchemaName(None, "mz_internal", 10_003, SYSTEM_ROLE)
BUILTIN_SCHEMAS: Final = (PG_CATALOG, INFORMATION_SCHEMA, MZ_CATALOG, MZ_INTERNAL)


@dataclass(frozen=True)
class BuiltinRelation:
    """What views and constants have in common."""

    number: int
    schema: SchemaName
    item: str
    desc: RelationDesc
    comment: str
    fixed_oid: int | None

    @property
    def id(self) -> GlobalId:
        return GlobalId(f"s{self.number}")

    @property
    def oid(self) -> int:
        return self.fixed_oid or FIRST_BUILTIN_OID + self.number

    @property
    def name(self) -> QualifiedName:
        return QualifiedName(None, self.schema.schema, self.item)


@dataclass(frozen=True)
class BuiltinView(BuiltinRelation):
    """A relation defined by a query; `sql` is the query alone."""

    sql: str

    @property
    def create_sql(self) -> str:
        return f"CREATE VIEW {self.schema.schema}.{self.item} AS {self.sql}"


@dataclass(frozen=True)
class BuiltinConstant(BuiltinRelation):
    """A relation of fixed rows; `rows` computes them once, when they are first wanted."""

    rows: Callable[[], Sequence[Row]]

    @cached_property
    def constant(self) -> Constant:
        """The rows as a relational expression."""
        types = tuple(column.type.base for column in self.desc.columns)
        codec = codec_for(types)
        return Constant(tuple((codec.encode(row), 1) for row in self.rows()), types)


@dataclass(frozen=True)
class BuiltinIntrospection(BuiltinRelation):
    """A relation whose rows are put into each query of it when it starts."""


RAW_CATALOG: Final = CatalogItem(
    id=GlobalId("s1"),
    oid=FIRST_BUILTIN_OID + 10,
    name=QualifiedName(None, MZ_INTERNAL.schema, "mz_catalog_raw"),
    kind=ItemKind.TABLE,
    desc=RelationDesc(
        (
            Column("kind", SqlType(25), nullable=False),
            Column("key", SqlType(3802), nullable=False),
            Column("value", SqlType(3802), nullable=False),
        )
    ),
    create_sql="CREATE TABLE mz_internal.mz_catalog_raw (kind text, key jsonb, value jsonb)",
    owner=SYSTEM_ROLE,
)


def view(
    number: int,
    schema: SchemaName,
    item: str,
    columns: str,
    source: str,
    *,
    comment: str = "",
    oid: int | None = None,
) -> BuiltinView:
    """Define a view `SELECT columns source`, where `source` starts with FROM (or is empty).

    `columns` has `name type = expression`, one column a line; a line of another form continues
    the expression before it. Each expression is cast to the column's declared type.
    """
    parsed: list[tuple[Column, str]] = []
    for line in columns.strip().splitlines():
        match = _COLUMN_LINE.match(line.strip())
        if match is None:
            column, expression = parsed[-1]
            parsed[-1] = (column, f"{expression} {line.strip()}")
        else:
            parsed.append((_parse_column(match["name"], match["type"]), match["expression"]))
    outputs = ", ".join(
        f'CAST({expression} AS {column.type.info.sql_name}) AS "{column.name}"'
        for column, expression in parsed
    )
    desc = RelationDesc(tuple(column for column, _ in parsed))
    sql = f"SELECT {outputs} {' '.join(source.split())}".strip()
    return BuiltinView(number, schema, item, desc, comment, oid, sql)


def constant(
    number: int,
    schema: SchemaName,
    item: str,
    columns: str,
    rows: Callable[[], Sequence[Row]],
    *,
    comment: str = "",
    oid: int | None = None,
) -> BuiltinConstant:
    """Define a constant relation; `columns` is in the notation of `parse_columns`."""
    return BuiltinConstant(number, schema, item, parse_columns(columns), comment, oid, rows)


def empty(
    number: int, schema: SchemaName, item: str, columns: str, *, oid: int | None = None
) -> BuiltinConstant:
    """Define a relation that never has a row: what it lists does not exist here."""
    return constant(number, schema, item, columns, tuple, oid=oid)


def introspection(
    number: int, schema: SchemaName, item: str, columns: str, *, comment: str = ""
) -> BuiltinIntrospection:
    """Define an introspection relation; `columns` is in the notation of `parse_columns`."""
    return BuiltinIntrospection(number, schema, item, parse_columns(columns), comment, None)


def parse_columns(declaration: str) -> RelationDesc:
    """A schema from comma-separated parts `name type`, `!` after the type for NOT NULL.

    Types go by their pg_type names; `text[]` means an array of text.
    """
    parts = [part.split() for part in declaration.split(",")]
    return RelationDesc(tuple(_parse_column(*part) for part in parts if part))


_COLUMN_LINE: Final = re.compile(r"(?P<name>\w+) (?P<type>\w+(?:\[\])?!?) = (?P<expression>.+)")


def _parse_column(name: str, type_name: str) -> Column:
    bare = type_name.removesuffix("!")
    pg_name = f"_{bare.removesuffix('[]')}" if bare.endswith("[]") else bare
    return Column(name, SqlType(TYPES_BY_NAME[pg_name].oid), nullable=bare == type_name)


def builtin_item(relation: BuiltinView | BuiltinConstant | BuiltinIntrospection) -> CatalogItem:
    """The catalog item of a builtin relation."""
    view_sql = relation.create_sql if isinstance(relation, BuiltinView) else None
    return CatalogItem(
        id=relation.id,
        oid=relation.oid,
        name=relation.name,
        kind=ItemKind.TABLE if view_sql is None else ItemKind.VIEW,
        desc=relation.desc,
        create_sql=view_sql or "",
        owner=SYSTEM_ROLE,
        constant=relation.constant if isinstance(relation, BuiltinConstant) else None,
        is_introspection=isinstance(relation, BuiltinIntrospection),
    )
