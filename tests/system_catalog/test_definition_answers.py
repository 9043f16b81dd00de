"""DDL against a real PostgreSQL, statement by statement: command tags, rows, notices, and the
SQLSTATE, words, detail, hint and position of errors."""

from collections.abc import Callable

import psycopg
import pytest

from tests.running_server import HeadwaterServer

SCRIPTS = {
    "create and drop": (
        "create schema s1",
        "create schema s1",
        "create schema if not exists s1",
        "create table s1.t(a int not null, b text default 'x')",
        "create table s1.t(a int)",
        "create table if not exists s1.t(a int)",
        "create table nosuch.t(a int)",
        "create table s1.u(a int, a int)",
        "create table s1.u(a nosuchtype)",
        "create view s1.v as select a, b from s1.t",
        "create view s1.v2 as select * from s1.v",
        "create view s1.v as select 1",
        "create or replace view s1.v as select a from s1.t",
        "create or replace view s1.v as select b as a, a as b from s1.t",
        "create or replace view s1.v as select a, b, 1 as c from s1.t",
        "create or replace view s1.t as select 1",
        "create view s1.bad as select nosuch from s1.t",
        "create view s1.bad as select * from s1.nosuch",
        "create view s1.bad as select 1, 1",
        "create view s1.bad(a,b) as select 1",
        "drop table s1.t",
        "drop table s1.t restrict",
        "drop view s1.v",
        "drop schema s1",
        "drop schema s1 restrict",
        "drop table nosuch",
        "drop table s1.nosuch",
        "drop table nosuch.t",
        "drop table if exists nosuch",
        "drop table if exists nosuch.t",
        "drop table if exists s1.nosuch, nosuch2",
        "drop view nosuch",
        "drop view if exists nosuch",
        "drop schema nosuch",
        "drop view s1.t",
        "drop table s1.v",
        "insert into s1.t values (1, 'one')",
        "select tableoid = 's1.t'::regclass, x.tableoid::regclass, a from s1.t x",
        "select tableoid from s1.t, pg_class",
        "select tableoid from (select 1) s",
        "select tableoid from s1.v",
        "alter table s1.t rename to t2",
        "select * from s1.v",
        "select * from s1.t",
        "alter table s1.t2 rename to v",
        "alter view s1.v rename to w",
        "alter table s1.w rename to v",
        "alter table if exists nosuch rename to x",
        "alter table nosuch rename to x",
        "alter view nosuch rename to x",
        "alter view if exists nosuch rename to x",
        "alter view s1.t2 rename to x",
        "alter schema nosuch rename to x",
        "alter schema s1 rename to public",
        "alter schema s1 rename to s3",
        "select * from s3.v2",
        "create table s3.rc(a int default 5, b text not null)",
        "alter table s3.rc rename column b to c",
        "alter table s3.rc rename a to c",
        "alter table s3.rc rename zz to c",
        "alter table s3.rc rename a to b",
        "insert into s3.rc(c) values ('z') returning *",
        "alter table s3.rc rename column b to c",
        "comment on table s3.rc is 'x'",
        "comment on table s3.v is 'x'",
        "comment on view s3.rc is 'x'",
        "comment on column s3.rc.zz is 'x'",
        "comment on column s3.rc.c is 'x'",
        "comment on column rc is 'x'",
        "comment on table nosuch is 'x'",
        "comment on schema nosuch is 'x'",
        "comment on schema s3 is 'x'",
        "comment on role nosuch is 'x'",
        "select obj_description('s3.rc'::regclass), col_description('s3.rc'::regclass, 2)",
        "comment on table s3.rc is null",
        "select obj_description('s3.rc'::regclass)",
        "drop table s3.rc",
        "drop table s3.t2 cascade",
        "drop schema s3 cascade",
    ),
    "cascade": (
        "create schema s3",
        "create table s3.a(x int)",
        "create table s3.b(x int)",
        "create view s3.c as select a.x from s3.a a, s3.b b",
        "drop table s3.a, s3.b",
        "drop table s3.a, s3.b, s3.a cascade",
        "create table s3.a(x int)",
        "drop schema s3 cascade",
    ),
    "temporary objects": (
        "create temp table tt(a int)",
        "create temp table tt(a int)",
        "create temp table if not exists tt(a int)",
        "create temp view tv as select a from tt",
        "create view tv2 as select a from tt",
        "create temp table public.tt2(a int)",
        "insert into tt values (7)",
        "select * from tt, tv",
        "create table tt(a text)",
        "select * from tt",
        "select * from public.tt",
        "select * from pg_temp.tt",
        "drop table tt",
        "drop table tt cascade",
        "select * from tt",
        "drop table tt",
        "drop table tt",
    ),
    "search path": (
        "create schema s4",
        "set search_path to s4, public",
        "create table p(a int)",
        "select 's4.p'::regclass, 'pg_class'::regclass, 's4'::regnamespace, 0::regclass",
        "select relname::regclass::oid = oid, oid::regclass from pg_class where relname = 'p'",
        "select distinct 'p'::regclass from generate_series(1, 2)",
        "select current_schema(), current_schemas(false)",
        "create table q(a int)",
        "select * from p",
        "show search_path",
        "select current_schema()",
        "reset search_path",
        "select * from p",
        "select 's4.p'::regclass, 'array_in'::regproc",
        "drop schema pg_catalog",
        "drop table pg_class",
        "drop table pg_catalog.pg_class",
        "drop schema s4",
        "set search_path to s4",
        "select current_schema()",
        "reset search_path",
        "drop schema s4 cascade",
    ),
    "roles": (
        "create role hw_a",
        "create role hw_a",
        "create user hw_u",
        "drop role nosuch",
        "drop role if exists nosuch",
        "drop role if exists nosuch, nosuch2",
        "drop user if exists nosuch",
        "drop user nosuch",
        "alter role nosuch rename to x",
        "alter role hw_a rename to hw_u",
        "alter role hw_a rename to hw_b",
        "drop role hw_b, hw_u",
    ),
    "databases": (
        "create database hw_d",
        "create database hw_d",
        "alter database hw_d rename to hw_e",
        "alter database nosuch rename to hw_e",
        "alter database hw_e rename to hw_e",
        "drop database nosuch",
        "drop database if exists nosuch",
        "drop database hw_e",
    ),
    "columns": (
        "create table ct as select 1 as a, 'x' as b",
        "create table ct as select 1 as a",
        "create table if not exists ct as select 1 as a",
        "create table ct2(x, y) as select 1 as a",
        "create table ct2(x, y) as select 1 as a, 2 as b",
        "select * from ct2",
        "drop table ct, ct2",
        "create table nd(a int default 'x')",
        "create table nd(a int default nosuch)",
        "create table nd(a int default (select 1))",
        "create table nd(a varchar(0))",
        "create table nd(a numeric(2000))",
        "create table nd()",
        "insert into nd default values",
        "select * from nd",
        "drop table nd",
    ),
    "in a transaction": (
        "begin",
        "rollback",
        "begin",
        "create table intx(a int)",
        "insert into intx values (1)",
        "rollback",
        "select * from intx",
    ),
}

