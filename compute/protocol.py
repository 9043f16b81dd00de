"""What environmentd and a replica say to each other.

A connection carries frames: a 4-byte big-endian length, then one msgpack-encoded message. Messages
are tagged structs of two closed unions, `Command` (to the replica) and `Response` (from it). The
first command is `Hello`, the second `CreateInstance`; the replica answers everything else only
after `InitializationComplete` was sent. A replica serves one environmentd connection at a time; a
new connection with the same or a higher epoch replaces the old one.

Everything that a peer can make grow is bounded: the frame length here, the bytes in flight of one
request by credits (`PeekCredit` for results, `CopyCredit` for COPY input).

What runs on a replica is described by a *work description* (`PeekWork`, `StageWork`, `CopyWork`),
sent encoded, so that a replica finds its compiled form by the bytes alone.
"""

from enum import StrEnum
from typing import Final

import msgspec

from compute.dataflow_messages import (
    AdvanceShards,
    AllowCompaction,
    AllowWrites,
    CollectionSource,
    CreateDataflow,
    DataflowFrontiers,
    DataflowSizes,
    DropDataflow,
    RetainDataflows,
    ShardAdvanced,
    SubscribeBatch,
    SubscribeCredit,
)
from compute.output_format import CopyOptions, OutputFormat
from core.errors import STATEMENT_TOO_COMPLEX, SqlError
from core.ids import Epoch, ShardId, Timestamp
from core.sql_types import RelationDesc, SqlType
from expr.relation import Finishing, Relation
from expr.scalar import EvaluationContext, Scalar
from persist.batches import Batch

PROTOCOL_VERSION: Final = 1
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
PEEK_WINDOW_BYTES: Final = 512 * 1024
COPY_WINDOW_BYTES: Final = 4 * 1024 * 1024
COPY_CHUNK_BYTES: Final = 256 * 1024


class CopyFormat(StrEnum):
    """The formats of COPY input."""

    TEXT = "text"
    CSV = "csv"
    BINARY = "binary"


class StageMode(StrEnum):
    """What the rows of a staged query are."""

    INSERT = "insert"  # rows to add
    DELETE = "delete"  # rows to take away
    UPDATE = "update"  # old row ++ new row


class TargetTable(msgspec.Struct, frozen=True, array_like=True):
    """The table that staged rows are meant for; `not_null` are positions with column names."""

    name: str
    shard: ShardId
    desc: RelationDesc
    not_null: tuple[tuple[int, str], ...] = ()


class PeekWork(msgspec.Struct, frozen=True, array_like=True, tag="peek"):
    """A query and the form of its result; `sources` say where each collection it reads is. The
    values of its parameters come with each `Peek`. With `is_analyzed` the rows are those of
    `compute.measure` instead, and `output` is for them."""

    relation: Relation
    finishing: Finishing
    sources: tuple[CollectionSource, ...]
    output: OutputFormat
    parameter_types: tuple[SqlType, ...] = ()
    is_analyzed: bool = False


class StageWork(msgspec.Struct, frozen=True, array_like=True, tag="stage"):
    """A query whose rows change a table; `returning` is over the new (deleted: old) row. The values
    of the parameters in either come with each `Stage`."""

    relation: Relation
    finishing: Finishing
    sources: tuple[CollectionSource, ...]
    mode: StageMode
    table: TargetTable
    returning: tuple[Scalar, ...] | None = None
    returning_output: OutputFormat | None = None
    context: EvaluationContext = EvaluationContext()
    parameter_types: tuple[SqlType, ...] = ()


class CopyWork(msgspec.Struct, frozen=True, array_like=True, tag="copy"):
    """COPY FROM: `columns` are the table positions of the input's fields, `fill` the scalars of
    the other positions (None where a field stands)."""

    table: TargetTable
    columns: tuple[int, ...]
    fill: tuple[Scalar | None, ...]
    format: CopyFormat
    options: CopyOptions = CopyOptions()
    context: EvaluationContext = EvaluationContext()


