"""Functions that need the catalog, as SQL macros over the system relations.

`expr` sees no catalog, so a call such as `pg_get_userbyid(c.relowner)` is replaced during planning
by the function's body: a scalar SQL expression (often a scalar subquery) in which `$1`, `$2`, …
stand for the call's arguments, already cast to the parameter types. An argument may be named more
than once; it is evaluated once per mention and is free of side effects. Bodies name relations in
full, `schema.relation`, and are planned like any SQL text of the current session, so that session
functions (`current_schemas(true)`, `current_database()`) mean the session's values.

A name may have several overloads, chosen by PostgreSQL's rules of function resolution. Calls of a
macro are not strict: a body says what a null argument gives.
"""

from dataclasses import dataclass
from typing import Final

from core.sql_types import (
    BOOL,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    NAME,
    OID,
    REGCLASS,
    REGNAMESPACE,
    REGPROC,
    REGROLE,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    VOID,
    SqlType,
)

TEXT_ARRAY: Final = SqlType(1009)


@dataclass(frozen=True, slots=True)
class CatalogFunction:
    """One macro overload. A `body` is an expression; the result is cast to `returns`."""

    name: str
    parameters: tuple[SqlType, ...]
    returns: SqlType
    body: str


@dataclass(frozen=True, slots=True)
class CatalogTableFunction:
    """One macro used in FROM; `body` is a query and gives the function's columns."""

    name: str
    parameters: tuple[SqlType, ...]
    body: str


def _true_unless_null(arity: int) -> str:
    tests = " OR ".join(f"${i + 1} IS NULL" for i in range(arity))
    return f"CASE WHEN {tests} THEN NULL ELSE true END" if tests else "true"


def _functions(
    names: str, overloads: tuple[tuple[SqlType, ...], ...], returns: SqlType, body: str
) -> tuple[CatalogFunction, ...]:
    """The same body for several names (separated by blanks) and parameter lists."""
    return tuple(
        CatalogFunction(name, parameters, returns, body)
        for name in names.split()
        for parameters in overloads
    )


def _visibility(name: str) -> CatalogFunction:
    """Objects that are all in schemas which every search path holds."""
    return CatalogFunction(name, (OID,), BOOL, _true_unless_null(1))


def _privileges(name: str, objects: tuple[SqlType, ...]) -> tuple[CatalogFunction, ...]:
    """has_…_privilege([user,] object, privilege): always true, for there is no access control."""
    parameter_lists = [(object_type, TEXT) for object_type in objects] + [
        (user, object_type, TEXT) for user in (NAME, OID) for object_type in objects
    ]
    return tuple(
        CatalogFunction(name, parameters, BOOL, _true_unless_null(len(parameters)))
        for parameters in parameter_lists
    )


def _column_privileges() -> tuple[CatalogFunction, ...]:
    parameter_lists = [
        (*user, table, column, TEXT)
        for user in ((), (NAME,), (OID,))
        for table in (TEXT, OID)
        for column in (TEXT, INT2)
    ]
    return tuple(
        CatalogFunction(
            "has_column_privilege", parameters, BOOL, _true_unless_null(len(parameters))
        )
        for parameters in parameter_lists
    )


_VIEW_DEFINITION: Final = "(SELECT d.definition FROM mz_internal.mz_definitions d WHERE d.oid = $1)"
_VIEW_DEFINITION_BY_NAME: Final = (
    "(SELECT d.definition FROM mz_internal.mz_definitions d WHERE d.oid = to_regclass($1)::oid)"
)
_INDEX_DEFINITION: Final = (
    "(SELECT d.definition FROM mz_internal.mz_index_definitions d WHERE d.oid = $1)"
)
_SIZE_OF_ANYTHING: Final = "CASE WHEN $1 IS NULL THEN NULL ELSE 0::bigint END"

_VISIBILITY: Final = (
    CatalogFunction(
        "pg_table_is_visible",
        (OID,),
        BOOL,
        "($1 IN (SELECT s.oid FROM mz_internal.mz_searchable_items s))",
    ),
    *(
        _visibility(f"pg_{kind}_is_visible")
        for kind in (
            "collation",
            "conversion",
            "function",
            "opclass",
            "operator",
            "opfamily",
            "statistics_obj",
            "ts_config",
            "ts_dict",
            "ts_parser",
            "ts_template",
            "type",
        )
    ),
)

