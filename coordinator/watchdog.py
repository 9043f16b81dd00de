"""Notices when the event loop is held: by a coordinator handler, or by anything at all.

A handler cannot be seen stalling from its own thread, so the watchdog has one: it sleeps until a
handler starts, and when the handler is still running after the limit, logs the command and the
event loop thread's stack. It costs an event's set and clear per handler and nothing while idle.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from coordinator.metrics import EVENT_LOOP_LAG_SECONDS, SLOW_HANDLERS

LIMIT_S: Final = 0.010
LAG_INTERVAL_S: Final = 0.1

_log = structlog.get_logger("headwater.watchdog")


class Watchdog:
    """Watches one thread: that which calls `watch`. `close` ends the watching thread."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._started = threading.Event()
        self._ended = threading.Event()
        self._is_closed = False
        self._kind = ""
        self._turn = 0
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def watch(self, kind: str) -> Iterator[None]:
        """Report if the block takes longer than the limit."""
        self._kind = kind
        self._turn += 1
        self._ended.clear()
        self._started.set()
        try:
            yield
        finally:
            self._started.clear()
            self._ended.set()

    def close(self) -> None:
        """End the watching thread."""
        self._is_closed = True
        self._ended.set()
        self._started.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._started.wait()
            if self._is_closed:
                return
            kind, turn = self._kind, self._turn
            if self._ended.wait(self._limit_s) or turn != self._turn:
                # A short sleep bounds the cost while handlers follow each other closely.
                time.sleep(self._limit_s)
                continue
            frame = sys._current_frames().get(self._watched)  # noqa: SLF001
            stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
            SLOW_HANDLERS.labels(kind).inc()
            _log.warning("slow coordinator handler", message_kind=kind, stack=stack)
            self._ended.wait()


async def measure_loop_lag() -> None:
    """Observe how late timers run, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_INTERVAL_S
        await asyncio.sleep(LAG_INTERVAL_S)
        EVENT_LOOP_LAG_SECONDS.observe(max(0.0, loop.time() - due))
