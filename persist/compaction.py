"""Compaction: what to merge (a pure decision) and how (a merge in small slices).

Merging advances times to the since, adds up updates of the same row and time, and drops what
cancels. It is worth its cost in three cases: many batches of one size (each level is merged by the
fan-in, as in a log-structured merge tree), too many bytes inline, or so many retractions that half
the updates may cancel. Full-sized parts without retractions are never rewritten.

A merge reads at most `FAN_IN` streams at once, or as many as have `SMALL_MERGE_BYTES` together, a
stream being a sorted batch or one part of an unsorted one, so memory is bounded by parts and not by
tables; a larger merge happens in several rounds.
"""

import heapq
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable
from itertools import accumulate
from typing import Final

import msgspec

from core.ids import MIN_TIMESTAMP, Timestamp
from persist.batches import (
    PART_LIMIT_BYTES,
    Batch,
    BatchBuilder,
    BatchPart,
    UpdateChunk,
    read_part,
)
from persist.blob import Blob
from persist.metrics import COMPACTED_UPDATES
from persist.pacing import Pacer
from persist.shard_state import Merge, ShardBatch, ShardState

FAN_IN: Final = 8
SMALL_MERGE_BYTES: Final = 256 * 1024
SMALLEST_LEVEL_BYTES: Final = 4_096
INLINE_STATE_LIMIT_BYTES: Final = 65_536
LEAST_GARBAGE: Final = 64
GARBAGE_FRACTION: Final = 4  # one retraction in four: up to half of the updates cancel
SLICE_ROWS: Final = 2_048

Update = tuple[bytes, int, int]  # row, time, diff


class Source(msgspec.Struct, frozen=True):
    """A batch, or the parts of an unsorted one, that take part in a merge."""

    batch: ShardBatch
    part_indexes: tuple[int, ...]


class MergePlan(msgspec.Struct, frozen=True):
    """Merge `sources` with times advanced to `since`."""

    sources: tuple[Source, ...]
    since: Timestamp


def plan_merge(state: ShardState, since: Timestamp) -> MergePlan | None:
    """The next merge worth doing if times may be advanced to `since`; None if there is none."""
    since = max(since, state.since)
    batches = state.batches
    small = [batch for batch in batches if not _is_full(batch)]
    levels: dict[int, list[ShardBatch]] = {}
    for batch in small:
        levels.setdefault(_level(batch), []).append(batch)
    for level in sorted(levels):
        if len(levels[level]) >= FAN_IN:
            return _plan(levels[level], since)
    inline = [batch for batch in batches if batch.batch.inline_bytes]
    if sum(batch.batch.inline_bytes for batch in inline) > INLINE_STATE_LIMIT_BYTES:
        return _plan(inline, since)
    if _is_mostly_garbage(batches, since):
        return _plan(list(batches), since)
    return None


def awaits_since(state: ShardState) -> bool:
    """Whether a later since may allow a merge that the present one does not."""
    newest = max((batch.upper for batch in state.batches), default=MIN_TIMESTAMP)
    return plan_merge(state, newest) is not None


async def run_merge(blob: Blob, plan: MergePlan, prefix: str) -> Merge:
    """Do the merge and answer the command that installs it; parts written are the caller's to
    delete if the command is refused. Raises MissingPartError if a source is gone."""
    builder = BatchBuilder(blob, prefix)
    try:
        pacer = Pacer()
        async for row, ts, diff in _consolidated(blob, plan, pacer):
            builder.add(row, diff, Timestamp(ts))
            if builder.is_full:
                await builder.flush_full()
        merged = await builder.finish()
    except BaseException:
        await builder.abort()
        raise
    COMPACTED_UPDATES.inc(sum(_update_count(source) for source in plan.sources))
    return Merge(
        removed=tuple(source.batch.id for source in plan.sources),
        added=_replacements(plan, merged),
    )


def _is_full(batch: ShardBatch) -> bool:
    parts = batch.batch.parts
    return batch.batch.size_bytes >= len(parts) * PART_LIMIT_BYTES // 2


def _level(batch: ShardBatch) -> int:
    level, size = 0, batch.batch.size_bytes
    while size > SMALLEST_LEVEL_BYTES:
        size //= FAN_IN
        level += 1
    return level


def _is_mostly_garbage(batches: tuple[ShardBatch, ...], since: Timestamp) -> bool:
    """Whether so much may cancel that everything should be merged. Only what the since has passed
    counts; a single batch that was merged there holds nothing to cancel."""
    if len(batches) == 1 and batches[0].since >= batches[0].upper - 1:
        return False
    total = sum(batch.batch.update_count for batch in batches)
    garbage = sum(batch.retraction_count for batch in batches if batch.upper - 1 <= since)
    return garbage >= LEAST_GARBAGE and garbage * GARBAGE_FRACTION >= total


