"""Batches of updates: how rows travel from whoever made them into a shard.

A batch is an ordered list of parts; a part is one encoded `UpdateChunk`, inline while small, a blob
when large. Rows are opaque canonical bytes. A chunk whose `times` is None takes the time of the
commit that carries it, so staged data can be committed at a time chosen later.

A builder's blobs are owned by nobody until the batch is committed: `abort` deletes them, and what a
killed builder leaves behind is found by the sweep (`persist.garbage`), which knows a fenced epoch's
parts by their key.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from core.errors import DeterminateError
from core.ids import ShardId, Timestamp
from persist.blob import Blob

INLINE_LIMIT_BYTES: Final = 16_384
PART_LIMIT_BYTES: Final = 4 * 1024 * 1024
ROW_OVERHEAD_BYTES: Final = 40  # what a row costs in memory and time, however short it is


class UpdateChunk(msgspec.Struct, array_like=True):
    """Updates in columns. `diffs`: one for all rows, or one each. `times`: None (the time of the
    commit that carries the chunk), one for all rows, or one each."""

    rows: list[bytes]
    diffs: int | list[int] = 1
    times: int | list[int] | None = None


class BatchPart(msgspec.Struct, frozen=True, array_like=True):
    """One encoded chunk: exactly one of `inline` and `key` (a blob) is set. `retraction_count` is
    how many of its updates have a negative diff."""

    inline: bytes | None
    key: str | None
    size_bytes: int
    update_count: int
    retraction_count: int = 0


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Parts in the order they were written; no order or consolidation among the updates."""

    parts: tuple[BatchPart, ...]
    update_count: int

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts)

    @property
    def inline_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts if part.key is None)

    @property
    def keys(self) -> tuple[str, ...]:
        """The blobs this batch refers to."""
        return tuple(part.key for part in self.parts if part.key is not None)


class MissingPartError(DeterminateError):
    """A blob that a batch names is gone: the batch was compacted away under a reader without a hold
    or lease. Reading the shard's newest state again helps."""


EMPTY_BATCH: Final = Batch((), 0)
_CHUNK_ENCODER: Final = msgspec.msgpack.Encoder()
_CHUNK_DECODER: Final = msgspec.msgpack.Decoder(UpdateChunk)


def encode_chunk(chunk: UpdateChunk) -> bytes:
    return _CHUNK_ENCODER.encode(chunk)


def decode_chunk(data: bytes) -> UpdateChunk:
    """Raises msgspec.DecodeError if `data` is no chunk."""
    return _CHUNK_DECODER.decode(data)


def part_prefix(shard: ShardId, epoch: int) -> str:
    """The prefix of the blob keys of `shard` that the holder of `epoch` writes."""
    return f"{shard}/{epoch:010d}/"


def inline_batch(rows: Sequence[tuple[bytes, int]]) -> Batch:
    """A batch of (row, diff) that stands inline whatever its size: for small writes."""
    diffs = [diff for _, diff in rows]
    return inline_chunk_batch(UpdateChunk([row for row, _ in rows], _uniform(diffs)))


def inline_chunk_batch(chunk: UpdateChunk) -> Batch:
    """One inline part holding `chunk`; the empty batch if it has no rows."""
    if not chunk.rows:
        return EMPTY_BATCH
    data = encode_chunk(chunk)
    count = len(chunk.rows)
    part = BatchPart(data, None, len(data), count, _retractions(chunk))
    return Batch((part,), count)


async def store_chunk(blob: Blob, prefix: str, chunk: UpdateChunk) -> Batch:
    """One part holding `chunk`: inline if it is small, else a blob."""
    batch = inline_chunk_batch(chunk)
    if batch.size_bytes <= INLINE_LIMIT_BYTES:
        return batch
    (part,) = batch.parts
    key = f"{prefix}{uuid.uuid4().hex}"
    assert part.inline is not None
    await blob.set(key, part.inline)
    stored = BatchPart(None, key, part.size_bytes, part.update_count, part.retraction_count)
    return Batch((stored,), batch.update_count)


