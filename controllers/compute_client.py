"""What a frontend asks of the clusters: peeks, staged writes and COPY input.

`ComputeClient` is shared by all sessions. A request goes straight to the replicas of its cluster
and the answer straight back to the waiting session. Result bytes are ready for a pgwire socket and
are never decoded here. Every wait ends: by the answer, by a `SqlError`, or by cancellation, which
also cancels the work on the replica.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final, Protocol, Self

from compute.dataflow_messages import CollectionSource, SubscribeExport
from compute.output_format import CopyOptions, OutputFormat
from compute.protocol import (
    CopyFormat,
    Staged,
    StageMode,
    TargetTable,
)
from controllers.read_holds import ReadHold
from core.ids import MAX_TIMESTAMP, GlobalId, Timestamp
from expr.relation import Finishing, Relation
from expr.scalar import EvaluationContext, Literal, Scalar
from persist.txns_state import TxnsPush

__all__ = [
    "ComputeClient",
    "CopyFormat",
    "CopyFromRequest",
    "CopyOptions",
    "CopyStaging",
    "OutputFormat",
    "PeekChunk",
    "PeekRequest",
    "PeekStream",
    "StageMode",
    "StageRequest",
    "Staged",
    "SubscribeProgress",
    "SubscribeRequest",
    "SubscribeStream",
    "TargetTable",
]

NO_FINISHING: Final = Finishing()
DEFAULT_CONTEXT: Final = EvaluationContext()
DEFAULT_COPY_OPTIONS: Final = CopyOptions()


@dataclass(frozen=True, slots=True)
class PeekRequest:
    """A query to run on `cluster` at `as_of`.

    `sources` has every collection that `relation` reads; the caller holds back their
    sinces until the stream ends. `relation` has no session calls; `parameters` are the values of
    its parameters. `is_analyzed`: the rows are those of `compute.measure`.
    """

    cluster: str
    relation: Relation
    as_of: Timestamp
    output: OutputFormat
    finishing: Finishing = NO_FINISHING
    sources: tuple[CollectionSource, ...] = ()
    parameters: tuple[Literal, ...] = ()
    is_analyzed: bool = False


@dataclass(frozen=True, slots=True)
class PeekChunk:
    """Some result rows: `data` is whole messages, one a row (COPY may add header and trailer)."""

    data: bytes
    row_count: int

    def split(self, count: int) -> "tuple[PeekChunk, PeekChunk]":
        """The first `count` rows and the rest (of DataRow messages)."""
        if count >= self.row_count:
            return self, PeekChunk(b"", 0)
        position = 0
        for _ in range(count):
            position += 1 + int.from_bytes(self.data[position + 1 : position + 5], "big")
        return (
            PeekChunk(self.data[:position], count),
            PeekChunk(self.data[position:], self.row_count - count),
        )


class PeekStream(Protocol):
    """The result of a peek, in order: `async for chunk in stream`.

    Iteration raises the query's `SqlError`; 57P01 if the replica went away after rows were
    delivered (before that the peek is repeated). The replica sends no more than a window ahead of
    the consumer. Close it when it is not read to its end.
    """

    def __aiter__(self) -> AsyncIterator[PeekChunk]: ...

    async def __anext__(self) -> PeekChunk:
        """The next chunk. Raises StopAsyncIteration after the last one, or SqlError."""

    async def aclose(self) -> None:
        """Cancel what is still running. Idempotent; does not wait for the replica."""


@dataclass(frozen=True, slots=True)
class SubscribeRequest:
    """The changes of a relation from `as_of` on, at times before `until`, to be sent in the form of
    `export`. `hold` is at `as_of`, and the controller's from here on."""

    cluster: str
    relation: Relation
    sources: tuple[CollectionSource, ...]
    as_of: Timestamp
    hold: ReadHold
    export: SubscribeExport
    until: Timestamp = MAX_TIMESTAMP
    context: EvaluationContext = DEFAULT_CONTEXT


@dataclass(frozen=True, slots=True)
class SubscribeProgress:
    """All changes before `upper` have been given."""

    upper: Timestamp


class SubscribeStream(Protocol):
    """A subscription's rows in the order of time, and how far they are.

    Every row is given once, whatever becomes of replicas. Iteration ends when all changes before
    the request's `until` have been given, and raises the `SqlError` that ended it before. Close it
    when it is not read to its end.
    """

    def __aiter__(self) -> AsyncIterator[PeekChunk | SubscribeProgress]: ...

    async def __anext__(self) -> PeekChunk | SubscribeProgress:
        """What comes next. Nothing is lost when the wait is cancelled."""

    async def aclose(self) -> None:
        """End the subscription. Idempotent; does not wait for replicas."""


@dataclass(frozen=True, slots=True)
class StageRequest:
    """A query whose rows are to change a table: INSERT…SELECT, UPDATE, DELETE.

    UPDATE's rows are old row ++ new row. `returning` is over the new row (DELETE: the old one).
    `parameters` are the values of those in `relation` and `returning`.
    """

    cluster: str
    relation: Relation
    as_of: Timestamp
    mode: StageMode
    table: TargetTable
    finishing: Finishing = NO_FINISHING
    sources: tuple[CollectionSource, ...] = ()
    returning: tuple[Scalar, ...] | None = None
    returning_output: OutputFormat | None = None
    context: EvaluationContext = DEFAULT_CONTEXT
    parameters: tuple[Literal, ...] = ()


@dataclass(frozen=True, slots=True)
class CopyFromRequest:
    """COPY FROM STDIN; see `CopyWork` for `columns` and `fill`."""

    cluster: str
    table: TargetTable
    columns: tuple[int, ...]
    fill: tuple[Scalar | None, ...]
    format: CopyFormat
    options: CopyOptions = DEFAULT_COPY_OPTIONS
    context: EvaluationContext = DEFAULT_CONTEXT


class CopyStaging(Protocol):
    """One COPY FROM in progress. As an async context manager it aborts when left unfinished."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc_info: object) -> None: ...

    async def write(self, data: bytes) -> None:
        """More input, cut anywhere. Waits while a window is in flight. Raises SqlError."""

    async def finish(self) -> Staged:
        """The input is complete: what it was staged as. Raises SqlError."""

    async def abort(self) -> None:
        """Drop the input and what was staged of it. Idempotent."""


class ComputeClient(Protocol):
    """Access to every cluster's replicas."""

    async def peek(self, request: PeekRequest) -> PeekStream:
        """Start a query. Raises SqlError (42704 for an unknown cluster)."""

    async def subscribe(self, request: SubscribeRequest) -> SubscribeStream:
        """Begin to stream changes. Raises SqlError."""

    async def stage(self, request: StageRequest) -> Staged:
        """Run a query and stage its rows as a batch for the committer. Raises SqlError."""

    async def copy_from(self, request: CopyFromRequest) -> CopyStaging:
        """Begin a COPY FROM. Raises SqlError."""

    def since_of(self, cluster: str, indexes: Iterable[GlobalId]) -> Timestamp:
        """The oldest time at which all of these indexes of a cluster can be read there."""

    def push(self, push: TxnsPush) -> None:
        """Tell every replica of a commit; precedes all later requests on each replica's socket."""
