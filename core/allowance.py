"""What a computation in this thread may still use up, and the way to stop it from another thread.

Planning is pure and bounded in its inputs, but not every input that is small is quick to plan. So
its loops and recursions call `checkpoint`, which raises once the allowance that the thread works
under is spent or was stopped. Without an allowance a checkpoint does nothing.

Deliberately absent: interrupting code that does not ask, which would leave shared state half made.
"""

import threading
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class AllowanceSpentError(Exception):
    """The computation has used up what it was allowed, or nobody waits for it any more."""


class Allowance:
    """A number of checkpoints; `stop` may be called from any thread."""

    __slots__ = ("_left",)

    def __init__(self, checkpoints: int) -> None:
        self._left = checkpoints

    def run(
        self,
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Call `function` under this allowance. Raises AllowanceSpentError besides its own."""
        _CURRENT.allowance = self
        try:
            return function(*args, **kwargs)
        finally:
            _CURRENT.allowance = None

    def stop(self) -> None:
        """End the computation at its next checkpoint."""
        self._left = -1

    def spend(self) -> None:
        """Count one checkpoint."""
        if self._left <= 0:
            raise AllowanceSpentError
        self._left -= 1


class _Current(threading.local):
    allowance: Allowance | None = None


_CURRENT: Final = _Current()


def checkpoint() -> None:
    """Raise AllowanceSpentError if this thread's computation is to stop."""
    allowance = _CURRENT.allowance
    if allowance is not None:
        allowance.spend()
