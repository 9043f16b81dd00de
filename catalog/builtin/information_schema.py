"""The information schema of the SQL standard, in PostgreSQL's shape and with its quirks.

Names are text rather than a domain over name. Views of features that do not exist here are in
`empty_relations`.
"""

from typing import Final

from catalog.builtin.definitions import INFORMATION_SCHEMA, view

_ARRAY: Final = "t.category = 'A'"
_WITH_LENGTH: Final = "(c.type_oid = 1042 OR c.type_oid = 1043)"

INFORMATION_SCHEMA_VIEWS: Final = (
    view(
        350,
        INFORMATION_SCHEMA,
        "tables",
        """
        table_catalog text! = current_database()
        table_schema text! = i.schema_name
        table_name text! = i.name
        table_type text! = CASE WHEN i.is_temporary AND i.type = 'table' THEN 'LOCAL TEMPORARY'
            WHEN i.type = 'table' THEN 'BASE TABLE'
            WHEN i.type = 'materialized-view' THEN 'MATERIALIZED VIEW' ELSE upper(i.type) END
        self_referencing_column_name text = NULL
        reference_generation text = NULL
        user_defined_type_catalog text = NULL
        user_defined_type_schema text = NULL
        user_defined_type_name text = NULL
        is_insertable_into text! = CASE WHEN i.type = 'table' THEN 'YES' ELSE 'NO' END
        is_typed text! = 'NO'
        commit_action text = CASE WHEN i.is_temporary THEN 'PRESERVE' END
        """,
        """
        FROM mz_internal.mz_visible_items i
        WHERE i.type IN ('table', 'view', 'materialized-view', 'source')
        """,
        comment="Tables and views of the current database.",
    ),
    view(
        351,
        INFORMATION_SCHEMA,
        "columns",
        f"""
        table_catalog text! = current_database()
        table_schema text! = i.schema_name
        table_name text! = i.name
        column_name text! = c.name
        ordinal_position int4! = c.position
        column_default text = c.default_sql
        is_nullable text! = CASE WHEN c.nullable THEN 'YES' ELSE 'NO' END
        data_type text! = CASE WHEN {_ARRAY} THEN 'ARRAY' ELSE t.sql_name END
        character_maximum_length int4 = CASE WHEN {_WITH_LENGTH} AND c.type_modifier >= 4
            THEN c.type_modifier - 4 END
        character_octet_length int4 = CASE WHEN c.type_oid = 25 THEN 1073741824
            WHEN {_WITH_LENGTH} AND c.type_modifier >= 4 THEN (c.type_modifier - 4) * 4
            WHEN {_WITH_LENGTH} THEN 1073741824 END
        numeric_precision int4 = CASE WHEN c.type_oid = 1700 AND c.type_modifier >= 4
            THEN ((c.type_modifier - 4) >> 16) & 65535 ELSE t.numeric_precision END
        numeric_precision_radix int4 = CASE WHEN c.type_oid = 1700 THEN 10
            WHEN t.numeric_precision IS NOT NULL THEN 2 END
        numeric_scale int4 = CASE WHEN c.type_oid = 1700 AND c.type_modifier >= 4
            THEN (c.type_modifier - 4) & 2047
            WHEN c.type_oid IN (20, 21, 23, 16460, 16462, 16464) THEN 0 END
        datetime_precision int4 = CASE WHEN c.type_modifier >= 0 AND c.type_oid <> 1186
            AND t.datetime_precision = 6 THEN c.type_modifier ELSE t.datetime_precision END
        interval_type text = NULL
        interval_precision int4 = NULL
        character_set_catalog text = NULL
        character_set_schema text = NULL
        character_set_name text = NULL
        collation_catalog text = NULL
        collation_schema text = NULL
        collation_name text = NULL
        domain_catalog text = NULL
        domain_schema text = NULL
        domain_name text = NULL
        udt_catalog text! = current_database()
        udt_schema text! = CASE WHEN c.type_oid < 16384 THEN 'pg_catalog' ELSE 'mz_catalog' END
        udt_name text! = t.name
        scope_catalog text = NULL
        scope_schema text = NULL
        scope_name text = NULL
        maximum_cardinality int4 = NULL
        dtd_identifier text! = c.position
        is_self_referencing text! = 'NO'
        is_identity text! = 'NO'
        identity_generation text = NULL
        identity_start text = NULL
        identity_increment text = NULL
        identity_maximum text = NULL
        identity_minimum text = NULL
        identity_cycle text! = 'NO'
        is_generated text! = 'NEVER'
        generation_expression text = NULL
        is_updatable text! = CASE WHEN i.type = 'table' THEN 'YES' ELSE 'NO' END
        """,
        """
        FROM mz_internal.mz_item_columns c
            JOIN mz_internal.mz_visible_items i ON i.oid = c.item_oid
            JOIN mz_internal.mz_type_names t ON t.oid = c.type_oid
        WHERE i.type <> 'index'
        """,
        comment="Columns of tables and views of the current database.",
    ),
    view(
        352,
        INFORMATION_SCHEMA,
        "schemata",
        """
        catalog_name text! = current_database()
        schema_name text! = s.name
        schema_owner text = r.name
        default_character_set_catalog text = NULL
        default_character_set_schema text = NULL
        default_character_set_name text = NULL
        sql_path text = NULL
        """,
        """
        FROM mz_internal.mz_visible_schemas s LEFT JOIN mz_catalog.mz_roles r ON r.id = s.owner_id
        """,
        comment="Schemas of the current database.",
    ),
    view(
        353,
        INFORMATION_SCHEMA,
        "views",
        """
        table_catalog text! = current_database()
        table_schema text! = i.schema_name
        table_name text! = i.name
        view_definition text! = d.definition
        check_option text! = 'NONE'
        is_updatable text! = 'NO'
        is_insertable_into text! = 'NO'
        is_trigger_updatable text! = 'NO'
        is_trigger_deletable text! = 'NO'
        is_trigger_insertable_into text! = 'NO'
        """,
        """
        FROM mz_internal.mz_visible_items i JOIN mz_internal.mz_definitions d ON d.oid = i.oid
        WHERE i.type = 'view'
        """,
        comment="Views of the current database.",
    ),
    view(
        354,
        INFORMATION_SCHEMA,
        "routines",
        """
        specific_catalog text! = current_database()
        specific_schema text! = n.nspname
        specific_name text! = concat(p.proname, '_', p.oid)
        routine_catalog text! = current_database()
        routine_schema text! = n.nspname
        routine_name text! = p.proname
        routine_type text = CASE WHEN p.prokind = 'f' OR p.prokind = 'w' THEN 'FUNCTION' END
        type_udt_catalog text! = current_database()
        type_udt_schema text! = 'pg_catalog'
        type_udt_name text = t.name
        data_type text = CASE WHEN t.category = 'A' THEN 'ARRAY' ELSE t.sql_name END
        routine_body text! = 'EXTERNAL'
        routine_definition text = NULL
        external_name text = p.proname
        external_language text! = 'INTERNAL'
        parameter_style text! = 'GENERAL'
        is_deterministic text! = CASE WHEN p.provolatile = 'i' THEN 'YES' ELSE 'NO' END
        sql_data_access text! = 'MODIFIES'
        is_null_call text! = CASE WHEN p.proisstrict THEN 'YES' ELSE 'NO' END
        schema_level_routine text! = 'YES'
        max_dynamic_result_sets int4! = 0
        security_type text! = 'INVOKER'
        is_udt_dependent text! = 'NO'
        """,
        """
        FROM pg_catalog.pg_proc p
            JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            LEFT JOIN mz_internal.mz_type_names t ON t.oid = p.prorettype
        """,
        comment="Functions.",
    ),
    view(
        355,
        INFORMATION_SCHEMA,
        "information_schema_catalog_name",
        "catalog_name text! = current_database()",
        "",
        comment="The current database.",
    ),
    view(
        356,
        INFORMATION_SCHEMA,
        "character_sets",
        """
        character_set_catalog text = NULL
        character_set_schema text = NULL
        character_set_name text! = 'UTF8'
        character_repertoire text! = 'UCS'
        form_of_use text! = 'UTF8'
        default_collate_catalog text! = current_database()
        default_collate_schema text! = 'pg_catalog'
        default_collate_name text! = 'C'
        """,
        "",
        comment="The one character set.",
    ),
    view(
        357,
        INFORMATION_SCHEMA,
        "enabled_roles",
        "role_name text! = r.name",
        "FROM mz_catalog.mz_roles r WHERE r.name = current_user",
        comment="Roles whose rights the user has.",
    ),
    view(
        358,
        INFORMATION_SCHEMA,
        "applicable_roles",
        """
        grantee text! = r.name
        role_name text! = r.name
        is_grantable text! = 'NO'
        """,
        "FROM mz_catalog.mz_roles r WHERE false",
        comment="Roles that the user can use: memberships do not exist.",
    ),
    view(
        359,
        INFORMATION_SCHEMA,
        "table_privileges",
        """
        grantor text! = coalesce(i.owner_name, '')
        grantee text! = coalesce(i.owner_name, '')
        table_catalog text! = current_database()
        table_schema text! = i.schema_name
        table_name text! = i.name
        privilege_type text! = p.privilege
        is_grantable text! = 'YES'
        with_hierarchy text! = CASE WHEN p.privilege = 'SELECT' THEN 'YES' ELSE 'NO' END
        """,
        """
        FROM mz_internal.mz_visible_items i,
            (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) p (privilege)
        WHERE i.type = 'table' OR (p.privilege = 'SELECT'
            AND i.type IN ('view', 'materialized-view', 'source'))
        """,
        comment="What owners may do with their relations.",
    ),
    view(
        360,
        INFORMATION_SCHEMA,
        "role_table_grants",
        """
        grantor text! = p.grantor
        grantee text! = p.grantee
        table_catalog text! = p.table_catalog
        table_schema text! = p.table_schema
        table_name text! = p.table_name
        privilege_type text! = p.privilege_type
        is_grantable text! = p.is_grantable
        with_hierarchy text! = p.with_hierarchy
        """,
        "FROM information_schema.table_privileges p WHERE p.grantee = current_user",
        comment="What the user may do with relations.",
    ),
    view(
        361,
        INFORMATION_SCHEMA,
        "column_privileges",
        """
        grantor text! = p.grantor
        grantee text! = p.grantee
        table_catalog text! = p.table_catalog
        table_schema text! = p.table_schema
        table_name text! = p.table_name
        column_name text! = c.column_name
        privilege_type text! = p.privilege_type
        is_grantable text! = p.is_grantable
        """,
        """
        FROM information_schema.table_privileges p
            JOIN information_schema.columns c
                ON c.table_schema = p.table_schema AND c.table_name = p.table_name
        WHERE p.privilege_type <> 'DELETE'
        """,
        comment="What owners may do with the columns of their relations.",
    ),
)
