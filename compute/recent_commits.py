"""The commits of the last while, so that a snapshot at a read's time can be brought up to now."""

from collections import deque
from typing import Final

from core.ids import ShardId, Timestamp
from persist.batches import Batch
from persist.txns_state import CommitRecord

MAX_COMMITS: Final = 8192
MAX_BYTES: Final = 32 * 1024 * 1024

Commit = tuple[Timestamp, list[Batch]]
Writes = dict[ShardId, list[Batch]]


class RecentCommits:
    """All commits from `complete_from` on that wrote anything, in order."""

    def __init__(self, complete_from: Timestamp) -> None:
        self.complete_from = complete_from
        self._commits: deque[tuple[Timestamp, Writes, int]] = deque()
        self._size_bytes = 0

    def add(self, record: CommitRecord) -> Writes:
        """Remember a commit; returns its batches by shard."""
        writes: Writes = {}
        for write in record.writes:
            writes.setdefault(write.shard, []).append(write.batch)
        if not writes:
            return writes
        size = sum(write.batch.inline_bytes for write in record.writes)
        self._commits.append((record.ts, writes, size))
        self._size_bytes += size
        while len(self._commits) > MAX_COMMITS or self._size_bytes > MAX_BYTES:
            forgotten, _, size = self._commits.popleft()
            self._size_bytes -= size
            self.complete_from = Timestamp(forgotten + 1)
        return writes

    def after(self, ts: Timestamp, shard: ShardId) -> list[Commit]:
        """The remembered writes to `shard` after `ts`."""
        return [
            (time, writes[shard])
            for time, writes, _ in self._commits
            if time > ts and shard in writes
        ]

    def restart(self, complete_from: Timestamp) -> None:
        """Commits before `complete_from` were missed: forget all."""
        self._commits.clear()
        self._size_bytes = 0
        self.complete_from = complete_from
