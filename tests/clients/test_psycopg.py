"""psycopg 3: both protocols, parameters, pipelines, cursors, COPY, transactions, cancellation."""

import datetime
import threading
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql
from psycopg.types import TypeInfo
from psycopg.types.json import Jsonb

from tests.running_server import HeadwaterServer


@pytest.fixture
def connection(headwater_server: HeadwaterServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(headwater_server.dsn, autocommit=True) as open_connection:
        yield open_connection


@pytest.fixture
async def async_connection(
    headwater_server: HeadwaterServer,
) -> AsyncIterator[psycopg.AsyncConnection]:
    connection = await psycopg.AsyncConnection.connect(headwater_server.dsn, autocommit=True)
    async with connection:
        yield connection


@pytest.fixture
def table(connection: psycopg.Connection) -> str:
    connection.execute("DROP TABLE IF EXISTS p")
    connection.execute("CREATE TABLE p (id int, name text)")
    return "p"


VALUES = [
    ("bool", True),
    ("int2", -7),
    ("int4", 2**31 - 1),
    ("int8", -(2**63)),
    ("float4", 1.5),
    ("float8", 0.1),
    ("numeric", Decimal("12345678901234567890.0123")),
    ("text", "é\n'\""),
    ("varchar", "x"),
    ("bytea", bytes(range(256))),
    ("date", datetime.date(2024, 2, 29)),
    ("time", datetime.time(23, 59, 59, 999_999)),
    ("timestamp", datetime.datetime(1999, 12, 31, 23, 59, 59, 1)),  # noqa: DTZ001
    ("timestamptz", datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)),
    ("interval", datetime.timedelta(days=-3, seconds=5, microseconds=7)),
    ("uuid", UUID("00112233-4455-6677-8899-aabbccddeeff")),
    ("int4[]", [1, None, 3]),
    ("text[]", ["a", 'b"c', ""]),
]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize(("type_name", "value"), VALUES, ids=[name for name, _ in VALUES])
def test_every_type_there_and_back(
    connection: psycopg.Connection, type_name: str, value: object, binary: bool
) -> None:
    placeholder = "%b" if binary else "%t"
    cursor = connection.execute(
        f"SELECT {placeholder}::{type_name}, NULL::{type_name}".encode(), (value,), binary=binary
    )
    assert cursor.fetchone() == (value, None)


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_jsonb(connection: psycopg.Connection, binary: bool) -> None:
    value = {"a": [1, 2.5, None, True], "b": {"c": "é"}}
    row = connection.execute("SELECT %s::jsonb", (Jsonb(value),), binary=binary).fetchone()
    assert row == (value,)


def test_parameters_are_inferred(connection: psycopg.Connection, table: str) -> None:
    connection.execute("INSERT INTO p VALUES (%s, %s), (%s, %s)", (1, "a", 2, "b"))
    rows = connection.execute(
        "SELECT name FROM p WHERE id = %s OR name = %s ORDER BY id", (1, "b")
    ).fetchall()
    assert rows == [("a",), ("b",)]


def test_a_statement_run_often_is_prepared(connection: psycopg.Connection) -> None:
    for number in range(12):
        row = connection.execute("SELECT %s::int + 1", (number,)).fetchone()
        assert row == (number + 1,)


def test_prepared_statement_survives_ddl_on_other_tables(
    connection: psycopg.Connection, table: str
) -> None:
    for number in range(12):
        connection.execute("INSERT INTO p VALUES (%s, 'x')", (number,), prepare=True)
        if number == 6:
            connection.execute("DROP TABLE IF EXISTS other")
            connection.execute("CREATE TABLE other (a int)")
    assert connection.execute("SELECT count(*), sum(id) FROM p").fetchone() == (12, 66)


def test_executemany_and_returning(connection: psycopg.Connection, table: str) -> None:
    cursor = connection.cursor()
    cursor.executemany(
        "INSERT INTO p VALUES (%s, %s) RETURNING id", [(1, "a"), (2, "b")], returning=True
    )
    found = []
    while True:
        found += cursor.fetchall()
        if not cursor.nextset():
            break
    assert found == [(1,), (2,)]


def test_row_counts(connection: psycopg.Connection, table: str) -> None:
    assert (
        connection.execute("INSERT INTO p SELECT g, 'x' FROM generate_series(1, 10) g").rowcount
        == 10
    )
    assert connection.execute("UPDATE p SET name = 'y' WHERE id > %s", (7,)).rowcount == 3
    assert connection.execute("DELETE FROM p WHERE id <= 4").rowcount == 4
    assert connection.execute("SELECT * FROM p").rowcount == 6


