"""Jittered exponential backoff, bounded in step and in total."""

import asyncio
import random
import time
from typing import Final

FIRST_DELAY_S: Final = 0.002
LARGEST_DELAY_S: Final = 1.0


class Backoff:
    """Delays for one operation that is tried again: each is drawn from [half, whole] of a step
    that doubles up to `LARGEST_DELAY_S`. `is_exhausted` tells when `deadline_s` has passed."""

    __slots__ = ("_deadline", "_random", "_step_s", "attempts")

    def __init__(self, deadline_s: float, *, source: random.Random | None = None) -> None:
        self._random = source
        self._step_s = FIRST_DELAY_S
        self._deadline = time.monotonic() + deadline_s
        self.attempts = 0

    @property
    def is_exhausted(self) -> bool:
        return time.monotonic() >= self._deadline

    async def wait(self) -> None:
        """Sleep for the next delay."""
        self.attempts += 1
        if self._random is None:  # seeding costs more than most operations that never wait
            self._random = random.Random()
        delay_s = self._step_s * self._random.uniform(0.5, 1.0)
        self._step_s = min(self._step_s * 2, LARGEST_DELAY_S)
        await asyncio.sleep(delay_s)
