"""The storage controller: destroys the shards of dropped collections, in its own task.

A shard is finalized only when all of this holds, so that no reader can miss it and no live shard
can be hit:

- its drop was committed, and recorded as `unfinalized_shard` in the same commit;
- no collection of the newest catalog names it;
- every since has passed the drop, so that no read from before it is running or can start;
- the txns shard has forgotten it, durably.

Only then is its row removed from the catalog. All steps may be repeated after a crash.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

import structlog
from prometheus_client import Counter, Gauge

from controllers.storage_collections import StorageCollections
from core.errors import DeterminateError, FencedError, IndeterminateError
from core.ids import ShardId, Timestamp

ROUND_S: Final = 1.0
MAX_AT_ONCE: Final = 8
MAX_PER_ROUND: Final = 256

_log = structlog.get_logger("headwater.storage")
_WAITING: Final = Gauge("mz_unfinalized_shards", "Dropped shards that wait for finalization.")
_FINALIZED: Final = Counter("mz_finalized_shards", "Shards finalized by this process.")


class TxnsFrontier(Protocol):
    """What the controller needs of `persist.txn_wal.TxnsWriter`."""

    def is_registered(self, shard: ShardId) -> bool: ...

    async def wait_tidied(self, ts: Timestamp) -> None: ...


class StorageController:
    """`run` is its task; `finalize` is called from the event loop's thread.

    `destroy` finalizes one shard, `forget` removes rows of finalized ones from the catalog, and
    `live_shards` gives the shards that the newest catalog names.
    """

    def __init__(
        self,
        collections: StorageCollections,
        txns: TxnsFrontier,
        *,
        destroy: Callable[[ShardId], Awaitable[None]],
        forget: Callable[[tuple[ShardId, ...]], Awaitable[None]],
        live_shards: Callable[[], frozenset[ShardId]],
    ) -> None:
        self._collections = collections
        self._txns = txns
        self._destroy = destroy
        self._forget = forget
        self._live_shards = live_shards
        self._dropped: dict[ShardId, Timestamp] = {}
        self._wake = asyncio.Event()

    def finalize(self, shards: Iterable[ShardId], dropped_at: Timestamp) -> None:
        """Destroy these shards once it is safe; they were dropped at `dropped_at` at the latest."""
        for shard in shards:
            self._dropped.setdefault(shard, dropped_at)
        _WAITING.set(len(self._dropped))
        self._wake.set()

    async def run(self) -> None:
        """Finalize until cancelled. Raises FencedError, IndeterminateError."""
        while True:
            await self._wait()
            ready = self._ready()
            if ready:
                await self._finalize_all(ready)

    async def _wait(self) -> None:
        """Until something was dropped, then a round's time for it to become safe."""
        if not self._dropped:
            self._wake.clear()
            await self._wake.wait()
        await asyncio.sleep(ROUND_S)

    def _ready(self) -> list[tuple[ShardId, Timestamp]]:
        since = self._collections.since()
        old = [(shard, ts) for shard, ts in self._dropped.items() if ts < since]
        if not old:
            return []
        live = self._live_shards()
        for shard, _ in old:
            if shard in live:
                raise AssertionError(f"the live shard {shard} was to be finalized")
        return old[:MAX_PER_ROUND]

    async def _finalize_all(self, ready: list[tuple[ShardId, Timestamp]]) -> None:
        await self._txns.wait_tidied(max(ts for _, ts in ready))
        permits = asyncio.Semaphore(MAX_AT_ONCE)
        done: list[ShardId] = []

        async def one(shard: ShardId) -> None:
            async with permits:
                if self._txns.is_registered(shard):
                    return  # its forgetting is in a commit that is not known yet
                try:
                    await self._destroy(shard)
                except FencedError:
                    raise
                except (DeterminateError, IndeterminateError) as error:
                    _log.warning("could not finalize a shard", shard=shard, error=str(error))
                else:
                    done.append(shard)

        async with asyncio.TaskGroup() as group:
            for shard, _ in ready:
                group.create_task(one(shard), name=f"finalize {shard}")
        if not done:
            return
        await self._forget(tuple(done))
        for shard in done:
            del self._dropped[shard]
        _FINALIZED.inc(len(done))
        _WAITING.set(len(self._dropped))
