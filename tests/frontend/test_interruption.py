"""Stopping what runs, in every phase: by CancelRequest, by timeouts, by a client that goes away."""

import struct
from collections.abc import Iterator
from typing import Final

import psycopg
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

CANCEL_CODE: Final = 80_877_102
BETWEEN_REQUESTS_S: Final = 0.05
ENDLESS_ROWS: Final = "SELECT n, repeat('x', 1000) FROM generate_series(1, 100000000) AS g (n)"

# Statements that go on until they are stopped, and the message that tells that they have begun.
ENDLESS: Final[dict[str, tuple[bytes, str | None]]] = {
    "planning": (
        query("SELECT count(*) FROM " + ", ".join(f"mz_tables t{i}" for i in range(9_000))),
        None,
    ),
    "executing": (query("SELECT count(*) FROM generate_series(1, 1000000000000)"), None),
    "executing, extended": (
        parse("", "SELECT count(*) FROM generate_series(1, $1::int8)")
        + bind("", "", (b"1000000000000",))
        + execute()
        + SYNC,
        None,
    ),
    "staging a write": (
        query("INSERT INTO stopped SELECT n FROM generate_series(1, 1000000000000) AS g (n)"),
        None,
    ),
    "streaming rows": (query(ENDLESS_ROWS), "D"),
    "streaming COPY": (query(f"COPY ({ENDLESS_ROWS}) TO STDOUT"), "d"),
    "waiting for COPY data": (query("COPY stopped FROM STDIN"), "G"),
}


class Interruptible(RawClient):
    """A logged-in connection that knows how it can be cancelled."""

    def __init__(self, server: HeadwaterServer) -> None:
        super().__init__(server.sql_port)
        self._server = server
        self.send(startup(LOGIN))
        keys = [m.payload for m in self.until_ready() if m.tag == "K"]
        self.process_id, self.secret = struct.unpack("!iI", keys[0])

    def cancel(self, *, secret: int | None = None) -> None:
        """One CancelRequest; returns when the server has closed its connection."""
        key = self.secret if secret is None else secret
        with RawClient(self._server.sql_port) as other:
            other.send(struct.pack("!iiiI", 16, CANCEL_CODE, self.process_id, key))
            assert other.until_closed() == []

    def until_begun(self, tag: str) -> None:
        """Read up to the first message with that tag."""
        received = self.receive()
        while received is not None and received.tag != tag:
            received = self.receive()
        assert received is not None

    def ask(self, sql: str) -> list[Message]:
        self.send(query(sql))
        return self.until_ready()


@pytest.fixture
def client(headwater_server: HeadwaterServer) -> Iterator[Interruptible]:
    with Interruptible(headwater_server) as opened:
        opened.ask("CREATE TABLE IF NOT EXISTS stopped (a int)")
        yield opened


def assert_usable(client: Interruptible) -> None:
    answers = client.ask("SELECT count(*) FROM stopped")
    assert [m.columns for m in answers if m.tag == "D"] == [[b"0"]]
    assert answers[-1] == Message("Z", b"I")


@pytest.mark.parametrize(("script", "begun"), ENDLESS.values(), ids=ENDLESS.keys())
def test_cancel(client: Interruptible, script: bytes, begun: str | None) -> None:
    client.send(script)
    if begun is not None:
        client.until_begun(begun)
        client.cancel()
    else:
        # A request that comes before the statement has begun goes for nothing: ask again.
        while not client.has_input(BETWEEN_REQUESTS_S):
            client.cancel()
    answers = client.until_ready()
    assert sqlstates(answers) == ["57014"]
    assert "user request" in next(m for m in answers if m.tag == "E").fields["M"]
    assert_usable(client)


