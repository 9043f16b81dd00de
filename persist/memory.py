"""Consensus and blobs in memory: the reference the contract suites compare with, and the store of
simulations. Each operation gives the event loop a turn, as a real one would, and then happens in
one step, so it is atomic."""

import asyncio
from collections.abc import Sequence

from core.errors import DeterminateError, FencedError
from core.ids import ShardId
from persist.blob import LIST_LIMIT, MAX_BLOB_BYTES
from persist.consensus import SCAN_LIMIT, CompareAndSet, Fence, VersionedData


class MemoryFences:
    """The epochs of environments, shared by every store of one simulated database."""

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}

    def take(self, environment: str) -> Fence:
        """The next epoch; holders of earlier ones are fenced from now on."""
        epoch = self._epochs.get(environment, 0) + 1
        self._epochs[environment] = epoch
        return Fence(environment, epoch)

    def epoch(self, environment: str) -> int:
        return self._epochs.get(environment, 0)

    def check(self, fence: Fence | None) -> None:
        """Raises FencedError unless `fence` is current."""
        if fence is None or self._epochs.get(fence.environment) != fence.epoch:
            raise FencedError("another process has taken over the environment")


class MemoryLogs:
    """The logs of all shards, shared by stores with different fences."""

    def __init__(self) -> None:
        self.logs: dict[ShardId, list[VersionedData]] = {}


class MemoryConsensus:
    """Implements `Consensus`."""

    def __init__(self, logs: MemoryLogs, fences: MemoryFences, fence: Fence | None) -> None:
        self._logs = logs.logs
        self._fences = fences
        self._fence = fence

    async def head(self, shard: ShardId) -> VersionedData | None:
        await asyncio.sleep(0)
        log = self._logs.get(shard)
        return log[-1] if log else None

    async def compare_and_set(self, change: CompareAndSet) -> bool:
        return await self.compare_and_set_many([change])

    async def compare_and_set_many(self, changes: Sequence[CompareAndSet]) -> bool:
        await asyncio.sleep(0)
        if not changes:
            return True
        creations = sum(change.expected_seqno is None for change in changes)
        if creations not in (0, len(changes)):
            raise ValueError("creations and moves cannot be mixed")
        if len({change.shard for change in changes}) != len(changes):
            raise ValueError("the shards of one statement must be distinct")
        self._fences.check(self._fence)
        if any(self._seqno(change.shard) != change.expected_seqno for change in changes):
            return False
        for change in changes:
            log = self._logs.setdefault(change.shard, [])
            log.append(VersionedData(change.seqno, change.data))
        return True

    async def scan(
        self, shard: ShardId, from_seqno: int = 0, limit: int = SCAN_LIMIT
    ) -> list[VersionedData]:
        await asyncio.sleep(0)
        log = self._logs.get(shard, [])
        return [entry for entry in log if entry.seqno >= from_seqno][:limit]

    async def truncate(self, shard: ShardId, seqno: int) -> int:
        await asyncio.sleep(0)
        self._fences.check(self._fence)
        head = self._seqno(shard)
        if head is None or head < seqno:
            raise DeterminateError(f"cannot truncate {shard} past its head to {seqno}")
        log = self._logs[shard]
        kept = [entry for entry in log if entry.seqno >= seqno]
        self._logs[shard] = kept
        return len(log) - len(kept)

    async def remove(self, shard: ShardId) -> None:
        await asyncio.sleep(0)
        self._fences.check(self._fence)
        self._logs.pop(shard, None)

    async def list_shards(self, after: ShardId | None = None, limit: int = 1000) -> list[ShardId]:
        await asyncio.sleep(0)
        return sorted(shard for shard in self._logs if after is None or shard > after)[:limit]

    def _seqno(self, shard: ShardId) -> int | None:
        log = self._logs.get(shard)
        return log[-1].seqno if log else None


class MemoryBlob:
    """Implements `Blob`."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        return self._values.get(key)

    async def set(self, key: str, value: bytes) -> None:
        await asyncio.sleep(0)
        if len(value) > MAX_BLOB_BYTES:
            raise DeterminateError(f"a blob of {len(value)} bytes is too large")
        self._values.setdefault(key, value)

    async def delete(self, keys: list[str]) -> None:
        await asyncio.sleep(0)
        for key in keys:
            self._values.pop(key, None)

    async def list(self, prefix: str, after: str = "", limit: int = LIST_LIMIT) -> list[str]:
        await asyncio.sleep(0)
        found = (key for key in self._values if key.startswith(prefix) and key > after)
        return sorted(found)[:limit]
