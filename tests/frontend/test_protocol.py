"""The protocol's state machine: bytes in, events out."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontend import messages
from frontend.messages import (
    LARGE_MESSAGE_LIMIT,
    BadMessage,
    Bind,
    CancelRequested,
    ConnectionBroken,
    CopyData,
    CopyDone,
    CopyFail,
    Event,
    Execute,
    GssEncRequest,
    Parse,
    Query,
    SslRequest,
    StartupMessage,
    Sync,
)
from frontend.protocol import ProtocolState, ServerProtocol
from tests.frontend import wire


def started() -> ServerProtocol:
    """A protocol whose session has begun."""
    protocol = ServerProtocol()
    protocol.receive_data(wire.startup(user="u"))
    assert isinstance(protocol.next_event(), StartupMessage)
    protocol.session_started()
    return protocol


def events(protocol: ServerProtocol, data: bytes = b"") -> list[Event]:
    if data:
        protocol.receive_data(data)
    found = []
    while (event := protocol.next_event()) is not None:
        found.append(event)
    return found


def only(protocol: ServerProtocol, data: bytes) -> Event:
    found = events(protocol, data)
    assert len(found) == 1, found
    return found[0]


def sqlstate(event: Event) -> str | None:
    match event:
        case BadMessage(error=error):
            assert error.severity == "ERROR"
            return error.sqlstate
        case ConnectionBroken(error=None):
            return None
        case ConnectionBroken(error=error):
            assert error is not None
            assert error.severity == "FATAL"
            return error.sqlstate
        case _:
            raise AssertionError(event)


# Start-up


def test_startup_message() -> None:
    event = only(ServerProtocol(), wire.startup(user="a", database="b", options="-c x=y"))
    assert event == StartupMessage({"user": "a", "database": "b", "options": "-c x=y"}, 0, ())


def test_encryption_requests_then_startup() -> None:
    protocol = ServerProtocol()
    assert only(protocol, wire.request(5680)) == GssEncRequest()
    assert only(protocol, wire.request(5679)) == SslRequest()
    assert isinstance(only(protocol, wire.startup(user="u")), StartupMessage)


def test_encryption_asked_for_twice_is_fatal() -> None:
    protocol = ServerProtocol()
    only(protocol, wire.request(5679))
    assert sqlstate(only(protocol, wire.request(5679))) == "0A000"


def test_plaintext_behind_ssl_request_is_fatal() -> None:
    request, event = events(ServerProtocol(), wire.request(5679) + wire.startup(user="u"))
    assert request == SslRequest()
    assert sqlstate(event) == "08P01"
    assert isinstance(event, ConnectionBroken)
    assert event.error is not None
    assert event.error.message == "received unencrypted data after SSL request"


def test_cancel_request() -> None:
    event = only(ServerProtocol(), wire.request(5678, struct.pack("!iI", 7, 2**32 - 1)))
    assert event == CancelRequested(7, 2**32 - 1)


def test_cancel_request_of_wrong_length_closes_silently() -> None:
    assert sqlstate(only(ServerProtocol(), wire.request(5678, b"abc"))) is None


@pytest.mark.parametrize("length", [0, 4, 7, -1, 10_001, 2**31 - 1])
def test_startup_length_out_of_bounds_closes_silently(length: int) -> None:
    assert sqlstate(only(ServerProtocol(), struct.pack("!i", length) + bytes(20))) is None


def test_http_request_closes_silently() -> None:
    assert sqlstate(only(ServerProtocol(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")) is None


def test_protocol_2_is_fatal() -> None:
    event = only(ServerProtocol(), wire.startup(2 << 16, user="u"))
    assert sqlstate(event) == "0A000"
    assert isinstance(event, ConnectionBroken)
    assert event.error is not None
    assert event.error.message == ("unsupported frontend protocol 2.0: server supports 3.0 to 3.0")


def test_newer_minor_version_and_protocol_options_are_negotiable() -> None:
    data = wire.startup((3 << 16) | 99, **{"user": "u", "_pq_.x": "1"})
    assert only(ServerProtocol(), data) == StartupMessage({"user": "u"}, 99, ("_pq_.x",))


def test_startup_without_user_is_28000() -> None:
    assert sqlstate(only(ServerProtocol(), wire.startup(database="d"))) == "28000"


def test_startup_without_terminator_is_08p01() -> None:
    body = struct.pack("!I", 3 << 16) + b"user\0u\0"
    data = struct.pack("!i", len(body) + 4) + body
    assert sqlstate(only(ServerProtocol(), data)) == "08P01"


def test_startup_in_single_bytes() -> None:
    protocol = ServerProtocol()
    data = wire.startup(user="u")
    for byte in data[:-1]:
        assert events(protocol, bytes([byte])) == []
    assert isinstance(only(protocol, data[-1:]), StartupMessage)


def test_only_answers_are_accepted_while_authenticating() -> None:
    protocol = ServerProtocol()
    only(protocol, wire.startup(user="u"))
    protocol.authentication_started()
    assert sqlstate(only(protocol, wire.query("SELECT 1"))) == "08P01"


def test_authentication_answer() -> None:
    protocol = ServerProtocol()
    only(protocol, wire.startup(user="u"))
    protocol.authentication_started()
    assert only(protocol, wire.message(b"p", b"secret\0")) == messages.AuthenticationResponse(
        b"secret\0"
    )


# Messages


def test_pipelined_messages_in_order() -> None:
    data = (
        wire.parse("SELECT $1", "s", (23,))
        + wire.bind((b"1", None), (0,), (1,))
        + (wire.execute("p", 5) + wire.SYNC)
    )
    assert events(started(), data) == [
        Parse("s", "SELECT $1", (23,)),
        Bind("", "", (0,), (b"1", None), (1,)),
        Execute("p", 5),
        Sync(),
    ]


def test_messages_behind_the_startup_packet() -> None:
    protocol = ServerProtocol()
    protocol.receive_data(wire.startup(user="u") + wire.query("SELECT 1"))
    assert isinstance(protocol.next_event(), StartupMessage)
    protocol.session_started()
    assert protocol.next_event() == Query("SELECT 1")


@given(cuts=st.lists(st.integers(0, 300), max_size=20))
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    data = (
        wire.query("SELECT 'é'")
        + wire.parse("SELECT 1")
        + wire.bind((b"x" * 100,))
        + wire.execute()
        + wire.SYNC
    )
    whole = events(started(), data)
    protocol = started()
    found: list[Event] = []
    last = 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        if cut > last:
            found += events(protocol, data[last:cut])
            last = cut
    assert found == whole
    assert protocol.pending_bytes == 0


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (wire.message(b"Q", b"SELECT 1"), "08P01"),  # no NUL
        (wire.message(b"Q", b"SELECT 1\0x\0"), "08P01"),
        (wire.message(b"Q", b"SELECT '\xff'\0"), "22021"),
        (wire.message(b"P", b"\0SELECT 1\0"), "08P01"),  # no count
        (wire.message(b"P", b"\0SELECT 1\0\xff\xff"), "08P01"),
        (wire.message(b"B", b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0"), "08P01"),  # length -2
        (wire.message(b"B", b"\0\0\0\0\0\1\0\0\0\x09ab\0\0"), "08P01"),  # past the end
        (wire.message(b"B", b"\0\0\0\0\0\0\0\0x"), "08P01"),
        (wire.message(b"D", b"X\0"), "08P01"),
        (wire.message(b"C", b""), "08P01"),
        (wire.message(b"E", b"\0\0"), "08P01"),
        (wire.message(b"S", b"x"), "08P01"),
    ],
)
def test_unreadable_messages_are_errors_and_the_connection_goes_on(
    data: bytes, expected: str
) -> None:
    protocol = started()
    found = events(protocol, data + wire.query("SELECT 1"))
    assert sqlstate(found[0]) == expected
    assert found[1:] == [Query("SELECT 1")]


def test_unreadable_extended_messages_say_so() -> None:
    event = only(started(), wire.message(b"P", b""))
    assert isinstance(event, BadMessage)
    assert event.is_extended


@pytest.mark.parametrize("kind", [b"\0", b"G", b"p", b"v", b"\xff"])
def test_unknown_message_type_is_fatal(kind: bytes) -> None:
    assert sqlstate(only(started(), wire.message(kind))) == "08P01"


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 3])
def test_impossible_length_closes(length: int) -> None:
    assert sqlstate(only(started(), b"Q" + struct.pack("!i", length) + b"xxxx")) is None


def test_huge_sync_closes() -> None:
    assert sqlstate(only(started(), b"S" + struct.pack("!i", 20_004) + bytes(20_000))) is None


def test_huge_query_is_skipped_without_being_kept() -> None:
    protocol = started()
    length = LARGE_MESSAGE_LIMIT + 100
    protocol.receive_data(b"Q" + struct.pack("!i", length + 4))
    assert protocol.next_event() is None
    chunk = bytes(1 << 20)
    left = length
    while left:
        part = chunk[:left]
        protocol.receive_data(part)
        assert protocol.pending_bytes <= len(chunk)
        left -= len(part)
        if left:
            assert not protocol.has_message
            assert protocol.next_event() is None
    assert protocol.has_message
    event = protocol.next_event()
    assert event is not None
    assert sqlstate(event) == "54000"
    assert only(protocol, wire.query("SELECT 1")) == Query("SELECT 1")


def test_after_an_error_everything_up_to_sync_is_skipped() -> None:
    protocol = started()
    protocol.error_sent()
    data = wire.parse("SELECT 1") + wire.query("SELECT 2") + wire.bind() + wire.message(b"P", b"")
    assert events(protocol, data) == []
    assert events(protocol, wire.SYNC + wire.query("SELECT 3")) == [Sync(), Query("SELECT 3")]


def test_terminate_is_heard_while_skipping() -> None:
    protocol = started()
    protocol.error_sent()
    assert events(protocol, wire.parse("x") + wire.TERMINATE) == [messages.TERMINATE]


def test_stray_copy_messages_are_dropped() -> None:
    data = wire.message(b"d", b"1\n") + wire.COPY_DONE + wire.message(b"f", b"no\0")
    assert events(started(), data + wire.query("SELECT 1")) == [Query("SELECT 1")]


def test_copy_in() -> None:
    protocol = started()
    protocol.copy_in_started()
    data = wire.message(b"d", b"1\n") + wire.FLUSH + wire.SYNC + wire.COPY_DONE
    assert events(protocol, data) == [CopyData(b"1\n"), CopyDone()]
    protocol.copy_in_ended()
    assert only(protocol, wire.query("SELECT 1")) == Query("SELECT 1")


def test_copy_fail() -> None:
    protocol = started()
    protocol.copy_in_started()
    assert only(protocol, wire.message(b"f", b"sorry\0")) == CopyFail("sorry")


def test_query_inside_copy_is_fatal() -> None:
    protocol = started()
    protocol.copy_in_started()
    event = only(protocol, wire.query("SELECT 1"))
    assert sqlstate(event) == "08P01"
    assert isinstance(event, ConnectionBroken)
    assert event.error is not None
    assert event.error.message == "unexpected message type 0x51 during COPY from stdin"


def test_next_is_sync_looks_ahead() -> None:
    protocol = started()
    protocol.receive_data(wire.execute() + wire.SYNC)
    assert not protocol.next_is_sync()
    assert protocol.next_event() == Execute("", 0)
    assert protocol.next_is_sync()
    protocol.next_event()
    assert not protocol.next_is_sync()


def test_next_is_sync_across_chunks() -> None:
    protocol = started()
    data = wire.execute() + wire.SYNC
    for byte in data:
        protocol.receive_data(bytes([byte]))
    assert protocol.next_event() == Execute("", 0)
    assert protocol.next_is_sync()


# Random input

STATES = [
    ServerProtocol,
    started,
]
VALID = [
    wire.startup(user="u"),
    wire.request(5679),
    wire.query("SELECT 1"),
    wire.parse("SELECT $1", "s", (23,)),
    wire.bind((b"1",), (1,), (1,)),
    wire.execute("p", 3),
    wire.message(b"D", b"Sname\0"),
    wire.message(b"C", b"Pname\0"),
    wire.message(b"d", b"1\t2\n"),
    wire.COPY_DONE,
    wire.FLUSH,
    wire.SYNC,
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=8))))
    for _ in range(draw(st.integers(0, 4))):
        position = draw(st.integers(0, len(data) - 1))
        match draw(st.integers(0, 2)):
            case 0:
                data[position] = draw(st.integers(0, 255))
            case 1:
                del data[position : position + draw(st.integers(1, 8))]
            case _:
                data[position:position] = draw(st.binary(max_size=8))
        if not data:
            break
    return bytes(data)


@settings(max_examples=500)
@given(
    begin=st.sampled_from(STATES),
    data=st.one_of(st.binary(max_size=400), mutated()),
    signals=st.lists(st.integers(0, 5), max_size=10),
)
def test_any_bytes_in_any_state_give_events_or_an_end(
    begin: type[ServerProtocol], data: bytes, signals: list[int]
) -> None:
    protocol = begin()
    actions = [
        protocol.session_started,
        protocol.authentication_started,
        protocol.error_sent,
        protocol.copy_in_started,
        protocol.copy_in_ended,
        lambda: None,
    ]
    protocol.receive_data(data)
    steps = 0
    while True:
        protocol.next_is_sync()
        event = protocol.next_event()
        steps += 1
        assert steps <= len(data) + 2
        if event is None or isinstance(event, ConnectionBroken):
            break
        if signals and protocol.state is not ProtocolState.STARTUP:
            actions[signals.pop()]()
    assert protocol.pending_bytes <= len(data)
    if protocol.state is ProtocolState.CLOSED:
        assert protocol.next_event() is None
