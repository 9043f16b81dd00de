"""A fault-injecting wrapper around consensus, for tests: delays, lost requests, lost answers and
conflicts, drawn from a seeded generator.

A lost request and a lost answer look alike to the caller: both raise IndeterminateError, and the
former may even land later (`late_landing`), after the caller was told that the outcome is unknown.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.errors import DeterminateError, IndeterminateError, StorageError
from core.ids import ShardId, Timestamp
from persist.commit_point import CommitOutcome, CommitPoint, CommitProposal
from persist.consensus import SCAN_LIMIT, CompareAndSet, Consensus, VersionedData

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class FaultRates:
    """Probabilities of each fault, per operation, and the most event-loop turns one is delayed."""

    lost_request: float = 0.0
    lost_answer: float = 0.0
    late_landing: float = 0.0
    conflict: float = 0.0
    delay_turns: int = 0


class FaultInjector:
    """Decides the fate of each operation; counts what it did."""

    def __init__(self, rates: FaultRates, seed: int) -> None:
        self.rates = rates
        self._random = random.Random(seed)
        self._late: set[asyncio.Task[None]] = set()
        self.injected_count = 0

    async def write(self, operation: Callable[[], Awaitable[Result]]) -> Result:
        """Run a write, or fail it in one of the ways a real store does."""
        await self._delay()
        draw = self._random.random()
        for rate, fail in (
            (self.rates.conflict, self._conflict),
            (self.rates.lost_request, self._lose_request),
            (self.rates.late_landing, self._land_late),
            (self.rates.lost_answer, self._lose_answer),
        ):
            if draw < rate:
                self.injected_count += 1
                await fail(operation)
            draw -= rate
        result = await operation()
        await self._delay()
        return result

    async def read(self, operation: Callable[[], Awaitable[Result]]) -> Result:
        """Run a read after a delay."""
        await self._delay()
        return await operation()

    async def drain(self) -> None:
        """Wait for every write that lands late."""
        while self._late:
            await asyncio.wait(self._late)

    async def _delay(self) -> None:
        for _ in range(self._random.randint(0, self.rates.delay_turns)):
            await asyncio.sleep(0)

    async def _conflict(self, operation: Callable[[], Awaitable[Result]]) -> None:
        raise DeterminateError("injected: 40001 could not serialize access")

    async def _lose_request(self, operation: Callable[[], Awaitable[Result]]) -> None:
        raise IndeterminateError("injected: connection lost before the request arrived")

    async def _lose_answer(self, operation: Callable[[], Awaitable[Result]]) -> None:
        await operation()
        raise IndeterminateError("injected: connection lost before the answer arrived")

    async def _land_late(self, operation: Callable[[], Awaitable[Result]]) -> None:
        task = asyncio.create_task(self._run_late(operation), name="late write")
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        raise IndeterminateError("injected: connection lost, the request is still on its way")

    async def _run_late(self, operation: Callable[[], Awaitable[Result]]) -> None:
        for _ in range(self._random.randint(1, 20)):
            await asyncio.sleep(0)
        try:
            await operation()
        except StorageError:
            return  # nobody waits for it any more


class FaultyConsensus:
    """Implements `Consensus` over another one."""

    def __init__(self, inner: Consensus, faults: FaultInjector) -> None:
        self._inner = inner
        self._faults = faults

    async def head(self, shard: ShardId) -> VersionedData | None:
        return await self._faults.read(lambda: self._inner.head(shard))

    async def compare_and_set(self, change: CompareAndSet) -> bool:
        return await self._faults.write(lambda: self._inner.compare_and_set(change))

    async def compare_and_set_many(self, changes: Sequence[CompareAndSet]) -> bool:
        return await self._faults.write(lambda: self._inner.compare_and_set_many(changes))

    async def scan(
        self, shard: ShardId, from_seqno: int = 0, limit: int = SCAN_LIMIT
    ) -> list[VersionedData]:
        return await self._faults.read(lambda: self._inner.scan(shard, from_seqno, limit))

    async def truncate(self, shard: ShardId, seqno: int) -> int:
        return await self._faults.write(lambda: self._inner.truncate(shard, seqno))

    async def remove(self, shard: ShardId) -> None:
        await self._faults.write(lambda: self._inner.remove(shard))

    async def list_shards(self, after: ShardId | None = None, limit: int = 1000) -> list[ShardId]:
        return await self._faults.read(lambda: self._inner.list_shards(after, limit))


class FaultyCommitPoint:
    """Implements `CommitPoint` over another one."""

    def __init__(self, inner: CommitPoint, faults: FaultInjector) -> None:
        self._inner = inner
        self._faults = faults

    async def commit(self, proposal: CommitProposal) -> CommitOutcome:
        return await self._faults.write(lambda: self._inner.commit(proposal))

    async def write_ts(self) -> Timestamp:
        return await self._faults.read(self._inner.write_ts)