_DEFINITIONS: Final = (
    *_functions("pg_get_viewdef", ((OID,), (OID, BOOL), (OID, INT4)), TEXT, _VIEW_DEFINITION),
    *_functions("pg_get_viewdef", ((TEXT,), (TEXT, BOOL)), TEXT, _VIEW_DEFINITION_BY_NAME),
    # Expressions are stored as SQL text, so showing one is the identity.
    *_functions("pg_get_expr", ((TEXT, OID), (TEXT, OID, BOOL)), TEXT, "$1"),
    CatalogFunction("pg_get_indexdef", (OID,), TEXT, _INDEX_DEFINITION),
    CatalogFunction(
        "pg_get_indexdef",
        (OID, INT4, BOOL),
        TEXT,
        "(SELECT CASE WHEN $2 = 0 THEN d.definition ELSE coalesce((SELECT k.definition FROM "
        "mz_internal.mz_index_keys k WHERE k.index_oid = $1 AND k.position = $2), '') END "
        "FROM mz_internal.mz_index_definitions d WHERE d.oid = $1)",
    ),
    # What these would show does not exist, so neither does an oid to ask about.
    *_functions("pg_get_constraintdef pg_get_triggerdef", ((OID,), (OID, BOOL)), TEXT, "NULL"),
    *_functions("pg_get_ruledef", ((OID,), (OID, BOOL)), TEXT, "NULL"),
    *_functions("pg_get_partkeydef pg_get_partition_constraintdef", ((OID,),), TEXT, "NULL"),
    *_functions("pg_get_statisticsobjdef pg_get_statisticsobjdef_columns", ((OID,),), TEXT, "NULL"),
    *_functions("pg_get_serial_sequence", ((TEXT, TEXT),), TEXT, "NULL"),
    CatalogFunction(
        "pg_get_functiondef",
        (OID,),
        TEXT,
        "(SELECT f.definition FROM mz_internal.mz_function_signatures f WHERE f.oid = $1)",
    ),
    *_functions(
        "pg_get_function_arguments pg_get_function_identity_arguments",
        ((OID,),),
        TEXT,
        "(SELECT f.arguments FROM mz_internal.mz_function_signatures f WHERE f.oid = $1)",
    ),
    CatalogFunction(
        "pg_get_function_result",
        (OID,),
        TEXT,
        "(SELECT f.result FROM mz_internal.mz_function_signatures f WHERE f.oid = $1)",
    ),
    CatalogFunction("pg_get_function_sqlbody", (OID,), TEXT, "NULL"),
    CatalogFunction(
        "pg_get_userbyid",
        (OID,),
        NAME,
        "CASE WHEN $1 IS NULL THEN NULL ELSE coalesce("
        "(SELECT r.name FROM mz_catalog.mz_roles r WHERE r.oid = $1), "
        "concat('unknown (OID=', $1, ')')) END",
    ),
)

_DESCRIPTIONS: Final = (
    CatalogFunction(
        "obj_description",
        (OID, NAME),
        TEXT,
        "(SELECT d.description FROM mz_internal.mz_object_descriptions d "
        "WHERE d.object_oid = $1 AND d.catalog_name = $2 AND d.sub_id = 0)",
    ),
    CatalogFunction(
        "obj_description",
        (OID,),
        TEXT,
        "(SELECT max(d.description) FROM mz_internal.mz_object_descriptions d "
        "WHERE d.object_oid = $1 AND d.sub_id = 0)",
    ),
    CatalogFunction(
        "col_description",
        (OID, INT4),
        TEXT,
        "(SELECT d.description FROM mz_internal.mz_object_descriptions d "
        "WHERE d.object_oid = $1 AND d.catalog_name = 'pg_class' AND d.sub_id = $2)",
    ),
    CatalogFunction(
        "shobj_description",
        (OID, NAME),
        TEXT,
        "(SELECT d.description FROM mz_internal.mz_shared_descriptions d "
        "WHERE d.object_oid = $1 AND d.catalog_name = $2)",
    ),
)

_PRIVILEGES: Final = (
    *_privileges("has_any_column_privilege", (TEXT, OID)),
    *_column_privileges(),
    *_privileges("has_database_privilege", (TEXT, OID)),
    *_privileges("has_foreign_data_wrapper_privilege", (TEXT, OID)),
    *_privileges("has_function_privilege", (TEXT, OID)),
    *_privileges("has_language_privilege", (TEXT, OID)),
    *_privileges("has_schema_privilege", (TEXT, OID)),
    *_privileges("has_sequence_privilege", (TEXT, OID)),
    *_privileges("has_server_privilege", (TEXT, OID)),
    *_privileges("has_table_privilege", (TEXT, OID)),
    *_privileges("has_tablespace_privilege", (TEXT, OID)),
    *_privileges("has_type_privilege", (TEXT, OID)),
    *_privileges("has_parameter_privilege", (TEXT,)),
    *_privileges("pg_has_role", (NAME, OID)),
    *_functions("row_security_active", ((OID,), (TEXT,)), BOOL, "false"),
)

