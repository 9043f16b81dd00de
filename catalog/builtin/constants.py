"""Constant relations: what a build fixes, and what a PostgreSQL server has that has no counterpart.

Rows of types and functions come from `type_rows` and `function_rows`.
"""

from datetime import datetime, timedelta
from typing import Final

from catalog.builtin import function_rows, keyword_rows, type_rows
from catalog.builtin.definitions import (
    INFORMATION_SCHEMA,
    MZ_CATALOG,
    MZ_INTERNAL,
    PG_CATALOG,
    constant,
)
from catalog.builtin.type_rows import C_COLLATION, DEFAULT_COLLATION, SYSTEM_ROLE_OID
from core.rows import Interval, Row
from expr.timezones import named_zone, zone_keys
from sql.replica_sizes import REPLICA_SIZES
from sql.variables import SESSION_VARIABLES, SYSTEM_PARAMETERS

_REFERENCE_YEAR: Final = 2024
_PRESET_OPTIONS: Final = (
    ("block_size", "8192", "Shows the size of a disk block."),
    ("data_checksums", "on", "Shows whether data checksums are turned on."),
    ("max_function_args", "100", "Shows the maximum number of function arguments."),
    ("max_index_keys", "32", "Shows the maximum number of index keys."),
)
_TIME_ZONE_ABBREVIATIONS: Final = (
    ("BST", 1, True),
    ("CDT", -5, True),
    ("CEST", 2, True),
    ("CET", 1, False),
    ("CST", -6, False),
    ("EDT", -4, True),
    ("EEST", 3, True),
    ("EET", 2, False),
    ("EST", -5, False),
    ("GMT", 0, False),
    ("HST", -10, False),
    ("JST", 9, False),
    ("KST", 9, False),
    ("MDT", -6, True),
    ("MSK", 3, False),
    ("MST", -7, False),
    ("PDT", -7, True),
    ("PST", -8, False),
    ("UTC", 0, False),
    ("WET", 0, False),
    ("Z", 0, False),
)


def _replica_size_rows() -> list[Row]:
    return [
        (size.name, size.processes, size.workers, None, None, None, size.credits_per_hour)
        for size in REPLICA_SIZES.values()
    ]


def _setting_rows() -> list[Row]:
    variables = [
        (v.name, "user", _setting_type(v.default), v.default, v.description, v.is_fixed)
        for v in (*SESSION_VARIABLES.values(), *SYSTEM_PARAMETERS.values())
    ]
    presets = [
        (name, "internal", _setting_type(value), value, description, True)
        for name, value, description in _PRESET_OPTIONS
    ]
    return [
        (name, "internal" if is_fixed else context, kind, default, description)
        for name, context, kind, default, description, is_fixed in (*variables, *presets)
    ]


def _setting_type(default: str) -> str:
    if default in ("on", "off"):
        return "bool"
    return "integer" if default.lstrip("-").isdigit() else "string"


def _time_zone_rows() -> list[Row]:
    """(name, offset and abbreviation of standard time, abbreviation of daylight-saving time)."""
    rows: list[Row] = []
    for name in zone_keys():
        zone = named_zone(name)
        assert zone is not None
        halves = [datetime(_REFERENCE_YEAR, month, 1, tzinfo=zone) for month in (1, 7)]
        standard = next((half for half in halves if not half.dst()), halves[0])
        daylight = next((half for half in halves if half.dst()), standard)
        offset = (standard.utcoffset() or timedelta(0)) // timedelta(microseconds=1)
        rows.append((name, Interval(0, 0, offset), standard.tzname(), daylight.tzname()))
    return rows


def _abbreviation_rows() -> list[Row]:
    return [
        (name, Interval(0, 0, hours * 3_600_000_000), is_daylight)
        for name, hours, is_daylight in _TIME_ZONE_ABBREVIATIONS
    ]


def _access_method_rows() -> list[Row]:
    return [
        (2, "heap", 0, "t", False),
        (403, "btree", 0, "i", True),
        (405, "hash", 0, "i", False),
    ]


def _collation_rows() -> list[Row]:
    return [
        (oid, name, PG_CATALOG.oid, SYSTEM_ROLE_OID, provider, True, -1, locale, locale, None, None)
        for oid, name, provider, locale in (
            (DEFAULT_COLLATION, "default", "d", ""),
            (C_COLLATION, "C", "c", "C"),
            (951, "POSIX", "c", "POSIX"),
        )
    ]


def _language_rows() -> list[Row]:
    return [
        (oid, name, SYSTEM_ROLE_OID, False, is_trusted, 0, 0, 0, None)
        for oid, name, is_trusted in ((12, "internal", False), (13, "c", False), (14, "sql", True))
    ]


def _tablespace_rows() -> list[Row]:
    return [
        (1663, "pg_default", SYSTEM_ROLE_OID, None, None),
        (1664, "pg_global", SYSTEM_ROLE_OID, None, None),
    ]


def _implementation_rows() -> list[Row]:
    return [
        ("10003", "CATALOG NAME", None, "Y", None),
        ("17", "DATA SOURCE READ ONLY", None, "N", None),
        ("18", "DBMS VERSION", None, SESSION_VARIABLES["server_version"].default, None),
        ("23", "CURSOR COMMIT BEHAVIOR", 1, None, "close cursors and retain prepared statements"),
        ("26", "DEFAULT TRANSACTION ISOLATION", 8, None, "SERIALIZABLE"),
        ("28", "IDENTIFIER CASE", 3, None, "stored in mixed case, case sensitive if quoted"),
        ("46", "TRANSACTION CAPABLE", 2, None, "queries and writes; DDL commits by itself"),
        ("85", "NULL COLLATION", 0, None, "nulls higher than non-nulls"),
    ]


