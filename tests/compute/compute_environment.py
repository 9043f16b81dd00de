"""A real environment for compute tests: PostgreSQL, a txn-wal writer, clusters of real replicas."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

from compute.dataflow_messages import CollectionSource
from compute.output_format import OutputFormat
from compute.protocol import InstanceConfig, TargetTable
from controllers.compute_client import PeekRequest
from controllers.compute_controller import ComputeClusters
from controllers.orchestrator import ProcessOrchestrator
from controllers.read_holds import ReadHolds
from controllers.replica import ClusterSpec, ReplicaSpec, process_name
from controllers.storage_collections import StorageCollections
from core.ids import Epoch, GlobalId, ShardId, Timestamp, new_shard_id
from core.rows import Row, codec_for
from core.sql_types import Column, RelationDesc, SqlType
from expr.relation import Finishing, Get, Relation, column_types
from oracle.commit_point import PostgresCommitPoint
from oracle.postgres import open_postgres_oracle
from persist.batches import Batch, inline_batch
from persist.location import claim_environment, open_location
from persist.postgres_pool import PostgresPool
from persist.txn_wal import TxnsWriter
from persist.txns_state import TxnWrite

CLUSTER = "u1"
REPLICA = ReplicaSpec("u1", "r1")


@dataclass
class Table:
    """A registered table."""

    id: GlobalId
    shard: ShardId
    types: tuple[SqlType, ...]

    @property
    def get(self) -> Get:
        return Get(self.id, self.types)

    def target(self, *not_null: int) -> TargetTable:
        columns = tuple(
            Column(f"c{i}", t, nullable=i not in not_null) for i, t in enumerate(self.types)
        )
        names = tuple((i, f"c{i}") for i in not_null)
        return TargetTable("t", self.shard, RelationDesc(columns), names)


class ComputeEnvironment:
    """Commits rows and asks the replicas for them."""

    def __init__(
        self,
        writer: TxnsWriter,
        clusters: ComputeClusters,
        collections: StorageCollections,
        orchestrator: ProcessOrchestrator,
    ) -> None:
        self.writer = writer
        self.clusters = clusters
        self.collections = collections
        self._orchestrator = orchestrator
        self._table_count = 0

    @property
    def replica_pid(self) -> int:
        """The process of the one replica, which runs."""
        return self._orchestrator.pids()[process_name(CLUSTER, REPLICA.id)]

    async def create_table(self, *types: SqlType) -> Table:
        self._table_count += 1
        table = Table(GlobalId(f"u{self._table_count}"), new_shard_id(), types)
        await self.writer.commit([], register=[table.shard])
        return table

    async def insert(self, table: Table, rows: Iterable[Row], diff: int = 1) -> Timestamp:
        encode = codec_for(table.types).encode
        batch = inline_batch([(encode(row), diff) for row in rows])
        return await self.commit_batch(table, batch)

    async def commit_batch(self, table: Table, batch: Batch) -> Timestamp:
        return await self.writer.commit([TxnWrite(table.shard, batch)])

    def request(
        self,
        relation: Relation,
        *tables: Table,
        as_of: Timestamp | None = None,
        finishing: Finishing = Finishing(),
        output: OutputFormat | None = None,
    ) -> PeekRequest:
        types = column_types(relation)
        if finishing.project is not None:
            types = tuple(types[index] for index in finishing.project)
        return PeekRequest(
            CLUSTER,
            relation,
            Timestamp(self.writer.upper - 1) if as_of is None else as_of,
            output or OutputFormat(types),
            finishing,
            tuple(CollectionSource(table.id, table.shard) for table in tables),
        )

    async def bytes_of(self, request: PeekRequest) -> bytes:
        stream = await self.clusters.peek(request)
        return b"".join([chunk.data async for chunk in stream])

    async def rows_of(
        self, relation: Relation, *tables: Table, as_of: Timestamp | None = None
    ) -> list[tuple[str | None, ...]]:
        """The rows' fields as text."""
        return parse_data_rows(await self.bytes_of(self.request(relation, *tables, as_of=as_of)))


@contextlib.asynccontextmanager
async def compute_environment(url: str, data_dir: Path) -> AsyncIterator[ComputeEnvironment]:
    """One cluster with one replica on the database at `url`."""
    claim = await claim_environment(url)
    location = await open_location(url, "postgres:", fence=claim.fence)
    pool = PostgresPool(url, 2)
    await open_postgres_oracle(pool, claim.fence)
    commit_point = PostgresCommitPoint(pool, claim.fence)
    writer = await TxnsWriter.open(location, claim.txns_shard, commit_point)
    config = InstanceConfig(
        claim.fence.environment, Epoch(claim.fence.epoch), url, "postgres:", claim.txns_shard
    )
    orchestrator = ProcessOrchestrator(data_dir)
    collections = StorageCollections(ReadHolds(), lambda: writer.upper, lambda: 1_000_000)
    clusters = ComputeClusters(orchestrator, config, collections)
    writer.add_listener(lambda push, _: clusters.push(push))
    try:
        await writer.commit([])
        clusters.ensure_cluster(ClusterSpec(CLUSTER, "quickstart", (REPLICA,)))
        await clusters.wait_ready(20)
        yield ComputeEnvironment(writer, clusters, collections, orchestrator)
    finally:
        await clusters.close()
        await pool.close()
        await location.close()


def parse_data_rows(data: bytes) -> list[tuple[str | None, ...]]:
    """DataRow messages in text format."""
    rows = []
    position = 0
    while position < len(data):
        assert data[position : position + 1] == b"D"
        end = position + 1 + int.from_bytes(data[position + 1 : position + 5], "big")
        count = int.from_bytes(data[position + 5 : position + 7], "big")
        position += 7
        fields: list[str | None] = []
        for _ in range(count):
            length = int.from_bytes(data[position : position + 4], "big", signed=True)
            position += 4
            if length < 0:
                fields.append(None)
            else:
                fields.append(data[position : position + length].decode())
                position += length
        assert position == end
        rows.append(tuple(fields))
    return rows
