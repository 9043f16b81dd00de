"""Bad wire input gets the answer PostgreSQL gives, on a fresh and on a used connection."""

import struct
from collections.abc import Callable, Iterator

import pytest

from tests.robustness.raw_client import (
    LOGIN,
    SYNC,
    Message,
    RawClient,
    bind,
    execute,
    message,
    parse,
    query,
    sqlstates,
    startup,
)
from tests.running_server import HeadwaterServer

SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)


@pytest.fixture
def connect(headwater_server: HeadwaterServer) -> Callable[[], RawClient]:
    return lambda: RawClient(headwater_server.sql_port)


SILENTLY_CLOSED = {
    "startup length below 8": struct.pack("!i", 7) + b"\0" * 3,
    "startup length above 10,000": struct.pack("!i", 10_001) + b"\0" * 100,
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a wrong cancel key": struct.pack("!iiii", 16, 80_877_102, 1, 2),
}


@pytest.mark.parametrize("data", SILENTLY_CLOSED.values(), ids=SILENTLY_CLOSED.keys())
def test_silently_closed(connect: Callable[[], RawClient], data: bytes) -> None:
    with connect() as client:
        client.send(data)
        assert client.until_closed() == []
    with connect() as client:
        client.log_in()


FATAL_AT_STARTUP = {
    "protocol 2.0": (startup(LOGIN, version=131_072), "0A000"),
    "no user": (startup({"database": "materialize"}), "28000"),
    "no terminator": (startup(LOGIN, terminator=b"x"), "08P01"),
    "unknown setting": (startup({**LOGIN, "no_such_setting": "1"}), "42704"),
    "unknown role": (startup({"user": "nobody at all"}), "28000"),
    "unknown database": (startup({**LOGIN, "database": "nowhere"}), "3D000"),
    "query before startup": (query("SELECT 1"), None),
}


@pytest.mark.parametrize(
    ("data", "sqlstate"), FATAL_AT_STARTUP.values(), ids=FATAL_AT_STARTUP.keys()
)
def test_fatal_at_startup(
    connect: Callable[[], RawClient], data: bytes, sqlstate: str | None
) -> None:
    with connect() as client:
        client.send(data)
        client.half_close()
        answers = client.until_closed()
        assert sqlstates(answers) == ([] if sqlstate is None else [sqlstate])
        assert all(answer.fields["S"] == "FATAL" for answer in answers if answer.tag == "E")


@pytest.mark.parametrize(
    ("parameters", "version"),
    [(LOGIN, 3 << 16 | 99), ({**LOGIN, "_pq_.unheard_of": "1"}, 196_608)],
    ids=["protocol 3.99", "protocol option"],
)
def test_newer_protocol_is_negotiated(
    connect: Callable[[], RawClient], parameters: dict[str, str], version: int
) -> None:
    with connect() as client:
        client.send(startup(parameters, version))
        answers = client.until_ready()
        assert "v" in {answer.tag for answer in answers}
        assert answers[-1].tag == "Z"


def test_plaintext_behind_ssl_request_is_refused(connect: Callable[[], RawClient]) -> None:
    with connect() as client:
        client.send(SSL_REQUEST + startup(LOGIN))
        assert client.receive_bytes(1) in (b"S", b"N")
        answers = client.until_closed()
        assert sqlstates(answers) in (["08P01"], [])
        assert "Z" not in {answer.tag for answer in answers}


CLOSED_WHEN_READY = {
    "unknown message type": message("y"),
    "length below 4": b"Q" + struct.pack("!i", 3),
    "negative length": b"Q" + struct.pack("!i", -1),
    "huge length": b"Q" + struct.pack("!i", 2**31 - 1),
    "a Sync of 20 KB": message("S", b"x" * 20_000),
    "a Query inside COPY": query("COPY bad_input FROM STDIN") + query("SELECT 1"),
}