def test_update_and_delete_returning(connection: psycopg.Connection, table: str) -> None:
    connection.execute("INSERT INTO p VALUES (1, 'a'), (2, 'b')")
    changed = connection.execute("UPDATE p SET id = id + 10 RETURNING id, name").fetchall()
    assert sorted(changed) == [(11, "a"), (12, "b")]
    assert connection.execute("DELETE FROM p WHERE id = 11 RETURNING *").fetchall() == [(11, "a")]


def test_server_side_cursor(connection: psycopg.Connection) -> None:
    with connection.transaction(), connection.cursor("big") as cursor:
        cursor.execute("SELECT g FROM generate_series(1, 5000) g ORDER BY g")
        assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
        cursor.itersize = 1000
        rest = [row[0] for row in cursor]
    assert rest == list(range(4, 5001))


def test_binary_server_side_cursor(connection: psycopg.Connection) -> None:
    with connection.transaction(), connection.cursor("binary", binary=True) as cursor:
        cursor.execute("SELECT g::int8 FROM generate_series(1, 10) g ORDER BY g")
        assert cursor.fetchone() == (1,)
        assert len(cursor.fetchall()) == 9


def test_pipeline(connection: psycopg.Connection, table: str) -> None:
    with connection.pipeline() as pipeline:
        cursors = [connection.execute("SELECT %s::int", (number,)) for number in range(50)]
        connection.execute("INSERT INTO p VALUES (1, 'a')")
        connection.execute("INSERT INTO p VALUES (2, 'b')")
        pipeline.sync()
        assert [cursor.fetchone() for cursor in cursors] == [(n,) for n in range(50)]
    assert connection.execute("SELECT count(*) FROM p").fetchone() == (2,)


def test_pipeline_error_undoes_its_implicit_transaction(
    connection: psycopg.Connection, table: str
) -> None:
    with pytest.raises(errors.DivisionByZero), connection.pipeline():
        connection.execute("INSERT INTO p VALUES (1, 'a')")
        connection.execute("SELECT 1 / (SELECT 0)")
    assert connection.execute("SELECT count(*) FROM p").fetchone() == (0,)


def test_transaction_commits_as_one(headwater_server: HeadwaterServer, table: str) -> None:
    with psycopg.connect(headwater_server.dsn) as writer:
        writer.execute("INSERT INTO p VALUES (1, 'a')")
        writer.execute("INSERT INTO p VALUES (2, 'b')")
        with psycopg.connect(headwater_server.dsn, autocommit=True) as reader:
            assert reader.execute("SELECT count(*) FROM p").fetchone() == (0,)
            writer.commit()
            assert reader.execute("SELECT count(*) FROM p").fetchone() == (2,)


def test_rollback_and_savepoints(connection: psycopg.Connection, table: str) -> None:
    with connection.transaction():
        connection.execute("INSERT INTO p VALUES (1, 'kept')")
        with pytest.raises(errors.DivisionByZero), connection.transaction():
            connection.execute("INSERT INTO p VALUES (2, 'undone')")
            connection.execute("SELECT 1 / (SELECT 0)")
        with connection.transaction(force_rollback=True):
            connection.execute("INSERT INTO p VALUES (3, 'undone')")
    assert connection.execute("SELECT id FROM p").fetchall() == [(1,)]
    with connection.transaction(force_rollback=True):
        connection.execute("DELETE FROM p")
    assert connection.execute("SELECT id FROM p").fetchall() == [(1,)]


def test_ddl_and_writes_in_one_transaction(headwater_server: HeadwaterServer) -> None:
    with psycopg.connect(headwater_server.dsn) as connection:
        connection.execute("DROP TABLE IF EXISTS made")
        connection.execute("CREATE TABLE made (a int)")
        connection.execute("INSERT INTO made VALUES (1), (2)")
        connection.execute("CREATE VIEW IF NOT EXISTS made_view AS SELECT sum(a) AS s FROM made")
        connection.commit()
        assert connection.execute("SELECT s FROM made_view").fetchone() == (3,)
        connection.rollback()
        connection.execute("DROP VIEW made_view")
        connection.execute("ALTER TABLE made RENAME TO made_otherwise")
        connection.rollback()
        assert connection.execute("SELECT s FROM made_view").fetchone() == (3,)


