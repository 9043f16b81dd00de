"""Runs the tasks that own something, and reports the first that ends.

An owner task never ends by itself: whether it raised or returned, the process must end, since
nobody else can do its work.
"""

import asyncio
from collections.abc import Coroutine
from typing import Final

TIDY_UP_S: Final = 0.5


class OwnerEndedError(Exception):
    """An owner task ended; its own exception, if any, is the cause."""


class Supervisor:
    """`start` tasks, `wait_failed`, `stop` them in the order wanted."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failure: BaseException | None = None
        self._failed = asyncio.Event()

    def start(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Run `work` as the task `name`."""
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._ended)

    def fail(self, error: BaseException) -> None:
        """Report a failure found elsewhere."""
        if self.failure is None:
            self.failure = error
            self._failed.set()

    async def wait_failed(self) -> None:
        """Until `failure` is set."""
        await self._failed.wait()

    async def stop(self, name: str) -> None:
        """Cancel a task and wait for its end. No error if it was not started.

        A task may tidy up after itself on a store that does not answer any more: cancelled again,
        it gives that up, too."""
        task = self._tasks.pop(name, None)
        while task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=TIDY_UP_S)

    async def stop_all(self) -> None:
        """Stop what still runs, the newest first."""
        for name in reversed(tuple(self._tasks)):
            await self.stop(name)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if self._tasks.get(task.get_name()) is not task:
            return  # stopped on purpose
        if error is None:
            error = OwnerEndedError(f"the task {task.get_name()!r} ended")
        self.fail(error)
