"""Texts to plans for all sessions of the process: two caches in front of parser and planner.

A plan is kept by statement text, parameter types and scope (everything of the session that
planning depends on) and is good for one catalog (the very value: a transaction's preview of its own
DDL may have the revision of another's). What is short is parsed and planned inline, all else in
worker threads. Parameterless writes are kept by neither cache: their texts hardly ever come twice.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, TypeVar

from catalog.sources import durable_source, query_sources, stored_below
from catalog.state import Catalog
from compute.dataflow_messages import CollectionSource
from compute.output_format import OutputFormat
from core.ids import GlobalId
from core.sql_types import RelationDesc, SqlType
from expr.relation import Finishing
from expr.scalar import Scalar
from frontend.holes import Holes, find_holes
from frontend.metrics import PARSE_SECONDS
from frontend.planning_threads import PlanningThreads, is_large
from frontend.responses import row_description
from sql.parse import (
    ParsedStatement,
    StatementKind,
    parse_statements,
)
from sql.plan import (
    AnalyzePlan,
    CheckPlan,
    CopySubscribePlan,
    CopyToPlan,
    CreateTablePlan,
    DeclarePlan,
    ExplainTimestampPlan,
    InsertPlan,
    MutatePlan,
    Plan,
    PlannedStatement,
    Query,
    SelectPlan,
    SubscribePlan,
)
from sql.planner import plan_statement
from sql.session_view import PlanningSession

MAX_CACHED_TEXTS: Final = 4_000
MAX_CACHED_PLANS: Final = 4_000
MAX_CACHED_SCOPES: Final = 1_000
MAX_CACHED_TEXT_LENGTH: Final = 8_192
MAX_FORMATS_PER_PLAN: Final = 8
INLINE_PLANNING_LENGTH: Final = 400

Key = TypeVar("Key")
Value = TypeVar("Value")


class Lru(OrderedDict[Key, Value]):
    """A dictionary that forgets the entry not used for longest."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity

    def find(self, key: Key) -> Value | None:
        value = self.get(key)
        if value is not None:
            self.move_to_end(key)
        return value

    def keep(self, key: Key, value: Value) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._capacity:
            self.popitem(last=False)


class PlanScope:
    """What planning depends on besides text, parameter types and catalog revision.

    `connection` is set when the connection has temporary items. The hash is taken once.
    """

    __slots__ = ("_hash", "connection", "session")

    def __init__(self, session: PlanningSession, connection: int | None) -> None:
        self.session = session
        self.connection = connection
        self._hash = hash((session, connection))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, PlanScope)
            and self.connection == other.connection
            and self.session == other.session
        )


@dataclass(slots=True)
class CachedPlan:
    """A plan with what is derived from it once.

    `holes` are what its query leaves open, `introspected` the introspection relations that it
    reads. `types` are those of the query's rows, `sources` where the collections are that it
    reads, `cluster` the id of the cluster that is to run it (None: it cannot). `reads` are the
    stored collections that decide what the query gives, those below views and materialized views
    included, `user_reads` those that are not the system's: a transaction's reads of system
    relations do not conflict with DDL, as in PostgreSQL.
    """

    planned: PlannedStatement
    parsed: ParsedStatement
    catalog: Catalog
    scope: PlanScope
    query: Query | None
    holes: Holes | None = None
    introspected: tuple[GlobalId, ...] = ()
    sources: tuple[CollectionSource, ...] = ()
    cluster: str | None = None
    reads: frozenset[GlobalId] = frozenset()
    user_reads: frozenset[GlobalId] = frozenset()
    types: tuple[SqlType, ...] = ()
    outputs: dict[tuple[int, ...], OutputFormat] = field(default_factory=dict)
    descriptions: dict[tuple[int, ...], bytes] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        return self.planned.plan

    @property
    def needs_time(self) -> bool:
        """Whether a session call asks for the time that the query reads at."""
        return self.holes is not None and self.holes.needs_time

    def output(self, formats: tuple[int, ...]) -> OutputFormat:
        """How the query's rows are to be encoded for these format codes."""
        found = self.outputs.get(formats)
        if found is None:
            assert self.query is not None
            _, types = self.sent(formats, self.query.finishing)
            found = OutputFormat(types, formats=formats, context=self.scope.session.context)
            if len(self.outputs) < MAX_FORMATS_PER_PLAN:
                self.outputs[formats] = found
        return found

    def sent(
        self, formats: tuple[int, ...], finishing: Finishing
    ) -> tuple[Finishing, tuple[SqlType, ...]]:
        """`Query.sent` for these format codes."""
        assert self.query is not None
        if not self.query.names:
            return finishing, self.types
        codes = column_formats(formats, len(self.types))
        return self.query.sent(finishing, {i for i, code in enumerate(codes) if code})

    def description(self, desc: RelationDesc, formats: tuple[int, ...]) -> bytes:
        """The RowDescription message for these format codes."""
        found = self.descriptions.get(formats)
        if found is None:
            found = row_description(desc, column_formats(formats, len(desc.columns)))
            if len(self.descriptions) < MAX_FORMATS_PER_PLAN:
                self.descriptions[formats] = found
        return found


def column_formats(formats: tuple[int, ...], count: int) -> tuple[int, ...]:
    """One code per column: none means all text, one stands for every column."""
    if not formats:
        return (0,) * count
    return formats * count if len(formats) == 1 else formats


