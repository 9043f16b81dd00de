"""What environmentd and a replica say to each other about maintained collections.

A *dataflow description* says what to maintain, from when on, and what to do with it (its export).
A replica makes the dataflow it describes, fills it from its inputs as of `as_of` (hydration), and
from then on follows them. Descriptions are idempotent: a replica that has the dataflow already
keeps it, which is how one is reconciled after environmentd was away.
"""

from enum import StrEnum
from typing import Final

import msgspec

from compute.output_format import OutputFormat
from core.ids import MAX_TIMESTAMP, GlobalId, ShardId, Timestamp
from core.load_generators import LoadGenerator
from core.sql_types import RelationDesc
from expr.relation import ColumnOrder, Relation
from expr.scalar import EvaluationContext, Scalar

SUBSCRIBE_WINDOW_BYTES: Final = 512 * 1024


class CollectionKind(StrEnum):
    """What moves a collection's upper."""

    TABLE = "table"  # the txns shard: a table, the raw catalog
    SHARD = "shard"  # its own shard's writer: a materialized view, a source
    INDEX = "index"  # a dataflow of the same cluster: a view that has nothing but an index


class CollectionSource(msgspec.Struct, frozen=True, array_like=True):
    """Where a collection is read. `shard` is "" for kind INDEX; with `index` the arrangement of
    that index, in the same cluster, is read instead of the shard. Lookups read the source whose
    `id` is that of their index. `is_durable`: what is in the shard, not what the replica that
    writes it, or has read it, has in memory."""

    id: GlobalId
    shard: ShardId
    kind: CollectionKind = CollectionKind.TABLE
    index: GlobalId | None = None
    is_durable: bool = False


class IndexExport(msgspec.Struct, frozen=True, array_like=True, tag="index"):
    """Keep the rows arranged by `key`, over the relation's columns, for peeks of the collection
    `on` and for other dataflows."""

    on: GlobalId
    key: tuple[Scalar, ...]


class SinkExport(msgspec.Struct, frozen=True, array_like=True, tag="sink"):
    """Write the rows to a materialized view's shard."""

    shard: ShardId
    desc: RelationDesc


class SourceExport(msgspec.Struct, frozen=True, array_like=True, tag="source"):
    """Write what a load generator makes: `shards` are those of its outputs, by their names, and of
    its progress. The dataflow's relation is empty."""

    generator: LoadGenerator
    shards: tuple[tuple[str, ShardId], ...]


class SubscribeEnvelope(StrEnum):
    """The form of a subscription's changes."""

    DIFFS = "diffs"
    UPSERT = "upsert"
    DEBEZIUM = "debezium"


class SubscribeExport(msgspec.Struct, frozen=True, array_like=True, tag="subscribe"):
    """Send the changes to whoever subscribed, as rows encoded by `output`: the time, false
    (`with_progress` only; true is environmentd's to send), then what the envelope gives.

    DIFFS: the difference and the row. UPSERT: what happened to a key, the columns of `key`, the
    others. DEBEZIUM: the same, the others twice: as they were before, as they are after.
    `order_by` (DIFFS only) orders the changes of one timestamp, over the difference and the row;
    whatever it leaves open is in the order of the rows' encodings, the same in every replica.
    Without `with_snapshot` the changes at the as_of are left out. The subscription ends with an
    error when the changes of complete times behind the one that is being sent take more than
    `max_waiting_bytes`, or those at one time, or the snapshot, more than `max_moment_bytes`.
    """

    output: OutputFormat
    max_waiting_bytes: int
    max_moment_bytes: int
    with_snapshot: bool = True
    with_progress: bool = False
    envelope: SubscribeEnvelope = SubscribeEnvelope.DIFFS
    key: tuple[int, ...] = ()
    order_by: tuple[ColumnOrder, ...] = ()


Export = IndexExport | SinkExport | SourceExport | SubscribeExport


def written_shards(export: Export) -> tuple[ShardId, ...]:
    """The shards that a dataflow with this export writes; their uppers move together."""
    match export:
        case SinkExport(shard=shard):
            return (shard,)
        case SourceExport(shards=shards):
            return tuple(shard for _, shard in shards)
        case _:
            return ()


class DataflowDescription(msgspec.Struct, frozen=True, array_like=True):
    """A dataflow: `id` is its export's (the index, the view, a transient id of a subscription).

    It is right at times in [`as_of`, `until`). Reads of an index reach back at least
    `retain_history_us` behind its frontier.
    """

    id: GlobalId
    relation: Relation
    sources: tuple[CollectionSource, ...]
    as_of: Timestamp
    export: Export
    until: Timestamp = MAX_TIMESTAMP
    retain_history_us: int = 0
    context: EvaluationContext = EvaluationContext()


