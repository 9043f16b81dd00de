"""Long work in short slices, so that the event loop goes on serving others."""

import asyncio
import time
from typing import Final

SLICE_S: Final = 0.002


class Pacer:
    """Call `pause` often: after each slice of work it gives the event loop as much time again."""

    __slots__ = ("_slice_end",)

    def __init__(self) -> None:
        self._slice_end = time.perf_counter() + SLICE_S

    async def pause(self) -> None:
        if time.perf_counter() >= self._slice_end:
            await asyncio.sleep(SLICE_S)
            self._slice_end = time.perf_counter() + SLICE_S
