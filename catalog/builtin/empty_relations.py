"""Relations of PostgreSQL that are always empty here, because what they list does not exist.

They are there so that the catalog queries of drivers and tools run unchanged. Columns are those
of PostgreSQL 15; `text` stands for types that Headwater lacks (aclitem, pg_node_tree, inet,
pg_lsn and the domains of the information schema). A table of data: one definition a relation.
"""

from typing import Final

from catalog.builtin.definitions import INFORMATION_SCHEMA, PG_CATALOG, empty

EMPTY_PG_CATALOG: Final = (
    empty(
        400,
        PG_CATALOG,
        "pg_amop",
        "oid oid!, amopfamily oid!, amoplefttype oid!, amoprighttype oid!, amopstrategy "
        "int2!, amoppurpose char!, amopopr oid!, amopmethod oid!, amopsortfamily oid!",
        oid=2602,
    ),
    empty(
        401,
        PG_CATALOG,
        "pg_amproc",
        "oid oid!, amprocfamily oid!, amproclefttype oid!, amprocrighttype oid!, amprocnum "
        "int2!, amproc regproc!",
        oid=2603,
    ),
    empty(
        402,
        PG_CATALOG,
        "pg_auth_members",
        "roleid oid!, member oid!, grantor oid!, admin_option bool!",
        oid=1261,
    ),
    empty(
        403,
        PG_CATALOG,
        "pg_available_extension_versions",
        "name name, version text, installed bool, superuser bool, trusted bool, relocatable "
        "bool, schema name, requires name[], comment text",
    ),
    empty(
        404,
        PG_CATALOG,
        "pg_available_extensions",
        "name name, default_version text, installed_version text, comment text",
    ),
    empty(
        405,
        PG_CATALOG,
        "pg_constraint",
        "oid oid!, conname name!, connamespace oid!, contype char!, condeferrable bool!, "
        "condeferred bool!, convalidated bool!, conrelid oid!, contypid oid!, conindid oid!, "
        "conparentid oid!, confrelid oid!, confupdtype char!, confdeltype char!, "
        "confmatchtype char!, conislocal bool!, coninhcount int4!, connoinherit bool!, conkey "
        "int2[], confkey int2[], conpfeqop oid[], conppeqop oid[], conffeqop oid[], "
        "confdelsetcols int2[], conexclop oid[], conbin text",
        oid=2606,
    ),
    empty(
        406,
        PG_CATALOG,
        "pg_conversion",
        "oid oid!, conname name!, connamespace oid!, conowner oid!, conforencoding int4!, "
        "contoencoding int4!, conproc regproc!, condefault bool!",
        oid=2607,
    ),
    empty(
        407,
        PG_CATALOG,
        "pg_cursors",
        "name text, statement text, is_holdable bool, is_binary bool, is_scrollable bool, "
        "creation_time timestamptz",
    ),
    empty(
        408,
        PG_CATALOG,
        "pg_db_role_setting",
        "setdatabase oid!, setrole oid!, setconfig text[]",
        oid=2964,
    ),
    empty(
        409,
        PG_CATALOG,
        "pg_default_acl",
        "oid oid!, defaclrole oid!, defaclnamespace oid!, defaclobjtype char!, defaclacl text[]!",
        oid=826,
    ),
    empty(
        410,
        PG_CATALOG,
        "pg_enum",
        "oid oid!, enumtypid oid!, enumsortorder float4!, enumlabel name!",
        oid=3501,
    ),
    empty(
        411,
        PG_CATALOG,
        "pg_event_trigger",
        "oid oid!, evtname name!, evtevent name!, evtowner oid!, evtfoid oid!, evtenabled "
        "char!, evttags text[]",
        oid=3466,
    ),
    empty(
        412,
        PG_CATALOG,
        "pg_extension",
        "oid oid!, extname name!, extowner oid!, extnamespace oid!, extrelocatable bool!, "
        "extversion text!, extconfig oid[], extcondition text[]",
        oid=3079,
    ),
    empty(
        413,
        PG_CATALOG,
        "pg_foreign_data_wrapper",
        "oid oid!, fdwname name!, fdwowner oid!, fdwhandler oid!, fdwvalidator oid!, fdwacl "
        "text[], fdwoptions text[]",
        oid=2328,
    ),
    empty(
        414,
        PG_CATALOG,
        "pg_foreign_server",
        "oid oid!, srvname name!, srvowner oid!, srvfdw oid!, srvtype text, srvversion text, "
        "srvacl text[], srvoptions text[]",
        oid=1417,
    ),
    empty(
        415,
        PG_CATALOG,
        "pg_foreign_table",
        "ftrelid oid!, ftserver oid!, ftoptions text[]",
        oid=3118,
    ),
    empty(
        418,
        PG_CATALOG,
        "pg_inherits",
        "inhrelid oid!, inhparent oid!, inhseqno int4!, inhdetachpending bool!",
        oid=2611,
    ),
    empty(
        419,
        PG_CATALOG,
        "pg_init_privs",
        "objoid oid!, classoid oid!, objsubid int4!, privtype char!, initprivs text[]!",
        oid=3394,
    ),
    empty(
        420,
        PG_CATALOG,
        "pg_largeobject",
        "loid oid!, pageno int4!, data bytea!",
        oid=2613,
    ),
    empty(
        421,
        PG_CATALOG,
        "pg_largeobject_metadata",
        "oid oid!, lomowner oid!, lomacl text[]",
        oid=2995,
    ),
    empty(
        422,
        PG_CATALOG,
        "pg_locks",
        "locktype text, database oid, relation oid, page int4, tuple int2, virtualxid text, "
        "transactionid xid, classid oid, objid oid, objsubid int2, virtualtransaction text, "
        "pid int4, mode text, granted bool, fastpath bool, waitstart timestamptz",
    ),
    empty(
        423,
        PG_CATALOG,
        "pg_opclass",
        "oid oid!, opcmethod oid!, opcname name!, opcnamespace oid!, opcowner oid!, opcfamily "
        "oid!, opcintype oid!, opcdefault bool!, opckeytype oid!",
        oid=2616,
    ),
    empty(
        424,
        PG_CATALOG,
        "pg_opfamily",
        "oid oid!, opfmethod oid!, opfname name!, opfnamespace oid!, opfowner oid!",
        oid=2753,
    ),
    empty(
        425,
        PG_CATALOG,
        "pg_parameter_acl",
        "oid oid!, parname text!, paracl text[]",
        oid=6243,
    ),
    empty(
        426,
        PG_CATALOG,
        "pg_partitioned_table",
        "partrelid oid!, partstrat char!, partnatts int2!, partdefid oid!, partattrs "
        "int2vector!, partclass oidvector!, partcollation oidvector!, partexprs text",
        oid=3350,
    ),
    empty(
        427,
        PG_CATALOG,
        "pg_policies",
        "schemaname name, tablename name, policyname name, permissive text, roles name[], cmd "
        "text, qual text, with_check text",
    ),
    empty(
        428,
        PG_CATALOG,
        "pg_policy",
        "oid oid!, polname name!, polrelid oid!, polcmd char!, polpermissive bool!, polroles "
        "oid[]!, polqual text, polwithcheck text",
        oid=3256,
    ),
    empty(
        429,
        PG_CATALOG,
        "pg_prepared_statements",
        "name text, statement text, prepare_time timestamptz, parameter_types regtype[], "
        "from_sql bool, generic_plans int8, custom_plans int8",
    ),
    empty(
        430,
        PG_CATALOG,
        "pg_prepared_xacts",
        "transaction xid, gid text, prepared timestamptz, owner name, database name",
    ),
    empty(
        431,
        PG_CATALOG,
        "pg_publication",
        "oid oid!, pubname name!, pubowner oid!, puballtables bool!, pubinsert bool!, "
        "pubupdate bool!, pubdelete bool!, pubtruncate bool!, pubviaroot bool!",
        oid=6104,
    ),
    empty(
        432,
        PG_CATALOG,
        "pg_publication_namespace",
        "oid oid!, pnpubid oid!, pnnspid oid!",
        oid=6237,
    ),
    empty(
        433,
        PG_CATALOG,
        "pg_publication_rel",
        "oid oid!, prpubid oid!, prrelid oid!, prqual text, prattrs int2vector",
        oid=6106,
    ),
    empty(
        434,
        PG_CATALOG,
        "pg_publication_tables",
        "pubname name, schemaname name, tablename name, attnames name[], rowfilter text",
    ),
    empty(
        435,
        PG_CATALOG,
        "pg_range",
        "rngtypid oid!, rngsubtype oid!, rngmultitypid oid!, rngcollation oid!, rngsubopc "
        "oid!, rngcanonical regproc!, rngsubdiff regproc!",
        oid=3541,
    ),
    empty(
        436,
        PG_CATALOG,
        "pg_replication_origin",
        "roident oid!, roname text!",
        oid=6000,
    ),
    empty(
        437,
        PG_CATALOG,
        "pg_replication_origin_status",
        "local_id oid, external_id text, remote_lsn text, local_lsn text",
    ),
    empty(
        438,
        PG_CATALOG,
        "pg_replication_slots",
        "slot_name name, plugin name, slot_type text, datoid oid, database name, temporary "
        "bool, active bool, active_pid int4, xmin xid, catalog_xmin xid, restart_lsn text, "
        "confirmed_flush_lsn text, wal_status text, safe_wal_size int8, two_phase bool",
    ),
    empty(
        439,
        PG_CATALOG,
        "pg_seclabel",
        "objoid oid!, classoid oid!, objsubid int4!, provider text!, label text!",
        oid=3596,
    ),
    empty(
        440,
        PG_CATALOG,
        "pg_seclabels",
        "objoid oid, classoid oid, objsubid int4, objtype text, objnamespace oid, objname "
        "text, provider text, label text",
    ),
    empty(
        441,
        PG_CATALOG,
        "pg_sequence",
        "seqrelid oid!, seqtypid oid!, seqstart int8!, seqincrement int8!, seqmax int8!, "
        "seqmin int8!, seqcache int8!, seqcycle bool!",
        oid=2224,
    ),
    empty(
        442,
        PG_CATALOG,
        "pg_sequences",
        "schemaname name, sequencename name, sequenceowner name, data_type regtype, "
        "start_value int8, min_value int8, max_value int8, increment_by int8, cycle bool, "
        "cache_size int8, last_value int8",
    ),
    empty(
        443,
        PG_CATALOG,
        "pg_shdepend",
        "dbid oid!, classid oid!, objid oid!, objsubid int4!, refclassid oid!, refobjid oid!, "
        "deptype char!",
        oid=1214,
    ),
    empty(
        444,
        PG_CATALOG,
        "pg_shseclabel",
        "objoid oid!, classoid oid!, provider text!, label text!",
        oid=3592,
    ),
    empty(
        445,
        PG_CATALOG,
        "pg_stat_all_indexes",
        "relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, "
        "idx_scan int8, idx_tup_read int8, idx_tup_fetch int8",
    ),
    empty(
        446,
        PG_CATALOG,
        "pg_stat_all_tables",
        "relid oid, schemaname name, relname name, seq_scan int8, seq_tup_read int8, idx_scan "
        "int8, idx_tup_fetch int8, n_tup_ins int8, n_tup_upd int8, n_tup_del int8, "
        "n_tup_hot_upd int8, n_live_tup int8, n_dead_tup int8, n_mod_since_analyze int8, "
        "n_ins_since_vacuum int8, last_vacuum timestamptz, last_autovacuum timestamptz, "
        "last_analyze timestamptz, last_autoanalyze timestamptz, vacuum_count int8, "
        "autovacuum_count int8, analyze_count int8, autoanalyze_count int8",
    ),
    empty(
        447,
        PG_CATALOG,
        "pg_stat_archiver",
        "archived_count int8, last_archived_wal text, last_archived_time timestamptz, "
        "failed_count int8, last_failed_wal text, last_failed_time timestamptz, stats_reset "
        "timestamptz",
    ),
    empty(
        448,
        PG_CATALOG,
        "pg_stat_bgwriter",
        "checkpoints_timed int8, checkpoints_req int8, checkpoint_write_time float8, "
        "checkpoint_sync_time float8, buffers_checkpoint int8, buffers_clean int8, "
        "maxwritten_clean int8, buffers_backend int8, buffers_backend_fsync int8, "
        "buffers_alloc int8, stats_reset timestamptz",
    ),
    empty(
        449,
        PG_CATALOG,
        "pg_stat_database",
        "datid oid, datname name, numbackends int4, xact_commit int8, xact_rollback int8, "
        "blks_read int8, blks_hit int8, tup_returned int8, tup_fetched int8, tup_inserted "
        "int8, tup_updated int8, tup_deleted int8, conflicts int8, temp_files int8, "
        "temp_bytes int8, deadlocks int8, checksum_failures int8, checksum_last_failure "
        "timestamptz, blk_read_time float8, blk_write_time float8, session_time float8, "
        "active_time float8, idle_in_transaction_time float8, sessions int8, "
        "sessions_abandoned int8, sessions_fatal int8, sessions_killed int8, stats_reset "
        "timestamptz",
    ),
    empty(
        450,
        PG_CATALOG,
        "pg_stat_database_conflicts",
        "datid oid, datname name, confl_tablespace int8, confl_lock int8, confl_snapshot "
        "int8, confl_bufferpin int8, confl_deadlock int8",
    ),
    empty(
        451,
        PG_CATALOG,
        "pg_stat_gssapi",
        "pid int4, gss_authenticated bool, principal text, encrypted bool",
    ),
    empty(
        452,
        PG_CATALOG,
        "pg_stat_recovery_prefetch",
        "stats_reset timestamptz, prefetch int8, hit int8, skip_init int8, skip_new int8, "
        "skip_fpw int8, skip_rep int8, wal_distance int4, block_distance int4, io_depth int4",
    ),
    empty(
        453,
        PG_CATALOG,
        "pg_stat_replication",
        "pid int4, usesysid oid, usename name, application_name text, client_addr text, "
        "client_hostname text, client_port int4, backend_start timestamptz, backend_xmin xid, "
        "state text, sent_lsn text, write_lsn text, flush_lsn text, replay_lsn text, "
        "write_lag interval, flush_lag interval, replay_lag interval, sync_priority int4, "
        "sync_state text, reply_time timestamptz",
    ),
    empty(
        454,
        PG_CATALOG,
        "pg_stat_replication_slots",
        "slot_name text, spill_txns int8, spill_count int8, spill_bytes int8, stream_txns "
        "int8, stream_count int8, stream_bytes int8, total_txns int8, total_bytes int8, "
        "stats_reset timestamptz",
    ),
    empty(
        455,
        PG_CATALOG,
        "pg_stat_slru",
        "name text, blks_zeroed int8, blks_hit int8, blks_read int8, blks_written int8, "
        "blks_exists int8, flushes int8, truncates int8, stats_reset timestamptz",
    ),
    empty(
        456,
        PG_CATALOG,
        "pg_stat_ssl",
        "pid int4, ssl bool, version text, cipher text, bits int4, client_dn text, "
        "client_serial numeric, issuer_dn text",
    ),
    empty(
        457,
        PG_CATALOG,
        "pg_stat_subscription",
        "subid oid, subname name, pid int4, relid oid, received_lsn text, last_msg_send_time "
        "timestamptz, last_msg_receipt_time timestamptz, latest_end_lsn text, latest_end_time "
        "timestamptz",
    ),
    empty(
        458,
        PG_CATALOG,
        "pg_stat_subscription_stats",
        "subid oid, subname name, apply_error_count int8, sync_error_count int8, stats_reset "
        "timestamptz",
    ),
    empty(
        459,
        PG_CATALOG,
        "pg_stat_sys_indexes",
        "relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, "
        "idx_scan int8, idx_tup_read int8, idx_tup_fetch int8",
    ),
    empty(
        460,
        PG_CATALOG,
        "pg_stat_sys_tables",
        "relid oid, schemaname name, relname name, seq_scan int8, seq_tup_read int8, idx_scan "
        "int8, idx_tup_fetch int8, n_tup_ins int8, n_tup_upd int8, n_tup_del int8, "
        "n_tup_hot_upd int8, n_live_tup int8, n_dead_tup int8, n_mod_since_analyze int8, "
        "n_ins_since_vacuum int8, last_vacuum timestamptz, last_autovacuum timestamptz, "
        "last_analyze timestamptz, last_autoanalyze timestamptz, vacuum_count int8, "
        "autovacuum_count int8, analyze_count int8, autoanalyze_count int8",
    ),
    empty(
        461,
        PG_CATALOG,
        "pg_stat_user_functions",
        "funcid oid, schemaname name, funcname name, calls int8, total_time float8, self_time "
        "float8",
    ),
    empty(
        462,
        PG_CATALOG,
        "pg_stat_user_indexes",
        "relid oid, indexrelid oid, schemaname name, relname name, indexrelname name, "
        "idx_scan int8, idx_tup_read int8, idx_tup_fetch int8",
    ),
    empty(
        463,
        PG_CATALOG,
        "pg_stat_user_tables",
        "relid oid, schemaname name, relname name, seq_scan int8, seq_tup_read int8, idx_scan "
        "int8, idx_tup_fetch int8, n_tup_ins int8, n_tup_upd int8, n_tup_del int8, "
        "n_tup_hot_upd int8, n_live_tup int8, n_dead_tup int8, n_mod_since_analyze int8, "
        "n_ins_since_vacuum int8, last_vacuum timestamptz, last_autovacuum timestamptz, "
        "last_analyze timestamptz, last_autoanalyze timestamptz, vacuum_count int8, "
        "autovacuum_count int8, analyze_count int8, autoanalyze_count int8",
    ),
    empty(
        464,
        PG_CATALOG,
        "pg_stat_wal",
        "wal_records int8, wal_fpi int8, wal_bytes numeric, wal_buffers_full int8, wal_write "
        "int8, wal_sync int8, wal_write_time float8, wal_sync_time float8, stats_reset "
        "timestamptz",
    ),
    empty(
        465,
        PG_CATALOG,
        "pg_stat_wal_receiver",
        "pid int4, status text, receive_start_lsn text, receive_start_tli int4, written_lsn "
        "text, flushed_lsn text, received_tli int4, last_msg_send_time timestamptz, "
        "last_msg_receipt_time timestamptz, latest_end_lsn text, latest_end_time timestamptz, "
        "slot_name text, sender_host text, sender_port int4, conninfo text",
    ),
    empty(
        466,
        PG_CATALOG,
        "pg_statistic_ext",
        "oid oid!, stxrelid oid!, stxname name!, stxnamespace oid!, stxowner oid!, "
        "stxstattarget int4!, stxkeys int2vector!, stxkind char[]!, stxexprs text",
        oid=3381,
    ),
    empty(
        467,
        PG_CATALOG,
        "pg_subscription",
        "oid oid!, subdbid oid!, subskiplsn text!, subname name!, subowner oid!, subenabled "
        "bool!, subbinary bool!, substream bool!, subtwophasestate char!, subdisableonerr "
        "bool!, subconninfo text!, subslotname name, subsynccommit text!, subpublications "
        "text[]!",
        oid=6100,
    ),
    empty(
        468,
        PG_CATALOG,
        "pg_subscription_rel",
        "srsubid oid!, srrelid oid!, srsubstate char!, srsublsn text",
        oid=6102,
    ),
    empty(
        469,
        PG_CATALOG,
        "pg_transform",
        "oid oid!, trftype oid!, trflang oid!, trffromsql regproc!, trftosql regproc!",
        oid=3576,
    ),
    empty(
        470,
        PG_CATALOG,
        "pg_trigger",
        "oid oid!, tgrelid oid!, tgparentid oid!, tgname name!, tgfoid oid!, tgtype int2!, "
        "tgenabled char!, tgisinternal bool!, tgconstrrelid oid!, tgconstrindid oid!, "
        "tgconstraint oid!, tgdeferrable bool!, tginitdeferred bool!, tgnargs int2!, tgattr "
        "int2vector!, tgargs bytea!, tgqual text, tgoldtable name, tgnewtable name",
        oid=2620,
    ),
    empty(
        471,
        PG_CATALOG,
        "pg_ts_config",
        "oid oid!, cfgname name!, cfgnamespace oid!, cfgowner oid!, cfgparser oid!",
        oid=3602,
    ),
    empty(
        472,
        PG_CATALOG,
        "pg_ts_config_map",
        "mapcfg oid!, maptokentype int4!, mapseqno int4!, mapdict oid!",
        oid=3603,
    ),
    empty(
        473,
        PG_CATALOG,
        "pg_ts_dict",
        "oid oid!, dictname name!, dictnamespace oid!, dictowner oid!, dicttemplate oid!, "
        "dictinitoption text",
        oid=3600,
    ),
    empty(
        474,
        PG_CATALOG,
        "pg_ts_parser",
        "oid oid!, prsname name!, prsnamespace oid!, prsstart regproc!, prstoken regproc!, "
        "prsend regproc!, prsheadline regproc!, prslextype regproc!",
        oid=3601,
    ),
    empty(
        475,
        PG_CATALOG,
        "pg_ts_template",
        "oid oid!, tmplname name!, tmplnamespace oid!, tmplinit regproc!, tmpllexize regproc!",
        oid=3764,
    ),
    empty(
        476,
        PG_CATALOG,
        "pg_user_mapping",
        "oid oid!, umuser oid!, umserver oid!, umoptions text[]",
        oid=1418,
    ),
    empty(
        477,
        PG_CATALOG,
        "pg_user_mappings",
        "umid oid, srvid oid, srvname name, umuser oid, usename name, umoptions text[]",
    ),
)

