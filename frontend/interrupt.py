"""Cancelling the statement that a session's task is running, in whatever phase it is.

A request (another connection's CancelRequest, `statement_timeout`) cancels the task; `guard` turns
that into 57014. While `shielded` (a commit was handed to the committer) requests are ignored, since
the statement must report its real outcome. A vanished client ends the task itself, but only once
no shield is up.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

from core import errors
from core.errors import SqlError

Result = TypeVar("Result")


class InterruptReason(Enum):
    """Why a statement is to stop; the value is what the client is told."""

    USER = "canceling statement due to user request"
    TIMEOUT = "canceling statement due to statement timeout"


class Interrupter:
    """Belongs to one session and its task."""

    __slots__ = ("_is_armed", "_is_ending", "_is_shielded", "_reason", "_task", "_timer")

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._is_armed = False
        self._is_shielded = False
        self._is_ending = False
        self._reason: InterruptReason | None = None
        self._timer: asyncio.TimerHandle | None = None

    def bind(self, task: asyncio.Task[object] | None) -> None:
        """The task that runs the session's statements."""
        self._task = task

    def request(self, reason: InterruptReason = InterruptReason.USER) -> None:
        """Stop the running statement, if there is one that can still be stopped."""
        if self._is_armed and not self._is_shielded and self._reason is None and self._task:
            self._reason = reason
            self._task.cancel()

    def end_task(self) -> None:
        """The client is gone: end the task, after the commit that it may be waiting for."""
        self._is_ending = True
        if not self._is_shielded and self._task is not None:
            self._task.cancel()

    async def guard(self, work: Coroutine[None, None, Result], timeout_ms: int) -> Result:
        """Run `work` as a statement. Raises SqlError 57014 when it was interrupted."""
        self._is_armed = True
        if timeout_ms:
            self._timer = asyncio.get_running_loop().call_later(
                timeout_ms / 1000, self.request, InterruptReason.TIMEOUT
            )
        try:
            return await work
        except asyncio.CancelledError:
            reason, self._reason = self._reason, None
            if reason is None or self._is_ending or self._task is None:
                raise
            self._task.uncancel()
            raise SqlError(errors.QUERY_CANCELED, reason.value) from None
        finally:
            self._is_armed = False
            self.forgo_timeout()
            if self._reason is not None:
                await self._swallow()

    def forgo_timeout(self) -> None:
        """The running statement may take as long as it likes: it streams."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Inside, nothing interrupts."""
        self._is_shielded = True
        try:
            yield
        finally:
            self._is_shielded = False
            if self._is_ending and self._task is not None:
                self._task.cancel()

    async def _swallow(self) -> None:
        """A cancellation was asked for too late to reach the statement: keep it from the next."""
        self._reason = None
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if self._is_ending or self._task is None:
                raise
            self._task.uncancel()
