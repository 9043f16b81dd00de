"""Functions of the session: registered so that they resolve, replaced by literals before a run."""

from typing import Final

from expr.registry import FunctionKind, define

_SESSION: Final = (
    *(("now()", "timestamptz"), ("current_timestamp()", "timestamptz")),
    *(("transaction_timestamp()", "timestamptz"), ("statement_timestamp()", "timestamptz")),
    *(("clock_timestamp()", "timestamptz"), ("localtimestamp()", "timestamp")),
    *(("current_date()", "date"), ("localtime()", "time"), ("timeofday()", "text")),
    *(("current_user()", "name"), ("session_user()", "name"), ("user()", "name")),
    *(("current_role()", "name"), ("current_database()", "name"), ("current_catalog()", "name")),
    *(("current_schema()", "name"), ("current_schemas(bool)", "name[]")),
    *(("version()", "text"), ("mz_version()", "text"), ("mz_version_num()", "int4")),
    *(("pg_backend_pid()", "int4"), ("mz_environment_id()", "text")),
    *(("current_setting(text)", "text"), ("current_setting(text,bool)", "text")),
    ("set_config(text,text,bool)", "text"),
    *(("mz_now()", "mz_timestamp"), ("mz_is_superuser()", "bool")),
    *(("inet_server_addr()", "text"), ("inet_server_port()", "int4")),
    *(("inet_client_addr()", "text"), ("inet_client_port()", "int4")),
    *(("pg_postmaster_start_time()", "timestamptz"), ("pg_conf_load_time()", "timestamptz")),
    *(("mz_uptime()", "interval"), ("connection_id()", "int4")),
)

for _signature, _returns in _SESSION:
    define(_signature, _returns, None, kind=FunctionKind.SESSION, strict=False)
