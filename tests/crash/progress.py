"""How far clients have come, for whoever waits before the next fault."""

import asyncio
from typing import Final

RECOVERY_TIMEOUT_S: Final = 60.0


class Progress:
    """A count that only grows."""

    def __init__(self) -> None:
        self.count = 0
        self._waiters: dict[asyncio.Event, int] = {}

    def advance(self) -> None:
        self.count += 1
        for event, count in self._waiters.items():
            if self.count >= count:
                event.set()

    async def wait_for_more(self, count: int) -> None:
        """Until `count` more steps were made. Raises TimeoutError when nothing moves."""
        event = asyncio.Event()
        self._waiters[event] = self.count + count
        try:
            async with asyncio.timeout(RECOVERY_TIMEOUT_S):
                await event.wait()
        finally:
            del self._waiters[event]