Answer = tuple[object, ...]


def _session(dsn: str) -> tuple[psycopg.Connection, Callable[[str], Answer]]:
    connection = psycopg.connect(dsn, autocommit=True)
    notices: list[Answer] = []
    connection.add_notice_handler(lambda diagnostics: notices.append(_fields(diagnostics)))

    def run(statement: str) -> Answer:
        notices.clear()
        try:
            cursor = connection.execute(statement.encode())
        except psycopg.Error as error:
            return (_fields(error.diag), *notices)
        rows = cursor.fetchall() if cursor.description else None
        return (cursor.statusmessage, rows, *notices)

    return connection, run


def _fields(diagnostics: psycopg.errors.Diagnostic) -> Answer:
    return (
        diagnostics.severity,
        diagnostics.sqlstate,
        diagnostics.message_primary,
        diagnostics.message_detail,
        diagnostics.message_hint,
        diagnostics.statement_position,
    )


@pytest.mark.parametrize("topic", SCRIPTS)
def test_answers_are_postgresqls(
    headwater_server: HeadwaterServer, fresh_database_url: str, topic: str
) -> None:
    ours, run_ours = _session(headwater_server.dsn)
    theirs, run_theirs = _session(fresh_database_url)
    with ours, theirs:
        for statement in SCRIPTS[topic]:
            assert run_ours(statement) == run_theirs(statement), statement
