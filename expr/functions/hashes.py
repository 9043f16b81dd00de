"""Hashes and message digests."""

import hashlib
import hmac
import zlib
from functools import partial
from typing import Final

from core.errors import INVALID_PARAMETER_VALUE, SqlError
from expr.registry import define

_ALGORITHMS: Final = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
_MURMUR_SEED: Final = 0x9747B28C  # Kafka's
_MURMUR_FACTOR: Final = 0x5BD1E995


def _hash(algorithm: str, value: bytes) -> bytes:
    return hashlib.new(algorithm, value).digest()


def _algorithm(name: str) -> str:
    if name.lower() not in _ALGORITHMS:
        raise SqlError(INVALID_PARAMETER_VALUE, f'Cannot use "{name}": No such hash algorithm')
    return name.lower()


def _digest(value: bytes, name: str) -> bytes:
    return _hash(_algorithm(name), value)


def _hmac(value: bytes, key: bytes, name: str) -> bytes:
    return hmac.digest(key, value, _algorithm(name))


def murmur2(value: bytes) -> int:
    """The 32-bit murmur2 hash by which Kafka chooses partitions, without its sign bit."""
    mask = 0xFFFF_FFFF
    state = (_MURMUR_SEED ^ len(value)) & mask
    whole = len(value) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(value[start : start + 4], "little") * _MURMUR_FACTOR & mask
        word = (word ^ word >> 24) * _MURMUR_FACTOR & mask
        state = state * _MURMUR_FACTOR & mask ^ word
    if whole < len(value):
        state = (state ^ int.from_bytes(value[whole:], "little")) * _MURMUR_FACTOR & mask
    state = (state ^ state >> 13) * _MURMUR_FACTOR & mask
    return (state ^ state >> 15) & 0x7FFF_FFFF


def _define_all() -> None:
    define("md5(text)", "text", lambda v: _hash("md5", v.encode()).hex())
    define("md5(bytea)", "text", lambda v: _hash("md5", v).hex())
    for name in _ALGORITHMS[2:]:
        define(f"{name}(bytea)", "bytea", partial(_hash, name))
    define("digest(text,text)", "bytea", lambda v, name: _digest(v.encode(), name))
    define("digest(bytea,text)", "bytea", _digest)
    define(
        *("hmac(text,text,text)", "bytea"),
        lambda v, key, name: _hmac(v.encode(), key.encode(), name),
    )
    define("hmac(bytea,bytea,text)", "bytea", _hmac)
    define("crc32(text)", "int8", lambda v: zlib.crc32(v.encode()))
    define("crc32(bytea)", "int8", zlib.crc32)
    define("kafka_murmur2(text)", "int4", lambda v: murmur2(v.encode()))
    define("kafka_murmur2(bytea)", "int4", murmur2)


_define_all()
