"""mz_catalog and mz_internal as Materialize has them: object ids, kinds and links.

Column names, order and types are Materialize's; privileges are text arrays and always null, since
there is no role-based access control. All databases are listed.
"""

from typing import Final

from catalog.builtin.definitions import MZ_CATALOG, MZ_INTERNAL, view

_STORED: Final = "i.type IN ('table', 'view', 'materialized-view', 'source')"

MATERIALIZE_VIEWS: Final = (
    view(
        300,
        MZ_CATALOG,
        "mz_relations",
        """
        id text! = i.id
        oid oid! = i.oid
        schema_id text! = i.schema_id
        name text! = i.name
        type text! = i.type
        owner_id text! = i.owner_id
        cluster_id text = i.cluster_id
        privileges text[] = NULL
        """,
        f"FROM mz_internal.mz_items i WHERE {_STORED}",
        comment="Tables, views, materialized views and sources.",
    ),
    view(
        301,
        MZ_CATALOG,
        "mz_objects",
        """
        id text! = o.id
        oid oid! = o.oid
        schema_id text! = o.schema_id
        name text! = o.name
        type text! = o.type
        owner_id text! = o.owner_id
        cluster_id text = o.cluster_id
        privileges text[] = NULL
        """,
        """
        FROM (
            SELECT i.id, i.oid, i.schema_id, i.name, i.type, i.owner_id, i.cluster_id
            FROM mz_internal.mz_items i
            UNION ALL
            SELECT t.id, t.oid, t.schema_id, t.name, 'type', t.owner_id, NULL
            FROM mz_catalog.mz_types t
            UNION ALL
            SELECT f.id, f.oid, f.schema_id, f.name, 'function', f.owner_id, NULL
            FROM mz_catalog.mz_functions f
        ) o
        """,
        comment="Everything that has a name in a schema.",
    ),
    view(
        302,
        MZ_CATALOG,
        "mz_tables",
        """
        id text! = i.id
        oid oid! = i.oid
        schema_id text! = i.schema_id
        name text! = i.name
        owner_id text! = i.owner_id
        privileges text[] = NULL
        create_sql text = nullif(i.create_sql, '')
        redacted_create_sql text = nullif(i.create_sql, '')
        source_id text = NULL
        """,
        "FROM mz_internal.mz_items i WHERE i.type = 'table'",
        comment="Tables.",
    ),
    view(
        303,
        MZ_CATALOG,
        "mz_views",
        """
        id text! = i.id
        oid oid! = i.oid
        schema_id text! = i.schema_id
        name text! = i.name
        definition text! = d.definition
        owner_id text! = i.owner_id
        privileges text[] = NULL
        create_sql text! = i.create_sql
        redacted_create_sql text! = i.create_sql
        """,
        """
        FROM mz_internal.mz_items i JOIN mz_internal.mz_definitions d ON d.oid = i.oid
        WHERE i.type = 'view'
        """,
        comment="Views.",
    ),
    view(
        304,
        MZ_CATALOG,
        "mz_materialized_views",
        """
        id text! = i.id
        oid oid! = i.oid
        schema_id text! = i.schema_id
        name text! = i.name
        cluster_id text! = i.cluster_id
        definition text! = d.definition
        owner_id text! = i.owner_id
        privileges text[] = NULL
        create_sql text! = i.create_sql
        redacted_create_sql text! = i.create_sql
        """,
        """
        FROM mz_internal.mz_items i JOIN mz_internal.mz_definitions d ON d.oid = i.oid
        WHERE i.type = 'materialized-view'
        """,
        comment="Materialized views.",
    ),
    view(
        305,
        MZ_CATALOG,
        "mz_indexes",
        """
        id text! = i.id
        oid oid! = i.oid
        name text! = i.name
        on_id text! = i.index_on
        cluster_id text! = i.cluster_id
        owner_id text! = i.owner_id
        create_sql text! = i.create_sql
        redacted_create_sql text! = i.create_sql
        """,
        "FROM mz_internal.mz_items i WHERE i.type = 'index'",
        comment="Indexes.",
    ),
    view(
        306,
        MZ_CATALOG,
        "mz_index_columns",
        """
        index_id text! = k.index_id
        index_position uint8! = k.position::int8
        on_position uint8 = k.on_position::int8
        on_expression text = k.on_expression
        nullable bool! = k.nullable
        """,
        "FROM mz_internal.mz_index_keys k",
        comment="Columns of indexes.",
    ),
    view(
        307,
        MZ_CATALOG,
        "mz_sources",
        """
        id text! = i.id
        oid oid! = i.oid
        schema_id text! = i.schema_id
        name text! = i.name
        type text! = CASE
                WHEN i.create_sql LIKE 'CREATE SUBSOURCE % REFERENCE progress' THEN 'progress'
                WHEN i.create_sql LIKE 'CREATE SUBSOURCE %' THEN 'subsource'
                WHEN i.cluster_id IS NULL THEN 'webhook'
                ELSE 'load-generator' END
        connection_id text = NULL
        size text = NULL
        envelope_type text = NULL
        key_format text = NULL
        value_format text = NULL
        cluster_id text = i.cluster_id
        owner_id text! = i.owner_id
        privileges text[] = NULL
        create_sql text = i.create_sql
        redacted_create_sql text = i.create_sql
        """,
        "FROM mz_internal.mz_items i WHERE i.type = 'source'",
        comment="Sources.",
    ),
    view(
        308,
        MZ_CATALOG,
        "mz_sinks",
        """
        id text! = i.id
        oid oid! = i.oid
        schema_id text! = i.schema_id
        name text! = i.name
        type text! = 'sink'
        connection_id text = NULL
        size text = NULL
        envelope_type text = NULL
        format text = NULL
        key_format text = NULL
        value_format text = NULL
        cluster_id text = NULL
        owner_id text! = i.owner_id
        create_sql text! = i.create_sql
        redacted_create_sql text! = i.create_sql
        """,
        "FROM mz_internal.mz_items i WHERE i.type = 'sink'",
        comment="Sinks.",
    ),
    view(
        309,
        MZ_CATALOG,
        "mz_columns",
        """
        id text! = c.id
        name text! = c.name
        position uint8! = c.position::int8
        nullable bool! = c.nullable
        type text! = t.sql_name
        default text = c.default_sql
        type_oid oid! = c.type_oid
        type_mod int4! = c.type_modifier
        """,
        """
        FROM mz_internal.mz_item_columns c
            JOIN mz_internal.mz_type_names t ON t.oid = c.type_oid
        WHERE c.item_type <> 'index'
        """,
        comment="Columns of relations.",
    ),
    view(
        310,
        MZ_CATALOG,
        "mz_types",
        """
        id text! = t.id
        oid oid! = t.oid
        schema_id text! = s.id
        name text! = t.name
        category text! = CASE t.category WHEN 'B' THEN 'boolean' WHEN 'N' THEN 'numeric'
            WHEN 'S' THEN 'string' WHEN 'D' THEN 'date-time' WHEN 'T' THEN 'timespan'
            WHEN 'A' THEN 'array' WHEN 'P' THEN 'pseudo' ELSE 'user-defined' END
        owner_id text! = s.owner_id
        privileges text[] = NULL
        create_sql text = NULL
        redacted_create_sql text = NULL
        """,
        """
        FROM mz_internal.mz_type_names t
            JOIN pg_catalog.pg_type p ON p.oid = t.oid
            JOIN mz_catalog.mz_schemas s ON s.oid = p.typnamespace
        """,
        comment="Types.",
    ),
    view(
        311,
        MZ_CATALOG,
        "mz_functions",
        """
        id text! = f.id
        oid oid! = f.oid
        schema_id text! = s.id
        name text! = f.name
        argument_type_ids text[]! = f.argument_type_ids
        variadic_argument_type_id text = f.variadic_argument_type_id
        return_type_id text = f.return_type_id
        returns_set bool! = f.returns_set
        owner_id text! = s.owner_id
        """,
        """
        FROM mz_internal.mz_function_types f
            JOIN mz_catalog.mz_schemas s ON s.oid = f.schema_oid
        """,
        comment="Functions.",
    ),
    view(
        312,
        MZ_CATALOG,
        "mz_secrets",
        """
        id text! = i.id
        oid oid! = i.oid
        schema_id text! = i.schema_id
        name text! = i.name
        owner_id text! = i.owner_id
        privileges text[] = NULL
        """,
        "FROM mz_internal.mz_items i WHERE i.type = 'secret'",
        comment="Secrets.",
    ),
    view(
        313,
        MZ_CATALOG,
        "mz_connections",
        """
        id text! = i.id
        oid oid! = i.oid
        schema_id text! = i.schema_id
        name text! = i.name
        type text! = 'connection'
        owner_id text! = i.owner_id
        privileges text[] = NULL
        create_sql text! = i.create_sql
        redacted_create_sql text! = i.create_sql
        """,
        "FROM mz_internal.mz_items i WHERE i.type = 'connection'",
        comment="Connections.",
    ),
    view(
        314,
        MZ_CATALOG,
        "mz_role_members",
        """
        role_id text! = r.id
        member text! = r.id
        grantor text! = r.id
        """,
        "FROM mz_catalog.mz_roles r WHERE false",
        comment="Roles that are members of roles.",
    ),
    view(
        320,
        MZ_INTERNAL,
        "mz_object_fully_qualified_names",
        """
        id text! = i.id
        name text! = i.name
        object_type text! = i.type
        schema_id text! = s.id
        schema_name text! = s.name
        database_id text = d.id
        database_name text = d.name
        cluster_id text = i.cluster_id
        """,
        """
        FROM mz_internal.mz_items i
            JOIN mz_catalog.mz_schemas s ON s.id = i.schema_id
            LEFT JOIN mz_catalog.mz_databases d ON d.id = s.database_id
        """,
        comment="Items with the names of their schemas and databases.",
    ),
    view(
        321,
        MZ_INTERNAL,
        "mz_object_lifetimes",
        """
        id text = e.details->>'id'
        previous_id text = e.details->>'previous_id'
        object_type text! = e.object_type
        event_type text! = e.event_type
        occurred_at timestamptz! = e.occurred_at
        """,
        """
        FROM mz_catalog.mz_audit_events e WHERE e.event_type = 'create' OR e.event_type = 'drop'
        """,
        comment="When objects were created and dropped.",
    ),
    view(
        323,
        MZ_INTERNAL,
        "mz_show_schemas",
        """
        name text! = s.name
        comment text! = coalesce(c.comment, '')
        database_id text = s.database_id
        database_name text = d.name
        """,
        """
        FROM mz_catalog.mz_schemas s
            LEFT JOIN mz_catalog.mz_databases d ON d.id = s.database_id
            LEFT JOIN mz_internal.mz_comments c
                ON c.id = s.id AND c.object_type = 'schema' AND c.object_sub_id IS NULL
        """,
        comment="What SHOW SCHEMAS reads.",
    ),
    view(
        324,
        MZ_INTERNAL,
        "mz_show_objects",
        """
        name text! = i.name
        type text! = i.type
        comment text! = coalesce(c.comment, '')
        schema_name text! = s.name
        database_name text = d.name
        """,
        """
        FROM mz_internal.mz_items i
            JOIN mz_catalog.mz_schemas s ON s.id = i.schema_id
            LEFT JOIN mz_catalog.mz_databases d ON d.id = s.database_id
            LEFT JOIN mz_internal.mz_comments c
                ON c.id = i.id AND c.object_type = i.type AND c.object_sub_id IS NULL
        WHERE i.temporary_connection IS NULL OR i.temporary_connection = pg_backend_pid()
        """,
        comment="What SHOW OBJECTS, SHOW TABLES and SHOW VIEWS read.",
    ),
    view(
        325,
        MZ_INTERNAL,
        "mz_show_columns",
        """
        id text! = c.id
        name text! = c.name
        nullable bool! = c.nullable
        type text! = t.sql_name
        position int4! = c.position
        comment text! = coalesce(m.comment, '')
        """,
        """
        FROM mz_internal.mz_item_columns c
            JOIN mz_internal.mz_type_names t ON t.oid = c.type_oid
            LEFT JOIN mz_internal.mz_comments m ON m.id = c.id AND m.object_sub_id = c.position
        """,
        comment="What SHOW COLUMNS reads.",
    ),
    view(
        326,
        MZ_INTERNAL,
        "mz_show_materialized_views",
        """
        id text! = i.id
        name text! = i.name
        cluster text! = c.name
        schema_id text! = i.schema_id
        comment text! = coalesce(m.comment, '')
        """,
        """
        FROM mz_internal.mz_items i
            JOIN mz_catalog.mz_clusters c ON c.id = i.cluster_id
            LEFT JOIN mz_internal.mz_comments m
                ON m.id = i.id AND m.object_type = i.type AND m.object_sub_id IS NULL
        WHERE i.type = 'materialized-view'
        """,
        comment="What SHOW MATERIALIZED VIEWS reads.",
    ),
    view(
        330,
        MZ_INTERNAL,
        "mz_show_sources",
        """
        id text! = s.id
        name text! = s.name
        type text! = s.type
        cluster text = c.name
        schema_id text! = s.schema_id
        comment text! = coalesce(m.comment, '')
        """,
        """
        FROM mz_catalog.mz_sources s
            LEFT JOIN mz_catalog.mz_clusters c ON c.id = s.cluster_id
            LEFT JOIN mz_internal.mz_comments m
                ON m.id = s.id AND m.object_type = 'source' AND m.object_sub_id IS NULL
        """,
        comment="What SHOW SOURCES reads.",
    ),
    view(
        327,
        MZ_INTERNAL,
        "mz_show_indexes",
        """
        id text! = i.id
        name text! = i.name
        on text! = o.name
        cluster text! = c.name
        key text[]! = k.key
        on_id text! = i.index_on
        schema_id text! = i.schema_id
        comment text! = coalesce(m.comment, '')
        """,
        """
        FROM mz_internal.mz_items i
            JOIN mz_internal.mz_items o ON o.id = i.index_on
            JOIN mz_catalog.mz_clusters c ON c.id = i.cluster_id
            JOIN (
                SELECT p.index_id, array_agg(p.definition ORDER BY p.position) AS key
                FROM mz_internal.mz_index_keys p GROUP BY p.index_id
            ) k ON k.index_id = i.id
            LEFT JOIN mz_internal.mz_comments m
                ON m.id = i.id AND m.object_type = 'index' AND m.object_sub_id IS NULL
        """,
        comment="What SHOW INDEXES reads.",
    ),
    view(
        328,
        MZ_INTERNAL,
        "mz_show_clusters",
        """
        name text! = c.name
        replicas text = r.replicas
        comment text! = coalesce(m.comment, '')
        """,
        """
        FROM mz_catalog.mz_clusters c
            LEFT JOIN (
                SELECT p.cluster_id,
                    string_agg(concat(p.name, ' (', p.size, ')'), ', ' ORDER BY p.name) AS replicas
                FROM mz_catalog.mz_cluster_replicas p GROUP BY p.cluster_id
            ) r ON r.cluster_id = c.id
            LEFT JOIN mz_internal.mz_comments m ON m.id = c.id AND m.object_type = 'cluster'
        """,
        comment="What SHOW CLUSTERS reads.",
    ),
    view(
        329,
        MZ_INTERNAL,
        "mz_show_cluster_replicas",
        """
        cluster text! = c.name
        replica text! = r.name
        replica_id text! = r.id
        size text = r.size
        comment text! = coalesce(m.comment, '')
        """,
        """
        FROM mz_catalog.mz_cluster_replicas r
            JOIN mz_catalog.mz_clusters c ON c.id = r.cluster_id
            LEFT JOIN mz_internal.mz_comments m
                ON m.id = r.id AND m.object_type = 'cluster-replica'
        """,
        comment="What SHOW CLUSTER REPLICAS reads.",
    ),
)
