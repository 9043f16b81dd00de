"""SQL types: PostgreSQL's oids, names, sizes and categories, as one table.

A `SqlType` is an oid and a type modifier (PostgreSQL's typmod, -1 for none). Everything else about
a type is looked up in `TYPES`. How a datum of each type is held in memory is told in `core.rows`.
Source: pg_type of PostgreSQL 15.
"""

from typing import Final, NamedTuple

import msgspec


class TypeInfo(NamedTuple):
    """One row of the type table. `size` is pg_type.typlen; `category` is pg_type.typcategory."""

    name: str  # pg_type.typname
    sql_name: str  # what format_type() shows
    oid: int
    array_oid: int  # 0 where there is none
    size: int
    category: str
    preferred: bool


class SqlType(msgspec.Struct, frozen=True, array_like=True):
    """A type and its modifier."""

    oid: int
    modifier: int = -1

    @property
    def info(self) -> TypeInfo:
        return TYPES[self.oid]

    @property
    def name(self) -> str:
        return TYPES[self.oid].name

    @property
    def element(self) -> "SqlType | None":
        """The element type of an array type, with the array's modifier; None for other types."""
        element_oid = ELEMENT_OIDS.get(self.oid)
        return None if element_oid is None else SqlType(element_oid, self.modifier)

    @property
    def array(self) -> "SqlType | None":
        """The type of arrays of this type; None where there is none."""
        array_oid = TYPES[self.oid].array_oid
        return SqlType(array_oid, self.modifier) if array_oid else None

    @property
    def base(self) -> "SqlType":
        """This type without its modifier."""
        return self if self.modifier == -1 else SqlType(self.oid)


_SCALARS: Final = (
    TypeInfo("bool", "boolean", 16, 1000, 1, "B", True),
    TypeInfo("bytea", "bytea", 17, 1001, -1, "U", False),
    TypeInfo("char", '"char"', 18, 1002, 1, "Z", False),
    TypeInfo("name", "name", 19, 1003, 64, "S", False),
    TypeInfo("int8", "bigint", 20, 1016, 8, "N", False),
    TypeInfo("int2", "smallint", 21, 1005, 2, "N", False),
    TypeInfo("int2vector", "int2vector", 22, 1006, -1, "A", False),
    TypeInfo("int4", "integer", 23, 1007, 4, "N", False),
    TypeInfo("regproc", "regproc", 24, 1008, 4, "N", False),
    TypeInfo("text", "text", 25, 1009, -1, "S", True),
    TypeInfo("oid", "oid", 26, 1028, 4, "N", True),
    TypeInfo("xid", "xid", 28, 1011, 4, "U", False),
    TypeInfo("oidvector", "oidvector", 30, 1013, -1, "A", False),
    TypeInfo("json", "json", 114, 199, -1, "U", False),
    TypeInfo("float4", "real", 700, 1021, 4, "N", False),
    TypeInfo("float8", "double precision", 701, 1022, 8, "N", True),
    TypeInfo("unknown", "unknown", 705, 0, -2, "X", False),
    TypeInfo("bpchar", "character", 1042, 1014, -1, "S", False),
    TypeInfo("varchar", "character varying", 1043, 1015, -1, "S", False),
    TypeInfo("date", "date", 1082, 1182, 4, "D", False),
    TypeInfo("time", "time without time zone", 1083, 1183, 8, "D", False),
    TypeInfo("timestamp", "timestamp without time zone", 1114, 1115, 8, "D", False),
    TypeInfo("timestamptz", "timestamp with time zone", 1184, 1185, 8, "D", True),
    TypeInfo("interval", "interval", 1186, 1187, 16, "T", True),
    TypeInfo("numeric", "numeric", 1700, 1231, -1, "N", False),
    TypeInfo("regclass", "regclass", 2205, 2210, 4, "N", False),
    TypeInfo("regtype", "regtype", 2206, 2211, 4, "N", False),
    TypeInfo("record", "record", 2249, 2287, -1, "P", False),
    TypeInfo("cstring", "cstring", 2275, 1263, -2, "P", False),
    TypeInfo("any", '"any"', 2276, 0, 4, "P", False),
    TypeInfo("anyarray", "anyarray", 2277, 0, -1, "P", False),
    TypeInfo("void", "void", 2278, 0, 4, "P", False),
    TypeInfo("trigger", "trigger", 2279, 0, 4, "P", False),
    TypeInfo("internal", "internal", 2281, 0, 8, "P", False),
    TypeInfo("anyelement", "anyelement", 2283, 0, 4, "P", False),
    TypeInfo("anynonarray", "anynonarray", 2776, 0, 4, "P", False),
    TypeInfo("anycompatible", "anycompatible", 5077, 0, 4, "P", False),
    TypeInfo("anycompatiblearray", "anycompatiblearray", 5078, 0, -1, "P", False),
    TypeInfo("uuid", "uuid", 2950, 2951, 16, "U", False),
    TypeInfo("jsonb", "jsonb", 3802, 3807, -1, "U", False),
    TypeInfo("regnamespace", "regnamespace", 4089, 4090, 4, "N", False),
    TypeInfo("regrole", "regrole", 4096, 4097, 4, "N", False),
    # Materialize's own, with its oids.
    TypeInfo("mz_timestamp", "mz_timestamp", 16552, 16553, 8, "U", False),
    TypeInfo("uint2", "uint2", 16460, 16461, 2, "N", False),
    TypeInfo("uint4", "uint4", 16462, 16463, 4, "N", False),
    TypeInfo("uint8", "uint8", 16464, 16465, 8, "N", False),
)

