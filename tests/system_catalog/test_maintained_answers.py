"""Statements about materialized views and indexes against a real PostgreSQL: where they mean the
same, they answer the same, and the system catalogs describe the same objects."""

import pytest

from tests.running_server import HeadwaterServer
from tests.system_catalog.answers import session_of

# What PostgreSQL answers with a count, or not at all.
SETUP = (
    "create schema s9",
    "create table s9.t(a int, b text, j json)",
    "create view s9.v as select a, b from s9.t",
    "create materialized view s9.m as select a, b from s9.t where a > 0",
    "create materialized view s9.n as select a from s9.m",
    "create view s9.w as select a from s9.m",
    "create temp table tmp(a int)",
)
SCRIPTS = {
    "drops": (
        "drop view s9.m",
        "drop table s9.m",
        "drop index s9.m",
        "drop materialized view s9.v",
        "drop materialized view s9.t",
        "drop table s9.ti",
        "drop view s9.ti",
        "drop materialized view s9.ti",
        "drop index s9.t",
        "drop index s9.v",
        "drop materialized view s9.nosuch",
        "drop materialized view nosuch",
        "drop materialized view nosuch.m",
        "drop index nosuch",
        "drop index s9.nosuch",
        "drop index nosuch.i",
        "drop materialized view if exists nosuch",
        "drop index if exists nosuch",
        "drop index if exists nosuch.i",
        "drop table s9.t",
        "drop materialized view s9.m",
        "drop schema s9",
        "drop index s9.ti",
        "drop index s9.ti",
        "drop index if exists s9.ti",
        "drop materialized view s9.n, s9.m",
        "drop materialized view s9.m cascade",
        "drop table s9.t cascade",
        "drop schema s9",
    ),
    "creates": (
        "create index on s9.nosuch(a)",
        "create index on nosuch(a)",
        "create index on s9.t(zz)",
        "create index on s9.t((zz + 1))",
        "create index ti on s9.t(a)",
        "create index if not exists ti on s9.t(a)",
        "create index t on s9.t(a)",
        "create index if not exists on s9.t(a)",
        "create index on s9.t(j)",
        "create index on s9.t using foo(a)",
        "create index on s9.t(count(a))",
        "create index on s9.t((count(*)))",
        "create index on s9.ti(a)",
        "create index on s9.t(generate_series(1,a))",
        "create index on s9.t()",
        "create index on s9.t",
        "create materialized view s9.m as select 1",
        "create materialized view if not exists s9.m as select 1",
        "create materialized view s9.t as select 1",
        "create materialized view s9.x as select zz from s9.t",
        "create materialized view s9.x(a,b,c) as select a from s9.t",
        "create materialized view s9.x(a,a) as select a,b from s9.t",
        "create materialized view s9.x as select 1, 2",
        "create materialized view s9.x as select a from tmp",
        "create materialized view s9.x as insert into s9.t values (1)",
        "create materialized view s9.x",
        "create or replace view s9.m as select 1",
        "create or replace view s9.ti as select 1",
        "create table s9.m(a int)",
        "create view s9.ti as select 1",
    ),
    "changes": (
        "insert into s9.m values (1)",
        "update s9.m set a = 1",
        "delete from s9.m",
        "truncate s9.m",
        "truncate s9.v",
        "truncate s9.ti",
        "select * from s9.ti",
        "insert into s9.ti values (1)",
        "update s9.ti set a = 1",
        "alter materialized view s9.m rename to mm",
        "alter materialized view s9.mm rename to mm",
        "alter table s9.mm rename to m",
        "alter index s9.ti rename to ti2",
        "alter table s9.ti2 rename to ti",
        "alter index s9.ti rename to t",
        "alter index s9.t rename to tt",
        "alter index s9.tt rename to t",
        "alter materialized view nosuch rename to x",
        "alter index nosuch rename to x",
        "alter index if exists nosuch rename to x",
        "alter materialized view if exists nosuch rename to x",
        "alter materialized view s9.v rename to x",
        "alter view s9.m rename to x",
        "alter materialized view s9.nosuch rename to x",
        "comment on materialized view s9.v is 'x'",
        "comment on index s9.t is 'x'",
        "comment on index nosuch is 'x'",
        "comment on materialized view s9.m is 'x'",
        "comment on index s9.ti is 'i'",
        "comment on column s9.m.a is 'c'",
        "comment on view s9.m is 'x'",
        "comment on table s9.m is 'x'",
        (
            "select obj_description('s9.m'::regclass), obj_description('s9.ti'::regclass), "
            "col_description('s9.m'::regclass, 1)"
        ),
        "refresh materialized view s9.nosuch",
    ),
    "catalogs": (
        (
            "select relname, relkind, relnatts, relhasindex, relam, relispopulated from pg_class "
            "where relnamespace = 's9'::regnamespace order by relname"
        ),
        "select * from pg_indexes where schemaname = 's9' order by indexname",
        (
            "select pg_get_indexdef('s9.t_b_a_idx'::regclass), "
            "pg_get_indexdef('s9.t_b_a_idx'::regclass, 2, true), "
            "pg_get_indexdef('s9.t_b_a_idx'::regclass, 3, true), "
            "pg_get_indexdef('s9.t_lower_idx'::regclass, 1, false), "
            "pg_get_indexdef('s9.t'::regclass)"
        ),
        (
            "select indexrelid::regclass, indrelid::regclass, indnatts, indisunique, indisvalid, "
            "indkey::text from pg_index where indrelid = 's9.t'::regclass order by 1"
        ),
        (
            "select attrelid::regclass, attname, attnum, atttypid::regtype from pg_attribute "
            "where attrelid in (select oid from pg_class where relnamespace = 's9'::regnamespace) "
            "and attnum > 0 order by attrelid::regclass::text, attnum"
        ),
        "select schemaname, matviewname, hasindexes, ispopulated from pg_matviews order by 2",
        "select tablename, hasindexes from pg_tables where schemaname = 's9'",
        "select 's9.m'::regclass, 's9.ti'::regclass, to_regclass('s9.t_b_a_idx1')",
        "alter table s9.u rename column a to aa",
        "select indexdef from pg_indexes where tablename = 'u' order by 1",
    ),
}
INDEXES = (
    "create index ti on s9.t(a)",
    "create index on s9.t(b, a)",
    "create index concurrently on s9.t using btree (b nulls last, a int4_ops)",
    "create index on s9.t(lower(b))",
    "create index on s9.m(a)",
    "create table s9.u(a text)",
    "create index on s9.u(a)",
    "create index on s9.u(lower(a))",
)


@pytest.mark.parametrize("topic", SCRIPTS)
def test_answers_are_postgresqls(
    headwater_server: HeadwaterServer, fresh_database_url: str, topic: str
) -> None:
    ours, run_ours = session_of(headwater_server.dsn)
    theirs, run_theirs = session_of(fresh_database_url)
    with ours, theirs:
        for statement in SETUP:
            run_ours(statement)
            run_theirs(statement)
        for statement in (*INDEXES, *SCRIPTS[topic]):
            assert run_ours(statement) == run_theirs(statement), statement
        run_ours("drop schema if exists s9 cascade")
