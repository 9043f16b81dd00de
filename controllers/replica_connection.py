"""The socket to one replica: frames out, responses in, and whether the replica is alive."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from compute.protocol import (
    PROTOCOL_VERSION,
    Command,
    CreateInstance,
    FrameReader,
    Halt,
    Hello,
    InitializationComplete,
    InstanceConfig,
    ProtocolError,
    Response,
    decode_response,
    encode_frame,
)

MAX_UNSENT_BYTES: Final = 128 * 1024 * 1024


class ReplicaConnection(asyncio.Protocol):
    """One connection to a replica, from connect to loss.

    `on_response` is called for every response but the ones of initialization. What is sent in one
    turn of the event loop is written together. A replica that does not read is cut off when more
    than MAX_UNSENT_BYTES wait for it.
    """

    def __init__(
        self, replica: str, config: InstanceConfig, on_response: Callable[[Response], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._replica = replica
        self._config = config
        self._on_response = on_response
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._unwritten: list[bytes] = []
        self.initialized: asyncio.Future[int] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self.last_heard = loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has its own classes
        self.send(Hello(PROTOCOL_VERSION, self._config.epoch, self._replica))
        self.send(CreateInstance(self._config))

    def send(self, command: Command) -> None:
        """Raises SqlError 54000 when the command is larger than a frame may be."""
        self.send_frame(encode_frame(command))

    def send_frame(self, frame: bytes) -> None:
        if not self._unwritten:
            self._loop.call_soon(self._write)
        self._unwritten.append(frame)

    def _write(self) -> None:
        frames, self._unwritten = self._unwritten, []
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.abort("it does not read what is sent to it")

    def data_received(self, data: bytes) -> None:
        self.last_heard = self._loop.time()
        try:
            for payload in self._frames.feed(data):
                self._receive(decode_response(payload))
        except ProtocolError as error:
            self.abort(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("the connection was lost" if exc is None else str(exc))

    def abort(self, reason: str) -> None:
        """Close at once. Idempotent."""
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def _receive(self, response: Response) -> None:
        match response:
            case InitializationComplete(pid=pid):
                if not self.initialized.done():
                    self.initialized.set_result(pid)
            case Halt(reason=reason):
                self.abort(f"it halted: {reason}")
            case _:
                if not self.lost.done():
                    self._on_response(response)

    def _end(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
        if not self.initialized.done():
            self.initialized.cancel()
