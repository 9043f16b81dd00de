"""Sharing one event loop among many queries: work in slices, everything else in between.

Work that has more to do than fits a slice joins the queue; each turn of the loop runs one slice,
then lets sockets and timers have their say. A slice ends at its deadline; work is expected to look
at the clock between bounded steps.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Final

SLICE_S: Final = 0.002
FIRST_SLICE_S: Final = 0.001


class Scheduler:
    """Runs queued slices one a loop turn, first come first served."""

    def __init__(self) -> None:
        self._queue: deque[Callable[[], None]] = deque()
        self._is_scheduled = False
        self._loop = asyncio.get_running_loop()

    def enqueue(self, slice_of_work: Callable[[], None]) -> None:
        """Call `slice_of_work` when it is its turn. It must not raise."""
        self._queue.append(slice_of_work)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._turn)

    async def turn(self) -> None:
        """Wait for this task's turn to run a slice."""
        ready = self._loop.create_future()
        self.enqueue(lambda: None if ready.done() else ready.set_result(None))
        await ready

    async def run(self, steps: Iterator[object]) -> None:
        """Exhaust `steps` in slices."""
        deadline = perf_counter() + FIRST_SLICE_S
        for _ in steps:
            if perf_counter() > deadline:
                await self.turn()
                deadline = perf_counter() + SLICE_S

    def work_off(self, steps: Iterator[object]) -> None:
        """Exhaust `steps` in slices, without anybody waiting for it. They must not raise."""

        def work() -> None:
            deadline = perf_counter() + SLICE_S
            for _ in steps:
                if perf_counter() > deadline:
                    self.enqueue(work)
                    return

        self.enqueue(work)

    def _turn(self) -> None:
        slice_of_work = self._queue.popleft()
        if self._queue:
            self._loop.call_soon(self._turn)
        else:
            self._is_scheduled = False
        slice_of_work()
