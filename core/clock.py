"""Wall-clock time as the rest of Headwater sees it: microseconds since the Unix epoch.

Whoever needs the time takes a `Clock` as a parameter, so that tests and simulations own it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from core.ids import Timestamp

MAX_LEAD_US: Final = 10_000_000
LONGEST_WAIT_S: Final = 0.1

Clock = Callable[[], int]


def system_clock() -> int:
    """Now, in microseconds since the Unix epoch."""
    return time.time_ns() // 1000


async def wait_for_clock(timestamp: Timestamp, clock: Clock) -> None:
    """Until `timestamp` is at most `MAX_LEAD_US` ahead of the clock. Virtual time runs ahead only
    after the clock was set back, or when commits outrun one a microsecond."""
    while (excess := timestamp - clock() - MAX_LEAD_US) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(excess / 1e6, LONGEST_WAIT_S))
