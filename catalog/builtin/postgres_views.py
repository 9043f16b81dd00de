"""PostgreSQL's catalogs that describe what users create: pg_class, pg_attribute and their kin.

Columns are those of PostgreSQL 15, in its order; columns that clients of older servers ask for
follow. An absent oid is 0, as there.
"""

from typing import Final

from catalog.builtin.definitions import PG_CATALOG, view

_WITH_INDEXES: Final = "LEFT JOIN mz_internal.mz_indexed_relations x ON x.id = i.id"

POSTGRES_VIEWS: Final = (
    view(
        140,
        PG_CATALOG,
        "pg_class",
        """
        oid oid! = i.oid
        relname name! = i.name
        relnamespace oid! = i.schema_oid
        reltype oid! = 0
        reloftype oid! = 0
        relowner oid! = coalesce(i.owner_oid, 0::oid)
        relam oid! = CASE i.type WHEN 'table' THEN 2 WHEN 'materialized-view' THEN 2
            WHEN 'index' THEN 403 ELSE 0 END
        relfilenode oid! = 0
        reltablespace oid! = 0
        relpages int4! = 0
        reltuples float4! = -1
        relallvisible int4! = 0
        reltoastrelid oid! = 0
        relhasindex bool! = x.id IS NOT NULL
        relisshared bool! = false
        relpersistence char! = CASE WHEN i.is_temporary THEN 't' ELSE 'p' END
        relkind char! = CASE i.type WHEN 'view' THEN 'v' WHEN 'materialized-view' THEN 'm'
            WHEN 'index' THEN 'i' ELSE 'r' END
        relnatts int2! = i.column_count
        relchecks int2! = 0
        relhasrules bool! = i.type = 'view'
        relhastriggers bool! = false
        relhassubclass bool! = false
        relrowsecurity bool! = false
        relforcerowsecurity bool! = false
        relispopulated bool! = true
        relreplident char! = 'd'
        relispartition bool! = false
        relrewrite oid! = 0
        relfrozenxid xid! = '0'
        relminmxid xid! = '0'
        relacl text[] = NULL
        reloptions text[] = NULL
        relpartbound text = NULL
        relhasoids bool! = false
        """,
        f"FROM mz_internal.mz_visible_items i {_WITH_INDEXES}",
        oid=1259,
        comment="Tables, views, indexes and everything else with columns.",
    ),
    view(
        141,
        PG_CATALOG,
        "pg_attribute",
        """
        attrelid oid! = c.item_oid
        attname name! = c.name
        atttypid oid! = c.type_oid
        attstattarget int4! = -1
        attlen int2! = t.typlen
        attnum int2! = c.position
        attndims int4! = CASE WHEN t.typcategory = 'A' THEN 1 ELSE 0 END
        attcacheoff int4! = -1
        atttypmod int4! = c.type_modifier
        attbyval bool! = t.typbyval
        attalign char! = t.typalign
        attstorage char! = t.typstorage
        attcompression char! = ''
        attnotnull bool! = NOT c.nullable
        atthasdef bool! = c.default_sql IS NOT NULL
        atthasmissing bool! = false
        attidentity char! = ''
        attgenerated char! = ''
        attisdropped bool! = false
        attislocal bool! = true
        attinhcount int4! = 0
        attcollation oid! = t.typcollation
        attacl text[] = NULL
        attoptions text[] = NULL
        attfdwoptions text[] = NULL
        attmissingval text = NULL
        """,
        """
        FROM mz_internal.mz_item_columns c
            JOIN mz_internal.mz_visible_items i ON i.oid = c.item_oid
            JOIN pg_catalog.pg_type t ON t.oid = c.type_oid
        """,
        oid=1249,
        comment="Columns of relations.",
    ),
    view(
        142,
        PG_CATALOG,
        "pg_namespace",
        """
        oid oid! = s.oid
        nspname name! = s.name
        nspowner oid! = coalesce(r.oid, 0::oid)
        nspacl text[] = NULL
        """,
        """
        FROM mz_internal.mz_visible_schemas s LEFT JOIN mz_catalog.mz_roles r ON r.id = s.owner_id
        """,
        oid=2615,
        comment="Schemas of the current database.",
    ),
    view(
        143,
        PG_CATALOG,
        "pg_database",
        """
        oid oid! = d.oid
        datname name! = d.name
        datdba oid! = coalesce(r.oid, 0::oid)
        encoding int4! = 6
        datlocprovider char! = 'c'
        datistemplate bool! = false
        datallowconn bool! = true
        datconnlimit int4! = -1
        datfrozenxid xid! = '0'
        datminmxid xid! = '0'
        dattablespace oid! = 1663
        datcollate text! = 'C'
        datctype text! = 'C'
        daticulocale text = NULL
        datcollversion text = NULL
        datacl text[] = NULL
        datlastsysoid oid! = 19999
        """,
        "FROM mz_catalog.mz_databases d LEFT JOIN mz_catalog.mz_roles r ON r.id = d.owner_id",
        oid=1262,
        comment="Databases.",
    ),
    view(
        144,
        PG_CATALOG,
        "pg_authid",
        """
        oid oid! = r.oid
        rolname name! = r.name
        rolsuper bool! = r.superuser
        rolinherit bool! = r.inherit
        rolcreaterole bool! = r.create_role
        rolcreatedb bool! = r.create_db
        rolcanlogin bool! = r.login
        rolreplication bool! = false
        rolbypassrls bool! = false
        rolconnlimit int4! = -1
        rolpassword text = NULL
        rolvaliduntil timestamptz = NULL
        """,
        "FROM mz_internal.mz_role_attributes r",
        oid=1260,
        comment="Roles.",
    ),
    view(
        145,
        PG_CATALOG,
        "pg_roles",
        """
        rolname name! = r.name
        rolsuper bool! = r.superuser
        rolinherit bool! = r.inherit
        rolcreaterole bool! = r.create_role
        rolcreatedb bool! = r.create_db
        rolcanlogin bool! = r.login
        rolreplication bool! = false
        rolconnlimit int4! = -1
        rolpassword text! = '********'
        rolvaliduntil timestamptz = NULL
        rolbypassrls bool! = false
        rolconfig text[] = NULL
        oid oid! = r.oid
        """,
        "FROM mz_internal.mz_role_attributes r",
        comment="Roles.",
    ),
    view(
        146,
        PG_CATALOG,
        "pg_user",
        """
        usename name! = r.name
        usesysid oid! = r.oid
        usecreatedb bool! = r.create_db
        usesuper bool! = r.superuser
        userepl bool! = false
        usebypassrls bool! = false
        passwd text! = '********'
        valuntil timestamptz = NULL
        useconfig text[] = NULL
        """,
        "FROM mz_internal.mz_role_attributes r WHERE r.login",
        comment="Roles that can log in.",
    ),
    view(
        147,
        PG_CATALOG,
        "pg_shadow",
        """
        usename name! = r.name
        usesysid oid! = r.oid
        usecreatedb bool! = r.create_db
        usesuper bool! = r.superuser
        userepl bool! = false
        usebypassrls bool! = false
        passwd text = NULL
        valuntil timestamptz = NULL
        useconfig text[] = NULL
        """,
        "FROM mz_internal.mz_role_attributes r WHERE r.login",
        comment="Roles that can log in.",
    ),
    view(
        148,
        PG_CATALOG,
        "pg_group",
        """
        groname name! = r.name
        grosysid oid! = r.oid
        grolist oid[] = '{}'
        """,
        "FROM mz_internal.mz_role_attributes r WHERE NOT r.login",
        comment="Roles that cannot log in.",
    ),
    view(
        149,
        PG_CATALOG,
        "pg_attrdef",
        """
        oid oid! = c.item_oid::int8 * 1600 + c.position
        adrelid oid! = c.item_oid
        adnum int2! = c.position
        adbin text! = c.default_sql
        adsrc text! = c.default_sql
        """,
        """
        FROM mz_internal.mz_item_columns c JOIN mz_internal.mz_visible_items i ON i.oid = c.item_oid
        WHERE c.default_sql IS NOT NULL
        """,
        oid=2604,
        comment="Defaults of columns, as SQL text.",
    ),
    view(
        150,
        PG_CATALOG,
        "pg_description",
        """
        objoid oid! = d.object_oid
        classoid oid! = CASE d.catalog_name WHEN 'pg_namespace' THEN 2615 ELSE 1259 END
        objsubid int4! = d.sub_id
        description text! = d.description
        """,
        "FROM mz_internal.mz_object_descriptions d",
        oid=2609,
        comment="Comments on objects of a database.",
    ),
    view(
        151,
        PG_CATALOG,
        "pg_shdescription",
        """
        objoid oid! = d.object_oid
        classoid oid! = CASE d.catalog_name WHEN 'pg_database' THEN 1262 ELSE 1260 END
        description text! = d.description
        """,
        "FROM mz_internal.mz_shared_descriptions d",
        oid=2396,
        comment="Comments on databases and roles.",
    ),
    view(
        152,
        PG_CATALOG,
        "pg_depend",
        """
        classid oid! = d.class_oid
        objid oid! = d.object_oid
        objsubid int4! = 0
        refclassid oid! = 1259
        refobjid oid! = d.referenced_oid
        refobjsubid int4! = 0
        deptype char! = d.kind
        """,
        """
        FROM (
            SELECT 2618 AS class_oid, i.oid AS object_oid, i.oid AS referenced_oid, 'i' AS kind
            FROM mz_internal.mz_items i WHERE i.type = 'view' OR i.type = 'materialized-view'
            UNION ALL
            SELECT CASE i.type WHEN 'index' THEN 1259 WHEN 'table' THEN 1259 ELSE 2618 END,
                i.oid, r.oid, CASE i.type WHEN 'index' THEN 'a' ELSE 'n' END
            FROM mz_internal.mz_object_dependencies d
                JOIN mz_internal.mz_items i ON i.id = d.object_id
                JOIN mz_internal.mz_items r ON r.id = d.referenced_object_id
        ) d
        """,
        oid=2608,
        comment="Which object's definition names which relation; a view's is its rule's.",
    ),
    view(
        153,
        PG_CATALOG,
        "pg_rewrite",
        """
        oid oid! = i.oid
        rulename name! = '_RETURN'
        ev_class oid! = i.oid
        ev_type char! = '1'
        ev_enabled char! = 'O'
        is_instead bool! = true
        ev_qual text! = '<>'
        ev_action text! = '<>'
        """,
        """
        FROM mz_internal.mz_visible_items i
        WHERE i.type = 'view' OR i.type = 'materialized-view'
        """,
        oid=2618,
        comment="The rule that makes a view of a relation; its oid is the view's.",
    ),
    view(
        154,
        PG_CATALOG,
        "pg_rules",
        """
        schemaname name = NULL
        tablename name = NULL
        rulename name = NULL
        definition text = NULL
        """,
        "WHERE false",
        comment="Rules other than those that make views: there are none.",
    ),
    view(
        155,
        PG_CATALOG,
        "pg_tables",
        """
        schemaname name! = i.schema_name
        tablename name! = i.name
        tableowner name = i.owner_name
        tablespace name = NULL
        hasindexes bool! = x.id IS NOT NULL
        hasrules bool! = false
        hastriggers bool! = false
        rowsecurity bool! = false
        """,
        f"""
        FROM mz_internal.mz_visible_items i {_WITH_INDEXES}
        WHERE i.type = 'table' OR i.type = 'source'
        """,
        comment="Tables.",
    ),
    view(
        156,
        PG_CATALOG,
        "pg_views",
        """
        schemaname name! = i.schema_name
        viewname name! = i.name
        viewowner name = i.owner_name
        definition text! = d.definition
        """,
        """
        FROM mz_internal.mz_visible_items i JOIN mz_internal.mz_definitions d ON d.oid = i.oid
        WHERE i.type = 'view'
        """,
        comment="Views.",
    ),
    view(
        157,
        PG_CATALOG,
        "pg_matviews",
        """
        schemaname name! = i.schema_name
        matviewname name! = i.name
        matviewowner name = i.owner_name
        tablespace name = NULL
        hasindexes bool! = x.id IS NOT NULL
        ispopulated bool! = true
        definition text! = d.definition
        """,
        f"""
        FROM mz_internal.mz_visible_items i JOIN mz_internal.mz_definitions d ON d.oid = i.oid
            {_WITH_INDEXES}
        WHERE i.type = 'materialized-view'
        """,
        comment="Materialized views.",
    ),
    view(
        416,
        PG_CATALOG,
        "pg_index",
        """
        indexrelid oid! = i.oid
        indrelid oid! = d.on_oid
        indnatts int2! = i.column_count
        indnkeyatts int2! = i.column_count
        indisunique bool! = false
        indnullsnotdistinct bool! = false
        indisprimary bool! = false
        indisexclusion bool! = false
        indimmediate bool! = true
        indisclustered bool! = false
        indisvalid bool! = true
        indcheckxmin bool! = false
        indisready bool! = true
        indislive bool! = true
        indisreplident bool! = false
        indkey int2vector! = k.positions
        indcollation oidvector! = k.zeros
        indclass oidvector! = k.zeros
        indoption int2vector! = k.zeros
        indexprs text = k.expressions
        indpred text = NULL
        """,
        """
        FROM mz_internal.mz_visible_items i
            JOIN mz_internal.mz_index_definitions d ON d.oid = i.oid
            JOIN (
                SELECT p.index_oid,
                    string_agg(coalesce(p.on_position, 0)::text, ' ' ORDER BY p.position)
                        AS positions,
                    string_agg('0', ' ') AS zeros,
                    string_agg(p.on_expression, ', ' ORDER BY p.position) AS expressions
                FROM mz_internal.mz_index_keys p GROUP BY p.index_oid
            ) k ON k.index_oid = i.oid
        """,
        oid=2610,
        comment="Indexes.",
    ),
    view(
        417,
        PG_CATALOG,
        "pg_indexes",
        """
        schemaname name! = i.schema_name
        tablename name! = o.name
        indexname name! = i.name
        tablespace name = NULL
        indexdef text! = d.definition
        """,
        """
        FROM mz_internal.mz_visible_items i
            JOIN mz_internal.mz_index_definitions d ON d.oid = i.oid
            JOIN mz_internal.mz_items o ON o.id = i.index_on
        """,
        comment="Indexes with their definitions.",
    ),
    view(
        158,
        PG_CATALOG,
        "pg_stat_activity",
        """
        datid oid = d.oid
        datname name = d.name
        pid int4! = pg_backend_pid()
        leader_pid int4 = NULL
        usesysid oid = r.oid
        usename name = r.name
        application_name text = current_setting('application_name')
        client_addr text = NULL
        client_hostname text = NULL
        client_port int4 = NULL
        backend_start timestamptz = NULL
        xact_start timestamptz = transaction_timestamp()
        query_start timestamptz = statement_timestamp()
        state_change timestamptz = statement_timestamp()
        wait_event_type text = NULL
        wait_event text = NULL
        state text = 'active'
        backend_xid xid = NULL
        backend_xmin xid = NULL
        query_id int8 = NULL
        query text = NULL
        backend_type text = 'client backend'
        """,
        """
        FROM mz_catalog.mz_databases d, mz_catalog.mz_roles r
        WHERE d.name = current_database() AND r.name = current_user
        """,
        comment="The session that asks.",
    ),
    view(
        159,
        PG_CATALOG,
        "pg_timezone_names",
        """
        name text! = z.name
        abbrev text! = CASE WHEN z.utc_offset = z.standard_offset THEN z.standard_abbrev
            ELSE z.daylight_abbrev END
        utc_offset interval! = z.utc_offset
        is_dst bool! = z.utc_offset <> z.standard_offset
        """,
        """
        FROM (
            SELECT t.name, t.standard_abbrev, t.daylight_abbrev, t.standard_offset,
                (now() AT TIME ZONE t.name) - (now() AT TIME ZONE 'UTC') AS utc_offset
            FROM mz_internal.mz_time_zones t
        ) z
        """,
        comment="Time zones with their offset from UTC at this moment.",
    ),
)
