"""The same bytes to Headwater and to a real PostgreSQL: the same answers, message by message."""

from collections.abc import Iterator
from typing import Final

import pytest

from headwater.embedded_postgres import EmbeddedPostgres
from tests.frontend.wire_pair import WirePair, open_pair
from tests.robustness.raw_client import SYNC, bind, execute, message, parse, query
from tests.running_server import HeadwaterServer


@pytest.fixture(scope="module")
def pair(
    headwater_server: HeadwaterServer, embedded_postgres: EmbeddedPostgres
) -> Iterator[WirePair]:
    opened = open_pair(headwater_server, embedded_postgres.address)
    setup = "SET timezone = 'America/New_York'; CREATE TABLE wire (a int, b text NOT NULL)"
    for client in (opened.ours, opened.theirs):
        client.send(query(setup))
        client.until_ready()
        client.send(
            query("INSERT INTO wire VALUES (1, 'x'), (2, 'y'), (3, 'z'), (4, 'z'), (5, '')")
        )
        client.until_ready()
    yield opened
    for client in (opened.ours, opened.theirs):
        client.send(query("DROP TABLE wire"))
        client.until_ready()
    opened.close()


# Types: values as text; each goes in as text and as binary and comes out as both -----------------

VALUES: Final = {
    "bool": ["t", "false"],
    "int2": ["-32768", "32767"],
    "int4": ["-2147483648", "0"],
    "int8": ["-9223372036854775808", "7"],
    "float4": ["0.1", "-0", "NaN", "-Infinity", "1e-40", "16777216"],
    "float8": ["0.1", "-0", "NaN", "Infinity", "5e-324", "1e22", "123456789.123456789"],
    "numeric": ["0", "-0.000100", "12345678901234567890.5", "NaN", "1e20", "9999.9999", "0.00"],
    "numeric(10,2)": ["1.005", "-99999999.99"],
    "text": ["", "é€😀", "a b\tc\\"],
    "varchar": ["x"],
    "varchar(3)": ["abc"],
    "char(4)": ["ab", ""],
    '"char"': ["a", ""],
    "name": ["pg_class"],
    "bytea": ["\\x", "\\x00ff10", "abc\\000"],
    "date": ["2000-01-01", "0001-01-01", "4713-01-01 BC", "5874897-12-31", "infinity", "-infinity"],
    "time": ["00:00:00", "23:59:59.999999", "24:00:00"],
    "timestamp": [
        "2000-01-01 00:00:00",
        "1969-12-31 23:59:59.5",
        "infinity",
        "0044-03-15 12:00 BC",
    ],
    "timestamptz": ["2024-07-01 12:00:00+02", "1883-11-18 17:00:00+00", "-infinity"],
    "interval": ["1 year 2 mons -3 days 04:05:06.7", "-1 mons +2 days", "00:00:00", "-00:00:00.5"],
    "uuid": ["123e4567-e89b-12d3-a456-426614174000"],
    "json": ['{"a": [1, null]}', '"x"'],
    "jsonb": ['{"b": 1.50, "a": [true, null, "é"]}', "[]", '"\\u00e9"', "1e3"],
    "oid": ["0", "4294967295"],
    "regclass": ["-"],
    "regtype": ["integer", "timestamp with time zone", "integer[]"],
    "bool[]": ["{t,NULL,f}"],
    "int2[]": ["{1,2}"],
    "int4[]": ["{}", "{{1,2},{3,4}}", "[0:1]={7,8}"],
    "int8[]": ["{9223372036854775807}"],
    "float8[]": ["{1.5,NaN}"],
    "numeric[]": ["{1.10,NULL,-0.5}"],
    "text[]": ['{a,"b c","",NULL,"NULL","\\"","{}"}'],
    "varchar[]": ["{x,y}"],
    "bytea[]": ['{"\\\\x00"}'],
    "date[]": ["{2020-01-01,infinity}"],
    "timestamp[]": ['{"2020-01-01 00:00:00"}'],
    "timestamptz[]": ['{"2020-01-01 00:00:00+00"}'],
    "interval[]": ['{"1 day"}'],
    "uuid[]": ["{123e4567-e89b-12d3-a456-426614174000}"],
    "jsonb[]": ['{"{\\"a\\": 1}",NULL}'],
}
TYPED: Final = [(type_name, value) for type_name, values in VALUES.items() for value in values]


def ask(sql: str, value: bytes | None, given: int, wanted: int, *oids: int) -> tuple[bytes, ...]:
    """A whole exchange with one parameter."""
    described = message("D", b"S\0") + message("D", b"P\0")
    bound = bind("", "", (value,), formats=(given,), result_formats=(wanted,))
    return parse("", sql, *oids), bound, described, execute(), SYNC


