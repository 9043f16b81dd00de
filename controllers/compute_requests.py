"""Requests in flight, as their cluster sees them: what to send, what came, who waits.

Nothing here awaits but the consumer's own methods. A request knows the replicas it was sent to
through the cluster that owns it (`Owner`); it outlives a replica's death as long as nothing of its
answer was handed on.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Final, Protocol, Self

from compute.protocol import (
    COPY_CHUNK_BYTES,
    COPY_WINDOW_BYTES,
    PEEK_WINDOW_BYTES,
    Cancel,
    Command,
    CopyCredit,
    CopyEnd,
    CopyInput,
    CopyStart,
    Peek,
    PeekCredit,
    PeekRows,
    RequestError,
    Response,
    Stage,
    Staged,
)
from controllers.compute_client import PeekChunk
from controllers.compute_metrics import peek_histogram
from core.errors import ADMIN_SHUTDOWN, CANNOT_CONNECT_NOW, SqlError
from core.ids import MIN_TIMESTAMP, GlobalId, Timestamp

MAX_ATTEMPTS: Final = 3
CREDIT_STEP_BYTES: Final = PEEK_WINDOW_BYTES // 4


class Owner(Protocol):
    """What a request needs of its cluster."""

    @property
    def id(self) -> str: ...

    def send_to(self, replica: str, command: Command) -> None:
        """Send, if the replica is still there."""
        ...

    def forget(self, request: "Request") -> None:
        """The request is over: deliver nothing more to it."""
        ...

    def put_off(self, request: "Request") -> None:
        """No replica can take the request now: send it again when one can."""
        ...


class Request:
    """The common part: an id, the replicas it was sent to, and whether it is over. `needed` are
    dataflows of the cluster that it reads at `as_of`."""

    goes_to_all = False

    def __init__(
        self,
        id: int,
        owner: Owner,
        as_of: Timestamp = MIN_TIMESTAMP,
        needed: tuple[GlobalId, ...] = (),
    ) -> None:
        self.id = id
        self.owner = owner
        self.as_of = as_of
        self.needed = needed
        self.replicas: list[str] = []
        self.attempts = 0
        self.timer: asyncio.TimerHandle | None = None
        self.error: SqlError | None = None
        self.is_over = False
        self._waiter: asyncio.Future[None] | None = None

    def command(self) -> Command:
        """What starts the request on a replica."""
        raise NotImplementedError

    def receive(self, replica: str, response: Response) -> None:
        """Take a response of a replica it was sent to."""
        raise NotImplementedError

    def lose(self, replica: str) -> bool:
        """A replica is gone. Returns whether the request must be sent again."""
        if replica in self.replicas:
            self.replicas.remove(replica)
        if self.is_over or self.replicas:
            return False
        if self.attempts >= MAX_ATTEMPTS or not self.can_repeat():
            self.fail(replica_lost())
            return False
        return True

    def can_repeat(self) -> bool:
        """Whether starting anew is unnoticeable."""
        return True

    def is_declined(self, replica: str, response: Response) -> bool:
        """Whether the response only says that this replica cannot answer now, for want of a
        dataflow. Then another does, or the request waits."""
        if (
            not isinstance(response, RequestError)
            or response.sqlstate != CANNOT_CONNECT_NOW
            or not self.needed
            or replica not in self.replicas
        ):
            return False
        self.replicas.remove(replica)
        if not self.replicas:
            if not self.can_repeat():
                return False
            self.owner.put_off(self)
        return True

    def fail(self, error: SqlError) -> None:
        """End with an error."""
        if not self.is_over:
            self.error = error
            self._finish()

    def cancel(self) -> None:
        """End without an answer and tell the replicas. Idempotent."""
        if not self.is_over:
            for replica in self.replicas:
                self.owner.send_to(replica, Cancel(self.id))
            self._finish()

    def cancel_with(self, error: SqlError) -> None:
        """End with an error and tell the replicas."""
        for replica in self.replicas:
            self.owner.send_to(replica, Cancel(self.id))
        self.fail(error)

    async def _until_over(self) -> None:
        """Raises the error that the request ended with. Cancelling the wait cancels the request."""
        try:
            while not self.is_over:
                await self._wait()
        finally:
            self.cancel()
        if self.error is not None:
            raise self.error

    def _finish(self) -> None:
        self.is_over = True
        self.owner.forget(self)
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter


class PeekRequestInFlight(Request):
    """A peek; the first replica to answer is the one that is listened to. Is the `PeekStream`."""

    goes_to_all = True

    def __init__(
        self,
        id: int,
        owner: Owner,
        work: bytes,
        as_of: Timestamp,
        needed: tuple[GlobalId, ...] = (),
        parameters: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__(id, owner, as_of, needed)
        self._command = Peek(id, work, as_of, parameters)
        self._winner: str | None = None
        self._chunks: deque[PeekChunk] = deque()
        self._is_complete = False
        self._is_delivered = False
        self._consumed_bytes = 0
        self._started = perf_counter()

    def command(self) -> Command:
        return self._command

    def receive(self, replica: str, response: Response) -> None:
        if self.is_declined(replica, response):
            return
        if self._winner is None:
            self._winner = replica
            for other in self.replicas:
                if other != replica:
                    self.owner.send_to(other, Cancel(self.id))
            self.replicas = [replica]
        elif self._winner != replica:
            return
        match response:
            case PeekRows(data=data, row_count=row_count, is_last=is_last):
                if data or row_count:
                    self._chunks.append(PeekChunk(data, row_count))
                if is_last:
                    self._is_complete = True
                    self._observe("rows")
                    self._finish()
                else:
                    self._wake()
            case RequestError():
                self._observe("error")
                self.fail(as_sql_error(response))

    def can_repeat(self) -> bool:
        if self._is_delivered:
            return False
        self._winner = None
        self._chunks.clear()
        return True

    def __aiter__(self) -> AsyncIterator[PeekChunk]:
        return self

    async def __anext__(self) -> PeekChunk:
        while not self._chunks:
            if self.error is not None:
                raise self.error
            if self.is_over:
                raise StopAsyncIteration
            await self._wait()
        self._is_delivered = True
        chunk = self._chunks.popleft()
        if not self._is_complete and self._winner is not None:
            self._consumed_bytes += len(chunk.data)
            if self._consumed_bytes >= CREDIT_STEP_BYTES:
                self.owner.send_to(self._winner, PeekCredit(self.id, self._consumed_bytes))
                self._consumed_bytes = 0
        return chunk

    async def aclose(self) -> None:
        if not self.is_over:
            self._observe("canceled")
            self.cancel()
        self._chunks.clear()

    def _observe(self, result: str) -> None:
        peek_histogram(self.owner.id, result).observe(perf_counter() - self._started)


class StageInFlight(Request):
    """A staged query."""

    def __init__(
        self,
        id: int,
        owner: Owner,
        work: bytes,
        as_of: Timestamp,
        needed: tuple[GlobalId, ...] = (),
        parameters: tuple[bytes, ...] = (),
    ) -> None:
        super().__init__(id, owner, as_of, needed)
        self._command = Stage(id, work, as_of, parameters)
        self._staged: Staged | None = None

    def command(self) -> Command:
        return self._command

    def receive(self, replica: str, response: Response) -> None:
        if self.is_declined(replica, response):
            return
        match response:
            case Staged():
                self._staged = response
                self._finish()
            case RequestError():
                self.fail(as_sql_error(response))

    async def result(self) -> Staged:
        """The staged batch. Raises SqlError. Cancelling the wait cancels the request."""
        await self._until_over()
        assert self._staged is not None
        return self._staged


class CopyInFlight(Request):
    """A COPY FROM. Is the `CopyStaging`."""

    def __init__(self, id: int, owner: Owner, work: bytes) -> None:
        super().__init__(id, owner)
        self._command = CopyStart(id, work)
        self._staged: Staged | None = None
        self._in_flight_bytes = 0
        self._has_input = False

    def command(self) -> Command:
        return self._command

    def can_repeat(self) -> bool:
        return not self._has_input

    def receive(self, replica: str, response: Response) -> None:
        match response:
            case CopyCredit(bytes=size_bytes):
                self._in_flight_bytes -= size_bytes
                self._wake()
            case Staged():
                self._staged = response
                self._finish()
            case RequestError():
                self.fail(as_sql_error(response))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.abort()

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), COPY_CHUNK_BYTES):
            part = data[start : start + COPY_CHUNK_BYTES]
            await self._until_sent()
            while self._in_flight_bytes + len(part) > COPY_WINDOW_BYTES and not self.is_over:
                await self._wait()
            self._raise_if_over()
            self._has_input = True
            self._in_flight_bytes += len(part)
            self.owner.send_to(self.replicas[0], CopyInput(self.id, part))

    async def finish(self) -> Staged:
        await self._until_sent()
        self._raise_if_over()
        self._has_input = True
        self.owner.send_to(self.replicas[0], CopyEnd(self.id))
        await self._until_over()
        assert self._staged is not None
        return self._staged

    async def abort(self) -> None:
        self.cancel()

    async def _until_sent(self) -> None:
        while not self.replicas and not self.is_over:
            await self._wait()

    def sent(self) -> None:
        """The cluster has sent the request to a replica."""
        self._wake()

    def _raise_if_over(self) -> None:
        if self.error is not None:
            raise self.error
        if self.is_over:
            raise SqlError(ADMIN_SHUTDOWN, "the COPY was aborted")


def as_sql_error(error: RequestError) -> SqlError:
    """A replica's error as it goes to the client."""
    return SqlError(
        error.sqlstate,
        error.message,
        detail=error.detail,
        hint=error.hint,
        position=error.position,
        context=error.context,
    )


def replica_lost() -> SqlError:
    """What a request answers whose replica died too late, or too often, to start anew."""
    return SqlError(
        ADMIN_SHUTDOWN,
        "terminating statement because a cluster replica stopped",
        hint="Retry the statement.",
    )