Work = PeekWork | StageWork | CopyWork


class InstanceConfig(msgspec.Struct, frozen=True, array_like=True):
    """What a replica needs to read and write the environment's shards itself."""

    environment: str
    epoch: Epoch
    metadata_url: str
    blob_url: str
    txns_shard: ShardId
    query_memory_bytes: int = 1024 * 1024 * 1024
    collection_cache_bytes: int = 1024 * 1024 * 1024


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """The first message of environmentd."""

    version: int
    epoch: Epoch
    replica: str


class CreateInstance(msgspec.Struct, frozen=True, array_like=True, tag="create_instance"):
    """The second message: open the shards and follow the txns shard."""

    config: InstanceConfig


class UpdateConfiguration(msgspec.Struct, frozen=True, array_like=True, tag="update_configuration"):
    """New limits, in force for what starts from now on."""

    query_memory_bytes: int
    collection_cache_bytes: int


class Push(msgspec.Struct, frozen=True, array_like=True, tag="push"):
    """One consensus diff of the txns shard, known to be durable."""

    seqno: int
    data: bytes


class Peek(msgspec.Struct, frozen=True, array_like=True, tag="peek"):
    """Run an encoded `PeekWork` at `as_of`; at most `credit` bytes of result before more credit.
    `parameters` are canonical encodings of rows of one column."""

    id: int
    work: bytes
    as_of: Timestamp
    parameters: tuple[bytes, ...] = ()
    credit: int = PEEK_WINDOW_BYTES


class PeekCredit(msgspec.Struct, frozen=True, array_like=True, tag="peek_credit"):
    """`bytes` more may be sent for peek `id`."""

    id: int
    bytes: int


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag="cancel"):
    """Stop request `id` (of any kind). No response for it is needed any more."""

    id: int


class Stage(msgspec.Struct, frozen=True, array_like=True, tag="stage"):
    """Run an encoded `StageWork` at `as_of`; answered by `Staged` or `RequestError`."""

    id: int
    work: bytes
    as_of: Timestamp
    parameters: tuple[bytes, ...] = ()


class CopyStart(msgspec.Struct, frozen=True, array_like=True, tag="copy_start"):
    """Begin an encoded `CopyWork`; at most `COPY_WINDOW_BYTES` may be in flight."""

    id: int
    work: bytes


class CopyInput(msgspec.Struct, frozen=True, array_like=True, tag="copy_input"):
    """Input bytes of a COPY, cut anywhere, at most `COPY_CHUNK_BYTES`."""

    id: int
    data: bytes


class CopyEnd(msgspec.Struct, frozen=True, array_like=True, tag="copy_end"):
    """The input is complete; answered by `Staged` or `RequestError`."""

    id: int


Command = (
    Hello
    | CreateInstance
    | UpdateConfiguration
    | Push
    | Peek
    | PeekCredit
    | Cancel
    | Stage
    | CopyStart
    | CopyInput
    | CopyEnd
    | CreateDataflow
    | DropDataflow
    | RetainDataflows
    | AllowCompaction
    | AllowWrites
    | ShardAdvanced
    | AdvanceShards
    | SubscribeCredit
)


class InitializationComplete(
    msgspec.Struct, frozen=True, array_like=True, tag="initialization_complete"
):
    """The replica follows the txns shard and serves requests."""

    pid: int


class PeekRows(msgspec.Struct, frozen=True, array_like=True, tag="peek_rows"):
    """Encoded result rows in order; `is_last` ends the peek (and may carry no rows)."""

    id: int
    data: bytes
    row_count: int
    is_last: bool


class RequestError(msgspec.Struct, frozen=True, array_like=True, tag="request_error"):
    """Request `id` failed; the fields are those of a `SqlError`."""

    id: int
    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None
    position: int | None = None
    context: str | None = None


class Staged(msgspec.Struct, frozen=True, array_like=True, tag="staged"):
    """A staged batch, `affected` rows of it (an updated row counts once), and what RETURNING gave
    (messages as in `OutputKind`, cut at row boundaries)."""

    id: int
    batch: Batch
    affected: int
    returning: tuple[bytes, ...] = ()
    returning_count: int = 0