class Planner:
    """Shared by all sessions; see the module docstring."""

    def __init__(self) -> None:
        self._texts: Lru[str, tuple[ParsedStatement, ...]] = Lru(MAX_CACHED_TEXTS)
        self._plans: Lru[tuple[str, PlanScope, tuple[SqlType | None, ...]], CachedPlan] = Lru(
            MAX_CACHED_PLANS
        )
        self._scopes: Lru[PlanScope, PlanScope] = Lru(MAX_CACHED_SCOPES)
        self._threads = PlanningThreads()

    def scope(self, session: PlanningSession, connection: int | None) -> PlanScope:
        """The scope of these; sessions that are alike share one, so that identity mostly tells."""
        made = PlanScope(session, connection)
        found = self._scopes.find(made)
        if found is None:
            self._scopes.keep(made, made)
        return found or made

    def parsed(self, text: str) -> tuple[ParsedStatement, ...] | None:
        """The statements of a text seen before."""
        return self._texts.find(text)

    async def parse(self, text: str) -> tuple[ParsedStatement, ...]:
        """The statements of `text`. Raises SqlError."""
        found = self._texts.find(text)
        if found is not None:
            return found
        started = time.perf_counter()
        statements = await self._threads.run(
            text, parse_statements, text, inline=not is_large(text)
        )
        PARSE_SECONDS.observe(time.perf_counter() - started)
        if len(text) <= MAX_CACHED_TEXT_LENGTH and any(map(_may_come_again, statements)):
            self._texts.keep(text, statements)
        return statements

    def cached(
        self,
        parsed: ParsedStatement,
        scope: PlanScope,
        parameter_types: tuple[SqlType | None, ...],
        catalog: Catalog,
    ) -> CachedPlan | None:
        """A plan made before, if it is of this very catalog."""
        found = self._plans.find((parsed.sql, scope, parameter_types))
        return found if found is not None and found.catalog is catalog else None

    async def plan(
        self,
        parsed: ParsedStatement,
        scope: PlanScope,
        catalog: Catalog,
        connection: int,
        parameter_types: tuple[SqlType | None, ...],
    ) -> CachedPlan:
        """Plan a statement on `catalog`, as `connection` sees it. Raises SqlError."""
        found = self.cached(parsed, scope, parameter_types, catalog)
        if found is not None:
            return found
        view = catalog.for_connection(connection)

        def make() -> CachedPlan:
            planned = plan_statement(parsed, view, scope.session, parameter_types)
            return derive(planned, parsed, catalog, scope)

        is_short = len(parsed.sql) <= INLINE_PLANNING_LENGTH and parsed.kind in _INLINE_KINDS
        made = await self._threads.run(parsed.sql, make, inline=is_short)
        if len(parsed.sql) <= MAX_CACHED_TEXT_LENGTH and _may_come_again(parsed):
            self._plans.keep((parsed.sql, scope, parameter_types), made)
        return made


def _may_come_again(parsed: ParsedStatement) -> bool:
    return parsed.kind is not StatementKind.WRITE or parsed.parameter_count > 0


_INLINE_KINDS: Final = frozenset(StatementKind) - {StatementKind.QUERY, StatementKind.CURSOR}


def derive(
    planned: PlannedStatement, parsed: ParsedStatement, catalog: Catalog, scope: PlanScope
) -> CachedPlan:
    """A plan with what is worth knowing before it runs."""
    query = query_of(planned.plan)
    if query is None:
        return CachedPlan(planned, parsed, catalog, scope, None)
    plan = planned.plan
    sources = query_sources(catalog, query)
    cluster = catalog.serving_cluster(cluster_name(plan, scope.session))
    if isinstance(plan, CheckPlan):
        if plan.durable is not None:
            sources += (durable_source(catalog, plan.maintained, plan.durable),)
    reads = stored_below(catalog, query.depends_on)
    return CachedPlan(
        planned,
        parsed,
        catalog,
        scope,
        query,
        find_holes(query, len(planned.parameter_types), _returning(plan)),
        tuple(id for id in query.depends_on if catalog.items[id].item.is_introspection),
        sources,
        None if cluster is None else cluster.id,
        reads,
        frozenset(read for read in reads if not read.startswith("s")),
        query.desc.types,
    )


def cluster_name(plan: Plan, session: PlanningSession) -> str:
    """The name of the cluster that is to run a plan."""
    return plan.cluster if isinstance(plan, CheckPlan) else session.cluster


def _returning(plan: Plan) -> tuple[Scalar, ...]:
    """What a write returns of each row."""
    return plan.returning or () if isinstance(plan, InsertPlan | MutatePlan) else ()


def query_of(plan: Plan) -> Query | None:
    """The query that a plan runs, if it runs one."""
    match plan:
        case SelectPlan(query=query) | AnalyzePlan(query=query) | CheckPlan(query=query):
            return query
        case ExplainTimestampPlan(query=query) | InsertPlan(query=query) | MutatePlan(query=query):
            return query
        case CopyToPlan(query=query) | DeclarePlan(query=query) | SubscribePlan(query=query):
            return query
        case CopySubscribePlan(subscribe=subscribe):
            return subscribe.query
        case CreateTablePlan(as_query=as_query):
            return as_query
        case _:
            return None


def subscription_of(plan: Plan) -> SubscribePlan | None:
    """The subscription that a plan opens, if it opens one."""
    match plan:
        case SubscribePlan():
            return plan
        case CopySubscribePlan(subscribe=subscribe) | DeclarePlan(subscribe=subscribe):
            return subscribe
        case _:
            return None