# What is sent after login, and the errors that must come back before ReadyForQuery.
ANSWERED_WITH_ERROR = {
    "Query without NUL": (message("Q", b"SELECT 1"), "08P01"),
    "Bind with too few values": (parse("", "SELECT $1::int") + bind("", "") + SYNC, "08P01"),
    "Bind with too many values": (parse("", "SELECT 1") + bind("", "", (b"1",)) + SYNC, "08P01"),
    "unknown statement": (bind("", "nowhere") + SYNC, "26000"),
    "unknown portal": (execute("nowhere") + SYNC, "34000"),
    "describe of nothing": (message("D", b"Snowhere\0") + SYNC, "26000"),
    "duplicate statement": (parse("a", "SELECT 1") + parse("a", "SELECT 2") + SYNC, "42P05"),
    "duplicate portal": (
        query("BEGIN") + parse("", "SELECT 1") + bind("p", "") + bind("p", "") + SYNC,
        "42P03",
    ),
    "two statements in Parse": (parse("", "SELECT 1; SELECT 2") + SYNC, "42601"),
    "format code 2": (
        parse("", "SELECT 1") + bind("", "", result_formats=(2,)) + execute() + SYNC,
        "22023",
    ),
    "int4 of 3 bytes": (
        parse("", "SELECT $1::int4") + bind("", "", (b"abc",), formats=(1,)) + execute() + SYNC,
        "08P01",
    ),
    "int4 of 5 bytes": (
        parse("", "SELECT $1::int4") + bind("", "", (b"abcde",), formats=(1,)) + execute() + SYNC,
        "22P03",
    ),
    "bad UTF-8 in a query": (query(b"SELECT '\xff\xfe'"), "22021"),
    "bad UTF-8 in a parameter": (
        parse("", "SELECT $1::text") + bind("", "", (b"\xc3\x28",)) + execute() + SYNC,
        "22021",
    ),
    "NUL in a parameter": (
        parse("", "SELECT $1::text") + bind("", "", (b"a\0b",)) + execute() + SYNC,
        "22021",
    ),
    "parameter length -2": (
        parse("", "SELECT $1::text") + message("B", b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0") + SYNC,
        "08P01",
    ),
    "parameter past the end": (
        parse("", "SELECT $1::text") + message("B", b"\0\0\0\0\0\x01\0\0\0\x7f\0\0") + SYNC,
        "08P01",
    ),
    "negative number of types": (message("P", b"\0SELECT 1\0\xff\xff") + SYNC, "08P01"),
}


def _used(client: RawClient) -> RawClient:
    """The connection after a result, an error, a transaction and a prepared statement."""
    client.send(query("SELECT 1; SELECT no_such_column"))
    client.until_ready()
    client.send(parse("used", "SELECT $1::int") + bind("", "used", (b"7",)) + execute() + SYNC)
    assert [m.columns for m in client.until_ready() if m.tag == "D"] == [[b"7"]]
    return client


@pytest.fixture(params=["fresh", "used"])
def client(
    headwater_server: HeadwaterServer, request: pytest.FixtureRequest
) -> Iterator[RawClient]:
    with RawClient(headwater_server.sql_port) as ready:
        ready.log_in()
        ready.send(query("CREATE TABLE IF NOT EXISTS bad_input (a int, b text)"))
        ready.until_ready()
        yield _used(ready) if request.param == "used" else ready


@pytest.mark.parametrize(
    ("data", "sqlstate"), ANSWERED_WITH_ERROR.values(), ids=ANSWERED_WITH_ERROR.keys()
)
def test_answered_with_error(client: RawClient, data: bytes, sqlstate: str) -> None:
    client.send(data)
    answers = client.until_ready()
    if sqlstates(answers) == [] and answers[-1].tag == "Z":
        answers = client.until_ready()  # the first statement of two
    assert sqlstates(answers) == [sqlstate]
    assert all(answer.fields["S"] == "ERROR" for answer in answers if answer.tag == "E")
    client.send(query("ROLLBACK"))
    client.until_ready()
    client.send(query("SELECT 1"))
    assert [m.columns for m in client.until_ready() if m.tag == "D"] == [[b"1"]]


@pytest.mark.parametrize("data", CLOSED_WHEN_READY.values(), ids=CLOSED_WHEN_READY.keys())
def test_closed_when_ready(
    client: RawClient, headwater_server: HeadwaterServer, data: bytes
) -> None:
    client.send(data)
    answers = client.until_closed()
    assert sqlstates(answers) in (["08P01"], [])
    with RawClient(headwater_server.sql_port) as following:
        following.log_in()


def test_copy_messages_outside_copy_are_ignored(client: RawClient) -> None:
    client.send(message("d", b"1\tx\n") + message("c") + message("f", b"no\0") + query("SELECT 1"))
    answers = client.until_ready()
    assert sqlstates(answers) == []
    assert [m.columns for m in answers if m.tag == "D"] == [[b"1"]]


COPY_INPUTS = {
    "too few columns": ("COPY bad_input FROM STDIN", b"1\n", "22P04"),
    "too many columns": ("COPY bad_input FROM STDIN", b"1\tx\ty\n", "22P04"),
    "a value of another type": ("COPY bad_input FROM STDIN", b"one\tx\n", "22P02"),
    "bad UTF-8": ("COPY bad_input FROM STDIN", b"1\t\xff\n", "22021"),
    "an unclosed quote": ("COPY bad_input FROM STDIN (FORMAT csv)", b'1,"x\n', "22P04"),
    "no binary signature": ("COPY bad_input FROM STDIN (FORMAT binary)", b"x" * 30, "22P04"),
    "a wrong binary size": (
        "COPY bad_input FROM STDIN (FORMAT binary)",
        b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\0\x02\0\0\0\x04",
        "22P04",
    ),
}


@pytest.mark.parametrize(
    ("statement", "data", "sqlstate"), COPY_INPUTS.values(), ids=COPY_INPUTS.keys()
)
def test_bad_copy_data(client: RawClient, statement: str, data: bytes, sqlstate: str) -> None:
    client.send(query(statement))
    answer: Message | None = client.receive()
    assert answer is not None
    assert answer.tag == "G"
    client.send(message("d", data) + message("c"))
    assert sqlstates(client.until_ready()) == [sqlstate]
    client.send(query("SELECT count(*) FROM bad_input"))
    assert [m.columns for m in client.until_ready() if m.tag == "D"] == [[b"0"]]


def test_copy_failed_by_the_client(client: RawClient) -> None:
    client.send(query("COPY bad_input FROM STDIN"))
    assert client.receive() is not None
    client.send(message("d", b"1\tx\n") + message("f", b"changed my mind\0"))
    assert sqlstates(client.until_ready()) == ["57014"]
    client.send(query("SELECT count(*) FROM bad_input"))
    assert [m.columns for m in client.until_ready() if m.tag == "D"] == [[b"0"]]
