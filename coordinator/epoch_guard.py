"""Ends the process when the oracle tells of a higher epoch.

Every batched oracle answer carries the environment's newest epoch, so a process that was taken
over learns of it with its first read, before its next commit is refused.
"""

from collections.abc import Callable

from core.errors import FencedError
from core.ids import Timestamp
from oracle.oracle import ReadTimestamp, TimestampOracle, WriteTimestamp


class EpochGuard:
    """Implements `TimestampOracle` over another one; `on_fenced` is called once."""

    def __init__(
        self, inner: TimestampOracle, epoch: int, on_fenced: Callable[[FencedError], None]
    ) -> None:
        self._inner = inner
        self._epoch = epoch
        self._on_fenced = on_fenced
        self._is_fenced = False

    async def write_ts(self) -> WriteTimestamp:
        return await self._inner.write_ts()

    async def peek_write_ts(self) -> Timestamp:
        return await self._inner.peek_write_ts()

    async def apply_write(self, ts: Timestamp, *, is_catalog_change: bool = False) -> None:
        await self._inner.apply_write(ts, is_catalog_change=is_catalog_change)

    async def read_ts(self) -> ReadTimestamp:
        """As the inner oracle's. Raises FencedError after a takeover."""
        answer = await self._inner.read_ts()
        if answer.epoch == self._epoch:
            return answer
        error = FencedError(f"epoch {answer.epoch} has taken over from epoch {self._epoch}")
        if not self._is_fenced:
            self._is_fenced = True
            self._on_fenced(error)
        raise error
