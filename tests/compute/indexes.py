"""Indexes on the replica of a compute environment."""

from dataclasses import dataclass

from compute.dataflow_messages import (
    CollectionKind,
    CollectionSource,
    DataflowDescription,
    IndexExport,
)
from compute.output_format import OutputFormat
from controllers.compute_client import PeekRequest
from core.ids import GlobalId, ShardId, Timestamp
from core.sql_types import SqlType
from expr.relation import Constant, Finishing, Get, Lookup, Relation, column_types
from expr.scalar import ColumnRef, EvaluationContext, Scalar
from tests.compute.compute_environment import CLUSTER, ComputeEnvironment, Table, parse_data_rows

TextRow = tuple[str | None, ...]


@dataclass(frozen=True)
class Index:
    """An index of a relation, which other relations may read as a collection."""

    id: GlobalId
    on: GlobalId
    types: tuple[SqlType, ...]

    @property
    def get(self) -> Get:
        return Get(self.on, self.types)

    @property
    def source(self) -> CollectionSource:
        return CollectionSource(self.on, ShardId(""), CollectionKind.INDEX, self.id)


class Indexes:
    """Makes and reads indexes."""

    def __init__(self, environment: ComputeEnvironment) -> None:
        self._environment = environment
        self._count = 0

    def create(
        self,
        relation: Relation,
        *inputs: "Table | Index",
        key: tuple[Scalar, ...] | None = None,
        as_of: Timestamp | None = None,
    ) -> Index:
        """An index of `relation`, by its first column unless a key is given."""
        self._count += 1
        index = Index(
            GlobalId(f"u{self._count}000001"),
            GlobalId(f"u{self._count}000000"),
            column_types(relation),
        )
        description = DataflowDescription(
            index.id,
            relation,
            tuple(source_of(each) for each in inputs),
            self.now if as_of is None else as_of,
            IndexExport(index.on, (ColumnRef(0, index.types[0]),) if key is None else key),
            context=EvaluationContext(),
        )
        self._environment.clusters.create_dataflow(CLUSTER, description, None)
        return index

    def drop(self, index: Index) -> None:
        self._environment.clusters.drop_dataflow(CLUSTER, index.id, self.now)

    @property
    def now(self) -> Timestamp:
        return Timestamp(self._environment.writer.upper - 1)

    async def rows(self, index: Index, as_of: Timestamp | None = None) -> list[TextRow]:
        """The index's rows as text, sorted."""
        return await self.read(index.get, index, as_of=as_of)

    async def find(
        self, index: Index, *key: Scalar, as_of: Timestamp | None = None
    ) -> list[TextRow]:
        """The rows of one key as text, sorted."""
        one = Constant(((b"\x90", 1),), ())
        lookup = Lookup(one, index.on, index.id, index.types, key)
        source = CollectionSource(index.id, ShardId(""), CollectionKind.INDEX, index.id)
        return await self._read(lookup, (source,), as_of)

    async def read(
        self, relation: Relation, *inputs: "Table | Index", as_of: Timestamp | None = None
    ) -> list[TextRow]:
        """Any relation's rows as text, sorted."""
        return await self._read(relation, tuple(source_of(each) for each in inputs), as_of)

    async def _read(
        self,
        relation: Relation,
        sources: tuple[CollectionSource, ...],
        as_of: Timestamp | None,
    ) -> list[TextRow]:
        request = PeekRequest(
            CLUSTER,
            relation,
            self.now if as_of is None else as_of,
            OutputFormat(column_types(relation)),
            Finishing(),
            sources,
        )
        data = await self._environment.bytes_of(request)
        return sorted(parse_data_rows(data), key=repr)


def source_of(read: Table | Index) -> CollectionSource:
    return read.source if isinstance(read, Index) else CollectionSource(read.id, read.shard)
