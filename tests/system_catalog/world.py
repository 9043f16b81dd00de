"""A catalog in memory with a few objects of a user, and queries on it as a replica runs them."""

from collections.abc import Iterator, Sequence

from catalog.boot import BootParameters, open_catalog
from catalog.durable import RAW_CATALOG_DESC, RAW_CATALOG_ID, RowDiff
from catalog.operations import Operation, TransactionContext
from catalog.state import Catalog
from catalog.transact import apply_operations
from compute.execution import CHUNK_ROWS, Execution, MemoryBudget
from compute.render import render
from compute.result import finished_query
from core.ids import MIN_TIMESTAMP, GlobalId, ShardId, Timestamp, new_shard_id
from core.rows import Row, codec_for
from core.sql_types import SqlType
from expr.relation import Relation, substitute
from expr.scalar import EvaluationContext, Literal, literal
from frontend.session_calls import SessionCalls, SessionFacts
from frontend.settings import SessionSettings
from persist.batches import read_batch
from persist.memory import MemoryBlob
from persist.txns_state import TxnWrite
from sql.parse import parse_statements
from sql.plan import PlannedStatement, SelectPlan
from sql.planner import plan_statement
from sql.session_view import PlanningSession
from sql.variables import SESSION_VARIABLES, system_value

CONNECTION = 7
NOW = Timestamp(1_700_000_000_000_000)
MEMORY_LIMIT_BYTES = 1 << 28


class MemoryLog:
    """A commit log that keeps what it is given."""

    def __init__(self) -> None:
        self.upper = Timestamp(1)
        self.writes: list[TxnWrite] = []

    async def commit(
        self,
        writes: Sequence[TxnWrite],
        *,
        register: Sequence[ShardId] = (),
        forget: Sequence[ShardId] = (),
        is_catalog_change: bool = False,
        not_before: Timestamp = MIN_TIMESTAMP,
    ) -> Timestamp:
        self.writes.extend(writes)
        self.upper = Timestamp(self.upper + 1)
        return self.upper


class RawRows:
    """The raw catalog collection as an operator reads it."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def scan(self, columns: tuple[int, ...] | None) -> Iterator[list[Row]]:
        rows = self._rows
        if columns is not None:
            rows = [tuple(row[column] for column in columns) for row in rows]
        for start in range(0, len(rows), CHUNK_ROWS):
            yield rows[start : start + CHUNK_ROWS]


class World:
    """A catalog, its raw rows, and a session of user `materialize`."""

    def __init__(self, catalog: Catalog, rows: dict[bytes, int]) -> None:
        self.catalog = catalog
        self.rows = rows
        self.settings = SessionSettings(
            {name: v.parse(v.default) for name, v in SESSION_VARIABLES.items()}
        )
        self.user = "materialize"
        self.database = "materialize"

    @staticmethod
    async def create() -> "World":
        log, blob = MemoryLog(), MemoryBlob()
        parameters = BootParameters(catalog_shard=new_shard_id(), epoch=1, now=NOW)
        catalog = await open_catalog((), log, blob, parameters)
        rows: dict[bytes, int] = {}
        for write in log.writes:
            async for chunk in read_batch(blob, write.batch):
                diffs = (
                    chunk.diffs
                    if isinstance(chunk.diffs, list)
                    else [chunk.diffs] * len(chunk.rows)
                )
                for row, diff in zip(chunk.rows, diffs, strict=True):
                    rows[row] = rows.get(row, 0) + diff
        return World(catalog, rows)

    def apply(self, *operations: Operation) -> None:
        """Carry out DDL."""
        context = TransactionContext(self.user, NOW, NOW)
        applied = apply_operations(self.catalog, operations, self.catalog.revision, context)
        self.catalog = applied.catalog
        self._add(applied.diffs)

    def _add(self, diffs: Sequence[RowDiff]) -> None:
        for row, diff in diffs:
            data = row.encode()
            self.rows[data] = self.rows.get(data, 0) + diff

    def plan(self, text: str, parameter_types: tuple[SqlType | None, ...] = ()) -> PlannedStatement:
        """The plan of one statement."""
        (parsed,) = parse_statements(text)
        session = PlanningSession(database=self.database, search_path=("public",), user=self.user)
        return plan_statement(
            parsed, self.catalog.for_connection(CONNECTION), session, parameter_types
        )

    def query(self, text: str, parameters: Sequence[object] = ()) -> list[Row]:
        """The rows of a query."""
        planned = self.plan(text)
        assert isinstance(planned.plan, SelectPlan)
        query = planned.plan.query
        literals = tuple(
            literal(value, sql_type)
            for value, sql_type in zip(parameters, planned.parameter_types, strict=True)
        )
        relation = self._bound(query.relation, literals)
        finished = finished_query(render(relation, EvaluationContext()), query.finishing)
        tables = {GlobalId(RAW_CATALOG_ID): RawRows(self.raw_rows())}
        execution = Execution(NOW, tables, MemoryBudget(MEMORY_LIMIT_BYTES))
        return [row for part in finished.run(execution) for row in part]

    def raw_rows(self) -> list[Row]:
        """The raw catalog's rows."""
        codec = codec_for(RAW_CATALOG_DESC.types)
        return [tuple(codec.decode(data)) for data, count in self.rows.items() if count]

    def _bound(self, relation: Relation, parameters: tuple[Literal, ...]) -> Relation:
        facts = SessionFacts(
            settings=self.settings,
            catalog=self.catalog.for_connection(CONNECTION),
            system_parameters=lambda name: str(system_value(name, {})),
            user=self.user,
            database=self.database,
            connection_id=CONNECTION,
            version="0.1",
            environment_id="test",
            transaction_started_at=NOW,
            statement_started_at=NOW,
            clock=lambda: NOW,
            as_of=NOW,
            started_at=NOW,
            is_superuser=False,
        )
        return substitute(relation, parameters, SessionCalls(facts))