def data_of(answers: list[object]) -> bytes:
    """The one value of the one DataRow."""
    rows = [m[1] for m in answers if isinstance(m, tuple) and m[0] == "D"]
    assert len(rows) == 1, answers
    return bytes(rows[0][6:])


@pytest.mark.parametrize(("type_name", "value"), TYPED, ids=[f"{t}-{v}" for t, v in TYPED])
def test_values_in_both_formats(pair: WirePair, type_name: str, value: str) -> None:
    sql = f"SELECT $1::{type_name} AS v"
    ours, theirs = pair.both(*ask(sql, value.encode(), 0, 0))
    assert ours == theirs
    ours, theirs = pair.both(*ask(sql, value.encode(), 0, 1))
    assert ours == theirs
    binary = data_of(theirs)
    ours, theirs = pair.both(*ask(sql, binary, 1, 0))
    assert ours == theirs
    ours, theirs = pair.both(*ask(sql, binary, 1, 1))
    assert ours == theirs


@pytest.mark.parametrize("type_name", VALUES)
def test_null_and_literal(pair: WirePair, type_name: str) -> None:
    literal = VALUES[type_name][0].replace("'", "''")
    ours, theirs = pair.both(*ask(f"SELECT $1::{type_name}", None, 0, 1))
    assert ours == theirs
    ours, theirs = pair.both(query(f"SELECT '{literal}'::{type_name}, NULL::{type_name} AS n"))
    assert ours == theirs


@pytest.mark.parametrize("type_name", [t for t in VALUES if "text" not in t and "char" not in t])
@pytest.mark.parametrize("data", [b"", b"\x01", b"\0" * 3, b"\xff" * 9, b"\xff" * 40, b"\0" * 64])
def test_bad_binary_values(pair: WirePair, type_name: str, data: bytes) -> None:
    ours, theirs = pair.both(*ask(f"SELECT $1::{type_name}", data, 1, 0))
    assert kinds(ours) == kinds(theirs)


def kinds(answers: list[object]) -> list[object]:
    """Answers with no more of an error than its SQLSTATE."""
    return [("E", m[1]["C"]) if isinstance(m, tuple) and m[0] == "E" else m for m in answers]


# Exchanges ---------------------------------------------------------------------------------------

