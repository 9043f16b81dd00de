"""Worker threads for parsing and planning: bounded work that ends when nobody waits for it.

A computation has an allowance of checkpoints, so none can keep a thread for ever, and is stopped
when the statement that waits for it is cancelled. Large texts have a thread of their own: they may
wait for each other, short ones do not wait for them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar, TypeVarTuple, Unpack

from core.allowance import Allowance, AllowanceSpentError
from sql.limits import MAX_CHECKPOINTS, too_complex
from sql.parse import LARGE_TEXT_BYTES

INLINE_CHECKPOINTS: Final = 2_000  # a few milliseconds
THREADS: Final = 2

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class PlanningThreads:
    """Shared by all sessions of the process."""

    def __init__(self) -> None:
        self._short = ThreadPoolExecutor(THREADS, thread_name_prefix="planner")
        self._large = ThreadPoolExecutor(1, thread_name_prefix="large-text")

    async def run(
        self,
        text: str,
        function: Callable[[Unpack[Arguments]], Result],
        *args: *Arguments,
        inline: bool,
    ) -> Result:
        """`function(*args)`, whose work depends on `text`; with `inline` it is tried right here and
        goes to a thread only if it turns out to be long. Raises what it raises, and 54001."""
        if inline:
            try:
                return Allowance(INLINE_CHECKPOINTS).run(function, *args)
            except AllowanceSpentError:
                pass
        allowance = Allowance(MAX_CHECKPOINTS)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._large if is_large(text) else self._short, allowance.run, function, *args
            )
        except AllowanceSpentError:
            raise too_complex() from None
        finally:
            allowance.stop()  # the statement may have been cancelled


def is_large(text: str) -> bool:
    """Whether a text is more than an event loop should parse at once."""
    return len(text) * 4 > LARGE_TEXT_BYTES and len(text.encode()) > LARGE_TEXT_BYTES
