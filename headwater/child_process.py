"""Child processes that run as another account and never outlive us.

uvloop's subprocess support knows neither `user=` nor a parent-death signal, so children are started
by `subprocess.Popen`, always from the event loop's thread: on Linux the death signal is tied to the
thread that forked. A daemon thread waits for each child and tells the loop.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from headwater.service_account import Account

_PR_SET_PDEATHSIG: Final = 1


class ChildProcess:
    """A started child. `exited` is done, with the exit status, once the child was reaped."""

    def __init__(self, process: "subprocess.Popen[bytes]", name: str) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = loop.create_future()
        self._process = process
        threading.Thread(
            target=self._reap, args=(loop,), name=f"{name}-{process.pid}-waiter", daemon=True
        ).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while the child runs."""
        return self._process.poll()

    def send_signal(self, signal_number: signal.Signals) -> None:
        """Send a signal; does nothing once the child was reaped."""
        self._process.send_signal(signal_number)

    async def wait(self, timeout_s: float) -> int | None:
        """The exit status, or None if the child still runs after `timeout_s`."""
        await asyncio.wait([self.exited], timeout=timeout_s)
        return self.exited.result() if self.exited.done() else None

    def _reap(self, loop: asyncio.AbstractEventLoop) -> None:
        status = self._process.wait()
        try:
            loop.call_soon_threadsafe(self._announce, status)
        except RuntimeError:
            return  # the loop was closed first: nobody waits any more

    def _announce(self, status: int) -> None:
        if not self.exited.done():
            self.exited.set_result(status)


def spawn(
    arguments: Sequence[str | Path],
    *,
    cwd: Path,
    account: Account | None,
    output: IO[bytes],
    environment: Mapping[str, str],
    death_signal: signal.Signals,
    name: str,
) -> ChildProcess:
    """Start a child in a session of its own, without input, its output going to `output`.

    With an `account` the child runs as that account, all other groups dropped (needs root).
    When this process dies, however it dies, the child gets `death_signal` (Linux only).
    Raises OSError when the program cannot be started.
    """
    process = subprocess.Popen(
        [str(argument) for argument in arguments],
        cwd=cwd,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        umask=0o077,
        start_new_session=True,
        preexec_fn=_death_signal_setter(death_signal),
    )
    return ChildProcess(process, name)


def _death_signal_setter(death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork
    parent_pid = os.getpid()

    def set_death_signal() -> None:
        # Runs in the child after the change of user, which clears the setting.
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)  # the parent died before the signal was armed

    return set_death_signal