SELECT: Final = "SELECT a, b FROM wire ORDER BY a"
FAILING: Final = "SELECT 1 / (a - a) FROM wire"  # as it runs, not as it is planned
EXCHANGES: Final[dict[str, tuple[int, list[bytes]]]] = {
    "empty": (1, [query("")]),
    "semicolons": (1, [query(" ; ; -- nothing")]),
    "several results": (1, [query("SELECT 1; SELECT a FROM wire WHERE a = 9; SELECT 'x' AS b")]),
    "no columns": (1, [query("SELECT FROM wire WHERE a < 3")]),
    "syntax error": (1, [query("SELECT 1; SELEC 2")]),
    "error at a place": (1, [query("SELECT a, nope FROM wire")]),
    "error in the second": (1, [query(f"SELECT 1; {FAILING}; SELECT 2")]),
    "extended empty": (1, [parse("", ""), bind("", ""), message("D", b"P\0"), execute(), SYNC]),
    "describe statement": (
        1,
        [
            parse("", "SELECT $1::int, $2::text || b FROM wire WHERE a = $3"),
            message("D", b"S\0"),
            SYNC,
        ],
    ),
    "describe what gives no rows": (
        1,
        [parse("", "INSERT INTO wire VALUES ($1, $2)"), message("D", b"S\0"), SYNC],
    ),
    "parameter types given": (1, [parse("", "SELECT $1, $2", 23, 25), message("D", b"S\0"), SYNC]),
    "unknown parameter is text": (1, [parse("", "SELECT $1"), message("D", b"S\0"), SYNC]),
    "no type to be found": (1, [parse("", "SELECT $2::int"), SYNC]),
    "row limits": (
        1,
        [
            parse("", SELECT),
            bind("", ""),
            execute("", 2),
            execute("", 2),
            execute("", 2),
            execute("", 2),
            SYNC,
        ],
    ),
    "row limit equal to the rows": (
        1,
        [parse("", SELECT), bind("", ""), execute("", 5), execute("", 5), SYNC],
    ),
    "a portal lives to the Sync": (
        2,
        [parse("", SELECT), bind("p", ""), execute("p", 2), SYNC, execute("p", 2), SYNC],
    ),
    "a portal lives in a block": (
        3,
        [
            query("BEGIN"),
            parse("", SELECT),
            bind("p", ""),
            execute("p", 2),
            SYNC,
            execute("p"),
            execute("p"),
            SYNC,
        ],
    ),
    "closed portals": (
        1,
        [
            parse("", SELECT),
            bind("p", ""),
            message("C", b"Pp\0"),
            message("C", b"Pp\0"),
            execute("p"),
            SYNC,
        ],
    ),
    "closed statements": (1, [parse("s", SELECT), message("C", b"Ss\0"), bind("", "s"), SYNC]),
    "a portal outlives its statement": (
        1,
        [parse("s", SELECT), bind("p", "s"), message("C", b"Ss\0"), execute("p"), SYNC],
    ),
    "unnamed statement replaced": (
        1,
        [parse("", "SELECT 1"), parse("", "SELECT 2"), bind("", ""), execute(), SYNC],
    ),
    "Query drops the unnamed statement": (
        2,
        [parse("", "SELECT 1"), query("SELECT 2"), bind("", ""), SYNC],
    ),
    "failed Parse drops the unnamed statement": (
        2,
        [parse("", "SELECT 1"), parse("", "SELEC"), SYNC, bind("", ""), execute(), SYNC],
    ),
    "skips to Sync": (
        2,
        [
            parse("", FAILING),
            bind("", ""),
            execute(),
            parse("", "SELECT 2"),
            bind("", ""),
            execute(),
            SYNC,
            query("SELECT 3"),
        ],
    ),
    "pipelined writes are one": (
        3,
        [
            parse("", "INSERT INTO wire VALUES (90, 'p')"),
            bind("", ""),
            execute(),
            parse("", "INSERT INTO wire VALUES (91, NULL)"),
            bind("", ""),
            execute(),
            SYNC,
            query("SELECT count(*) FROM wire WHERE a >= 90"),
            query("DELETE FROM wire WHERE a >= 90"),
        ],
    ),
    "several statements are one": (
        2,
        [
            query("INSERT INTO wire VALUES (90, 'p'); INSERT INTO wire VALUES (91, NULL)"),
            query("SELECT count(*) FROM wire WHERE a >= 90"),
        ],
    ),
    "commit between statements": (
        3,
        [
            query("INSERT INTO wire VALUES (90, 'p'); COMMIT; " + FAILING),
            query("SELECT count(*) FROM wire WHERE a >= 90"),
            query("DELETE FROM wire WHERE a >= 90"),
        ],
    ),
    "begin between statements": (
        3,
        [
            query("INSERT INTO wire VALUES (90, 'p'); BEGIN; SELECT 1"),
            query("ROLLBACK"),
            query("SELECT count(*) FROM wire WHERE a >= 90"),
        ],
    ),
    "failed block": (
        5,
        [
            query("BEGIN"),
            query(FAILING),
            query("SELECT 1"),
            parse("", "SELECT 1"),
            SYNC,
            query("COMMIT"),
        ],
    ),
    "failed block, extended": (
        3,
        [
            query("BEGIN; " + FAILING),
            parse("", "ROLLBACK"),
            bind("", ""),
            execute(),
            SYNC,
            query("SELECT 1"),
        ],
    ),
    "begin twice": (3, [query("BEGIN"), query("BEGIN"), query("END")]),
    "nothing to commit": (2, [query("COMMIT"), query("ROLLBACK")]),
    "chained": (3, [query("BEGIN"), query("COMMIT AND CHAIN"), query("ROLLBACK")]),
    "savepoints": (
        7,
        [
            query("BEGIN"),
            query("INSERT INTO wire VALUES (90, 's')"),
            query("SAVEPOINT s"),
            query("SELECT nope"),
            query("ROLLBACK TO s"),
            query("RELEASE s"),
            query("ROLLBACK"),
        ],
    ),
    "unknown savepoint": (3, [query("BEGIN"), query("ROLLBACK TO nope"), query("ROLLBACK")]),
    "savepoint outside": (1, [query("SAVEPOINT s")]),
    "read only": (
        3,
        [query("BEGIN READ ONLY"), query("INSERT INTO wire VALUES (1, 'x')"), query("ROLLBACK")],
    ),
    "isolation too late": (
        4,
        [
            query("BEGIN"),
            query("SELECT count(*) FROM wire"),
            query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
            query("ROLLBACK"),
        ],
    ),
    "set local": (
        4,
        [
            query("BEGIN"),
            query("SET LOCAL datestyle = 'SQL'"),
            query("SELECT '2020-02-01'::date"),
            query("COMMIT; SELECT '2020-02-01'::date"),
        ],
    ),
    "set undone": (
        4,
        [
            query("BEGIN"),
            query("SET intervalstyle = 'iso_8601'"),
            query("ROLLBACK"),
            query("SELECT '1 day'::interval"),
        ],
    ),
    "cursor": (
        9,
        [
            query("BEGIN"),
            query(f"DECLARE c CURSOR FOR {SELECT}"),
            query("FETCH c"),
            query("FETCH 2 FROM c"),
            query("MOVE c"),
            query("FETCH ALL c"),
            query("FETCH c"),
            query("CLOSE c"),
            query("COMMIT"),
        ],
    ),
    "cursor outside": (1, [query(f"DECLARE c CURSOR FOR {SELECT}")]),
    "cursor in several statements": (
        1,
        [query(f"BEGIN; DECLARE c CURSOR FOR {SELECT}; FETCH 2 c; CLOSE ALL; END")],
    ),
    "unknown cursor": (2, [query("FETCH nope"), query("CLOSE nope")]),
    "cursor twice": (
        3,
        [
            query(f"BEGIN; DECLARE c CURSOR FOR {SELECT}"),
            query(f"DECLARE c CURSOR FOR {SELECT}"),
            query("ROLLBACK"),
        ],
    ),
    "cursor as a portal": (
        3,
        [
            query(f"BEGIN; DECLARE c CURSOR FOR {SELECT}"),
            message("D", b"Pc\0"),
            execute("c", 2),
            SYNC,
            query("COMMIT"),
        ],
    ),
    "cursor forward only": (
        3,
        [
            query(f"BEGIN; DECLARE c NO SCROLL CURSOR FOR {SELECT}"),
            query("FETCH BACKWARD 1 FROM c"),
            query("ROLLBACK"),
        ],
    ),
    "prepare": (
        5,
        [
            query("PREPARE p (int) AS SELECT $1 + 1 AS n"),
            query("EXECUTE p (1)"),
            query("EXECUTE p (1, 2)"),
            query("DEALLOCATE p"),
            query("EXECUTE p (1)"),
        ],
    ),
    "prepared by name over the wire": (
        2,
        [query("PREPARE p AS SELECT 7"), bind("", "p"), message("D", b"P\0"), execute(), SYNC],
    ),
    "prepared twice": (
        3,
        [query("PREPARE p2 AS SELECT 7"), query("PREPARE p2 AS SELECT 8"), query("DEALLOCATE p2")],
    ),
    "returning": (
        2,
        [
            query("INSERT INTO wire VALUES (90, 'r') RETURNING b, a + 1"),
            query("DELETE FROM wire WHERE a >= 90 RETURNING *"),
        ],
    ),
    "not null": (1, [query("INSERT INTO wire VALUES (90, NULL)")]),
    "counts": (
        3,
        [
            query("INSERT INTO wire VALUES (90, 'c'), (91, 'c')"),
            query("UPDATE wire SET b = 'd' WHERE a >= 90"),
            query("DELETE FROM wire WHERE a >= 90"),
        ],
    ),
    "formats one for all": (
        1,
        [parse("", SELECT), bind("", "", result_formats=(1,)), execute(), SYNC],
    ),
    "formats for each": (
        1,
        [
            parse("", SELECT),
            bind("", "", result_formats=(1, 0)),
            message("D", b"P\0"),
            execute(),
            SYNC,
        ],
    ),
    "formats too many": (1, [parse("", SELECT), bind("", "", result_formats=(1, 0, 1)), SYNC]),
    "parameter formats too many": (
        1,
        [parse("", "SELECT $1::int"), bind("", "", (b"1",), formats=(0, 0)), SYNC],
    ),
    "bad text value": (1, [parse("", "SELECT $1::int"), bind("", "", (b"x",)), execute(), SYNC]),
    "discard in a block": (3, [query("BEGIN"), query("DISCARD ALL"), query("ROLLBACK")]),
    "discard with others": (1, [query("SELECT 1; DISCARD ALL")]),
    "values": (1, [query("VALUES (1, 'a'), (2, NULL)")]),
}


@pytest.mark.parametrize(("rounds", "script"), EXCHANGES.values(), ids=EXCHANGES.keys())
def test_exchanges(pair: WirePair, rounds: int, script: list[bytes]) -> None:
    ours, theirs = pair.both(*script, rounds=rounds)
    pair.both(query("ROLLBACK; DEALLOCATE ALL; RESET datestyle"))
    assert ours == theirs
