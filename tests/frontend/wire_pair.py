"""Headwater and a real PostgreSQL behind two raw connections that are told the same bytes."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from headwater.embedded_postgres import PostgresAddress
from tests.robustness.raw_client import Message, RawClient
from tests.running_server import HeadwaterServer

# What a server says of itself, and when it pleases.
_OWN_WORDS = frozenset("SKN")
_COMPARED_FIELDS = "SCMP"


@dataclass(frozen=True)
class WirePair:
    """Two logged-in connections."""

    ours: RawClient
    theirs: RawClient

    def both(self, *script: bytes, rounds: int = 1) -> tuple[list[object], list[object]]:
        """The answers of both to a script with that many ReadyForQuery, ready to be compared."""
        answers = []
        for client in (self.ours, self.theirs):
            client.send(b"".join(script))
            received = [m for _ in range(rounds) for m in client.until_ready()]
            answers.append(comparable(received))
        return answers[0], answers[1]

    def close(self) -> None:
        for client in (self.ours, self.theirs):
            client.close()


def open_pair(server: HeadwaterServer, postgres: PostgresAddress) -> WirePair:
    socket = postgres.socket_directory / f".s.PGSQL.{postgres.port}"
    theirs = RawClient(socket).log_in({"user": postgres.user, "database": "postgres"})
    return WirePair(RawClient(server.sql_port).log_in(), theirs)


def comparable(messages: Iterable[Message]) -> list[object]:
    """Messages without what may differ: object ids of tables, words of hints, source lines."""
    return [_comparable(message) for message in messages if message.tag not in _OWN_WORDS]


def _comparable(message: Message) -> object:
    match message.tag:
        case "E":
            fields = message.fields
            return ("E", {name: fields.get(name) for name in _COMPARED_FIELDS})
        case "T":
            return ("T", _described(message.payload))
        case _:
            return tuple(message)


def _described(payload: bytes) -> list[object]:
    """(name, type, size, modifier, format) of each column."""
    columns: list[object] = []
    position = 2
    for _ in range(struct.unpack_from("!h", payload)[0]):
        end = payload.index(b"\0", position)
        _, _, oid, size, modifier, code = struct.unpack_from("!ihihih", payload, end + 1)
        columns.append((payload[position:end].decode(), oid, size, modifier, code))
        position = end + 19
    return columns