_SIZES: Final = (
    # A relation's bytes are shared between tables in one store and are not told apart.
    *_functions(
        "pg_table_size pg_indexes_size pg_total_relation_size",
        ((REGCLASS,),),
        INT8,
        _SIZE_OF_ANYTHING,
    ),
    *_functions("pg_relation_size", ((REGCLASS,), (REGCLASS, TEXT)), INT8, _SIZE_OF_ANYTHING),
    *_functions("pg_database_size pg_tablespace_size", ((NAME,), (OID,)), INT8, _SIZE_OF_ANYTHING),
    CatalogFunction("pg_tablespace_location", (OID,), TEXT, "''"),
    *_functions("pg_relation_filenode", ((REGCLASS,),), OID, "NULL"),
    *_functions("pg_relation_is_publishable", ((REGCLASS,),), BOOL, "false"),
    *_functions("pg_relation_is_updatable", ((REGCLASS, BOOL),), INT4, "28"),
    *_functions("pg_column_is_updatable", ((REGCLASS, INT2, BOOL),), BOOL, "true"),
)

_NAMES: Final = (
    CatalogFunction(
        "to_regclass",
        (TEXT,),
        REGCLASS,
        "coalesce("
        "(SELECT s.oid FROM mz_internal.mz_searchable_items s WHERE quote_ident(s.name) = $1), "
        "(SELECT i.oid FROM mz_internal.mz_visible_items i WHERE "
        "concat(quote_ident(i.schema_name), '.', quote_ident(i.name)) = $1), "
        "(SELECT i.oid FROM mz_internal.mz_visible_items i WHERE concat(quote_ident("
        "current_database()), '.', quote_ident(i.schema_name), '.', quote_ident(i.name)) = $1))",
    ),
    CatalogFunction(
        "to_regnamespace",
        (TEXT,),
        REGNAMESPACE,
        "(SELECT s.oid FROM mz_internal.mz_visible_schemas s WHERE quote_ident(s.name) = $1)",
    ),
    CatalogFunction(
        "to_regrole",
        (TEXT,),
        REGROLE,
        "(SELECT r.oid FROM mz_catalog.mz_roles r WHERE quote_ident(r.name) = $1)",
    ),
    CatalogFunction(
        "to_regproc",
        (TEXT,),
        REGPROC,
        "(SELECT min(p.oid) FROM pg_catalog.pg_proc p "
        "WHERE p.proname = regexp_replace($1, '^pg_catalog[.]', '') HAVING count(*) = 1)",
    ),
    CatalogFunction(
        "pg_my_temp_schema",
        (),
        OID,
        "coalesce((SELECT min(i.schema_oid) FROM mz_internal.mz_visible_items i "
        "WHERE i.is_temporary), 0::oid)",
    ),
    # The output functions of the reg* types, which need the catalog.
    CatalogFunction(
        "regclassout",
        (REGCLASS,),
        TEXT,
        "CASE WHEN $1 IS NULL THEN NULL WHEN $1::oid = 0::oid THEN '-' ELSE coalesce("
        "(SELECT quote_ident(s.name) FROM mz_internal.mz_searchable_items s "
        "WHERE s.oid = $1::oid), "
        "(SELECT concat(quote_ident(i.schema_name), '.', quote_ident(i.name)) "
        "FROM mz_internal.mz_visible_items i WHERE i.oid = $1::oid), $1::oid::text) END",
    ),
    CatalogFunction(
        "regnamespaceout",
        (REGNAMESPACE,),
        TEXT,
        "CASE WHEN $1 IS NULL THEN NULL WHEN $1::oid = 0::oid THEN '-' ELSE coalesce("
        "(SELECT quote_ident(s.name) FROM mz_catalog.mz_schemas s WHERE s.oid = $1::oid), "
        "$1::oid::text) END",
    ),
    CatalogFunction(
        "regroleout",
        (REGROLE,),
        TEXT,
        "CASE WHEN $1 IS NULL THEN NULL WHEN $1::oid = 0::oid THEN '-' ELSE coalesce("
        "(SELECT quote_ident(r.name) FROM mz_catalog.mz_roles r WHERE r.oid = $1::oid), "
        "$1::oid::text) END",
    ),
    CatalogFunction(
        "regprocout",
        (REGPROC,),
        TEXT,
        "CASE WHEN $1 IS NULL THEN NULL WHEN $1::oid = 0::oid THEN '-' ELSE coalesce("
        "(SELECT p.proname::text FROM pg_catalog.pg_proc p WHERE p.oid = $1::oid), "
        "$1::oid::text) END",
    ),
)

