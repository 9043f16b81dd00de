"""Errors in data, as rows of a shard.

A maintained collection is a multiset of rows and, beside it, one of errors: what evaluating some
row raised. While an error is among them a read of the collection fails with it; it heals when the
row that caused it goes. Both stand in the same shard, with the same times and differences, so that
an error is durable, exact and compacted like any row, and readers elsewhere see it too.

A row's canonical encoding is a msgpack array; an error is a msgpack map, so one byte tells them
apart. Only what names an error (`Errors` counts by it) is kept: an error retracted later has
exactly the encoding it was added with.
"""

from typing import Final

import msgspec

from core.errors import SqlError

_MAP_BITS: Final = 0xF0
_SMALL_MAP: Final = 0x80


class _DataError(msgspec.Struct, frozen=True):
    sqlstate: str
    message: str


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_DataError)


def encode_error(error: SqlError) -> bytes:
    """The error's form in a shard."""
    return _ENCODER.encode(_DataError(error.sqlstate, error.message))


def is_error(encoded: bytes) -> bool:
    """Whether this is an error's form and not a row's."""
    return encoded[0] & _MAP_BITS == _SMALL_MAP


def decode_error(encoded: bytes) -> SqlError:
    """The inverse of `encode_error`."""
    found = _DECODER.decode(encoded)
    return SqlError(found.sqlstate, found.message)