def test_read_then_write_in_one_transaction_conflicts(
    headwater_server: HeadwaterServer, table: str
) -> None:
    with (
        psycopg.connect(headwater_server.dsn) as first,
        psycopg.connect(headwater_server.dsn) as second,
    ):
        first.execute("SELECT count(*) FROM p").fetchone()
        second.execute("SELECT count(*) FROM p").fetchone()
        first.execute("INSERT INTO p VALUES (1, 'first')")
        second.execute("INSERT INTO p VALUES (2, 'second')")
        first.commit()
        with pytest.raises(errors.SerializationFailure):
            second.commit()
        second.rollback()
        assert second.execute("SELECT name FROM p").fetchall() == [("first",)]


def test_a_read_transaction_sees_one_time(
    headwater_server: HeadwaterServer, connection: psycopg.Connection, table: str
) -> None:
    with psycopg.connect(headwater_server.dsn) as reader:
        assert reader.execute("SELECT count(*) FROM p").fetchone() == (0,)
        connection.execute("INSERT INTO p VALUES (1, 'later')")
        assert reader.execute("SELECT count(*) FROM p").fetchone() == (0,)
        reader.commit()
        assert reader.execute("SELECT count(*) FROM p").fetchone() == (1,)


@pytest.mark.parametrize("format_name", ["text", "csv", "binary"])
def test_copy_there_and_back(connection: psycopg.Connection, table: str, format_name: str) -> None:
    rows = [(number, None if number % 7 == 0 else f"n\t{number}\\é") for number in range(2000)]
    types = ["int4", "text"]
    source = b"".join
    with connection.cursor() as cursor:
        if format_name == "csv":
            with cursor.copy("COPY p FROM STDIN (FORMAT csv)") as copy:
                for number, name in rows:
                    copy.write(f"{number},{'' if name is None else chr(34) + name + chr(34)}\n")
        else:
            with cursor.copy(f"COPY p FROM STDIN (FORMAT {format_name})".encode()) as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)
        assert cursor.rowcount == len(rows)
        if format_name == "csv":
            with cursor.copy("COPY (SELECT id FROM p ORDER BY id) TO STDOUT (FORMAT csv)") as copy:
                data = source(bytes(part) for part in copy)
            assert data.split() == [str(number).encode() for number, _ in rows]
            return
        with cursor.copy(
            f"COPY (SELECT * FROM p ORDER BY id) TO STDOUT (FORMAT {format_name})".encode()
        ) as copy:
            copy.set_types(types)
            assert list(copy.rows()) == rows


def test_copy_that_fails_leaves_nothing(connection: psycopg.Connection, table: str) -> None:
    with (
        pytest.raises(errors.InvalidTextRepresentation),
        connection.cursor().copy("COPY p FROM STDIN") as copy,
    ):
        copy.write("1\ta\nx\tb\n")
    with (
        pytest.raises(ZeroDivisionError),
        connection.cursor().copy("COPY p FROM STDIN") as copy,
    ):
        copy.write("1\ta\n")
        raise ZeroDivisionError
    assert connection.execute("SELECT count(*) FROM p").fetchone() == (0,)