def _plan(batches: list[ShardBatch], since: Timestamp) -> MergePlan:
    """Merge the smallest `FAN_IN` streams of these batches, or more of them if they are small."""
    streams: list[tuple[int, ShardBatch, tuple[int, ...]]] = []
    for batch in batches:
        parts = batch.batch.parts
        if batch.is_sorted or len(parts) <= 1:
            streams.append((batch.batch.size_bytes, batch, tuple(range(len(parts)))))
        else:
            streams += [(part.size_bytes, batch, (i,)) for i, part in enumerate(parts)]
    streams.sort(key=lambda stream: stream[0])
    indexes: dict[int, tuple[ShardBatch, list[int]]] = {}
    sizes = accumulate(size for size, _, _ in streams)
    count = max(FAN_IN, bisect_right(list(sizes), SMALL_MERGE_BYTES))
    for _, batch, part_indexes in streams[:count]:
        indexes.setdefault(batch.id, (batch, []))[1].extend(part_indexes)
    sources = tuple(Source(batch, tuple(sorted(parts))) for batch, parts in indexes.values())
    return MergePlan(sources, since)


def _update_count(source: Source) -> int:
    return sum(source.batch.batch.parts[index].update_count for index in source.part_indexes)


def _replacements(plan: MergePlan, merged: Batch) -> tuple[ShardBatch, ...]:
    """The merged batch, and what remains of batches that took part with some of their parts."""
    added: list[ShardBatch] = []
    if merged.parts:
        added.append(
            ShardBatch(
                id=0,
                lower=min(source.batch.lower for source in plan.sources),
                upper=max(source.batch.upper for source in plan.sources),
                since=plan.since,
                batch=merged,
                is_sorted=True,
            )
        )
    for source in plan.sources:
        taken = set(source.part_indexes)
        parts = tuple(
            part for index, part in enumerate(source.batch.batch.parts) if index not in taken
        )
        if parts:
            count = sum(part.update_count for part in parts)
            rest = Batch(parts, count)
            added.append(msgspec.structs.replace(source.batch, batch=rest))
    return tuple(added)


async def _consolidated(blob: Blob, plan: MergePlan, pacer: Pacer) -> AsyncIterator[Update]:
    """The sum of all streams in order of row and time, without what cancels."""
    row, ts, total = b"", -1, 0
    count = 0
    async for update in _merged(blob, plan, pacer):
        if update[0] == row and update[1] == ts:
            total += update[2]
        else:
            if total:
                yield row, ts, total
            row, ts, total = update
        count += 1
        if count % SLICE_ROWS == 0:
            await pacer.pause()
    if total:
        yield row, ts, total


async def _merged(blob: Blob, plan: MergePlan, pacer: Pacer) -> AsyncIterator[Update]:
    """All streams in order of row and time: a heap of runs, each refilled part by part."""
    runs: list[_Run] = []
    for source in plan.sources:
        parts = [source.batch.batch.parts[index] for index in source.part_indexes]
        if source.batch.is_sorted:
            runs.append(_Run(blob, source.batch.ts, plan.since, parts))
            continue
        for part in parts:
            chunk = await read_part(blob, part)
            for begin in range(0, len(chunk.rows), SLICE_ROWS):
                run = _Run(blob, None, plan.since, [])
                run.updates = sorted(_updates(chunk, begin, source.batch.ts, plan.since))
                runs.append(run)
                await pacer.pause()
    heap: list[tuple[Update, int]] = []
    for index, run in enumerate(runs):
        if await run.refill():
            heap.append((run.updates[0], index))
    heapq.heapify(heap)
    while heap:
        update, index = heap[0]
        yield update
        run = runs[index]
        run.position += 1
        if run.position < len(run.updates) or await run.refill():
            heapq.heapreplace(heap, (run.updates[run.position], index))
        else:
            heapq.heappop(heap)


class _Run:
    """A sorted run of updates whose parts are read one after the other, in slices."""

    __slots__ = ("_blob", "_chunk", "_offset", "_parts", "_since", "_ts", "position", "updates")

    def __init__(
        self, blob: Blob, ts: Timestamp | None, since: Timestamp, parts: Iterable[BatchPart]
    ) -> None:
        self._blob = blob
        self._ts = ts
        self._since = since
        self._parts = iter(parts)
        self._chunk = UpdateChunk([])
        self._offset = 0
        self.updates: list[Update] = []
        self.position = 0

    async def refill(self) -> bool:
        """Read on until there is an update at `position`; False at the end of the run."""
        while self.position >= len(self.updates):
            if self._offset >= len(self._chunk.rows):
                part = next(self._parts, None)
                if part is None:
                    self.updates = []
                    return False
                self._chunk = await read_part(self._blob, part)
                self._offset = 0
            self.updates = _updates(self._chunk, self._offset, self._ts, self._since)
            self._offset += SLICE_ROWS
            self.position = 0
        return True


def _updates(
    chunk: UpdateChunk, begin: int, ts: Timestamp | None, since: Timestamp
) -> list[Update]:
    """One slice of a chunk, its times advanced to `since`."""
    rows = chunk.rows[begin : begin + SLICE_ROWS]
    count = len(rows)
    times = chunk.times if chunk.times is not None else ts
    assert times is not None, "a chunk without times stands in a batch with one"
    if isinstance(times, int):
        times = [max(times, since)] * count
    else:
        times = [max(time, since) for time in times[begin : begin + SLICE_ROWS]]
    diffs = chunk.diffs
    diffs = [diffs] * count if isinstance(diffs, int) else diffs[begin : begin + SLICE_ROWS]
    return list(zip(rows, times, diffs, strict=True))
