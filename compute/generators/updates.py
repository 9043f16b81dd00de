"""The updates that generators make."""

from typing import NamedTuple

from core.rows import Row

POSTGRES_EPOCH_US = 946_684_800_000_000


class GeneratedUpdate(NamedTuple):
    """A row of the output of that name, added or taken away."""

    output: str
    row: Row
    diff: int = 1


def timestamp(unix_us: int) -> int:
    """A moment as timestamptz holds it."""
    return unix_us - POSTGRES_EPOCH_US
