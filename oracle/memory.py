"""The timestamp oracle in memory: the contract suites' reference and the oracle of simulations."""

from dataclasses import dataclass

from core.clock import Clock, wait_for_clock
from core.ids import MIN_TIMESTAMP, Epoch, Timestamp
from oracle.oracle import ReadTimestamp, WriteTimestamp
from persist.consensus import Fence
from persist.memory import MemoryFences


@dataclass(slots=True)
class MemoryTimeline:
    """The state that the oracles of one simulated database share."""

    read_ts: Timestamp = MIN_TIMESTAMP
    write_ts: Timestamp = MIN_TIMESTAMP
    catalog_ts: Timestamp = MIN_TIMESTAMP


class MemoryOracle:
    """Implements `TimestampOracle`."""

    def __init__(
        self, timeline: MemoryTimeline, fences: MemoryFences, fence: Fence, clock: Clock
    ) -> None:
        self._timeline = timeline
        self._fences = fences
        self._fence = fence
        self._clock = clock

    async def write_ts(self) -> WriteTimestamp:
        self._fences.check(self._fence)
        timestamp = Timestamp(max(self._timeline.write_ts + 1, self._clock()))
        self._timeline.write_ts = timestamp
        await wait_for_clock(timestamp, self._clock)
        return WriteTimestamp(timestamp, Timestamp(timestamp + 1))

    async def peek_write_ts(self) -> Timestamp:
        return self._timeline.write_ts

    async def read_ts(self) -> ReadTimestamp:
        epoch = Epoch(self._fences.epoch(self._fence.environment))
        return ReadTimestamp(self._timeline.read_ts, self._timeline.catalog_ts, epoch)

    async def apply_write(self, ts: Timestamp, *, is_catalog_change: bool = False) -> None:
        self._fences.check(self._fence)
        timeline = self._timeline
        timeline.write_ts = max(timeline.write_ts, ts)
        timeline.read_ts = max(timeline.read_ts, ts)
        if is_catalog_change:
            timeline.catalog_ts = max(timeline.catalog_ts, ts)