class CreateDataflow(msgspec.Struct, frozen=True, array_like=True, tag="create_dataflow"):
    """Maintain what is described. Nothing happens if a dataflow of that id exists, unless what it
    maintains is another thing (then it is made anew)."""

    description: DataflowDescription


class DropDataflow(msgspec.Struct, frozen=True, array_like=True, tag="drop_dataflow"):
    """Stop maintaining `id`; nothing happens if there is no such dataflow."""

    id: GlobalId


class RetainDataflows(msgspec.Struct, frozen=True, array_like=True, tag="retain_dataflows"):
    """The end of reconciliation: drop every dataflow not in `ids` (sent once a connection, after
    the descriptions)."""

    ids: tuple[GlobalId, ...]


class AllowCompaction(msgspec.Struct, frozen=True, array_like=True, tag="allow_compaction"):
    """Nobody reads before `since` any more (what `retain_history_us` asks for stays)."""

    since: Timestamp


class AllowWrites(msgspec.Struct, frozen=True, array_like=True, tag="allow_writes"):
    """Whether this replica's sinks and sources write: one replica of a cluster does at a time, but
    two that believe they do write the same."""

    is_allowed: bool


class ShardAdvanced(msgspec.Struct, frozen=True, array_like=True, tag="shard_advanced"):
    """Another process moved the upper of these shards: fetch those that are read here."""

    shards: tuple[tuple[ShardId, Timestamp], ...]


class AdvanceShards(msgspec.Struct, frozen=True, array_like=True, tag="advance_shards"):
    """Somebody elsewhere waits until the uppers of these shards, which this replica writes, are
    past a time: move them and tell, instead of with the next round."""

    shards: tuple[ShardId, ...]
    past: Timestamp


class DataflowFrontier(msgspec.Struct, frozen=True, array_like=True):
    """How far a dataflow is. `upper`: its contents are right at times before; `durable_upper`: of
    the shards that it writes, which are to be compacted if `is_fragmented`. `error` says why it
    cannot go on (a bug or a lost part): environmentd asks for it anew, though that is no use at the
    same `as_of` if `is_too_late`: its inputs cannot be read then any more."""

    id: GlobalId
    upper: Timestamp
    durable_upper: Timestamp = Timestamp(0)
    is_hydrated: bool = False
    error: str | None = None
    is_fragmented: bool = False
    is_too_late: bool = False


class DataflowFrontiers(msgspec.Struct, frozen=True, array_like=True, tag="dataflow_frontiers"):
    """The dataflows whose frontier, as told, has changed: at most a few times a second for those
    that only follow time, at once for hydration and for what was written."""

    frontiers: tuple[DataflowFrontier, ...]


class ArrangementSize(msgspec.Struct, frozen=True, array_like=True):
    """One operator of a dataflow: what it keeps, and what it has cost since it was made."""

    dataflow: GlobalId
    operator: int
    name: str
    rows: int
    size_bytes: int
    elapsed_us: int
    rows_out: int


class DataflowSizes(msgspec.Struct, frozen=True, array_like=True, tag="dataflow_sizes"):
    """All operators of the replica's dataflows, sent with every few statuses."""

    operators: tuple[ArrangementSize, ...]


class SubscribeRows(msgspec.Struct, frozen=True, array_like=True):
    """Changes at one time: whole messages, `row_count` of them."""

    ts: Timestamp
    data: bytes
    row_count: int


class SubscribeError(msgspec.Struct, frozen=True, array_like=True):
    """Why a subscription ends; the fields are those of a `SqlError`."""

    sqlstate: str
    message: str
    detail: str | None = None
    hint: str | None = None


class SubscribeBatch(msgspec.Struct, frozen=True, array_like=True, tag="subscribe_batch"):
    """More of subscription `id`, in the order of time. All changes before `upper` have been sent
    with it; of the changes at `upper` itself some may have been, the rest follows. Every replica
    sends the same rows in the same order, cut into batches in its own way. Of the
    SUBSCRIBE_WINDOW_BYTES that may be under way each batch takes up the bytes of its rows.
    `error` ends the subscription; what led to it is at `upper`."""

    id: GlobalId
    upper: Timestamp
    rows: tuple[SubscribeRows, ...] = ()
    error: SubscribeError | None = None


class SubscribeCredit(msgspec.Struct, frozen=True, array_like=True, tag="subscribe_credit"):
    """`bytes` more of subscription `id` may be under way."""

    id: GlobalId
    bytes: int
