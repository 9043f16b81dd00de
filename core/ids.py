"""Identifiers and times that cross package boundaries.

A `Timestamp` is virtual time in microseconds since the Unix epoch; only the oracle hands it out.
A `GlobalId` names a catalog object: `u17` (user), `s23` (system), `t4` (temporary).
A `ShardId` names a persist shard: `s` and a UUID.
"""

import uuid
from typing import Final, NewType

Timestamp = NewType("Timestamp", int)
GlobalId = NewType("GlobalId", str)
ShardId = NewType("ShardId", str)
Epoch = NewType("Epoch", int)

MIN_TIMESTAMP: Final = Timestamp(0)
MAX_TIMESTAMP: Final = Timestamp(2**63 - 1)


def new_shard_id() -> ShardId:
    """A shard id that has never been used."""
    return ShardId(f"s{uuid.uuid4()}")


def next_timestamp(timestamp: Timestamp) -> Timestamp:
    """The least time after `timestamp`."""
    return Timestamp(timestamp + 1)
