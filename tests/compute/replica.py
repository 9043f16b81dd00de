"""A replica's dataflows in the process of a test."""

from compute.collections import Collections
from compute.dataflow_messages import CollectionSource, DataflowDescription, IndexExport
from compute.maintained.registry import DataflowRegistry
from compute.scheduler import Scheduler
from core.ids import GlobalId, ShardId, Timestamp
from core.rows import Row, codec_for
from core.sql_types import INT4
from expr.relation import Get, Relation
from expr.scalar import ColumnRef
from persist.batches import inline_batch
from persist.txn_reader import TxnsReader
from persist.txns_state import TxnWrite
from tests.persist.txns_environment import Process

TYPES = (INT4,)
ENCODE = codec_for(TYPES).encode


def write(shard: ShardId, *numbers: int, diff: int = 1) -> TxnWrite:
    """Rows of one integer column."""
    return TxnWrite(shard, inline_batch([(ENCODE((number,)), diff) for number in numbers]))


class Replica:
    """What a replica's process has, but for the connection to environmentd."""

    def __init__(self, process: Process, reader: TxnsReader) -> None:
        self.reader = reader
        scheduler = Scheduler()
        blob = process.location.blob
        self.collections = Collections(reader, blob, scheduler, 1_000_000)
        self.registry = DataflowRegistry(process.location, reader, self.collections, scheduler, 1)

    def create_index(
        self,
        on: str,
        relation: Relation,
        as_of: Timestamp,
        *,
        retain_us: int = 0,
        **shards: ShardId,
    ) -> GlobalId:
        """An index by the first column of a relation over tables; its id."""
        id = GlobalId(f"{on}i")
        sources = tuple(CollectionSource(GlobalId(name), shard) for name, shard in shards.items())
        export = IndexExport(GlobalId(on), (ColumnRef(0, INT4),))
        self.registry.create(
            DataflowDescription(id, relation, sources, as_of, export, retain_history_us=retain_us)
        )
        return id

    async def rows(self, index: GlobalId, ts: Timestamp) -> list[Row]:
        """The index's rows at a time, sorted."""
        reader = await self.registry.index_reads.read(index, ts)
        found = [row for chunk in reader.scan(None) for row in chunk]
        reader.release()
        return sorted(found)

    async def close(self) -> None:
        await self.registry.close()
        await self.collections.close()
        await self.reader.close()


def table(id: str) -> Get:
    """A table of one integer column."""
    return Get(GlobalId(id), TYPES)
