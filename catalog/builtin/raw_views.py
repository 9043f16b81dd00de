"""Views that read the raw catalog: the only ones that know its row formats.

Every other system relation is defined over these (and over constants), so that a change of the
durable format ends here. `mz_visible_*` are what PostgreSQL's catalogs list: the objects of the
current database, of the system, and this connection's temporary items.
"""

from typing import Final

from catalog.builtin.definitions import MZ_CATALOG, MZ_INTERNAL, view

RAW_VIEWS: Final = (
    view(
        100,
        MZ_CATALOG,
        "mz_databases",
        """
        id text! = r.key->>'id'
        oid oid! = (r.value->>'oid')::int8
        name text! = r.value->>'name'
        owner_id text! = r.value->>'owner'
        privileges text[] = NULL
        """,
        "FROM mz_internal.mz_catalog_raw r WHERE r.kind = 'database'",
        comment="Databases.",
    ),
    view(
        101,
        MZ_CATALOG,
        "mz_schemas",
        """
        id text! = r.key->>'id'
        oid oid! = (r.value->>'oid')::int8
        database_id text = r.value->>'database_id'
        name text! = r.value->>'name'
        owner_id text! = r.value->>'owner'
        privileges text[] = NULL
        """,
        "FROM mz_internal.mz_catalog_raw r WHERE r.kind = 'schema'",
        comment="Schemas; those of the system have no database.",
    ),
    view(
        102,
        MZ_CATALOG,
        "mz_roles",
        """
        id text! = r.key->>'id'
        oid oid! = (r.value->>'oid')::int8
        name text! = r.value->>'name'
        inherit bool! = (r.value->>'inherit')::bool
        rolcanlogin bool! = (r.value->>'login')::bool
        rolsuper bool! = (r.value->>'superuser')::bool
        """,
        "FROM mz_internal.mz_catalog_raw r WHERE r.kind = 'role'",
        comment="Roles.",
    ),
    view(
        103,
        MZ_INTERNAL,
        "mz_role_attributes",
        """
        oid oid! = (r.value->>'oid')::int8
        name text! = r.value->>'name'
        superuser bool! = (r.value->>'superuser')::bool
        inherit bool! = (r.value->>'inherit')::bool
        create_role bool! = (r.value->>'create_role')::bool
        create_db bool! = (r.value->>'create_db')::bool
        login bool! = (r.value->>'login')::bool
        """,
        "FROM mz_internal.mz_catalog_raw r WHERE r.kind = 'role'",
        comment="Roles with every attribute.",
    ),
    view(
        104,
        MZ_CATALOG,
        "mz_clusters",
        """
        id text! = r.key->>'id'
        name text! = r.value->>'name'
        owner_id text! = r.value->>'owner'
        privileges text[] = NULL
        managed bool! = (r.value->>'managed')::bool
        size text = r.value->>'size'
        replication_factor uint4 = (r.value->>'replication_factor')::int8
        disk bool = NULL
        availability_zones text[] = NULL
        introspection_debugging bool = NULL
        introspection_interval interval = NULL
        """,
        "FROM mz_internal.mz_catalog_raw r WHERE r.kind = 'cluster'",
        comment="Clusters: named pools of compute.",
    ),
    view(
        105,
        MZ_CATALOG,
        "mz_cluster_replicas",
        """
        id text! = r.key->>'id'
        name text! = r.value->>'name'
        cluster_id text! = r.value->>'cluster_id'
        size text = r.value->>'size'
        availability_zone text = NULL
        owner_id text! = r.value->>'owner'
        disk bool = NULL
        """,
        "FROM mz_internal.mz_catalog_raw r WHERE r.kind = 'cluster_replica'",
        comment="Replicas: each one process that does its cluster's work.",
    ),
    view(
        106,
        MZ_INTERNAL,
        "mz_items",
        """
        id text! = r.key->>'id'
        oid oid! = i.oid
        schema_id text! = i.schema_id
        name text! = i.name
        type text! = i.type
        owner_id text! = i.owner_id
        create_sql text! = i.create_sql
        column_count int4! = i.column_count
        temporary_connection int4 = i.temporary_connection
        created_at timestamptz! = i.created_at
        cluster_id text = i.cluster_id
        index_on text = i.index_on
        """,
        """
        FROM mz_internal.mz_catalog_raw r, LATERAL mz_catalog_item(r.value) i
        WHERE r.kind = 'item'
        """,
        comment="Tables, views, sources, sinks and indexes, of users and of the system.",
    ),
    view(
        107,
        MZ_INTERNAL,
        "mz_item_columns",
        """
        id text! = r.key->>'id'
        item_oid oid! = c.item_oid
        temporary_connection int4 = c.temporary_connection
        position int4! = c.position
        name text! = c.name
        nullable bool! = c.nullable
        type_oid oid! = c.type_oid
        type_modifier int4! = c.type_modifier
        default_sql text = c.default_sql
        item_type text! = c.item_type
        """,
        """
        FROM mz_internal.mz_catalog_raw r, LATERAL mz_catalog_columns(r.value) c
        WHERE r.kind = 'item'
        """,
        comment="Columns of items, numbered from 1.",
    ),
    view(
        108,
        MZ_INTERNAL,
        "mz_object_dependencies",
        """
        object_id text! = r.key->>'id'
        referenced_object_id text! = d.referenced_id
        """,
        """
        FROM mz_internal.mz_catalog_raw r,
            LATERAL mz_catalog_dependencies(r.value) AS d(referenced_id)
        WHERE r.kind = 'item'
        """,
        comment="Which item's definition names which other item.",
    ),
    view(
        109,
        MZ_INTERNAL,
        "mz_comments",
        """
        id text! = r.key->>'object_id'
        object_type text! = r.key->>'object_type'
        object_sub_id int4 = (r.key->>'column')::int4
        comment text! = r.value->>'comment'
        """,
        "FROM mz_internal.mz_catalog_raw r WHERE r.kind = 'comment'",
        comment="Comments on objects and on their columns.",
    ),
    view(
        110,
        MZ_INTERNAL,
        "mz_storage_shards",
        """
        object_id text! = r.key->>'id'
        shard_id text! = r.value->>'shard'
        """,
        "FROM mz_internal.mz_catalog_raw r WHERE r.kind = 'storage_collection'",
        comment="The shard of each collection.",
    ),
    view(
        111,
        MZ_CATALOG,
        "mz_audit_events",
        """
        id uint8! = (r.key->>'id')::uint8
        event_type text! = r.value->>'event_type'
        object_type text! = r.value->>'object_type'
        details jsonb! = r.value->'details'
        user text = r.value->>'user'
        occurred_at timestamptz! = to_timestamp((r.value->>'occurred_at')::float8 \
/ 1000000.0::float8)
        """,
        "FROM mz_internal.mz_catalog_raw r WHERE r.kind = 'audit_event'",
        comment="Changes of the catalog, with who made them.",
    ),
    view(
        112,
        MZ_INTERNAL,
        "mz_system_parameters",
        """
        name text! = r.key->>'name'
        value text! = r.value->>'value'
        """,
        "FROM mz_internal.mz_catalog_raw r WHERE r.kind = 'system_parameter'",
        comment="Parameters changed by ALTER SYSTEM SET.",
    ),
    view(
        113,
        MZ_INTERNAL,
        "mz_index_keys",
        """
        index_id text! = r.key->>'id'
        index_oid oid! = (r.value->>'oid')::int8
        position int4! = k.position
        on_position int4 = k.on_position
        on_expression text = k.on_expression
        name text! = k.name
        nullable bool! = k.nullable
        definition text! = coalesce(k.on_expression, quote_ident(k.name))
        """,
        """
        FROM mz_internal.mz_catalog_raw r, LATERAL mz_catalog_index_key(r.value) k
        WHERE r.kind = 'item' AND r.value->>'index_on' IS NOT NULL
        """,
        comment="The keys of indexes: columns of what they are on, or expressions.",
    ),
    view(
        114,
        MZ_INTERNAL,
        "mz_indexed_relations",
        """
        id text! = r.value->>'index_on'
        """,
        """
        FROM mz_internal.mz_catalog_raw r
        WHERE r.kind = 'item' AND r.value->>'index_on' IS NOT NULL
        GROUP BY r.value->>'index_on'
        """,
        comment="What has an index.",
    ),
    view(
        120,
        MZ_INTERNAL,
        "mz_visible_schemas",
        """
        id text! = s.id
        oid oid! = s.oid
        name text! = s.name
        owner_id text! = s.owner_id
        is_system bool! = s.database_id IS NULL
        """,
        """
        FROM mz_catalog.mz_schemas s LEFT JOIN mz_catalog.mz_databases d ON d.id = s.database_id
        WHERE s.database_id IS NULL OR d.name = current_database()
        """,
        comment="Schemas of the current database and of the system.",
    ),
    view(
        121,
        MZ_INTERNAL,
        "mz_visible_items",
        """
        id text! = i.id
        oid oid! = i.oid
        name text! = i.name
        type text! = i.type
        schema_oid oid! = s.oid
        schema_name text! = s.name
        owner_oid oid = r.oid
        owner_name text = r.name
        create_sql text! = i.create_sql
        column_count int4! = i.column_count
        is_temporary bool! = i.temporary_connection IS NOT NULL
        index_on text = i.index_on
        """,
        """
        FROM mz_internal.mz_items i
            JOIN mz_internal.mz_visible_schemas s ON s.id = i.schema_id
            LEFT JOIN mz_catalog.mz_roles r ON r.id = i.owner_id
        WHERE i.temporary_connection IS NULL OR i.temporary_connection = pg_backend_pid()
        """,
        comment="Items of the current database, of the system and of this connection.",
    ),
    view(
        122,
        MZ_INTERNAL,
        "mz_searchable_items",
        """
        oid oid! = p.oid
        name text! = p.name
        """,
        """
        FROM (
            SELECT DISTINCT ON (i.name) i.oid, i.name
            FROM mz_internal.mz_visible_items i
                JOIN (
                    SELECT 'mz_temp' AS schema_name, 0::int8 AS position
                    UNION ALL SELECT 'pg_catalog', 1::int8
                    UNION ALL SELECT e.schema_name, e.position + 1
                        FROM unnest(current_schemas(false)) WITH ORDINALITY
                            AS e(schema_name, position)
                ) s ON s.schema_name = i.schema_name
            ORDER BY i.name, s.position
        ) p
        """,
        comment="Items that an unqualified name finds: the first of each name on the search path. "
        "mz_catalog counts only when the path names it, so that lists of visible relations show a "
        "user's own.",
    ),
    view(
        123,
        MZ_INTERNAL,
        "mz_definitions",
        """
        oid oid! = i.oid
        definition text! = concat(' ', regexp_replace(i.create_sql,
            '^CREATE [A-Z ]*VIEW (?:"(?:[^"]|"")*"|[^" (])+ (?:[(](?:"(?:[^"]|"")*"|[^")])*[)] )?\
(?:IN CLUSTER (?:"(?:[^"]|"")*"|[^" ])+ )?\
(?:WITH [(](?:"(?:[^"]|"")*"|''(?:[^'']|'''')*''|[^")''])*[)] )?AS ', ''), ';')
        """,
        """
        FROM mz_internal.mz_items i WHERE i.type = 'view' OR i.type = 'materialized-view'
        """,
        comment="The query of each view, as pg_get_viewdef() shows it.",
    ),
    view(
        124,
        MZ_INTERNAL,
        "mz_object_descriptions",
        """
        object_oid oid! = d.object_oid
        catalog_name text! = d.catalog_name
        sub_id int4! = d.sub_id
        description text! = d.description
        """,
        """
        FROM (
            SELECT i.oid AS object_oid, 'pg_class' AS catalog_name,
                coalesce(c.object_sub_id, 0) AS sub_id, c.comment AS description
            FROM mz_internal.mz_comments c JOIN mz_internal.mz_items i ON i.id = c.id
            WHERE c.object_type IN
                ('table', 'view', 'materialized-view', 'source', 'sink', 'index')
            UNION ALL
            SELECT s.oid, 'pg_namespace', 0, c.comment
            FROM mz_internal.mz_comments c JOIN mz_catalog.mz_schemas s ON s.id = c.id
            WHERE c.object_type = 'schema'
            UNION ALL
            SELECT b.oid, 'pg_class', 0, b.comment FROM mz_internal.mz_builtin_comments b
        ) d
        """,
        comment="Comments by PostgreSQL's keys: oid, catalog, column number.",
    ),
    view(
        126,
        MZ_INTERNAL,
        "mz_index_definitions",
        """
        oid oid! = i.oid
        on_oid oid! = o.oid
        key text! = k.key
        definition text! = concat('CREATE INDEX ', quote_ident(i.name), ' ON ', \
quote_ident(s.name), '.', quote_ident(o.name), ' USING btree (', k.key, ')')
        """,
        """
        FROM mz_internal.mz_items i
            JOIN mz_internal.mz_items o ON o.id = i.index_on
            JOIN mz_catalog.mz_schemas s ON s.id = i.schema_id
            JOIN (
                SELECT p.index_id, string_agg(p.definition, ', ' ORDER BY p.position) AS key
                FROM mz_internal.mz_index_keys p GROUP BY p.index_id
            ) k ON k.index_id = i.id
        """,
        comment="Indexes as pg_get_indexdef() shows them.",
    ),
    view(
        125,
        MZ_INTERNAL,
        "mz_shared_descriptions",
        """
        object_oid oid! = d.object_oid
        catalog_name text! = d.catalog_name
        description text! = d.description
        """,
        """
        FROM (
            SELECT d.oid AS object_oid, 'pg_database' AS catalog_name, c.comment AS description
            FROM mz_internal.mz_comments c JOIN mz_catalog.mz_databases d ON d.id = c.id
            WHERE c.object_type = 'database'
            UNION ALL
            SELECT r.oid, 'pg_authid', c.comment
            FROM mz_internal.mz_comments c JOIN mz_catalog.mz_roles r ON r.id = c.id
            WHERE c.object_type = 'role'
        ) d
        """,
        comment="Comments on databases and roles.",
    ),
)
