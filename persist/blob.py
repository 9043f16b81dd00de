"""The blob store: immutable values by key, for batch parts too large to stand in consensus.

A key is written once and never changed; deleting a missing key is no error. Keys are
`{shard}/{epoch}/{unique}` (see `persist.batches.part_prefix`), so that a shard's parts can be
listed and parts of fenced writers told apart.
"""

from typing import Final, Protocol

MAX_BLOB_BYTES: Final = 64 * 1024 * 1024
LIST_LIMIT: Final = 1000


class Blob(Protocol):
    """All methods raise `DeterminateError` or `IndeterminateError`; as every operation here is
    idempotent, callers may simply try again."""

    async def get(self, key: str) -> bytes | None:
        """The value; None if there is none."""
        ...

    async def set(self, key: str, value: bytes) -> None:
        """Store a value durably before returning."""
        ...

    async def delete(self, keys: list[str]) -> None:
        """Delete these keys where they exist."""
        ...

    async def list(self, prefix: str, after: str = "", limit: int = LIST_LIMIT) -> list[str]:
        """A page of the keys that begin with `prefix`, in order, beginning past `after`."""
        ...