@pytest.mark.parametrize(("script", "begun"), ENDLESS.values(), ids=ENDLESS.keys())
def test_statement_timeout(client: Interruptible, script: bytes, begun: str | None) -> None:
    client.ask("SET statement_timeout = '100ms'")
    client.send(script)
    answers = client.until_ready()
    assert sqlstates(answers) == ["57014"]
    assert "statement timeout" in next(m for m in answers if m.tag == "E").fields["M"]
    client.ask("RESET statement_timeout")
    assert_usable(client)


def test_cancel_in_a_block_fails_it(client: Interruptible) -> None:
    client.ask("BEGIN")
    client.send(query(ENDLESS_ROWS))
    client.until_begun("D")
    client.cancel()
    answers = client.until_ready()
    assert sqlstates(answers) == ["57014"]
    assert answers[-1] == Message("Z", b"E")
    assert sqlstates(client.ask("SELECT 1")) == ["25P02"]
    client.ask("ROLLBACK")
    assert_usable(client)


def test_cancel_skips_the_pipeline_to_its_sync(client: Interruptible) -> None:
    rows = parse("", ENDLESS_ROWS) + bind("", "") + execute()
    client.send(rows + parse("", "SELECT 1") + bind("", "") + execute() + SYNC + query("SELECT 2"))
    client.until_begun("D")
    client.cancel()
    assert sqlstates(client.until_ready()) == ["57014"]
    assert [m.columns for m in client.until_ready() if m.tag == "D"] == [[b"2"]]


def test_cancel_of_nothing(client: Interruptible) -> None:
    client.cancel()
    assert_usable(client)
    client.ask("BEGIN")
    client.cancel()
    assert sqlstates(client.ask("SELECT 1")) == []
    client.ask("COMMIT")


def test_only_the_right_key_cancels(client: Interruptible) -> None:
    client.send(query("COPY stopped FROM STDIN"))
    client.until_begun("G")
    client.cancel(secret=client.secret ^ 1)
    client.send(message("c"))
    assert sqlstates(client.until_ready()) == []
    assert_usable(client)


def test_a_slow_client_does_not_stop_the_clock(
    client: Interruptible, headwater_server: HeadwaterServer
) -> None:
    client.ask("SET statement_timeout = '100ms'")
    client.send(query(ENDLESS_ROWS))
    client.until_begun("D")
    with psycopg.connect(headwater_server.dsn, autocommit=True) as other:
        assert other.execute("SELECT 1").fetchone() == (1,)
    assert sqlstates(client.until_ready()) == ["57014"]


TIMEOUTS: Final = {
    "in a transaction": ("idle_in_transaction_session_timeout", "BEGIN", "25P03"),
    "in a failed one": ("idle_in_transaction_session_timeout", "BEGIN; SELECT nope", "25P03"),
    "outside of one": ("idle_session_timeout", "SELECT 1", "57P05"),
}


@pytest.mark.parametrize(
    ("setting", "statement", "sqlstate"), TIMEOUTS.values(), ids=TIMEOUTS.keys()
)
def test_idle_sessions_are_ended(
    client: Interruptible, setting: str, statement: str, sqlstate: str
) -> None:
    client.send(query(f"SET {setting} = '50ms'") + query(statement))
    client.until_ready()
    client.until_ready()
    answers = client.until_closed()
    assert sqlstates(answers) == [sqlstate]
    assert answers[0].fields["S"] == "FATAL"


def test_an_idle_transaction_is_not_an_idle_session(client: Interruptible) -> None:
    client.send(query("SET idle_in_transaction_session_timeout = '1ms'") + query("SELECT 1"))
    client.until_ready()
    client.until_ready()
    assert not client.has_input(BETWEEN_REQUESTS_S)
    assert_usable(client)


def test_a_client_that_goes_away_ends_its_statement(
    client: Interruptible, headwater_server: HeadwaterServer
) -> None:
    other = Interruptible(headwater_server)
    other.ask("BEGIN")
    other.ask("INSERT INTO stopped VALUES (1)")
    other.send(query(ENDLESS_ROWS))
    other.until_begun("D")
    other.close()
    assert_usable(client)
