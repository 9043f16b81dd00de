"""The socket under one connection: reading with back-pressure, writing coalesced.

`data_received` only stores bytes and wakes the connection's task; the task takes events out one by
one. Output is collected and written when the task has nothing more to do, asks for it, or has
collected much. Reading pauses while the client is ahead of us, and `drain` waits while we are ahead
of the client, so neither side can make memory grow.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

from frontend.messages import Event
from frontend.protocol import ServerProtocol

MAX_PENDING_INPUT: Final = 256 * 1024
WRITE_CHUNK: Final = 64 * 1024
HIGH_WATER: Final = 256 * 1024
TURN_BUDGET_S: Final = 0.002
KEEPALIVE_IDLE_S: Final = 60
EOF_GRACE_S: Final = 10.0


class WireTransport(asyncio.Protocol):
    """One client's socket. `start` is called when it is connected and gives the task's owner;
    `on_lost` when it is gone."""

    def __init__(self, start: Callable[["WireTransport"], None]) -> None:
        self.protocol = ServerProtocol()
        self.is_lost = False
        self.on_lost: Callable[[], None] | None = None
        self.peer = ""
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._output: list[bytes] = []
        self._output_size = 0
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._has_ended = False
        self._grace: asyncio.TimerHandle | None = None
        self._is_writing_paused = False
        self._is_reading_paused = False
        self._turn_started = 0.0

    # Called by the event loop --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if isinstance(peer, tuple) else ""
        _keep_alive(transport.get_extra_info("socket"))
        self._start(self)

    def data_received(self, data: bytes) -> None:
        protocol = self.protocol
        protocol.receive_data(data)
        if not protocol.has_message:
            return
        if protocol.pending_bytes > MAX_PENDING_INPUT and self._transport is not None:
            self._transport.pause_reading()
            self._is_reading_paused = True
        reader = self._reader
        if reader is not None:
            self._reader = None
            if not reader.done():
                reader.set_result(None)

    def eof_received(self) -> bool:
        """The client sends no more. What it has sent is still answered, but a client that only
        died must not keep a statement running for ever."""
        self._has_ended = True
        self._wake(self._reader)
        self._grace = self._loop.call_later(EOF_GRACE_S, self._lose)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._grace is not None:
            self._grace.cancel()
        self._lose()

    def _lose(self) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self.protocol.close()
        self._wake(self._reader)
        self._wake(self._writer)
        if self.on_lost is not None:
            self.on_lost()

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def pause_writing(self) -> None:
        self._is_writing_paused = True

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        self._wake(self._writer)

    # Called by the connection's task -------------------------------------------------------------

    def poll_event(self) -> Event | None:
        """The next event, if it is here already."""
        event = self.protocol.next_event()
        if self._is_reading_paused and (
            event is None or self.protocol.pending_bytes <= MAX_PENDING_INPUT // 2
        ):
            self._is_reading_paused = False
            if self._transport is not None and not self.is_lost:
                self._transport.resume_reading()
        return event

    async def next_event(self) -> Event | None:
        """The next event; None when no more will come. What is collected is written before
        waiting."""
        while True:
            event = self.poll_event()
            if event is not None:
                return event
            if self.is_lost or self._has_ended:
                return None
            self.flush()
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
            self._turn_started = self._loop.time()

    @property
    def is_turn_over(self) -> bool:
        """Whether this connection has worked long enough without giving way to others."""
        return self._loop.time() - self._turn_started > TURN_BUDGET_S

    async def give_way(self) -> None:
        """Let other connections have their turn, and the client the time to read."""
        await asyncio.sleep(0)
        await self.drain()
        self._turn_started = self._loop.time()

    def send(self, data: bytes) -> None:
        """Collect bytes to be written."""
        self._output.append(data)
        self._output_size += len(data)
        if self._output_size >= WRITE_CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write what is collected."""
        if not self._output:
            return
        if self._transport is not None and not self.is_lost:
            self._transport.write(
                self._output[0] if len(self._output) == 1 else b"".join(self._output)
            )
        self._output.clear()
        self._output_size = 0

    async def drain(self) -> None:
        """Wait while the client is behind in reading."""
        while self._is_writing_paused and not self.is_lost:
            self._writer = self._loop.create_future()
            try:
                await self._writer
            finally:
                self._writer = None

    @property
    def needs_drain(self) -> bool:
        return self._is_writing_paused

    def close(self) -> None:
        """Write what is collected, then close."""
        self.flush()
        self.protocol.close()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.protocol.close()
        if self._transport is not None:
            self._transport.abort()


def _keep_alive(connected: socket.socket | None) -> None:
    """So that a client that vanished without a word is noticed."""
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