def test_errors_carry_sqlstate_and_position(connection: psycopg.Connection) -> None:
    with pytest.raises(errors.UndefinedColumn) as caught:
        connection.execute("SELECT 1, nowhere")
    assert caught.value.diag.statement_position == "11"
    with pytest.raises(errors.SyntaxError):
        connection.execute("SELCT 1")
    with pytest.raises(errors.InvalidTextRepresentation):
        connection.execute("SELECT %s::int", ("x",))
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_failed_transaction_block(headwater_server: HeadwaterServer) -> None:
    with psycopg.connect(headwater_server.dsn) as connection:
        with pytest.raises(errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere")
        with pytest.raises(errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_notices(connection: psycopg.Connection) -> None:
    seen: list[str | None] = []
    connection.add_notice_handler(lambda diagnostic: seen.append(diagnostic.message_primary))
    connection.execute("DROP TABLE IF EXISTS nowhere_at_all")
    connection.execute("COMMIT")
    connection.execute("CREATE TEMP TABLE keyed (id int PRIMARY KEY)")
    assert seen == [
        'table "nowhere_at_all" does not exist, skipping',
        "there is no transaction in progress",
        "constraints other than NOT NULL are accepted but not enforced",
    ]


def test_the_session_user_stays(connection: psycopg.Connection) -> None:
    with pytest.raises(errors.FeatureNotSupported, match="session user cannot be renamed"):
        connection.execute("ALTER ROLE materialize RENAME TO another")
    with pytest.raises(errors.ObjectInUse, match="current user cannot be dropped"):
        connection.execute("DROP ROLE materialize")


def test_parameter_status(headwater_server: HeadwaterServer) -> None:
    with psycopg.connect(
        headwater_server.dsn, autocommit=True, application_name="tests", options="-c timezone=5"
    ) as connection:
        info = connection.info
        assert info.parameter_status("application_name") == "tests"
        assert info.parameter_status("TimeZone") == "<+05>-05"
        assert info.parameter_status("standard_conforming_strings") == "on"
        assert info.encoding == "utf-8"
        connection.execute("SET TIME ZONE 'Europe/Berlin'")
        assert info.parameter_status("TimeZone") == "Europe/Berlin"


def test_unknown_option_is_refused(headwater_server: HeadwaterServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="unrecognized configuration parameter"):
        psycopg.connect(headwater_server.dsn, options="-c no_such_thing=1")


def test_options_of_materialize_are_accepted(headwater_server: HeadwaterServer) -> None:
    options = (
        "--auto_route_catalog_queries=on --welcome_message=off "
        "--current_object_missing_warnings=off -c cluster=quickstart"
    )
    with psycopg.connect(headwater_server.dsn, options=options) as connection:
        assert connection.execute("SHOW cluster").fetchone() == ("quickstart",)
        assert (connection.info.parameter_status("mz_version") or "").startswith("v")


SLOW = "SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b"


def test_cancel(connection: psycopg.Connection) -> None:
    timer = threading.Timer(0.3, connection.cancel_safe)
    timer.start()
    with pytest.raises(errors.QueryCanceled, match="due to user request"):
        connection.execute(SLOW)
    timer.join()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_statement_timeout(connection: psycopg.Connection) -> None:
    connection.execute("SET statement_timeout = '200ms'")
    with pytest.raises(errors.QueryCanceled, match="due to statement timeout"):
        connection.execute(SLOW)
    connection.execute("RESET statement_timeout")
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_many_columns_and_empty_rows(connection: psycopg.Connection) -> None:
    query = sql.SQL("SELECT {}").format(sql.SQL(", ").join(sql.Literal(n) for n in range(500)))
    row = connection.execute(query).fetchone()
    assert row == tuple(range(500))
    assert connection.execute("SELECT").fetchall() == [()]


async def test_async_statements(async_connection: psycopg.AsyncConnection) -> None:
    cursor = await async_connection.execute("SELECT g FROM generate_series(1, %s) g", (3,))
    assert sorted(await cursor.fetchall()) == [(1,), (2,), (3,)]
    async with async_connection.pipeline():
        first = await async_connection.execute("SELECT 1")
        second = await async_connection.execute("SELECT 2")
    assert (await first.fetchone(), await second.fetchone()) == ((1,), (2,))


async def test_async_large_result_in_a_stream(async_connection: psycopg.AsyncConnection) -> None:
    cursor = async_connection.cursor()
    total = 0
    async for (number,) in cursor.stream("SELECT g FROM generate_series(1, 20000) g"):
        total += number
    assert total == 20000 * 20001 // 2


def test_oids_of_objects_are_names_in_text(connection: psycopg.Connection) -> None:
    query = "SELECT 'pg_class'::regclass, 'array_in'::regproc, 'pg_class'::regclass::oid"
    name, function, oid = connection.execute(query).fetchone() or ()
    assert (name, function) == ("pg_class", "array_in")
    with connection.cursor(binary=True) as cursor:
        cursor.execute(query)
        assert (cursor.fetchone() or ())[0] == int(oid).to_bytes(4, "big")
    with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
        assert b"".join(bytes(part) for part in copy).split(b"\t")[:2] == [b"pg_class", b"array_in"]


@pytest.mark.parametrize(
    ("name", "oid", "array_oid"),
    [("int4", 23, 1007), ("text", 25, 1009), ("jsonb", 3802, 3807), ("timestamptz", 1184, 1185)],
)
def test_type_information(
    connection: psycopg.Connection, name: str, oid: int, array_oid: int
) -> None:
    found = TypeInfo.fetch(connection, name)
    assert found is not None
    assert (found.name, found.oid, found.array_oid, found.delimiter) == (name, oid, array_oid, ",")


def test_information_of_a_missing_type(connection: psycopg.Connection) -> None:
    assert TypeInfo.fetch(connection, "nothing") is None
    assert TypeInfo.fetch(connection, "nowhere.nothing") is None


async def test_type_information_asynchronously(async_connection: psycopg.AsyncConnection) -> None:
    found = await TypeInfo.fetch(async_connection, "numeric")
    assert found is not None
    assert found.oid == 1700