ELEMENT_OIDS: Final = {info.array_oid: info.oid for info in _SCALARS if info.array_oid} | {
    22: 21,
    30: 26,
}
TYPES: Final = {info.oid: info for info in _SCALARS} | {
    info.array_oid: TypeInfo(
        f"_{info.name}", f"{info.sql_name}[]", info.array_oid, 0, -1, "A", False
    )
    for info in _SCALARS
    if info.array_oid
}
TYPES_BY_NAME: Final = {info.name: info for info in TYPES.values()}

BOOL: Final = SqlType(16)
BYTEA: Final = SqlType(17)
CHAR: Final = SqlType(18)
NAME: Final = SqlType(19)
INT8: Final = SqlType(20)
INT2: Final = SqlType(21)
INT2VECTOR: Final = SqlType(22)
INT4: Final = SqlType(23)
REGPROC: Final = SqlType(24)
TEXT: Final = SqlType(25)
OID: Final = SqlType(26)
XID: Final = SqlType(28)
OIDVECTOR: Final = SqlType(30)
JSON: Final = SqlType(114)
FLOAT4: Final = SqlType(700)
FLOAT8: Final = SqlType(701)
UNKNOWN: Final = SqlType(705)
BPCHAR: Final = SqlType(1042)
VARCHAR: Final = SqlType(1043)
DATE: Final = SqlType(1082)
TIME: Final = SqlType(1083)
TIMESTAMP: Final = SqlType(1114)
TIMESTAMPTZ: Final = SqlType(1184)
INTERVAL: Final = SqlType(1186)
NUMERIC: Final = SqlType(1700)
REGCLASS: Final = SqlType(2205)
REGTYPE: Final = SqlType(2206)
RECORD: Final = SqlType(2249)
ANY: Final = SqlType(2276)
ANYARRAY: Final = SqlType(2277)
VOID: Final = SqlType(2278)
ANYELEMENT: Final = SqlType(2283)
ANYNONARRAY: Final = SqlType(2776)
ANYCOMPATIBLE: Final = SqlType(5077)
ANYCOMPATIBLEARRAY: Final = SqlType(5078)
UUID: Final = SqlType(2950)
JSONB: Final = SqlType(3802)
REGNAMESPACE: Final = SqlType(4089)
REGROLE: Final = SqlType(4096)
MZ_TIMESTAMP: Final = SqlType(16552)
UINT2: Final = SqlType(16460)
UINT4: Final = SqlType(16462)
UINT8: Final = SqlType(16464)


class Column(msgspec.Struct, frozen=True, array_like=True):
    """A named column of a relation."""

    name: str
    type: SqlType
    nullable: bool = True


class RelationDesc(msgspec.Struct, frozen=True, array_like=True):
    """The schema of a relation: its columns in order."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def types(self) -> tuple[SqlType, ...]:
        return tuple(column.type for column in self.columns)