CONSTANTS: Final = (
    constant(
        200,
        PG_CATALOG,
        "pg_type",
        type_rows.TYPE_COLUMNS,
        type_rows.type_rows,
        oid=1247,
        comment="Types.",
    ),
    constant(
        201,
        MZ_INTERNAL,
        "mz_type_names",
        type_rows.TYPE_NAME_COLUMNS,
        type_rows.type_name_rows,
        comment="Names of types and what the information schema tells of them.",
    ),
    constant(
        202,
        PG_CATALOG,
        "pg_proc",
        function_rows.FUNCTION_COLUMNS,
        function_rows.function_rows,
        oid=1255,
        comment="Functions.",
    ),
    constant(
        203,
        MZ_INTERNAL,
        "mz_function_signatures",
        function_rows.SIGNATURE_COLUMNS,
        function_rows.signature_rows,
        comment="Arguments and results of functions, as text.",
    ),
    constant(
        204,
        MZ_INTERNAL,
        "mz_function_types",
        function_rows.MZ_FUNCTION_COLUMNS,
        function_rows.mz_function_rows,
        comment="Arguments and results of functions, as ids of types.",
    ),
    constant(
        205,
        PG_CATALOG,
        "pg_aggregate",
        function_rows.AGGREGATE_COLUMNS,
        function_rows.aggregate_rows,
        oid=2600,
        comment="Aggregate functions.",
    ),
    constant(
        206,
        PG_CATALOG,
        "pg_operator",
        function_rows.OPERATOR_COLUMNS,
        function_rows.operator_rows,
        oid=2617,
        comment="Operators.",
    ),
    constant(
        207,
        PG_CATALOG,
        "pg_cast",
        function_rows.CAST_COLUMNS,
        function_rows.cast_rows,
        oid=2605,
        comment="Casts.",
    ),
    constant(
        208,
        PG_CATALOG,
        "pg_am",
        "oid oid!, amname name!, amhandler regproc!, amtype char!, amcanorder bool!",
        _access_method_rows,
        oid=2601,
        comment="Access methods.",
    ),
    constant(
        209,
        PG_CATALOG,
        "pg_collation",
        """
        oid oid!, collname name!, collnamespace oid!, collowner oid!, collprovider char!,
        collisdeterministic bool!, collencoding int4!, collcollate text, collctype text,
        colliculocale text, collversion text
        """,
        _collation_rows,
        oid=3456,
        comment="Collations.",
    ),
    constant(
        210,
        PG_CATALOG,
        "pg_language",
        """
        oid oid!, lanname name!, lanowner oid!, lanispl bool!, lanpltrusted bool!,
        lanplcallfoid oid!, laninline oid!, lanvalidator oid!, lanacl text[]
        """,
        _language_rows,
        oid=2612,
        comment="Languages of functions.",
    ),
    constant(
        211,
        PG_CATALOG,
        "pg_tablespace",
        "oid oid!, spcname name!, spcowner oid!, spcacl text[], spcoptions text[]",
        _tablespace_rows,
        oid=1213,
        comment="Tablespaces: PostgreSQL's own two names.",
    ),
    constant(
        212,
        PG_CATALOG,
        "pg_timezone_abbrevs",
        "abbrev text!, utc_offset interval!, is_dst bool!",
        _abbreviation_rows,
        comment="Abbreviations of time zones.",
    ),
    constant(
        213,
        MZ_INTERNAL,
        "mz_time_zones",
        """
        name text!, standard_offset interval!, standard_abbrev text!, daylight_abbrev text!
        """,
        _time_zone_rows,
        comment="Time zones.",
    ),
    constant(
        214,
        MZ_INTERNAL,
        "mz_settings",
        "name text!, context text!, vartype text!, boot_val text!, short_desc text!",
        _setting_rows,
        comment="Session variables, system parameters and PostgreSQL's preset options.",
    ),
    constant(
        215,
        MZ_CATALOG,
        "mz_system_privileges",
        "privileges text!",
        tuple,
        comment="Privileges of the whole system: there are none to give.",
    ),
    constant(
        216,
        MZ_CATALOG,
        "mz_default_privileges",
        """
        role_id text!, database_id text, schema_id text, object_type text!, grantee text!,
        privileges text!
        """,
        tuple,
        comment="Privileges that new objects will have: there are none to give.",
    ),
    constant(
        217,
        INFORMATION_SCHEMA,
        "sql_implementation_info",
        """
        implementation_info_id text!, implementation_info_name text!, integer_value int4,
        character_value text, comments text
        """,
        _implementation_rows,
        comment="What the SQL standard leaves to implementations.",
    ),
    constant(
        218,
        MZ_INTERNAL,
        "mz_keywords",
        keyword_rows.KEYWORD_COLUMNS,
        keyword_rows.keyword_rows,
        comment="The parser's words.",
    ),
    constant(
        315,
        MZ_CATALOG,
        "mz_cluster_replica_sizes",
        """
        size text!, processes uint8!, workers uint8!, cpu_nano_cores uint8, memory_bytes uint8,
        disk_bytes uint8, credits_per_hour numeric!
        """,
        _replica_size_rows,
        comment="Sizes that replicas can have.",
    ),
)