EMPTY_INFORMATION_SCHEMA: Final = (
    empty(
        600,
        INFORMATION_SCHEMA,
        "administrable_role_authorizations",
        "grantee text, role_name text, is_grantable text",
    ),
    empty(
        601,
        INFORMATION_SCHEMA,
        "attributes",
        "udt_catalog text, udt_schema text, udt_name text, attribute_name text, "
        "ordinal_position int4, attribute_default text, is_nullable text, data_type text, "
        "character_maximum_length int4, character_octet_length int4, character_set_catalog "
        "text, character_set_schema text, character_set_name text, collation_catalog text, "
        "collation_schema text, collation_name text, numeric_precision int4, "
        "numeric_precision_radix int4, numeric_scale int4, datetime_precision int4, "
        "interval_type text, interval_precision int4, attribute_udt_catalog text, "
        "attribute_udt_schema text, attribute_udt_name text, scope_catalog text, scope_schema "
        "text, scope_name text, maximum_cardinality int4, dtd_identifier text, "
        "is_derived_reference_attribute text",
    ),
    empty(
        602,
        INFORMATION_SCHEMA,
        "check_constraint_routine_usage",
        "constraint_catalog text, constraint_schema text, constraint_name text, "
        "specific_catalog text, specific_schema text, specific_name text",
    ),
    empty(
        603,
        INFORMATION_SCHEMA,
        "check_constraints",
        "constraint_catalog text, constraint_schema text, constraint_name text, check_clause text",
    ),
    empty(
        604,
        INFORMATION_SCHEMA,
        "collation_character_set_applicability",
        "collation_catalog text, collation_schema text, collation_name text, "
        "character_set_catalog text, character_set_schema text, character_set_name text",
    ),
    empty(
        605,
        INFORMATION_SCHEMA,
        "collations",
        "collation_catalog text, collation_schema text, collation_name text, pad_attribute text",
    ),
    empty(
        606,
        INFORMATION_SCHEMA,
        "column_column_usage",
        "table_catalog text, table_schema text, table_name text, column_name text, "
        "dependent_column text",
    ),
    empty(
        607,
        INFORMATION_SCHEMA,
        "column_domain_usage",
        "domain_catalog text, domain_schema text, domain_name text, table_catalog text, "
        "table_schema text, table_name text, column_name text",
    ),
    empty(
        608,
        INFORMATION_SCHEMA,
        "column_options",
        "table_catalog text, table_schema text, table_name text, column_name text, "
        "option_name text, option_value text",
    ),
    empty(
        609,
        INFORMATION_SCHEMA,
        "column_udt_usage",
        "udt_catalog text, udt_schema text, udt_name text, table_catalog text, table_schema "
        "text, table_name text, column_name text",
    ),
    empty(
        610,
        INFORMATION_SCHEMA,
        "constraint_column_usage",
        "table_catalog text, table_schema text, table_name text, column_name text, "
        "constraint_catalog text, constraint_schema text, constraint_name text",
    ),
    empty(
        611,
        INFORMATION_SCHEMA,
        "constraint_table_usage",
        "table_catalog text, table_schema text, table_name text, constraint_catalog text, "
        "constraint_schema text, constraint_name text",
    ),
    empty(
        612,
        INFORMATION_SCHEMA,
        "data_type_privileges",
        "object_catalog text, object_schema text, object_name text, object_type text, "
        "dtd_identifier text",
    ),
    empty(
        613,
        INFORMATION_SCHEMA,
        "domain_constraints",
        "constraint_catalog text, constraint_schema text, constraint_name text, "
        "domain_catalog text, domain_schema text, domain_name text, is_deferrable text, "
        "initially_deferred text",
    ),
    empty(
        614,
        INFORMATION_SCHEMA,
        "domain_udt_usage",
        "udt_catalog text, udt_schema text, udt_name text, domain_catalog text, domain_schema "
        "text, domain_name text",
    ),
    empty(
        615,
        INFORMATION_SCHEMA,
        "domains",
        "domain_catalog text, domain_schema text, domain_name text, data_type text, "
        "character_maximum_length int4, character_octet_length int4, character_set_catalog "
        "text, character_set_schema text, character_set_name text, collation_catalog text, "
        "collation_schema text, collation_name text, numeric_precision int4, "
        "numeric_precision_radix int4, numeric_scale int4, datetime_precision int4, "
        "interval_type text, interval_precision int4, domain_default text, udt_catalog text, "
        "udt_schema text, udt_name text, scope_catalog text, scope_schema text, scope_name "
        "text, maximum_cardinality int4, dtd_identifier text",
    ),
    empty(
        616,
        INFORMATION_SCHEMA,
        "element_types",
        "object_catalog text, object_schema text, object_name text, object_type text, "
        "collection_type_identifier text, data_type text, character_maximum_length int4, "
        "character_octet_length int4, character_set_catalog text, character_set_schema text, "
        "character_set_name text, collation_catalog text, collation_schema text, "
        "collation_name text, numeric_precision int4, numeric_precision_radix int4, "
        "numeric_scale int4, datetime_precision int4, interval_type text, interval_precision "
        "int4, domain_default text, udt_catalog text, udt_schema text, udt_name text, "
        "scope_catalog text, scope_schema text, scope_name text, maximum_cardinality int4, "
        "dtd_identifier text",
    ),
    empty(
        617,
        INFORMATION_SCHEMA,
        "foreign_data_wrapper_options",
        "foreign_data_wrapper_catalog text, foreign_data_wrapper_name text, option_name text, "
        "option_value text",
    ),
    empty(
        618,
        INFORMATION_SCHEMA,
        "foreign_data_wrappers",
        "foreign_data_wrapper_catalog text, foreign_data_wrapper_name text, "
        "authorization_identifier text, library_name text, foreign_data_wrapper_language text",
    ),
    empty(
        619,
        INFORMATION_SCHEMA,
        "foreign_server_options",
        "foreign_server_catalog text, foreign_server_name text, option_name text, "
        "option_value text",
    ),
    empty(
        620,
        INFORMATION_SCHEMA,
        "foreign_servers",
        "foreign_server_catalog text, foreign_server_name text, foreign_data_wrapper_catalog "
        "text, foreign_data_wrapper_name text, foreign_server_type text, "
        "foreign_server_version text, authorization_identifier text",
    ),
    empty(
        621,
        INFORMATION_SCHEMA,
        "foreign_table_options",
        "foreign_table_catalog text, foreign_table_schema text, foreign_table_name text, "
        "option_name text, option_value text",
    ),
    empty(
        622,
        INFORMATION_SCHEMA,
        "foreign_tables",
        "foreign_table_catalog text, foreign_table_schema text, foreign_table_name text, "
        "foreign_server_catalog text, foreign_server_name text",
    ),
    empty(
        623,
        INFORMATION_SCHEMA,
        "key_column_usage",
        "constraint_catalog text, constraint_schema text, constraint_name text, table_catalog "
        "text, table_schema text, table_name text, column_name text, ordinal_position int4, "
        "position_in_unique_constraint int4",
    ),
    empty(
        624,
        INFORMATION_SCHEMA,
        "parameters",
        "specific_catalog text, specific_schema text, specific_name text, ordinal_position "
        "int4, parameter_mode text, is_result text, as_locator text, parameter_name text, "
        "data_type text, character_maximum_length int4, character_octet_length int4, "
        "character_set_catalog text, character_set_schema text, character_set_name text, "
        "collation_catalog text, collation_schema text, collation_name text, "
        "numeric_precision int4, numeric_precision_radix int4, numeric_scale int4, "
        "datetime_precision int4, interval_type text, interval_precision int4, udt_catalog "
        "text, udt_schema text, udt_name text, scope_catalog text, scope_schema text, "
        "scope_name text, maximum_cardinality int4, dtd_identifier text, parameter_default "
        "text",
    ),
    empty(
        625,
        INFORMATION_SCHEMA,
        "referential_constraints",
        "constraint_catalog text, constraint_schema text, constraint_name text, "
        "unique_constraint_catalog text, unique_constraint_schema text, "
        "unique_constraint_name text, match_option text, update_rule text, delete_rule text",
    ),
    empty(
        626,
        INFORMATION_SCHEMA,
        "role_column_grants",
        "grantor text, grantee text, table_catalog text, table_schema text, table_name text, "
        "column_name text, privilege_type text, is_grantable text",
    ),
    empty(
        627,
        INFORMATION_SCHEMA,
        "role_routine_grants",
        "grantor text, grantee text, specific_catalog text, specific_schema text, "
        "specific_name text, routine_catalog text, routine_schema text, routine_name text, "
        "privilege_type text, is_grantable text",
    ),
    empty(
        628,
        INFORMATION_SCHEMA,
        "role_udt_grants",
        "grantor text, grantee text, udt_catalog text, udt_schema text, udt_name text, "
        "privilege_type text, is_grantable text",
    ),
    empty(
        629,
        INFORMATION_SCHEMA,
        "role_usage_grants",
        "grantor text, grantee text, object_catalog text, object_schema text, object_name "
        "text, object_type text, privilege_type text, is_grantable text",
    ),
    empty(
        630,
        INFORMATION_SCHEMA,
        "routine_column_usage",
        "specific_catalog text, specific_schema text, specific_name text, routine_catalog "
        "text, routine_schema text, routine_name text, table_catalog text, table_schema text, "
        "table_name text, column_name text",
    ),
    empty(
        631,
        INFORMATION_SCHEMA,
        "routine_privileges",
        "grantor text, grantee text, specific_catalog text, specific_schema text, "
        "specific_name text, routine_catalog text, routine_schema text, routine_name text, "
        "privilege_type text, is_grantable text",
    ),
    empty(
        632,
        INFORMATION_SCHEMA,
        "routine_routine_usage",
        "specific_catalog text, specific_schema text, specific_name text, routine_catalog "
        "text, routine_schema text, routine_name text",
    ),
    empty(
        633,
        INFORMATION_SCHEMA,
        "routine_sequence_usage",
        "specific_catalog text, specific_schema text, specific_name text, routine_catalog "
        "text, routine_schema text, routine_name text, sequence_catalog text, sequence_schema "
        "text, sequence_name text",
    ),
    empty(
        634,
        INFORMATION_SCHEMA,
        "routine_table_usage",
        "specific_catalog text, specific_schema text, specific_name text, routine_catalog "
        "text, routine_schema text, routine_name text, table_catalog text, table_schema text, "
        "table_name text",
    ),
    empty(
        635,
        INFORMATION_SCHEMA,
        "sequences",
        "sequence_catalog text, sequence_schema text, sequence_name text, data_type text, "
        "numeric_precision int4, numeric_precision_radix int4, numeric_scale int4, "
        "start_value text, minimum_value text, maximum_value text, increment text, "
        "cycle_option text",
    ),
    empty(
        636,
        INFORMATION_SCHEMA,
        "sql_features",
        "feature_id text, feature_name text, sub_feature_id text, sub_feature_name text, "
        "is_supported text, is_verified_by text, comments text",
    ),
    empty(
        637,
        INFORMATION_SCHEMA,
        "sql_parts",
        "feature_id text, feature_name text, is_supported text, is_verified_by text, comments text",
    ),
    empty(
        638,
        INFORMATION_SCHEMA,
        "sql_sizing",
        "sizing_id int4, sizing_name text, supported_value int4, comments text",
    ),
    empty(
        639,
        INFORMATION_SCHEMA,
        "table_constraints",
        "constraint_catalog text, constraint_schema text, constraint_name text, table_catalog "
        "text, table_schema text, table_name text, constraint_type text, is_deferrable text, "
        "initially_deferred text, enforced text, nulls_distinct text",
    ),
    empty(
        640,
        INFORMATION_SCHEMA,
        "transforms",
        "udt_catalog text, udt_schema text, udt_name text, specific_catalog text, "
        "specific_schema text, specific_name text, group_name text, transform_type text",
    ),
    empty(
        641,
        INFORMATION_SCHEMA,
        "triggered_update_columns",
        "trigger_catalog text, trigger_schema text, trigger_name text, event_object_catalog "
        "text, event_object_schema text, event_object_table text, event_object_column text",
    ),
    empty(
        642,
        INFORMATION_SCHEMA,
        "triggers",
        "trigger_catalog text, trigger_schema text, trigger_name text, event_manipulation "
        "text, event_object_catalog text, event_object_schema text, event_object_table text, "
        "action_order int4, action_condition text, action_statement text, action_orientation "
        "text, action_timing text, action_reference_old_table text, "
        "action_reference_new_table text, action_reference_old_row text, "
        "action_reference_new_row text, created timestamptz",
    ),
    empty(
        643,
        INFORMATION_SCHEMA,
        "udt_privileges",
        "grantor text, grantee text, udt_catalog text, udt_schema text, udt_name text, "
        "privilege_type text, is_grantable text",
    ),
    empty(
        644,
        INFORMATION_SCHEMA,
        "usage_privileges",
        "grantor text, grantee text, object_catalog text, object_schema text, object_name "
        "text, object_type text, privilege_type text, is_grantable text",
    ),
    empty(
        645,
        INFORMATION_SCHEMA,
        "user_defined_types",
        "user_defined_type_catalog text, user_defined_type_schema text, "
        "user_defined_type_name text, user_defined_type_category text, is_instantiable text, "
        "is_final text, ordering_form text, ordering_category text, ordering_routine_catalog "
        "text, ordering_routine_schema text, ordering_routine_name text, reference_type text, "
        "data_type text, character_maximum_length int4, character_octet_length int4, "
        "character_set_catalog text, character_set_schema text, character_set_name text, "
        "collation_catalog text, collation_schema text, collation_name text, "
        "numeric_precision int4, numeric_precision_radix int4, numeric_scale int4, "
        "datetime_precision int4, interval_type text, interval_precision int4, "
        "source_dtd_identifier text, ref_dtd_identifier text",
    ),
    empty(
        646,
        INFORMATION_SCHEMA,
        "user_mapping_options",
        "authorization_identifier text, foreign_server_catalog text, foreign_server_name "
        "text, option_name text, option_value text",
    ),
    empty(
        647,
        INFORMATION_SCHEMA,
        "user_mappings",
        "authorization_identifier text, foreign_server_catalog text, foreign_server_name text",
    ),
    empty(
        648,
        INFORMATION_SCHEMA,
        "view_column_usage",
        "view_catalog text, view_schema text, view_name text, table_catalog text, "
        "table_schema text, table_name text, column_name text",
    ),
    empty(
        649,
        INFORMATION_SCHEMA,
        "view_routine_usage",
        "table_catalog text, table_schema text, table_name text, specific_catalog text, "
        "specific_schema text, specific_name text",
    ),
    empty(
        650,
        INFORMATION_SCHEMA,
        "view_table_usage",
        "view_catalog text, view_schema text, view_name text, table_catalog text, "
        "table_schema text, table_name text",
    ),
)
