"""Wall-clock time as the rest of Headwater sees it: microseconds since the Unix epoch.

Whoever needs the time takes a `Clock` as a parameter, so that tests and simulations own it.
"""

import time
from collections.abc import Callable

Clock = Callable[[], int]


def system_clock() -> int:
    """Now, in microseconds since the Unix epoch."""
    return time.time_ns() // 1000