class BatchBuilder:
    """Collects rows and spills parts of at most about `part_limit_bytes` to the blob store; a batch
    that stays under `inline_limit_bytes` needs no blob at all.

    `add` is synchronous: call `flush_full` after each slice of rows so that memory stays bounded.
    One part is being stored while the next fills. A builder must be finished or aborted.
    """

    def __init__(
        self,
        blob: Blob,
        prefix: str,
        *,
        inline_limit_bytes: int = INLINE_LIMIT_BYTES,
        part_limit_bytes: int = PART_LIMIT_BYTES,
    ) -> None:
        self._blob = blob
        self._prefix = prefix
        self._inline_limit_bytes = inline_limit_bytes
        self._part_limit_bytes = part_limit_bytes
        self._rows: list[bytes] = []
        self._diffs: list[int] = []
        self._times: list[int] = []
        self._pending_bytes = 0
        self._parts: list[BatchPart] = []
        self._keys: list[str] = []  # every blob begun, so that abort misses none
        self._update_count = 0
        self._storing: asyncio.Task[None] | None = None

    def add(self, row: bytes, diff: int, ts: Timestamp | None = None) -> None:
        """Add one update. Either every update of a batch has a `ts` or none has."""
        self._rows.append(row)
        self._diffs.append(diff)
        if ts is not None:
            self._times.append(ts)
        self._pending_bytes += len(row) + ROW_OVERHEAD_BYTES

    @property
    def is_full(self) -> bool:
        """Whether `flush_full` would write."""
        return self._pending_bytes >= self._part_limit_bytes

    async def flush_full(self) -> None:
        """Write a part to the blob store if enough rows are waiting."""
        if self.is_full:
            await self._write_part()

    async def finish(self) -> Batch:
        """The batch of everything added; the builder is done."""
        if self._rows:
            if not self._parts and self._pending_bytes <= self._inline_limit_bytes:
                return inline_chunk_batch(self._take_chunk())
            await self._write_part()
        await self._await_stored()
        return Batch(tuple(self._parts), self._update_count)

    async def abort(self) -> None:
        """Delete the blobs written so far; the builder is done.

        A blob on its way is waited for: cancelled, it could land after its deletion."""
        self._rows, self._diffs, self._times = [], [], []
        if self._storing is not None:
            await asyncio.gather(self._storing, return_exceptions=True)
        if self._keys:
            await self._blob.delete(self._keys)

    def _take_chunk(self) -> UpdateChunk:
        times = _uniform(self._times) if self._times else None
        chunk = UpdateChunk(self._rows, _uniform(self._diffs), times)
        self._rows, self._diffs, self._times = [], [], []
        self._pending_bytes = 0
        return chunk

    async def _write_part(self) -> None:
        chunk = self._take_chunk()
        data = encode_chunk(chunk)
        key = f"{self._prefix}{uuid.uuid4().hex}"
        await self._await_stored()
        self._keys.append(key)
        self._storing = asyncio.create_task(self._blob.set(key, data), name="store batch part")
        count = len(chunk.rows)
        self._parts.append(BatchPart(None, key, len(data), count, _retractions(chunk)))
        self._update_count += count

    async def _await_stored(self) -> None:
        if self._storing is not None:
            await asyncio.shield(self._storing)
            self._storing = None


async def read_part(blob: Blob, part: BatchPart) -> UpdateChunk:
    """The part's chunk. Raises MissingPartError if its blob is gone."""
    if part.inline is not None:
        return decode_chunk(part.inline)
    assert part.key is not None
    data = await blob.get(part.key)
    if data is None:
        raise MissingPartError(f"batch part {part.key} does not exist")
    return decode_chunk(data)


async def read_batch(blob: Blob, batch: Batch) -> AsyncIterator[UpdateChunk]:
    """The batch's chunks, one part in memory at a time. Raises MissingPartError."""
    for part in batch.parts:
        yield await read_part(blob, part)


def _uniform(values: list[int]) -> int | list[int]:
    first = values[0] if values else 1
    return first if values.count(first) == len(values) else values


def _retractions(chunk: UpdateChunk) -> int:
    if isinstance(chunk.diffs, int):
        return len(chunk.rows) if chunk.diffs < 0 else 0
    return sum(1 for diff in chunk.diffs if diff < 0)