class CopyCredit(msgspec.Struct, frozen=True, array_like=True, tag="copy_credit"):
    """`bytes` of COPY input were taken in."""

    id: int
    bytes: int


class Frontiers(msgspec.Struct, frozen=True, array_like=True, tag="frontiers"):
    """The txns upper that the replica has followed up to."""

    upper: Timestamp


class MetricFamily(msgspec.Struct, frozen=True, array_like=True):
    """A Prometheus metric family and its samples: (name, ((label, value), …), value)."""

    name: str
    kind: str
    documentation: str
    samples: tuple[tuple[str, tuple[tuple[str, str], ...], float], ...]


class Status(msgspec.Struct, frozen=True, array_like=True, tag="status"):
    """What the replica reports about itself every second; it is also its heartbeat."""

    pid: int
    resident_bytes: int
    metrics: tuple[MetricFamily, ...]


class Halt(msgspec.Struct, frozen=True, array_like=True, tag="halt"):
    """The replica cannot go on (fenced, storage gone) and ends."""

    reason: str


Response = (
    InitializationComplete
    | PeekRows
    | RequestError
    | Staged
    | CopyCredit
    | Frontiers
    | Status
    | DataflowFrontiers
    | DataflowSizes
    | SubscribeBatch
    | Halt
)


class ProtocolError(Exception):
    """The peer sent something that is not this protocol; the connection must be closed."""


_encoder = msgspec.msgpack.Encoder()
_commands: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)
_responses: msgspec.msgpack.Decoder[Response] = msgspec.msgpack.Decoder(Response)
_works: msgspec.msgpack.Decoder[Work] = msgspec.msgpack.Decoder(Work)


def encode_work(work: Work) -> bytes:
    """The bytes that `Peek.work` and its like carry."""
    return _encoder.encode(work)


def decode_work(data: bytes) -> Work:
    """The inverse of `encode_work`. Raises ProtocolError, SqlError 54001."""
    try:
        return _works.decode(data)
    except RecursionError as error:
        raise SqlError(STATEMENT_TOO_COMPLEX, "stack depth limit exceeded") from error
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"malformed work description: {error}") from error


def encode_frame(message: Command | Response) -> bytes:
    """`message` as a frame. Raises SqlError 54000 when it is larger than a frame may be."""
    buffer = bytearray(4)
    _encoder.encode_into(message, buffer, 4)
    length = len(buffer) - 4
    if length > MAX_FRAME_BYTES:
        raise SqlError(
            "54000", f"request of {length} bytes is larger than the limit of {MAX_FRAME_BYTES}"
        )
    buffer[:4] = length.to_bytes(4, "big")
    return bytes(buffer)


def decode_command(payload: bytes | memoryview) -> Command:
    """A frame's payload as a command. Raises ProtocolError."""
    try:
        return _commands.decode(payload)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(f"malformed command: {error}") from error


def decode_response(payload: bytes | memoryview) -> Response:
    """A frame's payload as a response. Raises ProtocolError."""
    try:
        return _responses.decode(payload)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(f"malformed response: {error}") from error


class FrameReader:
    """Cuts a byte stream into frame payloads. Feed it bytes, iterate over what became complete."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads completed by `data`. Raises ProtocolError for a length past the bound."""
        buffer = self._buffer
        buffer += data
        payloads: list[bytes] = []
        position, end = 0, len(buffer)
        while end - position >= 4:
            length = int.from_bytes(buffer[position : position + 4], "big")
            if length > MAX_FRAME_BYTES:
                raise ProtocolError(f"frame of {length} bytes is larger than {MAX_FRAME_BYTES}")
            if end - position - 4 < length:
                break
            payloads.append(bytes(memoryview(buffer)[position + 4 : position + 4 + length]))
            position += 4 + length
        if position:
            del buffer[:position]
        return payloads