_SERVER: Final = (
    CatalogFunction("pg_is_other_temp_schema", (OID,), BOOL, "false"),
    CatalogFunction("pg_is_in_recovery", (), BOOL, "false"),
    CatalogFunction("pg_advisory_unlock_all", (), VOID, "NULL"),
)

# Functions of the session's day, and of others: they need no catalog, but their bodies are SQL too.
_AGES: Final = tuple(
    CatalogFunction("age", (moment,), INTERVAL, f"age(current_date::{moment.name}, $1)")
    for moment in (TIMESTAMP, TIMESTAMPTZ)
)
_PERIODS: Final = tuple(
    CatalogFunction(
        "overlaps",
        (moment, INTERVAL if first else moment, moment, INTERVAL if second else moment),
        BOOL,
        f"overlaps($1, {'$1 + $2' if first else '$2'}, $3, {'$3 + $4' if second else '$4'})",
    )
    for moment in (TIMESTAMP, TIMESTAMPTZ, TIME)
    for first, second in ((True, True), (True, False), (False, True))
)


CATALOG_FUNCTIONS: Final[tuple[CatalogFunction, ...]] = (
    *_AGES,
    *_PERIODS,
    *_VISIBILITY,
    *_DEFINITIONS,
    *_DESCRIPTIONS,
    *_PRIVILEGES,
    *_SIZES,
    *_NAMES,
    *_SERVER,
)

CATALOG_TABLE_FUNCTIONS: Final[tuple[CatalogTableFunction, ...]] = (
    CatalogTableFunction(
        "pg_options_to_table",
        (TEXT_ARRAY,),
        "SELECT split_part(o.option, '=', 1) AS option_name, "
        "substring(o.option FROM position('=' IN o.option) + 1) AS option_value "
        "FROM unnest($1) o (option)",
    ),
    CatalogTableFunction("pg_show_all_settings", (), "SELECT s.* FROM pg_catalog.pg_settings s"),
    CatalogTableFunction("pg_timezone_names", (), "SELECT z.* FROM pg_catalog.pg_timezone_names z"),
    CatalogTableFunction(
        "pg_stat_get_activity",
        (INT4,),
        "SELECT a.* FROM pg_catalog.pg_stat_activity a WHERE $1 IS NULL OR a.pid = $1",
    ),
    CatalogTableFunction(
        "pg_available_extensions",
        (),
        "SELECT e.name, e.default_version, e.comment FROM pg_catalog.pg_available_extensions e",
    ),
    CatalogTableFunction(
        "pg_get_keywords",
        (),
        "SELECT k.word, k.catcode, k.catdesc FROM mz_internal.mz_keywords k",
    ),
)

# current_setting() of a name that is not constant; of a constant, the session answers it.
SETTING_OF_ANY_NAME: Final = CatalogFunction(
    "current_setting",
    (TEXT,),
    TEXT,
    "(SELECT s.setting FROM pg_catalog.pg_settings s WHERE lower(s.name) = lower($1))",
)


def catalog_functions_named(name: str) -> tuple[CatalogFunction, ...]:
    """Every macro of that name (without schema), empty when there is none."""
    return _BY_NAME.get(name, ())


def catalog_table_functions_named(name: str) -> tuple[CatalogTableFunction, ...]:
    """Every table macro of that name (without schema), empty when there is none."""
    return _TABLES_BY_NAME.get(name, ())


_BY_NAME: Final[dict[str, tuple[CatalogFunction, ...]]] = {
    name: tuple(f for f in CATALOG_FUNCTIONS if f.name == name)
    for name in {f.name for f in CATALOG_FUNCTIONS}
}
_TABLES_BY_NAME: Final[dict[str, tuple[CatalogTableFunction, ...]]] = {
    name: tuple(f for f in CATALOG_TABLE_FUNCTIONS if f.name == name)
    for name in {f.name for f in CATALOG_TABLE_FUNCTIONS}
}
