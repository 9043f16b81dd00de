"""Concurrent `read_ts` calls share one round trip.

A call joins the batch that has *not yet been sent*; while one is under way, later calls collect for
the next. So every answer comes from a round trip that started after its call, and nothing is cached
across calls.
"""

import asyncio
from typing import Final

from core.errors import StorageError
from core.ids import Timestamp
from oracle.metrics import BATCHED_OPS, BATCHES
from oracle.oracle import ReadTimestamp, TimestampOracle, WriteTimestamp

_BATCHED: Final = BATCHED_OPS.labels("read_ts")
_BATCHES: Final = BATCHES.labels("read_ts")


class BatchingOracle:
    """Implements `TimestampOracle` over another one. Call `close` to stop its task."""

    def __init__(self, inner: TimestampOracle) -> None:
        self._inner = inner
        self._waiting: list[asyncio.Future[ReadTimestamp]] = []
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="oracle read_ts batching")

    async def write_ts(self) -> WriteTimestamp:
        return await self._inner.write_ts()

    async def peek_write_ts(self) -> Timestamp:
        return await self._inner.peek_write_ts()

    async def apply_write(self, ts: Timestamp, *, is_catalog_change: bool = False) -> None:
        await self._inner.apply_write(ts, is_catalog_change=is_catalog_change)

    async def read_ts(self) -> ReadTimestamp:
        future: asyncio.Future[ReadTimestamp] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._wake.set()
        return await future

    async def close(self) -> None:
        """Stop; calls that wait are cancelled."""
        self._task.cancel()
        await asyncio.wait([self._task])
        for future in self._waiting:
            future.cancel()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            _BATCHES.inc()
            _BATCHED.inc(len(batch))
            try:
                answer = await self._inner.read_ts()
            except StorageError as error:
                _fail(batch, error)
            except BaseException:
                for future in batch:
                    future.cancel()
                raise
            else:
                for future in batch:
                    if not future.done():
                        future.set_result(answer)


def _fail(batch: list[asyncio.Future[ReadTimestamp]], error: StorageError) -> None:
    for future in batch:
        if not future.done():
            future.set_exception(type(error)(*error.args))
